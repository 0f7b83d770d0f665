"""From a step's Program to its plan: differentiate, defer, hoist, give places, put in order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import reduce

from tinygrad_lstm.kernels import patterns
from tinygrad_lstm.kernels.builder import simplified
from tinygrad_lstm.kernels.explain import ExplainedPlan
from tinygrad_lstm.kernels.ordering import Graph, schedule
from tinygrad_lstm.kernels.plan import Buffer, Deferred, Kind, Layout, Place, Space, Writes
from tinygrad_lstm.kernels.rewriting import AHEAD, Rewritten, levels, rewrite
from tinygrad_lstm.program import Program
from tinygrad_lstm.tensor import Tensor, ancestors, apply


def plan_step(
    program: Program, once: Iterable[str], seeds: Iterable[str], wants: Iterable[str]
) -> ExplainedPlan:
    """The plan of a cell's step, a Program for one sample.

    once: inputs that are the same at every step; seeds: equations whose adjoints are given at every
    step; wants: inputs at every step whose gradients are wanted.
    """
    rewritten, seeds, wants = rewrite(program, once), sorted(seeds), sorted(wants)
    step, layout = rewritten.step, place_inputs(rewritten)
    gradients = differentiate(rewritten, seeds, wants, layout)
    forward, level = [n for n in step.nodes() if n.inputs], levels(step, {*rewritten.once.outputs})
    transposes = find_transposes({*forward, *ancestors(gradients.values())}, gradients.values())
    graph = Graph(step, forward, level, find_onto(step, forward, level), transposes)
    work = defer(rewritten, gradients, layout)
    backward, saved = find_backward(graph, work)
    early = hoist(graph)
    place_forward(graph, early, saved, layout)
    ahead = schedule(early, graph, layout)
    late = schedule([n for n in forward if n not in early], graph, layout)
    kept = set(layout.stores)
    reuses = place_factors(work, layout, free_ahead(graph, early, saved, backward, layout))
    place_parts([n for n in backward if n not in kept], layout)
    back = schedule(backward, graph, layout, work.written, work.totals)
    again = [n for n in backward if n in {*forward}]
    inner = {i for n in again for i in n.inputs}
    stages, products = (ahead, late, back), (work.weight_products, work.input_products)
    return ExplainedPlan(
        rewritten.once,
        step,
        seeds,
        wants,
        layout,
        *stages,
        *products,
        reuses,
        [n for n in again if n not in inner],
    )


# --- the gradient ---------------------------------------------------------------------------------
def differentiate(
    rewritten: Rewritten, seeds: list[str], wants: list[str], layout: Layout
) -> dict[str, Tensor]:
    """Gradients of the states before, of the weights and of the inputs wanted.

    An adjoint of a state is what the step after carries here, that of a seed what the loss gives.
    """
    step, states = rewritten.step, rewritten.step.outputs
    of = [*states, *(s for s in seeds if s not in states)]
    wrt = [n for n in step.inputs if patterns.state_of(n) or n in wants]
    gradient = step.gradient(wrt=[*wrt, *rewritten.once.outputs], of=of)
    replace: dict[Tensor, Tensor] = {}
    for space, names in ((Space.CARRY, states), (Space.SEED, seeds)):
        for name in names:
            seed = gradient.inputs[f"seed.{name}"]
            own = Tensor.input(layout.buffer(space, name, seed.size).name, seed.shape)
            layout.put(own, layout.of(space)[name])
            replace[seed] = apply("add", replace[seed], own) if seed in replace else own
    return simplified(gradient, step.nodes(), replace)


def find_transposes(nodes: set[Tensor], gradients: Iterable[Tensor]) -> set[Tensor]:
    """Transposes of weights that are only multiplied by vectors: products read the weight."""
    read = {i for n in nodes for k, i in enumerate(n.inputs) if k or not patterns.weight_product(n)}
    read |= set(gradients)
    return {n for n in nodes if patterns.transposed_weight(n) is not None and n not in read}


# --- what the backward pass leaves for afterwards -------------------------------------------------
@dataclass(frozen=True)
class Work:
    """What is made of the adjoints: products after the loop, totals in it, rows at every step."""

    weight_products: list[Deferred]
    input_products: list[Deferred]
    totals: Writes  # summed over steps and samples in the loop
    written: Writes  # stored at every step: carries, inputs

    @property
    def roots(self) -> list[Tensor]:
        """The values that the loop back is for."""
        deferred = [*self.weight_products, *self.input_products]
        stored = [node for node, _ in (*self.written, *self.totals)]
        right = [d.right for d in self.weight_products]
        return [*stored, *(d.left for d in deferred), *right]


def defer(rewritten: Rewritten, gradients: Mapping[str, Tensor], layout: Layout) -> Work:
    """Take gradients apart into their terms, and find those that can wait until after the loop."""
    work = Work([], [], [], [])

    def by_step(node: Tensor) -> bool:
        """Whether a value has a row for each step, or can be given one."""
        node = patterns.viewed(node)
        return bool(node.inputs) or layout.at(node).buffer.kind is Kind.TIME

    for name, node in gradients.items():
        if state := patterns.state_of(name):
            out = layout.buffer(Space.OUT, state, node.size)
            work.written.append((node, Place(out, 0, node.shape)))
            continue
        weight, found, rest = name in rewritten.once.outputs, list[tuple[Tensor, Tensor]](), []
        for term in patterns.terms(node):
            if weight and patterns.outer_product(term) and all(map(by_step, term.inputs)):
                found.append((term.inputs[0], term.inputs[1]))
            elif not weight and patterns.weight_product(term) and by_step(term.inputs[1]):
                found.append((term.inputs[1], term.inputs[0].inputs[0]))
            else:
                rest.append(term)
        onto = bool(rest) and not weight
        products = work.weight_products if weight else work.input_products
        products += [Deferred(name, *pair, onto or k > 0) for k, pair in enumerate(found)]
        if weight and rest:
            label, width = name.removeprefix(patterns.WEIGHT), rewritten.step.inputs[name].size
            total = layout.buffer(Space.WEIGHT_ADJOINT, label, width)
            work.totals.extend((term, Place(total, 0, term.shape)) for term in rest)
        elif not weight:
            own = layout.buffer(Space.INPUT_ADJOINT, name, rewritten.step.inputs[name].size)
            if rest:
                both = reduce(lambda a, b: apply("add", a, b), rest)
                work.written.append((both, Place(own, 0, both.shape)))
    return work


def find_backward(graph: Graph, work: Work) -> tuple[list[Tensor], set[Tensor]]:
    """The nodes of the loop back, and the values that the loop forward saves for it."""
    known, equations = set(graph.forward), graph.equations
    saved = {patterns.viewed(d.right) for d in work.weight_products} & known - equations

    def kept(node: Tensor) -> bool:
        """Whether a forward value is read and not computed again; if need be it is saved."""
        if node in equations or node in saved:
            return True
        if (
            patterns.is_view(node)
            or node.op == "concat"
            or (patterns.elementwise(node) and node not in graph.onto)
        ):
            return False
        saved.add(node)
        return True

    needed: set[Tensor] = set()
    stack = work.roots
    while stack:
        node = stack.pop()
        if node in needed or not node.inputs or node in graph.transposes:
            continue
        if node not in known or not kept(node):
            needed.add(node)
            stack += node.inputs
    return [n for n in ancestors(needed) if n in needed], saved


# --- what the forward pass does ahead, and where --------------------------------------------------
def hoist(graph: Graph) -> dict[Tensor, None]:
    """What is computed for all steps together: products that read no state, and their operands.

    They are in order, so that a plan is the same in every process.
    """
    hoisted = [n for n in graph.forward if patterns.weight_product(n) and graph.level[n] == AHEAD]
    return dict.fromkeys(n for n in ancestors(hoisted) if n.inputs and not patterns.is_view(n))


def find_onto(
    step: Program, forward: list[Tensor], level: Mapping[Tensor, int]
) -> dict[Tensor, tuple[Tensor, Tensor]]:
    """Sums of a product in the loop and hoisted rows that nothing else reads."""
    equations = set(step.equations.values())
    users = Counter(i for node in forward for i in node.inputs)
    found = {}
    for node in forward:
        if node.op != "add" or node in equations:
            continue
        product, rows = node.inputs
        whole = rows.inputs[0] if patterns.is_view(rows) else rows
        if (
            patterns.weight_product(product)
            and patterns.weight_product(whole)
            and level[whole] == AHEAD < level[product]
            and users[product] == users[rows] == 1
            and not {product, rows, whole} & equations
        ):
            found[node] = (product, rows)
    return found


def place_inputs(rewritten: Rewritten) -> Layout:
    """Places of what is given to a step."""
    layout = Layout()
    for name, node in rewritten.step.inputs.items():
        if state := patterns.state_of(name):
            layout.give(node, Space.PREVIOUS, state)
        elif name in rewritten.once.outputs:
            layout.give(node, Space.WEIGHT, name.removeprefix(patterns.WEIGHT))
        else:
            layout.give(node, Space.INPUT, name)
    return layout


def place_forward(
    graph: Graph, early: Mapping[Tensor, None], saved: set[Tensor], layout: Layout
) -> None:
    """Places of what is computed ahead, of named values, and of what is saved."""
    states = set(graph.step.outputs.values())
    for node in early:
        state = node in states
        layout.give(node, *((Space.EQUATION, node.name) if state else (Space.AHEAD,)))
    place_equations(graph.step, layout)
    for node in graph.forward:
        if node in graph.onto:
            rows = layout.at(graph.onto[node][1])
            layout.put(node, rows.buffer, rows.start)
        elif node in saved and node not in layout.stores:
            layout.give(node, Space.SAVED)


def place_equations(step: Program, layout: Layout) -> None:
    """Places of named values: those with the same activation of neighbouring rows side by side."""
    groups: dict[tuple[str, Tensor], list[tuple[int, Tensor]]] = {}
    for name, node in step.equations.items():
        single = len(node.inputs) == 1 and patterns.elementwise(node)
        rows = patterns.rows_of_product(node.inputs[0]) if single else None
        if rows and name not in step.outputs:  # states lie with the one before the first step
            groups.setdefault((node.op or "", rows[0]), []).append((rows[1], node))
    for group in groups.values():
        group.sort(key=lambda item: item[0])
        width = sum(node.size for _, node in group)
        start = group[0][0]
        if len(group) < 2 or group[-1][0] + group[-1][1].size - start != width:
            continue
        label = " ".join(n.name or "" for _, n in group)
        whole = layout.buffer(Space.EQUATION, label, width)
        for at, node in group:
            layout.put(node, whole, at - start)
    for name, node in step.equations.items():
        if node not in layout.stores:
            layout.give(node, Space.EQUATION, name)


# --- backward -------------------------------------------------------------------------------------
def place_factors(work: Work, layout: Layout, free: list[Buffer]) -> dict[Buffer, Buffer]:
    """Places for the factors of products after the loop, where a free buffer lies if one fits."""
    reuses: dict[Buffer, Buffer] = {}
    for deferred in [*work.weight_products, *work.input_products]:
        for node in (patterns.viewed(deferred.left), patterns.viewed(deferred.right)):
            if not node.inputs or node in layout.stores:
                continue
            buffer = layout.give(node, Space.FACTOR)
            fitting = [b for b in free if b.width == buffer.width and b not in reuses.values()]
            if fitting:
                reuses[buffer] = fitting[0]
    return reuses


def free_ahead(
    graph: Graph,
    early: Mapping[Tensor, None],
    saved: set[Tensor],
    backward: list[Tensor],
    layout: Layout,
) -> list[Buffer]:
    """Buffers of hoisted rows that nobody reads any more in the loop back."""
    read = {i for n in backward for i in n.inputs} & {*graph.forward}
    read |= {n for n in early if n in graph.equations or n in saved}
    read |= {n for n in saved if n in graph.onto}
    taken = {place.buffer for n in read if (place := layout.place(n))}
    return [b for n in early if (b := layout.stores[n][0].buffer) not in taken]


def place_parts(nodes: list[Tensor], layout: Layout) -> None:
    """Parts of a concatenation are written where they will be read."""
    inside = set(nodes)
    for node in reversed(nodes):
        if not patterns.end_to_end(node):
            continue
        if node not in layout.stores:
            layout.give(node, Space.ROW)
        whole = layout.stores[node][0]
        at = whole.start
        for part in node.inputs:
            if (
                part.inputs
                and part not in layout.stores
                and part in inside
                and not patterns.is_view(part)
            ):
                layout.put(part, whole.buffer, at)
            at += part.size
