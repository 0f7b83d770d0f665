"""An operation written out for a reader: in symbols, and entry by entry with the numbers put in.

What is written is a small graph of Tensors that hold values: one operation, or a derivative rule
applied to named leaves. So no rule is written a second time here, and a new operation's gradient
can be read as soon as it is in the table. Entries that an operation only moves are followed to
where they came from; products and reductions are written as the sums that they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from tinygrad_lstm.notation import number
from tinygrad_lstm.sizes import ATOM, POWER, PRODUCT, SUM
from tinygrad_lstm.tensor import TABLE, Array, Tensor, constant, fold
from tinygrad_lstm.text import NEGATIVE, Attributes, Piece, Unicode

Index = tuple[int, ...]

MORE = 5  # further digits that the numbers of a line may need to give its result
_MOVES = {
    "concat",
    "stack",
    "reshape",
    "transpose",
    "swapaxes",
    "broadcast_to",
    "getitem",
    "identity",
    "detach",
}


def leaf(value: Any, name: str | None) -> Tensor:
    """A named value, to be put into a rule."""
    node = constant(value)
    node.name = name
    return node


def array(value: Any, digits: int = 4, threshold: int = 24) -> str:
    """An array on one line: [0.4645 0.5575]; the middle of a large one is left out."""
    value = np.asarray(value)
    if not value.ndim:
        return number(value, digits)
    text = np.array2string(
        value,
        threshold=threshold,
        edgeitems=2,
        max_line_width=10**6,
        formatter={"all": lambda v: number(v, digits)},
    )
    return " ".join(text.split()).replace("[ ", "[").replace(" ]", "]")


class Symbols(Unicode):
    """A rule in symbols: what has no name is written with so many digits as it is shown."""

    def constant(self, data: Array) -> Piece:  # noqa: D102
        return self.number(data) if data.size == 1 else Piece(array(data, self.digits))

    def name(self, label: str, *_: Any) -> str:
        """A leaf's name is a label already."""
        return label

    def node(self, node: Tensor, parts: Sequence[Piece]) -> Piece:
        """Factors of exactly 1 are left out, and axes of length 1 that come or go."""
        if node.op == "multiply":
            for other, i in zip(parts[::-1], node.inputs, strict=True):
                if not i.inputs and i.name is None and np.array_equal(i.data, 1):
                    return other
        if node.op == "reshape" and _without_ones(node) == _without_ones(node.inputs[0]):
            return parts[0]
        return super().node(node, parts)


def _without_ones(node: Tensor) -> list[int]:
    return [n for n in node.shape if n != 1]


def write_rule(node: Tensor, digits: int = 4) -> str:
    """A rule in symbols, down to its named leaves."""
    found: Piece = fold([node], {}, Symbols(digits).node)[node]
    return found.text


# --- numbers that close ---------------------------------------------------------------------------
def round_shown(value: Array, digits: int) -> Array:
    """An array as it is shown, with so many significant digits."""
    if value.dtype.kind != "f":
        return value
    shown = [float(f"{v:.{digits}g}") for v in value.ravel().tolist()]
    return np.array(shown).reshape(value.shape)


def compute_shown(node: Tensor, digits: int) -> Array:
    """What a rule gives where its leaves are as they are shown."""

    def make(n: Tensor, values: list[Array]) -> Array:
        if not n.inputs:
            return round_shown(n.data, digits)
        return np.asarray(TABLE[n.op or ""].forward(*values, **n.attributes))

    found: Array = fold([node], {}, make)[node]
    return found


def closing(
    compute: Callable[[int], Array], result: Array, places: list[Index], digits: int
) -> list[int | None]:
    """How many more digits the numbers of each line need, so that a reader's arithmetic closes.

    `compute(digits)`: what numbers of so many digits give. `result` is shown with `digits`. None
    for a line that does not close with MORE of them, where nearly equal numbers cancel.
    """
    found: dict[Index, int] = {}
    with np.errstate(all="ignore"):
        for more in range(MORE + 1):
            if len(found) == len(places):
                break
            given = np.broadcast_to(compute(digits + more), result.shape)
            for at in places:
                if at not in found and number(given[at], digits) == number(result[at], digits):
                    found[at] = more
    return [found.get(at) for at in places]


