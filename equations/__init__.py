"""A recurrent cell's equations: forward, backward and derived.

`forward(cell)` prints what the cell computes, `backward(cell)` what SymPy derives from it,
`derive(cell, "W_f")` the derivation rule by rule, `unrolled(cell, steps)` the equations at t = 1,
2, …, `difference(a, b)` what two cells do differently; each result has `.latex()`, `.mathml()` and
`.unicode()`. `gradients` evaluates the derived equations, `javascript(cell)` writes them for a
browser. `name_latex` and `name_unicode` are the notation of a single name.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from tinygrad_lstm.notation import name_latex, name_unicode

if TYPE_CHECKING:
    from equations.adjoints import backward
    from equations.cell_difference import difference
    from equations.derivation import derive
    from equations.evaluation import gradients
    from equations.javascript_code import javascript
    from equations.lines import Equation, Equations
    from equations.symbolic import forward, unrolled

# SymPy takes a third of a second to import: it is loaded with the first equation that is asked for
_HOMES = {
    "Equation": "lines",
    "Equations": "lines",
    "forward": "symbolic",
    "unrolled": "symbolic",
    "backward": "adjoints",
    "gradients": "evaluation",
    "derive": "derivation",
    "difference": "cell_difference",
    "javascript": "javascript_code",
}

__all__ = [
    "Equation",
    "Equations",
    "backward",
    "derive",
    "difference",
    "forward",
    "gradients",
    "javascript",
    "name_latex",
    "name_unicode",
    "unrolled",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'equations' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"equations.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
