"""The plan of a compiled cell: what is computed once, ahead, at each step, and after the loop."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import pairwise

from equations import name_latex
from tinygrad_lstm.kernels import describing
from tinygrad_lstm.kernels.describing import Block
from tinygrad_lstm.kernels.plan import Plan
from tinygrad_lstm.program import Program
from viz import sentences
from viz.figure import Figure, FigureError
from viz.glyphs import glyphs
from viz.layout.free import Link, placed
from viz.scene import Scene, Shape, prefixed

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
    return Figure(f"{of.name}-plan", title, _told(of, boxes), _scene(boxes))


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
    shapes = []
    for box in boxes:
        inks = [glyphs(latex, size) for latex, _, size in box.lines]
        shapes.append(
            Shape(
                box.key,
                LOOKS[box.block.kind],
                0,
                0,
                max(40.0, *(i.width + 18 for i in inks)),
                14.0 + _row(box) * len(inks),
                classes=_classes(box),
                title="; ".join(box.block.lines),
            )
        )
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
    scene = placed(shapes, wanted, "TB", gap=(0.22, 0.36))
    scene.wires = [wire for wire in scene.wires if ORDER not in wire.classes]
    place = {shape.id: shape for shape in scene.shapes}
    for box in boxes:
        shape = place[box.key]
        for k, (latex, text, size) in enumerate(box.lines):
            ink = glyphs(latex, size)
            y = shape.y + _row(box) * (k - (len(box.lines) - 1) / 2)
            scene.shapes.append(
                Shape(
                    f"{box.key}-text{k}",
                    "label",
                    shape.x,
                    y,
                    ink.width,
                    ink.height,
                    latex,
                    text,
                    size,
                    classes=_classes(box),
                )
            )
    _bands(scene, boxes, place)
    return scene


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


def _row(box: _Box) -> float:
    return TALL if box.block.kind == "pass" and len(box.lines) > 1 else LINE


def _classes(box: _Box) -> tuple[str, ...]:
    names = [n for n in box.block.writes if n.isidentifier()]
    return (f"section-{box.section}", *prefixed(names, "eq"))


def _bands(scene: Scene, boxes: list[_Box], place: dict[str, Shape]) -> None:
    """A pale ground for each section, with its name on the left."""
    heads = {
        section: [
            (rf"\text{{{word}}}", word, size)
            for word, size in zip(HEADS[section], SIZES, strict=True)
        ]
        for section in dict.fromkeys(box.section for box in boxes)
    }
    column = max(glyphs(latex, size).width for head in heads.values() for latex, _, size in head)
    start, _, end, _ = scene.bounds(12.0)
    left = start - column - 12
    bands = []
    for section, head in heads.items():
        own = [place[box.key].box for box in boxes if box.section == section]
        top, bottom = min(b[1] for b in own) - 10, max(b[3] for b in own) + 10
        names = (f"section-{section}",)
        bands.append(
            Shape(
                f"band-{section}",
                "band",
                (left + end) / 2,
                (top + bottom) / 2,
                end - left,
                bottom - top,
                classes=names,
            )
        )
        for k, (latex, word, size) in enumerate(head):
            ink = glyphs(latex, size)
            bands.append(
                Shape(
                    f"band-{section}-{k}",
                    "caption",
                    left + 10 + ink.width / 2,
                    (top + bottom) / 2 - 8 + 17 * k,
                    ink.width,
                    ink.height,
                    latex,
                    word,
                    size,
                    classes=names,
                )
            )
    scene.shapes[:0] = bands


def _told(of: Plan, boxes: list[_Box]) -> str:
    said = [f"The plan of the compiled cell {of.name}, section by section."]
    for section, head in HEADS.items():
        own = [box.block for box in boxes if box.section == section]
        said.append(f"{head[0].capitalize()}, {head[1]}:")
        for block in own:
            if block.kind == "pass":
                said.append(f"one pass computes {sentences.listed(block.writes)}.")
            else:
                said.append(f"{block.lines[0]}.")
        if not own:
            said.append("nothing.")
    return " ".join(said)
