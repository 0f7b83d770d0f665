"""A network with its read-out at given sizes, and the parameters it has there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tinygrad_lstm import sizes as dimensions
from tinygrad_lstm.errors import CellError, DTypeError, ShapeError, unknown
from tinygrad_lstm.kernels import compiled
from tinygrad_lstm.learning.flat import Flat
from tinygrad_lstm.learning.readouts import Readout
from tinygrad_lstm.networks import System, fillable
from tinygrad_lstm.step import Cell
from tinygrad_lstm.tensor import Array

FLOATS = [np.dtype(kind) for kind in (np.float16, np.float32, np.float64, np.longdouble)]
FurtherInputs = Callable[[int, tuple[int, ...]], Mapping[str, Any]]
HIDDEN, EMBEDDING = 32, 64  # units, and numbers for a symbol, where nobody says how many


class Model:
    """A read-out with sizes and parameters: what a training trains.

        head = learning.readout(cells.lstm, outputs=1, loss="squared-error", at="end")
        model = learning.Model(head, inputs=2, hidden=16)
        model.predict(xs)                                    # (batch, 1)

    sizes: those of the network, and start values of parameters, as its `init` takes them; `hidden`
    is 32 unless told, the length of an embedding 64. reads: the length of x, by which its size is
    found where it is not told. parameters: in place of fresh ones, which seed and dtype are of.
    further: for a network with further inputs that the data do not give, a function (start, shape)
    -> {name: array} of their values from step `start` on; shape is (time, batch) or (time,).
    `parameters` maps names to arrays; `sizes` and `start` are what was found and given.
    """

    parameters: Mapping[str, Array]
    further: FurtherInputs | None

    def __init__(
        self,
        readout: Readout,
        /,
        *,
        reads: int = 0,
        seed: int = 0,
        dtype: Any = np.float32,
        parameters: Mapping[str, Any] | None = None,
        further: FurtherInputs | None = None,
        **sizes: Any,
    ) -> None:
        starts = fillable(readout.network) - {*readout.network.sizes}
        start = {name: value for name, value in sizes.items() if name in starts}
        own = {name: n for name, n in sizes.items() if name not in starts}
        self._fit(readout, own, start, reads, seed, dtype, further)
        if parameters is not None:
            strange = [name for name in parameters if name not in self.parameters]
            missing = [name for name in self.parameters if name not in parameters]
            if strange or missing:
                what = f"{self} has no parameter {', '.join(strange)}" if strange else ""
                what = what or f"{self} also needs the parameters {', '.join(missing)}"
                raise unknown(what, "its parameters are", self.parameters)
            self.parameters = Flat.of(self.parameters).fit(parameters)

    @classmethod
    def of(
        cls,
        readout: Readout,
        sizes: Mapping[str, int],
        start: Mapping[str, Any],
        *,
        reads: int = 0,
        seed: int = 0,
        dtype: Any = np.float32,
        further: FurtherInputs | None = None,
    ) -> Model:
        """The same of sizes and start values in mappings, which may have any names."""
        made = cls.__new__(cls)
        made._fit(readout, sizes, start, reads, seed, dtype, further)
        return made

    def _fit(
        self,
        readout: Readout,
        sizes: Mapping[str, Any],
        start: Mapping[str, Any],
        reads: int,
        seed: int,
        dtype: Any,
        further: FurtherInputs | None,
    ) -> None:
        network, self.further = readout.network, further
        free = readout.embeds or bool(readout.vectors)
        reads = EMBEDDING if free else reads or readout.symbols
        traced = readout.joined
        own = complete_sizes(network, reads, sizes, HIDDEN, free=free, traced=traced)
        axes = dimensions.shape(network.x, completed(network, own))
        if len(axes) != 1:
            raise CellError(f"{network}: x is ({network.x}), but a vector is to be read.")
        if not free and reads and axes != (reads,):
            raise ShapeError(
                f"{network}: x is ({network.x}), {axes[0]} numbers, but there are {reads} to be "
                f"read at each step.\n  Give sizes that make it {reads} long, or have them read "
                f"through a matrix, by the input 'linear'."
            )
        self._take(readout, own, start, seed, dtype)

    def _take(
        self,
        readout: Readout,
        sizes: Mapping[str, int],
        start: Mapping[str, Any] | None,
        seed: int,
        dtype: Any,
    ) -> None:
        if dtype not in FLOATS:
            raise DTypeError(f"parameters are floating-point numbers, got dtype {dtype!r}.")
        self.readout, self.sizes = readout, dict(sizes)
        self.start: dict[str, Any] = dict(start or {})
        self.dtype = np.dtype(dtype)
        self.parameters = readout.init(seed, self.dtype, **self.sizes, **self.start)

    @property
    def network(self) -> Cell | System:
        """The cell or network that is read out."""
        return self.readout.network

    def __repr__(self) -> str:
        sizes = ", ".join(f"{name}={n}" for name, n in self.sizes.items())
        return f"{self.readout}: {sizes}, {self.count:,} numbers"

    @property
    def count(self) -> int:
        """How many numbers its parameters hold in all."""
        return sum(value.size for value in self.parameters.values())

    def inputs(self, xs: Any, start: int) -> Mapping[str, Any]:
        """What `further` gives for a sequence xs of which `start` steps came before."""
        shape = np.shape(xs) if self.readout.symbols else np.shape(xs)[:-1]
        return self.further(start, shape) if self.further else {}

    def predict(self, xs: Any, lengths: Any = None, **options: Any) -> Array:
        """z for sequences xs: (time, batch, outputs), or (batch, outputs) at their ends.

        options: as `unroll` takes them, such as the network's further inputs by name.
        """
        p, given = self.parameters, {**self.inputs(xs, 0), **options}
        run = self.readout.run(p, xs, compiled(self.network), lengths=lengths, **given)
        return self.readout.predict(p, run, lengths).data


def complete_sizes(
    network: Cell | System,
    reads: int,
    given: Mapping[str, Any],
    hidden: int,
    *,
    free: bool,
    traced: bool = True,
) -> dict[str, int]:
    """All sizes of a network, with `hidden` units where it has a size of that name.

    A size that x alone depends on is such that x has `reads` numbers; free: unless it is that of
    the units. traced: whether all its sizes must be known, by which a step of it is traced.
    """
    usual, axes = {"hidden": hidden}, dimensions.parse(network.x)
    own = dimensions.names({"x": network.x})
    if len(own) == 1 and not (free and own == ["hidden"]):
        usual[own[0]] = dimensions.solved(axes[0], reads, own[0], {}) or reads
    known = [*network.sizes, *getattr(network, "derived", ())]
    if strange := [name for name in given if name not in known]:
        have = f"its sizes are {', '.join(known)}, its parameters"
        what = f"{network} has no size or parameter {strange[0]!r}"
        raise unknown(what, have, sorted(fillable(network)))
    sizes = {**{name: n for name, n in usual.items() if name in network.sizes}, **given}
    if traced and (missing := [name for name in network.sizes if name not in sizes]):
        raise ShapeError(
            f"{network} needs {', '.join(f'{name}=…' for name in missing)}: its sizes are "
            f"{', '.join(network.sizes)}."
        )
    if traced:
        network.program(**sizes)  # names what is wrong
    return sizes


def completed(network: Cell | System, sizes: Mapping[str, int]) -> Mapping[str, int]:
    """The sizes with those that they determine."""
    return network.complete(sizes) if isinstance(network, Cell) else sizes
