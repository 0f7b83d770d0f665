"""What `diagnose` found, and how it is told."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any, NamedTuple

import numpy as np

from tinygrad_lstm.diagnosis.backward import Recorded
from tinygrad_lstm.diagnosis.changes import Mistake
from tinygrad_lstm.diagnosis.rules import Array, Edge
from tinygrad_lstm.diagnosis.search import Explanation
from tinygrad_lstm.diagnosis.terms import Term, Terms
from tinygrad_lstm.errors import UnknownNameError
from tinygrad_lstm.notation import number
from tinygrad_lstm.tensor import Tensor
from tinygrad_lstm.text import UNICODE, expression

LANGUAGES = ("en", "ko", "zh")
TOLD = 40  # explanations that are put into words
NEXT = 3  # other explanations that are shown
# what is read off in another way, written with the right formula
THEIRS = {
    "mean over batch": "({line}) / batch",
    "mean over steps": "({line}) / time",
    "mean over both": "({line}) / (batch * time)",
    "factor": "{factor} * ({line})",
    "sign of all": "-({line})",
    "gradient transposed": "({line})ᵀ",
    "nothing": "0",
}


class InWords:
    """What is told in several languages: `print(d)` in English, `d.text("ko")` in Korean."""

    lines: Mapping[str, tuple[str, ...]]

    def text(self, language: str = "en") -> str:
        """All of it in words: en, ko or zh."""
        if language not in self.lines:
            raise UnknownNameError(f"no language {language!r}; there are {', '.join(self.lines)}.")
        return "\n".join(self.lines[language])

    def __str__(self) -> str:
        return self.text()


@dataclass(frozen=True)
class Diagnosis(InWords):
    """Whether gradients are right, and if not, which mistake makes them what they are.

    right: whether they are. where: the name of the first adjoint that differs, from the loss
    backward. kind: "missing term", "double term", "sign", "slope", "step", "exchange", "order",
    "transpose", "sum", "factor", "carried", "value" or "unexplained"; "" if right. term: the term
    concerned, as text. confidence: 1 where one mistake alone gives all numbers, less where others
    would give the same ones, 0 where none does. kinds: of all mistakes, where there are two.
    likely: the kinds of the likeliest explanations, the first first.
    compared, worst: how many gradients agree, if they are right, and the largest difference, of the
    largest entry of its own.
    `print(d)` tells it in English, `d.text("ko")` in Korean, `d.text("zh")` in Chinese.
    """

    right: bool
    where: str = ""
    kind: str = ""
    term: str = ""
    confidence: float = 1.0
    kinds: tuple[str, ...] = ()
    likely: tuple[str, ...] = ()
    example: Mapping[str, Any] = field(default_factory=dict)
    lines: Mapping[str, tuple[str, ...]] = field(default_factory=dict, repr=False)
    compared: int = 0
    worst: float = 0.0

    def __bool__(self) -> bool:
        return self.right

    @classmethod
    def all_right(cls, graph: Recorded, off: Mapping[str, float]) -> Diagnosis:
        """Of gradients that are right."""
        worst = f"{max(off.values()):.0e}"
        lines = {tag: (say("right", tag, count=len(off), worst=worst),) for tag in LANGUAGES}
        return cls(True, lines=lines, compared=len(off), worst=max(off.values()))

    @classmethod
    def of(
        cls,
        graph: Recorded,
        explained: Sequence[Explanation],
        wrong: Sequence[str],
        found: Mapping[str, Array],
        small: tuple[Recorded, dict[str, Array]] | None,
    ) -> Diagnosis:
        """Of gradients that differ at the names `wrong`, in backward order."""
        terms = Terms(graph.program)
        groups = _alike(graph, terms, explained, wrong)
        told = groups[0].stories if groups else []
        where = wrong[0] if wrong else ""
        if told and told[0].found:
            where = told[0].found.value
        where = where or next((s.name_of() for s in told if s.name_of()), "")
        share = [np.exp(-3.0 * (g.rank - groups[0].rank)) for g in groups]
        confidence = float(share[0] / sum(share)) if groups else 0.0
        confidence *= 0.8 if len(told) > 1 else 1.0
        example = _example(small or (graph, found), where)
        lines = {}
        for tag in LANGUAGES:
            shown = [story.text(tag) for story in told]
            shown[1:] = [say("and", tag) + line for line in shown[1:]]
            if not told:
                right = graph.backward()[where]
                worst = np.abs(found[where] - right).max() / (np.abs(right).max() or 1)
                shown.append(
                    say("unexplained", tag, adjoint=terms.adjoint(where), worst=f"{worst:.1e}")
                )
            if where:
                shown.append(say("first", tag, adjoint=terms.adjoint(where), name=where))
            if told and (theirs := told[0].formula()):
                shown.append(say("theirs", tag, line=theirs))
            if line := right_line(terms, where):
                shown.append(say("line", tag, line=line))
            if example:
                shown.append(say("example", tag, **example))
            if told:
                shown.append(say("sure", tag, others=_others(groups[1:], tag)))
            lines[tag] = tuple(shown)
        kinds = tuple(story.mistake.kind for story in told) or ("unexplained",)
        likely = tuple(dict.fromkeys(group.stories[0].mistake.kind for group in groups))
        term = told[0].term if told else ""
        return cls(False, where, kinds[0], term, confidence, kinds, likely, example, lines)


class _Group(NamedTuple):
    """Explanations that are told alike."""

    stories: list[Story]
    rank: float


def _alike(
    graph: Recorded, terms: Terms, explained: Sequence[Explanation], wrong: Sequence[str]
) -> list[_Group]:
    """The explanations, those that are told alike once."""
    groups: dict[tuple[tuple[str, str], ...], _Group] = {}
    for explanation in explained[:TOLD]:
        where = wrong[0] if wrong else ""
        stories = [Story(graph, terms, mistake, where) for mistake in explanation.mistakes]
        groups.setdefault(tuple(s.key for s in stories), _Group(stories, explanation.rank[1]))
    return list(groups.values())


def _others(groups: Sequence[_Group], tag: str) -> str:
    """What else would give the same numbers."""
    if not groups:
        return ""
    told = [" ".join(s.text(tag) for s in g.stories).rstrip(".。") for g in groups[:NEXT]]
    return say("others", tag, count=len(groups), next="; ".join(told))


def _example(problem: tuple[Recorded, Mapping[str, Array]], where: str) -> dict[str, Any]:
    """The entry that differs most."""
    graph, found = problem
    right = graph.backward()
    off = {n: np.abs(found[n] - right[n]) for n in found if found[n].shape == right[n].shape}
    name = (
        where
        if where in off and off[where].any()
        else max(off, key=lambda n: off[n].max(initial=0), default="")
    )
    if not name or not off[name].any():
        return {}
    sizes = {**graph.program.sizes, "time": len(graph), "batch": graph.batch}
    return entry(name, off[name], found[name], right[name], sizes)


def entry(
    name: str, off: Array, found: Array, right: Array, sizes: Mapping[str, int], axis: int = 0
) -> dict[str, Any]:
    """The entry of a value that is furthest off, by its place from an axis on."""
    index = tuple(int(k) for k in np.unravel_index(int(np.nan_to_num(off).argmax()), off.shape))
    return {
        "name": name,
        "index": str(list(index[axis:])),
        "theirs": number(float(found[index])),
        "true": number(float(right[index])),
        "sizes": ", ".join(f"{size}={n}" for size, n in sizes.items()),
    }


def right_line(terms: Terms, where: str) -> str:
    """The right formula of an adjoint."""
    return _formula(terms, where, None, None)


def _formula(terms: Terms, where: str, term: Term | None, theirs: str | None) -> str:
    """The formula of an adjoint, with another text in the place of one term, or without it."""
    own = terms.of(where)
    if not own:
        return ""
    parts = [t.text for t in own]
    if term is not None:
        parts = [
            str(theirs) if t.text == term.text and t.reader == term.reader else t.text
            for t in own
            if theirs is not None or t.text != term.text or t.reader != term.reader
        ]
    if terms.steady(where):
        parts = [f"Σ_t {part}" for part in parts]
    if where in terms.program.outputs:
        parts.insert(0, f"∂L/∂{UNICODE.name(where, 't')}")
    return f"{terms.adjoint(where)} = {joined(parts)}"


def joined(parts: Sequence[str]) -> str:
    """A sum of terms, some of which may begin with a minus."""
    text = " + ".join(parts) or "0"
    return text.replace("+ -", "- ").replace("+ −", "− ")


class Story:
    """One mistake of a graph, in words."""

    def __init__(self, graph: Recorded, terms: Terms, mistake: Mistake, where: str) -> None:
        self.graph, self.terms, self.mistake, self.where = graph, terms, mistake, where
        self.edge: Edge | None = graph.step.at.get(mistake.place) if mistake.place else None
        # of a matrix that is not transposed the square part is that of the state
        self.carried = mistake.message == "transposed matrix"
        found = terms.along(self.edge, self.carried) if self.edge else None
        name = mistake.words.get("name")
        if found is None and name in graph.start and mistake.kind == "carried":
            found = next((t for t in terms.of(str(name)) if "{t+1}" in t.text), None)
        self.found: Term | None = found
        self.term = found.text if found else self._read_off()

    @property
    def key(self) -> tuple[str, str]:
        """What two mistakes that are told alike have in common: the kind, and the words."""
        return self.mistake.kind, self.term if self.found else self.text("en")

    def _read_off(self) -> str:
        """What a mistake that is about no edge is about: the whole of a gradient."""
        names = self.mistake.words.get("names") or [self.name_of()]
        line = right_line(self.terms, names[0]) if names[0] else ""
        return line.split(" = ", 1)[-1]

    def name_of(self) -> str:
        """A value that a mistake without an edge is about."""
        name = str(self.mistake.words.get("name", ""))
        return name if name in self.graph.names else ""

    def formula(self) -> str:
        """The adjoint as the mistake makes it; "" where it is no formula."""
        if self.edge is not None and self.found is not None:
            changes = self.mistake.changes.edges
            change = changes.get(self.edge.place)
            if change is None or change.without is not None or change.rolled:
                return ""
            theirs = self.terms.theirs(self.edge, change, self.carried)
            return _formula(
                self.terms, self.found.value, self.found, theirs.text if theirs else None
            )
        pattern = THEIRS.get(self.mistake.message)
        line = right_line(self.terms, self.where)
        if not pattern or not line:
            return ""
        adjoint, right = line.split(" = ", 1)
        words = {"line": right, "factor": number(float(self.mistake.words.get("factor") or 1))}
        return f"{adjoint} = {pattern.format(**words)}"

    def text(self, language: str) -> str:
        """The mistake in words."""
        words, given = dict(self.mistake.words), self.found
        message = self.mistake.message
        if given is not None:
            rest = [t.text for t in self.terms.of(given.value) if t.text != given.text]
            if given.value in self.graph.seeds:
                rest.insert(0, f"∂L/∂{UNICODE.name(given.value, 't')}")
            words |= {
                "adjoint": self.terms.adjoint(given.value),
                "term": given.text,
                "value": self.name(given.value),
                "reader": self.name(given.reader or ""),
                "rest": joined(rest),
            }
        elif message in ("missing", "lost", "double", "sign"):
            words |= {
                "adjoint": self.terms.adjoint(self.where),
                "term": joined([t.text for t in self.terms.of(self.where)]) or "…",
                "rest": "…",
                "value": "",
                "reader": "",
            }
        if self.edge is not None:
            words.setdefault("operation", self.edge.op)
        if "value" in self.mistake.words:
            words["operand"] = self.value_text(self.mistake.words)
        if "by" in words:
            words["way"] = say("step.way", language).split(" | ")[words["by"] > 0]
        if message == "stale":
            words["lost"] = self._lost(words["without"], language)
        if message in ("factors exchanged", "gates exchanged"):
            words |= {key: self.name(words[key]) for key in "ab"}
        if "axis" in words:
            words["axis"] = say("not summed.axis", language).split(" | ")[words["axis"]]
        if "names" in words:
            several = len(words["names"]) > 3
            words["names"] = say("all", language) if several else ", ".join(words["names"])
        if "factor" in words:
            words["factor"] = number(words["factor"] or 1.0)
        if "other" in words:
            words["other"] = self._other(words["other"])
        words.setdefault("adjoint", self.terms.adjoint(self.where) if self.where else "")
        words.setdefault("term", self.term or "…")
        said = say(message, language, **words)
        return said + say("everywhere", language) if words.get("everywhere") else said

    def _other(self, other: Any) -> str:
        if isinstance(other, Tensor):
            return expression(other, UNICODE)
        known = other in self.graph.program.inputs or other in self.graph.program.equations
        if not known:
            return str(other)
        return UNICODE.name(other, None if self.terms.steady(other) else "t")

    def _lost(self, without: Any, language: str) -> str:
        """The term that was not yet there when an adjoint was read."""
        name = str(self.mistake.words["name"])
        if isinstance(without, str):
            return say(f"stale.{without}", language, name=UNICODE.name(name, "t"))
        term = self.terms.along(self.graph.step.at[without])
        return term.text if term else "…"

    def value_text(self, words: Mapping[str, Any]) -> str:
        """The value that a rule reads, or the part of it that is meant."""
        node, part = words["value"], words.get("part")
        if part is not None:
            node = node.inputs[part]
        return self.name(node.name) if node.name else expression(node, UNICODE)

    def name(self, value: str) -> str:
        """A value's name as text."""
        if not value:
            return ""
        return UNICODE.name(value, None if self.terms.steady(value) else "t")


@cache
def _words() -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for file in resources.files(__package__).iterdir():
        if file.name.endswith("words.toml"):
            found |= tomllib.loads(file.read_text(encoding="utf-8"))
    return found


def say(message: str, language: str, **words: Any) -> str:
    """A sentence of words.toml or of its neighbours, filled."""
    return _words()[message][language].format(**words)
