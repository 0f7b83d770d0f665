"""The plan of a compiled cell: what is computed once, ahead, at each step, and after the loop."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

from equations import name_latex
from equations.wording import Said, joined
from tinygrad_lstm import compiled
from tinygrad_lstm.kernels import describing
from tinygrad_lstm.kernels.describing import Block
from tinygrad_lstm.kernels.plan import Plan
from tinygrad_lstm.program import Program
from tinygrad_lstm.step import Cell
from viz import sentences
from viz.cards import Card, Line, card, write
from viz.figure import Figure, FigureError
from viz.glyphs import glyphs
from viz.kinds import figure
from viz.layout.free import Link, placed
from viz.scene import Box, Scene, band, prefixed
from viz.symbols import Written, plain

NAME, NOTE = 14.0, 10.5
LINE, TALL = 19.0, 23.0  # rows with bars over tildes are tall
ROW = 4  # names side by side in a pass
LOOKS = {"product": "layer", "pass": "step", "single": "module", "pack": "given"}
HEADS = {
    "once": ("once", "weights packed"),
    "ahead": ("ahead", "all steps together"),
    "forward": ("forward", "at each step"),
    "backward": ("backward", "last step first"),
    "after": ("after", "all steps together"),
}
SIZES = (13.0, 10.0)
ORDER = "order"  # the class of links that are not drawn


@dataclass
class _Box:
    key: str
    section: str
    block: Block
    lines: list[tuple[str, str, float]]  # LaTeX, text, size


def small_plan(cell: Cell) -> Plan:
    """The plan of a cell at small sizes, all different."""
    found: Plan = compiled(cell).plan(**cell.small_sizes())
    return found


@figure(of=small_plan)
def plan(of: Plan) -> Figure:
    """The figure of a plan, such as `compiled(cells.lstm).plan(hidden=128, inputs=64)`.

    A band is a section of the plan, a square box a matrix product with the size of its matrix, a
    rounded one a pass over the units with the values that it computes; arrows are data. The packed
    weights, and what flows from step to step, stand in the formulas.
    """
    if not isinstance(getattr(of, "step", None), Program):
        raise FigureError(
            f"viz.plan draws the plan of a compiled cell, got {of!r:.60}; write "
            f"compiled(cell).plan(hidden=…, inputs=…)."
        )
    spelling = _spelling(of)
    boxes = [
        _Box(f"{section}-{k}", section, block, _lines(block, spelling))
        for section, blocks in describing.described(of).items()
        for k, block in enumerate(blocks, 1)
        if block.lines
    ]
    title = f"The plan of the compiled cell {of.name}"
    return Figure(f"{of.name}-plan", title, _describe(of, boxes), _scene(boxes))


def _spelling(of: Plan) -> dict[str, str]:
    """How each name of the plan's text is drawn."""
    known = [*of.step.inputs, *of.step.equations]
    found = {name: name_latex(name, None) for name in of.once.inputs}
    for name in known:
        own = name[2:] if name.startswith("W.") else name
        if own.isdigit():
            latex, bar = rf"W_{{{own}}}", rf"\bar{{W}}_{{{own}}}"
        elif name.startswith("W."):
            latex, bar = name_latex(own, None), name_latex(f"bar.{own}", None)
        else:
            latex, bar = name_latex(own), name_latex(f"bar.{own}")
        found[describing._name(name)] = latex
        found[describing._name(f"bar.{name}")] = bar
    for name in of.states:
        found[f"carry.{name}"] = rf"\text{{carry }}{name_latex(f'bar.{name}')}"
    for name in of.seeds:
        found[f"given.{name}"] = rf"\text{{given }}{name_latex(f'bar.{name}')}"
    return found


def _drawn(name: str, spelling: dict[str, str]) -> str:
    if name in spelling:
        return spelling[name]
    head, bracket, rows = name.partition("[")
    if bracket:
        return rf"{_drawn(head, spelling)}[{rows}"
    if name.endswith("ᵀ"):
        return rf"{_drawn(name[:-1], spelling)}^\top"
    return rf"u_{{{name[1:]}}}" if name[:1] == "u" and name[1:].isdigit() else rf"\text{{{name}}}"


