"""PyTorch: a module as a person would write it, with its numbers and a test, in one file."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from tinygrad_lstm import sizes as dimensions
from tinygrad_lstm.errors import TinygradError
from tinygrad_lstm.exporting.subject import ExportError, Layer, Subject
from tinygrad_lstm.exporting.torch_step import TAKEN, WIDTH, Step, unpacked
from tinygrad_lstm.kernels.names import distinct
from tinygrad_lstm.step import Cell
from tinygrad_lstm.tensor import Array
from tinygrad_lstm.text import UNICODE
from tinygrad_lstm.version import __version__

_MANY = 60  # numbers of an array from which on it is written in base64
_FILLS = {
    "zero": "nn.init.zeros_({0})",
    "one": "nn.init.ones_({0})",
    "uniform": "nn.init.uniform_({0}, -bound, bound)",
    "glorot": "nn.init.xavier_uniform_({0})",
    "orthogonal": "nn.init.orthogonal_({0})",
    "identity": "nn.init.eye_({0})",
}


def torch_text(subject: Subject) -> str:
    """The text of a Python file with the modules of a network."""
    return "\n".join(_File(subject).lines()) + "\n"


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
        return f"{self.name}({', '.join(f'{self._argument(n)}={k}' for n, k in self.sizes.items())})"

    def _argument(self, size: str) -> str:
        return self.step.sizes[size]

    def _words(self, words: str) -> list[str]:
        """A shape in words, each size by what it is called in the constructor."""
        names = self.step.sizes if self.any_size else self._numbers
        axes = [axis.strip() for axis in words.split(",") if axis.strip()]
        done = []
        for axis in axes:
            text = re.sub(r"(\d)\s*(?=[^\W\d])", r"\1 * ", axis)
            if not self.any_size:
                (parsed,) = dimensions.parse(axis)
                done.append(str(dimensions.value(parsed, self.layer.program.sizes)))
                continue
            derived = {n: f"self.{own}" for n, own in names.items() if n in self.cell.derived}
            done.append(
                re.sub(
                    r"[^\W\d]\w*",
                    lambda f: derived.get(f[0], names.get(f[0], f[0])),
                    text,
                )
            )
        return done

    @property
    def _numbers(self) -> dict[str, str]:
        return {n: str(k) for n, k in self.layer.program.sizes.items()}

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
        yield from _docstring(first or self.cell.name, "At each step t:", lines, 4)
        yield ""

    def _reset(self) -> Iterator[str]:
        groups: dict[Any, list[str]] = {}
        for n, words in self.cell.parameters.items():
            usual = "uniform" if len(dimensions.parse(words)) > 1 else "zero"
            fill = self.cell.start.get(n, usual)
            groups.setdefault(fill, []).append(f"self.{self.step.parameters[n]}")
        for fill, names in groups.items():
            template = _FILLS[fill] if isinstance(fill, str) else f"nn.init.constant_({{0}}, {fill!r})"
            if len(names) == 1 and fill != "uniform":
                yield from _spread_call(template.format(names[0]), 8)
                continue
            comma = [""] if len(names) == 1 else []
            yield from _spread("for parameter in (", names, f"{',' * len(comma)}):", 8)
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
        shared = [n for n in cell.constants]
        starts = list(self._starts())
        if step.uses_batch or loose or shared or starts:
            yield "        batch = xs.shape[1]"
        for n in shared:
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
        for n, data in step.constants.items():
            yield from _call(f"{n} = xs.new_tensor(", np.asarray(data), 8)
        outputs = {n: f"{'outputs' if k == 0 else f'outputs_{k + 1}'}" for k, n in enumerate([cell.output, *self.kept])}
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
            lengths = "".join(f", {k}" for k in self._state_words(words))
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
            yield from _spread("state = (", ["start"] * len(made), ")", 12)
        elif len(made) == 1:
            yield f"            state = ({made[0]},)"
        else:
            yield from _spread("state = (", made, ")", 12)

    def _state_words(self, words: str) -> list[str]:
        axes = [axis.strip() for axis in words.split(",") if axis.strip()]
        texts = (re.sub(r"(\d)\s*(?=[^\W\d])", r"\1 * ", axis) for axis in axes)
        return [self.step.style.length(text) for text in texts]

    def _forward_doc(self) -> Iterator[str]:
        cell = self.cell
        states = ", ".join(cell.state)
        notes = [f"xs: ({', '.join(filter(None, ['time, batch', cell.x]))})."]
        for n, words in cell.sequences.items():
            noise = ", of N(0, 1)" if n in cell.noise else ""
            notes.append(f"{self.step.arguments[n]}: ({', '.join(filter(None, ['time, batch', words]))}){noise}.")
        for n, words in cell.constants.items():
            notes.append(f"{self.step.arguments[n]}: ({', '.join(filter(None, ['batch', words]))}), or without batch.")
        shapes = dict.fromkeys(cell.state.values())
        described = ", ".join(filter(None, ["batch", next(iter(shapes))])) if len(shapes) == 1 else ""
        comma = "," * (len(cell.state) == 1)
        what = f"state: ({states}{comma})" + (f", each ({described})." if described else ".")
        notes.append(what)
        returned = f"The output {cell.output} at each step, the states after the last one"
        returned += "".join(f", {n} at each step" for n in self.kept) + "."
        yield from _docstring(returned, "", notes, 8)


class _File:
    """The whole file."""

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self.modules: dict[str, Module] = {}  # by the layer's name
        self.classes: list[Module] = []
        taken = set(TAKEN) | {"Network", "CharacterModel", "nn", "WEIGHTS", "SYMBOLS"}
        for layer in subject.layers:
            kept = _kept(subject, layer.cell)
            for made in self.classes:
                if made.cell is layer.cell and (made.any_size or made.sizes == layer.program.sizes):
                    self.modules[layer.name] = Module(layer, made.name, kept)
                    break
            else:
                name = distinct(class_name(layer.cell.name), taken)
                self.modules[layer.name] = Module(layer, name, kept)
                self.classes.append(self.modules[layer.name])
        self.members = self._members()

    def _members(self) -> dict[str, str]:
        """What the network calls its layers."""
        taken = set(TAKEN) | {"E", "W_y", "b_y"}
        if len(self.subject.layers) == 1 and not self.subject.layers[0].name:
            return {"": distinct("cell", taken)}
        return {
            layer.name: distinct(
                f"layer_{layer.name}" if layer.name[0].isdigit() else f"{layer.name}_", taken
            ).replace(".", "_")
            for layer in self.subject.layers
        }

    @property
    def single(self) -> bool:
        """Whether the module is a cell's own."""
        return len(self.subject.layers) == 1 and not self.subject.reader and not self.subject.layers[0].reverse

    @property
    def whole(self) -> tuple[str, str]:
        """The class of all, and how one is made."""
        if self.subject.reader:
            return "CharacterModel", "CharacterModel()"
        if self.single:
            return self.classes[0].name, self.classes[0].call()
        return "Network", "Network()"

    def lines(self) -> Iterator[str]:
        """The file."""
        yield from self._head()
        functions: dict[str, list[str]] = {}
        for module in self.classes:
            functions |= module.step.functions
        for text in functions.values():
            yield from ["", "", *text]
        for module in self.classes:
            yield from ["", "", *module.lines()]
        if not self.single:
            yield from ["", "", *self._network()]
        yield from ["", "", *self._data()]

    def _head(self) -> Iterator[str]:
        subject = self.subject
        name, made = self.whole
        yield f'"""{subject.name}, a module of PyTorch made by tinygrad-lstm {__version__}.'
        yield ""
        yield f"    model = {made}"
        what = "trained" if subject.trained else "drawn"
        yield f"    model.load_state_dict(weights())  # the numbers that were {what}"
        if subject.reader:
            yield '    model.write("The ", 200)  # what it goes on with'
        else:
            yield f"    outputs, state = model(xs)  # xs: (time, batch, {subject.layers[0].cell.x or 'without axes'})"
        yield ""
        yield "Run as a program it computes an example and compares it with the right numbers."
        yield '"""'
        yield ""
        body = "\n".join(
            line
            for module in self.classes
            for line in [*module.lines(), *(t for f in module.step.functions.values() for t in f)]
        )
        yield "import base64"
        if "math." in body:
            yield "import math"
        yield ""
        yield "import torch"
        yield "from torch import nn"
        if subject.reader:
            yield ""
            yield "# symbol number k is SYMBOLS[k]"
            yield from _string("SYMBOLS", subject.reader.symbols)

    # --- networks -----------------------------------------------------------------------------
    def _network(self) -> Iterator[str]:
        subject, reader = self.subject, self.subject.reader
        name, _ = self.whole
        yield f"class {name}(nn.Module):"
        if reader:
            yield '    """Reads symbols by their numbers, and scores which one comes next."""'
        else:
            yield f'    """{_sentence(subject)}"""'
        yield ""
        yield "    def __init__(self):"
        yield "        super().__init__()"
        n = len(reader.symbols) if reader else 0
        if reader and reader.embedding is not None:
            yield f"        self.E = nn.Parameter(torch.randn({n}, {reader.embedding.shape[1]}))"
        for layer, member in self.members.items():
            yield f"        self.{member} = {self.modules[layer].call()}"
        if reader:
            yield f"        self.W_y = nn.Parameter(torch.randn({n}, {reader.W_y.shape[1]}) * {reader.W_y.shape[1]}**-0.5)"
            yield f"        self.b_y = nn.Parameter(torch.zeros({n}))"
        yield ""
        arguments = [own for own, _, _ in self._further()]
        x = "ids" if reader else "xs"
        yield f"    def forward({', '.join(['self', x, *arguments, 'state=None'])}):"
        yield from self._network_doc()
        if reader and reader.embedding is not None:
            yield "        xs = self.E[ids]"
        elif reader:
            yield f"        xs = nn.functional.one_hot(ids, {n}).to(self.W_y.dtype)"
        several = len(subject.layers) > 1
        if several:
            yield "        if state is None:"
            yield f"            state = [None] * {len(subject.layers)}"
        found: dict[tuple[str, str], str] = {}
        finals = []
        for k, layer in enumerate(subject.layers):
            yield from self._layer_call(k, layer, found, finals, several)
        ends = [found[end, subject.layer(end).cell.output] for end in subject.ends]
        outputs = ends[0] if len(ends) == 1 else f"torch.cat([{', '.join(ends)}], dim=-1)"
        if reader:
            outputs = f"{outputs} @ self.W_y.T + self.b_y"
        final = f"({', '.join(finals)})" if several else finals[0]
        yield f"        return {outputs}, {final}"
        if reader:
            yield from _WRITE

    def _layer_call(
        self,
        k: int,
        layer: Layer,
        found: dict[tuple[str, str], str],
        finals: list[str],
        several: bool,
    ) -> Iterator[str]:
        suffix = f"_{k + 1}" if several else ""
        module = self.modules[layer.name]
        reads = [found[r, self.subject.layer(r).cell.output] for r in layer.reads] or ["xs"]
        x = reads[0] if len(reads) == 1 else f"torch.cat([{', '.join(reads)}], dim=-1)"
        given = []
        for n in layer.cell.extra_inputs:
            if n in layer.below:
                parts = [found[pair] for pair in layer.below[n]]
                value = parts[0] if len(parts) == 1 else f"torch.cat([{', '.join(parts)}], dim=-1)"
            else:
                value = next(own for own, other, name in self._further() if other is layer and name == n)
            turned = layer.reverse and n in layer.cell.sequences
            given.append(f"{value}.flip(0)" if turned else value)
        state = f"state[{k}]" if several else "state"
        x = f"{x}.flip(0)" if layer.reverse else x
        hs, final = f"hs{suffix}", f"state{suffix}"
        names = [hs, final, *(f"values{suffix}_{m + 1}" for m in range(len(module.kept)))]
        call = f"self.{self.members[layer.name]}({', '.join([x, *given, state])})"
        yield f"        {', '.join(names)} = {call}"
        finals.append(final)
        for n, own in zip([layer.cell.output, *module.kept], [hs, *names[2:]], strict=True):
            if layer.reverse:
                yield f"        {own} = {own}.flip(0)"
            found[layer.name, n] = own

    def _further(self) -> list[tuple[str, Layer, str]]:
        taken = set(TAKEN) | {"ids"}
        return [
            (distinct((layer.prefix + n).replace(".", "_") if not n else (f"{n}_{layer.name}" if layer.name else n), taken), layer, n)
            for layer, n in self.subject.further
        ]

    def _network_doc(self) -> Iterator[str]:
        subject = self.subject
        if subject.reader:
            yield '        """Scores (time, batch, symbols) for ids (time, batch), and the states."""'
        else:
            yield '        """The outputs (time, batch, …), and a state for each layer."""'

    # --- numbers ------------------------------------------------------------------------------
    def _weights(self) -> dict[str, Array]:
        """The state_dict: the modules' names and numbers."""
        subject, found = self.subject, dict[str, Array]()
        reader = subject.reader
        if reader and reader.embedding is not None:
            found["E"] = reader.embedding
        for layer in subject.layers:
            prefix = "" if self.single else f"{self.members[layer.name]}."
            names = self.modules[layer.name].step.parameters
            found |= {f"{prefix}{names[n]}": v for n, v in subject.own(layer).items()}
        if reader:
            found |= {"W_y": reader.W_y, "b_y": reader.b_y}
        return found

    def _data(self) -> Iterator[str]:
        subject, answers = self.subject, self.subject.answers
        kind = f"torch.{subject.dtype.name}"
        weights = self._weights()
        yield "def decode(text, *shape, dtype=torch.float64):"
        yield '    """Numbers from base64, the lowest byte of each first."""'
        yield "    data = bytearray(base64.b64decode(text))"
        yield "    return torch.frombuffer(data, dtype=dtype).reshape(shape)"
        yield from ["", "", "def weights():"]
        yield '    """A state_dict of the numbers of this file."""'
        yield "    return {"
        for name, value in weights.items():
            yield from _entry(f'"{name}": ', value, 8, kind)
        yield "    }"
        yield from ["", "", "@torch.no_grad()", "def self_test():"]
        what = "ids" if subject.reader else "xs"
        yield '    """The largest difference from what is right, relative to its size."""'
        _, made = self.whole
        yield f"    model = {made}.double()"
        yield "    model.load_state_dict(weights())"
        if subject.reader:
            yield from _spread_call(f"ids = torch.tensor({answers.xs.tolist()})", 4)
        else:
            yield from _assigned("xs", answers.xs, 4)
        arguments = [what]
        for own, layer, n in ((o, la, n) for o, la, n in self._arguments()):
            yield from _assigned(own, answers.further[layer.prefix + n], 4)
            arguments.append(own)
        rest = ", *_" if self.single and self.classes[0].kept else ""
        yield f"    outputs, state{rest} = model({', '.join(arguments)})"
        yield from _assigned("right", answers.outputs, 4)
        finals = []
        for k, (layer, n) in enumerate(subject.final):
            yield from _assigned(f"right_{k + 1}", answers.final[layer.prefix + n], 4)
            place = list(layer.cell.state).index(n)
            which = [la.name for la in subject.layers].index(layer.name)
            at = f"state[{place}]" if len(subject.layers) == 1 else f"state[{which}][{place}]"
            finals.append(f"({at}, right_{k + 1})")
        yield from _spread("pairs = [", ["(outputs, right)", *finals], "]", 4)
        yield "    return max("
        yield "        float((found - right).abs().max() / right.abs().max().clamp(min=1))"
        yield "        for found, right in pairs"
        yield "    )"
        yield from ["", "", 'if __name__ == "__main__":']
        yield "    worst = self_test()"
        yield f'    print(f"self-test: largest relative difference {{worst:.1e}}")'
        yield f"    raise SystemExit(0 if worst < {answers.tolerance:g} else 1)"

    def _arguments(self) -> list[tuple[str, Layer, str]]:
        if not self.single:
            return self._further()
        layer = self.subject.layers[0]
        return [(self.modules[""].step.arguments[n], layer, n) for n in layer.given]


