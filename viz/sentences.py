"""Alternative text: what a figure shows, in sentences made from the equations."""

from __future__ import annotations

from collections.abc import Iterable

from equations import name_unicode
from tinygrad_lstm.recurrent import Cell
from viz.anatomy import Anatomy, Part, anatomy
from viz.placement import belts_of


def listed(words: Iterable[str]) -> str:
    """`a, b and c`."""
    several = list(words)
    return " and ".join(filter(None, [", ".join(several[:-1]), *several[-1:]])) or "nothing"


def inputs(a: Anatomy) -> str:
    """x and the further inputs of a cell."""
    return listed(_input(a, name) for name in a.inputs)


def of_cell(cell: Cell) -> str:
    """A cell's figure: what enters, what each equation does, what leaves."""
    a = anatomy(cell)
    previous = [name_unicode(f"prev.{state}") for state in a.states]
    said = [
        f"One step of the cell {cell.name}. From the left "
        f"{'come' if len(previous) > 1 else 'comes'} {listed(previous)}, "
        f"from below {inputs(a)}."
    ]
    said += [f"{_equation(a, name)}." for name in a.alias]
    for state in belts_of(a):
        said.append(f"{name_unicode(state)} runs straight along a belt on top.")
    leaving = listed(name_unicode(state) for state in a.states)
    first = name_unicode(next(iter(a.states)))
    said.append(f"To the right {'leave' if len(previous) > 1 else 'leaves'} {leaving}; {first} is "
                "also the output above.")  # fmt: skip
    return " ".join(said)


def _input(a: Anatomy, key: str) -> str:
    return name_unicode(key, None) if key in a.cell.constants else name_unicode(key)


def _equation(a: Anatomy, name: str) -> str:
    key = a.alias[name]
    left = name_unicode(name)
    if key not in a.parts or name != a.parts[key].names[0]:
        return f"{left} is {_value(a, key, name)}"
    part = a.parts[key]
    if part.layer:
        merged = listed(_value(a, i, name) for i in part.inputs)
        verb = "merge and pass" if len(part.inputs) > 1 else "passes"
        weights = listed(name_unicode(w, None) for w in part.weights)
        kind = f"a {part.text} layer" if part.text not in part.weights else "a linear layer"
        return f"{merged} {verb} through {kind} with {weights}, which gives {left}"
    return f"{left} = {_expression(a, part, name)}"


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
