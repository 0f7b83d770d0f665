"""Networks of one cell: with its loop, unrolled over time, and a module between its neighbours."""

from __future__ import annotations

from dataclasses import dataclass

from equations import name_latex, name_unicode
from equations.wording import Said, joined
from tinygrad_lstm.networks import System
from tinygrad_lstm.step import Cell
from viz import layers, sentences
from viz.anatomy import anatomy
from viz.figure import Figure, FigureError
from viz.glyphs import glyphs
from viz.layout import lay_out
from viz.layout.shapes import BETWEEN, LABEL, TERMINAL, Names, terminal
from viz.scene import Scene, Shape, Wire, prefixed

WIDTH, HEIGHT = 84.0, 84.0
PITCH = 14.0  # between the lines of two states
LETTER = 26.0


@dataclass(frozen=True)
class _Module:
    """One copy of the cell as a plain box."""

    x: float
    time: str
    width: float = WIDTH
    height: float = HEIGHT


def _module(cell: Cell, m: _Module, key: str) -> Scene:
    """A box A with its inputs below and its output above."""
    first = cell.output
    y = m.height / 2
    scene = Scene(
        [
            Shape(
                f"{key}-box", "module", m.x, y, m.width, m.height, "A", "A", LETTER, title=str(cell)
            )
        ]
    )
    inputs = anatomy(cell).inputs
    for k, name in enumerate(inputs):
        x = m.x + (k - (len(inputs) - 1) / 2) * (TERMINAL + 8)
        low = m.height + 30 + TERMINAL / 2
        time = anatomy(cell).time(name, m.time)
        scene.shapes.append(terminal(f"{key}-in-{name}", name, time, x, low))
        ends = ((x, low - TERMINAL / 2), (x, m.height))
        scene.wires.append(
            Wire(
                f"{key}-wire-{name}",
                ends,
                f"{key}-in-{name}",
                f"{key}-box",
                name,
                True,
                classes=("wire", *prefixed([name], "val")),
                width=1.6,
            )
        )
    scene.shapes.append(terminal(f"{key}-out", first, m.time, m.x, -30 - TERMINAL / 2))
    scene.wires.append(
        Wire(
            f"{key}-wire-out",
            ((m.x, 0.0), (m.x, -30.0)),
            f"{key}-box",
            f"{key}-out",
            first,
            True,
            classes=("wire", *prefixed([first], "val")),
            width=1.6,
        )
    )
    return scene


def _levels(cell: Cell, height: float) -> dict[str, float]:
    """The heights at which the states' lines pass, the first state's lowest."""
    states = list(reversed(list(cell.state)))
    top = height / 2 - PITCH * (len(states) - 1) / 2
    return {state: top + PITCH * k for k, state in enumerate(states)}


def rolled(cell: Cell) -> Figure:
    """The network as a loop: what the module A hands on comes back to it at the next step."""
    layers.single(cell, "rolled")
    scene = _module(cell, _Module(0.0, "t"), "m")
    right = WIDTH / 2
    for k, state in enumerate(cell.state):
        reach = 30 + 16 * k
        high, low = HEIGHT / 2 - 13 - 12 * k, HEIGHT / 2 + 13 + 12 * k
        points = ((right, high), (right + reach, high), (right + reach, low), (right, low))
        scene.wires.append(
            Wire(
                f"loop-{state}",
                points,
                "m-box",
                "m-box",
                state,
                True,
                radius=11.0,
                width=1.8,
                classes=("wire", *prefixed([state], "val"), *prefixed([state], "loop")),
            )
        )
    x = right + 30 + 16 * (len(cell.state) - 1) + 10
    latex = r",".join(name_latex(state, None) for state in cell.state)
    text = ", ".join(name_unicode(state, None) for state in cell.state)
    ink = glyphs(latex, LABEL)
    scene.shapes.append(
        Shape(
            "loop-names",
            "label",
            x + ink.width / 2,
            HEIGHT / 2,
            ink.width,
            ink.height,
            latex,
            text,
            LABEL,
            classes=("label",),
        )
    )
    states = sentences.listed(name_unicode(s, None) for s in cell.state)
    inputs = sentences.inputs(anatomy(cell))
    alt = Said(
        "The network of the cell {cell} as a loop. The module A reads {inputs} from below and "
        "gives {output} above; its state {states} comes back to it at the next step.",
        cell=cell.name,
        inputs=inputs,
        output=name_unicode(cell.output),
        states=states,
    )
    return Figure(f"{cell.name}-rolled", f"The network of {cell.name} with its loop", alt, scene)


