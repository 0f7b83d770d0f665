"""JavaScript in one file, for node and for a page: plain loops, or a WebAssembly module inside."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from tinygrad_lstm.exporting.entry_style import JavaScript
from tinygrad_lstm.exporting.filling import filled, reserved
from tinygrad_lstm.exporting.loop_places import step_loops
from tinygrad_lstm.exporting.loop_values import wrapped
from tinygrad_lstm.exporting.loops import Loops
from tinygrad_lstm.exporting.shape import Call, Rows, Shape, Stage
from tinygrad_lstm.exporting.subject import Subject
from tinygrad_lstm.kernels.js_operations import functions
from tinygrad_lstm.kernels.names import distinct
from tinygrad_lstm.tensor import Array
from tinygrad_lstm.version import __version__

WIDTH = 96
TAKEN = reserved("javascript")


class Language:
    """How loops and numbers are declared in JavaScript."""

    def style(self) -> JavaScript:
        """The style of an entry's expression."""
        return JavaScript()

    def loop(self, variable: str, n: int) -> str:
        """for (let j = 0; …."""
        return f"for (let {variable} = 0; {variable} < {n}; {variable}++) {{"

    def scalar(self, name: str, value: str) -> str:
        """A number that changes."""
        return f"let {name} = {value};"

    def fixed(self, name: str, value: str) -> str:
        """A number that does not."""
        return f"const {name} = {value};"

    def comment(self, text: str) -> str:
        """A comment."""
        return f"// {' '.join(text.split())}"


def js_text(subject: Subject, wasm: bytes | None = None) -> str:
    """The text of a JavaScript file; with a module of `c_text`, compiled, it calls that."""
    return _File(subject, wasm).text()


