"""A comparison on the terminal: a table that is drawn anew, or a line for each training."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Sequence

from tinygrad_lstm.comparing import Entrant, Plan, Results, wilson
from tinygrad_lstm.comparing.results import Runs
from tinygrad_lstm.comparing.workers import News

HEAD = ("cell", "parameters", "solved", "95 %", "steps", "seconds", "")


class Watch:
    """Shows a comparison as it goes on: a table on a terminal, else a line for each training."""

    def __init__(self, plan: Plan, entrants: Sequence[Entrant]) -> None:
        self.plan, self.entrants = plan, entrants
        self.live = sys.stdout.isatty()
        self._running: dict[tuple[str, int], News] = {}
        self._drawn, self._last, self._begun = 0, 0.0, time.monotonic()

    def show(self, results: Results, news: News) -> None:
        """Show the news of a training."""
        key = news.entrant.spec, news.seed
        self._running[key] = news
        if news.trial is not None:
            del self._running[key]
        if not self.live:
            if trial := news.trial:
                whole = len(self.entrants) * self.plan.seeds
                done = whole - len(results.missing)
                measure = trial.measures.get(results.main)
                value = "" if measure is None else f", {results.main} {measure:.3g}"
                how = "solved" if trial.solved else f"not solved ({trial.end})"
                how = how if results.ends or trial.end == "diverged" else "done"
                print(
                    f"{news.entrant.name} seed {news.seed}: {how} after {trial.steps:,} steps, "
                    f"{trial.seconds:.1f} s{value} ({done} of {whole})",
                    flush=True,
                )
            return
        if news.trial or time.monotonic() - self._last > 0.2:
            self._last = time.monotonic()
            self._draw(results)

    def close(self) -> None:
        """Take the table away: what is found is printed after it."""
        if self._drawn:
            sys.stdout.write(f"\x1b[{self._drawn}A\x1b[J")
            sys.stdout.flush()
            self._drawn = 0

    def _draw(self, results: Results) -> None:
        columns, rows = shutil.get_terminal_size()
        whole = len(self.entrants) * self.plan.seeds
        done = whole - len(results.missing)
        part = sum(min(1.0, n.steps / self.plan.steps) for n in self._running.values())
        share = min(1.0, (done + part) / whole)
        bar = max(4, min(30, columns - 40))
        full = round(share * bar)
        seconds = time.monotonic() - self._begun
        lines = [f"{'█' * full}{'░' * (bar - full)} {done} of {whole} trainings, {seconds:.0f} s"]
        if len(self.entrants) + 3 < rows:
            now = {
                one.spec: ", ".join(
                    f"seed {seed}: {n.steps:,}{_value(n, results.main)}"
                    for (spec, seed), n in sorted(self._running.items())
                    if spec == one.spec
                )
                for one in self.entrants
            }
            lines = [*table(results, now).splitlines(), *lines]
        lines = [line[: columns - 1] for line in lines]
        up = f"\x1b[{self._drawn}A" if self._drawn else ""
        sys.stdout.write(up + "\x1b[J" + "".join(f"{line}\n" for line in lines))
        sys.stdout.flush()
        self._drawn = len(lines)


def _value(news: News, name: str) -> str:
    value = news.measures.get(name)
    return "" if value is None else f" ({value:.3g})"


def table(results: Results, now: dict[str, str] | None = None) -> str:
    """The results as a table of text."""
    rows = [HEAD if results.ends else _head(results)]
    rows += [row(one, results, (now or {}).get(one.entrant.spec, "")) for one in results.runs]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            f"{word:<{w}}" if k in (0, len(HEAD) - 1) else f"{word:>{w}}"
            for k, (word, w) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in rows
    )


def _head(results: Results) -> tuple[str, ...]:
    return "cell", "parameters", "done", f"best {results.main}", "steps", "seconds", ""


def row(one: Runs, results: Results, now: str = "") -> tuple[str, ...]:
    """The cells of a row: of a task without an end, the best value in place of the interval."""
    n = len(one.trials)
    steps, seconds = one.middle("steps"), one.middle("seconds")
    low, high = wilson(one.solved, n)
    share = f"{100 * low:.0f} to {100 * high:.0f} %" if n else ""
    solved = f"{one.solved} of {n}" if n else ""
    if not results.ends:
        last = one.last(results.main)
        share, solved = f"{min(last):.4g}" if last else "", f"{n}"
        if n:
            steps = sum(t.steps for t in one.trials) / n
            seconds = sum(t.seconds for t in one.trials) / n
    return (
        one.entrant.name,
        f"{one.entrant.parameters:,}",
        solved,
        share,
        "" if steps is None else f"{steps:,.0f}",
        "" if seconds is None else f"{seconds:.1f}",
        now,
    )
