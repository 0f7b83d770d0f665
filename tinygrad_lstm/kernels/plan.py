"""The plan of a compiled cell: what is computed when, and where it lies. No backend knows more.

A step is read again and again; what can be is taken out of that loop:

    once      weights packed, from parameters alone                 W₁ = [W_f; W_i; W_o; W_C]
    ahead     hoisted: for all steps together, before the loop      u₁ = W₂ · x_t
    forward   the loop over time                                    u₁ += W₁ · h_{t-1}, a pass
    backward  the loop back; what was not saved is computed again   a pass, W₁ᵀ · u₇
    after     deferred: for all steps together, after the loop      W̄₁ = Σ_t u₇ ⊗ h_{t-1}

Each of the three loops is a list of stages. A *product* multiplies all rows with a matrix; a *pass*
goes over the units once and computes equations of one shape, each from the ones before it, so that
what lies between two of them never leaves the registers; a *single* is any other operation.

What a stage leaves to another lies in a *buffer*, which holds so many numbers a sample, its width,
as often as its space says:

    time    a row for each step and sample      in.x  prev.h  h  "f i o"       (time, batch, width)
    row     a row for each sample               row.3                                (batch, width)
    carry   two that take turns for each state  carry.h  out.h                       (batch, width)
    weight  once                                W.1  fixed.0                 the shape of the weight
    total   one sum over all steps and samples  bar.W.3                                     (width,)

Values lie side by side in a buffer where that makes one of several calls: the gates with the same
activation, or the adjoints that are joined for a product.

    row of "f i o"   | f  f  f | i  i  i | o  o  o |      a Place is (buffer, start, shape): i is
                     0         3         6         9      ("f i o", 3, (3,))

A state's rows are one longer than the sequence, since prev.h is h one row before. A buffer that
only the loop back writes may take over one that it does not read: `Plan.reuses`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property

from tinygrad_lstm.kernels import patterns
from tinygrad_lstm.program import Program
from tinygrad_lstm.tensor import Array, Tensor


class Kind(Enum):
    """How many numbers a buffer of some width holds: see the head of this file."""

    TIME = "time"
    ROW = "row"
    CARRY = "carry"
    WEIGHT = "weight"
    TOTAL = "total"


class Space(Enum):
    """What lies in a buffer: how its name begins, and how often there is one."""

    EQUATION = "", Kind.TIME
    INPUT = "in", Kind.TIME
    PREVIOUS = "prev", Kind.TIME
    SEED = "given", Kind.TIME  # the adjoint of an equation that comes from the loss
    INPUT_ADJOINT = "bar.in", Kind.TIME
    AHEAD = "ahead", Kind.TIME
    SAVED = "saved", Kind.TIME
    FACTOR = "grad", Kind.TIME  # of a product after the loop
    ROW = "row", Kind.ROW
    HOLD = "hold", Kind.ROW  # the adjoint of a state whose sequence has ended
    CARRY = "carry", Kind.CARRY  # the adjoint of a state that comes from the step after
    OUT = "out", Kind.CARRY  # and the one that goes to the step before
    WEIGHT = "W", Kind.WEIGHT
    FIXED = "fixed", Kind.WEIGHT  # numbers of the cell
    WEIGHT_ADJOINT = "bar.W", Kind.TOTAL

    @property
    def kind(self) -> Kind:
        """How often there is a buffer of this space."""
        return self.value[1]


GIVEN = (Space.INPUT, Space.PREVIOUS, Space.SEED)  # the caller's arrays lie there


@dataclass(frozen=True, eq=False)
class Buffer:
    """Memory for `width` numbers a sample, for what `label` says of its space."""

    space: Space
    label: str
    width: int

    @cached_property
    def kind(self) -> Kind:
        """How often there is one."""
        return self.space.kind

    @cached_property
    def name(self) -> str:
        """A name of its own. Only an equation's has no dot, as an author's names have none."""
        prefix = self.space.value[0]
        return f"{prefix}.{self.label}" if prefix else self.label


@dataclass(frozen=True)
class Place:
    """Where a value lies: from entry `start` on of each row of a buffer, in C order."""

    buffer: Buffer
    start: int
    shape: tuple[int, ...]

    @cached_property
    def size(self) -> int:
        """The number of entries."""
        return math.prod(map(int, self.shape))

    @property
    def whole(self) -> bool:
        """Whether it is all of a row."""
        return self.size == self.buffer.width

    def overlaps(self, other: Place) -> bool:
        """Whether two values share memory."""
        if self.buffer is not other.buffer:
            return False
        return self.start < other.start + other.size and other.start < self.start + self.size


Writes = list[tuple[Tensor, Place]]


class Layout:
    """The buffers of a plan, and where each value lies: its places, all of which are written."""

    def __init__(self) -> None:
        self.buffers: dict[str, Buffer] = {}
        self.stores: dict[Tensor, list[Place]] = {}

    def buffer(self, space: Space, label: str | None, width: int) -> Buffer:
        """A new buffer; one without a label is numbered."""
        found = Buffer(space, str(len(self.buffers)) if label is None else label, int(width))
        assert found.name not in self.buffers, found
        self.buffers[found.name] = found
        return found

    def of(self, *spaces: Space) -> dict[str, Buffer]:
        """The buffers of some spaces by their labels."""
        return {b.label: b for b in self.buffers.values() if b.space in spaces}

    def put(self, node: Tensor, buffer: Buffer, start: int = 0) -> None:
        """Let a value lie in a buffer, too."""
        self.stores.setdefault(node, []).append(Place(buffer, start, node.shape))

    def give(self, node: Tensor, space: Space, label: str | None = None) -> Buffer:
        """Let a value lie in a new buffer of its own."""
        self.put(node, made := self.buffer(space, label, node.size))
        return made

    def place(self, node: Tensor) -> Place | None:
        """Where a value lies; None if it lives in a pass alone."""
        if node in self.stores:
            return self.stores[node][0]
        if not patterns.is_view(node) or (whole := self.place(node.inputs[0])) is None:
            return None
        cut = node.op == "getitem" and patterns.span(node.attributes["index"], node.inputs[0].shape)
        return Place(whole.buffer, whole.start + (cut[0] if cut else 0), node.shape)

    def at(self, node: Tensor) -> Place:
        """Where a value lies that more than one stage reads."""
        place = self.place(node)
        assert place is not None, f"{node!r} has no place"
        return place


@dataclass
class Stage:
    """Values computed together: by a pass over `shape`, or by one operation alone where it is None.

    operands: what is read; those of a product are W or Wᵀ, v, and the hoisted rows it is added to.
    copies, totals: values that a pass stores, or adds up over all steps, at a further place.
    """

    made: list[Tensor]
    operands: list[Tensor]
    shape: tuple[int, ...] | None = None
    product: bool = False
    copies: Writes = field(default_factory=list)
    totals: Writes = field(default_factory=list)

    @property
    def read(self) -> list[Tensor]:
        """The values it is computed from, those of its own included."""
        return [*self.operands, *(node for node, _ in (*self.copies, *self.totals))]


@dataclass(frozen=True)
class Deferred:
    """A product over all steps after the loop: dW = Gᵀ · V, or dX = G · W; onto what is there?"""

    target: str
    left: Tensor
    right: Tensor
    onto: bool


@dataclass
class Plan:
    """How a cell's step is computed over a sequence, forward and backward: see `plan_step`.

    once, step: the Programs of the packed weights and of a step; seeds: equations whose adjoints
    are given at every step; wants: inputs at every step whose gradients are wanted. `print(plan)`
    shows it.
    """

    once: Program
    step: Program
    seeds: list[str]
    wants: list[str]
    layout: Layout
    ahead: list[Stage]
    forward: list[Stage]
    backward: list[Stage]
    weight_products: list[Deferred]
    input_products: list[Deferred]
    reuses: dict[Buffer, Buffer]  # a buffer -> the one whose memory it takes over
    again: list[Tensor]  # what the loop back computes once more

    @property
    def name(self) -> str:
        """The cell's name."""
        return self.step.name

    @cached_property
    def states(self) -> list[str]:
        """The cell's states."""
        return list(self.step.outputs)

    @property
    def buffers(self) -> dict[str, Buffer]:
        """The memory by name."""
        return self.layout.buffers

    def place(self, node: Tensor) -> Place | None:
        """Where a value lies; None if it lives in a pass alone."""
        return self.layout.place(node)

    @property
    def fixed(self) -> dict[str, Array]:
        """Weights that are no more than numbers."""
        own = self.layout.of(Space.FIXED).values()
        return {
            places[0].buffer.name: node.data
            for node, places in self.layout.stores.items()
            if places[0].buffer in own
        }

    def deferred(self) -> Iterator[Deferred]:
        """All products after the loop."""
        yield from self.weight_products
        yield from self.input_products

    @cached_property
    def backward_buffers(self) -> list[Buffer]:
        """Buffers with a row for each step that only the loop back writes."""
        return list(self.layout.of(Space.INPUT_ADJOINT, Space.FACTOR).values())

    @cached_property
    def kept_buffers(self) -> list[Buffer]:
        """Buffers with a row for each step that the forward run writes."""
        back = {*self.backward_buffers}
        return [
            b
            for b in self.buffers.values()
            if b.kind is Kind.TIME and b.space not in GIVEN and b not in back
        ]

    @cached_property
    def transient(self) -> dict[Buffer, None]:
        """Buffers with a row for each step that are read only soon after they were written."""

        def lie(nodes: Iterable[Tensor]) -> set[Buffer]:
            return {place.buffer for node in nodes if (place := self.place(node))}

        left_right = (n for d in self.weight_products for n in (d.left, d.right))
        later = lie(n for stage in self.backward for n in stage.read) | lie(left_right)
        ahead = lie(n for stage in self.ahead for n in stage.made) - later
        named = lie(self.step.equations.values())
        own = [b for b in self.buffers.values() if b.kind is Kind.TIME and b not in named]
        return dict.fromkeys(b for b in own if b.space is Space.FACTOR or b in ahead)

    @cached_property
    def products(self) -> dict[str, int]:
        """How many matrix products there are of each kind."""
        found = {"hoisted": self.ahead, "forward": self.forward, "backward": self.backward}
        counts = {k: sum(stage.product for stage in stages) for k, stages in found.items()}
        deferred = {"deferred": len(self.weight_products), "inputs": len(self.input_products)}
        return counts | deferred
