"""A plan in words: what is computed when, in the author's names, and how much memory it takes."""

from __future__ import annotations

from tinygrad_lstm.kernels.labels import CARRIED, term_of
from tinygrad_lstm.kernels.loop import Loops, Multiply, Outer, Pack, Statement, Sweep, lower
from tinygrad_lstm.kernels.plan import Buffer, Plan

SECTIONS = {
    "once": "weights packed",
    "ahead": "for all steps together",
    "forward": "at each step",
    "backward": "at each step, from the last to the first",
    "after": "for all steps together",
}


class ExplainedPlan(Plan):
    """A plan that prints itself."""

    def __str__(self) -> str:
        return explain(self)


def explain(plan: Plan) -> str:
    """The whole plan as text."""
    loops = lower(plan)
    counts = ", ".join(f"{n} {kind}" for kind, n in plan.products.items() if n)
    lines = [f"{plan.name}: products {counts}"]
    for name, statements in loops.sections().items():
        lines += ["", f"{name}: {SECTIONS[name]}"]
        if name == "backward":
            own = zip(CARRIED, (plan.states[0], plan.seeds[0]), strict=True)
            comes = (f"{term_of(f'{space}.{n}')} comes {CARRIED[space]}" for space, n in own)
            lines.append(f"  ({', '.join(comes)})")
        lines += [line for statement in statements for line in _lines(statement)] or ["  nothing"]
    return "\n".join([*lines, "", *_memory_lines(loops)])


def shape_text(statement: Statement) -> str:
    """The shape of a product's matrix, of a pack's, or of the units of a pass."""
    if isinstance(statement, Multiply):
        shape = statement.weight.shape
    elif isinstance(statement, Outer):
        shape = (statement.left.size, statement.right.size)
    else:
        shape = statement.shape if isinstance(statement, Pack | Sweep) else ()
    return " × ".join(map(str, shape))


def _lines(statement: Statement) -> list[str]:
    shape = shape_text(statement)
    if isinstance(statement, Sweep):
        head = f"  a pass over {shape or 1} unit{'s' * (shape not in ('', '1'))}"
        return [head, *(f"    {line}" for line in statement.lines)]
    return [f"  {line}" + f"   ({shape})" * bool(shape) for line in statement.lines]


# --- memory ---------------------------------------------------------------------------------------
def memory(loops: Loops) -> dict[str, dict[str, int]]:
    """Numbers kept for each step and sample, by name: in the forward run, and further ones back."""
    plan = loops.plan
    back = [b for b in plan.backward_buffers if b not in plan.reuses]
    return {
        part: {_contents(loops, b): b.width for b in buffers}
        for part, buffers in (("forward", plan.kept_buffers), ("backward", back))
    }


def _contents(loops: Loops, buffer: Buffer) -> str:
    """What lies in a buffer, in the names of the lines."""
    names = []
    for node, places in loops.plan.layout.stores.items():
        if node in loops.labels.terms and node not in loops.labels.onto:
            own = str(loops.labels.terms[node])
            for place in places:
                if place.buffer is buffer:
                    if place.whole:
                        return own
                    names.append(own)
    return " ".join(names) or str(term_of(buffer.name.replace("bar.in.", "bar.")))


def _memory_lines(loops: Loops) -> list[str]:
    found = memory(loops)
    total = sum(sum(part.values()) for part in found.values())
    lines = ["memory for each step and sample"]
    for part, widths in found.items():
        own = ", ".join(f"{name} {width}" for name, width in widths.items())
        lines.append(f"  {part}: {own or 'nothing'}")
    lines.append(f"  {total} numbers: {4 * total} bytes in float32, {8 * total} in float64")
    for new, old in loops.plan.reuses.items():
        lines.append(f"  {_contents(loops, new)} lies where {_contents(loops, old)} lay")
    if loops.plan.again:
        again = [str(loops.labels.term(node, opened=True)) for node in loops.plan.again]
        lines.append(f"  computed again going back: {', '.join(again)}")
    return lines
