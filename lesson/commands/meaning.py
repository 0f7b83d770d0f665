"""`tinygrad-lstm meaning CHECKPOINT`: what the units of a trained character model remember."""

from __future__ import annotations

import argparse
from pathlib import Path

from lesson import cell_options
from tinygrad_lstm import learning
from tinygrad_lstm.cell_files import find
from tinygrad_lstm.errors import DataError
from tinygrad_lstm.learning import PROBES
from tinygrad_lstm.learning.checkpoint_files import read
from tinygrad_lstm.learning.texts import SHAKESPEARE
from tinygrad_lstm.python_files import run as run_file


def arguments(parser: argparse.ArgumentParser) -> None:
    """Which model, which text, which questions."""
    parser.epilog = (
        "r is the correlation of a unit's value with the probe, costs is what a letter needs more "
        "in bits with the unit at 0. Probes: " + ", ".join(PROBES) + "."
    )
    add = parser.add_argument
    add("checkpoint", type=Path, metavar="CHECKPOINT", help="of a training on a text")
    add("--cell", metavar="CELL", help="the cell, path/to/file.py:NAME, where it is not built in")
    add("--text", metavar="FILE", help="a text (default: what was held out of the model's own)")
    add(
        "--probe",
        action="append",
        metavar="NAME",
        help="a probe, or path/to/file.py:FUNCTION of a text; several (default: all)",
    )
    add("--equation", action="append", metavar="NAME", help="to search, several (default: all)")
    add("--top", type=int, default=3, metavar="N", help="units for each probe (default 3)")
    add("--most", type=int, default=60_000, metavar="N", help="characters (default 60000)")
    add("--tried", type=int, default=12_000, metavar="N", help="to switch units off on, 0: none")


def run(options: argparse.Namespace) -> int:
    """Print the table."""
    cell_options.check_least(options, top=1, most=1, tried=0)
    name = options.cell or str(read(options.checkpoint)[0].get("cell", ""))
    found = learning.load(options.checkpoint, find(name))
    if options.text:
        text = learning.read_text(options.text)
    else:
        whole = found.text == SHAKESPEARE
        whole_text = learning.shakespeare() if whole else learning.read_text(found.text)
        if whole_text.fingerprint != found.fingerprint:
            raise DataError(f"{found.text} is not the text that was learnt; name one by --text.")
        text = whole_text.held_out(found.settings.held_out)
    print(f"{found.model}\n{text.name}\n")
    print(
        learning.meaning(
            found.model,
            text,
            None if options.probe is None else {n: _probe(p) for n, p in _named(options.probe)},
            equations=options.equation,
            top=options.top,
            most=options.most,
            tried=options.tried,
        )
    )
    return 0


def _named(probes: list[str]) -> list[tuple[str, str]]:
    return [(p.rpartition(":")[2].replace("_", " "), p) for p in dict.fromkeys(probes)]


def _probe(spec: str) -> str | learning.Probe:
    """A probe's name as it is, or the function of a file, which is run."""
    path, _, name = spec.rpartition(":")
    if not path.endswith(".py"):
        return spec
    found: learning.Probe | None = run_file(Path(path)).get(name)
    if not callable(found):
        raise DataError(f"{spec}: the file has no function {name}.")
    return found
