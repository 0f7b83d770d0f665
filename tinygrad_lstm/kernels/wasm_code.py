"""A plan as WebAssembly: its C by Zig's compiler, in a script with the faces of the JavaScript one.

    script(loops, dtype)     one file for node and for a page, the module inside
    module(loops, dtype)     the bytes of the module alone

The module imports what it needs of math.h from the script; nothing else. In a page its policy must
allow 'wasm-unsafe-eval'.
"""

from __future__ import annotations

import base64
import importlib.util
import shlex
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Any, ClassVar

from tinygrad_lstm.kernels.c_code import PIECES
from tinygrad_lstm.kernels.c_source import Source
from tinygrad_lstm.kernels.js_code import JavaScriptCode
from tinygrad_lstm.kernels.js_source import Script, as_json, packed
from tinygrad_lstm.kernels.loop import Loops
from tinygrad_lstm.kernels.names import file
from tinygrad_lstm.kernels.plan import Buffer, Kind
from tinygrad_lstm.kernels.toolchain import Machine, NoCompiler, kept

MACHINE = Machine("wasm32", 16, 4)
_HEADERS = ("wasm-wasi-musl", "generic-musl")
_LINE = (
    "-target wasm32-wasi -std=c99 -O3 -msimd128 -mbulk-memory -nostdlib -fno-math-errno -w "
    "-Wl,--no-entry -Wl,--import-symbols -Wl,--strip-all -Wl,--export=__heap_base "
    "-Wl,--export=forward -Wl,--export=backward -Wl,--export=pack -Wl,--export=sizes"
)


class WasmCode(JavaScriptCode):
    """A plan's module and the script around it, in a node process."""

    title: ClassVar[str] = "WebAssembly"

    @staticmethod
    def text(loops: Loops, dtype: Any) -> str:
        """The C, and how to make a module of it."""
        headers = (f"-isystem $ZIG/lib/libc/include/{name}" for name in _HEADERS)
        line = f"zig cc {_LINE} {' '.join(headers)} cell.c -o cell.wasm"
        return f"/* {line} */\n\n{Source(loops, dtype, MACHINE).text}"

    @staticmethod
    def without(loops: Loops) -> Collection[Buffer]:
        """The plan's buffers that it has no memory for at each step."""
        return loops.plan.transient.keys()

    @staticmethod
    def script(loops: Loops, dtype: Any) -> str:
        """What the process runs."""
        return script(loops, dtype)


def module(loops: Loops, dtype: Any) -> bytes:
    """The bytes of the module; NoCompiler without Zig."""
    return _compiled(Source(loops, dtype, MACHINE))


def _compiled(source: Source) -> bytes:
    found = importlib.util.find_spec("ziglang")
    if found is None or not found.submodule_search_locations:
        raise NoCompiler(
            "WebAssembly is made by Zig's compiler, and there is no package ziglang: "
            "pip install 'tinygrad-lstm[compiler]'"
        )
    include = Path(found.submodule_search_locations[0], "lib", "libc", "include")
    headers = [part for name in _HEADERS for part in ("-isystem", str(include / name))]
    command = (sys.executable, "-m", "ziglang", "cc")
    return kept(source.text, ".wasm", MACHINE, command, (*shlex.split(_LINE), *headers))


def script(loops: Loops, dtype: Any) -> str:
    """One script for node and for a page, which knows the functions of the JavaScript one."""
    source, around = Source(loops, dtype, MACHINE), Script(loops, dtype)
    packs = [packed(f"pack {k}", s) for k, (_, s, _) in enumerate(source.packs)]
    sums = [(b.name, b.width) for b in source.totals]
    products = [(f"bar.{s.weight}", s.left.size * s.right.size) for s in source.outers]
    layout = {
        "buffers": [(b.name, b.width if b.kind is Kind.TIME else 0) for b in source.buffers],
        "packs": packs,
        "sums": [*sums, *products],
        "totals": sum(width for _, width in sums),
        "scratch": source.scratch,
        "pieces": PIECES,
    }
    text = base64.b64encode(_compiled(source)).decode()
    constants = f'const C = {as_json(layout)};\n\nconst MODULE = "{text}";'
    panels = {f"pack {k}": count for k, (*_, count) in enumerate(source.packs)}
    return around.around(f"{constants}\n\n{file('wasm.js')}", panels, source.transient)
