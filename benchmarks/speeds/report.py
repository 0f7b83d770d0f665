"""Measuring rows, and saying what was found: as text, in JSON, in the README."""

from __future__ import annotations

import dataclasses
import datetime
import importlib.metadata
import json
import math
import os
import platform
import statistics
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from speeds import turns
from speeds.contenders import NAMES, called
from speeds.workloads import Row, Workload

Record = dict[str, Any]
MS = "ms"  # a goal against no one: so many milliseconds
LIMITS = ("products.numpy", "products.torch")
README = Path(__file__).parents[1] / "README.md"


def taking_part(torch_compile: bool, interpreter: bool) -> list[str]:
    """Who is measured."""
    names = ["c", "numpy", "c.kernel", "numpy.kernel", "module", "eager", "written"]
    return [*names, *["torch.compile"] * torch_compile, *["interpreter"] * interpreter, *LIMITS]


def measured(
    row: Row, names: Iterable[str], rounds: int, seconds: float, cpu: bool = False
) -> Record:
    """A row's times, ratios and goals."""
    if not isinstance(row.workload, Workload):
        names = row.workload.contenders()
        cpu = cpu and getattr(row.workload, "here", True)  # no other process computes
    compared = {goal.against for goal in row.goals}
    names = [n for n in names if n != "torch.compile" or n in compared]
    started = {name: turns.start(name, row.workload) for name in names}
    absent = {name: found for name, found in started.items() if isinstance(found, str)}
    contenders = [c for c in started.values() if not isinstance(c, str)]
    try:
        turns.check(contenders, row.workload)
        times = turns.take_turns(contenders, rounds, seconds, cpu)
    finally:
        for contender in contenders:
            contender.close()
    goals = []
    for goal in row.goals:
        found: Record = {**dataclasses.asdict(goal), "ratio": None, "met": None}
        if goal.ours in times and goal.against == MS:
            ratio = found["ratio"] = turns.quartiles([1e3 * t for t in times[goal.ours]])
            found["met"] = ratio["median"] <= goal.limit
        elif goal.ours in times and goal.against in times:
            pairs = zip(times[goal.ours], times[goal.against], strict=True)
            ratio = found["ratio"] = turns.quartiles([a / b for a, b in pairs])
            if goal.limit is not None:
                found["met"] = ratio["median"] <= goal.limit
        goals.append(found)
    return {
        "label": row.label,
        "workload": dataclasses.asdict(row.workload),
        "text": str(row.workload),
        "rounds": rounds,
        "clock": "processor" if cpu else "wall",
        "times": {name: turns.quartiles(t) for name, t in times.items()},
        "first call": {c.name: c.first["seconds"] for c in contenders},
        "absent": absent,
        "goals": goals,
    }


def machine() -> Record:
    """What it was measured on, and when."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        model = next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        model = platform.processor() or "unknown processor"
    versions = {"Python": platform.python_version()}
    for package in ("numpy", "torch"):
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {
        "date": datetime.date.today().isoformat(),
        "machine": f"{model}, {os.cpu_count()} cores, {platform.system()} {platform.machine()}",
        "versions": versions,
    }


def save(path: Path, part: str, found: Any) -> None:
    """Put a part of the results into the JSON file, beside the parts that are there.

    Rows of the table take the place of those with their label.
    """
    whole: Record = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    if part == "rows":
        old = whole.get("rows", {})
        known = [{"measured": _of_run(old), **row} for row in old.get("found", [])]
        rows = {row["label"]: row for row in known}
        rows |= {row["label"]: {**row, "measured": machine()} for row in found}
        found = list(rows.values())
    whole[part] = {**machine(), "found": found}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")


def _of_run(found: Mapping[str, Any]) -> Record:
    return {name: found[name] for name in ("date", "machine", "versions")}


# --- as text --------------------------------------------------------------------------------------
def table(head: Iterable[str], rows: Iterable[Iterable[str]], words: int = 1) -> str:
    """A Markdown table; the first `words` columns are flush left."""
    head = list(head)
    rule = "|".join("---" if k < words else "---:" for k in range(len(head)))
    lines = [f"| {' | '.join(head)} |", f"|{rule}|"]
    return "\n".join(lines + [f"| {' | '.join(row)} |" for row in rows])


def against_goals(records: Iterable[Record]) -> str:
    """The table of goals."""
    lines = []
    for record in records:
        cell = record["workload"].get("cell", "")
        for goal in record["goals"]:
            ratio, times = goal["ratio"], record["times"]
            if ratio is None and goal["limit"] is None:
                continue
            ours = [ms(times[n]["median"]) if n in times else "-" for n in _pair(goal)]
            value = f"{ratio['median']:.3f}" if ratio else "not measured"
            spread = f"{ratio['low']:.3f}-{ratio['high']:.3f}" if ratio else "-"
            limit = "-" if goal["limit"] is None else f"<= {goal['limit']:g}"
            met = {None: "-", True: "yes", False: "no"}[goal["met"]]
            label = (
                record["text"]
                if record["label"] in (cell, "own")
                else (f"{record['label']}: {record['text']}")
            )
            both = [called(n, cell) for n in _pair(goal)]
            lines.append([label, *both, *ours, value, spread, goal["by_hand"], limit, met])
    head = [
        "workload (T, B, inputs, hidden)",
        "ours",
        "against",
        "ms here",
        "ms there",
        "ratio",
        "quartiles",
        "by hand",
        "goal",
        "met",
    ]
    return table(head, lines, words=3)


def _pair(goal: Record) -> tuple[str, str]:
    return goal["ours"], goal["against"]


def ms(seconds: float) -> str:
    """Milliseconds with three digits."""
    value = seconds * 1e3
    return f"{value:.{max(0, 2 - math.floor(math.log10(value)))}f}" if value > 0 else "0"


def all_times(records: Iterable[Record]) -> str:
    """Everybody's time in a row, and how many times that of the matrix products alone it is."""
    lines = []
    for record in records:
        times = record["times"]
        for name, found in times.items():
            limits = [
                f"{found['median'] / times[limit]['median']:.2f}" if limit in times else "-"
                for limit in LIMITS
            ]
            spread = f"{ms(found['low'])}-{ms(found['high'])}"
            who = called(name, record["workload"].get("cell", ""))
            lines.append([record["label"], who, ms(found["median"]), spread, *limits])
    head = ["row", "who", "ms", "quartiles", "/ products NumPy", "/ products PyTorch"]
    return table(head, lines, words=2)


