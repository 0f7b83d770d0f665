"""A cell as a listing: the Python text from which `@cell` makes it again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from tinygrad_lstm.errors import CellError
from tinygrad_lstm.plain_style import Attributes, Piece, Plain
from tinygrad_lstm.sizes import ATOM
from tinygrad_lstm.step import Cell
from tinygrad_lstm.tensor import TABLE, Tensor
from tinygrad_lstm.text import expression


def listing(cell: Cell, name: str = "", about: str = "") -> str:
    """The Python text of a cell, a file of its own: `path/to/file.py:NAME` finds it again.

    name: of the function; about: its docstring. CellError where an equation has an operation on
    axes other than products and concatenation, which a mutant of vectors does not.
    """
    program, name = cell.program(), name or cell.name
    style = _Listing(str(cell))
    names: dict[Tensor, str] = {}
    for own, node in program.inputs.items():
        names[node] = own if own in ("x", *cell.extra_inputs) else f"p.{own}"
        if own.startswith("prev."):
            names[node] = own
    names |= {node: f"now.{own}" for own, node in program.equations.items()}
    lines = []
    for own, node in program.equations.items():
        lines.append(f"    now.{own} = {expression(node, style, names)}")
    further = "".join(f", {n}" for n in cell.extra_inputs)
    states = list(dict.fromkeys(cell.state.values()))
    state: Any = " ".join(cell.state) if states == ["hidden"] else _joined(cell.state)
    declared = [f"state={_quoted(state)}"]
    declared += [f"x={_quoted(cell.x)}"] * (cell.x != "inputs")
    steps = {n: w for n, w in cell.sequences.items() if n not in cell.noise}
    tables = {"parameters": cell.parameters, "sequences": steps, "constants": cell.constants}
    tables |= {"noise": cell.noise}
    declared += [f"{what}={_quoted(_joined(table))}" for what, table in tables.items() if table]
    declared += [f"start={_quoted(dict(cell.start))}"] * bool(cell.start)
    sizes = {n: f"at least {least}" for n, least in cell.bounds.items()} | dict(cell.derived)
    declared += [f"sizes={_quoted(sizes)}"] * bool(sizes)
    for what, value in (("output", cell.declared_output), ("loss", cell.loss)):
        declared += [f"{what}={_quoted(value)}"] * bool(value)
    used = ", ".join(["cell", *sorted(style.used)])
    text = "\n    ".join(f"{each}," for each in declared)
    said = f'    """{about}"""\n' if about else ""
    return (
        f"from tinygrad_lstm import {used}\n\n\n@cell(\n    {text}\n)\n"
        f"def {name}(now, prev, x, p{further}):\n{said}" + "\n".join(lines) + "\n"
    )


def _joined(shapes: Any) -> dict[str, str]:
    """{"a": shape, "b": shape} as {"a b": shape}."""
    words: dict[str, list[str]] = {}
    for name, shape in shapes.items():
        words.setdefault(shape, []).append(name)
    return {" ".join(names): shape for shape, names in words.items()}


def _quoted(value: Any) -> str:
    """Words and numbers as Python reads them, in the quotes of the house."""
    return json.dumps(value, ensure_ascii=False)


class _Listing(Plain):
    """Operations as Python writes them; `used` are the functions that are called."""

    def __init__(self, owner: str) -> None:
        super().__init__(digits=17)
        self.owner, self.used = owner, set[str]()

    def operation(self, op: str, parts: Sequence[Piece], attributes: Attributes) -> Piece:
        """An operation by its sign, or by its function."""
        if op == "identity":
            return parts[0]
        record = TABLE.get(op)
        plain = record is not None and (
            record.signature == "elementwise" or op in ("matvec", "vecdot", "matmul")
        )
        if op == "concat" and attributes.get("axis") == -1:
            return self._call(op, parts)
        if not plain or attributes:
            raise CellError(f"{self.owner}: {op} is not written in a listing.")
        assert record is not None
        if record.infix is None or record.signature != "elementwise":
            return self._call(op, parts)
        return super().operation(op, parts, attributes)

    def _call(self, op: str, parts: Sequence[Piece]) -> Piece:
        self.used.add(op)
        return Piece(f"{op}({', '.join(part.text for part in parts)})", ATOM)
