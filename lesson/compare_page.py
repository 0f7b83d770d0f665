"""A comparison as one HTML file that needs nothing else: charts, a table, what may be concluded."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from statistics import median

from markupsafe import Markup

from lesson.compare_charts import Line, Share, lines, shares
from lesson.compare_watch import row
from lesson.page import render
from tinygrad_lstm.comparing import Results, conclusions
from tinygrad_lstm.comparing.results import Runs
from tinygrad_lstm.version import __version__


def page(results: Results) -> str:
    """The page of a comparison."""
    runs = [one for one in results.runs if one.trials]
    main = results.main
    charts = []
    if results.ends and runs:
        told = [Share(one.entrant.name, one.solved, len(one.trials)) for one in runs]
        charts.append(
            (
                "Which cells solve it?",
                shares(told),
                "Dots: the share of seeds that solved the task. Bars: where the share over all "
                "seeds may lie, at 95 % (Wilson).",
            )
        )
    learnt = [line for k, one in enumerate(runs) for line in _curves(one, k, main, results)]
    if learnt:
        known = results.task.baselines
        level = next((v for n, v in known.items() if n.startswith(main)), None)
        charts.append(
            (
                f"How does {main} go down?",
                lines(learnt, "steps of learning", f"{main} on held-out data", level=level),
                "Thin: each seed. Thick: their median; a training that has stopped counts with its "
                "last value. " + _baselines(results),
            )
        )
    for what, title in (
        ("reach_before", "How far do gradients reach before learning?"),
        ("reach_after", "How far do they reach at the end?"),
    ):
        far = [line for k, one in enumerate(runs) for line in _reach(one, k, what)]
        if far:
            charts.append(
                (
                    title,
                    lines(
                        far, "lag k, steps back", "|∂h_T/∂s_(T−k)|", log=True, mark=_lag(results)
                    ),
                    "The size of the derivative of the last output, in a random direction, by the "
                    "whole state k steps before; the median over seeds.",
                )
            )
    rows = [row(one, results)[:-1] for one in results.runs]
    last = [_last(one, main) for one in results.runs]
    described = json.dumps(results.plan.settings | {"options": dict(results.task.options)})
    return str(
        render(
            "lesson",
            "compare.html",
            title=_title(results),
            said=conclusions(results),
            charts=charts,
            head=_head(results),
            rows=[(*cells, end) for cells, end in zip(rows, last, strict=True)],
            runs=results.runs,
            task=results.task,
            about=Markup("").join(
                Markup("<p>{}</p>").format(text) for text in results.task.about.split("\n\n")
            ),
            baselines={n: f"{v:.4g}" for n, v in results.task.baselines.items()},
            settings=described,
            version=__version__,
            main=main,
        )
    )


def _title(results: Results) -> str:
    *others, last = [one.name for one in results.entrants]
    cells = f"{', '.join(others)} and {last}" if others else last
    options = ", ".join(f"{name} {value}" for name, value in results.task.options.items())
    return f"{cells} on {results.task.name}" + (f" ({options})" if options else "")


def _head(results: Results) -> tuple[str, ...]:
    middle = ("solved", "interval (95 %)") if results.ends else ("seeds", f"best {results.main}")
    return ("cell", "parameters", *middle, "steps", "seconds", f"{results.main} at the end")


def _last(one: Runs, main: str) -> str:
    return f"{median(one.last(main)):.3g}" if one.trials else ""


def _baselines(results: Results) -> str:
    known = ", ".join(f"{name} {value:.3g}" for name, value in results.task.baselines.items())
    return f"Without learning: {known}." if known else ""


def _lag(results: Results) -> int | None:
    lag = results.task.options.get("lag")
    return lag if isinstance(lag, int) else None


def _curves(one: Runs, k: int, main: str, results: Results) -> list[Line]:
    column = 2 + results.measures.index(main)
    each = [[(r[0], r[column]) for r in trial.history] for trial in one.trials if trial.history]
    if not each:
        return []
    steps = sorted({step for curve in each for step, _ in curve})
    values = [[_at(curve, step) for curve in each] for step in steps]
    middle = [(step, median(v)) for step, v in zip(steps, values, strict=True)]
    thin = [Line(one.entrant.name, curve, k, thin=True) for curve in each]
    return [*thin, Line(one.entrant.name, middle, k)]


def _at(curve: Sequence[tuple[float, float]], step: float) -> float:
    """The value at a step, or the last one before."""
    return [value for at, value in curve if at <= step][-1]


def _reach(one: Runs, k: int, what: str) -> list[Line]:
    each = [found for trial in one.trials if (found := getattr(trial, what))]
    if not each:
        return []
    count = min(map(len, each))
    middle = [(lag + 1.0, median(found[lag] for found in each)) for lag in range(count)]
    points = [(lag, value) for lag, value in middle if value > 0 and math.isfinite(value)]
    return [Line(one.entrant.name, points, k)] if points else []
