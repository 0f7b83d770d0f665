"""Alternative text: what a figure shows, in sentences made from the equations."""

from __future__ import annotations

from collections.abc import Iterable

from equations import name_unicode
from equations.wording import Said, joined
from tinygrad_lstm.recurrent import Cell
from viz.anatomy import Anatomy, Part, anatomy
from viz.placement import belts_of


def listed(words: Iterable[str]) -> str:
    """`a, b and c`."""
    several = list(words)
    if len(several) < 2:
        return several[0] if several else Said("nothing")
    before = joined(several[:-1], "{first}, {rest}")
    return Said("{before} and {last}", before=before, last=several[-1])


def inputs(a: Anatomy) -> str:
    """x and the further inputs of a cell."""
    return listed(_input(a, name) for name in a.inputs)


def of_cell(cell: Cell) -> str:
    """A cell's figure: what enters, what each equation does, what leaves."""
    a = anatomy(cell)
    previous = [name_unicode(f"prev.{state}") for state in a.states]
    several = len(previous) > 1
    said: list[str] = [
        Said(
            "One step of the cell {cell}. From the left "
            f"{'come' if several else 'comes'} {{states}}, from below {{inputs}}.",
            cell=cell.name, states=listed(previous), inputs=inputs(a),
        )
    ]  # fmt: skip
    said += [Said("{equation}.", equation=_equation(a, name)) for name in a.alias]
    for state in belts_of(a):
        said.append(
            Said("{state} runs straight along a belt on top.", state=name_unicode(state))
        )
    said.append(
        Said(
            f"To the right {'leave' if several else 'leaves'} {{states}}; {{first}} is also the "
            "output above.",
            states=listed(name_unicode(state) for state in a.states),
            first=name_unicode(next(iter(a.states))),
        )
    )
    return joined(said)


def _input(a: Anatomy, key: str) -> str:
    return name_unicode(key, None) if key in a.cell.constants else name_unicode(key)


def _equation(a: Anatomy, name: str) -> str:
    key = a.alias[name]
    left = name_unicode(name)
    if key not in a.parts or name != a.parts[key].names[0]:
        return Said("{left} is {right}", left=left, right=_value(a, key, name))
    part = a.parts[key]
    if part.layer:
        verb = "merge and pass" if len(part.inputs) > 1 else "passes"
        linear = part.text in part.weights
        return Said(
            f"{{inputs}} {verb} through {{layer}} with {{weights}}, which gives {{value}}",
            inputs=listed(_value(a, i, name) for i in part.inputs),
            layer=Said("a linear layer") if linear else Said("a {name} layer", name=part.text),
            weights=listed(name_unicode(w, None) for w in part.weights), value=left,
        )  # fmt: skip
    return Said("{left} = {right}", left=left, right=_expression(a, part, name))


def _value(a: Anatomy, key: str, equation: str) -> str:
    """A value by its name, or by what computes it if it has none."""
    part = a.parts.get(key)
    if part is None or part.names:
        return name_unicode(part.names[0]) if part else _input(a, key)
    return _expression(a, part, equation, inside=True)


def _expression(a: Anatomy, part: Part, equation: str, inside: bool = False) -> str:
    operands = [_value(a, i, equation) for i in part.inputs]
    if part.layer:
        return f"{part.text}({', '.join(operands)})"
    if part.text in ("+", "−", "×", "÷"):
        if len(operands) == 1:
            operands *= 2
        text = f" {part.text} ".join(operands)
        return f"({text})" if inside and part.text in ("+", "−") else text
    if len(operands) == 1 and part.text.endswith(("−", "+", "×", "÷")) and len(part.text) > 1:
        return f"({part.text[:-1]} {part.text[-1]} {operands[0]})"
    if len(operands) == 1 and part.text[:1] in "+−×÷" and len(part.text) > 1:
        return f"({operands[0]} {part.text[0]} {part.text[1:]})"
    return f"{part.text}({', '.join(operands)})"
