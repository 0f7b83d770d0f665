"""Networks of cells, layers and both directions, with a cell's interface.

`stack([a, b])` feeds each layer's output to the next; `bidirectional(a)` reads forward and
backward and joins the outputs. Both have `init`, `bind` and `program`, run by `unroll`, and are
parts of one another. The names of a part's parameters, states and equations carry the part's name:
`1.W_f` (layers count from 1, upwards), `backward.h`, `2.forward.C`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias, overload

import numpy as np

from tinygrad_lstm import functions
from tinygrad_lstm import sizes as dimensions
from tinygrad_lstm.errors import CellError, ShapeError, unknown
from tinygrad_lstm.functions import concat
from tinygrad_lstm.parameters import Parameters
from tinygrad_lstm.program import Program, named
from tinygrad_lstm.running import Moments, Run, over
from tinygrad_lstm.sequence_inputs import SequenceInputs
from tinygrad_lstm.step import Cell
from tinygrad_lstm.tensor import Tensor, TensorLike

Part: TypeAlias = "Cell | System"
Sizes = Mapping[str, int]


class System:
    """Parts by name, each a cell or a system. Attributes as those of a `Cell`.

    chained: whether each part but the first reads the output of the one before; turned: the parts
    that read from the last step to the first; ends: the parts whose outputs, joined, are the
    system's, which is called h, whatever that of its cells is called.
    """

    output: str = "h"

    def __init__(
        self,
        name: str,
        parts: Mapping[str, Part],
        ends: Sequence[str],
        chained: bool = False,
        turned: Sequence[str] = (),
    ) -> None:
        for part in parts.values():
            if not isinstance(part, Cell | System):
                raise CellError(f"a network is made of cells and networks, got {part!r}.")
        self.name, self.parts = name, dict(parts)
        self.ends, self.chained, self.turned = ends, chained, turned
        self.x: str = next(iter(parts.values())).x
        self.state, self.parameters = self._all("state"), self._all("parameters")
        self.sizes: list[str] = list(
            dict.fromkeys(size for part in parts.values() for size in part.sizes)
        )

    def _all(self, kind: str) -> Mapping[str, str]:
        return {
            f"{name}.{own}": words
            for name, part in self.parts.items()
            for own, words in getattr(part, kind).items()
        }

    @property
    def extra_inputs(self) -> list[str]:
        """The names of the parts' further inputs but those that the layer below gives."""
        return [
            f"{name}.{own}"
            for name, part in self.parts.items()
            for own in part.extra_inputs
            if not own.endswith("_below")
        ]

    def __str__(self) -> str:
        return f"network {self.name!r}"

    __repr__ = __str__

    # --- sizes and parameters ---------------------------------------------------------------------
    def part_sizes(self, sizes: Sizes) -> dict[str, dict[str, int]]:
        """The sizes of each part when the network's are `sizes`.

        x of a further layer is as long as the output below.
        """
        for name in sizes:
            if name not in self.sizes:
                raise unknown(f"{self} has no size {name!r}", "its sizes are", self.sizes)
        every: dict[str, dict[str, int]] = {}
        below: int | None = None
        for name, part in self.parts.items():
            every[name] = own = {size: sizes[size] for size in part.sizes if size in sizes}
            if below is not None and len(axes := dimensions.parse(part.x)) == 1:
                (size,) = dimensions.names_in(axes[0])
                if own.get(size, below) != below and size != "inputs":
                    raise ShapeError(
                        f"{self}: layer {name} reads x ({part.x}) = {own[size]}, but the layer "
                        f"below has {below} outputs."
                    )
                own[size] = below
            if self.chained:
                below = width(part, own)
        return every

    def init(self, seed: int = 0, dtype: Any = np.float64, **sizes: Any) -> Parameters:
        """Fresh parameters, those of each part by its own `init` with a seed of its own.

        A cell's parameter with a number, such as `b_f=1.0`, fills it in every part that has it.
        """
        fills = {name: sizes.pop(name) for name in fillable(self) & set(sizes)}
        tensors: dict[str, Tensor] = {}
        for k, (name, own) in enumerate(self.part_sizes(sizes).items()):
            part = self.parts[name]
            seed_of_part = int(np.random.default_rng([seed, k]).integers(2**31))
            chosen = {n: value for n, value in fills.items() if n in fillable(part)}
            tensors |= _renamed(name, part.init(seed_of_part, dtype, **own, **chosen))
        return Parameters(tensors, str(self))

    def bind(self, arrays: Mapping[str, TensorLike]) -> Parameters:
        """Parameters from arrays under names such as `1.W_f`, checked part by part."""
        if strange := [name for name in arrays if name not in self.parameters]:
            what = f"{self}: no parameter is called {', '.join(strange)}"
            raise unknown(what, "the parameters are", self.parameters)
        tensors: dict[str, Tensor] = {}
        for name, part in self.parts.items():
            own = _own(name, arrays)
            bound = part.bind(own)
            fresh = {n: t for n, t in bound.items() if not isinstance(own[n], Tensor)}
            tensors |= {f"{name}.{n}": t for n, t in bound.items()} | _renamed(name, fresh)
        return Parameters(tensors, str(self))

    # --- one step ---------------------------------------------------------------------------------
    def small_sizes(self) -> dict[str, int]:
        """Small sizes, all different, for a Program to look at."""
        return {name: 3 + k for k, name in enumerate(self.sizes)}

    def program(self, **sizes: int) -> Program:
        """One step of all parts as a Program, as `Cell.program`."""
        sizes = sizes or self.small_sizes()
        words: dict[str, str] = {}
        static: set[str] = set()
        inputs: dict[str, Tensor] = {}
        programs = {n: self.parts[n].program(**own) for n, own in self.part_sizes(sizes).items()}
        for name, single in programs.items():
            static |= {_within(name, old) for old in single.static or ()}
            for old, node in single.inputs.items():
                if old == "x" and "x" in inputs or old.endswith("_below"):
                    continue
                new = old if old == "x" else _within(name, old)
                inputs[new] = Tensor.input(new, node.shape)
                words[new] = single.dimensions.get(old, "")
        step = self._composed(programs, inputs)
        equations = {name: node for name, node in step.items() if node.name == name}
        outputs = {name: equations[name] for name in self.state}
        return Program(self.name, inputs, equations, outputs, words, sizes, static)

    def _composed(
        self, programs: Mapping[str, Program], values: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """The parts' equations on shared inputs; the network's output is there by its name."""
        x, below = values["x"], dict[str, Tensor]()
        written: dict[str, Tensor] = {}
        for name, program in programs.items():
            given = {**_own(name, values), "x": x, **below}
            leaves = {n: node for n, node in given.items() if n in program.inputs}
            own = program.on(leaves, lambda n, name=name: f"{name}.{n}")  # type: ignore[misc]
            written |= {f"{name}.{n}": node for n, node in own.items()}
            if self.chained:
                below = {f"{n}_below": node for n, node in own.items()}
                x = own[output_of(self.parts[name])]
        ends = [written[f"{name}.{output_of(self.parts[name])}"] for name in self.ends]
        joined = named(concat(*ends), self.output) if len(ends) > 1 else ends[0]
        return {**written, self.output: joined}

    # --- over a sequence --------------------------------------------------------------------------
    def over(self, p: Parameters, inputs: SequenceInputs) -> Run:
        """Run all parts over a sequence that has been checked."""
        runs: dict[str, Run] = {}
        for name, part in self.parts.items():
            changes: dict[str, Any] = {"reverse": inputs.reverse != (name in self.turned)}
            if self.chained and runs:
                lower = list(runs.values())[-1]
                changes["x"] = _Value(lower, lower.cell.output)
                changes["below"] = {
                    n: _Value(lower, n.removesuffix("_below"))
                    for n in getattr(part, "sequences", {})
                    if n.endswith("_below")
                }
            own = Parameters(_own(name, p), str(part))
            runs[name] = over(part, own, _inputs_of(name, part, inputs, **changes))
        ends = [runs[name] for name in self.ends]

        def output(t: int) -> Tensor:
            values = [run.steps[t][run.cell.output] for run in ends]
            if len(values) == 1:
                return values[0]
            node = concat(*values)
            node.name, node.time = inputs.prefix + self.output, t
            return node

        def step(t: int) -> dict[str, Tensor]:
            return {**_merged({n: run.steps[t] for n, run in runs.items()}), self.output: output(t)}

        def whole(name: str) -> Tensor | None:
            if name == self.output:
                values = [run[run.cell.output] for run in ends]
                return concat(*values) if len(values) > 1 else values[0]
            part, _, own = name.partition(".")
            return runs[part][own]

        lazy = all(run.whole for run in runs.values())
        steps: Sequence[Any] = Moments(inputs.time, step)
        return Run(
            self,
            p,
            Moments(inputs.time, inputs.x),
            _merged({name: run.initial for name, run in runs.items()}),
            steps if lazy else list(steps),
            _merged({name: run.final for name, run in runs.items()}),
            whole if lazy else None,
            [*(f"{name}.{n}" for name, run in runs.items() for n in run.names), self.output],
        )


class Stack(System):
    """Layers: x enters the first, each further layer reads the output of the one below."""

    def __init__(self, parts: Sequence[Part]) -> None:
        if not parts:
            raise CellError("a stack needs at least one layer: stack([cells.lstm, cells.lstm]).")
        name = "stack_of_" + "_and_".join(getattr(part, "name", repr(part)) for part in parts)
        layers = {str(k): part for k, part in enumerate(parts, 1)}
        super().__init__(name, layers, [str(len(parts))], chained=True)


class Bidirectional(System):
    """Two parts, one reading forward and one backward; their outputs are joined."""

    def __init__(self, forward: Part, backward: Part) -> None:
        name = f"bidirectional_{getattr(forward, 'name', forward)}"
        parts = {"forward": forward, "backward": backward}
        super().__init__(name, parts, list(parts), turned=["backward"])


class Backward(System):
    """One part that reads backward: the second half of a `Bidirectional`, alone."""

    def __init__(self, part: Part) -> None:
        name = f"backward_{getattr(part, 'name', part)}"
        super().__init__(name, {"backward": part}, ["backward"], turned=["backward"])


@overload
def stack(parts: Sequence[Part], axis: int = 0) -> Stack: ...
@overload
def stack(parts: Sequence[TensorLike], axis: int = 0) -> Tensor: ...
def stack(parts: Sequence[Any], axis: int = 0) -> Stack | Tensor:
    """Layers of cells or networks, the first is the one that reads x: a `Stack`.

    A further input of a cell that is called NAME_below receives the equation NAME of the layer
    below. Of Tensors or arrays it is the operation of that name, side by side along a new axis.
    """
    if len(parts) and all(isinstance(part, Cell | System) for part in parts):
        return Stack(parts)
    return functions.stack(parts, axis)


def bidirectional(forward: Part, backward: Part | None = None) -> Bidirectional:
    """A cell that reads in both directions, or two cells, one for each.

    The output at step t is [forward.h, backward.h]: what is known from x_1 … x_t, and from x_T …
    x_t. The final state `backward.h` is the one after x_1.
    """
    return Bidirectional(forward, forward if backward is None else backward)


def output_of(part: Part) -> str:
    """The equation of a part's Program that is its output: of a stack that of its last layer."""
    if isinstance(part, Cell) or len(part.ends) > 1:
        return part.output
    return f"{part.ends[0]}.{output_of(part.parts[part.ends[0]])}"


def width(part: Part, sizes: Sizes) -> int:
    """How many numbers the output of a cell or network has at each step."""
    if isinstance(part, System):
        own = part.part_sizes(sizes)
        return sum(width(part.parts[name], own[name]) for name in part.ends)
    shape = part.program(**sizes).equations[part.output].shape
    if len(shape) != 1:
        raise ShapeError(
            f"{part}: a layer above reads a vector, but the output {part.output} has shape {shape}."
        )
    return shape[0]


def fillable(part: Part) -> set[str]:
    """The names of parameters, without their parts', that `init` can fill with a number."""
    return {name.rsplit(".", 1)[-1] for name in part.parameters}


class _Value:
    """One equation of a run as a function of the step."""

    def __init__(self, run: Run, name: str) -> None:
        if name not in run.names:
            raise unknown(f"{run.cell} below has no equation {name!r}", "it has", run.names)
        self._run, self._name = run, name

    def __call__(self, t: int) -> Tensor:
        return self._run.steps[t][self._name]

    def like(self) -> tuple[tuple[int, ...], np.dtype[Any]]:
        """Shape and dtype of the value at a step."""
        if self._run.whole:  # so that no step is made
            return self.sequence.shape[1:], self.sequence.dtype
        return self(0).shape, self(0).dtype

    @property
    def sequence(self) -> Tensor:
        """The equation at all steps."""
        return self._run[self._name]


# --- names ----------------------------------------------------------------------------------------
def _inputs_of(name: str, part: Part, inputs: SequenceInputs, **changes: Any) -> SequenceInputs:
    """The inputs of a part, with those further ones that it declares."""
    bare = {n.rsplit(".", 1)[-1] for n in part.extra_inputs if not n.endswith("_below")}
    extra_inputs = {
        n.removeprefix(f"{name}."): value
        for n, value in inputs.extra_inputs.items()
        if n in bare or n.startswith(f"{name}.")
    }
    return inputs.part(name, extra_inputs=extra_inputs, **changes)


def _within(part: str, name: str) -> str:
    """A part's own name as the network's: h is `1.h`, prev.h is `prev.1.h`."""
    return f"prev.{part}.{name[5:]}" if name.startswith("prev.") else f"{part}.{name}"


def _own(part: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Of a network's values those of one part, under the part's own names."""
    return {
        name.replace(f"{part}.", "", 1): value
        for name, value in values.items()
        if name.removeprefix("prev.").startswith(f"{part}.")
    }


def _merged(values: Mapping[str, Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """The values of all parts under the network's names."""
    return {f"{part}.{name}": v for part, own in values.items() for name, v in own.items()}


def _renamed(part: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A part's fresh parameters under the network's names."""
    for name, tensor in tensors.items():
        tensor.name = f"{part}.{name}"
    return _merged({part: tensors})