_WRITE = '''
    @torch.no_grad()
    def write(self, start="\\n", length=200, temperature=0.8):
        """What it writes after `start`, one symbol at a time."""
        ids = torch.tensor([[SYMBOLS.index(c)] for c in start if c in SYMBOLS] or [[0]])
        state, written = None, []
        for _ in range(length):
            scores, state = self(ids, state=state)
            chances = torch.softmax(scores[-1] / max(temperature, 1e-6), dim=-1)
            ids = torch.multinomial(chances, 1)
            written.append(SYMBOLS[int(ids)])
        return "".join(written)'''.split("\n")


def _kept(subject: Subject, cell: Cell) -> list[str]:
    """Equations that layers above read of any layer of a cell."""
    found = [n for layer in subject.layers if layer.cell is cell for n in subject.kept(layer)]
    if cell.loss not in (None, cell.output):
        found.append(cell.loss)
    return list(dict.fromkeys(found))


def class_name(name: str) -> str:
    """A cell's name as that of a class: lstm is LSTM, gru_reset_after GRUResetAfter."""
    words = [word for word in name.split("_") if word]
    done = []
    for word in words:
        letters = re.sub(r"\d", "", word).lower()
        short = len(letters) <= 3 and not done or letters and not re.search("[aeiouy]", letters)
        done.append(word.upper() if short and word.isascii() else word[:1].upper() + word[1:])
    return "".join(done) or "Cell"


