"""Networks of cells, layers and both directions, with a cell's interface.

`stack([a, b])` feeds each layer's output to the next; `bidirectional(a)` reads forward and
backward and joins the outputs. Both have `init`, `bind` and `program`, run by `unroll`, and are
parts of one another. The names of a part's parameters, states and equations carry the part's name:
`1.W_f` (layers count from 1, upwards), `backward.h`, `2.forward.C`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tinygrad_lstm import ops
from tinygrad_lstm import sizes as dimensions
from tinygrad_lstm.errors import CellError, ShapeError, UnknownNameError
from tinygrad_lstm.ops import concat
from tinygrad_lstm.parameters import Parameters
from tinygrad_lstm.program import Program, named
from tinygrad_lstm.running import Moments, Reading, Run, over
from tinygrad_lstm.step import Cell
from tinygrad_lstm.tensor import Tensor

Part = Any  # a Cell or a Network
Sizes = Mapping[str, int]


class Network:
    """Parts by name, each a cell or a network. Attributes as those of a `Cell`.

    The output of a network is called h, whatever that of its cells is called.
    """

    output = "h"

    def __init__(self, name: str, parts: Mapping[str, Part]) -> None:
        for part in parts.values():
            if not isinstance(part, Cell | Network):
                raise CellError(f"a network is made of cells and networks, got {part!r}.")
        self.name, self.parts = name, dict(parts)
        self.x: str = next(iter(parts.values())).x
        self.state = self._all("state")
        self.parameters = self._all("parameters")
        self.sizes = list(dict.fromkeys(size for part in parts.values() for size in part.sizes))
        self.further = [f"{name}.{own}" for name, part in parts.items() for own in _further(part)]

    def _all(self, kind: str) -> dict[str, str]:
        return {
            f"{name}.{own}": words
            for name, part in self.parts.items()
            for own, words in getattr(part, kind).items()
        }

    def __str__(self) -> str:
        return f"network {self.name!r}"

    __repr__ = __str__

    def part_sizes(self, sizes: Sizes) -> dict[str, dict[str, int]]:
        """The sizes of each part when the network's are `sizes`."""
        for name in sizes:
            if name not in self.sizes:
                raise UnknownNameError(
                    f"{self} has no size {name!r}; its sizes are {', '.join(self.sizes)}."
                )
        return {
            name: {size: sizes[size] for size in part.sizes if size in sizes}
            for name, part in self.parts.items()
        }

    def init(self, seed: int = 0, dtype: Any = np.float64, **sizes: Any) -> Parameters:
        """Fresh parameters, those of each part by its own `init` with a seed of its own.

        A cell's parameter with a number, such as `b_f=1.0`, fills it in every part that has it.
        """
        fills = {name: sizes.pop(name) for name in self.fillable() & set(sizes)}
        tensors: dict[str, Tensor] = {}
        for k, (name, own) in enumerate(self.part_sizes(sizes).items()):
            part = self.parts[name]
            takes = part.fillable() if isinstance(part, Network) else set(part.parameters)
            seed_of_part = int(np.random.default_rng([seed, k]).integers(2**31))
            chosen = {n: value for n, value in fills.items() if n in takes}
            tensors |= _renamed(name, part.init(seed_of_part, dtype, **own, **chosen))
        return Parameters(tensors, str(self))

    def fillable(self) -> set[str]:
        """The names of parameters, without their parts', that `init` can fill with a number."""
        return {name.rsplit(".", 1)[-1] for name in self.parameters}

    def bind(self, arrays: Mapping[str, Any]) -> Parameters:
        """Parameters from arrays under names such as `1.W_f`, checked part by part."""
        unknown = [name for name in arrays if name not in self.parameters]
        if unknown:
            raise UnknownNameError(
                f"{self}: no parameter is called {', '.join(unknown)}; the parameters are "
                f"{', '.join(self.parameters)}."
            )
        tensors: dict[str, Tensor] = {}
        for name, part in self.parts.items():
            own = _own(name, arrays)
            bound = part.bind(own)
            fresh = {n: t for n, t in bound.items() if not isinstance(own[n], Tensor)}
            tensors |= {f"{name}.{n}": t for n, t in bound.items()} | _renamed(name, fresh)
        return Parameters(tensors, str(self))

    def small_sizes(self) -> dict[str, int]:
        """Small sizes, all different, for a Program to look at."""
        return {name: 3 + k for k, name in enumerate(self.sizes)}

    def program(self, **sizes: int) -> Program:
        """One step of all parts as a Program, as `Cell.program`."""
        sizes = sizes or self.small_sizes()
        words: dict[str, str] = {}
        static: set[str] = set()
        inputs: dict[str, Tensor] = {}
        for name, own in self.part_sizes(sizes).items():
            single = self.parts[name].program(**own)
            static |= {_within(name, old) for old in single.static or ()}
            for old, node in single.inputs.items():
                if old == "x" and "x" in inputs or old.endswith("_below"):
                    continue
                new = old if old == "x" else _within(name, old)
                inputs[new] = Tensor.input(new, node.shape)
                words[new] = single.dimensions.get(old, "")
        step = self._composed(inputs, sizes)
        equations = {name: node for name, node in step.items() if node.name == name}
        outputs = {name: equations[name] for name in self.state}
        return Program(self.name, inputs, equations, outputs, words, sizes, static)

    def _composed(self, values: Mapping[str, Tensor], sizes: Sizes) -> dict[str, Tensor]:
        """The parts' equations on shared inputs; the network's output is found under its name."""
        raise CellError(f"{self} is no stack and reads in no direction.")

    def _part(
        self,
        name: str,
        values: Mapping[str, Tensor],
        x: Tensor,
        sizes: Sizes,
        below: Mapping[str, Tensor] | None = None,
    ) -> dict[str, Tensor]:
        """The equations of one part's own Program, on this network's nodes and names."""
        program: Program = self.parts[name].program(**self.part_sizes(sizes)[name])
        own = {**_own(name, values), "x": x, **(below or {})}
        leaves = {n: node for n, node in own.items() if n in program.inputs}
        return program.on(leaves, lambda n: f"{name}.{n}")


