"""The exported C as a WebAssembly module, by Zig's compiler."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tinygrad_lstm.exporting.c_text import c_text
from tinygrad_lstm.exporting.shape import Shape
from tinygrad_lstm.exporting.subject import ExportError, Subject

_SECONDS = 300


def wasm_module(subject: Subject) -> bytes:
    """A module that exports the functions, the weights and its memory, and imports nothing."""
    if importlib.util.find_spec("ziglang") is None:
        raise ExportError(
            "export to WebAssembly: Zig's compiler is needed: pip install 'tinygrad-lstm[compiler]'"
        )
    name = Shape(subject, ascii_only=True).name
    words = ("start", "forward", "weights", "self_test")
    exports = [*(f"{name}_{word}" for word in words), "__heap_base"]
    with tempfile.TemporaryDirectory(prefix="tinygrad-lstm-") as folder:
        source, made = Path(folder, "network.c"), Path(folder, "network.wasm")
        source.write_text(c_text(subject), encoding="utf-8")
        command = [
            *(sys.executable, "-m", "ziglang", "cc", "-target", "wasm32-wasi", "-std=c99"),
            *("-DNO_MAIN", "-DSELF_TEST"),
            *("-Wl,-z,stack-size=4194304",),  # the arrays of a step lie on it
            *("-O3", "-msimd128", "-mexec-model=reactor", "-s", "-o", str(made), str(source)),
            *(f"-Wl,--export={e}" for e in exports),
        ]
        own = {"ZIG_LOCAL_CACHE_DIR": str(Path(folder, "cache"))}
        try:
            done = subprocess.run(
                command,
                capture_output=True,
                encoding="utf-8",
                errors="replace",
                timeout=_SECONDS,
                env={**os.environ, **own},
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ExportError(f"export to WebAssembly: Zig's compiler failed: {error}") from error
        if done.returncode or not made.is_file():
            why = (done.stderr.strip().splitlines() or ["no message"])[0]
            raise ExportError(f"export to WebAssembly: Zig's compiler failed: {why}")
        return made.read_bytes()
