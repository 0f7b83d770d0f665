"""The computation graph of a run or a Program: values, gradients, and time from left to right."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import get_args

import numpy as np

from equations.wording import Said, joined
from tinygrad_lstm.errors import TinygradError
from tinygrad_lstm.grids import Grid
from tinygrad_lstm.networks import System
from tinygrad_lstm.program import Program
from tinygrad_lstm.running import unroll
from tinygrad_lstm.step import Cell
from tinygrad_lstm.tensor import Tensor, ancestors
from tinygrad_lstm.testing.inputs import random_arrays, random_inputs
from viz import sentences
from viz.cards import Card, Line, card, write
from viz.computation import Fold, Part, describe, grouped, open_sequences, parts_of
from viz.computation_groups import Groups
from viz.figure import Figure, FigureError
from viz.kinds import figure
from viz.layout.free import Link, placed
from viz.scene import Scene, Shape, Wire, band, label, prefixed
from viz.symbols import Written, plain
from viz.timeline import Item, timed

NAME, VALUE, KEY, TIME = 16.0, 10.5, 11.0, 13.0
LINE = 15.0
BACK = 16.0  # how long the arrow of a gradient is
LARGEST = 1500  # cards; nobody reads a larger picture
MANY, USERS = 150, 6  # cards and users: beyond, dot would look long for a way for every line
TOLD = 120  # cards that the alternative text names
SIZE, SEED = 2, 0  # of the small run that the command draws
VALUES = Written(
    r"\text{name, value, }\nabla\,\text{gradient (}\cdot\text{ not computed yet)}",
    "name, value, ∇ gradient (· not computed yet)",
)
SHAPES = plain("name, shape")
LOOKS = {"card": "card", "leaf": "given", "op": "step", "step": "module"}


def small_loss(network: Cell | System, steps: int = 4) -> Tensor:
    """The sum of the last output of a small run with random inputs, after `backward`."""
    if steps < 1:
        raise FigureError(f"a graph is drawn of at least one step, not of {steps}.")
    if getattr(network, "spatial", 1) != 1 or getattr(network, "gathered", {}):
        return _small_loss_of(network, steps)
    least = {name: bound for cell in _cells(network) for name, bound in cell.bounds.items()}
    program = network.program(**{name: max(SIZE, least.get(name, 1)) for name in network.sizes})
    random = np.random.default_rng(SEED)
    draws = [random_arrays(program, random) for _ in range(steps)]
    constants = {name for cell in _cells(network) for name in cell.constants}
    given = {
        name: draws[0][name]
        if name.rpartition(".")[2] in constants
        else np.stack([draw[name] for draw in draws])
        for name in ("x", *network.extra_inputs)
    }
    initial = {}
    if isinstance(network, Cell):  # a state may be all that tells a size
        shapes = {name: program.inputs[f"prev.{name}"].shape for name in network.state}
        initial = {name: network.initial(name, shape, float) for name, shape in shapes.items()}
    parameters = network.init(seed=SEED, **program.sizes)
    run = unroll(network, parameters, given.pop("x"), initial, **given)
    loss = run.steps[-1][network.output].sum()
    loss.name = "L"
    if loss.requires_grad:
        loss.backward()
    return loss


def _small_loss_of(network: Cell | System, steps: int) -> Tensor:
    """The same of a network whose parts have steps of their own, or of a grid."""
    sizes = {name: max(SIZE, network.bounds.get(name, 1)) for name in network.sizes}
    run = random_inputs(network, sizes, steps, rng=SEED).unroll()
    name = network.losses[0] if isinstance(network, System) and network.losses else network.output
    value = run[name]
    loss = (
        value[(-1,) * len(network.axes_of_grid)]
        if isinstance(network, Grid)
        else run.steps[-1][name]
    ).sum()
    loss.name = "L"
    loss.backward()
    return loss


def _cells(part: Cell | System) -> Iterator[Cell]:
    if isinstance(part, Cell):
        yield part
    else:
        for inner in part.parts.values():
            yield from _cells(inner)


@figure(of=small_loss, steps="time steps", fold="what a card stands for")
def graph(
    of: Tensor | Program | Mapping[str, Tensor], fold: Fold = "equation", values: bool = True
) -> Figure:
    """The graph of a computation, with values and gradients where there are any.

    of: a Tensor with what it was computed from, several by name, or a Program. fold: "equation"
    shows a card for each named value, "op" every operation, "time" a card for each time step.
    A card shows the value, three significant digits of up to three entries, or its shape and its
    norm, and below it the gradient of what `backward` was called on; "·" stands for a gradient
    that has not been computed. Where a gradient has flowed, a second arrow points back. Parameters
    that every step uses appear with fold="op" only.

    Raises FigureError for an unknown fold, or for more than 1,500 cards.
    """
    if fold not in get_args(Fold):
        raise FigureError(f"fold is one of {', '.join(get_args(Fold))}; got {fold!r}.")
    roots, name = _roots(of)
    roots = open_sequences(roots)
    parts = parts_of(roots, fold)
    if len(parts) > LARGEST:
        raise FigureError(
            f"this graph has {len(parts)} cards with fold={fold!r}, more than {LARGEST}.\n"
            f'  Draw fewer time steps, or fold more: fold="equation" or fold="time".'
        )
    computed = any(not node.traced for node in roots)
    if values:
        describe(parts, set(ancestors(roots, requires_grad=True)), fold)
    scene = _scene(parts, in_time=fold == "equation")
    if values:
        left, _, _, bottom = scene.bounds(0.0)
        what = VALUES if computed else SHAPES
        scene.shapes.append(label("key", what, left, bottom + 20, KEY, 1, "caption"))
    gradients = any(node.grad is not None for node in ancestors(roots))
    title = f"The computation graph of {name}, folded by {fold}"
    alt = _describe(parts, name, fold, computed, gradients)
    return Figure(f"{name}-graph-{fold}", title, alt, scene)


def _roots(of: Tensor | Program | Mapping[str, Tensor]) -> tuple[list[Tensor], str]:
    if isinstance(of, Program):
        return [*of.equations.values(), *of.outputs.values()], of.name
    if isinstance(of, Tensor):
        return [of], of.name or "a value"
    if isinstance(of, Mapping) and of and all(isinstance(t, Tensor) for t in of.values()):
        return list(of.values()), ", ".join(of)
    raise TinygradError(
        f"a graph is drawn of a Tensor, a Program or a mapping of names to Tensors, not of "
        f"{type(of).__name__}."
    )


# --- the scene ------------------------------------------------------------------------------------
def _scene(parts: Sequence[Part], in_time: bool) -> Scene:
    cards = [_card(part) for part in parts]
    shapes = [each.shape for each in cards]
    times = {part.key: part.time for part in parts if part.time is not None}
    if in_time and times:
        groups = grouped(parts)
        band = groups.band
        items = [
            Item(
                shape, _row(part), band.get(part.key), tuple(part.inputs), ("wire", *shape.classes)
            )
            for shape, part in zip(shapes, parts, strict=True)
        ]
        scene = timed(items, _row_order(parts, groups.network))
        _bands(scene, times, groups)
    else:
        links = [
            Link(i, part.key, ("wire", *shape.classes))
            for shape, part in zip(shapes, parts, strict=True)
            for i in part.inputs
        ]
        scene = _placed(shapes, links)
    flows = {(i, part.key) for part in parts for i, back in part.inputs.items() if back}
    scene.wires += [_back(w) for w in scene.wires if (w.tail, w.head) in flows]
    write(scene, cards)
    return scene


def _card(part: Part) -> Card:
    lines = [
        Line(what, VALUE, 34 + LINE * k, ("value" if k == 0 else "gradient",))
        for k, what in enumerate(part.lines)
    ]
    title = f"{part.name.text}: {'; '.join(each.text for each in part.lines)}" if lines else ""
    lines.insert(0, Line(part.name, NAME, 14, ("name",)))
    height = 16.0 + LINE * len(lines)
    name = part.tensor.name
    classes = prefixed([name], "eq") if name and part.kind != "step" else ()
    if part.time is not None:
        classes = (*classes, f"time-{part.time + 1}")
    return card(part.key, LOOKS[part.kind], lines, height, 30.0, 14.0, classes, title)


def _placed(shapes: Sequence[Shape], links: Sequence[Link]) -> Scene:
    """By dot; in a large graph it would look for minutes for ways from what every step uses."""
    near: list[Link] = []
    far: list[Link] = []
    users: Counter[str] = Counter()
    for link in links:
        users[link.tail] += 1
        (near if len(shapes) <= MANY or users[link.tail] <= USERS else far).append(link)
    scene = placed(shapes, near)
    box = {shape.id: shape.box for shape in scene.shapes}
    for link in far:
        (_, top, x0, bottom), (x1, above, _, below) = box[link.tail], box[link.head]
        points = ((x0, (top + bottom) / 2), (x1, (above + below) / 2))
        own = f"far-{link.tail}-{link.head}"
        scene.wires.append(
            Wire(
                own, points, link.tail, link.head, link.tail, True, width=1.3, classes=link.classes
            )
        )
    return scene


def _back(wire: Wire) -> Wire:
    """The gradient that came back along a line: an arrow to where the value came from."""
    start, towards = wire.points[:2]
    (x0, y0), (x1, y1) = start, towards
    far = ((x1 - x0) ** 2 + (y1 - y0) ** 2) ** 0.5 or 1.0
    length = min(BACK, 0.6 * far) if not wire.curve else BACK
    return replace(
        wire,
        id=f"{wire.id}-back",
        points=((x0 + (x1 - x0) * length / far, y0 + (y1 - y0) * length / far), start),
        tail=wire.head,
        head=wire.tail,
        curve=False,
        tip=None,
        classes=(*wire.classes, "backward"),
    )


def _row(part: Part) -> str:
    name = part.tensor.name or ""
    return name.removeprefix("prev.") if part.time is None else name


def _row_order(parts: Sequence[Part], network: Mapping[str, str]) -> list[str]:
    """Networks below what reads them; in each what a value hands to its own next step on top.

    Inputs are at the bottom.
    """
    row = {part.key: _row(part) for part in parts}
    timed = [part for part in parts if part.time is not None]
    carried = {row[part.key] for part in timed if row[part.key] in {row[i] for i in part.inputs}}
    given = {row[part.key] for part in timed if part.kind == "leaf"}
    order = [*dict.fromkeys(network.values())]
    place = {row[key]: -order.index(own) for key, own in network.items()}
    names = dict.fromkeys(row[part.key] for part in timed)
    return sorted(names, key=lambda name: (name in given, place[name], name not in carried))


def _bands(scene: Scene, times: Mapping[str, int], groups: Groups) -> None:
    """A pale ground for each time step, with its number, and what networks are in it."""
    members: dict[int, list[Shape]] = {}
    for shape in scene.shapes:
        if shape.id in times:
            members.setdefault(groups.band[shape.id], []).append(shape)
    boxes = [shape.box for several in members.values() for shape in several]
    high = 34 + (17 if groups.title else 0)
    top, bottom = min(b[1] for b in boxes) - high, max(b[3] for b in boxes) + 12
    bands = []
    for number, several in members.items():
        left, right = (
            min(shape.box[0] for shape in several) - 11,
            max(shape.box[2] for shape in several) + 11,
        )
        computed = [shape for shape in several if shape.kind != "given"]
        time = times[(computed or several)[0].id]
        name = Written(f"t = {time + 1}", f"t = {time + 1}")
        lines = [(name, TIME)]
        own = f"band-{time + 1}"
        if groups.title:
            own += f".{number}"
            lines.append((plain(groups.title.get(number, "")), KEY))
        box, at = (left, top, right, bottom), (left + 12, top + 15)
        bands += band(own, box, [each for each in lines if each[0].text], at)
    scene.shapes[:0] = bands


def _describe(parts: Sequence[Part], name: str, fold: Fold, computed: bool, gradients: bool) -> str:
    text = {part.key: part.name.text for part in parts}
    said: list[str] = [
        Said(
            "The computation graph of {name}, folded by {fold}, from left to right, {count} cards.",
            name=name,
            fold=Said(fold),
            count=str(len(parts)),
        )
    ]
    for part in parts[:TOLD]:
        own = part.name.text
        if part.lines:
            own += f" ({'; '.join(line.text for line in part.lines)})"
        if part.inputs:
            sources = sentences.listed(text[i] for i in part.inputs)
            said.append(Said("{value} is computed from {sources}.", value=own, sources=sources))
        else:
            said.append(Said("{value} is given.", value=own))
    if len(parts) > TOLD:
        said.append(Said("{count} more cards follow.", count=str(len(parts) - TOLD)))
    if computed:
        said.append(
            Said(
                "Below each value stands its gradient after ∇"
                + ("." if gradients else ", a dot as it has not been computed yet.")
            )
        )
    if any(flows for part in parts for flows in part.inputs.values()):
        said.append(Said("Arrows that point back show where a gradient has flowed."))
    return joined(said)