class Stack(Network):
    """Layers: x enters the first, each further layer reads the output of the one below."""

    def __init__(self, parts: Sequence[Part]) -> None:
        if not parts:
            raise CellError("a stack needs at least one layer: stack([cells.lstm, cells.lstm]).")
        layers = {str(k): part for k, part in enumerate(parts, 1)}
        name = "stack_of_" + "_and_".join(getattr(part, "name", repr(part)) for part in parts)
        super().__init__(name, layers)

    def part_sizes(self, sizes: Sizes) -> dict[str, dict[str, int]]:
        """The sizes of each layer: x of a further layer is as long as the output below."""
        found = super().part_sizes(sizes)
        below: int | None = None
        for name, part in self.parts.items():
            own = found[name]
            if below is not None and len(axes := dimensions.parse(part.x)) == 1:
                (size,) = axes[0]
                if own.get(size, below) != below and size != "inputs":
                    raise ShapeError(
                        f"{self}: layer {name} reads x ({part.x}) = {own[size]}, but the layer "
                        f"below has {below} outputs."
                    )
                own[size] = below
            below = width(part, own)
        return found

    def _composed(self, values: Mapping[str, Tensor], sizes: Sizes) -> dict[str, Tensor]:
        x = values["x"]
        below: dict[str, Tensor] = {}
        written: dict[str, Tensor] = {}
        for name, part in self.parts.items():
            own = self._part(name, values, x, sizes, below)
            written |= {f"{name}.{n}": node for n, node in own.items()}
            below = {f"{n}_below": node for n, node in own.items()}
            x = own[output_of(part)]
        return {**written, self.output: x}


