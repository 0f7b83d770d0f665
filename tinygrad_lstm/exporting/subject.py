"""What is exported: a network taken apart into its cells, its numbers, and a test with answers."""

from __future__ import annotations

import ast
import contextlib
import inspect
import io
import textwrap
import tokenize
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tinygrad_lstm import sizes as dimensions
from tinygrad_lstm.errors import DTypeError, TinygradError, unknown
from tinygrad_lstm.exporting.tied_layers import every_parameter, home_of, untied
from tinygrad_lstm.grids import Grid
from tinygrad_lstm.networks import System
from tinygrad_lstm.parameters import under
from tinygrad_lstm.program import Program
from tinygrad_lstm.running import unroll
from tinygrad_lstm.step import Cell
from tinygrad_lstm.tensor import Array, Tensor

TIME, BATCH = 4, 2  # of the test inside each file
FLOATS = (np.dtype(np.float32), np.dtype(np.float64))


class ExportError(TinygradError, ValueError):
    """A network that a format cannot represent, or a tool that is missing."""


@dataclass(frozen=True)
class Layer:
    """A cell of a network at its place.

    name: that of the part, "2.forward", empty for a single cell; reads: the layers whose outputs,
    joined, are its x, none where it reads the network's; below: further inputs that are equations
    of other layers, {"C_below": [("1", "C")]}; reverse: from the last step to the first.
    """

    name: str
    cell: Cell
    program: Program
    reads: tuple[str, ...]
    below: Mapping[str, tuple[tuple[str, str], ...]]
    reverse: bool

    @property
    def prefix(self) -> str:
        """What stands before the names of its parameters and states in the network."""
        return f"{self.name}." if self.name else ""

    @property
    def output(self) -> Tensor:
        """The equation that a layer above reads."""
        return self.program.equations[self.cell.output]

    @property
    def given(self) -> list[str]:
        """Its further inputs that the caller gives."""
        return [name for name in self.cell.extra_inputs if name not in self.below]


@dataclass(frozen=True)
class Reader:
    """What stands around the cell of a character model: symbols in, a score for each out."""

    symbols: str
    embedding: Array | None  # (symbols, width); None: a row of the identity matrix
    W_y: Array
    b_y: Array


@dataclass(frozen=True)
class Answers:
    """A test: inputs, and what the interpreter computes from them in float64.

    xs (time, batch, …), or numbers of symbols (time, batch); further inputs and final states by
    the names that they have in the network; outputs (time, batch, …), or the scores of symbols.
    """

    xs: Array
    further: dict[str, Array]
    outputs: Array
    final: dict[str, Array]
    tolerance: float


@dataclass(frozen=True)
class Subject:
    """A network with its numbers, ready to be written in any format."""

    name: str
    network: Any
    sizes: dict[str, int]
    layers: list[Layer]
    ends: tuple[str, ...]
    parameters: dict[str, Array]
    dtype: np.dtype[Any]
    reader: Reader | None
    trained: bool  # whether the numbers were given, and not drawn here
    answers: Answers = field(repr=False)

    def layer(self, name: str) -> Layer:
        """A layer by its name."""
        return next(layer for layer in self.layers if layer.name == name)

    def own(self, layer: Layer) -> dict[str, Array]:
        """The parameters of a layer, under its cell's names."""
        return {n: self.parameters[layer.prefix + n] for n in layer.cell.parameters}

    def initial(self, layer: Layer) -> dict[str, Array]:
        """What the states of a layer start from, for one sample."""
        shapes = {n: layer.program.inputs[f"prev.{n}"].shape for n in layer.cell.state}
        return {n: layer.cell.initial(n, shape, self.dtype) for n, shape in shapes.items()}

    def kept(self, layer: Layer) -> list[str]:
        """Equations beside the output that other layers read."""
        read = {pair for other in self.layers for pairs in other.below.values() for pair in pairs}
        names = [n for n in layer.program.equations if (layer.name, n) in read]
        return [n for n in names if n != layer.cell.output]

    @property
    def final(self) -> list[tuple[Layer, str]]:
        """The states in order, each with its layer."""
        return [(layer, name) for layer in self.layers for name in layer.cell.state]

    @property
    def further(self) -> list[tuple[Layer, str]]:
        """The inputs beside x that the caller gives, each with its layer."""
        return [(layer, name) for layer in self.layers for name in layer.given]


