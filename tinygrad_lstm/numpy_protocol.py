"""How NumPy's functions come to work on Tensors: two tables, which `numpy_names.py` fills."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

UPDATE = (
    "a Tensor is never changed in place: other nodes of the graph were computed from it, and "
    "backward() sets its gradient anew.\n"
    "  An update makes new parameters: p = p.replace({n: p[n] - rate * p[n].grad for n in p})."
)
UFUNCS: dict[str, Callable[..., Any]] = {}  # NumPy's names of the operations
FUNCTIONS: dict[str, Callable[..., Any]] = {}  # its other functions, by name
_QUERIES = (
    "all allclose any argmax argmin array2string array_equal array_equiv array_repr array_str "
    "iscomplexobj isclose isrealobj ones_like zeros_like"
)
QUERIES = frozenset(_QUERIES.split())  # they ask for values; no gradient could flow through them


class NumpyProtocol:
    """What makes `np.tanh(t)` and `np.concatenate([a, b])` operations of this project."""

    __slots__ = ()

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *operands: Any, **options: Any) -> Any:
        name = ufunc.__name__
        if method == "__call__" and not options and name in UFUNCS:
            return UFUNCS[name](*operands)
        if method != "__call__" or options:
            raise TypeError(
                f"np.{name}{'.' + method if method != '__call__' else ''} with "
                f"{', '.join(options) or 'this method'} does not work on Tensors, which are never "
                f"changed in place; call np.{name}(a, b) without further options."
                + (f"\n  {UPDATE.splitlines()[1].strip()}" if "out" in options else "")
            )
        raise _no_rule(name, UFUNCS)

    def __array_function__(
        self, function: Callable[..., Any], types: Any, args: Any, options: Any
    ) -> Any:
        name = function.__name__
        if name in FUNCTIONS:
            return FUNCTIONS[name](*args, **options)
        if name in QUERIES:
            return function(*_values(args), **{k: _values(v) for k, v in options.items()})
        raise _no_rule(name, FUNCTIONS)


def _no_rule(name: str, known: dict[str, Callable[..., Any]]) -> TypeError:
    return TypeError(
        f"np.{name} has no derivative rule here. Known: {', '.join(sorted(known))}.\n"
        f"  Without a gradient, write np.{name}(t.numpy())."
    )


def _values(argument: Any) -> Any:
    if isinstance(argument, NumpyProtocol):
        return argument.data  # type: ignore[attr-defined]
    many = isinstance(argument, tuple | list)
    return type(argument)(map(_values, argument)) if many else argument
