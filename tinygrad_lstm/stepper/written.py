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

from tinygrad_lstm.forwards import axes_of
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


def count_missing_digits(
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
        if op == "einsum" or TABLE[op].signature.startswith("("):
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
            count = iter(range(len(places)))
            ids = [np.fromiter(count, int, i.size).reshape(i.shape) for i in node.inputs]
            moved = np.asarray(TABLE[node.op or ""].forward(*ids, **node.attributes))
            self._origin[node] = [places[k] for k in moved.ravel().tolist()]
        flat = int(np.ravel_multi_index(at, node.shape)) if at else 0
        return self.entry(*self._origin[node][flat])

    def _products(self, node: Tensor, at: Index) -> Piece:
        a, b = node.inputs
        pairs = _pairs(node, at)
        return self.sum(self._product([self._at(a, k), self._at(b, m)]) for k, m in pairs)

    def _product(self, parts: Iterable[Piece]) -> Piece:
        return Piece("×".join(self.fitted(part, PRODUCT) for part in parts), PRODUCT, "product")

    def _over_axes(self, node: Tensor, at: Index) -> Piece:
        (x,), op = node.inputs, node.op or ""
        reduced = axes_of(node.attributes["axis"], x.ndim)
        rest = [axis for axis in range(x.ndim) if axis not in reduced]
        kept = at if x.ndim != node.ndim else tuple(at[axis] for axis in rest)
        sources = np.moveaxis(np.arange(x.size).reshape(x.shape), rest, range(len(rest)))[kept]
        if op == "cumsum":
            sources = sources[: at[reduced[0]] + 1]
        places = list(np.ndindex(x.shape))
        parts = [self.entry(x, places[k]) for k in sources.ravel().tolist()]
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


_OVER_AXES = {"sum", "mean", "max", "prod", "logsumexp", "softmax", "log_softmax", "cumsum"}


def _pairs(node: Tensor, at: Index) -> list[tuple[Index, Index]]:
    """The entries of the two operands whose products make up the entry `at`."""
    groups: Sequence[Sequence[str]]
    if node.op == "einsum":
        before, after = node.attributes["subscripts"].replace("...", "").split("->")
        groups = before.split(",")
    else:
        groups, after = TABLE[node.op or ""].letters()
    lead, own = at[: len(at) - len(after)], at[len(at) - len(after) :]
    lengths: dict[str, int] = {}
    for group, i in zip(groups, node.inputs, strict=True):
        for letter, n in zip(group, i.shape[i.ndim - len(group) :], strict=True):
            lengths[letter] = max(n, lengths.get(letter, 1))
    free = [letter for letter in lengths if letter not in after]
    found = []
    for rest in np.ndindex(*(lengths[letter] for letter in free)):
        place = dict(zip((*after, *free), (*own, *rest), strict=True))
        a, b = ((*lead, *(place[letter] for letter in group)) for group in groups)
        found.append((a, b))
    return found
