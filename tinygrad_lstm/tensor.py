"""The graph's node, `Tensor`, and the application of an operation.

A `Tensor` is a value together with the operation and the inputs it came from; the graph of these
references is the tape. Where inputs hold values the operation runs at once (eager); where they do
not, only the node is made (traced). Both kinds are differentiated by the same rules (`ops.py`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tinygrad_lstm import axes
from tinygrad_lstm.errors import DTypeError, ShapeError, TracedError
from tinygrad_lstm.graph import LETTERED as LETTERED
from tinygrad_lstm.graph import Letter as Letter
from tinygrad_lstm.graph import Node, fresh
from tinygrad_lstm.graph import ancestors as ancestors
from tinygrad_lstm.graph import contributions as contributions
from tinygrad_lstm.graph import fold as fold
from tinygrad_lstm.graph import letters_of as letters_of
from tinygrad_lstm.graph import pullback as pullback
from tinygrad_lstm.graph import unbroadcast as unbroadcast
from tinygrad_lstm.numpy_protocol import FUNCTIONS as FUNCTIONS
from tinygrad_lstm.numpy_protocol import UFUNCS as UFUNCS
from tinygrad_lstm.numpy_protocol import (
    UPDATE,
    NumberProtocol,
    NumpyProtocol,
    can_change,
    holds_tensors,
)
from tinygrad_lstm.numpy_protocol import Axis as Axis
from tinygrad_lstm.operation import TABLE as TABLE
from tinygrad_lstm.operation import Operation as Operation
from tinygrad_lstm.sizes import Ratio, Size

Array: TypeAlias = NDArray[Any]
_new = object.__new__


_Letters: TypeAlias = tuple[Letter, ...]
_Abstract: TypeAlias = tuple[tuple[int, ...], np.dtype[Any], _Letters]


def _infix(name: str, swapped: bool = False) -> Callable[[Tensor, TensorLike], Tensor]:
    """A method of Python's operators: an operation on the Tensor and what it meets."""

    def method(self: Tensor, other: TensorLike) -> Tensor:
        a, b = (other, self) if swapped else (self, other)
        return apply(name, a, b) if name != "matmul" else FUNCTIONS[name](a, b)

    method.__doc__ = f"See `tinygrad_lstm.ops.{name}`."
    return method