def _sentence(subject: Subject) -> str:
    ways = [f"{la.cell.name}{' (from the end)' * la.reverse}" for la in subject.layers]
    text = f"{', '.join(ways)}; all axes begin (time, batch)."
    return text if len(text) < 70 else f"{len(ways)} layers; all axes begin (time, batch)."


def _packed(names: Sequence[str]) -> str:
    return f"({', '.join(names)}{',' * (len(names) == 1)})"


# --- layout ---------------------------------------------------------------------------------------
def _docstring(first: str, intro: str, lines: Sequence[str], indent: int) -> Iterator[str]:
    """A docstring whose lines are notes, or indented below an introduction."""
    space = " " * indent
    first, *rest = _folded(first, WIDTH - indent - 6)
    yield f'{space}"""{first}'
    yield from (space + line for line in rest)
    yield ""
    if intro:
        yield space + intro
        yield ""
    for line in lines:
        for k, part in enumerate(_folded(line, WIDTH - indent - 8)):
            yield f"{space}{'    ' * (bool(intro) + (k > 0))}{part}"
    yield f'{space}"""'


def _folded(text: str, width: int) -> list[str]:
    """Text in lines, broken at blanks."""
    text = text.replace("\\", "\\\\").replace('"""', "'''")
    lines = [""]
    for word in text.split():
        if lines[-1] and len(lines[-1]) + 1 + len(word) > width:
            lines.append("")
        lines[-1] += f" {word}" if lines[-1] else word
    return lines


