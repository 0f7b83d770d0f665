"""The plan of a compiled cell: what is computed when, and where it lies. No backend knows more.

once      weights packed, from parameters alone
ahead     hoisted: for all steps together, before the loop over time
forward   the loop over time: products, and between two products one pass over the units
backward  the loop back: the same for the adjoints; what was not saved is computed again
after     deferred: gradients of weights and inputs, for all steps together
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property

from tinygrad_lstm.kernels.rewriting import AHEAD, levels, rewrite, simplified, span
from tinygrad_lstm.program import Program
from tinygrad_lstm.tensor import TABLE, Array, Tensor, ancestors, apply


@dataclass(frozen=True)
class Buffer:
    """Memory for `width` numbers a sample. `kind` says how often:

    time (a row for each step and sample), row (for each sample), weight (once), total (one sum
    over all steps and samples), carry (for each sample, two that take turns).

    A name without a dot is that of an equation. All others have one, since an author's names have
    none: `in.x` and `prev.h` are given, `W.1` is a weight, `bar.W.1` its adjoint.
    """

    name: str
    width: int
    kind: str

    @property
    def given(self) -> bool:
        """Whether the caller's arrays lie here."""
        return self.name.startswith(("in.", "prev.", "given."))


@dataclass(frozen=True)
class Place:
    """Where a value lies: from entry `start` on of each row of a buffer."""

    buffer: Buffer
    start: int = 0


@dataclass
class Product:
    """A matrix product for all rows: result = W · operand, or Wᵀ · operand."""

    weight: Tensor
    transposed: bool
    operand: Tensor
    result: Tensor
    onto: bool  # added to what lies at the result's place


@dataclass
class Pass:
    """One pass over the units: equations of the same shape, each from the ones before."""

    shape: tuple[int, ...]
    nodes: list[Tensor] = field(default_factory=list)
    copies: list[tuple[Tensor, Place]] = field(default_factory=list)
    totals: list[tuple[Tensor, Place]] = field(default_factory=list)


@dataclass
class Single:
    """An operation that is neither: a reduction, a rearrangement, a product of two states."""

    node: Tensor


Stage = Product | Pass | Single


