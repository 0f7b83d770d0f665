"""How NumPy and Python see a Tensor: as an array, and without axes as a number.

NumPy's functions are found in two tables, which `numpy_names.py` fills.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

import numpy as np

Axis = int | tuple[int, ...] | None
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

    def _as_numpy(self, name: str, *operands: Any, **options: Any) -> Self:
        result: Self = FUNCTIONS[name](self, *operands, **options)
        return result

    def sum(self, axis: Axis = None, keepdims: bool = False) -> Self:
        """The sum over an axis, several, or all."""
        return self._as_numpy("sum", axis, keepdims=keepdims)

    def mean(self, axis: Axis = None, keepdims: bool = False) -> Self:
        """The mean over an axis, several, or all."""
        return self._as_numpy("mean", axis, keepdims=keepdims)

    def max(self, axis: Axis = None, keepdims: bool = False) -> Self:
        """The largest entry over an axis, several, or all."""
        return self._as_numpy("max", axis, keepdims=keepdims)

    def min(self, axis: Axis = None, keepdims: bool = False) -> Self:
        """The smallest entry over an axis, several, or all."""
        return self._as_numpy("min", axis, keepdims=keepdims)

    def prod(self, axis: Axis = None, keepdims: bool = False) -> Self:
        """The product over an axis, several, or all."""
        return self._as_numpy("prod", axis, keepdims=keepdims)

    def var(self, axis: Axis = None, keepdims: bool = False) -> Self:
        """The variance over an axis, several, or all."""
        return self._as_numpy("var", axis, keepdims=keepdims)

    def dot(self, other: Any) -> Self:
        """The product of matrices and vectors, as NumPy's."""
        return self._as_numpy("dot", other)

    def flatten(self) -> Self:
        """All entries in a row."""
        return self.reshape(-1)

    def reshape(self, *shape: Any) -> Self:
        """The same entries in another shape, given as one tuple or as lengths."""
        return self._as_numpy("reshape", shape[0] if len(shape) == 1 else shape)

    def transpose(self, *axes: Any) -> Self:
        """The axes permuted, reversed unless told."""
        return self._as_numpy("transpose", (axes[0] if len(axes) == 1 else axes) or None)

    def swapaxes(self, a: int, b: int) -> Self:
        """The axes a and b exchanged."""
        return self._as_numpy("swapaxes", a, b)

    @property
    def T(self) -> Self:
        """The transpose."""
        return self.transpose()


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


class NumberProtocol:
    """What makes a Tensor without axes a number of Python's, and any Tensor a value that stays."""

    __slots__ = ()

    data: Any
    shape: Any
    size: Any
    item: Any

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __complex__(self) -> complex:
        return complex(self.item())

    def __round__(self, digits: int | None = None) -> Any:
        return round(self.item(), digits)

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if spec and self.size == 1 else format(repr(self), spec)

    def __bool__(self) -> bool:
        return bool(self.data)

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of a Tensor without axes")
        return int(self.shape[0])

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: Any) -> Self:
        return self

    def __setitem__(self, index: Any, value: Any) -> None:
        raise TypeError(
            "a Tensor cannot be changed in place: other nodes of the graph were computed from it.\n"
            "  Instead of t[i] = v write t = where(mask, v, t) with a boolean mask,\n"
            "  or put the parts together: t = concat(t[:i], v, t[i + 1:])."
        )


def can_change(array: Any) -> bool:
    """Whether anybody can still change an array, or what it is a view of."""
    while array.base is not None and not array.flags.writeable:
        if type(array.base) is not np.ndarray:
            return True
        array = array.base
    return bool(array.flags.writeable)


def holds_tensors(value: Any) -> bool:
    """Whether a value is a Tensor, or a list or tuple with one anywhere in it."""
    return isinstance(value, NumpyProtocol) or (
        type(value) in (list, tuple) and any(map(holds_tensors, value))
    )
