"""The computation graph of a run or a Program: values, gradients, and time from left to right."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from equations import name_latex, name_unicode
from equations.wording import Said, joined
from tinygrad_lstm.errors import TinygradError
from tinygrad_lstm.kernels.whole_sequences import expanded
from tinygrad_lstm.program import Program
from tinygrad_lstm.tensor import TABLE, Array, Tensor, ancestors
from viz import sentences
from viz.figure import Figure, FigureError
from viz.glyphs import glyphs
from viz.layout.free import Link, placed
from viz.scene import Scene, Shape, Wire, prefixed
from viz.symbols import symbol_of
from viz.timeline import Item, timed

FOLDS = ("equation", "op", "time")
NAME, VALUE = 16.0, 10.5
LINE = 15.0
BACK = 16.0  # how long the arrow of a gradient is
LARGEST = 1500  # nodes; dot takes seconds beyond it, and nobody reads such a picture
FEW = 3  # entries of a vector that are written out


@dataclass
class _Card:
    """A shape of the graph: the tensors it stands for, and what it shows of them."""

    key: str
    tensor: Tensor
    latex: str
    text: str
    kind: str = "card"
    time: int | None = None
    inputs: dict[str, bool] = field(default_factory=dict)  # and whether a gradient came back
    lines: list[tuple[str, str]] = field(default_factory=list)  # LaTeX, text


def graph(
    of: Tensor | Program | Mapping[str, Tensor], fold: str = "equation", values: bool = True
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
    if fold not in FOLDS:
        raise FigureError(f"fold is one of {', '.join(FOLDS)}; got {fold!r}.")
    roots, name = _roots(of)
    roots = _seen_through(roots)
    nodes = ancestors(roots)
    cards = _operations(nodes) if fold == "op" else _equations(nodes, roots)
    if fold == "time":
        cards = _steps(cards)
    if len(cards) > LARGEST:
        raise FigureError(
            f"this graph has {len(cards)} cards with fold={fold!r}, more than {LARGEST}.\n"
            f'  Draw fewer time steps, or fold more: fold="equation" or fold="time".'
        )
    computed = any(not node.traced for node in roots)
    wanted = set(ancestors(roots, requires_grad=True))
    gradients = any(node.grad is not None for node in nodes)
    if values:
        for card in cards:
            _describe(card, card.tensor in wanted, fold)
    scene = _scene(cards, in_time=fold == "equation")
    if values:
        _key(scene, computed)
    title = f"The computation graph of {name}, folded by {fold}"
    alt = _told(cards, name, fold, computed, gradients)
    return Figure(f"{name}-graph-{fold}", title, alt, scene)


def _seen_through(roots: list[Tensor]) -> list[Tensor]:
    """Compiled sequences as their operations, with the gradients there were."""
    found = expanded(roots)
    for old, new in zip(roots, found, strict=True):
        if new is not old and old.grad is not None:
            new.backward(old.grad.data)
    return found


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


# --- cards ----------------------------------------------------------------------------------------
def _at(time: int | None) -> str | None:
    """Steps are counted from 0 by the engine and from 1 on paper."""
    return None if time is None else str(time + 1)


def _named(node: Tensor) -> tuple[str, str]:
    name = node.name or ""
    if name.startswith("prev.") and node.time is None:
        own = name[5:]
        return name_latex(own, "0"), name_unicode(own, "0")
    return name_latex(name, _at(node.time)), name_unicode(name, _at(node.time))


def _equations(nodes: list[Tensor], roots: list[Tensor]) -> list[_Card]:
    """A card for every named value and every root."""
    shared = _used_at_several_times(nodes)
    asked = set(roots)  # a list would compare entry by entry
    cards: dict[Tensor, _Card] = {}
    reads: dict[Tensor, dict[str, bool]] = {}
    for k, node in enumerate(nodes):
        if node in shared or (not node.inputs and not node.name):
            reads[node] = {}
        elif node.name or node in asked:
            latex, text = _named(node) if node.name else symbol_of(node)[:2]
            kind = "card" if node.inputs else "leaf"
            inputs = _read(node, reads)
            cards[node] = _Card(f"n{k}", node, latex, text, kind, node.time, inputs)
            reads[node] = {f"n{k}": True}
        else:
            reads[node] = _read(node, reads)
    return list(cards.values())


def _read(node: Tensor, reads: Mapping[Tensor, Mapping[str, bool]]) -> dict[str, bool]:
    """The cards that a node reads; of steps that were stacked, the one that it takes out."""
    found: dict[str, bool] = {}
    for i, flows in _operands(node):
        for key, more in reads[i].items():
            found[key] = found.get(key, False) or (flows and more)
    return found


def _operands(node: Tensor) -> list[tuple[Tensor, bool]]:
    """What a node reads, and whether a gradient went back to it."""
    step = _step_taken(node)
    if step is not None:
        return [(step, node.grad is not None and step.grad is not None)]
    rules = TABLE[node.op].derivatives if node.op else ()
    return [
        (
            i,
            node.grad is not None
            and i.grad is not None
            and (rules(k) if callable(rules) else rules[k]) is not None,
        )
        for k, i in enumerate(node.inputs)
    ]


def _step_taken(node: Tensor) -> Tensor | None:
    """The one of several stacked values that a node takes out; None for any other node."""
    index = node.attributes.get("index") if node.op == "getitem" else None
    if isinstance(index, tuple) and all(part == slice(None) for part in index[1:]):
        index = index[0]
    if isinstance(index, int) and node.inputs[0].op == "stack":
        stacked = node.inputs[0]
        if stacked.attributes["axis"] == 0 and stacked.name is None:
            return stacked.inputs[index]
    return None


def _used_at_several_times(nodes: list[Tensor]) -> set[Tensor]:
    """Leaves without a time that more than one step reads: the parameters of an unrolled cell."""
    times: dict[Tensor, set[int | None]] = {}
    later: dict[Tensor, int | None] = {}
    for node in reversed(nodes):
        own = node.time if node.time is not None else later.get(node)
        for i in node.inputs:
            if own is not None:
                later[i] = own
            if not i.inputs and i.time is None:
                times.setdefault(i, set()).add(own)
    stepwise = any(node.time is not None for node in nodes)
    return {
        leaf
        for leaf, several in times.items()
        if stepwise and leaf.name and not leaf.name.startswith("prev.") and several != {None}
    }


def _operations(nodes: list[Tensor]) -> list[_Card]:
    """A card for every node."""
    key = {node: f"n{k}" for k, node in enumerate(nodes)}
    cards = []
    for node in nodes:
        latex, text = symbol_of(node)[:2] if node.inputs else ("", "")
        if not node.inputs:
            latex, text = _named(node) if node.name else _value(node.data)
        elif node.name:
            own, plain = _named(node)
            latex, text = rf"{own} = {latex}" if node.op != "identity" else own, f"{plain} = {text}"
        kind = "op" if node.inputs else "leaf"
        inputs: dict[str, bool] = {}
        for i, flows in _operands(node):
            inputs[key[i]] = inputs.get(key[i], False) or flows
        cards.append(_Card(key[node], node, latex, text, kind, node.time, inputs))
    return cards


def _steps(cards: list[_Card]) -> list[_Card]:
    """A card for each time step of each run, and those of what belongs to none."""
    run = _runs(cards)
    group = {
        c.key: c.key if c.time is None else f"t{c.time}" + (f".{run[c.key]}" if run[c.key] else "")
        for c in cards
    }
    merged: dict[str, _Card] = {}
    for card in cards:
        own = group[card.key]
        if card.time is None:
            merged[own] = _Card(own, card.tensor, card.latex, card.text, card.kind)
        elif own not in merged:
            step = str(card.time + 1)
            merged[own] = _Card(own, card.tensor, f"t = {step}", f"t = {step}", "step")
        if card.time is not None and card.kind != "leaf":
            merged[own].lines.append((card.latex, card.text))
        for i, flows in card.inputs.items():
            if group[i] != own:
                merged[own].inputs[group[i]] = merged[own].inputs.get(group[i], False) or flows
    for card in merged.values():
        if card.lines:
            latex = r",\,".join(line for line, _ in card.lines)
            card.lines = [(latex, ", ".join(text for _, text in card.lines))]
    return list(merged.values())


def _runs(cards: list[_Card]) -> dict[str, int]:
    """Which run each card of a step belongs to: what a run was given as a sequence is not its own.

    Within a run a step reads its own values and those of the step beside it.
    """
    by_key = {card.key: card for card in cards}
    run = {card.key: card.key for card in cards if card.time is not None}

    def first(key: str) -> str:
        while run[key] != key:
            key = run[key]
        return key

    for card in cards:
        if card.time is None or _step_taken(card.tensor) is not None:
            continue
        for i in card.inputs:
            before = by_key[i].time
            if before is not None and abs(card.time - before) <= 1:
                run[max(first(i), first(card.key))] = min(first(i), first(card.key))
    number = {key: k for k, key in enumerate(dict.fromkeys(first(key) for key in run))}
    return {key: number[first(key)] for key in run}


def _describe(card: _Card, wanted: bool, fold: str) -> None:
    """Add the lines with a value and, where one is wanted, a gradient."""
    node = card.tensor
    if card.kind == "step" or (fold == "op" and not node.inputs and not node.name):
        return
    if node.traced:
        card.lines.append(_shape(node.shape))
        return
    card.lines.append(_value(node.data))
    if wanted and node.data.dtype.kind in "fc":
        latex, text = _value(node.grad.data) if node.grad is not None else (r"\cdot", "·")
        card.lines.append((rf"\nabla\,{{{latex}}}", f"∇ {text}"))


def _shape(shape: tuple[int, ...]) -> tuple[str, str]:
    text = "×".join(map(str, shape)) or "number"
    return (r" \times ".join(map(str, shape)) or r"\text{number}"), text


def _value(data: Array) -> tuple[str, str]:
    """A value in a few characters: its entries, or its shape and its norm."""
    if data.size <= FEW:
        numbers = [_short(float(v)) for v in data.ravel()]
        latex = r",\;".join(n for n, _ in numbers)
        text = ", ".join(t for _, t in numbers)
        return (latex, text) if data.size == 1 else (f"({latex})", f"({text})")
    latex, text = _shape(data.shape)
    norm, plain = _short(float(np.linalg.norm(data.ravel())))
    return rf"{latex},\; \|\cdot\| = {norm}", f"{text}, norm {plain}"


def _short(value: float) -> tuple[str, str]:
    """Three significant digits, as LaTeX and as text."""
    text = f"{value + 0.0:.3g}"
    if "e" in text:
        digits, _, power = text.partition("e")
        return rf"{{{digits}}} \cdot 10^{{{int(power)}}}", text
    latex = text.replace("nan", r"\text{nan}").replace("inf", r"\infty")
    return f"{{{latex}}}", text.replace("-", "−")


# --- the scene ------------------------------------------------------------------------------------
LOOKS = {"card": "card", "leaf": "given", "op": "step", "step": "module"}


def _scene(cards: list[_Card], in_time: bool) -> Scene:
    shapes = []
    for card in cards:
        inks = [glyphs(card.latex, NAME), *(glyphs(line, VALUE) for line, _ in card.lines)]
        width = max(30.0, *(ink.width + 14 for ink in inks))
        height = 31.0 + LINE * len(card.lines)
        shapes.append(
            Shape(
                card.key,
                LOOKS[card.kind],
                0,
                0,
                width,
                height,
                classes=_classes(card),
                title=f"{card.text}: {'; '.join(t for _, t in card.lines)}" if card.lines else "",
            )
        )
    groups = {c.key: c.time for c in cards if c.time is not None}
    if in_time and groups:
        items = [
            Item(shape, _row(card), card.time, tuple(card.inputs), ("wire", *_classes(card)))
            for shape, card in zip(shapes, cards, strict=True)
        ]
        scene = timed(items, _row_order(cards))
        _bands(scene, groups)
    else:
        links = [Link(i, c.key, ("wire", *_classes(c))) for c in cards for i in c.inputs]
        scene = placed(shapes, links)
    flows = {(i, card.key) for card in cards for i, back in card.inputs.items() if back}
    scene.wires += [_back(w) for w in scene.wires if (w.tail, w.head) in flows]
    place = {shape.id: shape for shape in scene.shapes}
    for card in cards:
        box = place[card.key]
        top = box.y - box.height / 2 + 14
        rows = [(card.latex, card.text, NAME, top)]
        rows += [
            (latex, text, VALUE, top + 20 + LINE * k) for k, (latex, text) in enumerate(card.lines)
        ]
        for k, (latex, text, size, y) in enumerate(rows):
            ink = glyphs(latex, size)
            scene.shapes.append(
                Shape(
                    f"{card.key}-text{k}",
                    "label",
                    box.x,
                    y,
                    ink.width,
                    ink.height,
                    latex,
                    text,
                    size,
                    classes=(*_classes(card), ("name", "value", "gradient")[min(k, 2)]),
                )
            )
    return scene


def _back(wire: Wire) -> Wire:
    """The gradient that came back along a line: an arrow to where the value came from."""
    (x0, y0), (x1, y1) = wire.points[:2]
    far = ((x1 - x0) ** 2 + (y1 - y0) ** 2) ** 0.5 or 1.0
    length = min(BACK, 0.6 * far) if not wire.curve else BACK
    start = (x0 + (x1 - x0) * length / far, y0 + (y1 - y0) * length / far)
    return Wire(
        f"{wire.id}-back",
        (start, (x0, y0)),
        wire.head,
        wire.tail,
        wire.net,
        True,
        width=wire.width,
        classes=(*wire.classes, "backward"),
    )


def _key(scene: Scene, computed: bool) -> None:
    """What the lines of a card mean."""
    left, _, _, bottom = scene.bounds(0.0)
    latex = r"\text{name, value, }\nabla\,\text{gradient (}\cdot\text{ not computed yet)}"
    text = "name, value, ∇ gradient (· not computed yet)"
    if not computed:
        latex, text = r"\text{name, shape}", "name, shape"
    ink = glyphs(latex, 11.0)
    scene.shapes.append(
        Shape(
            "key",
            "caption",
            left + ink.width / 2,
            bottom + 20,
            ink.width,
            ink.height,
            latex,
            text,
            11.0,
        )
    )


def _row(card: _Card) -> str:
    name = card.tensor.name or ""
    return name.removeprefix("prev.") if card.time is None else name


def _row_order(cards: list[_Card]) -> list[str]:
    """What a value hands straight to its own next step on top, inputs at the bottom."""
    by_key = {card.key: card for card in cards}
    names = dict.fromkeys(_row(card) for card in cards if card.time is not None)
    carried = {
        _row(card)
        for card in cards
        if card.time is not None and any(_row(by_key[i]) == _row(card) for i in card.inputs)
    }
    given = {_row(card) for card in cards if card.time is not None and card.kind == "leaf"}
    return sorted(names, key=lambda n: (n in given, n not in carried))


def _classes(card: _Card) -> tuple[str, ...]:
    name = card.tensor.name
    found = prefixed([name], "eq") if name and card.kind != "step" else ()
    return (*found, f"time-{card.time + 1}") if card.time is not None else found


def _bands(scene: Scene, groups: Mapping[str, int]) -> None:
    """A pale ground for each time step, with its number."""
    members: dict[int, list[Shape]] = {}
    for shape in scene.shapes:
        if shape.id in groups:
            members.setdefault(groups[shape.id], []).append(shape)
    boxes = [s.box for several in members.values() for s in several]
    top, bottom = min(b[1] for b in boxes) - 34, max(b[3] for b in boxes) + 12
    bands = []
    for time, several in members.items():
        left = min(s.box[0] for s in several) - 11
        right = max(s.box[2] for s in several) + 11
        step = time + 1
        latex = f"t = {step}"
        ink = glyphs(latex, 13.0)
        bands.append(
            Shape(
                f"band-{step}",
                "band",
                (left + right) / 2,
                (top + bottom) / 2,
                right - left,
                bottom - top,
            )
        )
        bands.append(
            Shape(
                f"band-{step}-name",
                "caption",
                left + 12 + ink.width / 2,
                top + 15,
                ink.width,
                ink.height,
                latex,
                latex,
                13.0,
            )
        )
    scene.shapes[:0] = bands


def _told(cards: list[_Card], name: str, fold: str, computed: bool, gradients: bool) -> str:
    text = {card.key: card.text for card in cards}
    said: list[str] = [
        Said(
            "The computation graph of {name}, folded by {fold}, from left to right, {count} cards.",
            name=name,
            fold=Said(fold),
            count=str(len(cards)),
        )
    ]
    for card in cards[:120]:
        own = f"{card.text} ({'; '.join(t for _, t in card.lines)})" if card.lines else card.text
        if card.inputs:
            sources = sentences.listed(text[i] for i in card.inputs)
            said.append(Said("{value} is computed from {sources}.", value=own, sources=sources))
        else:
            said.append(Said("{value} is given.", value=own))
    if len(cards) > 120:
        said.append(Said("{count} more cards follow.", count=str(len(cards) - 120)))
    if computed:
        said.append(
            Said(
                "Below each value stands its gradient after ∇"
                + ("." if gradients else ", a dot as it has not been computed yet.")
            )
        )
    if any(flows for card in cards for flows in card.inputs.values()):
        said.append(Said("Arrows that point back show where a gradient has flowed."))
    return joined(said)