@dataclass(frozen=True)
class Deferred:
    """A product over all steps after the loop: dW = Gᵀ · V, or dX = G · W."""

    target: str
    left: Tensor
    right: Tensor

    @cached_property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the product."""
        return int(self.left.size), int(self.right.size)


class Plan:
    """How a cell's step is computed over a sequence, forward and backward.

    cell's step as a Program for one sample; once: inputs that are the same at every step; seeds:
    equations whose adjoints are given at every step; wants: inputs at every step whose gradients
    are wanted. `print(plan)` shows it.
    """

    def __init__(
        self, program: Program, once: Iterable[str], seeds: Iterable[str], wants: Iterable[str]
    ) -> None:
        self.name, self.states = program.name, list(program.outputs)
        rewritten = rewrite(program, once)
        self.once, self.step = rewritten.once, rewritten.step
        self.seeds, self.wants = sorted(seeds), sorted(wants)
        self.stores: dict[Tensor, list[Place]] = {}
        self.buffers: dict[str, Buffer] = {}
        self.shares: dict[str, str] = {}  # a buffer -> the one whose memory it takes over
        self.fixed: dict[str, Array] = {}  # weights that are no more than numbers
        self._level = levels(self.step, set(self.once.outputs))
        self._forward_nodes = [n for n in self.step.nodes() if n.inputs]
        self._known = set(self._forward_nodes)
        self._gradients = self._differentiate()
        self._turned = self._find_turned()
        self._place_inputs()
        self._saved: set[Tensor] = set()
        self._plan_outputs()
        self._plan_forward()
        self._plan_backward()

    # --- the gradient ---------------------------------------------------------------------------
    def _differentiate(self) -> dict[str, Tensor]:
        of = [*self.states, *(s for s in self.seeds if s not in self.states)]
        wrt = [n for n in self.step.inputs if n.startswith("prev.") or n in self.wants]
        gradient = self.step.gradient(wrt=[*wrt, *self.once.outputs], of=of)
        self.carry: dict[str, Tensor] = {}
        self.given: dict[str, Tensor] = {}
        replace: dict[Tensor, Tensor] = {}
        for name in of:
            seed = gradient.inputs[f"seed.{name}"]
            total = None
            if name in self.states:
                total = self.carry[name] = Tensor.input(f"carry.{name}", seed.shape)
            if name in self.seeds:
                given = self.given[name] = Tensor.input(f"given.{name}", seed.shape)
                total = given if total is None else apply("add", total, given)
            assert total is not None
            replace[seed] = total
        return simplified(gradient, self.step.nodes(), replace)

    def _find_turned(self) -> set[Tensor]:
        """Transposes of weights that are only multiplied by vectors: products read the weight."""
        nodes = {*self._forward_nodes, *ancestors(self._gradients.values())}
        read = {
            i for n in nodes for k, i in enumerate(n.inputs) if k or not _weight_product(n)
        } | set(self._gradients.values())
        return {n for n in nodes if _turned(n) and n not in read}

    # --- places ---------------------------------------------------------------------------------
    def buffer(self, name: str, width: int, kind: str) -> Buffer:
        """A new buffer."""
        assert name not in self.buffers, name
        self.buffers[name] = Buffer(name, int(width), kind)  # a plain number, which is fast
        return self.buffers[name]

    def place(self, node: Tensor) -> Place | None:
        """Where a value lies; None if it lives in a pass alone."""
        if node in self.stores:
            return self.stores[node][0]
        if is_view(node):
            whole = self.place(node.inputs[0])
            if whole is None:
                return None
            start = 0
            if node.op == "getitem":
                found = span(node.attributes["index"], node.inputs[0].shape)
                start = found[0] if found else 0
            return Place(whole.buffer, whole.start + start)
        return None

    def _put(self, node: Tensor, place: Place) -> None:
        self.stores.setdefault(node, []).append(place)

    def _place_inputs(self) -> None:
        for name, node in self.step.inputs.items():
            kind = "weight" if name in self.once.outputs else "time"
            space = "" if kind == "weight" or name.startswith("prev.") else "in."
            self._put(node, Place(self.buffer(space + name, node.size, kind)))
        for name, node in self.carry.items():
            self._put(node, Place(self.buffer(f"carry.{name}", node.size, "carry")))
        for name, node in self.given.items():
            self._put(node, Place(self.buffer(f"given.{name}", node.size, "time")))

    # --- what the backward pass leaves for afterwards -------------------------------------------
    def _plan_outputs(self) -> None:
        self.weight_products: list[Deferred] = []
        self.input_products: list[Deferred] = []
        self.totals: list[tuple[str, Tensor]] = []  # summed over steps and samples in the loop
        self.written: list[tuple[Tensor, Place]] = []  # stored at every step: carries, inputs
        for name, node in self._gradients.items():
            if name.startswith("prev."):
                state = name[5:]
                out = self.buffer(f"out.{state}", node.size, "carry")
                self.written.append((node, Place(out)))
                continue
            rest = []
            for term in terms(node):
                if name in self.once.outputs:
                    deferred = _outer_product(term) and all(map(self._by_step, term.inputs))
                else:
                    deferred = _weight_product(term) and self._by_step(term.inputs[1])
                if deferred and name in self.once.outputs:
                    self.weight_products.append(Deferred(name, *term.inputs))
                elif deferred:
                    W, g = term.inputs
                    self.input_products.append(Deferred(name, g, W.inputs[0]))
                else:
                    rest.append(term)
            for term in rest:
                if name in self.once.outputs:
                    self.totals.append((name, term))
            if name in self.wants:
                width = self.step.inputs[name].size
                own = self.buffer(f"bar.in.{name}", width, "time")
                if rest:
                    total = rest[0]
                    for term in rest[1:]:
                        total = apply("add", total, term)
                    self.written.append((total, Place(own)))
        written = {place.buffer.name for _, place in self.written}
        self.unwritten = {name for name in self.wants if f"bar.in.{name}" not in written}

    def _by_step(self, node: Tensor) -> bool:
        """Whether a value has a row for each step, or can be given one."""
        while is_view(node):
            node = node.inputs[0]
        return bool(node.inputs) or self.stores[node][0].buffer.kind == "time"

    @property
    def _backward_roots(self) -> list[Tensor]:
        deferred = [*self.weight_products, *self.input_products]
        return [
            *(node for node, _ in self.written),
            *(node for _, node in self.totals),
            *(d.left for d in deferred),
            *(d.right for d in self.weight_products),
        ]

    def _find_backward(self) -> list[Tensor]:
        """The nodes of the loop back: adjoints, and what is computed again for them."""
        needed: set[Tensor] = set()
        stack = list(self._backward_roots)
        while stack:
            node = stack.pop()
            if node in needed or not node.inputs or node in self._turned:
                continue
            if node in self._known and self._kept(node):
                continue
            needed.add(node)
            stack += node.inputs
        return sorted(needed, key=lambda n: n.order)

    def _kept(self, node: Tensor) -> bool:
        """Whether a forward value is read and not computed again; if need be it is saved."""
        if node in self._equations or node in self._saved:
            return True
        if is_view(node) or (elementwise(node) and node not in self._onto):
            return False
        if node.op == "concat":
            return False
        self._saved.add(node)
        return True

    # --- forward --------------------------------------------------------------------------------
    def _plan_forward(self) -> None:
        step = self.step
        self._equations = set(step.equations.values())
        self._onto = self._find_onto()
        for deferred in self.weight_products:
            right = deferred.right
            while is_view(right):
                right = right.inputs[0]
            if right in self._known and right not in self._equations:
                self._saved.add(right)
        backward = self._find_backward()
        hoisted = [n for n in self._forward_nodes if _weight_product(n) and self._level[n] == AHEAD]
        early = [n for n in ancestors(hoisted) if n.inputs and not is_view(n)]
        self._early = dict.fromkeys(early)  # in order: a plan is the same in every process
        for node in early:
            self._put(node, Place(self.buffer(f"ahead.{len(self.buffers)}", node.size, "time")))
        late = [n for n in self._forward_nodes if n not in self._early]
        self._place_neighbours()
        for name, node in step.equations.items():
            if node not in self.stores:
                self._put(node, Place(self.buffer(name, node.size, "time")))
        for node in late:
            if node in self._onto:
                place = self.place(self._onto[node][1])
                assert place is not None
                self._put(node, place)
            elif node in self._saved and node not in self.stores:
                self._put(node, Place(self.buffer(f"saved.{len(self.buffers)}", node.size, "time")))
        self._backward_nodes = backward
        ready = []  # states that are known ahead
        for name in self.states:
            if step.equations[name] in self._early:
                own = self.buffer(name, step.equations[name].size, "time")
                ready.append((step.equations[name], Place(own)))
        self.ahead = self._schedule(early)
        self.forward = self._schedule(late, ready)

    def _find_onto(self) -> dict[Tensor, tuple[Tensor, Tensor]]:
        """Sums of a product in the loop and hoisted rows that nothing else reads."""
        users: dict[Tensor, int] = {}
        for node in self._forward_nodes:
            for i in node.inputs:
                users[i] = users.get(i, 0) + 1
        found = {}
        for node in self._forward_nodes:
            if node.op != "add" or node in self._equations:
                continue
            product, rows = node.inputs
            whole = rows.inputs[0] if is_view(rows) else rows
            if (
                _weight_product(product)
                and _weight_product(whole)
                and self._level[whole] == AHEAD < self._level[product]
                and users[product] == 1
                and users[rows] == 1
                and not {product, rows, whole} & self._equations
            ):
                found[node] = (product, rows)
        return found

    def _place_neighbours(self) -> None:
        """Equations with the same activation of neighbouring rows lie side by side."""
        groups: dict[tuple[str, Tensor], list[tuple[int, Tensor]]] = {}
        for name, node in self.step.equations.items():
            if name in self.states:
                continue  # they lie with the state before the first step
            source = node.inputs[0] if len(node.inputs) == 1 and elementwise(node) else None
            if source is not None and (rows := _rows(source)):
                groups.setdefault((node.op or "", rows[0]), []).append((rows[1], node))
        for group in groups.values():
            group.sort(key=lambda item: item[0])
            width = sum(node.size for _, node in group)
            start = group[0][0]
            if len(group) < 2 or group[-1][0] + group[-1][1].size - start != width:
                continue
            whole = self.buffer(" ".join(n.name or "" for _, n in group), width, "time")
            for at, node in group:
                self._put(node, Place(whole, at - start))

    # --- backward -------------------------------------------------------------------------------
    def _plan_backward(self) -> None:
        nodes = self._backward_nodes
        self._later = {n for n in self.buffers if n.startswith("bar.")}
        kept = set(self.stores)
        for deferred in [*self.weight_products, *self.input_products]:
            for node in (deferred.left, deferred.right):
                while is_view(node):
                    node = node.inputs[0]
                if node.inputs and node not in self.stores:
                    name = f"grad.{len(self.buffers)}"
                    buffer = self.buffer(name, node.size, "time")
                    self._later.add(buffer.name)
                    self._put(node, Place(buffer))
                    self._take_over(buffer)
        self._place_parts([n for n in nodes if n not in kept])
        self.backward = self._schedule(nodes, self.written, self.totals)

    def _take_over(self, buffer: Buffer) -> None:
        """Let adjoints lie where hoisted rows lay that nobody reads any more."""
        named = {self.stores[n][0].buffer.name for n in self._early if n in self._equations}
        read = named | {
            place.buffer.name
            for node in self._backward_nodes
            for i in node.inputs
            if i in self._known and (place := self.place(i))
        }
        for node in self._early:
            old = self.stores[node][0].buffer
            free = old.name not in read and old.name not in self.shares.values()
            if free and old.width == buffer.width and node not in self._saved:
                if any(n in self._onto and self.stores[n][0].buffer is old for n in self._saved):
                    continue
                self.shares[buffer.name] = old.name
                return

    def _place_parts(self, nodes: list[Tensor]) -> None:
        """Parts of a concatenation are written where they will be read."""
        inside = set(nodes)
        for node in reversed(nodes):
            if not end_to_end(node):
                continue
            if node not in self.stores:
                self._put(node, Place(self.buffer(f"row.{len(self.buffers)}", node.size, "row")))
            at = self.stores[node][0].start
            for part in node.inputs:
                if part.inputs and part not in self.stores and part in inside and not is_view(part):
                    self._put(part, Place(self.stores[node][0].buffer, at))
                at += part.size

    # --- the order ------------------------------------------------------------------------------
    def _schedule(
        self,
        nodes: list[Tensor],
        written: Iterable[tuple[Tensor, Place]] = (),
        totals: Iterable[tuple[str, Tensor]] = (),
    ) -> list[Stage]:
        """Stages in order: each equation in the first pass in which all it reads is there."""
        stages: list[Stage] = []
        at: dict[Tensor, int] = {}

        def after(node: Tensor, shape: tuple[int, ...] | None) -> int:
            first = 0
            for i in self._operands(node):
                base = i
                while base not in at and is_view(base):
                    base = base.inputs[0]
                if base in at:
                    found = stages[at[base]]
                    fused = base is i and isinstance(found, Pass) and found.shape == shape
                    first = max(first, at[base] + (not fused))
            return first

        def a_pass(shape: tuple[int, ...], first: int) -> int:
            for k in range(first, len(stages)):
                found = stages[k]
                if isinstance(found, Pass) and found.shape == shape:
                    return k
            stages.append(Pass(shape))
            return len(stages) - 1

        hidden = {product for product, _ in self._onto.values()}
        for node in nodes:
            if node in hidden or is_view(node) or node in self._turned:
                continue
            if elementwise(node) and node not in self._onto:
                at[node] = k = a_pass(node.shape, after(node, node.shape))
                stages[k].nodes.append(node)  # type: ignore[union-attr]
            else:
                product = _weight_product(node) or node in self._onto
                stages.append(self._product(node) if product else Single(node))
                at[node] = len(stages) - 1
        for node, place in written:
            base = node
            while is_view(base):
                base = base.inputs[0]
            if base is node and node in at and node not in self.stores:
                self._put(node, place)
            else:
                same = node in at and isinstance(stages[at[node]], Pass)
                k = at[node] if same else a_pass(node.shape, at.get(base, -1) + 1)
                stages[k].copies.append((node, place))  # type: ignore[union-attr]
        for name, node in totals:
            for part, place in self._parts(node, Place(self._total(name))):
                same = part in at and isinstance(stages[at[part]], Pass)
                base = part
                while is_view(base):
                    base = base.inputs[0]
                k = at[part] if same else a_pass(part.shape, at.get(base, -1) + 1)
                stages[k].totals.append((part, place))  # type: ignore[union-attr]
        self._place_rest(nodes, stages, at)
        return stages

    def _operands(self, node: Tensor) -> tuple[Tensor, ...]:
        if node in self._onto:
            product, rows = self._onto[node]
            return (*product.inputs, rows)
        return node.inputs

    def _product(self, node: Tensor) -> Product:
        W, v = (self._onto[node][0] if node in self._onto else node).inputs
        turned = _turned(W)
        return Product(W.inputs[0] if turned else W, turned, v, node, node in self._onto)

    def _total(self, name: str) -> Buffer:
        name = f"bar.{name}"
        if name not in self.buffers:
            width = self.step.inputs[name[4:]].size
            self.buffer(name, width, "total")
        return self.buffers[name]

    def _parts(self, node: Tensor, place: Place) -> Iterator[tuple[Tensor, Place]]:
        """The parts of a concatenation of concatenations, with their places in it."""
        if not end_to_end(node):
            yield node, place
            return
        start = place.start
        for part in node.inputs:
            if part.inputs or part.name:
                yield from self._parts(part, Place(place.buffer, start))
            start += part.size

    def _place_rest(self, nodes: list[Tensor], stages: list[Stage], at: dict[Tensor, int]) -> None:
        """Memory for what one stage leaves to another, and for numbers that are no scalars."""
        read: set[Tensor] = set()
        for k, stage in enumerate(stages):
            if isinstance(stage, Pass):
                used = [i for n in stage.nodes for i in n.inputs]
                used += [n for n, _ in (*stage.copies, *stage.totals)]
            else:
                node = stage.result if isinstance(stage, Product) else stage.node
                used = list(self._operands(node))
                read.add(node)
            for i in used:
                scalar = i.size == 1 and isinstance(stage, Pass)
                if not (i.inputs or i.traced or i in self.stores or scalar):
                    own = self.buffer(f"fixed.{len(self.fixed)}", i.size, "weight")
                    self.fixed[own.name] = i.data
                    self._put(i, Place(own))
                base = i
                while base not in at and is_view(base):
                    base = base.inputs[0]
                if base in at and (at[base] != k or base is not i):
                    read.add(base)
        for node in nodes:
            if node in read and node not in self.stores:
                self._put(node, Place(self.buffer(f"row.{len(self.buffers)}", node.size, "row")))

    # --- what it says of itself -----------------------------------------------------------------
    def __str__(self) -> str:
        from tinygrad_lstm.kernels import describing

        return describing.text(self)

    @cached_property
    def backward_buffers(self) -> list[str]:
        """Buffers with a row for each step that only the loop back writes."""
        return [n for n, b in self.buffers.items() if b.kind == "time" and n in self._later]

    @cached_property
    def products(self) -> dict[str, int]:
        """How many matrix products there are of each kind."""
        return {
            "hoisted": sum(isinstance(s, Product) for s in self.ahead),
            "forward": sum(isinstance(s, Product) for s in self.forward),
            "backward": sum(isinstance(s, Product) for s in self.backward),
            "deferred": len(self.weight_products),
            "inputs": len(self.input_products),
        }


def elementwise(node: Tensor) -> bool:
    """Whether each entry of the result needs one entry of each operand alone."""
    return node.op is not None and (TABLE[node.op].signature == "elementwise" or node.op == "clip")


def is_view(node: Tensor) -> bool:
    """Whether a value lies within its operand's memory."""
    if node.name is not None and not node.name.startswith("bar."):
        return False
    if node.op == "getitem":
        return span(node.attributes["index"], node.inputs[0].shape) is not None
    return node.op == "reshape"