# --- the numbers put in -------------------------------------------------------------------------
class Entries(Unicode):
    """The entries of a value, each as the arithmetic that gives it.

    `digits`: significant digits shown. `terms`: the middle of a longer sum is left out.
    """

    numbers = "unicode"
    relations = {**Unicode.relations, "equal": "=="}
    signs = {**Unicode.signs, "subtract": "{} − {}"}
    minus, hadamard = "−", " × "

    def __init__(self, digits: int = 4, terms: int = 16) -> None:
        super().__init__(digits)
        self.terms = terms
        self._origin: dict[Tensor, list[tuple[Tensor, Index]]] = {}

    def between(self, left: Piece, right: Piece) -> str:  # noqa: D102
        return self.hadamard

    def first_factor(self, part: Piece) -> str:
        """A negative number has brackets wherever it stands."""
        return self.factor(part)

    def write_power(self, parts: Sequence[Piece], attributes: Attributes) -> Piece:  # noqa: D102
        base, exponent = parts
        if exponent.kind == "number":
            return super().write_power(parts, attributes)
        return Piece(f"{self.fitted(base, ATOM)}^({exponent.text})", POWER)

    def entry(self, node: Tensor, at: Index) -> Piece:
        """One entry of `node`, written out down to the numbers of its leaves."""
        op = node.op or ""
        if not node.inputs:
            found = self.number(node.data[at])
            return found if node.name is None else found._replace(kind="")
        if op in _MOVES:
            return self._moved(node, at)
        if op == "scatter":
            (source,) = node.inputs
            ids = np.arange(node.size).reshape(node.shape)[node.attributes["index"]]
            wanted = np.argwhere(ids == np.ravel_multi_index(at, node.shape) if at else ids == 0)
            return self.sum(self.entry(source, tuple(k)) for k in wanted.tolist())
        if op in _PRODUCTS or op == "einsum":
            return self._products(node, at)
        if op in _OVER_AXES:
            return self._over_axes(node, at)
        if TABLE[op].signature == "elementwise" or op == "clip":
            return self.operation(op, [self._at(i, at) for i in node.inputs], self.attributes(node))
        texts = [array(i.data, self.digits) for i in node.inputs]  # an operation unknown here
        return Piece(f"{op}({', '.join(texts)}){list(at) or ''}")

    def sum(self, parts: Iterable[Piece]) -> Piece:
        """a + b + c, with brackets where they are needed."""
        pieces = list(parts)
        if len(pieces) < 2:
            return pieces[0] if pieces else Piece("0")
        texts = [self.fitted(piece, SUM if k else NEGATIVE) for k, piece in enumerate(pieces)]
        if len(texts) > self.terms:
            texts = [*texts[:3], f"… {len(texts) - 5} more …", *texts[-2:]]
        return Piece(" + ".join(texts), SUM)

    def _at(self, node: Tensor, at: Index) -> Piece:
        """The entry of an operand that broadcasting brings to `at`."""
        own = at[len(at) - node.ndim :]
        places = zip(node.shape, own, strict=True)
        return self.entry(node, tuple(0 if n == 1 else k for n, k in places))

    def _moved(self, node: Tensor, at: Index) -> Piece:
        if node not in self._origin:
            places = [(i, k) for i in node.inputs for k in np.ndindex(i.shape)]
            ids, start = [], 0
            for i in node.inputs:
                ids.append(np.arange(start, start + i.size).reshape(i.shape))
                start += i.size
            moved = np.asarray(TABLE[node.op or ""].forward(*ids, **node.attributes))
            self._origin[node] = [places[int(k)] for k in moved.ravel()]
        flat = int(np.ravel_multi_index(at, node.shape)) if at else 0
        return self.entry(*self._origin[node][flat])

    def _products(self, node: Tensor, at: Index) -> Piece:
        a, b = node.inputs
        core = _PRODUCTS.get(node.op or "", 0)
        lead, own = at[: len(at) - core], at[len(at) - core :]
        if node.op == "einsum":
            pairs = _einsum_pairs(node, at)
        elif node.op == "outer":
            pairs = [((*lead, own[0]), (*lead, own[1]))]
        elif node.op == "matvec":
            pairs = [((*lead, own[0], j), (*lead, j)) for j in range(a.shape[-1])]
        elif node.op == "matmul":
            pairs = [((*lead, own[0], j), (*lead, j, own[1])) for j in range(a.shape[-1])]
        else:
            pairs = [((*lead, j), (*lead, j)) for j in range(max(a.shape[-1], b.shape[-1]))]
        return self.sum(self._product([self._at(a, k), self._at(b, m)]) for k, m in pairs)

    def _product(self, parts: Iterable[Piece]) -> Piece:
        return Piece("×".join(self.fitted(part, PRODUCT) for part in parts), PRODUCT, "product")

    def _over_axes(self, node: Tensor, at: Index) -> Piece:
        (x,) = node.inputs
        axis, op = node.attributes["axis"], node.op or ""
        given = range(x.ndim) if axis is None else axis if isinstance(axis, tuple) else (axis,)
        axes = {a % x.ndim for a in given}
        place: list[Any] = list(at)
        if x.ndim != node.ndim:  # the reduced axes are gone
            place = [0] * x.ndim
            for a, k in zip([a for a in range(x.ndim) if a not in axes], at, strict=True):
                place[a] = k
        free = tuple(
            (slice(k + 1) if op == "cumsum" else slice(None)) if a in axes else k
            for a, k in enumerate(place)
        )
        sources = np.arange(x.size).reshape(x.shape)[free].ravel()
        parts = [
            self.entry(x, tuple(int(k) for k in np.unravel_index(int(s), x.shape))) for s in sources
        ]
        if op in ("sum", "cumsum"):
            return self.sum(parts)
        if op == "mean":
            return Piece(f"({self.sum(parts).text}) / {len(parts)}", PRODUCT, "product")
        if op == "prod":
            return self._product(parts)
        if op == "max":
            return self.call("max", *(part.text for part in parts))
        total = self.sum(self.call("exp", part.text) for part in parts)
        if op == "logsumexp":
            return self.call("log", total.text)
        own = self._at(x, at)
        if op == "softmax":
            return Piece(f"exp({own.text}) / ({total.text})", PRODUCT, "product")
        return Piece(f"{self.fitted(own, SUM)} {self.minus} log({total.text})", SUM)


_PRODUCTS = {"matvec": 1, "matmul": 2, "outer": 2, "vecdot": 0}  # how many axes of the result
_OVER_AXES = {"sum", "mean", "max", "prod", "logsumexp", "softmax", "log_softmax", "cumsum"}


def _einsum_pairs(node: Tensor, at: Index) -> list[tuple[Index, Index]]:
    """The entries of the two operands whose products make up the entry `at`."""
    before, after = node.attributes["subscripts"].replace("...", "").split("->")
    groups = before.split(",")
    lead, own = at[: len(at) - len(after)], at[len(at) - len(after) :]
    lengths = {
        letter: n
        for group, i in zip(groups, node.inputs, strict=True)
        for letter, n in zip(group, i.shape[i.ndim - len(group) :], strict=True)
    }
    free = [letter for letter in lengths if letter not in after]
    found = []
    for rest in np.ndindex(*(lengths[letter] for letter in free)):
        place = dict(zip((*after, *free), (*own, *rest), strict=True))
        a, b = ((*lead, *(place[letter] for letter in group)) for group in groups)
        found.append((a, b))
    return found
