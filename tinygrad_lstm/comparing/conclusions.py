"""What may be concluded of a comparison, and what not, in plain sentences."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from statistics import median

from tinygrad_lstm.comparing.results import Results, Runs
from tinygrad_lstm.comparing.statistics import fisher, holm, rank_test, wilson

LEVEL = 0.05


def conclusions(results: Results) -> list[str]:
    """Sentences: what each cell did, which can be told apart, and what does not follow."""
    runs = [one for one in results.runs if one.trials]
    if not runs:
        return ["Nothing is trained yet."]
    said = [] if not results.missing else [_unfinished(results)]
    if results.ends:
        said += [_share(one, results) for one in runs]
    else:
        said.append(
            f"The task has no end at which it counts as solved; {results.main} after the last step "
            f"is compared, and less is better."
        )
        said += [f"{one.entrant.name}: {_spread(one.last(results.main))}." for one in runs]
    if len(runs) > 1:
        said += _pairs(results, runs)
    return [*said, _limits(results)]


def _unfinished(results: Results) -> str:
    whole = len(results.entrants) * results.plan.seeds
    return f"{len(results.missing)} of {whole} trainings are still to be done; so far:"


def _share(one: Runs, results: Results) -> str:
    n, k = len(one.trials), one.solved
    low, high = (round(100 * share) for share in wilson(k, n))
    name = one.entrant.name
    task = results.task.name
    whole = f"{name} solves {task} with {k} of {n} seeds"
    if k == n:
        seeds = f"all {n} seeds" if n > 1 else "its one seed"
        whole = f"{name} solves {task} with {seeds}"
    if k == 0:
        seeds = f"any of {n} seeds" if n > 1 else "its one seed"
        whole = f"{name} does not solve {task} with {seeds}"
    steps = one.middle("steps")
    if steps is not None:
        whole += f", after {steps:,.0f} steps (median)"
    else:
        whole += f" (median {results.main} at the end {_number(median(one.last(results.main)))})"
    lost = sum(trial.end == "diverged" for trial in one.trials)
    whole += f"; {lost} diverged" if lost else ""
    return f"{whole}; of all seeds that may be {low} to {high} % (95 %, Wilson)."


def _pairs(results: Results, runs: Sequence[Runs]) -> list[str]:
    """Which cells can be told apart."""
    pairs = list(itertools.combinations(runs, 2))
    if results.ends:
        p = [fisher(a.solved, len(a.trials), b.solved, len(b.trials)) for a, b in pairs]
        test = "Fisher's exact test"
    else:
        p = [rank_test(a.last(results.main), b.last(results.main)) for a, b in pairs]
        test = "rank-sum test"
    said, alike = [], []
    corrected = holm(p)
    note = f", corrected for {len(pairs)} comparisons" if len(pairs) > 1 else ""
    for (a, b), value in zip(pairs, corrected, strict=True):
        better, worse = _ordered(a, b, results)
        if value < LEVEL:
            verb = "solves it more often than" if results.ends else "comes to a lower value than"
            counts = (
                f"{better.solved} of {len(better.trials)} against {worse.solved} of "
                f"{len(worse.trials)} seeds"
                if results.ends
                else f"{_number(median(better.last(results.main)))} against "
                f"{_number(median(worse.last(results.main)))}"
            )
            if results.ends and better.solved == len(better.trials) and not worse.solved:
                said.append(
                    f"{better.entrant.name} solves it and {worse.entrant.name} does not: {counts} "
                    f"({test}, p = {_p(value)}{note})."
                )
            else:
                said.append(
                    f"{better.entrant.name} {verb} {worse.entrant.name}: {counts} "
                    f"({test}, p = {_p(value)}{note})."
                )
        else:
            alike.append((a, b, value))
    said += [_alike(a, b, value, test, note, results) for a, b, value in alike]
    return said


def _alike(a: Runs, b: Runs, p: float, test: str, note: str, results: Results) -> str:
    n = min(len(a.trials), len(b.trials))
    said = (
        f"{a.entrant.name} and {b.entrant.name} cannot be told apart with {n} "
        f"seed{'s' * (n != 1)} ({test}, p = {_p(p)}{note})"
    )
    if results.ends and a.solved == len(a.trials) and b.solved == len(b.trials):
        steps = [[float(t.steps) for t in one.trials] for one in (a, b)]
        quick = rank_test(*steps)
        first, second = sorted((a, b), key=lambda one: one.middle("steps") or math.inf)
        said += (
            f"; both always solve it, {first.entrant.name} in fewer steps "
            f"(rank-sum test, p = {_p(quick)})"
            if quick < LEVEL
            else f"; both always solve it, and their steps differ no more than by chance "
            f"(rank-sum test, p = {_p(quick)})"
        )
    elif results.ends and fisher(n, n, 0, n) >= LEVEL:
        said += f": {n} of {n} against none would not be enough; take more --seeds"
    return f"{said}."


def _ordered(a: Runs, b: Runs, results: Results) -> tuple[Runs, Runs]:
    if results.ends:
        shares = [one.solved / len(one.trials) for one in (a, b)]
        return (a, b) if shares[0] >= shares[1] else (b, a)
    ends = [median(one.last(results.main)) for one in (a, b)]
    return (a, b) if ends[0] <= ends[1] else (b, a)


def _limits(results: Results) -> str:
    """What does not follow."""
    plan = results.plan
    starts = {
        f"{name} starting at {value:g}" if isinstance(value, float) else f"{name} {value}"
        for one in results.entrants
        for name, value in one.starts.items()
    }
    sizes = f"{plan.hidden} units each"
    if plan.equal == "parameters":
        sizes = f"{results.entrants[0].parameters:,} parameters each, or nearly"
    most = f"at most {plan.steps:,} steps" + (
        f" or {plan.seconds:g} s" if plan.seconds is not None else ""
    )
    settings = [f"{plan.optimiser} at rate {plan.rate:g}", sizes, *sorted(starts), most]
    return (
        f"This holds for these settings ({', '.join(settings)}): another rate, start, size or "
        f"number of steps may help the cell that is behind; a search over them tells."
    )


def _spread(values: Sequence[float]) -> str:
    low, middle, high = min(values), median(values), max(values)
    return f"median {_number(middle)}, from {_number(low)} to {_number(high)}, {len(values)} seeds"


def _number(value: float) -> str:
    return f"{value:.3g}" if math.isfinite(value) else "no number"


def _p(value: float) -> str:
    return f"{value:.3f}" if value >= 0.001 else f"{value:.1g}"
