"""What the handout, the worksheet, the slides and the lesson plan show, for any cell."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from importlib import resources
from typing import Any

from markupsafe import Markup

import viz
from lesson import figures, languages
from lesson.classroom.gaps import gapped, mathml, unlabelled
from lesson.classroom.worked import Row, Worked, WorkedError
from lesson.exercises.collection import built_in
from lesson.formulas import backward, forward, name, sign
from lesson.numbers import titled
from lesson.page import asset, render
from lesson.prose import Texts, in_language, translate
from lesson.stages import kind, stages
from tinygrad_lstm.cells import lstm
from tinygrad_lstm.errors import TinygradError
from tinygrad_lstm.notation import name_latex, space_of
from tinygrad_lstm.step import Cell
from viz import Figure
from viz.anatomy import anatomy

SHEETS = ("handout", "worksheet", "answers", "slides", "lesson-plan")
AHEAD, BACK = 14, 18  # lines of a calculation that a page has room for
ROWS = 8  # and a slide
STAGES = 10  # of a cell with a slide of their own; another slide has every equation
SIGNS = 12  # of the formulas that a handout explains
MINUTES = {  # of each piece of the lesson: in 90 and in 45 minutes
    "loop": (10, 5),
    "forgets": (15, 10),
    "step": (25, 15),
    "work": (10, 10),
    "back": (15, 0),
    "exercises": (10, 0),
    "close": (5, 5),
}
PRACTISE = {  # names of exercises that belong to a piece
    "loop": ("shapes",),
    "forgets": ("what-is-left", "why-it-forgets"),
    "step": ("finish-the-cell", "heat-map"),
    "back": ("value-used-twice", "adjoint-of-o"),
    "exercises": ("finish-the-cell", "gru-from-lstm", "fifty-steps"),
}
FONT = resources.files("lesson.assets").joinpath("STIXTwoMath-subset.woff2")


@dataclass(frozen=True)
class Line:
    """A line of a calculation as a sheet shows it."""

    name: str
    formula: Markup
    forms: tuple[str, ...]
    result: str
    relation: str


@dataclass(frozen=True)
class Slide:
    """One slide: its title, its notes by key, a figure, and what comes step by step."""

    title: Markup
    note: str
    figure: str = ""
    lines: tuple[str, ...] = ()
    formulas: tuple[Markup, ...] = ()
    work: tuple[Line, ...] = ()
    question: str = ""
    first: bool = False


class Classroom:
    """The sheets of a cell, in every language or in those named."""

    def __init__(self, cell: Cell, tags: Sequence[str] | None = None) -> None:
        self.cell, self.tags = cell, tuple(tags or languages.languages())
        self.name = titled(cell.name)
        count = len(forward(cell))
        self.t = Texts("classroom", {"cell": self.name, "equations": str(count)}, self.tags)
        self.draw = figures.Drawer()
        self.drawn: dict[str, figures.Embedded] = {}
        self.own = cell is lstm

    # --- texts ----------------------------------------------------------------------------------
    def key(self, key: str) -> str:
        """Where a text stands: for a cell without texts of its own under `any`, if it is there."""
        found: Any = self.t.files[self.tags[0]].get("any", {})
        for word in key.split("."):
            found = found.get(word) if isinstance(found, Mapping) else None
        return key if self.own or found is None else f"any.{key}"

    def numbered(self, key: str) -> list[str]:
        """The keys of a numbered table of texts."""
        table: Any = self.t.files[self.tags[0]]
        for word in self.key(key).split("."):
            table = table[word]
        return [f"{self.key(key)}.{number}" for number in table]

    def said(self, text: str) -> Markup:
        """A sentence of figures or derivations in the languages of the sheet."""
        return Markup("").join(in_language(tag, translate(text, tag)) for tag in self.tags)

    # --- what is shown --------------------------------------------------------------------------
    @cached_property
    def lines(self) -> list[tuple[Markup, Markup]]:
        """Each equation with what it is: by a text of its own, or by its kind."""
        return [
            (Markup(mathml(line.pieces(60))), self._meaning(line.name))
            for line in forward(self.cell)
        ]

    def _meaning(self, name: str) -> Markup:
        if self.own:
            return self.t.line(f"lines.{name}")
        return self.t.line(f"slides.{kind(self.cell, name)}")

    @cached_property
    def signs(self) -> list[tuple[str, Markup]]:
        """The signs of the figures: the name of its drawing, and what it means."""
        found = figures.signs()
        for each in found:
            self.figure(each.name, each)
        return [(each.name, self.said(each.alt)) for each in found]

    @cached_property
    def basic(self) -> Markup:
        """The signs that all formulas share."""
        return Texts("page", {}, self.tags).block("forgets.notation")

    @cached_property
    def notation(self) -> list[tuple[Markup, Markup]]:
        """The signs of the formulas."""
        try:
            notes = backward(self.cell).legend
        except TinygradError:
            notes = forward(self.cell).legend
        return [(sign(note.latex), self.said(note.words)) for note in notes[:SIGNS]]

    @cached_property
    def worked(self) -> Worked | None:
        """One step with round numbers; None where there is none, and `refused` says why."""
        return self._worked(False)

    @cached_property
    def other(self) -> Worked | None:
        """The step of the worksheet, with other numbers."""
        return self._worked(True)

    refused = ""

    def _worked(self, other: bool) -> Worked | None:
        try:
            return Worked(self.cell, other)
        except WorkedError as error:
            self.refused = str(error)
            return None

    def given(self, worked: Worked) -> list[tuple[Markup, str]]:
        """The numbers that one begins with."""
        found = []
        for label in worked.given:
            time = None if label in self.cell.parameters else "t"
            numbers = [f"{value.normalize():f}".replace("-", "−") for value in worked.values(label)]
            shown = numbers[0] if len(numbers) == 1 else f"[{', '.join(numbers[:6])}]"
            if len(numbers) > 6:
                shown = f"{shown[:-1]}, …]"
            found.append((sign(name_latex(label.removeprefix("input."), time)), shown))
        return found

    def ahead(self, worked: Worked) -> list[Line]:
        """The lines forward that a page has room for."""
        return [shown(row) for row in fewer(worked.ahead, AHEAD)]

    def loss(self, worked: Worked) -> list[Line]:
        """The loss."""
        return [shown(row) for row in worked.loss]

    def back(self, worked: Worked) -> list[Line]:
        """The lines back: values of the step, the states before it, the first parameter."""
        own = [row for row in worked.back if self._is_shown(row.name)]
        return [shown(row) for row in fewer(own, BACK)]

    def _is_shown(self, name: str) -> bool:
        space, inner = space_of(name.partition("[")[0])
        parameters = list(self.cell.parameters)
        return inner not in (*parameters[1:], "x", *self.cell.sequences, *self.cell.constants)

    def shortened(self, worked: Worked) -> bool:
        """Whether numbers were left out for want of room."""
        own = [row for row in worked.back if self._is_shown(row.name)]
        return len(worked.ahead) > AHEAD or len(own) > BACK

    @cached_property
    def belts(self) -> tuple[str, ...]:
        """The states that run straight through."""
        return tuple(anatomy(self.cell).belts)

    def figure(self, name: str, figure: Figure) -> str:
        """Draw a figure for the place `name`, which is returned."""
        if name not in self.drawn:
            self.drawn[name] = self.draw(name, figure)
        return name

    # --- sheets ---------------------------------------------------------------------------------
    def handout(self) -> Markup:
        """Two pages: figure, equations and signs; one step with round numbers, and back."""
        self.figure("cell", viz.cell(self.cell))
        return self._sheet("handout", "handout.title")

    def worksheet(self, filled: bool = False) -> Markup:
        """The worksheet with gaps, or its key."""
        figure, labels = unlabelled(self.cell)
        self.figure("unlabelled", figure)
        shown, gaps = gapped(self.cell)
        statements = self.numbered("truth")
        truths = {key: self.truth(key) for key in statements}
        return self._sheet(
            "worksheet",
            "worksheet.key" if filled else "worksheet.title",
            filled=filled,
            labels=[(gap.mark, sign(gap.answer)) for gap in labels],
            gapped=[Markup(line) for line in shown],
            gaps=[(gap.mark, sign(gap.answer)) for gap in gaps],
            truths=truths,
        )

    def truth(self, key: str) -> bool:
        """Whether a statement is right."""
        table: Any = self.t.files[self.tags[0]]
        for word in key.split("."):
            table = table[word]
        return bool(table["is"])

    def plan(self) -> Markup:
        """The lesson plan."""
        titles = Texts("exercises", {}, self.tags)
        known = {one.name for one in built_in()}
        practise = {
            piece: [(name, titles.line(f"{name}.title")) for name in names if name in known]
            for piece, names in PRACTISE.items()
        }
        return self._sheet("plan", "plan.title", minutes=MINUTES, practise=practise)

    def slides(self) -> Markup:
        """The slides, with their notes."""
        shown = list(self._slides())
        return self._sheet("slides", "slides.title", slides=shown)

    def _slides(self) -> Iterator[Slide]:
        cell, key, line = self.cell, self.key, self.t.line
        title = self.t.line(key("slides.title"))
        yield Slide(title, "slides.keys", lines=("slides.under",), first=True)
        self.figure("chain", viz.unrolled(cell, 3))
        loop = ("slides.loop_1", "slides.loop_2", "slides.loop_3")
        yield Slide(line("slides.loop"), "slides.loop_note", "chain", loop)
        forgets = tuple(f"slides.forgets_{k}" for k in range(1, 5))
        yield Slide(line("slides.forgets"), "slides.forgets_note", lines=forgets)
        self.figure("cell", viz.cell(cell))
        yield Slide(line("slides.whole"), "slides.whole_note", "cell", ("slides.whole_1",))
        lines = forward(cell)
        ahead = {row.name: row for row in self.worked.ahead} if self.worked else {}
        for stage in stages(cell)[:STAGES]:
            figure = self.figure(f"stage-{stage.key}", viz.cell(cell, focus=stage.focus))
            formulas = tuple(Markup(mathml(lines[n].pieces(48))) for n in stage.names)
            work = tuple(
                replace(shown(ahead[n]), formula=name(n)) for n in stage.names if n in ahead
            )
            text = f"stages.{stage.key}" if self.own else f"slides.{stage.kind}"
            note = f"stages.{stage.key}_note" if self.own else "slides.all_note"
            first = stage.names[0]
            title = line(f"lines.{first}") if self.own else name(first)
            yield Slide(title, note, figure, (text,), formulas, work)
        every = tuple(formula for formula, _ in self.lines)
        yield Slide(line("slides.all"), "slides.all_note", formulas=every)
        yield from self._slides_back()
        for statement in self.numbered("truth")[:3]:
            yield Slide(line("slides.ask"), "slides.ask_note", question=statement)
        yield Slide(
            line("slides.end"), "slides.end_note", lines=tuple(f"slides.end_{k}" for k in "123")
        )

    def _slides_back(self) -> Iterator[Slide]:
        cell, line = self.cell, self.t.line
        if self.worked and self.worked.back:
            a = viz.cell(cell)
            self.figure("back", figures.backward(a, [*forward(cell).names, "x"]))
            rules = ("slides.back_1", "slides.back_2")
            yield Slide(line("slides.back"), "slides.back_note", "back", rules)
            lines = (*self.loss(self.worked), *self.back(self.worked))
            for k in range(0, len(lines), ROWS):
                work = lines[k : k + ROWS]
                yield Slide(line("slides.work_back"), "slides.work_back_note", work=work)
        if self.belts:
            focus = [f"belt:{name}" for name in self.belts]
            self.figure("belt", viz.cell(cell, focus=focus))
            belt = ("slides.belt_1", "slides.belt_2", "slides.belt_3")
            yield Slide(line("slides.belt"), "slides.belt_note", "belt", belt)
        else:
            yield Slide(
                line("slides.no_belt"), "slides.no_belt_note", "cell", ("slides.no_belt_1",)
            )

    def _sheet(self, name: str, title: str, **more: Any) -> Markup:
        kind_of_page = "slides" if name == "slides" else "sheet"
        body = render(__package__ or "", f"{name}.html", room=self, t=self.t, **more)
        return render(
            __package__ or "",
            "frame.html",
            room=self,
            t=self.t,
            body=body,
            title=self.t.plain(self.key(title))[self.tags[0]],
            languages={tag: languages.language(tag).name for tag in self.tags},
            css="\n".join(
                [
                    figures.colours(),
                    languages.style(),
                    asset(__package__ or "", "sheet.css"),
                    asset(__package__ or "", "slides.css") if kind_of_page == "slides" else "",
                ]
            ),
            script=asset(__package__ or "", f"{kind_of_page}.js"),
            font=base64.b64encode(FONT.read_bytes()).decode(),
            glyphs=self.draw.glyphs(),
            kind=kind_of_page,
            name=name,
        )


def shown(row: Row) -> Line:
    """A line of a calculation as a sheet shows it."""
    formula = Markup(mathml(row.formula)) if row.formula else Markup("")
    return Line(row.name, formula, row.forms, row.shown, "=" if row.exact else "≈")


def fewer(rows: Sequence[Row], most: int) -> list[Row]:
    """The lines that a page has room for: of long values the first entry, then the first lines."""
    if len(rows) > most:
        rows = [row for row in rows if "[" not in row.name or row.name.endswith("[1]")]
    return list(rows[:most])
