"""PyTorch: modules as a person would write them, with their numbers and a test, in one file."""

from __future__ import annotations

from collections.abc import Iterator

from tinygrad_lstm.exporting.filling import filled
from tinygrad_lstm.exporting.python_layout import assigned, entry, spread, spread_call, string
from tinygrad_lstm.exporting.subject import Layer, Subject
from tinygrad_lstm.exporting.torch_module import Module, class_name
from tinygrad_lstm.exporting.torch_step import TAKEN
from tinygrad_lstm.kernels.names import distinct
from tinygrad_lstm.step import Cell
from tinygrad_lstm.tensor import Array
from tinygrad_lstm.version import __version__


def torch_text(subject: Subject) -> str:
    """The text of a Python file with the modules of a network."""
    return "\n".join(_File(subject).lines()) + "\n"


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
        return (
            len(self.subject.layers) == 1
            and not self.subject.reader
            and not self.subject.layers[0].reverse
        )

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
            axes = ", ".join(filter(None, ["time, batch", subject.layers[0].cell.x]))
            yield f"    outputs, state = model(xs)  # xs: ({axes})"
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
            yield from string("SYMBOLS", subject.reader.symbols)

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
        for place, member in self.members.items():
            yield f"        self.{member} = {self.modules[place].call()}"
        if reader:
            width = reader.W_y.shape[1]
            yield f"        self.W_y = nn.Parameter(torch.randn({n}, {width}) * {width}**-0.5)"
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
        finals: list[str] = []
        for k, layer in enumerate(subject.layers):
            yield from self._layer_call(k, layer, found, finals, several)
        ends = [found[end, subject.layer(end).cell.output] for end in subject.ends]
        outputs = _side_by_side(ends)
        if reader:
            outputs = f"{outputs} @ self.W_y.T + self.b_y"
        final = f"({', '.join(finals)})" if several else finals[0]
        yield f"        return {outputs}, {final}"
        if reader:
            yield filled("write.txt")

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
        x = _side_by_side(reads)
        given = []
        for n in layer.cell.extra_inputs:
            if n in layer.below:
                value = _side_by_side([found[pair] for pair in layer.below[n]])
            else:
                value = next(
                    own for own, other, name in self._further() if other is layer and name == n
                )
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
            (distinct(f"{n}_{layer.name}" if layer.name else n, taken), layer, n)
            for layer, n in self.subject.further
        ]

    def _network_doc(self) -> Iterator[str]:
        subject = self.subject
        if subject.reader:
            yield '        """Scores (time, batch, symbols) of ids (time, batch); the states."""'
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
        if not weights:
            yield "    return {}"
        else:
            yield "    return {"
        for name, value in weights.items():
            yield from entry(f'"{name}": ', value, 8, kind)
        if weights:
            yield "    }"
        yield from ["", "", "@torch.no_grad()", "def self_test():"]
        what = "ids" if subject.reader else "xs"
        yield '    """The largest difference from what is right, relative to its size."""'
        _, made = self.whole
        yield f"    model = {made}.double()"
        yield "    model.load_state_dict(weights())"
        if subject.reader:
            yield from spread_call(f"ids = torch.tensor({answers.xs.tolist()})", 4)
        else:
            yield from assigned("xs", answers.xs, 4)
        arguments = [what]
        for own, layer, n in self._arguments():
            yield from assigned(own, answers.further[layer.prefix + n], 4)
            arguments.append(own)
        rest = ", *_" if self.single and self.classes[0].kept else ""
        yield f"    outputs, state{rest} = model({', '.join(arguments)})"
        yield from assigned("right", answers.outputs, 4)
        finals = []
        for k, (layer, n) in enumerate(subject.final):
            yield from assigned(f"right_{k + 1}", answers.final[layer.prefix + n], 4)
            place = list(layer.cell.state).index(n)
            which = [la.name for la in subject.layers].index(layer.name)
            at = f"state[{place}]" if len(subject.layers) == 1 else f"state[{which}][{place}]"
            finals.append(f"({at}, right_{k + 1})")
        yield from spread("pairs = [", ["(outputs, right)", *finals], "]", 4)
        yield "    return max("
        yield "        float((found - right).abs().max() / right.abs().max().clamp(min=1))"
        yield "        for found, right in pairs"
        yield "    )"
        yield from ["", "", 'if __name__ == "__main__":']
        yield "    worst = self_test()"
        yield '    print(f"self-test: largest relative difference {worst:.1e}")'
        yield f"    raise SystemExit(0 if worst < {answers.tolerance:g} else 1)"

    def _arguments(self) -> list[tuple[str, Layer, str]]:
        if not self.single:
            return self._further()
        layer = self.subject.layers[0]
        return [(self.modules[""].step.arguments[n], layer, n) for n in layer.given]


def _side_by_side(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"torch.cat([{', '.join(parts)}], dim=-1)"


def _kept(subject: Subject, cell: Cell) -> list[str]:
    """Equations that layers above read of any layer of a cell."""
    found = [n for layer in subject.layers if layer.cell is cell for n in subject.kept(layer)]
    if cell.loss not in (None, cell.output):
        found.append(cell.loss)
    return list(dict.fromkeys(found))


def _sentence(subject: Subject) -> str:
    ways = [f"{la.cell.name}{' (from the end)' * la.reverse}" for la in subject.layers]
    text = f"{', '.join(ways)}; all axes begin (time, batch)."
    return text if len(text) < 70 else f"{len(ways)} layers; all axes begin (time, batch)."
