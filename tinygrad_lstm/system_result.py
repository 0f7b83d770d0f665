"""What a system has computed, put together from the runs of its parts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tinygrad_lstm.errors import UnknownNameError
from tinygrad_lstm.functions import concat
from tinygrad_lstm.parameters import Parameters, under
from tinygrad_lstm.running import Final, Moments, Run
from tinygrad_lstm.sequence_inputs import SequenceInputs
from tinygrad_lstm.tensor import Tensor


class SystemRun(Run):
    """What a system computed: as a `Run`, where parts may have steps of their own.

    `parts` maps each part to its run; `run["encoder.h"]` has as many steps as the encoder. `steps`
    are those of the system's output. `loss` is the sum of the losses that parts declare.
    """

    parts: Mapping[str, Run]

    @property
    def loss(self) -> Tensor:
        """The sum of the parts' losses, each summed over its steps, mean over the batch."""
        declared = [run.loss for name, run in self.parts.items() if self.cell.parts[name].loss]
        if not declared:
            raise UnknownNameError(
                f'{self.cell}: no part declares a loss; write @cell(loss="NAME") for a scalar '
                f'equation of one, or compute one from run["{self.cell.output}"].'
            )
        total = declared[0]
        for each in declared[1:]:
            total = total + each
        return total


def result_of(
    system: Any,
    p: Parameters,
    inputs: SequenceInputs,
    found: Mapping[str, Run],
    times: Mapping[str, int],
    firsts: Mapping[str, Tensor],
    lasts: Mapping[str, Callable[[], Tensor]],
) -> Run:
    """The run of a system, of those of its parts.

    times: how many steps each clock has; firsts, lasts: what wires to the step before started from,
    and what they would carry next.
    """
    wiring = system.wiring
    runs = {name: found[name] for name in system.parts}
    last = wiring.clocks.get(system.joined[0].partition(".")[0], "")
    ticking = [n for n in runs if wiring.clocks.get(n) == last]
    time = times.get(last, 1)

    def at(name: str, t: int) -> Tensor:
        part, _, own = name.partition(".")
        return runs[part].steps[t][own]

    def output(t: int) -> Tensor:
        values = [at(name, t) for name in system.joined]
        if len(values) == 1:
            return values[0]
        node = concat(*values)
        node.name, node.time = inputs.prefix + system.output, t
        return node

    def step(t: int) -> dict[str, Tensor]:
        own = {f"{n}.{k}": v for n in ticking for k, v in runs[n].steps[t].items()}
        return {**own, system.output: output(t)}

    def whole(name: str) -> Tensor | None:
        if name == system.output:
            values = [of(own) for own in system.joined]
            return concat(*values) if len(values) > 1 else values[0]
        return of(name)

    def of(name: str) -> Tensor:
        part, _, own = name.partition(".")
        return runs[part].steps[0][own] if part in wiring.once else runs[part][own]

    def final(name: str) -> Tensor:
        if name in lasts:
            return lasts[name]()
        part, _, own = name.partition(".")
        return runs[part].final[own]

    lazy = all(run.whole for run in runs.values()) or len({*wiring.clocks.values()}) > 1
    lazy = lazy or bool(wiring.once)
    steps: Sequence[Any] = Moments(time, step)
    initial = {f"{n}.{k}": v for n, run in runs.items() for k, v in run.initial.items()}
    names = [f"{n}.{k}" for n, run in runs.items() for k in run.names]
    made = SystemRun(
        system,
        p,
        Moments(time, inputs.x)
        if wiring.clocks[f"input.{system.first}"] == last
        else runs[system.ends[0]].inputs,
        {**firsts, **initial},
        steps if lazy else list(steps),
        Final(system.state, final),
        whole if lazy else None,
        list(dict.fromkeys([*names, system.output])),
    )
    made.parts = runs
    return made


def part_of(part: Any, name: str, run: Run, p: Parameters) -> Run:
    """The run of one part, of a run of several as one cell."""
    start = f"{name}."
    names = [n.removeprefix(start) for n in run.names if n.startswith(start)]
    return Run(
        part,
        p,
        run.inputs,
        under(start, run.initial),
        Moments(len(run), lambda t: {n: run.steps[t][start + n] for n in names}),
        Final(part.state, lambda n: run.final[start + n]),
        (lambda n: run[start + n]) if run.whole else None,
        names,
    )