def _lines(block: Block, spelling: dict[str, str]) -> list[tuple[str, str, float]]:
    shape = r" \times ".join(map(str, block.shape or (1,)))
    note = (rf"{{{shape}}}", " × ".join(map(str, block.shape or (1,))), NOTE)
    if block.kind == "product":
        result = _drawn(block.writes[-1], spelling)
        factors = [_drawn(part, spelling) for part in block.factors]
        sign = r"\;{+}{=}\;" if "+=" in block.lines[0] else "="
        joint, over = (r" \otimes ", r"\Sigma_t\,") if block.outer else (r" \cdot ", "")
        return [(f"{result} {sign} {over}{joint.join(factors)}", block.lines[0], NAME), note]
    if block.kind == "pack":
        rows = [_drawn(part, spelling) for part in block.reads]
        columns = re.search(r"\[:, (\d+:\d+)\]$", block.lines[0])
        if columns:
            note = (rf"{note[0]},\; \text{{columns {columns[1]}}}", note[1], NOTE)
        return [
            (rf"{_drawn(block.writes[0], spelling)}", block.lines[0], NAME),
            *(
                (r",\, ".join(rows[k : k + ROW]), ", ".join(block.reads[k : k + ROW]), NOTE)
                for k in range(0, len(rows), ROW)
            ),
            note,
        ]
    several = block.writes
    groups = [several[k : k + ROW] for k in range(0, len(several), ROW)]
    return [
        (r",\; ".join(_drawn(n, spelling) for n in group), ", ".join(group), NAME)
        for group in groups
    ]


def _scene(boxes: list[_Box]) -> Scene:
    cards = [_card(box) for box in boxes]
    links: dict[tuple[str, str], Link] = {}
    written: dict[str, str] = {}
    for box in boxes:
        for name in box.block.reads if box.section != "once" else ():
            tail = written.get(name.partition("[")[0])
            if tail is not None and tail != box.key:
                links[tail, box.key] = Link(tail, box.key, ("wire",))
        for name in box.block.writes if box.section != "once" else ():
            written[name.partition("[")[0]] = box.key
    wanted = [*links.values(), *_one_below_the_other(boxes, links)]
    scene = placed([card.shape for card in cards], wanted, "TB", gap=(0.22, 0.36))
    scene.wires = [wire for wire in scene.wires if ORDER not in wire.classes]
    place = {shape.id: shape.box for shape in scene.shapes}
    write(scene, cards)
    _bands(scene, {box.key: box.section for box in boxes}, place)
    return scene


def _card(box: _Box) -> Card:
    row = TALL if box.block.kind == "pass" and len(box.lines) > 1 else LINE
    lines = [
        Line(Written(latex, text), size, 7 + row * (k + 0.5))
        for k, (latex, text, size) in enumerate(box.lines)
    ]
    names = [n for n in box.block.writes if n.isidentifier()]
    classes = (f"section-{box.section}", *prefixed(names, "eq"))
    title = "; ".join(box.block.lines)
    kind, height = LOOKS[box.block.kind], 14.0 + row * len(lines)
    return card(box.key, kind, lines, height, 40.0, 18.0, classes, title)


def _one_below_the_other(boxes: list[_Box], links: Collection[tuple[str, str]]) -> Iterator[Link]:
    """Links that keep each section below the one before."""
    section = {box.key: box.section for box in boxes}
    inner = [(tail, head) for tail, head in links if section[tail] == section[head]]
    order = list(dict.fromkeys(section.values()))
    for above, below in pairwise(order):
        lowest = [k for k, s in section.items() if s == above and all(k != t for t, _ in inner)]
        highest = [k for k, s in section.items() if s == below and all(k != h for _, h in inner)]
        for tail in lowest:
            yield from (Link(tail, head, (ORDER,)) for head in highest)


def _bands(scene: Scene, sections: Mapping[str, str], place: Mapping[str, Box]) -> None:
    """A pale ground for each section, with its name on the left."""
    heads = {
        section: list(zip(map(plain, HEADS[section]), SIZES, strict=True))
        for section in dict.fromkeys(sections.values())
    }
    column = max(glyphs(what.latex, size).width for head in heads.values() for what, size in head)
    start, _, end, _ = scene.bounds(12.0)
    left = start - column - 12
    bands = []
    for section, head in heads.items():
        own = [place[key] for key, its in sections.items() if its == section]
        box = left, min(b[1] for b in own) - 10, end, max(b[3] for b in own) + 10
        at = left + 10, (box[1] + box[3]) / 2 - 8
        bands += band(f"band-{section}", box, head, at, (f"section-{section}",))
    scene.shapes[:0] = bands


def _describe(of: Plan, boxes: list[_Box]) -> str:
    said: list[str] = [
        Said("The plan of the compiled cell {cell}, section by section.", cell=of.name)
    ]
    for section, (head, note) in HEADS.items():
        own = [box.block for box in boxes if box.section == section]
        said.append(Said(f"{head.capitalize()}, {note}:"))
        for block in own:
            if block.kind == "pass":
                values = sentences.listed(block.writes)
                said.append(Said("one pass computes {values}.", values=values))
            else:
                said.append(Said("{line}.", line=block.lines[0]))
        if not own:
            said.append(Said("nothing."))
    return joined(said)