def _spread(start: str, parts: Sequence[str], end: str, indent: int) -> Iterator[str]:
    """On one line, or a part a line."""
    space, one = " " * indent, f"{start}{', '.join(parts)}{end}"
    if len(one) + indent <= WIDTH and "\n" not in one:
        yield space + one
        return
    yield space + start
    for part in parts:
        yield from (f"{space}    {line}" for line in f"{part},".split("\n"))
    yield space + end


def _spread_call(text: str, indent: int) -> Iterator[str]:
    if len(text) + indent <= WIDTH:
        yield " " * indent + text
        return
    start, _, rest = text.partition("(")
    yield f"{' ' * indent}{start}("
    yield f"{' ' * indent}    {rest[:-1]}"
    yield f"{' ' * indent})"


def _numbers(data: Array) -> str:
    """Numbers as nested lists."""
    if data.ndim:
        return f"[{', '.join(map(_numbers, data))}]"
    text = str(np.asarray(data).item() if data.dtype.kind == "b" else data)
    return {"inf": "math.inf", "-inf": "-math.inf", "nan": "math.nan"}.get(text, text)


def _laid_out(data: Array, before: str, after: str, indent: int) -> Iterator[str]:
    """A list of numbers, broken as a formatter breaks it."""
    one = f"{before}{_numbers(data)}{after}"
    if len(one) + indent <= WIDTH or not data.ndim:
        yield " " * indent + one
        return
    yield f"{' ' * indent}{before}["
    for row in data:
        yield from _laid_out(row, "", ",", indent + 4)
    yield f"{' ' * indent}]{after}"


