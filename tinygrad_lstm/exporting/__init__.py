"""A cell, a network or a trained model as a program in another language: `export`.

from tinygrad_lstm import cells, export
export(cells.lstm, to="c", path="lstm.c", inputs=3, hidden=4)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tinygrad_lstm.atomic import replace_whole
from tinygrad_lstm.errors import unknown
from tinygrad_lstm.exporting.c_text import c_text
from tinygrad_lstm.exporting.js_text import js_text
from tinygrad_lstm.exporting.onnx_graph import onnx_model
from tinygrad_lstm.exporting.subject import ExportError as ExportError
from tinygrad_lstm.exporting.subject import Subject, subject
from tinygrad_lstm.exporting.torch_code import torch_text
from tinygrad_lstm.exporting.wasm import wasm_module

__all__ = ["ExportError", "export"]


def _wasm_text(subject: Subject) -> str:
    return js_text(subject, wasm_module(subject))


FORMATS: dict[str, Callable[[Subject], str | bytes]] = {
    "c": c_text,
    "js": js_text,
    "wasm": _wasm_text,
    "torch": torch_text,
    "onnx": onnx_model,
}
ENDINGS = {".c": "c", ".js": "js", ".wasm": "wasm", ".cjs": "js", ".py": "torch", ".onnx": "onnx"}


def export(
    what: Any,
    to: str,
    path: str | Path | None = None,
    *,
    parameters: Mapping[str, Any] | None = None,
    dtype: Any = None,
    seed: int = 0,
    name: str | None = None,
    overwrite: bool = False,
    **sizes: int,
) -> str | bytes:
    """A network as a program of another language, in one file: text, or bytes for ONNX.

    what: a cell, a `stack` or `bidirectional` of cells, or a `CharacterModel` (or a checkpoint or
    training of one), which is exported with its embedding and its read-out: it reads numbers of
    symbols and scores which comes next. to: "c" (C99: plain loops, no allocation, no library but
    libm), "js" (JavaScript for node and pages), "wasm" (the C compiled, inside JavaScript, or
    alone for a path that ends in .wasm), "torch" (a module of PyTorch as one would write it, one
    line an equation) or "onnx" (a Scan, or the standard operator where the cell is one). path:
    where to write it, whole or not at all.

    parameters: the network's, by name; where there are none they are drawn by `init(seed=seed)`
    at `sizes`, small ones unless told. dtype: float32 or float64; that of the parameters given,
    else float32. name: what the program calls it.

    Each file holds its weights and a test: inputs, and what the interpreter computes of them in
    float64. Sequences are (time, batch, …) everywhere; further inputs of the cell are inputs of
    the program.

    ExportError for an operation that the language has not, a tool that is missing, or a file that
    exists already or cannot be written; what `init` and `bind` raise for sizes and parameters.
    """
    if to not in FORMATS:
        raise unknown(f"export: there is no format {to!r}", "there are", FORMATS)
    if path is not None and not overwrite and Path(path).exists():
        raise ExportError(f"{path} exists already.\n  Name another file, or pass overwrite=True.")
    ready = subject(what, parameters, seed, dtype, name, sizes)
    bare = to == "wasm" and path is not None and Path(path).suffix == ".wasm"
    made = wasm_module(ready) if bare else FORMATS[to](ready)
    if path is not None:
        write(Path(path), made)
    return made


def write(path: Path, made: str | bytes) -> None:
    """Write a file whole or not at all."""
    try:
        with replace_whole(path) as file:
            file.write(made.encode() if isinstance(made, str) else made)
    except OSError as error:
        raise ExportError(
            f"{path} cannot be written: {error.strerror or error}.\n"
            f"  Name a file in a folder that exists and can be written."
        ) from error