class Bidirectional(Network):
    """Two parts, one reading forward and one backward; their outputs are joined."""

    def __init__(self, forward: Part, backward: Part) -> None:
        name = f"bidirectional_{getattr(forward, 'name', forward)}"
        super().__init__(name, {"forward": forward, "backward": backward})

    def _composed(self, values: Mapping[str, Tensor], sizes: Sizes) -> dict[str, Tensor]:
        written: dict[str, Tensor] = {}
        for name in self.parts:
            own = self._part(name, values, values["x"], sizes)
            written |= {f"{name}.{n}": node for n, node in own.items()}
        ends = [written[f"{name}.{output_of(part)}"] for name, part in self.parts.items()]
        return {**written, self.output: named(concat(*ends), self.output)}

    def joined(self, step: Mapping[str, Tensor], time: int, prefix: str) -> Tensor:
        """The output at a step: [forward.h, backward.h]."""
        ends = [step[f"{name}.{part.output}"] for name, part in self.parts.items()]
        node: Tensor = concat(*ends)
        node.name, node.time = prefix + self.output, time
        return node


class Backward(Network):
    """One part that reads backward: the second half of a `Bidirectional`, alone."""

    def __init__(self, part: Part) -> None:
        super().__init__(f"backward_{getattr(part, 'name', part)}", {"backward": part})

    def _composed(self, values: Mapping[str, Tensor], sizes: Sizes) -> dict[str, Tensor]:
        (part,) = self.parts.values()
        own = self._part("backward", values, values["x"], sizes)
        return {**{f"backward.{n}": v for n, v in own.items()}, self.output: own[output_of(part)]}


def output_of(part: Part) -> str:
    """The equation of a part's Program that is its output: of a stack that of its last layer."""
    if isinstance(part, Cell | Bidirectional):
        return part.output
    name, last = list(part.parts.items())[-1]
    return f"{name}.{output_of(last)}"


def stack(parts: Sequence[Any], axis: int = 0) -> Any:
    """Layers of cells or networks, the first is the one that reads x: a `Stack`.

    A further input of a cell that is called NAME_below receives the equation NAME of the layer
    below. Of Tensors or arrays it is the operation of that name, side by side along a new axis.
    """
    if len(parts) and all(isinstance(part, Cell | Network) for part in parts):
        return Stack(parts)
    return ops.stack(parts, axis)


def bidirectional(forward: Part, backward: Part | None = None) -> Bidirectional:
    """A cell that reads in both directions, or two cells, one for each.

    The output at step t is [forward.h, backward.h]: what is known from x_1 … x_t, and from x_T …
    x_t. The final state `backward.h` is the one after x_1.
    """
    return Bidirectional(forward, forward if backward is None else backward)


def width(part: Part, sizes: Sizes) -> int:
    """How many numbers the output of a cell or network has at each step."""
    if isinstance(part, Bidirectional | Backward):
        own = part.part_sizes(sizes)
        return sum(width(p, own[name]) for name, p in part.parts.items())
    if isinstance(part, Stack):
        name, top = list(part.parts.items())[-1]
        return width(top, part.part_sizes(sizes)[name])
    shape: tuple[int, ...] = part.program(**sizes).equations[part.output].shape
    if len(shape) != 1:
        raise ShapeError(
            f"{part}: a layer above reads a vector, but the output {part.output} has shape {shape}."
        )
    return shape[0]


# --- over a sequence ------------------------------------------------------------------------------
@over.register
def _(network: Stack, p: Parameters, reading: Reading) -> Run:
    runs: dict[str, Run] = {}
    for name, part in network.parts.items():
        changes: dict[str, Any] = {}
        if runs:
            lower = list(runs.values())[-1]
            changes["x"] = _Value(lower, lower.cell.output)
            changes["below"] = {
                n: _Value(lower, n.removesuffix("_below"))
                for n in getattr(part, "sequences", {})
                if n.endswith("_below")
            }
        runs[name] = over(part, _bound(network, name, p), _of(name, part, reading, **changes))
    top = list(runs.values())[-1]

    def output(t: int) -> Tensor:
        return top.steps[t][top.cell.output]

    return _together(network, p, reading, runs, output, lambda: top[top.cell.output])


