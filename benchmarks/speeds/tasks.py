"""Workloads beside the cells' own: whole training steps, somebody else's, first calls, a page's."""

from __future__ import annotations

import dataclasses
import itertools
import shutil
import subprocess
import tempfile
import weakref
from dataclasses import dataclass
from typing import Any

import numpy as np

from speeds.adbench import Objective
from speeds.contenders import Absent, Found
from speeds.report import MS
from speeds.steps import Steps
from speeds.workloads import Goal, M, Row, S
from tinygrad_lstm import cells, compiled, unroll

SMALL = Steps()
CHARACTERS = Steps(time=64, inputs=64, hidden=128, symbols=80)


@dataclass(frozen=True)
class OfCell:
    """What is done with a cell of which no data are drawn ahead."""

    cell: str = "lstm"
    threads: int = 1
    dtype: str = "float32"

    def draw(self) -> None:
        """There is nothing to draw ahead."""


@dataclass(frozen=True)
class FirstCall(OfCell):
    """The first call, forward and backward, with a hidden size that was not met before."""

    def __str__(self) -> str:
        return f"{self.cell}, a first call with a new hidden size, the compiler's work done"

    def contenders(self) -> list[str]:
        """Those that make code."""
        return ["c", "numpy"]

    def prepare(self, name: str) -> Found:
        """Each call of the function has one more hidden unit."""
        plain = cells.all()[self.cell]
        cell, sizes, last = plain, itertools.count(33), dict[str, Any]()
        if name != "interpreter":
            cell = compiled(plain, name)
        xs = np.ones((4, 2, 8), self.dtype)

        def call(hidden: int) -> None:
            p = plain.init(inputs=8, hidden=hidden, dtype=self.dtype)
            loss = unroll(cell, p, xs)[plain.output].sum()
            loss.backward()
            last["loss"] = loss.numpy()

        call(32)
        return lambda: call(next(sizes)), lambda: last


@dataclass(frozen=True)
class Letters(OfCell):
    """A hundred steps of a cell, one after another, in JavaScript: as a page types."""

    inputs: int = 32
    hidden: int = 128
    here: bool = False

    def __str__(self) -> str:
        return f"{self.cell}, {self.inputs}, {self.hidden}, 100 letters one by one in node"

    def contenders(self) -> list[str]:
        """JavaScript alone."""
        return ["js"]

    def prepare(self, name: str) -> Found:
        """A node process that reads a hundred letters for each line it is sent."""
        from tinygrad_lstm.kernels.js_source import Source
        from tinygrad_lstm.kernels.loop import lower

        plain = cells.all()[self.cell]
        p = plain.init(inputs=self.inputs, hidden=self.hidden, dtype=self.dtype)
        xs = np.full((100, self.inputs), 0.5, self.dtype)
        last: dict[str, Any] = {}
        if name == "interpreter":

            def interpreted() -> None:
                last["loss"] = unroll(plain, p, xs)[plain.output].data[-1].sum()

            return interpreted, lambda: last
        plan = compiled(plain).plan(inputs=self.inputs, hidden=self.hidden)
        script = Source(lower(plan), self.dtype).text + _READING % {
            "parameters": {n: t.data.tolist() for n, t in p.items()},
            "cell": plain.name,
            "output": plain.output,
        }
        return in_node(script)


@dataclass(frozen=True)
class InNode(OfCell):
    """Forward and backward of a cell at M: WebAssembly in node against C, neither with a graph."""

    here: bool = False

    def __str__(self) -> str:
        return f"{self.cell} at M, forward and backward, WebAssembly in node"

    def contenders(self) -> list[str]:
        """The same code twice."""
        return ["wasm", "c"]

    def prepare(self, name: str) -> Found:
        """The sum of the output, from numbers that are all alike."""
        from tinygrad_lstm.kernels import wasm_code
        from tinygrad_lstm.kernels.kernel import Call, Given
        from tinygrad_lstm.kernels.loop import lower

        plain, last = cells.all()[self.cell], dict[str, Any]()
        p = plain.init(inputs=M.inputs, hidden=M.hidden, dtype=self.dtype)
        xs = np.full((M.time, M.batch, M.inputs), 0.5, self.dtype)
        G = np.ones((M.time, M.batch, M.hidden), self.dtype)
        if name == "wasm":
            plan = compiled(plain).plan(inputs=M.inputs, hidden=M.hidden)
            return in_node(
                wasm_code.script(lower(plan), np.dtype(self.dtype))
                + _LEARNING
                % {
                    "parameters": {n: t.data.tolist() for n, t in p.items()},
                    "cell": plain.name,
                    "output": plain.output,
                    **{"xs": xs.size, "G": G.size, "rows": M.batch},
                }
            )
        program = plain.program(inputs=M.inputs, hidden=M.hidden)
        asked = frozenset({plain.output}), frozenset({"x"}), frozenset[str]()
        code = "numpy" if name == "interpreter" else "c"
        call = Call(compiled(plain, code).kernel(program, self.dtype, *asked), M.time, M.batch)
        given = Given({n: t.data for n, t in p.items()}, {"x": xs})
        initial = {n: np.zeros((M.batch, M.hidden), self.dtype) for n in plain.state}

        def run() -> None:
            call.forward(given, initial)
            last["loss"] = call.equation(plain.output).sum()
            call.backward(given, {plain.output: G}, {})

        return run, lambda: last


