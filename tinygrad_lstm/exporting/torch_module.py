"""A cell as a module of PyTorch."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from tinygrad_lstm import sizes as dimensions
from tinygrad_lstm.errors import TinygradError
from tinygrad_lstm.exporting.python_layout import call_with, docstring, spread, spread_call
from tinygrad_lstm.exporting.subject import Layer
from tinygrad_lstm.exporting.torch_step import Step, unpacked
from tinygrad_lstm.step import Cell
from tinygrad_lstm.text import UNICODE

_FILLS = {
    "zero": "nn.init.zeros_({0})",
    "one": "nn.init.ones_({0})",
    "uniform": "nn.init.uniform_({0}, -bound, bound)",
    "glorot": "nn.init.xavier_uniform_({0})",
    "orthogonal": "nn.init.orthogonal_({0})",
    "identity": "nn.init.eye_({0})",
}


class Module:
    """One class: a cell at its sizes, or at any where its equations are the same at all of them.

    kept: equations that layers above read beside the output.
    """

    def __init__(self, layer: Layer, name: str, kept: Sequence[str]) -> None:
        self.layer, self.name, self.kept = layer, name, list(kept)
        self.step = Step(layer, self.kept)
        self.cell: Cell = layer.cell

    @cached_property
    def any_size(self) -> bool:
        """Whether the same text is right at other sizes."""
        cell = self.cell
        if self.step.constants or not cell.sizes:
            return False
        known = self.layer.program.sizes
        others = {n: known[n] + 2 + 3 * k for k, n in enumerate(cell.sizes)}
        try:
            other = Step(self.layer, self.kept, cell.program(**others))
        except TinygradError:
            return False
        return other.lines == self.step.lines and not other.constants

    @property
    def sizes(self) -> dict[str, int]:
        """The sizes that tell all others, those of x first."""
        known = self.layer.program.sizes
        order = dict.fromkeys([*dimensions.names({"x": self.cell.x}), *self.cell.sizes])
        return {n: known[n] for n in order if n in self.cell.sizes}

    def call(self) -> str:
        """How an object is made: LSTM(inputs=3, hidden=4)."""
        if not self.any_size:
            return f"{self.name}()"
        return (
            f"{self.name}({', '.join(f'{self._argument(n)}={k}' for n, k in self.sizes.items())})"
        )

    def _argument(self, size: str) -> str:
        return self.step.sizes[size]

    def _words(self, words: str) -> list[str]:
        """A shape in words, each size by what it is called in the constructor."""
        if not self.any_size:
            known = self.layer.program.sizes
            return [str(n) for n in dimensions.shape(words, known)]
        names = {
            n: f"self.{own}" if n in self.cell.derived else own
            for n, own in self.step.sizes.items()
        }
        return [re.sub(r"[^\W\d]\w*", lambda f: names.get(f[0], f[0]), t) for t in _axes(words)]

    # --- the class --------------------------------------------------------------------------------
    def lines(self) -> Iterator[str]:
        """The class."""
        cell, step = self.cell, self.step
        yield f"class {self.name}(nn.Module):"
        yield from self._doc()
        arguments = [f"{self._argument(n)}={k}" for n, k in self.sizes.items() if self.any_size]
        yield f"    def __init__({', '.join(['self', *arguments])}):"
        yield "        super().__init__()"
        for n in self.sizes:
            own = self._argument(n)
            value = own if self.any_size else str(self.layer.program.sizes[n])
            yield f"        self.{own} = {value}"
        for n, words in cell.derived.items():
            value = self._words(words)[0]
            yield f"        self.{self._argument(n)} = {value}"
        for n, words in cell.parameters.items():
            shape = self._words(words)
            inside = ", ".join(shape) if shape else "()"
            yield f"        self.{step.parameters[n]} = nn.Parameter(torch.empty({inside}))"
        if cell.parameters:
            yield "        self.reset_parameters()"
            yield ""
            yield "    def reset_parameters(self):"
            yield '        """Fresh numbers to train from."""'
            yield from self._reset()
        yield ""
        yield from self._forward()

    def _doc(self) -> Iterator[str]:
        program = self.layer.program
        first = (self.cell.doc.splitlines() or [self.cell.name])[0].strip()
        lines = [program.text(n, UNICODE) for n in program.equations]
        yield from docstring(first or self.cell.name, "At each step t:", lines, 4)
        yield ""

    def _reset(self) -> Iterator[str]:
        groups: dict[Any, list[str]] = {}
        for n, words in self.cell.parameters.items():
            usual = "uniform" if len(dimensions.parse(words)) > 1 else "zero"
            fill = self.cell.start.get(n, usual)
            groups.setdefault(fill, []).append(f"self.{self.step.parameters[n]}")
        for fill, names in groups.items():
            template = (
                _FILLS[fill] if isinstance(fill, str) else f"nn.init.constant_({{0}}, {fill!r})"
            )
            if len(names) == 1 and fill != "uniform":
                yield from spread_call(template.format(names[0]), 8)
                continue
            comma = [""] if len(names) == 1 else []
            yield from spread("for parameter in (", names, f"{',' * len(comma)}):", 8)
            if fill == "uniform":
                yield "            bound = parameter.shape[-1] ** -0.5"
            yield f"            {template.format('parameter')}"

    def _forward(self) -> Iterator[str]:
        cell, step, program = self.cell, self.step, self.layer.program
        states = list(cell.state)
        before = [step.before[n] for n in states]
        sequences = [n for n in cell.extra_inputs if n in cell.sequences]
        further = [step.arguments[n] for n in cell.extra_inputs]
        takes = ["self", "xs", *further, "state=None"]
        yield f"    def forward({', '.join(takes)}):"
        yield from self._forward_doc()
        body = list(self._body())
        loose = [n for n in {*states, cell.output, *self.kept} if not step.batched[n]]
        starts = list(self._starts())
        if step.uses_batch or loose or cell.constants or starts:
            yield "        batch = xs.shape[1]"
        for n in cell.constants:
            own, rank = step.arguments[n], program.inputs[n].ndim
            keep = "".join([", -1"] * rank)
            yield f"        if {own}.dim() == {rank}:  # one for all samples"
            yield f"            {own} = {own}.expand(batch{keep})"
        for n in sequences:
            own, rank = step.arguments[n], program.inputs[n].ndim
            keep = "".join([", -1"] * rank)
            yield f"        if {own}.dim() == {rank + 1}:  # one for all samples"
            yield f"            {own} = {own}[:, None].expand(-1, xs.shape[1]{keep})"
        yield "        if state is None:"
        yield from starts
        yield f"        {unpacked(before)} = state"
        text = "\n".join(step.lines)
        for n, data in step.constants.items():
            if not re.search(rf"\b{n}\b", text):
                continue  # written as one number
            yield from call_with(f"{n} = xs.new_tensor(", np.asarray(data), 8)
        outputs = {
            n: f"{'outputs' if k == 0 else f'outputs_{k + 1}'}"
            for k, n in enumerate([cell.output, *self.kept])
        }
        for own in outputs.values():
            yield f"        {own} = []"
        if sequences:
            over = ", ".join(["xs", *(step.arguments[n] for n in sequences)])
            each = ", ".join([step.x, *(step.now[n] for n in sequences)])
            yield f"        for {each} in zip({over}, strict=True):"
        else:
            yield f"        for {step.x} in xs:"
        yield from (f"            {line}" for line in body)
        for n, own in outputs.items():
            yield f"            {own}.append({step.names[n]})"
        yield f"            {', '.join(before)} = {', '.join(step.names[n] for n in states)}"
        made = f"torch.stack(outputs), {_packed(before)}"
        for n in self.kept:
            made += f", torch.stack({outputs[n]})"
        yield f"        return {made}"

    def _body(self) -> Iterator[str]:
        yield from self.step.lines
        for n in dict.fromkeys([*self.cell.state, self.cell.output, *self.kept]):
            node, own = self.layer.program.equations[n], self.step.names[n]
            if not self.step.batched[n]:  # it depends on no sample, and stands for all of them
                shape = "".join(f", {k}" for k in self._lengths(node.shape))
                yield f"{own} = {self.step.x}.new_zeros(batch{shape}) + {own}"
            elif node.dtype.kind == "b":
                yield f"{own} = {own}.to({self.step.x}.dtype)"

    def _lengths(self, shape: tuple[int, ...]) -> list[str]:
        return [self.step.style.index(n) for n in shape]

    def _starts(self) -> Iterator[str]:
        """The states before the first step, where none are given."""
        made = []
        for n, words in self.cell.state.items():
            lengths = "".join(f", {k}" for k in map(self.step.style.length, _axes(words)))
            value = self.cell.start.get(n, 0.0)
            if isinstance(value, str):
                data = self.cell.initial(n, self.layer.program.inputs[f"prev.{n}"].shape, float)
                made.append(f"xs.new_tensor({data.tolist()}).expand(batch{lengths})")
            elif value == 0:
                made.append(f"xs.new_zeros(batch{lengths})")
            else:
                number = self.step.style.number(value).text
                made.append(f"xs.new_full((batch{lengths}{',' * (not lengths)}), {number})")
        if len(made) > 1 and len(set(made)) == 1:
            yield f"            start = {made[0]}"
            yield from spread("state = (", ["start"] * len(made), ")", 12)
        elif len(made) == 1:
            yield f"            state = ({made[0]},)"
        else:
            yield from spread("state = (", made, ")", 12)

    def _forward_doc(self) -> Iterator[str]:
        cell = self.cell
        states = ", ".join(cell.state)
        notes = [f"xs: ({', '.join(filter(None, ['time, batch', cell.x]))})."]
        for n, words in cell.sequences.items():
            noise = ", of N(0, 1)" if n in cell.noise else ""
            axes = ", ".join(filter(None, ["time, batch", words]))
            notes.append(f"{self.step.arguments[n]}: ({axes}){noise}.")
        for n, words in cell.constants.items():
            axes = ", ".join(filter(None, ["batch", words]))
            notes.append(f"{self.step.arguments[n]}: ({axes}), or without batch.")
        shapes = dict.fromkeys(cell.state.values())
        described = (
            ", ".join(filter(None, ["batch", next(iter(shapes))])) if len(shapes) == 1 else ""
        )
        comma = "," * (len(cell.state) == 1)
        what = f"state: ({states}{comma})" + (f", each ({described})." if described else ".")
        notes.append(what)
        returned = f"The output {cell.output} at each step, the states after the last one"
        returned += "".join(f", {n} at each step" for n in self.kept) + "."
        yield from docstring(returned, "", notes, 8)


def class_name(name: str) -> str:
    """A cell's name as that of a class: lstm is LSTM, gru_reset_after GRUResetAfter."""
    words = [word for word in name.split("_") if word]
    done: list[str] = []
    for word in words:
        letters = re.sub(r"\d", "", word).lower()
        short = len(letters) <= 3 and not done or letters and not re.search("[aeiouy]", letters)
        done.append(word.upper() if short and word.isascii() else word[:1].upper() + word[1:])
    return "".join(done) or "Cell"


def _axes(words: str) -> list[str]:
    """The axes of a shape in words as Python writes them: 2 hidden is 2 * hidden."""
    axes = [axis.strip() for axis in words.split(",") if axis.strip()]
    return [re.sub(r"(\d)\s*(?=[^\W\d])", r"\1 * ", axis) for axis in axes]


def _packed(names: Sequence[str]) -> str:
    return f"({', '.join(names)}{',' * (len(names) == 1)})"
