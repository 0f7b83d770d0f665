"""What `diagnose` found, and how it is told."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any

import numpy as np

from tinygrad_lstm.diagnosis.backward import Array, Edge, Mistake, Recorded
from tinygrad_lstm.diagnosis.terms import Term, Terms
from tinygrad_lstm.errors import UnknownNameError
from tinygrad_lstm.notation import number
from tinygrad_lstm.text import UNICODE, expression

LANGUAGES = ("en", "ko", "zh")


@dataclass(frozen=True)
class Explanation:
    """Mistakes that together give what was found, and how exactly."""

    mistakes: tuple[Mistake, ...]
    error: float

    @property
    def rank(self) -> tuple[float, float]:
        """Few mistakes before many, likely ones before others."""
        return len(self.mistakes), sum(m.rank for m in self.mistakes)


@dataclass(frozen=True)
class Diagnosis:
    """Whether gradients are right, and if not, which mistake makes them what they are.

    right: whether they are. where: the name of the first adjoint that differs, from the loss
    backward. kind: "missing term", "double term", "sign", "slope", "step", "exchange", "order",
    "transpose", "sum", "factor", "carried", "value" or "unexplained"; "" if right. term: the term
    concerned, as text. confidence: 1 where one mistake alone gives all numbers, less where others
    would give the same ones, 0 where none does. kinds: of all mistakes, where there are two.
    likely: the kinds of the likeliest explanations, the first first.
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

    def text(self, language: str = "en") -> str:
        """The diagnosis in words: en, ko or zh."""
        if language not in self.lines:
            raise UnknownNameError(f"no language {language!r}; there are {', '.join(self.lines)}.")
        return "\n".join(self.lines[language])

    def __str__(self) -> str:
        return self.text()

    def __bool__(self) -> bool:
        return self.right

    @classmethod
    def all_right(cls, graph: Recorded, off: Mapping[str, float]) -> Diagnosis:
        """Of gradients that are right."""
        worst = f"{max(off.values()):.0e}"
        lines = {tag: (say("right", tag, count=len(off), worst=worst),) for tag in LANGUAGES}
        return cls(True, lines=lines)

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
        first = explained[0].mistakes if explained else ()
        where = wrong[0] if wrong else str(first[0].words["name"])
        told = [Story(graph, terms, mistake, where) for mistake in first]
        if told and told[0].found:
            where = told[0].found.value
        seen, others = {tuple(story.key for story in told)}, list[list[Story]]()
        for explanation in explained[1:]:
            stories = [Story(graph, terms, mistake, where) for mistake in explanation.mistakes]
            if (key := tuple(story.key for story in stories)) not in seen:
                seen.add(key)
                others.append(stories)
        confidence = (1 / (1 + len(others)) if explained else 0.0) * (0.8 if len(first) > 1 else 1)
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
            shown.append(say("first", tag, adjoint=terms.adjoint(where), name=where))
            if line := _line(terms, where):
                shown.append(say("line", tag, line=line))
            if example:
                shown.append(say("example", tag, **example))
            if told:
                more = ""
                if others:
                    more = say(
                        "others", tag, count=len(others), next=others[0][0].text(tag).rstrip(".。")
                    )
                shown.append(say("sure", tag, others=more))
            lines[tag] = tuple(shown)
        kinds = tuple(mistake.kind for mistake in first) or ("unexplained",)
        likely = tuple(dict.fromkeys(e.mistakes[0].kind for e in explained))
        term = told[0].term if told else ""
        return cls(False, where, kinds[0], term, confidence, kinds, likely, example, lines)


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
    index = tuple(int(k) for k in np.unravel_index(int(off[name].argmax()), off[name].shape))
    sizes = {**graph.parameters.sizes, "time": len(graph)}
    return {
        "name": name,
        "index": str(list(index)),
        "theirs": number(float(found[name][index])),
        "true": number(float(right[name][index])),
        "sizes": ", ".join(f"{size}={n}" for size, n in sizes.items()),
    }


def _line(terms: Terms, where: str) -> str:
    """The right formula of an adjoint."""
    parts = [term.text for term in terms.of(where)]
    if not parts:
        return ""
    if where in terms.program.inputs and where != "x" and not where.startswith("prev."):
        parts = [f"Σ_t {part}" for part in parts]
    if where in terms.program.outputs:
        parts.insert(0, f"∂L/∂{UNICODE.name(where, 't')}")
    return f"{terms.adjoint(where)} = {' + '.join(parts)}"


class Story:
    """One mistake of a graph, in words."""

    def __init__(self, graph: Recorded, terms: Terms, mistake: Mistake, where: str) -> None:
        self.graph, self.terms, self.mistake, self.where = graph, terms, mistake, where
        edges = dict(
            way for _, ways in graph.edges for way in ways if way[1].t == min(1, len(graph) - 1)
        )
        self.edge: Edge | None = edges.get(mistake.place) if mistake.place else None
        found = terms.along(graph, self.edge) if self.edge else None
        name = mistake.words.get("name")
        if found is None and name in graph.start and mistake.kind == "carried":
            found = next((t for t in terms.of(str(name)) if "{t+1}" in t.text), None)
        self.found: Term | None = found
        self.term = found.text if found else ""

    @property
    def key(self) -> tuple[str, str]:
        """What two mistakes that are told alike have in common: the kind, and the term or words."""
        return self.mistake.kind, self.term or self.text("en")

    def text(self, language: str) -> str:
        """The mistake in words."""
        words, given = dict(self.mistake.words), self.found
        message = self.mistake.message
        if given is not None:
            rest = [term.text for term in self.terms.of(given.value) if term.text != given.text]
            if given.value in self.graph.seeds:
                rest.insert(0, f"∂L/∂{UNICODE.name(given.value, 't')}")
            words |= {
                "adjoint": self.terms.adjoint(given.value),
                "term": given.text,
                "value": self.name(given.value),
                "reader": self.name(given.reader or ""),
                "rest": " + ".join(rest) or "0",
            }
        elif message in ("missing", "lost", "double", "sign"):
            words |= {
                "adjoint": self.terms.adjoint(self.where),
                "term": " + ".join(term.text for term in self.terms.of(self.where)) or "…",
                "rest": "…",
                "value": "",
                "reader": "",
            }
        if self.edge is not None:
            words.setdefault("operation", self.edge.node.op)
            if "value" in self.mistake.words:
                words["operand"] = self.value_text(self.mistake.words)
        if "by" in words:
            words["way"] = say("step.way", language).split(" | ")[words["by"] > 0]
        if message == "factors exchanged":
            words |= {key: self.name(words[key]) for key in "ab"}
        if "axis" in words:
            words["axis"] = say("not summed.axis", language).split(" | ")[words["axis"]]
        if "names" in words:
            names = words["names"]
            words["names"] = say("all", language) if len(names) > 3 else ", ".join(names)
        if "factor" in words:
            words["factor"] = number(words["factor"])
        if "other" in words and words["other"] in self.graph.steps[0]:
            words["other"] = self.name(words["other"])
        words.setdefault("adjoint", self.terms.adjoint(self.where))
        words.setdefault("term", self.term or "…")
        return say(message, language, **words)

    def value_text(self, words: Mapping[str, Any]) -> str:
        """The value that a rule reads, or the part of it that is meant."""
        node, part = words["value"], words.get("part")
        if part is not None:
            node = node.inputs[part]
        return UNICODE.name(node.name, "t") if node.name else expression(node, UNICODE)

    def name(self, value: str) -> str:
        """A value's name as text."""
        return UNICODE.name(value, "t") if value else ""


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
