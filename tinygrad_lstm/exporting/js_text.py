"""JavaScript in one file, for node and for a page: plain loops, or a WebAssembly module inside."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from tinygrad_lstm.exporting.entry_style import JavaScript
from tinygrad_lstm.exporting.loops import Loops, wrapped
from tinygrad_lstm.exporting.shape import Call, Shape, Stage
from tinygrad_lstm.exporting.subject import Subject
from tinygrad_lstm.kernels.names import distinct
from tinygrad_lstm.tensor import Array
from tinygrad_lstm.version import __version__

WIDTH = 96
TAKEN = set(
    """abstract arguments await boolean break byte case catch char class const continue debugger
    default delete do double else enum eval export extends false final finally float for function
    goto if implements import in instanceof int interface let long native new null package private
    protected public return short static super switch synchronized this throw throws transient true
    try typeof undefined var void volatile while with yield async of get set NaN Infinity Math
    Number Array Object Real Float32Array Float64Array globalThis window self module require
    sigmoid softplus relu erf decode weights state output makeStep steps own api root""".split()
)
_HELPERS = {
    "sigmoid": "const sigmoid = (x) => 1 / (1 + Math.exp(-x));",
    "softplus": "const softplus = (x) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));",
    "relu": "const relu = (x) => (x <= 0 ? 0 : x);",
    "erf": """const erf = (x) => { // by its power series, far out by a continued fraction
  const a = Math.abs(x), e = Math.exp(-x * x) / Math.sqrt(Math.PI);
  let sum = 0, term = 2 * a;
  if (a > 3) {
    for (let k = 60; k > 0; k--) sum = k / 2 / (a + sum);
    return Math.sign(x) * (1 - e / (a + sum));
  }
  for (let k = 1; k < 100; k++) { sum += term; term *= 2 * x * x / (2 * k + 1); }
  return Math.sign(x) * sum * e;
};""",
}


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
    return "\n".join(_File(subject, wasm).lines()) + "\n"


class _File:
    def __init__(self, subject: Subject, wasm: bytes | None) -> None:
        self.subject, self.wasm = subject, wasm
        self.shape = Shape(subject, wasm is not None)
        taken = TAKEN | {self.shape.name}
        self.loops: dict[str, Loops] = {}
        if wasm is None:
            self.loops = {
                stage.layer.name: Loops(stage.layer, stage.kept, Language(), taken)
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

    def lines(self) -> Iterator[str]:
        """The file."""
        yield from self._head()
        yield "(function (root) {"
        yield '"use strict";'
        yield f"const Real = {self.real};"
        for name, n, words in self.shape.numbers():
            yield f"const {name} = {n}; // {words}"
        yield "const decode = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));"
        if self.wasm is None:
            yield from self._weights()
            yield from self._loops()
        else:
            yield from self._module()
        if self.shape.reader:
            symbols = json.dumps(self.shape.reader.symbols)
            yield f"const symbols = Array.from({symbols}); // symbol k is symbols[k]"
        yield from self._interface()
        yield from self._test()
        yield from self._end()

    def _head(self) -> Iterator[str]:
        what = "WebAssembly in JavaScript" if self.wasm is not None else "JavaScript"
        trained = "trained" if self.subject.trained else "drawn at random"
        first = "ids" if self.shape.reader else "xs"
        further = "".join(f", {own}" for own, _, _ in self.shape.further)
        name, result = self.shape.name, self.shape.result
        yield f"// {self.subject.name}: a recurrent network in {what}, by tinygrad-lstm {__version__}."
        yield f"// Arrays are {self.real}; the weights were {trained}."
        yield "//"
        call = f"{name}.forward({{ {first}{further}, batch: 1, state }})"
        yield f"//     const {{ {result}, state }} = {call};"
        if self.shape.reader:
            yield f'//     {name}.write("The ", 200);     // what it goes on with'
        yield f"//     {name}.selfTest();             // the largest relative difference from what is right"
        yield "//"
        yield "// In node require(FILE) gives it, in a page a script makes it a global; node FILE tests it."
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
        body = [line for stage in self.shape.stages for line in self._step(stage)]
        text = "\n".join(body)
        yield from (v for k, v in _HELPERS.items() if re.search(rf"\b{k}\(", text))
        yield from body
        yield ""
        yield "// All steps of all sequences."
        takes = ", ".join(["weights", "time", "batch", *self.arguments])
        yield f"function run({takes}) {{"
        for stage in self.shape.stages:
            step = self.steps[stage.layer.name]
            start = stage.first_weight
            at = f"weights.subarray({start})" if start else "weights"
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
            start = f", {stage.states[n]}" if stage.states[n] else ""
            body.append(f"        state.set({loops.names[n]}{start});")
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
        for name, n in loops.arrays.items():
            yield f"    const {name} = new Real({n});"
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
        x = _part("xs", "row", call.width)
        if call.symbols == "embedding":
            x = f"weights.subarray({call.start} + ids[row] * {call.width}, {call.start} + (ids[row] + 1) * {call.width})"
        elif call.symbols:
            yield f"        const x = new Real({call.width});"
            yield "        x[ids[row]] = 1;"
            x = "x"
        elif call.reads is not None:
            x = self._joined(call.reads)
        given = []
        for own, parts in call.given:
            if isinstance(parts, str):
                place, row, width = re.fullmatch(r"(.+) \+ (row|b) \* (\d+)", parts).groups()  # type: ignore[union-attr]
                given.append(_part(place, row, int(width)))
            else:
                given.append(self._joined(parts))
        first = call.start_of_state
        at = f"b * STATE + {first}" if first else "b * STATE"
        state = f"state.subarray({at}, (b + 1) * STATE)"
        results = [_placed(result) for result in call.results]
        yield f"        {self.steps[call.stage.layer.name]}("
        yield from (f"            {argument}," for argument in [x, *given, state, *results])
        yield "        );"
        yield "    }"
        yield "}"

    def _joined(self, parts: Sequence[tuple[str, int]]) -> str:
        pieces = [_placed(f"{place} + row * {n}", n) for place, n in parts]
        if len(pieces) == 1:
            return pieces[0]
        return f"Real.of({', '.join(f'...{piece}' for piece in pieces)})"

    def _last(self, call: Call) -> Iterator[str]:
        assert call.reads is not None
        width = sum(n for _, n in call.reads)
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
        assert self.wasm is not None
        name = self.shape.name
        yield "const code = decode(["
        yield from _base64(self.wasm)
        yield '].join(""));'
        yield "const { exports } = new WebAssembly.Instance(new WebAssembly.Module(code), {});"
        yield f"const first = exports.{name}_weights.value, bytes = Real.BYTES_PER_ELEMENT;"
        yield "const own = new Real(exports.memory.buffer, first, WEIGHTS).slice();"
        yield ""
        yield "// All steps of all sequences: the arrays are copied into the module's memory and back."
        takes = ", ".join(["weights", "time", "batch", *self.arguments])
        yield f"function run({takes}) {{"
        yield f"    const arrays = [weights, {', '.join(self.arguments)}];"
        yield "    let end = exports.__heap_base.value;"
        yield "    const places = arrays.map((array) => {"
        yield "        const place = (end + 15) & ~15;"
        yield "        end = place + array.byteLength;"
        yield "        return place;"
        yield "    });"
        yield "    const short = end - exports.memory.buffer.byteLength;"
        yield "    if (short > 0) exports.memory.grow(Math.ceil(short / 65536));"
        yield "    const view = (k) => new arrays[k].constructor(exports.memory.buffer, places[k], arrays[k].length);"
        yield "    arrays.forEach((array, k) => view(k).set(array));"
        yield f"    exports.{name}_forward(places[0], time, batch, ...places.slice(1));"
        changed = 1 + self.arguments.index("state")
        yield f"    arrays[{changed}].set(view({changed}));"
        yield f"    arrays[{changed + 1}].set(view({changed + 1}));"
        yield "}"

    # --- what callers use -------------------------------------------------------------------------
    def _interface(self) -> Iterator[str]:
        shape = self.shape
        first, result = self.arguments[0], shape.result
        further = [own for own, _, _ in shape.further]
        width = "SYMBOLS" if shape.reader else "OUTPUT"
        yield ""
        yield "// The states before the first step."
        yield "function start(batch = 1) {"
        yield f"    const one = [{', '.join(map(_literal, shape.initial))}];"
        yield "    return Real.from({ length: batch * STATE }, (_, n) => one[n % STATE]);"
        yield "}"
        yield ""
        takes = [first, *further, "batch = 1", "state = start(batch)", "weights = own"]
        yield f"function forward({{ {', '.join(takes)} }}) {{"
        if shape.reader:
            yield f"    const time = {first}.length / batch;"
            yield f"    {first} = Int32Array.from({first});"
            yield f"    if ({first}.some((k) => k < 0 || k >= SYMBOLS)) throw new RangeError(`ids are numbers of symbols, 0 to ${{SYMBOLS - 1}}`);"
        else:
            yield f"    const time = {first}.length / (batch * INPUT);"
            yield f"    {first} = Real.from({first});"
        yield f'    if (!(time >= 1 && Number.isInteger(time))) throw new RangeError(`{first} does not hold whole steps of ${{batch}} sequences`);'
        for own in further:
            yield f"    {own} = Real.from({own});"
        yield "    state = Real.from(state);"
        yield "    weights = Real.from(weights);"
        yield f"    const {result} = new Real(time * batch * {width});"
        if shape.work:
            yield "    const work = new Real(time * batch * WORK);"
        yield f"    run(weights, time, batch, {', '.join(self.arguments)});"
        yield f"    return {{ {result}, state }};"
        yield "}"
        if shape.reader:
            yield from _WRITE
        yield ""

    def _test(self) -> Iterator[str]:
        answers, shape = self.subject.answers, self.shape
        time, batch = answers.xs.shape[:2]
        del time
        yield "function selfTest() {"
        yield "    const { given, right, rightState } = {"
        given = [f"{self.arguments[0]}: {_list(answers.xs)}"]
        given += [
            f"{own}: {_list(answers.further[layer.prefix + n])}" for own, layer, n in shape.further
        ]
        yield "        given: {"
        yield from (f"            {line}," for line in given)
        yield f"            batch: {batch},"
        yield "        },"
        yield f"        right: {_list(answers.outputs)},"
        yield f"        rightState: {_list(shape.final())},"
        yield "    };"
        yield "    const apart = (found, right) => {"
        yield "        const scale = right.reduce((most, v) => Math.max(most, Math.abs(v)), 1);"
        yield "        return right.reduce((most, v, k) => Math.max(most, Math.abs(v - found[k])), 0) / scale;"
        yield "    };"
        yield f"    const {{ {shape.result}, state }} = forward(given);"
        yield f"    return Math.max(apart({shape.result}, right), apart(state, rightState));"
        yield "}"

    def _end(self) -> Iterator[str]:
        names = ["start", "forward", "selfTest", "weights: own"]
        if self.shape.reader:
            names += ["symbols", "write"]
        yield ""
        yield f"const api = {{ {', '.join(names)} }};"
        yield 'if (typeof module === "object" && module.exports) module.exports = api;'
        yield f"else root[{json.dumps(self.shape.name)}] = api;"
        yield 'if (typeof require === "function" && typeof module === "object" && require.main === module) {'
        yield "    const worst = selfTest();"
        yield "    console.log(`self-test: largest relative difference ${worst.toExponential(1)}`);"
        yield f"    process.exitCode = worst < {self.subject.answers.tolerance:g} ? 0 : 1;"
        yield "}"
        yield "})(globalThis);"


_WRITE = """
// What it writes after a text: each symbol is drawn from softmax(scores / temperature).
function write(text = "\\n", length = 200, temperature = 0.8, random = Math.random) {
    const known = Array.from(text).map((c) => symbols.indexOf(c)).filter((k) => k >= 0);
    let ids = known.length ? known : [0], state = start(), written = "";
    while (length-- > 0) {
        const found = forward({ ids, state });
        const scores = found.scores.slice(-SYMBOLS), most = Math.max(...scores);
        const heat = Math.max(temperature, 1e-6);
        const shares = Array.from(scores, (s) => Math.exp((s - most) / heat));
        let left = random() * shares.reduce((a, b) => a + b), k = 0;
        while (k < SYMBOLS - 1 && left >= shares[k]) left -= shares[k++];
        written += symbols[k];
        ids = [k];
        state = found.state;
    }
    return written;
}""".split("\n")


def _part(array: str, row: str, width: int) -> str:
    return f"{array}.subarray({row} * {width}, ({row} + 1) * {width})"


def _placed(text: str, width: int | None = None) -> str:
    """A row of an array from what C writes as a sum of a pointer and numbers."""
    place, _, rest = text.rpartition(" + row * ")
    n = width if width is not None else int(rest)
    array, _, start = place.partition(" + ")
    if not start:
        return _part(array, "row", n)
    return f"{array}.subarray({start} + row * {n}, {start} + (row + 1) * {n})"


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
