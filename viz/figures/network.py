"""Networks over time: with their loops, unrolled, and a module between its neighbours."""

from __future__ import annotations

from collections.abc import Iterator

from equations import name_unicode
from equations.wording import Said, joined
from tinygrad_lstm.grids import Grid
from tinygrad_lstm.networks import Bidirectional, Stack, System
from tinygrad_lstm.step import Cell
from viz import sentences
from viz.anatomy import anatomy
from viz.columns import (
    PITCH,
    STEP,
    Column,
    dashed,
    draw_lines,
    line,
    names_of,
    pass_states,
    reach,
    within,
)
from viz.figure import Figure, FigureError
from viz.glyphs import glyphs
from viz.grid_over_places import grid_over_places
from viz.kinds import check_drawable, figure
from viz.layout import lay_out
from viz.layout.shapes import BETWEEN, LABEL, Names
from viz.scene import Scene, label, prefixed
from viz.symbols import named
from viz.system_over_time import system_over_time

SMALL = 12.0  # names of states that stand close together
MOST = 50  # steps


@figure(steps="time steps")
def unrolled(network: Cell | System, steps: int = 4) -> Figure:
    """A cell or network over time: one copy of its modules A a step, each handing its state on.

    Of a stack the layers stand above one another; of a bidirectional network the direction that
    reads backward stands above the other, and their outputs are joined. A system has a row of boxes
    for each part; a memory is drawn once, with lines as wide as the weights of its places. A
    grid has a block at each place, `steps` of them along each axis of its input.

    Raises FigureError for anything else, and unless there are 1 to 50 steps.
    """
    check_drawable(network, "unrolled", networks=True)
    if steps not in range(1, MOST + 1):
        raise FigureError(f"an unrolled figure shows 1 to {MOST} steps, not {steps}.")
    if type(network) is System:
        scene, said = system_over_time(network, steps)
        title = f"The network {network.name} unrolled over {steps} steps"
        return Figure(f"{network.name}-unrolled-{steps}", title, said, scene)
    if isinstance(network, Grid):
        scene, said = grid_over_places(network, steps)
        return Figure(f"{network.name}-unrolled-{steps}", f"The {network}", said, scene)
    columns = [Column(str(k + 1), f"m{k + 1}") for k in range(steps)]
    alone = len(network.state) == 1 and isinstance(network, Cell)
    size = LABEL if alone else SMALL
    ends = [named(name, str(time)) for name in network.state for time in (0, steps, steps + 1)]
    high = [glyphs(what.latex, size).height for what in ends if not alone]
    each = max([PITCH, *(height + 2.5 for height in high)])
    width = columns[0].room(network)
    for k, column in enumerate(columns):
        column.each = each
        column.put(network, k * (width + STEP))
    scene = Scene([shape for column in columns for shape in column.shapes])
    pass_states(columns, scene, (-width / 2, (steps - 1) * (width + STEP) + width / 2), size)
    draw_lines(columns, scene)
    several = f"{steps} step{'s' if steps > 1 else ''}"
    over = f"unrolled over {{steps}} step{'s' if steps > 1 else ''}"
    if isinstance(network, Cell):
        title = f"The network of {network.name} unrolled over {several}"
        alt: str = Said(
            f"The network of the cell {{cell}} {over}: "
            "copies of one module A in a row. The copy of step t reads x_t from below, gives "
            "{output} above, and hands {states} on to the copy on its right.",
            cell=network.name,
            steps=str(steps),
            output=name_unicode(network.output),
            states=sentences.listed(name_unicode(s, None) for s in network.state),
        )
    else:
        title = f"The network {network.name} unrolled over {several}"
        told = Said(f"The network {{network}} {over}.", network=network.name, steps=str(steps))
        alt = joined([told, *_describe(network)])
    return Figure(f"{network.name}-unrolled-{steps}", title, alt, scene)