class Tensor(Node, NumpyProtocol, NumberProtocol):
    """A node of the computation graph: a value and where it came from.

    `Tensor(data)` is a leaf that gradients are wanted of; `data` is kept in its dtype (float32,
    float64 or complex) and copied, since Tensors are immutable. `Tensor(data, name="W")` names it.

    Attributes: `data` (read-only array), `grad` (Tensor, or None until `backward` has run), `op`
    (the operation's name; None for a leaf), `inputs` (the ordered operands: x * x has x twice),
    `attributes` (axis and the like), `name`, `time` (the step of a sequence it belongs to),
    `shape`, `dtype`. A traced Tensor has a shape and a dtype, but no value.
    """

    __slots__ = ("_grad", "_abstract")
    __hash__ = object.__hash__

    _data: Array | None
    inputs: tuple[Tensor, ...]
    _grad: Any
    _abstract: _Abstract | None  # shape, dtype and letters, without a value

    def __init__(self, data: Any, name: str | None = None) -> None:
        if isinstance(data, Tensor):
            data = data.data
        array = np.array(_without_tensors(data, "Tensor"))
        if array.dtype.kind not in "fc":
            called = f"Tensor {name!r}" if name else "A Tensor"
            raise DTypeError(
                f"{called} holds floating-point numbers, got {array.dtype}: only they have "
                f"derivatives.\n"
                f"  Write Tensor(np.asarray(data, dtype=float)), or 2.0 instead of 2."
            )
        array.setflags(write=False)
        _make(array, None, (), _NONE, True, self)
        self.name = name

    @classmethod
    def input(cls, name: str, shape: tuple[int, ...], dtype: Any = np.float64) -> Tensor:
        """A traced leaf: a name and a shape, and a value only when its Program is run."""
        node = _make(None, None, (), _NONE, True, cls.__new__(cls))
        node._abstract, node.name = (tuple(shape), np.dtype(dtype), ()), name
        return node

    @classmethod
    def opaque(cls, like: Tensor, op: str, operands: Sequence[Tensor], **attributes: Any) -> Tensor:
        """A traced value like another of which only is said what it is made of, by what name."""
        return cls.lettered(op, operands, like.shape, like.dtype, letters_of(operands), attributes)

    @classmethod
    def lettered(
        cls,
        op: str,
        operands: Sequence[Tensor],
        shape: tuple[int, ...],
        dtype: Any,
        letters: tuple[Letter, ...],
        attributes: Mapping[str, Any],
    ) -> Tensor:
        """A traced value at each place of the letters: `shape` is that at one place."""
        node = _make(None, op, tuple(operands), attributes, True, cls.__new__(cls))
        node._abstract = (shape, np.dtype(dtype), letters)
        return node

    # --- values ---------------------------------------------------------------------------------
    @property
    def data(self) -> Array:
        """The value, as a read-only array."""
        if self._data is None:
            raise TracedError(
                f"{self!r} has no value yet: it was traced. Run its Program to get numbers.\n"
                f"  In a cell write where(condition, a, b) in place of if, and, or."
            )
        view = self._data.view()
        view.setflags(write=False)
        return view

    @data.setter
    def data(self, value: Any) -> None:
        raise AttributeError(UPDATE)

    @property
    def grad(self) -> Tensor | None:
        """The gradient of the last Tensor whose `backward` reached this one; None before."""
        return None if self._grad is None else constant(self._grad)

    @grad.setter
    def grad(self, value: Any) -> None:
        raise AttributeError(UPDATE)

    @property
    def shape(self) -> tuple[int, ...]:
        """The length of each axis."""
        return self._abstract[0] if self._abstract else self._data.shape  # type: ignore[union-attr]

    @property
    def dtype(self) -> np.dtype[Any]:
        """The kind of the numbers."""
        return self._abstract[1] if self._abstract else self._data.dtype  # type: ignore[union-attr]

    @property
    def letters(self) -> tuple[Letter, ...]:
        """The letters at each place of which it has a value; outside of `each` there are none."""
        return self._abstract[2] if self._abstract else ()

    @property
    def traced(self) -> bool:
        """Whether this node has no value of its own."""
        return self._data is None

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """The number of entries."""
        return math.prod(self.shape)

    def numpy(self) -> Array:
        """The value as a NumPy array of one's own."""
        return np.array(self.data)

    def item(self) -> float:
        """The value of a Tensor with one entry, as a Python number."""
        return self.data.item()  # type: ignore[no-any-return]

    def detach(self) -> Tensor:
        """The same value, cut off from the graph: no gradient flows through it."""
        if self._data is None:
            return apply("detach", self)
        node = constant(self._data)
        node.name, node.time = self.name, self.time
        return node

    def backward(self, seed: Any = None) -> None:
        """Set `.grad` on every node below this one: the derivative of this Tensor.

        `seed` is this Tensor's own adjoint, of its shape; it may be left out for one entry, where
        it is 1. A second call gives the same gradients, not twice the gradients.
        """
        data = self.data
        if seed is None:
            if self.size != 1:
                raise ShapeError(
                    f"backward() starts from one number, but {_called(self)} has shape "
                    f"{self.shape}.\n  Reduce it first, as in t.sum().backward(), or pass the "
                    f"adjoint to start from: t.backward(seed) with a seed of shape {self.shape}."
                )
            seed = np.ones(data.shape, data.dtype)
        else:
            seed = np.array(seed, dtype=data.dtype)
        if seed.shape != self.shape:
            raise ShapeError(
                f"the seed has shape {seed.shape}, but {_called(self)} has shape {self.shape}."
            )
        for node, adjoint in pullback({self: seed}, numeric=True).items():
            node._grad = adjoint

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        if self.requires_grad and (self.inputs or not self.shape):
            raise TypeError(
                f"NumPy would cut {self!r} off from its graph without a word.\n"
                f"  Write stack([a, b]) to join Tensors, or t.numpy() where no gradient is wanted."
            )
        return np.array(self.data, dtype=dtype, copy=copy)

    def __iter__(self) -> Iterator[Tensor]:
        return (self[k] for k in range(len(self)))

    def __repr__(self) -> str:
        name = f", name={self.name!r}" if self.name else ""
        if self._data is None:
            return f"Tensor(shape={self.shape}{name}, traced)"
        body = np.array2string(self._data, precision=4, threshold=20, prefix="Tensor(")
        return f"Tensor({body}{name})"

    def __reduce__(self) -> Any:
        if self.inputs or self._data is None:
            raise TypeError(
                f"{self!r} does not pickle: it is part of a graph, which stays in its process.\n"
                f"  Send t.detach(), its value alone; leaves such as parameters pickle as they are."
            )
        return _leaf_from, (np.array(self._data), self.name, self.requires_grad)

    # --- the operations as Python writes them -----------------------------------------------------
    __add__, __radd__ = _infix("add"), _infix("add", swapped=True)
    __sub__, __rsub__ = _infix("subtract"), _infix("subtract", swapped=True)
    __mul__, __rmul__ = _infix("multiply"), _infix("multiply", swapped=True)
    __truediv__, __rtruediv__ = _infix("divide"), _infix("divide", swapped=True)
    __pow__, __rpow__ = _infix("power"), _infix("power", swapped=True)
    __matmul__, __rmatmul__ = _infix("matmul"), _infix("matmul", swapped=True)
    __mod__, __rmod__ = _infix("mod"), _infix("mod", swapped=True)
    __gt__, __lt__ = _infix("greater"), _infix("greater", swapped=True)
    __ge__, __le__ = _infix("greater_equal"), _infix("greater_equal", swapped=True)
    __eq__, __ne__ = _infix("equal"), _infix("not_equal")  # type: ignore[assignment]

    def __neg__(self) -> Tensor:
        return apply("negative", self)

    def __abs__(self) -> Tensor:
        return apply("abs", self)

    def __getitem__(self, index: Any) -> Tensor:
        item: Tensor = FUNCTIONS["getitem"](self, index)
        return item


