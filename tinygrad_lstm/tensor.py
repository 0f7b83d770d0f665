"""The graph: one node class, the application of an operation, and reverse-mode differentiation.

A `Tensor` is a value together with the operation and the inputs it came from; the graph of these
references is the tape. Where inputs hold values the operation runs at once (eager); where they do
not, only the node is made (traced). Both kinds are differentiated by the same rules (`ops.py`).
"""

from __future__ import annotations

import itertools
import math
import operator
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_lstm import axes
from tinygrad_lstm.errors import DTypeError, ShapeError, TracedError
from tinygrad_lstm.sizes import Ratio, Size

Array = NDArray[Any]
Rule = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Operation:
    """All that is known of an operation: one record (`ops.py`), read by every reading.

    `derivatives` holds a rule for each input, `rule(g, y, *inputs, **attributes)`: the share of
    the input in the adjoint `g` of the result `y`; None where there is no derivative. A variadic
    operation has one function that makes the rule of its k-th input. `signature` is
    "elementwise", a NumPy signature such as "(m,n),(n)->(m)", or the family of an operation on
    axes: "reduction", "along", "structural". `domain` is where tests may sample it, `distance`
    how far inputs are from its nearest kink (None: smooth), `examples` the shapes and attributes
    tests use where the signature does not tell. `batch(node, lead)`: the attributes that do the
    same to each sample of a batch with the axes `lead` in front.

    How it is written: `infix` as (template, how tightly it binds, how tightly its operands must),
    `c` and `js` as templates of an entry, `sympy` as the name SymPy has for it. A composite has a
    `definition`, a Program of other operations from which all of these follow; `slopes` is the
    Program of the derivatives where its author gave them. `expand(roots)`: the same values with
    every operation that a node of this one stands for.
    """

    name: str
    forward: Callable[..., Any]
    derivatives: tuple[Rule | None, ...] | Callable[[int], Rule]
    signature: str
    domain: tuple[float, float]
    distance: Callable[..., Any] | None
    examples: tuple[tuple[tuple[tuple[int, ...], ...], dict[str, Any]], ...]
    batch: Callable[[Tensor, tuple[int, ...]], dict[str, Any]] | None = None
    infix: tuple[str, int, tuple[int, ...]] | None = None
    c: str | None = None
    js: str | None = None
    sympy: str | None = None
    definition: Any = None
    slopes: Any = None
    expand: Callable[[list[Tensor]], list[Tensor]] | None = None

    def rule(self, k: int) -> Rule | None:
        """The derivative rule of the k-th input."""
        return self.derivatives(k) if callable(self.derivatives) else self.derivatives[k]

    def core(self, inputs: Sequence[Tensor]) -> list[int]:
        """How many axes of each input the operation itself works on; those before broadcast."""
        if self.signature == "elementwise":
            return [0] * len(inputs)
        if self.signature.startswith("("):
            groups = re.findall(r"\(([^)]*)\)", self.signature.split("->")[0])
            return [group.count(",") + 1 for group in groups]
        return [i.ndim for i in inputs]


TABLE: dict[str, Operation] = {}
_serial = itertools.count()
_age = operator.attrgetter("_serial")
_new = object.__new__


