"""An odyssey: the LSTM's variants × random configurations on two tasks, with fANOVA."""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import median
from typing import Any

from benchmarks.experiments.parts import Part, table
from benchmarks.experiments.searches import partly, searched
from lesson import plots
from tinygrad_lstm.searching import labels

VARIANTS = ("odyssey_vanilla", "nig", "nfg", "nog", "niaf", "noaf", "cifg", "np")
CONFIGURATIONS = 60
TASKS = {
    "temporal-order": 'name = "temporal-order"\nlag = 16',
    "embedded-reber": 'name = "embedded-reber"',
}
GUESSING = {"temporal-order": math.log(4)}  # of four orders
SPACE = """name = "odyssey-{task}-{configurations}"
cells = {cells}
configurations = {configurations}
steps = 200
batch = 32
seed = 0

[task]
{said}

[sizes]
hidden = {{ from = 10, to = 60, log = true }}

[optimiser]
name = "sgd"
rate = {{ from = 0.003, to = 10.0, log = true }}
momentum = {{ from = 0.0, to = 0.99 }}
nesterov = true

[noise]
input = {{ from = 0.0, to = 1.0 }}
"""


def space(task: str, budget: float) -> str:
    """The file of a search."""
    number = max(2, math.ceil(CONFIGURATIONS * budget))
    cells = "[" + ", ".join(f'"{name}"' for name in VARIANTS) + "]"
    return SPACE.format(task=task, configurations=number, cells=cells, said=TASKS[task])


def parts(budget: float) -> list[Part]:
    """A part for each task, which goes on with its database."""

    def run(task: str) -> Callable[[], dict[str, Any]]:
        return lambda: searched(space(task, budget))

    def begun(task: str) -> Callable[[], tuple[Any, float] | None]:
        return lambda: partly(space(task, budget))

    return [Part(task, run(task), begun(task)) for task in TASKS]


def pictures(found: dict[str, Any]) -> dict[str, str]:
    """Values by variant, and over the rate."""
    made = {}
    for task, result in found.items():
        trials = [t for t in result["trials"] if t["value"] is not None]
        groups = {v: [t["value"] for t in trials if t["drawn"]["cell"] == v] for v in VARIANTS}
        made[f"odyssey-{task}.svg"] = plots.strips(
            groups, f"Odyssey on {task}: held-out loss of each configuration, by variant",
            "held-out loss (line: median)", log=True,
        )  # fmt: skip
        dots = {
            v: [
                (t["drawn"]["optimiser.rate"], t["value"])
                for t in trials
                if t["drawn"]["cell"] == v
            ]
            for v in VARIANTS
        }
        made[f"odyssey-{task}-rate.svg"] = plots.scatter(
            dots, f"Odyssey on {task}: held-out loss over the rate", "rate", "held-out loss",
            x_log=True, y_log=True,
        )  # fmt: skip
    return made


def page(found: dict[str, Any]) -> str:
    """What the variants reached, and which hyper-parameters mattered."""
    text = """
Eight variants of the LSTM of Greff et al. (2017), each with random configurations: units, rate
and momentum of gradient descent, noise on the input. Every trial has
200 steps of 32 sequences: it ranks what is learnt quickly, and not what is reached in the end, as
the paper does after up to 150 epochs on speech, handwriting and music. The paper's conclusion to
look for is qualitative: that the learning rate explains most of the variance, and variants little.
"""
    for task, result in found.items():
        trials = [t for t in result["trials"] if t["value"] is not None]
        lost = len(result["trials"]) - len(trials)
        rows = []
        for v in VARIANTS:
            own = sorted(t["value"] for t in trials if t["drawn"]["cell"] == v)
            if own:
                tenth = own[: max(1, len(own) // 10)]
                rows.append(
                    (v, len(own), f"{own[0]:.3f}", f"{median(tenth):.3f}", f"{median(own):.3f}")
                )
        learnt = ""
        if guess := GUESSING.get(task):
            count = sum(t["value"] < 0.95 * guess for t in trials)
            learnt = (
                f" Guessing costs {guess:.3f}; {count} came more than 5 % below it, so that the "
            )
            learnt += "ranks are of who learns anything at all in 200 steps."
        shares = result["importance"]
        short = labels([*shares])
        said = ", ".join(f"{short[n]} {s:.2f}" for n, s in shares.items()) or "too few results"
        text += f"""
## {task}

{len(result["trials"])} configurations, {lost} of which diverged.{learnt}

{table(["variant", "configurations", "best loss", "best tenth, median", "median"], rows)}

Importance, the share of the variance that each explains alone (fANOVA; a diverged training counts
as the worst that did not): {said}.

![Each configuration's loss by variant.](odyssey-{task}.svg)

![The same over the rate.](odyssey-{task}-rate.svg)
"""
    return text
