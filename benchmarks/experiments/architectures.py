"""A search of architectures: mutated cells on two tasks, after Jozefowicz et al. (2015)."""

from __future__ import annotations

import math
from statistics import mean
from typing import Any

import numpy as np

import equations
import viz
from benchmarks.experiments.parts import Part, share, spread, table
from benchmarks.experiments.searches import partly, searched
from lesson import plots
from tinygrad_lstm import Cell, cells
from tinygrad_lstm.learning import Adam, DivergenceError, Training, tasks
from tinygrad_lstm.searching import mutant_of

MUTANTS, STEPS, HIDDEN, SEEDS, FINAL = 310, 120, 16, 3, 1000
TASKS = (("embedded-reber", {}), ("temporal-order", {"lag": 10}))
SPACE = """name = "architectures-{cells}"
cells = ["lstm", "gru"]
steps = {steps}
batch = 16
seed = 1

[[task]]
name = "embedded-reber"

[[task]]
name = "temporal-order"
lag = 10

[optimiser]
name = "adam"
rate = {{ from = 0.003, to = 0.03, log = true }}

[sizes]
hidden = {hidden}

[mutations]
cells = {cells}
most = 3
keep = 20
"""


def space(budget: float) -> str:
    """The search's file."""
    return SPACE.format(cells=max(6, math.ceil(MUTANTS * budget)), steps=STEPS, hidden=HIDDEN)


def best(trials: list[dict[str, Any]]) -> dict[str, Any]:
    """The trial of the best mutant."""
    found = [t for t in trials if t["value"] is not None and t.get("changes")]
    return min(found, key=lambda t: t["value"])


def _again(cell: Cell, rate: float, seed: int, steps: int) -> list[dict[str, float]]:
    """Both tasks once more, longer, with another seed than in the search."""
    rows = []
    for name, options in TASKS:
        task = tasks.find(name, **options)
        training = Training(
            task, cell, hidden=HIDDEN, batch=16, seed=1000 + seed, every=50, optimiser=Adam(rate)
        )
        try:
            training.run(steps=steps, until="solved")
        except DivergenceError:
            rows.append({"solved": 0.0, "steps": float(training.state.step), "error": 1.0})
            continue
        rows.append(
            {
                "solved": float(training.solved),
                "steps": float(training.state.step),
                "error": training.history[-1].measures["error"],
            }
        )
    return rows


def parts(budget: float) -> list[Part]:
    """The search; then the best, and its parents, on other seeds and for longer."""
    text = space(budget)
    found: dict[str, Any] = {}

    def search() -> dict[str, Any]:
        found.update(searched(text))
        return found

    def final() -> dict[str, Any]:
        trials = found or searched(text)
        won = best(trials["trials"])
        rate, steps = won["drawn"]["optimiser.rate"], max(100, round(FINAL * min(1, budget)))
        contenders = {"best mutant": mutant_of(won), "lstm": cells.lstm, "gru": cells.gru}
        # at the rate that suited the mutant, and at one that is usual
        return {
            f"{name} at {r:g}": [_again(cell, r, seed, steps) for seed in range(SEEDS)]
            for name, cell in contenders.items()
            for r in (rate, 0.01)
        }

    return [Part("search", search, lambda: partly(text)), Part("final", final)]


def pictures(found: dict[str, Any]) -> dict[str, str]:
    """The search as it went, and the best cell."""
    if "search" not in found:
        return {}
    trials = [t for t in found["search"]["trials"] if t["value"] is not None]
    groups: dict[str, list[tuple[float, float]]] = {}
    for t in trials:
        groups.setdefault(f"from {t['parent']}", []).append((float(t["number"]), t["value"]))
    return {
        "architectures.svg": plots.scatter(
            groups, "Mutants in the order of the search", "number of the mutant",
            "held-out loss, relative to guessing",
        ),
        "architectures-best.svg": viz.cell(mutant_of(best(trials), "best")).svg(),
    }  # fmt: skip


def page(found: dict[str, Any]) -> str:
    """What was found, drawn, derived, and compared with the LSTM."""
    if "search" not in found:
        return "The search was not run."
    trials = found["search"]["trials"]
    finite = [t for t in trials if t["value"] is not None]
    tried = [t for t in trials if t.get("changes")]
    mutants = [t for t in tried if t["value"] is not None]
    originals = {t["parent"]: t for t in finite if not t["changes"]}
    won = best(trials)
    cell = mutant_of(won, "best")
    ordered = sorted(finite, key=lambda t: t["value"])[:10]
    rows = [
        (
            t["parent"] + (f" mutant {t['number']}" if t["changes"] else ""),
            len(t["changes"]),
            f"{t['value']:.3f}",
            *(f"{m['error']:.3f}" for m in t["measures"]),
            f"{t['drawn']['optimiser.rate']:.4f}",
            "yes" if t["bounded"] else "no",
        )
        for t in ordered
    ]
    places = sorted(t["value"] for t in finite)
    ranks = ", ".join(
        f"{name} as it is came {1 + places.index(t['value'])} of {len(places)} ({t['value']:.3f})"
        for name, t in originals.items()
    )
    lost = len(tried) - len(mutants)
    worse = np.mean([t["value"] > 0.95 for t in mutants]) if mutants else 0.0
    text = f"""
{len(tried)} mutants of the LSTM and the GRU, each of one to three changes more than its parent
(another activation or operation, one put around or before a value, a gate more, an operation left
out, another value read), were checked and trained on embedded Reber and temporal order at lag 10,
{STEPS} steps each with {HIDDEN} units and one drawn rate of Adam. Parents are drawn from the twenty
best so far. A mutant is trained if its gradient is finite, it depends on x and on its states, and
it computes what no other one did; that its states stay bounded is told, not asked. The value is the
held-out loss over the loss of guessing, mean of both tasks. {lost} diverged, and
{100 * worse:.0f} % of the others learnt next to nothing (above 0.95). One trial each: chance and
rate speak too; {ranks}.

{table(["cell", "changes", "value", "Reber strings wrong", "order wrong", "rate", "bounded"], rows)}

![Each mutant's value in the order of the search.](architectures.svg)

Jozefowicz et al. tried ten thousand architectures on tasks of their own, with far longer trainings;
none of their figures is repeated here.
"""
    if final := found.get("final"):
        lines = []
        for name, seeds in final.items():
            row: list[str] = [name]
            for k in range(len(TASKS)):
                solved = [s[k] for s in seeds if s[k]["solved"]]
                after = spread([s["steps"] for s in solved]) if solved else "–"
                errors = f"{mean(s[k]['error'] for s in seeds):.3f}"
                row += [share(len(solved), len(seeds)), after, errors]
            lines.append(row)
        head = ["cell and rate", "Reber solved", "after steps", "wrong", "order solved",
                "after steps", "wrong"]  # fmt: skip
        text += f"""
## The best once more

Its value is the best of many, and so in part luck. Other seeds, at most {FINAL:,} steps at full
size:

{table(head, lines)}
"""
    text += f"""
## The best cell

![The best mutant, drawn.](architectures-best.svg)

```
{equations.forward(cell).unicode()}
```

Its gradient, derived:

```
{equations.backward(cell).unicode()}
```

What differs from the LSTM:

```
{equations.difference(cells.lstm, cell).unicode()}
```
"""
    return text