@figure()
def rolled(network: Cell | System) -> Figure:
    """A cell or network as a loop: what a module A hands on comes back to it at the next step."""
    check_drawable(network, "rolled", networks=True)
    column = Column("t", "m", each=24.0, loops=True)
    column.put(network)
    scene = Scene(column.shapes)
    draw_lines([column], scene)
    for box in column.boxes:
        right = box.x + box.width / 2
        for k, state in enumerate(box.cell.state):
            own = within(box.name, state)
            far, out = right + reach(k + 1), 13.0 + 12.0 * k
            points = ((right, -out), (far, -out), (far, out), (right, out))
            moved = [(x, box.y + y) for x, y in points]
            key, classes = dashed("loop", own), prefixed([own], "loop")
            scene.wires.append(
                line(key, moved, box.key, box.key, own, own, True, 1.8, 11.0, classes)
            )
        names, x = names_of(box.cell, box.name), right + reach(len(box.cell.state)) + 10
        scene.shapes.append(
            label(dashed("loop-names", box.name), names, x, box.y, LABEL, 1, classes=("label",))
        )
    if isinstance(network, Cell):
        title = f"The network of {network.name} with its loop"
        alt: str = Said(
            "The network of the cell {cell} as a loop. The module A reads {inputs} from below and "
            "gives {output} above; its state {states} comes back to it at the next step.",
            cell=network.name,
            inputs=sentences.inputs(anatomy(network)),
            output=name_unicode(network.output),
            states=sentences.listed(name_unicode(s, None) for s in network.state),
        )
    else:
        title = f"The network {network.name} with its loops"
        told = Said(
            "The network {network} as a loop: the states of each module A come back to it at the "
            "next step.",
            network=network.name,
        )
        alt = joined([told, *_describe(network)])
    return Figure(f"{network.name}-rolled", title, alt, scene)


@figure(detailed="draw the neighbours like the module between them")
def chain(cell: Cell, detailed: bool = False) -> Figure:
    """The repeating module between its neighbours: steps t-1, t and t+1.

    The neighbours are plain boxes labelled A, or, with `detailed`, drawn like the one between.

    Raises FigureError for a network.
    """
    check_drawable(cell, "chain")
    middle = lay_out(anatomy(cell), Names(left=False, right=False))
    scene = Scene()
    body = middle.scene.shapes[0]
    left = min([body.box[0], *(x for x, _ in middle.enter.values())])
    right = max(x for x, _ in middle.leave.values())
    if detailed:
        step = max(right, body.box[2] + BETWEEN) - left
        for k, time in ((-1, "t-1"), (0, "t"), (1, "t+1")):
            ends = Names(time, left=k < 0, right=k > 0, outer=False)
            copy = lay_out(anatomy(cell), ends).scene
            scene.add(copy.shifted(k * step, prefix=f"m{k + 1}-"))
    else:
        box = min(max(body.width * 0.42, 96.0), 132.0)
        scene.add(middle.scene.shifted(0, prefix="m1-"))
        low, far = left - BETWEEN, right + box
        for key, x, time in (("m0", low - box / 2, "t-1"), ("m2", right + box / 2, "t+1")):
            column = Column(time, key, box, body.height, each=0.0)
            column.put(cell, x, body.box[3])
            scene.shapes += column.shapes
            draw_lines([column], scene)
        for state in cell.state:
            lines = [("leave", middle.leave[state][1], far, far + 30, "m2-box", f"to-{state}")]
            if state in middle.enter:
                x, y = middle.enter[state]
                lines.append(("enter", y, low - box - 30, low - box, f"from-{state}", "m0-box"))
                lines.append(("pass", y, low, x, "m0-box", f"m1-enter-{state}"))
            width = 2.4 if state in middle.belts else 1.6
            for name, y, x0, x1, tail, head in lines:
                key, points = f"{name}-{state}", ((x0, y), (x1, y))
                scene.wires.append(line(key, points, tail, head, state, key, name != "pass", width))
    told = Said(
        "The repeating module of the cell {cell}; its neighbours of steps t-1 and t+1 are the same "
        + ("module." if detailed else "module, drawn as plain boxes labelled A."),
        cell=cell.name,
    )
    alt = joined([told, sentences.of_cell(anatomy(cell), middle.scene)])
    name = f"{cell.name}-chain" + ("-detailed" if detailed else "")
    return Figure(name, f"The repeating module of {cell.name}", alt, scene)


def _describe(part: Cell | System, name: str = "") -> Iterator[str]:
    """What stands where in a network, in sentences."""
    if isinstance(part, Cell):
        yield Said("{part} is the cell {cell}.", part=name, cell=part.name)
        return
    if isinstance(part, Bidirectional):
        yield Said(
            "A part that reads forward and one that reads backward see the same input, and their "
            "outputs are joined."
        )
    elif isinstance(part, Stack):
        yield Said(
            "Layers stand above one another: the lowest reads x_t, each further one the output of "
            "the one below."
        )
        for target, source in part.wires.items():
            if isinstance(source, str) and target.endswith("_below"):
                yield Said(
                    "Layer {layer} also reads {value} of the one below.",
                    layer=target.partition(".")[0],
                    value=name_unicode(source.rpartition(".")[2], None),
                )
    else:
        yield Said("It reads backward.")
    for own, inner in part.parts.items():
        yield from _describe(inner, f"{name} {own}".strip())