def end_to_end(node: Tensor) -> bool:
    """Whether a node is a concatenation whose parts lie one behind the other in memory."""
    return node.op == "concat" and math.prod(node.shape[: node.attributes["axis"] % node.ndim]) == 1


def terms(node: Tensor) -> list[Tensor]:
    """The terms of a sum."""
    if node.op == "add" and all(i.shape == node.shape for i in node.inputs):
        return [term for i in node.inputs for term in terms(i)]
    return [node]


def _turned(node: Tensor) -> bool:
    """Whether a node is the transpose of a weight."""
    if node.op != "swapaxes" or node.ndim != 2:
        return False
    W = node.inputs[0]
    return not W.inputs and (W.name or "").startswith("W.")


def _weight_product(node: Tensor) -> bool:
    """Whether a node is the product of a weight, or of its transpose, and a vector."""
    if node.op != "matvec" or [i.ndim for i in node.inputs] != [2, 1]:
        return False
    W = node.inputs[0]
    W = W.inputs[0] if _turned(W) else W
    return not W.inputs and (W.name or "").startswith("W.")


def _outer_product(node: Tensor) -> bool:
    """Whether a node is all products of an entry of one value and an entry of another."""
    if node.op != "outer":
        return False
    left, right = node.inputs
    return right.size == right.shape[-1] and left.size * right.size == node.size


def _rows(node: Tensor) -> tuple[Tensor, int] | None:
    """The packed product that a value is made of, and the first row, if it is made of one."""
    stack, found = [node], None
    while stack:
        n = stack.pop()
        if n.op == "getitem" and (rows := span(n.attributes["index"], n.inputs[0].shape)):
            if n.inputs[0].inputs:
                found = (n.inputs[0], rows[0])
                break
        elif n.op == "add":
            stack += reversed(n.inputs)
    return found
