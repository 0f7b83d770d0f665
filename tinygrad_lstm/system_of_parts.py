"""`System`: parts by name and the wires between them, with a cell's interface."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from tinygrad_lstm import sizes as dimensions
from tinygrad_lstm.errors import CellError, ShapeError, unknown
from tinygrad_lstm.joint_step import joint_program
from tinygrad_lstm.parameters import Parameters, under
from tinygrad_lstm.part_sizes import input_shapes, sizes_of_parts
from tinygrad_lstm.program import Program
from tinygrad_lstm.running import Run
from tinygrad_lstm.sequence_inputs import SequenceInputs
from tinygrad_lstm.step import Cell
from tinygrad_lstm.system_run import run_system
from tinygrad_lstm.tensor import Array, Tensor, TensorLike
from tinygrad_lstm.tied import groups_of
from tinygrad_lstm.wires import Source, each_of
from tinygrad_lstm.wiring import CONSTANT, INITIAL, SEQUENCE, Wiring, declared_of
from tinygrad_lstm.wiring import output_of as output_of

Part: TypeAlias = "Cell | System"
Sizes = Mapping[str, int]


class System:
    """Parts by name, each a cell, a layer or a system, and wires. Attributes as those of a `Cell`.

    wiring: what the wires are; joined: the equations whose values, joined, are the system's output,
    and `output` is what that is called; turned: the parts that read from the last step to the
    first; home: for each part the one whose parameters it has, itself where they are not tied.
    """

    chained = False  # whether each part but the first reads the output of the one before

    def __init__(
        self,
        name: str,
        parts: Mapping[str, Part],
        wires: Mapping[str, Source],
        *,
        joined: Sequence[str] = (),
        output: str | None = None,
        turned: Collection[str] = (),
        tied: str | Sequence[str] = (),
    ) -> None:
        for part in parts.values():
            if not isinstance(part, Cell | System):
                raise CellError(f"a network is made of cells and networks, got {part!r}.")
        self.name, self.parts, self.turned = name, dict(parts), tuple(turned)
        self.wires, self.tied = dict(wires), tied
        names = {own: equation_names(part) for own, part in parts.items()}
        self.wiring = Wiring(str(self), self.parts, wires, names)
        self.joined = list(joined) or [self._found(output, names)]
        self.output: str = output if joined and output else self.joined[0]
        self.home = groups_of(str(self), self.parts, tied)
        self.state: Mapping[str, str] = {
            **self._all("state"),
            **{
                state: declared_of(self.parts[part])[target][1]
                for state, (part, target) in self.wiring.befores().items()
                if state not in self._all("state")
            },
        }
        own = {name for name, home in self.home.items() if name == home}
        self.parameters: Mapping[str, str] = {
            n: w for n, w in self._all("parameters").items() if _first(n) in own
        }
        self.first = self.wiring.sequences[0]  # what xs is
        self.x: str = self.wiring.inputs[self.first].words or "inputs"
        self.sequences = self._further(SEQUENCE)
        self.constants = self._further(CONSTANT)
        losses = [f"{n}.{part.loss}" for n, part in self.parts.items() if part.loss]
        self.losses = losses
        self.compile: Callable[[Cell], Cell] = _as_it_is  # what makes parts that run together one
        self._together: dict[Any, Cell] = {}
        self.loss: str | None = losses[0] if len(losses) == 1 else "loss" if losses else None
        told = sizes_of_parts(self, {}).told
        self.sizes: list[str] = list(
            dict.fromkeys(
                size
                for name, part in self.parts.items()
                for size in part.sizes
                if size not in told[name]
            )
        )

    def _found(self, output: str | None, names: Mapping[str, Sequence[str]]) -> str:
        """The system's output in full: that of its last part unless told."""
        last = [*self.parts][-1]
        name = output or last
        part, _, own = name.partition(".")
        if part in self.parts and not own:
            own = output_of(self.parts[part])
        if own not in names.get(part, ()):
            known = [f"{p}.{n}" for p, of in names.items() for n in of]
            raise unknown(f"{self}: there is no equation {name!r} for its output", "it has", known)
        return f"{part}.{own}"

    def _all(self, kind: str) -> dict[str, str]:
        return {
            f"{name}.{own}": words
            for name, part in self.parts.items()
            for own, words in getattr(part, kind).items()
        }

    def _further(self, kind: str) -> dict[str, str]:
        """Inputs but the first, and what parts take that nothing is wired to."""
        inputs = {
            name: outer.words or ""
            for name, outer in self.wiring.inputs.items()
            if outer.kind == kind and name != self.first
        }
        return inputs | {
            f"{name}.{own}": words
            for name, part in self.parts.items()
            for own, words in (part.sequences if kind == SEQUENCE else part.constants).items()
            if own not in self.wiring.wired[name]
        }

    @property
    def wired_states(self) -> set[str]:
        """The states whose first value a wire brings."""
        return {
            f"{name}.{target.removeprefix(INITIAL)}"
            for name, reads in self.wiring.wired.items()
            for target in reads
            if target.startswith(INITIAL)
        }

    @property
    def extra_inputs(self) -> list[str]:
        """The system's inputs but the first, and the parts' that nothing is wired to."""
        return [*self.sequences, *self.constants]

    @property
    def noise(self) -> dict[str, str]:
        """The parts' noise that nothing is wired to."""
        return {n: w for n, w in self._all("noise").items() if n in self.sequences}

    @property
    def ends(self) -> list[str]:
        """The parts whose outputs, joined, are the system's."""
        return [_first(name) for name in self.joined]

    @property
    def equation_names(self) -> list[str]:
        """Every equation of every part, and what the output is called."""
        every = [f"{n}.{own}" for n, part in self.parts.items() for own in equation_names(part)]
        return list(dict.fromkeys([*every, self.output]))

    def __str__(self) -> str:
        return f"network {self.name!r}"

    __repr__ = __str__

    # --- sizes and parameters ---------------------------------------------------------------------
    def part_sizes(self, sizes: Sizes) -> dict[str, dict[str, int]]:
        """The sizes of each part when the network's are `sizes`.

        A size is that of every part that has it, `decoder.hidden` that of one part; what a wire
        brings tells the sizes of what it leads to.
        """
        every = {size for part in self.parts.values() for size in part.sizes}
        own = {f"{n}.{size}" for n, part in self.parts.items() for size in part.sizes}
        for name in sizes:
            if name not in every and name not in own:
                raise unknown(f"{self} has no size {name!r}", "its sizes are", self.sizes)
        return sizes_of_parts(self, sizes).every

    def init(self, seed: int = 0, dtype: Any = np.float64, **sizes: Any) -> Parameters:
        """Fresh parameters, those of each part by its own `init` with a seed of its own.

        A cell's parameter with a number, such as `b_f=1.0`, fills it in every part that has it. A
        size of one part alone is `**{"decoder.hidden": 8}`.
        """
        fills = {name: sizes.pop(name) for name in fillable(self) & set(sizes)}
        tensors: dict[str, Tensor] = {}
        made_for: dict[str, int] = {}
        for k, (name, own) in enumerate(self.part_sizes(sizes).items()):
            part, home = self.parts[name], self.home[name]
            if home != name:
                self._check_tied(name, own, made_for)
                continue
            seed_of_part = int(np.random.default_rng([seed, k]).integers(2**31))
            chosen = {n: value for n, value in fills.items() if n in fillable(part)}
            made = part.init(seed_of_part, dtype, **own, **chosen)
            tensors |= _renamed(name, made)
            made_for |= {f"{name}.{size}": n for size, n in {**own, **made.sizes}.items()}
        return Parameters(tensors, str(self), made_for)

    def _check_tied(self, name: str, own: Sizes, made_for: Sizes) -> None:
        home = self.home[name]
        needed = dimensions.names(self.parts[name].parameters)
        for size, n in own.items():
            at_home = made_for.get(f"{home}.{size}", n)
            if at_home != n and size in needed:
                raise ShapeError(
                    f"{self}: {name} has the parameters of {home}, but its {size} is {n}, and "
                    f"that of {home} {at_home}.\n  Leave one of them out of tied=…, or give both "
                    f"the same {size}."
                )

    def bind(self, arrays: Mapping[str, TensorLike], **sizes: int) -> Parameters:
        """Parameters from arrays under names such as `1.W_f`, checked part by part.

        sizes: as `init` takes them; those that the arrays do not tell, or to be checked by them.
        """
        if strange := [name for name in arrays if name not in self.parameters]:
            what = f"{self}: no parameter is called {', '.join(strange)}"
            raise unknown(what, "the parameters are", self.parameters)
        tensors: dict[str, Tensor] = {}
        made_for: dict[str, int] = {}
        known = self.part_sizes(sizes) if sizes else {}
        for name, part in self.parts.items():
            if self.home[name] != name:
                continue
            own, given = under(f"{name}.", arrays), known.get(name, {})
            bound = part.bind(own, **{n: k for n, k in given.items() if n in part.sizes})
            fresh = {n: t for n, t in bound.items() if not isinstance(own[n], Tensor)}
            tensors |= {f"{name}.{n}": t for n, t in bound.items()} | _renamed(name, fresh)
            made_for |= {f"{name}.{size}": n for size, n in bound.sizes.items()}
        return Parameters(tensors, str(self), made_for)

    def complete(self, given: Mapping[str, float]) -> dict[str, int]:
        """The sizes, all of which have to be given."""
        self.part_sizes({name: int(n) for name, n in given.items()})
        if missing := [name for name in self.sizes if name not in given]:
            raise ShapeError(
                f"{self} needs {', '.join(f'{m}=…' for m in missing)}: its sizes are "
                f"{', '.join(self.sizes)}."
            )
        return {name: int(n) for name, n in given.items()}

    def input_shapes(self, **sizes: int) -> dict[str, tuple[int, ...]]:
        """The shape of each input of a step, parameters and states before it included."""
        return input_shapes(self, sizes)

    @property
    def bounds(self) -> dict[str, int]:
        """The least that each size may be, where a part says so."""
        found: dict[str, int] = {}
        for part in self.parts.values():
            for name, least in part.bounds.items():
                found[name] = max(found.get(name, 1), least)
        return found

    @property
    def start(self) -> dict[str, Any]:
        """What parameters and states of the parts start from, where it is declared."""
        return dict(self._all("start"))

    def initial(self, name: str, shape: tuple[int, ...], dtype: Any) -> Array:
        """What a state starts from where nobody says: as its part has it, or zeros."""
        part, _, own = name.partition(".")
        if part in self.parts and own in self.parts[part].state:
            return self.parts[part].initial(own, shape, dtype)
        return np.zeros(shape, dtype)

    # --- one step ---------------------------------------------------------------------------------
    def small_sizes(self) -> dict[str, int]:
        """Small sizes, all different, for a Program to look at."""
        return {n: max(3, self.bounds.get(n, 1)) + k for k, n in enumerate(self.sizes)}

    def program(self, **sizes: int) -> Program:
        """One step of all parts as a Program, as `Cell.program`.

        CellError where there is no one step: where parts have steps of their own, or a part reads
        what another has made of all its steps.
        """
        sizes = sizes or self.small_sizes()
        return joint_program(self, [*self.parts], sizes)

    @property
    def is_one_step(self) -> bool:
        """Whether all parts go along with one another, step by step, so that `program` is one."""
        inner = (part for part in self.parts.values() if isinstance(part, System))
        clocks = {*self.wiring.clocks.values()}
        return not self.wiring.once and len(clocks) == 1 and all(p.is_one_step for p in inner)

    def reading(self, **sizes: int) -> Program:
        """One step of each part, to be read: where parts have steps of their own, too.

        What a wire brings that all steps have made is an input by the name of what reads it.
        """
        names = [*self.parts]
        return joint_program(self, names, sizes or self.small_sizes(), apart=True)

    @property
    def gathered(self) -> dict[str, str]:
        """Equations whose values at all steps a wire gathers, each with what it is wired to."""
        return {
            f"{read.part}.{read.name}": f"{name}.{target}"
            for name, reads in self.wiring.wired.items()
            for target, read in each_of(reads)
            if read.part and read.kind != "mask" and self.wiring.is_once(read)
        }

    # --- over a sequence --------------------------------------------------------------------------
    def together(
        self,
        group: tuple[str, ...],
        sizes: Mapping[str, Sizes],
        constants: Collection[str],
        noise: Collection[str],
    ) -> Cell:
        """Parts that read one another's step before as one cell."""
        key = group, tuple((name, *sorted(own.items())) for name, own in sizes.items())
        if key not in self._together:
            programs = {name: self.parts[name].program(**sizes[name]) for name in group}
            program = joint_program(self, group, {}, programs)
            program.inputs = {"x": Tensor.input("x", ()), **program.inputs}
            self._together[key] = self.compile(Cell.of(program, constants=constants, noise=noise))
        return self._together[key]

    def forget_together(self) -> None:
        """Make anew what parts that run together are, once `compile` has been changed."""
        self._together = {}

    def over(self, p: Parameters, inputs: SequenceInputs) -> Run:
        """Run all parts over a sequence that has been checked."""
        return run_system(self, p, inputs)


def equation_names(part: Part) -> list[str]:
    """The equations of a part, of a system also what its output is called."""
    if isinstance(part, System):
        return part.equation_names
    return [*part.program().equations] if isinstance(part, Cell) else []


def fillable(part: Part) -> set[str]:
    """The names of parameters, without their parts', that `init` can fill with a number."""
    return {name.rsplit(".", 1)[-1] for name in part.parameters}


def _as_it_is(cell: Cell) -> Cell:
    return cell


def _first(name: str) -> str:
    return name.partition(".")[0]


def _renamed(part: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A part's fresh parameters under the network's names."""
    for name, tensor in tensors.items():
        tensor.name = f"{part}.{name}"
    return {f"{part}.{name}": tensor for name, tensor in tensors.items()}