TensorLike: TypeAlias = Tensor | ArrayLike  # or nested lists of such, which are joined
_NONE: Mapping[str, Any] = {}


def _called(tensor: Tensor) -> str:
    return f"{tensor.name!r}" if tensor.name else "this Tensor"


_FLOAT = np.dtype(float)


def constant(value: Any, like: np.dtype[Any] | None = None) -> Tensor:
    """A leaf that no gradient is wanted of. Whole and Python numbers take the dtype `like`.

    An array that its owner may still change is copied; Tensors in a list are joined.
    """
    if type(value) is np.ndarray:
        data = np.array(value) if can_change(value) else value
    elif type(value) in (list, tuple) and holds_tensors(value):
        return stacked(value)  # type: ignore[no-any-return]
    else:
        weak = like is not None and isinstance(value, int | float) and like.kind in "fc"
        data = np.array(value, dtype=like if weak else None)
    if data.dtype.kind not in "fcib":
        raise DTypeError(f"numbers are needed, got {data.dtype} in {value!r}.")
    if like is not None and like.kind in "fc" and data.dtype.kind == "i":
        data = data.astype(like)  # which NumPy would take for a reason to leave float32
    data.flags.writeable = False
    named = isinstance(value, Size | Ratio)
    attributes = {"words": value.words, "level": value.level} if named else _NONE
    return _make(data, None, (), attributes, False, _new(Tensor))


def stacked(value: Any) -> Any:
    """A nested list of Tensors and numbers as one Tensor: its gradients reach all of them."""
    if type(value) in (list, tuple):
        return apply("stack", *map(stacked, value), axis=0)
    return value


def _without_tensors(value: Any, called: str) -> Any:
    if type(value) in (list, tuple) and holds_tensors(value):
        raise TypeError(
            f"{called}([…]) of a list of Tensors would cut them off from the graph.\n"
            f"  Write stack([a, b]), which joins them, or t.numpy() where no gradient is wanted."
        )
    return value


