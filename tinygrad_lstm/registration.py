"""How operations come to the table: one record each, and a function that applies it, with types.

Families share what their records have alike: what is called, or written between operands, alike in
all languages; reductions; what works along an axis; what rearranges entries.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, Protocol

from tinygrad_lstm.forwards import negative_axes
from tinygrad_lstm.operation import TABLE, Operation
from tinygrad_lstm.tensor import Axis, Tensor, TensorLike, apply

Function = Callable[..., Any]
Examples = tuple[tuple[tuple[tuple[int, ...], ...], dict[str, Any]], ...]
Unary = Callable[[TensorLike], Tensor]
Binary = Callable[[TensorLike, TensorLike], Tensor]
Ternary = Callable[[TensorLike, TensorLike, TensorLike], Tensor]
_LINES: Examples = ((((3,),), {"axis": -1}), (((2, 3),), {"axis": 0}), (((2, 3, 2),), {"axis": 1}))
_REDUCED: Examples = (
    (((2, 3),), {"axis": None, "keepdims": False}),
    (((2, 3),), {"axis": 0, "keepdims": False}),
    (((2, 3, 2),), {"axis": -1, "keepdims": True}),
    (((3,),), {"axis": None, "keepdims": True}),
    (((2, 3, 2),), {"axis": (0, 2), "keepdims": False}),
)


class Reduction(Protocol):
    """An operation that makes one number of the entries along an axis, several, or all."""

    def __call__(  # noqa: D102
        self, x: TensorLike, axis: Axis = None, keepdims: bool = False
    ) -> Tensor: ...


class Along(Protocol):
    """An operation on the entries along an axis that keeps their number."""

    def __call__(self, x: TensorLike, axis: int = -1) -> Tensor: ...  # noqa: D102


def register(
    name: str,
    forward: Function,
    derivatives: Any,
    signature: str = "elementwise",
    *,
    domain: tuple[float, float] = (-2.0, 2.0),
    distance: Function | None = None,
    examples: Examples = (),
    doc: str = "",
    **faces: Any,
) -> Callable[..., Tensor]:
    """Add an operation to the table, and return the function that applies it.

    The columns: `operation.Operation`.

    Its name must be new and every face of it present.
    """
    if name in TABLE:
        raise ValueError(f"operation {name!r} is registered already; choose another name.")
    if not callable(forward) or not (callable(derivatives) or isinstance(derivatives, tuple)):
        raise ValueError(
            f"operation {name!r} needs a forward function and a tuple with one rule an operand."
        )
    if signature in ("reduction", "along", "structural") and not examples:
        raise ValueError(
            f"operation {name!r} works on axes: give examples=((shapes, attributes), …) so that "
            f"tests can sample it."
        )
    TABLE[name] = Operation(
        name, forward, derivatives, signature, domain, distance, examples, **faces
    )

    def applied(*operands: TensorLike) -> Tensor:
        return apply(name, *operands)

    rules = [r for r in (derivatives if isinstance(derivatives, tuple) else ()) if r]
    if rules:  # (g, y, *inputs)
        whole = inspect.signature(rules[0])
        applied.__signature__ = whole.replace(  # type: ignore[attr-defined]
            parameters=list(whole.parameters.values())[2:]
        )
    return _described(applied, name, doc)  # type: ignore[no-any-return]


unary: Callable[..., Unary] = register
binary: Callable[..., Binary] = register


def function(name: str, forward: Function, rule: Function | None, doc: str, **faces: Any) -> Unary:
    """A function that C and JavaScript call alike, unless told."""
    faces = {"c": f"{name.upper()}({{0}})", "js": f"Math.{name}({{0}})", **faces}
    return register(name, forward, (rule,), doc=doc, **faces)


def infix(
    name: str,
    sign: str,
    forward: Function,
    left: Function | None,
    right: Function | None,
    doc: str,
    *levels: int,
    **faces: Any,
) -> Binary:
    """What is written between operands everywhere; levels: how tightly it, and they, must bind."""
    faces = {"c": f"{{0}} {sign} {{1}}", "js": f"({{0}} {sign} {{1}})", **faces}
    faces["infix"] = f"{{}} {sign} {{}}", levels[0], levels[1:]
    return register(name, forward, (left, right), doc=doc, **faces)


def _described(function: Any, name: str, doc: str) -> Any:
    function.__name__ = function.__qualname__ = name
    function.__doc__ = doc
    return function


def reduction(name: str, forward: Function, rule: Function, doc: str, **faces: Any) -> Reduction:
    """An operation that reduces, and its function."""
    register(name, forward, (rule,), "reduction", batch=negative_axes, examples=_REDUCED, **faces)

    def applied(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
        return apply(name, x, axis=axis, keepdims=keepdims)

    return _described(applied, name, doc)  # type: ignore[no-any-return]


def rearranging(name: str, forward: Function, rules: Any, **faces: Any) -> None:
    """An operation that rearranges entries; its function stands in `functions.py`."""
    register(name, forward, rules, "structural", **faces)


def along(name: str, forward: Function, rule: Function, doc: str) -> Along:
    """An operation along an axis, and its function."""
    register(name, forward, (rule,), "along", batch=negative_axes, examples=_LINES)

    def applied(x: TensorLike, axis: int = -1) -> Tensor:
        return apply(name, x, axis=axis)

    return _described(applied, name, doc)  # type: ignore[no-any-return]