def in_node(script: str) -> Found:
    """A node process that computes once for each line it is sent, and answers with a number."""
    if (node := shutil.which("node")) is None:
        raise Absent("there is no node")
    last: dict[str, Any] = {}
    file = tempfile.NamedTemporaryFile("w", suffix=".js", encoding="utf-8")  # noqa: SIM115
    file.write(script)
    file.flush()
    pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    process: Any = subprocess.Popen([node, file.name], encoding="utf-8", **pipes)

    def run() -> None:
        process.stdin.write("again\n")
        process.stdin.flush()
        last["loss"] = float(process.stdout.readline())

    def close() -> None:
        process.stdin.close()
        process.stdout.close()
        process.wait()
        file.close()

    weakref.finalize(run, close)
    return run, lambda: last


_READING = """
const made = (typeof module === "object" ? module.exports : globalThis.tinygrad_lstm)["%(cell)s"];
const stream = made.stream(made.pack(%(parameters)s));
require("readline").createInterface({ input: process.stdin }).on("line", () => {
  stream.reset();
  for (let k = 0; k < 100; k++) { stream.inputs.x.fill(0.5); stream.step(); }
  console.log(stream.values["%(output)s"].reduce((a, b) => a + b, 0));
});
"""


_LEARNING = """
const made = (typeof module === "object" ? module.exports : globalThis.tinygrad_lstm)["%(cell)s"];
const x = new Float32Array(%(xs)d).fill(0.5), %(output)s = new Float32Array(%(G)d).fill(1);
const parameters = %(parameters)s;
for (const name in parameters) parameters[name] = Float32Array.from(parameters[name].flat());
require("readline").createInterface({ input: process.stdin }).on("line", () => {
  const run = made.forward(made.pack(parameters), { x }, { rows: %(rows)d });
  made.backward(run, { %(output)s });
  console.log(run.value("%(output)s").reduce((a, b) => a + b, 0));
});
"""


def tasks() -> list[Row]:
    """All of them as rows of the table."""
    step = Steps(time=S.time, batch=S.batch, inputs=S.inputs, hidden=S.hidden)
    peephole, gru = (
        dataclasses.replace(CHARACTERS, cell=cell) for cell in ("lstm_peephole_gers", "gru")
    )

    def against(name: str, limit: float) -> tuple[Goal, ...]:
        return (Goal("c", name, limit),)

    eager = "PyTorch eager"
    return [
        Row("S step", step, (*against("nn.LSTM", 0.15), *against(eager, 0.05))),
        Row("characters", CHARACTERS, against("nn.LSTM", 0.8)),
        Row("characters peepholes", peephole, against(eager, 0.35)),
        Row("characters gru", gru, against(eager, 0.35)),
        Row("32 lstm", SMALL, against("nn.LSTM", 0.4)),
        Row("32 gru", dataclasses.replace(SMALL, cell="gru"), against(eager, 0.1)),
        Row("32 rnn", dataclasses.replace(SMALL, cell="rnn"), against("nn.RNN", 0.1)),
        Row(
            "ADBench",
            Objective(),
            (*against(eager, 0.05), Goal("c", "JAX", None), Goal("c", "autograd", None)),
        ),
        Row("new size", FirstCall(), (Goal("c", MS, 30.0),)),
        Row("letters", Letters(), (Goal("js", MS, 20.0),)),
        Row("wasm", InNode(), (Goal("wasm", "c", 3.0),)),
    ]