class _File:
    def __init__(self, subject: Subject, wasm: bytes | None) -> None:
        self.subject, self.wasm = subject, wasm
        self.shape = Shape(subject, wasm is not None)
        taken = TAKEN | {self.shape.name}
        self.loops: dict[str, Loops] = {}
        if wasm is None:
            self.loops = {
                stage.layer.name: step_loops(stage.layer, stage.kept, Language(), taken)
                for stage in self.shape.stages
            }
        names = set(TAKEN)
        self.steps = {
            stage.layer.name: distinct(f"step_{stage.layer.name or 'one'}".replace(".", "_"), names)
            for stage in self.shape.stages
        }
        self.real = "Float32Array" if subject.dtype == np.dtype(np.float32) else "Float64Array"

    @property
    def arguments(self) -> list[str]:
        """What the loops take after the sizes."""
        first = "ids" if self.shape.reader else "xs"
        work = ["work"] * bool(self.shape.work)
        further = [own for own, _, _ in self.shape.further]
        return [first, *further, "state", self.shape.result, *work]

    def text(self) -> str:
        """The file."""
        shape, answers = self.shape, self.subject.answers
        further = [own for own, _, _ in shape.further]
        constants = [f"const Real = {self.real};"]
        constants += [f"const {name} = {n}; // {words}" for name, n, words in shape.numbers()]
        program = list(self._module() if self.wasm is not None else self._loops())
        checks = [f"    {own} = Real.from({own});" for own in further]
        public = ["start", "forward", "selfTest", "weights: own"]
        if shape.reader:
            symbols = json.dumps(shape.reader.symbols)
            program.append(f"const symbols = Array.from({symbols}); // symbol k is symbols[k]")
            checks.append("    if (ids.some((k) => k < 0 || k >= SYMBOLS)) {")
            checks.append("        throw new RangeError(`ids are numbers, 0 to ${SYMBOLS - 1}`);")
            checks.append("    }")
            public += ["symbols", "write"]
        given = [f"{self.arguments[0]}: {_list(answers.xs)}"]
        given += [f"{own}: {_list(answers.further[la.prefix + n])}" for own, la, n in shape.further]
        given.append(f"batch: {answers.xs.shape[1]}")
        body = filled(
            "network.js",
            CONSTANTS="\n".join(constants),
            PROGRAM="\n".join(program),
            INITIAL=", ".join(map(_literal, shape.initial)),
            TAKES=", ".join([self.arguments[0], *further]),
            FIRST=self.arguments[0],
            READ="1" if shape.reader else "INPUT",
            KIND="Int32Array" if shape.reader else "Real",
            CHECKS="\n".join(checks),
            RESULT=shape.result,
            WRITTEN="SYMBOLS" if shape.reader else "OUTPUT",
            WORK="    const work = new Real(time * batch * WORK);" if shape.work else "",
            ARGUMENTS=", ".join(self.arguments),
            WRITE=filled("write.js") if shape.reader else "",
            GIVEN="\n".join(f"        {line}," for line in given),
            RIGHT=_list(answers.outputs),
            RIGHT_STATE=_list(shape.final()),
            PUBLIC=", ".join(public),
            NAME=shape.name,
            TOLERANCE=f"{answers.tolerance:g}",
        )
        return "\n".join([*self._head(), body, ""])

    def _head(self) -> Iterator[str]:
        what = "WebAssembly in JavaScript" if self.wasm is not None else "JavaScript"
        trained = "trained" if self.subject.trained else "drawn at random"
        first = "ids" if self.shape.reader else "xs"
        further = "".join(f", {own}" for own, _, _ in self.shape.further)
        name, result = self.shape.name, self.shape.result
        yield f"// {self.subject.name}: a recurrent network in {what},"
        yield f"// by tinygrad-lstm {__version__}. The weights were {trained}."
        yield "//"
        call = f"{name}.forward({{ {first}{further}, batch: 1, state }})"
        yield f"//     const {{ {result}, state }} = {call};"
        if self.shape.reader:
            yield f'//     {name}.write("The ", 200);  // what it goes on with'
        yield f"//     {name}.selfTest();  // the largest relative difference from what is right"
        yield "//"
        yield "// In node require(FILE) gives it and node FILE tests it; in a page it is a global."
        for line in self.shape.words():
            line = re.sub(r"(?<=[ (])" + re.escape(name.upper()) + "_(?=[A-Z])", "", line)
            line = line.replace(f"{name}_", f"{name}.")
            yield f"// {line}".rstrip()
        yield "//"
        yield "// weights, and any array passed in their place, hold one after another:"
        yield from (f"//     {line}" for line in self.shape.weights_words())

    # --- plain loops ------------------------------------------------------------------------------
    def _weights(self) -> Iterator[str]:
        data = [v.reshape(-1) for _, _, v in self.shape.weights]
        whole = np.concatenate(data) if data else np.zeros(0, self.subject.dtype)
        yield "const own = new Real(decode(["
        yield from _base64(whole.astype(self.subject.dtype.newbyteorder("<")).tobytes())
        yield '].join("")).buffer);'

    def _loops(self) -> Iterator[str]:
        yield from self._weights()
        body = [line for stage in self.shape.stages for line in self._step(stage)]
        text = "\n".join(body)
        yield from functions(text).splitlines()
        yield from body
        yield ""
        yield "// All steps of all sequences."
        takes = ", ".join(["weights", "time", "batch", *self.arguments])
        yield f"function run({takes}) {{"
        for stage in self.shape.stages:
            step = self.steps[stage.layer.name]
            first = stage.first_weight
            at = f"weights.subarray({first})" if first else "weights"
            yield f"    const {step} = make_{step}({at});"
        for call in self.shape.calls():
            yield from (f"    {line}" for line in self._call(call))
        yield "}"

    def _step(self, stage: Stage) -> Iterator[str]:
        loops, layer = self.loops[stage.layer.name], stage.layer
        body = [f"    {line}" for line in loops.block.lines]
        for name, equation in stage.results.items():
            body.append(f"        {name}.set({loops.names[equation]});")
        for n in layer.cell.state:
            place = f", {stage.states[n]}" if stage.states[n] else ""
            body.append(f"        state.set({loops.names[n]}{place});")
        yield ""
        first = layer.cell.doc.splitlines()[0] if layer.cell.doc else layer.cell.name
        yield f"// {layer.name or layer.cell.name}: {first}"
        yield f"function make_{self.steps[layer.name]}(weights) {{"
        for n in stage.own:
            own, start = loops.inputs[n], stage.starts[n]
            size = self.subject.own(layer)[n].size
            words = layer.program.dimensions.get(n, "")
            yield f"    const {own} = weights.subarray({start}, {start + size}); // ({words})"
        for name, data in loops.tables.items():
            kind = "Int32Array" if data.dtype.kind == "i" else "Float64Array"
            yield f"    const {name} = {kind}.of({', '.join(map(_literal, data.reshape(-1)))});"
        for name, size in loops.arrays.items():
            yield f"    const {name} = new Real({size});"
        given = [loops.inputs[n] for n in layer.cell.extra_inputs]
        yield f"    return ({', '.join([loops.x, *given, 'state', *stage.results])}) => {{"
        for n in layer.cell.state:
            start = stage.states[n]
            stop = start + stage.state_size(n)
            yield f"        const {loops.before[n]} = state.subarray({start}, {stop});"
        yield from body
        yield "    };"
        yield "}"

    def _call(self, call: Call) -> Iterator[str]:
        yield "for (let n = 0; n < time; n++) {"
        yield f"    const t = {'time - 1 - n' if call.reverse else 'n'};"
        yield "    for (let b = 0; b < batch; b++) {"
        yield "        const row = t * batch + b;"
        if call.stage is None:
            yield from (f"        {line}" for line in self._last(call))
            yield "    }"
            yield "}"
            return
        x = _row(Rows("xs", call.width))
        if call.symbols == "embedding":
            yield f"        const first = {call.start} + ids[row] * {call.width};"
            x = f"weights.subarray(first, first + {call.width})"
        elif call.symbols:
            yield f"        const x = new Real({call.width});"
            yield "        x[ids[row]] = 1;"
            x = "x"
        elif call.reads is not None:
            x = self._joined(call.reads)
        given = [self._joined(parts) for _, parts in call.given]
        first = call.start_of_state
        at = f"b * STATE + {first}" if first else "b * STATE"
        state = f"state.subarray({at}, (b + 1) * STATE)"
        yield f"        {self.steps[call.stage.layer.name]}("
        yield from (
            f"            {argument}," for argument in [x, *given, state, *map(_row, call.results)]
        )
        yield "        );"
        yield "    }"
        yield "}"

    def _joined(self, parts: Sequence[Rows]) -> str:
        pieces = list(map(_row, parts))
        if len(pieces) == 1:
            return pieces[0]
        return f"Real.of({', '.join(f'...{piece}' for piece in pieces)})"

    def _last(self, call: Call) -> Iterator[str]:
        assert call.reads is not None
        width = sum(part.width for part in call.reads)
        yield f"const h = {self._joined(call.reads)};"
        if not call.symbols:
            yield f"outputs.set(h, row * {width});"
            return
        yield "// scores_t = W_y·h_t + b_y"
        yield "for (let j = 0; j < SYMBOLS; j++) {"
        yield f"    let sum = weights[{call.start} + SYMBOLS * {width} + j];"
        yield f"    for (let k = 0; k < {width}; k++) {{"
        yield f"        sum += weights[{call.start} + j * {width} + k] * h[k];"
        yield "    }"
        yield "    scores[row * SYMBOLS + j] = sum;"
        yield "}"

    # --- WebAssembly ------------------------------------------------------------------------------
    def _module(self) -> Iterator[str]:
        yield "const code = decode(["
        yield from _base64(self.wasm or b"")
        yield '].join(""));'
        state = self.arguments.index("state")
        yield filled(
            "module.js",
            NAME=self.shape.name,
            ARGUMENTS=", ".join(self.arguments),
            CHANGED=f"{state}, {state + 1}",
        )


def _row(part: Rows) -> str:
    """A row as an array of its own."""
    start = f"time * batch * {part.start} + " if part.start else ""
    first, after = f"{part.row} * {part.width}", f"({part.row} + 1) * {part.width}"
    return f"{part.array}.subarray({start}{first}, {start}{after})"


def _literal(value: Any) -> str:
    return JavaScript().literal(value)


def _list(data: Array) -> str:
    numbers = [str(int(v)) if data.dtype.kind in "iu" else _literal(v) for v in data.reshape(-1)]
    one = f"[{', '.join(numbers)}]"
    if len(one) < WIDTH - 24:
        return one
    return "\n".join(["[", *wrapped(numbers, WIDTH, "            "), "        ]"])


def _base64(data: bytes) -> Iterator[str]:
    text = base64.b64encode(data).decode()
    width = WIDTH - 8
    for k in range(0, max(len(text), 1), width):
        yield f'    "{text[k : k + width]}",'