class Tensor:
    """A node of the computation graph: a value and where it came from.

    `Tensor(data)` is a leaf that gradients are wanted of; `data` is kept in its dtype (float32,
    float64 or complex) and copied, since Tensors are immutable. `Tensor(data, name="W")` names it.

    Attributes: `data` (read-only array), `grad` (Tensor, or None until `backward` has run), `op`
    (the operation's name; None for a leaf), `inputs` (the ordered operands: x * x has x twice),
    `attributes` (axis and the like), `name`, `time` (the step of a sequence it belongs to),
    `shape`, `dtype`. A traced Tensor has a shape and a dtype, but no value.
    """

    __slots__ = (
        "_data",
        "_grad",
        "op",
        "inputs",
        "attributes",
        "name",
        "time",
        "_form",
        "_live",
        "_serial",
    )
    __hash__ = object.__hash__

    _data: Array | None
    _grad: Any
    op: str | None
    inputs: tuple[Tensor, ...]
    attributes: Mapping[str, Any]
    name: str | None
    time: int | None
    _form: tuple[tuple[int, ...], np.dtype[Any]] | None  # shape and dtype, where there is no value
    _live: bool
    _serial: int

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
        node._form, node.name = (tuple(shape), np.dtype(dtype)), name
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
        raise AttributeError(_UPDATE)

    @property
    def grad(self) -> Tensor | None:
        """The gradient of the last Tensor whose `backward` reached this one; None before."""
        return None if self._grad is None else constant(self._grad)

    @grad.setter
    def grad(self, value: Any) -> None:
        raise AttributeError(_UPDATE)

    @property
    def shape(self) -> tuple[int, ...]:
        """The length of each axis."""
        return self._form[0] if self._form else self._data.shape  # type: ignore[union-attr]

    @property
    def dtype(self) -> np.dtype[Any]:
        """The kind of the numbers."""
        return self._form[1] if self._form else self._data.dtype  # type: ignore[union-attr]

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
            cut: Tensor = apply("detach", self)
            return cut
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
            seed = np.ones_like(data)
        seed = np.array(seed, dtype=data.dtype)
        if seed.shape != self.shape:
            raise ShapeError(
                f"the seed has shape {seed.shape}, but {_called(self)} has shape {self.shape}."
            )
        for node, adjoint in pullback({self: seed}, raw=True).items():
            node._grad = adjoint

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        if self._live and (self.inputs or not self.shape):
            raise TypeError(
                f"NumPy would cut {self!r} off from its graph without a word.\n"
                f"  Write stack([a, b]) to join Tensors, or t.numpy() where no gradient is wanted."
            )
        return np.array(self.data, dtype=dtype, copy=copy)

    # --- a Tensor without axes is a number --------------------------------------------------------
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
        return self.shape[0]

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
        return _leaf_from, (np.array(self._data), self.name, self._live)

    def __copy__(self) -> Tensor:
        return self

    def __deepcopy__(self, memo: Any) -> Tensor:
        return self

    def __setitem__(self, index: Any, value: Any) -> None:
        raise TypeError(
            "a Tensor cannot be changed in place: other nodes of the graph were computed from it.\n"
            "  Instead of t[i] = v write t = where(mask, v, t) with a boolean mask,\n"
            "  or put the parts together: t = concat(t[:i], v, t[i + 1:])."
        )

    # --- the operations as Python and NumPy write them ----------------------------------------
    def __add__(self, other: Any) -> Any:
        return apply("add", self, other)

    def __radd__(self, other: Any) -> Any:
        return apply("add", other, self)

    def __sub__(self, other: Any) -> Any:
        return apply("subtract", self, other)

    def __rsub__(self, other: Any) -> Any:
        return apply("subtract", other, self)

    def __mul__(self, other: Any) -> Any:
        return apply("multiply", self, other)

    def __rmul__(self, other: Any) -> Any:
        return apply("multiply", other, self)

    def __truediv__(self, other: Any) -> Any:
        return apply("divide", self, other)

    def __rtruediv__(self, other: Any) -> Any:
        return apply("divide", other, self)

    def __pow__(self, other: Any) -> Any:
        return apply("power", self, other)

    def __rpow__(self, other: Any) -> Any:
        return apply("power", other, self)

    def __mod__(self, other: Any) -> Any:
        return apply("mod", self, other)

    def __rmod__(self, other: Any) -> Any:
        return apply("mod", other, self)

    def __matmul__(self, other: Any) -> Any:
        return FUNCTIONS["matmul"](self, other)

    def __rmatmul__(self, other: Any) -> Any:
        return FUNCTIONS["matmul"](other, self)

    def __neg__(self) -> Any:
        return apply("negative", self)

    def __abs__(self) -> Any:
        return apply("abs", self)

    def __gt__(self, other: Any) -> Any:
        return apply("greater", self, other)

    def __ge__(self, other: Any) -> Any:
        return apply("greater_equal", self, other)

    def __lt__(self, other: Any) -> Any:
        return apply("greater", other, self)

    def __le__(self, other: Any) -> Any:
        return apply("greater_equal", other, self)

    def __eq__(self, other: Any) -> Any:
        return apply("equal", self, other)

    def __ne__(self, other: Any) -> Any:
        return apply("not_equal", self, other)

    def __getitem__(self, index: Any) -> Any:
        return FUNCTIONS["getitem"](self, index)

    def sum(self, axis: Any = None, keepdims: bool = False) -> Any:
        """The sum over an axis, several, or all."""
        return apply("sum", self, axis=axis, keepdims=keepdims)

    def mean(self, axis: Any = None, keepdims: bool = False) -> Any:
        """The mean over an axis, several, or all."""
        return apply("mean", self, axis=axis, keepdims=keepdims)

    def max(self, axis: Any = None, keepdims: bool = False) -> Any:
        """The largest entry over an axis, several, or all."""
        return apply("max", self, axis=axis, keepdims=keepdims)

    def min(self, axis: Any = None, keepdims: bool = False) -> Any:
        """The smallest entry over an axis, several, or all."""
        return FUNCTIONS["min"](self, axis, keepdims=keepdims)

    def prod(self, axis: Any = None, keepdims: bool = False) -> Any:
        """The product over an axis, several, or all."""
        return apply("prod", self, axis=axis, keepdims=keepdims)

    def var(self, axis: Any = None, keepdims: bool = False) -> Any:
        """The variance over an axis, several, or all."""
        return FUNCTIONS["var"](self, axis, keepdims=keepdims)

    def dot(self, other: Any) -> Any:
        """The product of matrices and vectors, as NumPy's."""
        return FUNCTIONS["dot"](self, other)

    def flatten(self) -> Any:
        """All entries in a row."""
        return self.reshape(-1)

    def reshape(self, *shape: Any) -> Any:
        """The same entries in another shape, given as one tuple or as lengths."""
        return FUNCTIONS["reshape"](self, shape[0] if len(shape) == 1 else shape)

    def transpose(self, *axes: Any) -> Any:
        """The axes permuted, reversed unless told."""
        return FUNCTIONS["transpose"](self, (axes[0] if len(axes) == 1 else axes) or None)

    def swapaxes(self, a: int, b: int) -> Any:
        """The axes a and b exchanged."""
        return apply("swapaxes", self, a=a, b=b)

    @property
    def T(self) -> Tensor:
        """The transpose."""
        transposed: Tensor = self.transpose()
        return transposed

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *operands: Any, **options: Any) -> Any:
        name = ufunc.__name__
        if method == "__call__" and not options and name in UFUNCS:
            return UFUNCS[name](*operands)
        if method != "__call__" or options:
            raise TypeError(
                f"np.{name}{'.' + method if method != '__call__' else ''} with "
                f"{', '.join(options) or 'this method'} does not work on Tensors, which are never "
                f"changed in place; call np.{name}(a, b) without further options."
                + (f"\n  {_UPDATE.splitlines()[1].strip()}" if "out" in options else "")
            )
        raise TypeError(
            f"np.{name} has no derivative rule here. Known: {', '.join(sorted(UFUNCS))}.\n"
            f"  Without a gradient, write np.{name}(t.numpy())."
        )

    def __array_function__(
        self, function: Callable[..., Any], types: Any, args: Any, options: Any
    ) -> Any:
        name = function.__name__
        if name in FUNCTIONS:
            return FUNCTIONS[name](*args, **options)
        if name in QUERIES:
            return function(*_arrays(args), **{k: _arrays(v) for k, v in options.items()})
        raise TypeError(
            f"np.{name} has no derivative rule here. Known: {', '.join(sorted(FUNCTIONS))}.\n"
            f"  Without a gradient, write np.{name}(t.numpy())."
        )