@over.register
def _(network: Bidirectional, p: Parameters, reading: Reading) -> Run:
    runs: dict[str, Run] = {}
    for name, part in network.parts.items():
        turned = reading.reverse if name == "forward" else not reading.reverse
        own = _of(name, part, reading, reverse=turned)
        runs[name] = over(part, _bound(network, name, p), own)

    def output(t: int) -> Tensor:
        return network.joined(_merged(runs, t), t, reading.prefix)

    def whole() -> Tensor:
        ends: Tensor = concat(*[run[run.cell.output] for run in runs.values()])
        return ends

    return _together(network, p, reading, runs, output, whole)


@over.register
def _(network: Backward, p: Parameters, reading: Reading) -> Run:
    (part,) = network.parts.values()
    turned = _of("backward", part, reading, reverse=not reading.reverse)
    run = over(part, _bound(network, "backward", p), turned)
    return _together(
        network,
        p,
        reading,
        {"backward": run},
        lambda t: run.steps[t][part.output],
        lambda: run[part.output],
    )


def _further(part: Part) -> list[str]:
    """The further inputs of a part that the layer below does not give."""
    names = [*part.sequences, *part.constants] if isinstance(part, Cell) else part.further
    return [name for name in names if not name.endswith("_below")]


def _of(name: str, part: Part, reading: Reading, **changes: Any) -> Reading:
    """The reading of a part, with those further inputs that it declares."""
    takes, start = _further(part), f"{name}."
    named = {n.rsplit(".", 1)[-1] for n in takes}
    further = {
        n.removeprefix(start): value
        for n, value in reading.further.items()
        if n in named or n.startswith(start)
    }
    return reading.part(name, further=further, **changes)


class _Value:
    """One equation of a run as a function of the step."""

    def __init__(self, run: Run, name: str) -> None:
        if name not in run.names:
            raise UnknownNameError(
                f"{run.cell} below has no equation {name!r}; it has {', '.join(run.names)}."
            )
        self._run, self._name = run, name

    def __call__(self, t: int) -> Tensor:
        return self._run.steps[t][self._name]

    @property
    def sequence(self) -> Tensor:
        """The equation at all steps."""
        return self._run[self._name]


def _together(
    network: Network,
    p: Parameters,
    reading: Reading,
    runs: Mapping[str, Run],
    output: Callable[[int], Tensor],
    whole_output: Callable[[], Tensor],
) -> Run:
    """One Run of several parts' runs."""
    names = [f"{name}.{n}" for name, run in runs.items() for n in run.names]
    lazy = all(run.whole for run in runs.values())

    def whole(name: str) -> Tensor | None:
        if name == network.output:
            return whole_output()
        part, _, own = name.partition(".")
        return runs[part][own]

    steps: Sequence[Any] = Moments(
        reading.time, lambda t: {**_merged(runs, t), network.output: output(t)}
    )
    return Run(
        network,
        p,
        Moments(reading.time, reading.x),
        {f"{name}.{n}": v for name, run in runs.items() for n, v in run.initial.items()},
        steps if lazy else list(steps),
        {f"{name}.{n}": v for name, run in runs.items() for n, v in run.final.items()},
        whole if lazy else None,
        [*names, network.output],
    )


def _merged(runs: Mapping[str, Run], t: int) -> dict[str, Tensor]:
    return {f"{name}.{n}": v for name, run in runs.items() for n, v in run.steps[t].items()}


# --- names ----------------------------------------------------------------------------------------
def _within(part: str, name: str) -> str:
    """A part's own name as the network's: h is `1.h`, prev.h is `prev.1.h`."""
    return f"prev.{part}.{name[5:]}" if name.startswith("prev.") else f"{part}.{name}"


def _own(part: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Of a network's values those of one part, under the part's own names."""
    found = {}
    for name, value in values.items():
        bare = name.removeprefix("prev.")
        if bare.startswith(f"{part}."):
            found[name.replace(f"{part}.", "", 1)] = value
    return found


def _renamed(part: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A part's fresh parameters under the network's names."""
    for name, tensor in tensors.items():
        tensor.name = f"{part}.{name}"
    return {f"{part}.{name}": tensor for name, tensor in tensors.items()}


def _bound(network: Network, name: str, p: Parameters) -> Parameters:
    return Parameters(_own(name, p), str(network.parts[name]))