def _leaf_from(data: Array, name: str | None, requires_grad: bool) -> Tensor:
    """A leaf as it was pickled."""
    node = constant(data)
    node.name, node.requires_grad = name, requires_grad
    return node


def _make(
    data: Array | None,
    op: str | None,
    inputs: tuple[Tensor, ...],
    attributes: Mapping[str, Any],
    requires_grad: bool,
    node: Tensor,
) -> Tensor:
    """Fill a fresh node."""
    node._data, node.op, node.inputs, node.attributes = data, op, inputs, attributes
    node.requires_grad, node.order = requires_grad, fresh()
    node._grad = node.name = node.time = node._abstract = None
    return node


def computed(
    data: Array, op: str, inputs: tuple[Tensor, ...], attributes: Mapping[str, Any]
) -> Tensor:
    """A node whose value was computed elsewhere."""
    if type(data) is not np.ndarray:
        data = np.asarray(data)
    data.flags.writeable = False
    requires_grad = False
    for i in inputs:
        if i.requires_grad:
            requires_grad = True
            break
    return _make(data, op, inputs, attributes, requires_grad, _new(Tensor))


def apply(name: str, /, *operands: Any, **attributes: Any) -> Tensor:
    """Apply the operation `name` to operands of which any may be Tensors, arrays or numbers.

    The result is a Tensor if an operand is one. On plain arrays alone the project's functions are
    NumPy's and give an array, which is how rules run without making nodes.
    """
    operation = TABLE[name]
    values = []
    requires_grad = traced = False
    given = 0
    for operand in operands:
        if type(operand) is Tensor:
            given += 1
            requires_grad = requires_grad or operand.requires_grad
            traced = traced or operand._data is None
            values.append(operand._data)
        elif type(operand) in (list, tuple) and holds_tensors(operand):
            return apply(name, *map(stacked, operands), **attributes)
    if not given:
        return operation.forward(*operands, **attributes)  # type: ignore[no-any-return]
    if given < len(operands):
        kinds = (o.dtype for o in operands if type(o) is Tensor)
        like = next((k for k in kinds if k.kind in "fc"), _FLOAT)
        operands = tuple([o if type(o) is Tensor else constant(o, like) for o in operands])
        values = [o._data for o in operands]
    try:
        if traced:
            data, abstract = None, _trace(operation, operands, attributes)
        else:
            data, abstract = operation.forward(*values, **attributes), None
            if type(data) is not np.ndarray:
                data = np.asarray(data)
            data.flags.writeable = False
    except (ValueError, IndexError) as error:
        raise ShapeError(axes.misfit(operation, operands, error)) from error
    node = _make(data, name, operands, attributes, requires_grad, _new(Tensor))
    node._abstract = abstract
    return node


def _trace(
    operation: Operation, inputs: tuple[Tensor, ...], attributes: dict[str, Any]
) -> _Abstract:
    """Shape, dtype and letters of a result without a value: those of the forward on ones."""
    stand_ins = [
        np.broadcast_to(np.ones((), i.dtype), i.shape) if i._data is None else i._data
        for i in inputs
    ]
    with np.errstate(all="ignore"):
        result = np.asarray(operation.forward(*stand_ins, **attributes))
    shape, letters = result.shape, letters_of(inputs)
    if any(type(n) is Size for i in inputs for n in i.shape):
        shape = axes.named_shape(operation, inputs, attributes, shape)
    return shape, result.dtype, letters


def remade(node: Tensor, operands: Sequence[Tensor]) -> Tensor:
    """The same operation on other operands, under the same name; a leaf as it is."""
    if not node.inputs:
        return node
    if node.op in TABLE and node.op not in LETTERED:
        made = apply(node.op or "", *operands, **node.attributes)
    else:  # only said, not computed
        written = node.op or "", operands, node.shape, node.dtype
        made = Tensor.lettered(*written, node.letters, node.attributes)
    made.name, made.time = node.name, node.time
    return made
