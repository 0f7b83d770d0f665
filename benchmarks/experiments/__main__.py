"""Run experiments, and write their pages."""

from __future__ import annotations

import argparse
import importlib
import os
import pkgutil
import sys
import time
from types import ModuleType

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from benchmarks import experiments  # noqa: E402
from benchmarks.experiments.parts import PAGES, Results, said_of  # noqa: E402

HELPERS = ("parts", "solving", "searches", "__main__")


def modules() -> dict[str, ModuleType]:
    """The experiments by name: modules with PARTS and a page."""
    names = (m.name for m in pkgutil.iter_modules(experiments.__path__) if m.name not in HELPERS)
    found = {n: importlib.import_module(f"{experiments.__name__}.{n}") for n in names}
    return {name.replace("_", "-"): module for name, module in found.items()}


def main(words: list[str] | None = None) -> int:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.experiments", description=__doc__)
    add = parser.add_argument
    add("names", nargs="*", metavar="NAME", help="of experiments, or all; none lists them")
    add("--budget", type=float, default=1.0, metavar="SHARE", help="of the full size (default 1)")
    add("--seconds", type=float, metavar="S", help="begin no part after so many")
    add("--share", default="1/1", metavar="K/N", help="do each N-th part, from the K-th on")
    add("--anew", action="store_true", help="do again what is done")
    add("--partly", action="store_true", help="store what there is of searches, and run nothing")
    add("--page", action="store_true", help="write the pages of what is there, and run nothing")
    add("--data", metavar="PATH", help="a piano-roll file for jsb-chorales")
    options = parser.parse_args(words)
    known = modules()
    if not options.names:
        for name, module in known.items():
            print(f"{name:20} {(module.__doc__ or '').splitlines()[0]}")
        return 0
    chosen = [*known] if options.names == ["all"] else options.names
    if strange := [name for name in chosen if name not in known]:
        parser.error(f"there is no experiment {strange[0]!r}; there are {', '.join(known)}")
    first, _, of = options.share.partition("/")
    if not (first.isdigit() and of.isdigit() and 1 <= int(first) <= int(of)):
        parser.error(f"--share is like 1/2, not {options.share}")
    if not 0 < options.budget <= 100:
        parser.error("--budget is a number above 0")
    if options.data:
        os.environ["PIANO_ROLLS"] = os.path.abspath(options.data)
    begun = time.monotonic()
    for name in chosen:
        module, results = known[name], Results(name)
        parts = module.parts(options.budget)
        for k, part in enumerate(parts):
            if options.page or k % int(of) != int(first) - 1:
                continue
            if not options.anew and results.done(part.key, options.budget):
                continue
            if options.partly:
                if there := part.partly():
                    spent = sum(trial["cpu"] or 0.0 for trial in there[0]["trials"])
                    results.add(part.key, options.budget * there[1], there[0], spent)
                continue
            if options.seconds and time.monotonic() - begun > options.seconds:
                break
            cpu = time.process_time()
            found = part.run()
            spent = time.process_time() - cpu
            results.add(part.key, options.budget, found, spent)
            print(f"{name}: {part.key} {spent:.1f} s", flush=True)
        write(name, module, results, [part.key for part in parts])
    contents(known)
    return 0


CONTENTS = """# Experiments: the tables of the papers, made again

Each page comes from one command and says what produced its numbers: the share of the full size, the
processor time, the commit. Figures of papers stand beside them where they were read in the paper
itself, and are left out where they could not be checked.

```
python -m benchmarks.experiments                       # what there is
python -m benchmarks.experiments adding                # at full size, but for what is done
python -m benchmarks.experiments all --budget 0.1      # a tenth of the steps, fewer seeds
```

| page | what | measured so far |
| --- | --- | --- |
"""


def contents(known: dict[str, ModuleType]) -> None:
    """Write the contents of all pages."""
    lines = []
    for name, module in known.items():
        rows = Results(name).read()
        title = (module.__doc__ or name).splitlines()[0].rstrip(".")
        budgets = sorted({round(row["budget"], 2) for row in rows.values()})
        done = f"{len(rows)} parts, budget {', '.join(f'{b:g}' for b in budgets)}" if rows else ""
        lines.append(f"| [{name}]({name}.md) | {title} | {done or 'not run yet'} |")
        if not rows:
            write(name, module, Results(name), [])
    PAGES.mkdir(parents=True, exist_ok=True)
    (PAGES / "README.md").write_text(CONTENTS + "\n".join(lines) + "\n", encoding="utf-8")


def write(name: str, module: ModuleType, results: Results, wanted: list[str]) -> None:
    """Write the page of an experiment; of one that was not run, how to run it."""
    rows = results.read()
    title = (module.__doc__ or name).splitlines()[0].rstrip(".")
    if not rows:
        PAGES.mkdir(parents=True, exist_ok=True)
        (PAGES / f"{name}.md").write_text(
            f"# {title}\n\n**Not run yet.** It is run by\n\n```\n"
            f"python -m benchmarks.experiments {name} --budget 1\n```\n",
            encoding="utf-8",
        )
        return
    body = module.page(results.results())
    PAGES.mkdir(parents=True, exist_ok=True)
    for file, picture in getattr(module, "pictures", lambda _: {})(results.results()).items():
        (PAGES / file).write_text(picture, encoding="utf-8")
    text = (
        f"# {title}\n\n{body.strip()}\n\n## What produced these numbers\n\n"
        f"{said_of(rows, wanted)} Again, or at another size:\n\n"
        f"```\npython -m benchmarks.experiments {name} --budget 1\n```\n"
    )
    (PAGES / f"{name}.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
