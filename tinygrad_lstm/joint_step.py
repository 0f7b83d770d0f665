"""One step of several parts as one Program: a system's, or that of parts that run together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tinygrad_lstm.errors import CellError
from tinygrad_lstm.functions import concat
from tinygrad_lstm.part_sizes import outer_shape, sizes_of_parts
from tinygrad_lstm.program import Program, named
from tinygrad_lstm.tensor import Tensor, apply
from tinygrad_lstm.wires import Read
from tinygrad_lstm.wiring import INITIAL


def joint_program(
    system: Any,
    names: Sequence[str],
    sizes: Mapping[str, int],
    programs: Any = None,
    apart: bool = False,
) -> Program:
    """One step of all parts of a system, or of a group of them.

    apart: to be read and not to be run, where parts have steps of their own: a step of each, in
    which what is made of all steps of another part is an input `part.NAME`.

    Its inputs are those of the system. Of a group, where `programs` maps each part to its own, what
    is read from outside is an input `part.NAME`, and of several that are joined `part.NAME_1`, ….
    """
    return _Joint(system, names, sizes, programs, apart).program()


class _Joint:
    def __init__(
        self,
        system: Any,
        names: Sequence[str],
        sizes: Mapping[str, int],
        programs: Any,
        apart: bool,
    ) -> None:
        self.system, self.names, self.sizes = system, names, sizes
        self.grouped = programs is not None
        self.every = {} if self.grouped else system.part_sizes(sizes)
        if not self.grouped:
            if not apart:
                self._refuse_several_steps()
            steps = {n: getattr(system.parts[n], "reading", system.parts[n].program) for n in names}
            programs = {n: steps[n](**self._sizes_of(n)) for n in names}
        self.programs: Mapping[str, Program] = programs
        self.inputs: dict[str, Tensor] = {}
        self.words: dict[str, str] = {}
        self.written: dict[str, Tensor] = {}
        self.carried: dict[str, Tensor] = {}  # inputs that are read one step later, too
        self.looped: set[str] = set()  # equations that are

    def _sizes_of(self, name: str) -> dict[str, int]:
        own = self.every[name]
        small = self.system.parts[name].small_sizes()
        return {**{n: k for n, k in small.items() if n not in own}, **own}

    def _made_of_all(self, read: Read) -> bool:
        """Whether a wire carries what all steps have made."""
        return read.kind in ("whole", "final", "mask") or read.part in self.system.wiring.once

    def _refuse_several_steps(self) -> None:
        system = self.system
        wiring, clocks = system.wiring, {*system.wiring.clocks.values()}
        why = ""
        if wiring.once:
            why = f"{', '.join(sorted(wiring.once))} is computed once"
        if len(clocks) > 1:
            said = [
                f"{name} by those of {' and '.join(wiring.clock_inputs(wiring.clocks[name]))}"
                for name in self.names
                if name in wiring.clocks
            ]
            why = f"the parts go by steps of their own, {', '.join(said)}"
        for name in self.names:
            for target, reads in wiring.wired[name].items():
                for read in reads:
                    if read.kind in ("whole", "final", "mask") and not target.startswith(INITIAL):
                        why = why or f"{name}.{target} reads {read}, which all steps make"
        if why:
            parts = " or ".join(f"parts[{name!r}]" for name in self.names)
            raise CellError(
                f"{system} has no one step: {why}.\n  Read the step of a part, {parts}, or the "
                f"graph of a run."
            )

    def program(self) -> Program:
        system, wiring = self.system, self.system.wiring
        for name in self.names:  # inputs in the order of the parts
            for old, node in self.programs[name].inputs.items():
                self._take(name, old, node)
        static: set[str] = set()
        ordered = [p for group in wiring.order for p in group if p in self.names]
        for name in ordered:
            program = self.programs[name]
            static |= {self._called(name, old) for old in program.static or ()}
            leaves = {old: self._leaf(name, old) for old in program.inputs}
            own = program.on(leaves, lambda n, name=name: f"{name}.{n}")  # type: ignore[misc]
            self.written |= {f"{name}.{n}": node for n, node in own.items()}
        equations = {
            f"{name}.{own}": self.written[f"{name}.{own}"]
            for name in (self.names if not self.grouped else ordered)
            for own in self.programs[name].equations
        }
        if not self.grouped:
            equations = self._with_output(equations)
        state = [f"{name}.{own}" for name in self.names for own in system.parts[name].state]
        outputs = {n: equations[n] for n in [*state, *sorted(self.looped)]} | self.carried
        return Program(system.name, self.inputs, equations, outputs, self.words, self.sizes, static)

    def _with_output(self, equations: dict[str, Tensor]) -> dict[str, Tensor]:
        system = self.system
        if len(system.joined) > 1:
            every = [equations[name] for name in system.joined]
            equations[system.output] = named(concat(*every), system.output)
        if len(system.losses) > 1:
            total = equations[system.losses[0]]
            for name in system.losses[1:]:
                total = apply("add", total, equations[name])
            equations["loss"] = named(total, "loss")
        return equations

    # --- inputs -----------------------------------------------------------------------------------
    def _called(self, part: str, own: str) -> str:
        """A part's input as the system's: W_f is that of the part whose parameters it has."""
        if own.startswith("prev."):
            return f"prev.{part}.{own[5:]}"
        tied = own in self.system.parts[part].parameters
        return f"{self.system.home[part] if tied else part}.{own}"

    def _take(self, part: str, own: str, node: Tensor) -> None:
        """Make the inputs that a part's input comes from."""
        reads = self.system.wiring.wired[part].get(own)
        words = self.programs[part].dimensions.get(own, "")
        if reads is None:
            self._make(self._called(part, own), node.shape, words)
            return
        if any(map(self._made_of_all, reads)):
            self._make(f"{part}.{own}", node.shape, words)
            return
        for k, read in enumerate(reads, 1):
            if self._inside(read):
                continue
            name, single = self._outer(part, own, reads, k), words if len(reads) == 1 else ""
            self._make(name, self._width(node, reads, read), single)
            if read.kind == "before" and not self.grouped:
                self._make(read.name, self.inputs[name].shape, single)
                self.carried[read.name] = self.inputs[read.name]

    def _outer(self, part: str, own: str, reads: Sequence[Read], k: int) -> str:
        """What the k-th source is called that lies outside."""
        if self.grouped:
            return f"{part}.{own}" if len(reads) == 1 else f"{part}.{own}_{k}"
        read = reads[k - 1]
        return f"prev.{read.name}" if read.kind == "before" else read.name

    def _width(self, node: Tensor, reads: Sequence[Read], read: Read) -> tuple[int, ...]:
        """The shape of one of several that are joined: what the others leave of the whole."""
        if len(reads) == 1:
            return node.shape
        others = sum(self._shape(each)[-1] for each in reads if each is not read)
        return (*node.shape[:-1], node.shape[-1] - others)

    def _shape(self, read: Read) -> tuple[int, ...]:
        if self._inside(read):
            return self.programs[read.part or ""].equations[read.name].shape
        every = self.every or sizes_of_parts(self.system, self.sizes).every
        shape = outer_shape(self.system, every, read.name) if read.part is None else None
        if shape is None:
            raise CellError(
                f"{self.system}: nothing tells how long {read} is, which is joined with others.\n"
                f"  Give the sizes of a part that reads it alone."
            )
        return tuple(int(n or 0) for n in shape)

    def _inside(self, read: Read) -> bool:
        return read.part in self.names

    def _make(self, name: str, shape: tuple[int, ...], words: str) -> None:
        if name not in self.inputs:
            self.inputs[name] = Tensor.input(name, shape)
            self.words[name] = words
        elif words and not self.words[name]:
            self.words[name] = words

    def _leaf(self, part: str, own: str) -> Tensor:
        reads = self.system.wiring.wired[part].get(own)
        if reads is None:
            return self.inputs[self._called(part, own)]
        if any(map(self._made_of_all, reads)):
            return self.inputs[f"{part}.{own}"]
        found = []
        for k, read in enumerate(reads, 1):
            if self._inside(read) and read.kind == "before":
                shape = self.programs[read.part or ""].equations[read.name].shape
                self._make(f"prev.{read.state}", shape, "")
                self.looped.add(read.state)
                found.append(self.inputs[f"prev.{read.state}"])
            elif self._inside(read):
                found.append(self.written[read.state])
            else:
                found.append(self.inputs[self._outer(part, own, reads, k)])
        return found[0] if len(found) == 1 else concat(*found)
