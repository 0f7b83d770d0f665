"""Small changes of a formula, each of which mends one slip: another step, value, sign, function."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice, permutations
from typing import Any

from tinygrad_lstm.diagnosis.formula import Part, Reference

OTHER = {"sigmoid": "tanh", "tanh": "sigmoid"}


@dataclass(frozen=True)
class Repair:
    """A formula with one slip mended. message: a key of formula.toml, filled with `words`."""

    kind: str
    message: str
    made: Part
    rank: float
    words: Mapping[str, Any] = field(default_factory=dict)


def repairs(
    formula: Part,
    text: Callable[[Reference], str],
    source: str,
    alike: Callable[[Reference], Sequence[tuple[str, Reference]]],
) -> Iterator[Repair]:
    """Every formula that differs from this one by one slip.

    text: how a value is written. alike: values that may stand in the place of one, each with the
    kind of mistake it is to take one for the other.
    """

    def theirs(part: Part) -> str:
        return source[part.start : part.end].strip() or "…"

    def here(part: Part) -> Iterator[Repair]:
        if part.reference is not None:
            found = part.reference
            for shift in (-1, 0, 1):
                if shift != found.shift:
                    other = found._replace(shift=shift)
                    words = {"theirs": text(found), "right": text(other)}
                    made = replace(part, reference=other)
                    yield Repair("step", "leaf", made, 0.95, words)
            for kind, other in alike(found):
                words = {"theirs": text(found), "right": text(other)}
                yield Repair(kind, "leaf", replace(part, reference=other), 1.3, words)
            yield Repair("slope", "not squared", _square(part), 1.2, {"theirs": text(found)})
        inputs, words = part.inputs, {"theirs": theirs(part)}
        if sum(p.reference is not None for p in part.all()) > 1:
            for by in (1, -1):
                if (moved := _moved(part, by)) is not None:
                    about = {"theirs": theirs(part), "right": written(moved, text)}
                    yield Repair("step", "leaf", moved, 0.96, about)
        if part.op == "list" and len(inputs) > 1:
            for order in islice(permutations(range(len(inputs))), 1, 24):
                turned = replace(part, inputs=tuple(inputs[k] for k in order))
                about = {"theirs": theirs(part), "right": written(turned, text)}
                yield Repair("order", "order of parts", turned, 1.0, about)
        if part.op in ("add", "subtract"):
            op = "subtract" if part.op == "add" else "add"
            about = {"theirs": theirs(inputs[1])}
            yield Repair("sign", "sign of term", replace(part, op=op), 0.98, about)
            for k in (0, 1):
                about = {"theirs": theirs(inputs[1 - k])}
                kept = inputs[k] if k == 0 or part.op == "add" else Part("negative", (inputs[1],))
                yield Repair("double term", "extra term", kept, 1.15, about)
            about = {"theirs": theirs(inputs[0])}
            turned = replace(part, inputs=(Part("negative", (inputs[0],)), inputs[1]))
            yield Repair("sign", "sign of term", turned, 0.99, about)
        elif part.op in ("multiply", "dot"):
            for k in (0, 1):
                about = {"theirs": theirs(inputs[1 - k])}
                yield Repair("factor", "extra factor", inputs[k], 1.2, about)
        elif part.op == "power":
            yield Repair("slope", "squared", inputs[0], 1.2, words)
        elif part.op == "negative":
            yield Repair("sign", "sign of term", inputs[0], 0.98, {"theirs": theirs(inputs[0])})
        elif part.op == "transposed":
            yield Repair("transpose", "transposed too much", inputs[0], 0.97, words)
        elif part.op in OTHER or part.op.removeprefix("slope ") in OTHER:
            name = part.op.removeprefix("slope ")
            changed = replace(part, op=part.op.replace(name, OTHER[name]))
            yield Repair("slope", "function", changed, 1.1, words)
            turned = replace(part, op=name if part.op != name else f"slope {name}")
            key = "slope for value" if part.op != name else "value for slope"
            yield Repair("slope", key, turned, 1.1, words)
            yield Repair("slope", "not squared", _square(part), 1.2, words)
            yield Repair("value", "extra function", inputs[0], 1.25, words)
        if part.op in ("value", "block", "group"):
            turned = Part("transposed", (part,), start=part.start, end=part.end)
            yield Repair("transpose", "not transposed", turned, 0.97, words)

    def everywhere(part: Part) -> Iterator[Repair]:
        yield from here(part)
        for k, below in enumerate(part.inputs):
            for found in everywhere(below):
                inputs = (*part.inputs[:k], found.made, *part.inputs[k + 1 :])
                yield replace(found, made=replace(part, inputs=inputs))

    yield from everywhere(formula)
    words = {"theirs": theirs(formula)}
    yield Repair("sign", "sign of all", Part("negative", (formula,)), 0.97, words)
    for factor in (2.0, 0.5):
        scaled = Part("multiply", (Part("number", value=factor), formula))
        yield Repair("factor", "scaled", scaled, 1.3, {"factor": f"{1 / factor:g}"})


def _moved(part: Part, by: int) -> Part | None:
    """A part of a formula, one step on; None where that is beyond the step after or before."""
    reference = part.reference
    if reference is not None:
        if abs(reference.shift + by) > 1:
            return None
        return replace(part, reference=reference._replace(shift=reference.shift + by))
    inputs = [_moved(i, by) for i in part.inputs]
    if any(i is None for i in inputs):
        return None
    return replace(part, inputs=tuple(i for i in inputs if i is not None))


_INFIX = {"add": " + ", "subtract": " - ", "multiply": " ⊙ ", "divide": " / ", "dot": "·"}
_INFIX |= {"outer": " ⊗ ", "greater": " > ", "less": " < "}


def written(part: Part, text: Callable[[Reference], str]) -> str:
    """A formula as one reads it."""
    if part.reference is not None:
        return text(part.reference)
    inner = [written(i, text) for i in part.inputs]
    if part.op == "number":
        return f"{part.value:g}"
    if part.op in _INFIX:
        return _INFIX[part.op].join(inner)
    if part.op == "group":
        return inner[0] if part.inputs[0].op in ("number", "value") else f"({inner[0]})"
    if part.op == "list":
        return f"[{', '.join(inner)}]"
    if part.op == "block":
        block = part.block if part.block.isalnum() else f"{{{part.block}}}"
        return f"[{inner[0]}]_{block}"
    shown = {"negative": "-{}", "transposed": "{}ᵀ", "over steps": "Σ_t {}", "abs": "|{}|"}
    if part.op in shown:
        return shown[part.op].format(inner[0])
    if part.op == "power":
        base = part.inputs[0]
        upper = (
            "²" if inner[1] == "2" else f"^{inner[1] if inner[1].isalnum() else f'({inner[1]})'}"
        )
        if base.inputs and base.op.isalpha() and base.op not in (*_INFIX, *shown, "group", "list"):
            name, _, rest = inner[0].partition("(")
            return f"{name}{upper}({rest}"
        return f"{inner[0]}{upper}"
    name = part.op.replace("sigmoid", "σ")
    name = name.removeprefix("slope ") + "'" * name.startswith("slope ")
    return f"{name}({', '.join(inner)})"


def _square(part: Part) -> Part:
    return Part("power", (part, Part("number", value=2.0)))