_NONE: Mapping[str, Any] = {}
_UPDATE = (
    "a Tensor is never changed in place: other nodes of the graph were computed from it, and "
    "backward() sets its gradient anew.\n"
    "  An update makes new parameters: p = p.replace({n: p[n] - rate * p[n].grad for n in p})."
)
UFUNCS: dict[str, Callable[..., Any]] = {}  # NumPy's names of the operations; filled by ops.py
FUNCTIONS: dict[str, Callable[..., Any]] = {}  # its other functions, by name
QUERIES = frozenset(
    [
        "all",
        "allclose",
        "any",
        "argmax",
        "argmin",
        "array2string",
        "array_equal",
        "array_equiv",
        "array_repr",
        "array_str",
        "iscomplexobj",
        "isclose",
        "isrealobj",
        "ones_like",
        "zeros_like",
    ]
)


def _arrays(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.data
    return type(value)(map(_arrays, value)) if isinstance(value, tuple | list) else value


def _called(tensor: Tensor) -> str:
    return f"{tensor.name!r}" if tensor.name else "this Tensor"


_FLOAT = np.dtype(float)


def constant(value: Any, like: np.dtype[Any] | None = None) -> Tensor:
    """A leaf that no gradient is wanted of. Whole and Python numbers take the dtype `like`.

    An array that its owner may still change is copied; Tensors in a list are joined.
    """
    if type(value) is np.ndarray:
        data = np.array(value) if _writeable(value) else value
    elif type(value) in (list, tuple) and _holds_tensors(value):
        joined: Tensor = stacked(value)
        return joined
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


def _writeable(array: Array) -> bool:
    """Whether anybody can still change an array, or what it is a view of."""
    while array.base is not None and not array.flags.writeable:
        if type(array.base) is not np.ndarray:
            return True
        array = array.base
    return array.flags.writeable


def _holds_tensors(value: Any) -> bool:
    return type(value) is Tensor or (
        type(value) in (list, tuple) and any(map(_holds_tensors, value))
    )


def stacked(value: Any) -> Any:
    """A nested list of Tensors and numbers as one Tensor: its gradients reach all of them."""
    if type(value) in (list, tuple):
        return apply("stack", *map(stacked, value), axis=0)
    return value


def _without_tensors(value: Any, called: str) -> Any:
    if type(value) in (list, tuple) and _holds_tensors(value):
        raise TypeError(
            f"{called}([…]) of a list of Tensors would cut them off from the graph.\n"
            f"  Write stack([a, b]), which joins them, or t.numpy() where no gradient is wanted."
        )
    return value


def _leaf_from(data: Array, name: str | None, live: bool) -> Tensor:
    """A leaf as it was pickled."""
    node = constant(data)
    node.name, node._live = name, live
    return node


def _make(
    data: Array | None,
    op: str | None,
    inputs: tuple[Tensor, ...],
    attributes: Mapping[str, Any],
    live: bool,
    node: Tensor,
) -> Tensor:
    """Fill a fresh node."""
    node._data, node.op, node.inputs, node.attributes, node._live = (
        data,
        op,
        inputs,
        attributes,
        live,
    )
    node._grad = node.name = node.time = node._form = None
    node._serial = next(_serial)
    return node


def computed(
    data: Array, op: str, inputs: tuple[Tensor, ...], attributes: Mapping[str, Any]
) -> Tensor:
    """A node whose value was computed elsewhere."""
    if type(data) is not np.ndarray:
        data = np.asarray(data)
    data.flags.writeable = False
    live = False
    for i in inputs:
        if i._live:
            live = True
            break
    return _make(data, op, inputs, attributes, live, _new(Tensor))


def apply(name: str, /, *operands: Any, **attributes: Any) -> Any:
    """Apply the operation `name` to operands of which any may be Tensors, arrays or numbers.

    The result is a Tensor if an operand is one, and an array otherwise: on plain arrays the
    project's functions are NumPy's, which is how rules run without making nodes.
    """
    operation = TABLE[name]
    values = []
    live = traced = False
    given = 0
    for operand in operands:
        if type(operand) is Tensor:
            given += 1
            live = live or operand._live
            traced = traced or operand._data is None
            values.append(operand._data)
        elif type(operand) in (list, tuple) and _holds_tensors(operand):
            return apply(name, *map(stacked, operands), **attributes)
    if not given:
        return operation.forward(*operands, **attributes)
    if given < len(operands):
        kinds = (o.dtype for o in operands if type(o) is Tensor)
        like = next((k for k in kinds if k.kind in "fc"), _FLOAT)
        operands = tuple([o if type(o) is Tensor else constant(o, like) for o in operands])
        values = [o._data for o in operands]
    try:
        if traced:
            data, form = None, _trace(operation, operands, attributes)
        else:
            data, form = operation.forward(*values, **attributes), None
            if type(data) is not np.ndarray:
                data = np.asarray(data)
            data.flags.writeable = False
    except (ValueError, IndexError) as error:
        raise ShapeError(axes.misfit(operation, operands, error)) from error
    node = _make(data, name, operands, attributes, live, _new(Tensor))
    node._form = form
    return node


def _trace(
    operation: Operation, inputs: tuple[Tensor, ...], attributes: dict[str, Any]
) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Shape and dtype of a result whose value is not known: those of the forward on ones."""
    stand_ins = [
        np.broadcast_to(np.ones((), i.dtype), i.shape) if i._data is None else i._data
        for i in inputs
    ]
    with np.errstate(all="ignore"):
        result = np.asarray(operation.forward(*stand_ins, **attributes))
    if any(type(n) is Size for i in inputs for n in i.shape):
        return axes.named_shape(operation, inputs, attributes, result.shape), result.dtype
    return result.shape, result.dtype


def ancestors(
    roots: Iterable[Tensor], live: bool = False, stop: Collection[Tensor] = ()
) -> list[Tensor]:
    """Every node that the roots depend on, roots included, inputs before what uses them.

    Nodes are numbered as they are made, so the order of making is a topological order, and for a
    cell it is the author's order. `live`: leave out what no gradient flows through. `stop`: go
    no further than these nodes.
    """
    seen, stop = set(roots), set(stop)
    stack = list(seen)
    while stack:
        node = stack.pop()
        if node in stop:
            continue
        for i in node.inputs:
            if i not in seen and (i._live or not live):
                seen.add(i)
                stack.append(i)
    return sorted(seen, key=_age)


def fold(
    roots: Iterable[Tensor], leaves: Mapping[Tensor, Any], make: Callable[[Tensor, list[Any]], Any]
) -> dict[Tensor, Any]:
    """What each node below the roots becomes: `make(node, what its inputs became)`, inputs first.

    `leaves` says what some nodes become, and the walk goes no further there. Every reading of a
    graph is a fold: values for arrays, a copy on other leaves, text, SymPy, C.
    """
    found = dict(leaves)
    for node in ancestors(roots, stop=found):
        if node not in found:
            found[node] = make(node, [found[i] for i in node.inputs])
    return found


def remade(node: Tensor, operands: Sequence[Tensor]) -> Tensor:
    """The same operation on other operands, under the same name; a leaf as it is."""
    if not node.inputs:
        return node
    made: Tensor = apply(node.op or "", *operands, **node.attributes)
    made.name, made.time = node.name, node.time
    return made


def contributions(node: Tensor, g: Any, raw: bool) -> list[tuple[Tensor, Any]]:
    """What each input of `node` receives when the adjoint of `node` is `g`."""
    rules, inputs = TABLE[node.op or "identity"].derivatives, node.inputs
    y: Any = node._data if raw else node
    values: Any = [i._data for i in inputs] if raw else inputs
    shares = []
    for k, i in enumerate(inputs):
        rule = (rules(k) if callable(rules) else rules[k]) if i._live else None
        if rule is not None:
            value = values[k]
            share = rule(g, y, *values, **node.attributes)
            if share is None:
                continue  # nothing flows here, which is not to say that zero does
            if share.shape != value.shape:
                share = unbroadcast(share, value.shape)
            if raw and share.dtype is not value.dtype:
                share = _in_kind_of(value, share)
            shares.append((i, share))
    return shares


def _in_kind_of(value: Array, share: Array) -> Array:
    """`share` in the precision of `value`, but complex if it is complex."""
    return share.astype(value.dtype) if share.dtype.kind == value.dtype.kind else share


def pullback(
    seeds: Mapping[Tensor, Any],
    raw: bool,
    wrt: Collection[Tensor] = (),
    named: Callable[[Tensor, Any], Any] | None = None,
) -> dict[Tensor, Any]:
    """Adjoints of the live nodes below the keys of `seeds`, whose own adjoints are the values.

    `raw`: compute with arrays, which is fast; otherwise with Tensors, so that the adjoints are
    nodes themselves and can be differentiated, printed and drawn. `wrt`: stop at these nodes and
    keep no others. `named` is told each finished adjoint and may replace it.
    """
    wrt = set(wrt)
    adjoints: dict[Tensor, Any] = dict(seeds)
    sums: set[Tensor] = set()  # whose adjoint is an array of our own that may be added to in place
    for node in reversed(ancestors(seeds, live=True, stop=wrt)):
        g = adjoints.get(node)
        if g is None:
            continue
        if named is not None:
            g = adjoints[node] = named(node, g)
        if not node.inputs or node in wrt:
            continue
        for i, share in contributions(node, g, raw):
            total = adjoints.get(i)
            if total is None:
                adjoints[i] = share
            elif i in sums and total.dtype == share.dtype:
                total += share
            else:
                adjoints[i] = total = total + share
                if raw and type(total) is np.ndarray:
                    sums.add(i)
        if wrt:
            del adjoints[node]
    return adjoints


def unbroadcast(g: Any, shape: tuple[int, ...]) -> Any:
    """Sum `g` over the axes along which an operand of `shape` was repeated."""
    if g.shape == shape:
        return g
    lead = len(g.shape) - len(shape)
    if lead > 0:
        g = apply("sum", g, axis=tuple(range(lead)), keepdims=False)
    repeated = tuple(k for k, n in enumerate(shape) if n == 1 and g.shape[k] != 1)
    return apply("sum", g, axis=repeated, keepdims=True) if repeated else g
