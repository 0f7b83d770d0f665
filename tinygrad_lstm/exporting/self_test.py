"""The test that is inside an exported file, run by whatever runs such files."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tinygrad_lstm.exporting.onnx_graph import onnx_test
from tinygrad_lstm.exporting.subject import ExportError
from tinygrad_lstm.kernels.toolchain import compiler

_SECONDS = 300
_BARE = """
const code = require("fs").readFileSync(process.argv[1]);
const { exports } = new WebAssembly.Instance(new WebAssembly.Module(code), {});
const name = Object.keys(exports).find((own) => own.endsWith("_self_test"));
const place = exports.__heap_base.value;
process.exitCode = exports[name](place);
const [worst] = new Float64Array(exports.memory.buffer.slice(place, place + 8));
console.log(`self-test: largest relative difference ${worst.toExponential(1)}`);
"""
C_FLAGS = ("-std=c99", "-O2", "-Wall", "-Wextra", "-Werror")


def self_test(path: Path, to: str) -> tuple[bool, str]:
    """Whether an exported file computes what it says is right, and what it printed.

    ExportError where what runs it is missing: a C compiler, node, PyTorch or onnxruntime.
    """
    if to == "onnx":
        worst, tolerance = onnx_test(path.read_bytes())
        return worst < tolerance, f"self-test: largest relative difference {worst:.1e}"
    if to == "torch":
        return _run([sys.executable, str(path)])
    if to in ("js", "wasm"):
        node = shutil.which("node")
        if node is None:
            raise ExportError("the test of a JavaScript file: node is not installed.")
        bare = path.suffix == ".wasm"
        right, text = _run([node, *(["-e", _BARE, str(path)] if bare else [str(path)])])
        if right and "self-test" not in text:
            raise ExportError(
                f"{path}: node takes it for a module of ECMAScript, and it is a script.\n"
                f"  Name it with the ending .cjs."
            )
        return right, text
    command = compiler()
    if command is None:
        raise ExportError(
            "the test of a C file: there is no C compiler (cc, gcc, clang, or the package ziglang)."
        )
    with tempfile.TemporaryDirectory(prefix="tinygrad-lstm-") as folder:
        program = str(Path(folder, "self_test"))
        source = ["-x", "c", str(path), "-x", "none"]  # whatever its ending is
        words = [*command, *C_FLAGS, *source, "-lm", "-o", program]
        made, text = _run(words)
        return _run([program]) if made else (False, text)


def _run(words: list[str]) -> tuple[bool, str]:
    try:
        done = subprocess.run(
            words, capture_output=True, encoding="utf-8", errors="replace", timeout=_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ExportError(f"{words[0]} failed: {error}") from error
    text = (done.stdout + done.stderr).strip()
    if "No module named 'torch'" in text:
        raise ExportError(
            "the test of a PyTorch file: the package torch is needed: "
            "pip install 'tinygrad-lstm[frameworks]'"
        )
    return done.returncode == 0, text
