"""`tinygrad-lstm export CELL`: a cell or a trained model as C, JavaScript, PyTorch or ONNX."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from lesson import cell_options
from lesson.network_names import HELP, find_network
from tinygrad_lstm import Cell, ExportError, export, learning, weights
from tinygrad_lstm.cell_files import find
from tinygrad_lstm.cells import all as built_in
from tinygrad_lstm.errors import UnknownNameError
from tinygrad_lstm.exporting import ENDINGS, FORMATS
from tinygrad_lstm.exporting.self_test import self_test
from tinygrad_lstm.learning.checkpoint_files import of_task, read


def arguments(parser: argparse.ArgumentParser) -> None:
    """What to export, in which language, and where to."""
    parser.epilog = (
        "One file, with the weights and a test inside: cc FILE -lm and ./a.out, node FILE, python "
        "FILE; --check runs it. Exit status: 0, 1 if the test fails, 2 for bad input."
    )
    add = parser.add_argument
    add(
        "cell",
        metavar="CELL|CHECKPOINT",
        help=f"{HELP}; a checkpoint of train (.npz), or a file of weights (.safetensors)",
    )
    add("--to", choices=list(FORMATS), help="the language (default: by the ending of FILE)")
    add("-o", "--output", metavar="FILE", type=Path, required=True, help="the file to write")
    add("--cell", dest="own", metavar="CELL", help="of a checkpoint whose cell is not built in")
    add("--hidden", type=int, metavar="N", help="entries of a state, of a cell without weights")
    add("--inputs", type=int, metavar="N", help="entries of x, of a cell without weights")
    cell_options.add_size(parser, "inputs=3")
    add("--seed", type=int, metavar="N", help="of fresh weights (default 0)")
    add("--dtype", choices=("float32", "float64"), help="default: that of the weights, or float32")
    add("--name", help="what the program calls it (default: the cell's name)")
    add("--force", action="store_true", help="replace a file that exists")
    add("--check", action="store_true", help="run the test that is in the file")


def run(options: argparse.Namespace) -> int:
    """Write the file, say where it is, and try it if asked to."""
    cell_options.check_least(options, seed=0)
    to = options.to or ENDINGS.get(options.output.suffix)
    if to is None:
        raise ExportError(
            f"{options.output}: its ending does not tell the language.\n"
            f"  Add --to {' or --to '.join(FORMATS)}."
        )
    if options.output.exists() and not options.force:
        raise ExportError(f"{options.output} exists already.\n  Name another file, or add --force.")
    if options.name is not None and not options.name.isidentifier():
        raise ExportError(f"--name {options.name}: write a name of letters, digits and _.")
    what, parameters, sizes = _subject(options)
    export(
        what,
        to,
        options.output,
        parameters=parameters,
        dtype=options.dtype,
        seed=options.seed or 0,
        name=options.name,
        overwrite=True,
        **sizes,
    )
    print(options.output)
    if not options.check:
        return 0
    right, words = self_test(options.output, to)
    print(words)
    return 0 if right else 1


def _subject(options: argparse.Namespace) -> tuple[Any, Any, dict[str, int]]:
    """What is exported, its weights if they stand beside it, and sizes."""
    path = Path(options.cell)
    if path.suffix not in (".npz", ".safetensors"):
        if options.own is not None:
            raise ExportError("--cell goes with a checkpoint; name a cell alone without it.")
        network = find_network(options.cell)
        return network, None, cell_options.read_sizes(options, network)
    given = [f"--{n}" for n in ("hidden", "inputs", "seed") if getattr(options, n) is not None]
    given += ["--size"] * bool(options.size)
    if given:
        raise ExportError(f"{path} has its own sizes and weights.\n  Leave out {', '.join(given)}.")
    if path.suffix == ".npz" and of_task(path):
        own = None if options.own is None else find_network(options.own)
        model = learning.load_training(path, None, own).model
        inner = {n: v for n, v in model.parameters.items() if n in model.network.parameters}
        rest = [n for n in model.parameters if n not in inner]
        if rest:
            print(f"{path}: the network alone; {', '.join(rest)} are not in it.", file=sys.stderr)
        return model.network, inner, model.sizes
    own = None if options.own is None else find(options.own)
    if path.suffix == ".safetensors":
        known = {} if own is None else {own.name: own}
        network, parameters = weights.load(path, known)
        return network, parameters, {}
    return learning.load(path, own or _cell_of(path)), None, {}


def _cell_of(path: Path) -> Cell:
    """The built-in cell that a checkpoint is of."""
    name = read(path)[0].get("cell")
    known = built_in()
    if name not in known:
        raise UnknownNameError(
            f"checkpoint {path} is of cell {name!r}, which is not built in.\n"
            f"  Say where it is: --cell path/to/file.py:{name}."
        )
    return known[name]