def _call(before: str, data: Array, indent: int) -> Iterator[str]:
    one = f"{before}{_numbers(data)})"
    if len(one) + indent <= WIDTH:
        yield " " * indent + one
        return
    yield " " * indent + before
    yield from _laid_out(data, "", "", indent + 4)
    yield f"{' ' * indent})"


def _entry(before: str, data: Array, indent: int, kind: str, after: str = ",") -> Iterator[str]:
    """An array as an expression."""
    if data.size <= _MANY:
        one = f"{before}torch.tensor({_numbers(data)}, dtype={kind}){after}"
        if len(one) + indent <= WIDTH:
            yield " " * indent + one
            return
        yield f"{' ' * indent}{before}torch.tensor("
        yield from _laid_out(data, "", ",", indent + 4)
        yield f"{' ' * (indent + 4)}dtype={kind},"
        yield f"{' ' * indent}){after}"
        return
    code = base64.b64encode(np.asarray(data, data.dtype.newbyteorder("<")).tobytes()).decode()
    space = " " * (indent + 4)
    yield f"{' ' * indent}{before}decode("
    yield f'{space}"""'
    width = WIDTH - 4
    yield from (code[k : k + width] for k in range(0, len(code), width))
    yield f'{space}""",'
    for n in data.shape:
        yield f"{space}{n},"
    if kind != "torch.float64":
        yield f"{space}dtype={kind},"
    yield f"{' ' * indent}){after}"


def _assigned(name: str, data: Array, indent: int) -> Iterator[str]:
    yield from _entry(f"{name} = ", data, indent, "torch.float64", "")


def _string(name: str, text: str) -> Iterator[str]:
    """A long text in parts."""
    pieces = [_quoted(text[k : k + 60]) for k in range(0, len(text), 60)]
    if len(pieces) == 1 and len(pieces[0]) + len(name) < WIDTH - 3:
        yield f"{name} = {pieces[0]}"
        return
    yield f"{name} = ("
    for piece in pieces:
        yield f"    {piece}"
    yield ")"


def _quoted(text: str) -> str:
    inside = "".join(
        {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r"}.get(
            c, c if c.isprintable() else repr(c)[1:-1]
        )
        for c in text
    )
    if '\\"' in inside and "'" not in inside:
        return "'" + inside.replace('\\"', '"') + "'"
    return f'"{inside}"'