def subject(
    what: Any,
    parameters: Mapping[str, Any] | None = None,
    seed: int = 0,
    dtype: Any = None,
    name: str | None = None,
    sizes: Mapping[str, int] | None = None,
) -> Subject:
    """What is to be exported, taken apart; `export` says what it may be."""
    model = getattr(what, "model", what)  # of a checkpoint or a training
    reader, given, known = None, parameters, dict(sizes or {})
    if hasattr(model, "vocabulary"):
        network = model.cell
        given = given if given is not None else model.parameters
        known = {**model.sizes, **known}
        reader = _reader(model, given)
        given = {n: v for n, v in given.items() if n in network.parameters}
    else:
        network = model
    network = _plain(network)
    if not isinstance(network, Cell | System):
        raise ExportError(
            f"export needs a cell, a network or a character model, got {what!r}.\n"
            f"  Write cells.lstm, stack([…]), or learning.load(path, cell).model."
        )
    _check_layered(network)
    numbers, full = _numbers(network, given, known, seed, dtype)
    numbers = {n: numbers[home_of(network, n)] for n in every_parameter(network)}
    network = untied(network)
    kind = _kind(numbers.values(), given is not None) if dtype is None else dtype
    with contextlib.suppress(TypeError):  # NumPy knows no such dtype
        kind = np.dtype(kind)
    if kind not in FLOATS:
        raise DTypeError(f"{network}: what is exported is float32 or float64, got {kind}.")
    numbers = {n: np.array(v, kind, order="C") for n, v in numbers.items()}
    if reader is not None:
        table = reader.embedding
        table = table if table is None else table.astype(kind)
        reader = Reader(reader.symbols, table, reader.W_y.astype(kind), reader.b_y.astype(kind))
    spreading = _Spreading(full, numbers)
    ends = spreading.part(network, "", (), None, False)
    layers = spreading.layers
    answers = _answers(network, layers, numbers, reader, kind)
    label = name or (f"{network.name}_model" if reader else network.name)
    trained = given is not None
    return Subject(label, network, full, layers, ends, numbers, kind, reader, trained, answers)


def _plain(network: Any) -> Any:
    """A network without what makes it fast."""
    if isinstance(network, System):
        return network
    return getattr(network, "plain", network)


def _check_layered(part: Any) -> None:
    """ExportError for what is not made of layers and of directions."""
    if isinstance(part, Grid):
        raise ExportError(
            f"{part}: what is exported has steps, and a grid has places along its axes.\n"
            f"  Export its block, grid.block, with the grid's parameters, and step through the "
            f"places in a loop."
        )
    if type(part) is System:
        raise ExportError(
            f"{part}: what is exported is a cell, or a stack or both directions of cells, and its "
            f"parts have wires of their own.\n  Export each part, such as "
            f"parts[{next(iter(part.parts))!r}], with its own parameters, and hand on what the "
            f"wires carry."
        )
    for inner in part.parts.values() if isinstance(part, System) else ():
        _check_layered(_plain(inner))


def _reader(model: Any, given: Mapping[str, Any]) -> Reader:
    embedding = _array(given["input.E"]) if model.input == "embedding" else None
    W_y, b_y = (_array(given[f"output.{n}"]) for n in ("W_y", "b_y"))
    return Reader(model.vocabulary.symbols, embedding, W_y, b_y)


def _array(value: Any) -> Array:
    return value.data if isinstance(value, Tensor) else np.asarray(value)


def _kind(arrays: Any, given: bool) -> Any:
    found = {array.dtype for array in arrays}
    return found.pop() if given and len(found) == 1 else np.dtype(np.float32)


def _numbers(
    network: Any, given: Any, sizes: dict[str, int], seed: int, dtype: Any
) -> tuple[dict[str, Array], dict[str, int]]:
    """The parameters of a network, and its sizes; those that nobody gave are drawn."""
    for name in sizes:
        if name not in network.sizes and name not in getattr(network, "derived", {}):
            raise unknown(f"{network} has no size {name!r}", "its sizes are", network.sizes)
    if given is None:
        full = {**network.small_sizes(), **sizes}
        if isinstance(network, Cell):
            fixed = {n: v for n, v in full.items() if n in network.sizes or n in sizes}
            full = network.complete(fixed)
        return {n: t.data for n, t in network.init(seed=seed, **full).items()}, full
    bound = network.bind(given) if isinstance(network, System) else network.bind(given, **sizes)
    arrays = {n: t.data for n, t in bound.items()}
    if isinstance(network, Cell):
        open_ = [n for n in network.sizes if n not in bound.sizes]
        small = network.small_sizes()
        return arrays, network.complete({**{n: small[n] for n in open_}, **bound.sizes, **sizes})
    return arrays, sizes


