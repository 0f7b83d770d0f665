"""`tinygrad-lstm search SPACE.toml`: train many configurations of many cells, in any processes."""

from __future__ import annotations

import argparse
import math
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from lesson.cell_options import check_least
from tinygrad_lstm.errors import DataError

if TYPE_CHECKING:
    from tinygrad_lstm.searching import Storage

ACTIONS = ("run", "work", "show")
LOOK = 1.0  # seconds between two looks at how far it is


def arguments(parser: argparse.ArgumentParser) -> None:
    """Which search, where it is kept, and how many processes."""
    parser.epilog = (
        "`search SPACE.toml` makes the search, or goes on with it, and trains until it is done; "
        "`search work ADDRESS` helps from any machine; `search show ADDRESS` tells what was found. "
        "ADDRESS is SPACE.toml, a file of SQLite, or postgresql://user@host/name. A killed worker "
        "loses nothing that was finished. See docs/guides/search.md."
    )
    add = parser.add_argument
    add("words", nargs="+", metavar="[run|work|show] SPACE.toml|ADDRESS", help="what to do, where")
    add("--storage", metavar="ADDRESS", help="the database (default: SPACE.db in this folder)")
    add("--name", metavar="NAME", help="of the search, where a database has several")
    add("--workers", type=int, default=1, metavar="N", help="processes (default 1)")
    add("--folder", type=Path, metavar="PATH", help="for checkpoints (default NAME.trials)")
    add("--heartbeat", type=int, default=5, metavar="S", help="seconds between signs of life")
    add("--grace", type=int, default=30, metavar="S", help="without one until a worker is missed")
    add("--retries", type=int, default=3, metavar="N", help="of a configuration (default 3)")
    add("--patience", type=float, default=300.0, metavar="S", help="with a database that is away")
    add("--best", type=int, default=10, metavar="N", help="rows that show prints (default 10)")
    add("--page", type=Path, metavar="FILE", help="show: write a page with pictures (.html)")
    add("--cell", type=Path, metavar="FILE", help="show: write the best cell as a listing (.py)")


def run(options: argparse.Namespace) -> int:
    """Make a search, work on it, or show it."""
    check_least(options, workers=1, heartbeat=1, grace=1, retries=0, patience=0, best=1)
    words = options.words
    action = words.pop(0) if words[0] in ACTIONS and len(words) > 1 else "run"
    if len(words) > 1:
        raise DataError(
            f"there are too many words: {' '.join(words)}.\n"
            f"  Write `search SPACE.toml`, or `search work ADDRESS`, or `search show ADDRESS`."
        )
    if options.grace < 2 * options.heartbeat:
        raise DataError(
            f"--grace must be at least twice --heartbeat, got {options.grace} and "
            f"{options.heartbeat}."
        )
    with _storage(options, action, words[0]) as storage:
        if action == "show":
            from lesson import search_page

            return search_page.show(storage, options.best, options.page, options.cell)
        return _work(storage, options)


def _storage(options: argparse.Namespace, action: str, place: str) -> Storage:
    from tinygrad_lstm.searching import Storage, check, read_space

    given = {n: getattr(options, n) for n in ("heartbeat", "grace", "retries", "patience")}
    if not place.endswith(".toml"):
        if action == "run":
            raise DataError(
                f"{place} is no search file, whose name ends in .toml.\n"
                f"  To help with a search in a database write: search work {place}"
            )
        return Storage.open(options.storage or place, options.name, **given)
    space = read_space(place)
    address = options.storage or f"{space.name}.db"
    if action == "show":
        return Storage.open(address, options.name or space.name, **given)
    check(space)
    return Storage.create(space, address, **given)


def _work(storage: Storage, options: argparse.Namespace) -> int:
    from tinygrad_lstm import searching

    space = storage.space
    folder = options.folder or Path(f"{space.name}.trials")
    before = sum(done.value is not None for done in storage.results())
    print(
        f"{space.name}: {space.trials} configurations in {storage.shown}, {before} done; "
        f"{options.workers} worker{'s' * (options.workers > 1)}",
        flush=True,
    )
    begun, complete = time.perf_counter(), before
    bar = tqdm(total=space.trials, initial=before, disable=not sys.stderr.isatty())
    try:
        with searching.several(storage, folder, options.workers) as crew, bar:
            told = begun
            while crew.look():
                time.sleep(LOOK)
                complete = sum(done.value is not None for done in storage.results())
                bar.update(complete - bar.n)
                if bar.disable and time.perf_counter() - told > 60:
                    told = time.perf_counter()
                    print(f"{complete} of {space.trials} done", flush=True)
    except KeyboardInterrupt:
        print(
            f"\nStopped; what was begun waits. To go on: tinygrad-lstm search "
            f"{' '.join(options.words)}"
        )
        return 130
    results = storage.results()
    complete = sum(done.value is not None for done in results)
    minutes = (time.perf_counter() - begun) / 60
    pace = f", {(complete - before) / minutes:.0f} a minute" if minutes > 0.05 else ""
    lost = f", {crew.killed} workers killed and replaced" if crew.killed else ""
    print(f"{complete} of {space.trials} complete{pace}{lost}")
    failed = [done for done in results if done.value is None]
    for done in failed[:3]:
        print(f"configuration {done.number} failed: {done.notes.get('fault', 'its workers died')}")
    finite = [d.value for d in results if d.value is not None and math.isfinite(d.value)]
    if finite:
        print(f"least {space.value}: {min(finite):.4g}; more by: tinygrad-lstm search show …")
    return 1 if failed else 0