def absences(records: Iterable[Record]) -> str:
    """Who did not take part, and why; PyTorch's missing modules are not worth a word."""
    reasons: dict[str, list[str]] = {}
    for record in records:
        for name, why in record["absent"].items():
            if name != "module":
                reasons.setdefault(f"{NAMES.get(name, name)}: {why}", []).append(record["label"])
    return "\n".join(f"- {what} ({', '.join(labels)})" for what, labels in reasons.items())


def summary(records: Iterable[Record]) -> str:
    """How many goals were met."""
    met = [goal["met"] for r in records for goal in r["goals"] if goal["limit"] is not None]
    if not met:
        return ""
    missing = met.count(None)
    text = f"{met.count(True)} of {len(met)} goals are met"
    return text + (f", {missing} could not be measured." if missing else ".")


def heading(found: Mapping[str, Any]) -> str:
    """Date, machine and versions in a line."""
    versions = ", ".join(f"{name} {number}" for name, number in found["versions"].items())
    return f"{found['date']}, {found['machine']}, {versions}."


def growth_table(points: Iterable[Record]) -> str:
    """Time and memory against sizes."""
    head = [
        "grows",
        "T",
        "B",
        "hidden",
        "who",
        "ms",
        "ns a step and sample",
        "peak MB",
        "bytes a step and sample",
    ]
    lines = []
    for p in points:
        w, steps = p["workload"], p["workload"]["time"] * p["workload"]["batch"]
        sizes = [str(w[n]) for n in ("time", "batch", "hidden")]
        cost = [ms(p["seconds"]), f"{p['seconds'] / steps * 1e9:.0f}"]
        memory = [f"{p['bytes'] / 1e6:.1f}", f"{p['bytes'] / steps:.0f}"]
        lines.append([p["grows"], *sizes, called(p["name"], w["cell"]), *cost, *memory])
    return table(head, lines)


def planning_table(found: list[Record]) -> str:
    """Time to plan and compile, by cell; the goals are 2 s and 50 ms."""
    lines = []
    for p in found:
        met = "yes" if p["first"] < 2 and p["cached"] < 0.05 else "no"
        lines.append([p["cell"], NAMES[p["name"]], ms(p["first"]), ms(p["cached"]), met])
    tops = [f"{statistics.median(p[k] for p in found) * 1e3:.0f}" for k in ("first", "cached")]
    return (
        table(["cell", "code", "first time, ms", "from the cache, ms", "met"], lines, words=2)
        + f"\n\nGoals: below 2000 ms the first time, below 50 from the cache. "
        f"Medians: {tops[0]} and {tops[1]} ms."
    )


def write_readme(results: Path) -> None:
    """Put the last results between the README's two marks."""
    whole = json.loads(results.read_text(encoding="utf-8"))
    parts = []
    if "rows" in whole:
        runs: dict[str, list[Record]] = {}  # rows that were not measured again are of an older one
        for record in whole["rows"]["found"]:
            clock = " Processor times." if record.get("clock") == "processor" else ""
            measured = heading(record.get("measured", whole["rows"])) + clock
            runs.setdefault(measured, []).append(record)
        for measured, records in sorted(runs.items(), reverse=True):
            long = [r for r in records if r["label"] != r["workload"].get("cell")]
            parts += [f"### {measured}", summary(records), against_goals(records)]
            if long:
                parts += ["Everybody's times, and how far they are from the products alone:"]
                parts += [all_times(long)]
            parts += [absences(records)]
    if "growths" in whole:
        parts += ["### How cost grows", heading(whole["growths"])]
        parts += [growth_table(whole["growths"]["found"])]
    if "plannings" in whole:
        parts += ["### Planning and compiling", heading(whole["plannings"])]
        parts += [planning_table(whole["plannings"]["found"])]
    first, last = "<!-- speed: begin -->", "<!-- speed: end -->"
    text = README.read_text(encoding="utf-8")
    before, _, rest = text.partition(first)
    _, _, after = rest.partition(last)
    inside = "\n\n".join(part for part in parts if part)
    README.write_text(f"{before}{first}\n{inside}\n{last}{after}", encoding="utf-8")