class _Spreading:
    """A network taken apart into the layers that its cells are."""

    def __init__(self, sizes: Mapping[str, int], numbers: Mapping[str, Array]) -> None:
        self.sizes, self.numbers = sizes, numbers
        self.layers: list[Layer] = []

    def part(
        self, part: Any, name: str, reads: tuple[str, ...], lower: _Lower | None, reverse: bool
    ) -> tuple[str, ...]:
        """Add the layers of a part; those whose outputs, joined, are the part's."""
        if isinstance(part, Cell):
            below = {n: self._below(n, lower) for n in part.extra_inputs if lower and _is_below(n)}
            program = part.program(**self._sizes(part, name, reads))
            self.layers.append(Layer(name, part, program, reads, below, reverse))
            return (name,)
        found: dict[str, tuple[str, ...]] = {}
        for own, inside in part.parts.items():
            place, inside = f"{name}.{own}" if name else own, _plain(inside)
            ends = self.part(inside, place, reads, lower, reverse != (own in part.turned))
            found[own] = ends
            if part.chained:
                reads, lower = ends, (inside, ends)
        return tuple(end for own in part.ends for end in found[own])

    def _sizes(self, cell: Cell, name: str, reads: tuple[str, ...]) -> dict[str, int]:
        """The sizes of a cell at its place."""
        own = under(f"{name}." if name else "", self.numbers)
        asked = {n: k for n, k in self.sizes.items() if n in cell.sizes}
        known = {**asked, **cell.infer_sizes(own, asked)}
        if reads:
            width = sum(layer.output.shape[-1] for layer in self.layers if layer.name in reads)
            sizes: dict[str, int] = {n: k for n, k in known.items() if n not in asked}
            dimensions.learn(sizes, cell.x, (width,))
            known |= sizes
        small = cell.small_sizes()
        return {**{n: small[n] for n in cell.sizes}, **known}

    def _below(self, name: str, lower: _Lower) -> tuple[tuple[str, str], ...]:
        """The equations, joined, that a further input NAME_below stands for."""
        (part, ends), wanted = lower, name.removesuffix("_below")
        if isinstance(part, Cell) and wanted in part.program().equations:
            return ((ends[0], wanted),)
        if isinstance(part, Cell) or wanted != part.output:
            raise unknown(
                f"{part} below has no equation {wanted!r}", "its output is", [part.output]
            )
        outputs = {layer.name: layer.cell.output for layer in self.layers}
        return tuple((end, outputs[end]) for end in ends)


_Lower = tuple[Any, tuple[str, ...]]  # the part below, and the layers whose outputs are its own


def _is_below(name: str) -> bool:
    return name.endswith("_below")


def _answers(
    network: Any,
    layers: list[Layer],
    numbers: Mapping[str, Array],
    reader: Reader | None,
    kind: np.dtype[Any],
) -> Answers:
    """Inputs at which the interpreter finds finite numbers, and what it finds."""
    initial = {
        layer.prefix + n: layer.cell.initial(n, layer.program.inputs[f"prev.{n}"].shape, float)
        for layer in layers
        for n in layer.cell.state
    }
    exact = {n: v.astype(float) for n, v in numbers.items()}
    every = [(layer, n) for layer in layers for n in layer.given]
    x = layers[0].program.inputs["x"].shape
    for low, high in ((-1.0, 1.0), (0.1, 0.9)):  # a share or a duration is not negative
        random = np.random.default_rng(0)

        def draw(shape: tuple[int, ...], low: float = low, high: float = high) -> Array:
            numbers = random.uniform(low, high, shape).round(3)  # noqa: B023
            return numbers.astype(kind).astype(float)

        xs: Any
        if reader is None:
            xs = seen = draw((TIME, BATCH, *x))
        else:
            xs = random.integers(0, len(reader.symbols), (TIME, BATCH))
            rows = np.eye(len(reader.symbols)) if reader.embedding is None else reader.embedding
            seen = rows.astype(float)[xs]
        further = {}
        for layer, n in every:
            lead = (TIME, BATCH) if n in layer.cell.sequences else (BATCH,)
            shape = (*lead, *layer.program.inputs[n].shape)
            further[layer.prefix + n] = draw(shape)
        with np.errstate(all="ignore"):
            run = unroll(network, exact, seen, initial, **further)
            outputs = run[network.output].data
            if reader is not None:
                outputs = outputs @ reader.W_y.astype(float).T + reader.b_y.astype(float)
            final = {n: t.data for n, t in run.final.items()}
        if all(np.isfinite(v).all() for v in (outputs, *final.values())):
            break
    else:
        raise ExportError(
            f"{network}: with these weights it computes what is no finite number, so that no test "
            f"could be written.\n  Pass others, or declare what they start from: @cell(start=…)."
        )
    digits = 1e-5 if kind == np.dtype(np.float32) else 1e-10
    return Answers(xs, further, outputs, final, digits)


# --- what the author wrote beside an equation -----------------------------------------------------
def comments(cell: Cell) -> dict[str, str]:
    """The comment at the end of an equation's line in the cell's file, by the equation's name."""
    try:
        text = textwrap.dedent(inspect.getsource(cell.step))
        function = ast.parse(text).body[0]
        tokens = list(tokenize.generate_tokens(io.StringIO(text).readline))
    except (OSError, TypeError, SyntaxError, tokenize.TokenError, IndexError):
        return {}
    said = {t.start[0]: t.string.lstrip("# ") for t in tokens if t.type == tokenize.COMMENT}
    found: dict[str, str] = {}
    now = next(iter(inspect.signature(cell.step).parameters), "now")
    for node in ast.walk(function):
        if not isinstance(node, ast.Assign) or len(node.targets) != 1:
            continue
        target = node.targets[0]
        if isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name):
            lines = range(node.lineno, (node.end_lineno or node.lineno) + 1)
            words = " ".join(said[k] for k in lines if k in said)
            if target.value.id == now and words:
                found[target.attr] = words
    return found