def unrolled(cell: Cell | System, steps: int = 4) -> Figure:
    """The same network over time: one copy of the module A a step, each handing its state on.

    Of a stack the layers stand above one another; of a bidirectional network the direction that
    reads backward stands above the other, and their outputs are joined.
    """
    if steps < 1 or steps > 50:
        raise FigureError(f"an unrolled figure shows 1 to 50 steps, not {steps}.")
    if isinstance(cell, System):
        return layers.unrolled(cell, steps)
    layers.known(cell, "unrolled")
    scene = Scene()
    pitch = WIDTH + 52.0
    levels = _levels(cell, HEIGHT)
    for k in range(steps):
        scene.add(_module(cell, _Module(pitch * k, str(k + 1)), f"m{k + 1}"))
    for k in range(steps + 1):
        for state, y in levels.items():
            x0, x1 = pitch * (k - 1) + WIDTH / 2, pitch * k - WIDTH / 2
            tail, head = f"m{k}-box", f"m{k + 1}-box"
            if k == 0:
                x0, tail = x1 - 40, f"start-{state}"
            if k == steps:
                x1, head = x0 + 40, f"end-{state}"
            scene.wires.append(
                Wire(
                    f"pass-{state}-{k}",
                    ((x0, y), (x1, y)),
                    tail,
                    head,
                    f"{state}-{k}",
                    True,
                    width=1.8,
                    classes=("wire", *prefixed([state], "val")),
                )
            )
            if k in (0, steps):
                _end_label(scene, state, k, x0 - 7 if k == 0 else x1 + 7, y, len(levels))
    states = sentences.listed(name_unicode(s, None) for s in cell.state)
    alt = Said(
        f"The network of the cell {{cell}} unrolled over {{steps}} step{'s' if steps > 1 else ''}: "
        "copies of one module A in a row. The copy of step t reads x_t from below, gives {output} "
        "above, and hands {states} on to the copy on its right.",
        cell=cell.name,
        steps=str(steps),
        output=name_unicode(cell.output),
        states=states,
    )
    title = f"The network of {cell.name} unrolled over {steps} step{'s' if steps > 1 else ''}"
    return Figure(f"{cell.name}-unrolled-{steps}", title, alt, scene)


def _end_label(scene: Scene, state: str, k: int, x: float, y: float, count: int) -> None:
    latex = name_latex(state, str(k))
    size = LABEL if count == 1 else 12.0
    ink = glyphs(latex, size)
    x += ink.width / 2 * (-1 if k == 0 else 1)
    scene.shapes.append(
        Shape(
            f"label-{state}-{k}",
            "label",
            x,
            y,
            ink.width,
            ink.height,
            latex,
            name_unicode(state, str(k)),
            size,
            classes=prefixed([state], "val"),
        )
    )


def chain(cell: Cell, detailed: bool = False) -> Figure:
    """The repeating module between its neighbours: steps t-1, t and t+1.

    The neighbours are plain boxes labelled A, or, with `detailed`, drawn like the one between.
    """
    layers.single(cell, "chain")
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
        low = left - BETWEEN
        for key, x, time in (("m0", low - box / 2, "t-1"), ("m2", right + box / 2, "t+1")):
            scene.add(_module(cell, _Module(x, time, box, body.height), key))
        far = right + box
        for state in cell.state:
            lines = [("leave", middle.leave[state][1], far, far + 30, "m2-box", f"to-{state}")]
            if state in middle.enter:
                x, y = middle.enter[state]
                lines.append(("enter", y, low - box - 30, low - box, f"from-{state}", "m0-box"))
                lines.append(("pass", y, low, x, "m0-box", f"m1-enter-{state}"))
            for name, y, x0, x1, tail, head in lines:
                scene.wires.append(
                    Wire(
                        f"{name}-{state}",
                        ((x0, y), (x1, y)),
                        tail,
                        head,
                        f"{name}-{state}",
                        name != "pass",
                        width=2.4 if state in middle.belts else 1.6,
                        classes=("wire", *prefixed([state], "val")),
                    )
                )
    told = Said(
        "The repeating module of the cell {cell}; its neighbours of steps t-1 and t+1 are the same "
        + ("module." if detailed else "module, drawn as plain boxes labelled A."),
        cell=cell.name,
    )
    alt = joined([told, sentences.of_cell(anatomy(cell), middle.scene)])
    name = f"{cell.name}-chain" + ("-detailed" if detailed else "")
    return Figure(name, f"The repeating module of {cell.name}", alt, scene)
