"""C99 in one file: a network's forward as plain loops, its numbers, and a test."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator, Sequence

import numpy as np

from tinygrad_lstm.exporting.c_language import HELPERS, TAKEN, WIDTH, Language, comment
from tinygrad_lstm.exporting.entry_style import C
from tinygrad_lstm.exporting.filling import filled
from tinygrad_lstm.exporting.loop_places import step_loops
from tinygrad_lstm.exporting.loop_values import wrapped
from tinygrad_lstm.exporting.shape import Call, Rows, Shape, Stage
from tinygrad_lstm.exporting.subject import Subject
from tinygrad_lstm.kernels.names import distinct
from tinygrad_lstm.tensor import Array
from tinygrad_lstm.version import __version__


def c_text(subject: Subject) -> str:
    """The text of a C file."""
    return "\n".join(_File(subject).lines()) + "\n"


class _File:
    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self.shape = Shape(subject, ascii_only=True)
        self.language = Language(subject.dtype)
        self.real = self.language.real
        self.name = self.shape.name
        taken = TAKEN | {self.name, *self.shape.public}
        self.loops = {
            stage.layer.name: step_loops(stage.layer, stage.kept, self.language, taken)
            for stage in self.shape.stages
        }
        names: set[str] = set(taken)
        self.steps = {
            stage.layer.name: distinct(
                f"{self.name}_{stage.layer.name or 'one'}_step".replace(".", "_"), names, True
            )
            for stage in self.shape.stages
        }

    def lines(self) -> Iterator[str]:
        """The file."""
        body = [line for stage in self.shape.stages for line in self._step(stage)]
        yield from self._head()
        yield "#include <math.h>"
        yield "#include <stddef.h>"
        yield ""
        yield from self._sizes()
        yield ""
        yield from (f"{line};" for line in self._prototypes())
        yield ""
        yield from self._weights()
        used = "\n".join([*body, *self._forward()])
        helpers = [v for k, v in HELPERS.items() if re.search(rf"\b{k}\(", used)]
        if helpers:
            yield ""
            suffix = "f" if self.real == "float" else ""
            yield from (h.replace("REAL", self.real).replace("@", suffix) for h in helpers)
        yield from body
        yield ""
        yield from self._start()
        yield ""
        yield from self._forward()
        if self.shape.reader:
            yield ""
            yield from self._symbols()
        yield ""
        yield from self._test()

    # --- what is said first -----------------------------------------------------------------------
    def _head(self) -> Iterator[str]:
        shape, name = self.shape, self.name
        yield f"/* {self.subject.name}: a recurrent network in C99, by tinygrad-lstm {__version__}."
        yield ""
        trained = "trained" if self.subject.trained else "drawn at random"
        about = [
            f"The forward pass as plain loops, of {self.real} numbers, and weights, {trained}.",
            "Nothing is allocated, and no library is needed but libm.",
            "",
            *shape.words(),
            "",
            "    cc -std=c99 FILE.c -lm && ./a.out      runs the test; 0 if all is right",
            "    cc -std=c99 -DNO_MAIN -c FILE.c        a part of a program of your own",
            "",
            f"{name}_weights, and any array passed in its place, holds one after another:",
            "",
            *(f"    {line}" for line in shape.weights_words()),
        ]
        yield from (f"   {line}".replace("*/", "* /").rstrip() for line in about)
        yield "*/"

    def _sizes(self) -> Iterator[str]:
        pairs = self.shape.numbers()
        yield "enum {"
        for k, (name, n, words) in enumerate(pairs):
            comma = "," if k + 1 < len(pairs) else ""
            yield f"    {self.name.upper()}_{name} = {n}{comma} {comment(words)}"
        yield "};"

    def _prototypes(self) -> list[str]:
        real, name, shape = self.real, self.name, self.shape
        takes = [f"const {real} *weights", "size_t time", "size_t batch"]
        takes.append("const int *ids" if shape.reader else f"const {real} *xs")
        takes += [f"const {real} *{own}" for own, _, _ in shape.further]
        takes += [f"{real} *state", f"{real} *{shape.result}"]
        if shape.work:
            takes.append(f"{real} *work")
        forward = f"void {name}_forward("
        lines = list(wrapped(takes, WIDTH - 8, "    "))
        joined = f"{forward}{', '.join(takes)})"
        if len(joined) > WIDTH:
            joined = forward + "\n" + "\n".join(lines) + ")"
        return [
            f"extern const {real} {name}_weights[]",
            f"void {name}_start(size_t batch, {real} *state)",
            joined,
        ]

    # --- numbers ----------------------------------------------------------------------------------
    def _weights(self) -> Iterator[str]:
        real = self.real
        yield f"const {real} {self.name}_weights[] = {{"
        if not self.shape.weights:
            yield "    0"
        for k, (name, words, data) in enumerate(self.shape.weights):
            yield f"    {comment(f'{name} ({words})')}"
            last = k + 1 == len(self.shape.weights)
            rows = list(wrapped(self._numbers(data), WIDTH, "    "))
            yield from rows[:-1]
            yield rows[-1] + "," * (not last)
        yield "};"

    def _numbers(self, data: Array) -> list[str]:
        style = C(np.dtype(data.dtype) if data.dtype.kind == "f" else self.subject.dtype)
        style.suffix = "f" if self.real == "float" else ""
        return [style.literal(v) for v in np.asarray(data).reshape(-1)]

    def _array(self, kind: str, name: str, data: Array) -> Iterator[str]:
        whole = data.dtype.kind in "iu"
        numbers = [str(int(v)) for v in data.reshape(-1)] if whole else self._numbers(data)
        one = f"static const {kind} {name}[] = {{{', '.join(numbers)}}};"
        if len(one) <= WIDTH - 4:
            yield one
            return
        yield f"static const {kind} {name}[] = {{"
        yield from wrapped(numbers, WIDTH, "    ")
        yield "};"

    # --- one step ---------------------------------------------------------------------------------
    def _step(self, stage: Stage) -> Iterator[str]:
        loops, layer, real = self.loops[stage.layer.name], stage.layer, self.real
        body = list(loops.block.lines)
        for name, node_name in stage.results.items():
            own, size = loops.names[node_name], stage.size(node_name)
            body += _copied(f"{name}", own, size)
        for n in layer.cell.state:
            size = stage.state_size(n)
            body += _copied("state", loops.names[n], size, stage.states[n])
        text = "\n".join(body)
        takes = [f"const {real} *weights", f"const {real} *{loops.x}"]
        given = [loops.inputs[n] for n in layer.cell.extra_inputs]
        takes += [f"const {real} *{own}" for own in given]
        takes += [f"{real} *state", *(f"{real} *{name}" for name in stage.results)]
        yield ""
        first = layer.cell.doc.splitlines()[0] if layer.cell.doc else layer.cell.name
        yield comment(f"{layer.name or layer.cell.name}: {first}")
        yield f"static void {self.steps[layer.name]}("
        yield from wrapped(takes, WIDTH, "    ")
        yield ") {"
        for name in ("weights", loops.x, *given):
            used = name == "weights" and any(_used(loops.inputs[n], text) for n in stage.own)
            if not used and not _used(name, text):
                yield f"    (void){name};"
        for n in stage.own:
            own, start = loops.inputs[n], stage.starts[n]
            if _used(own, text):
                at = f"weights + {start}" if start else "weights"
                words = layer.program.dimensions.get(n, "")
                yield f"    const {real} *{own} = {at}; {comment(f'({words})')}"
        for n in layer.cell.state:
            own, start = loops.before[n], stage.states[n]
            if _used(own, text):
                at = f"state + {start}" if start else "state"
                yield f"    const {real} *{own} = {at};"
        for name, data in loops.tables.items():
            kind = "int" if data.dtype.kind == "i" else real
            yield from (f"    {line}" for line in self._array(kind, name, data))
        arrays = [f"{name}[{n}]" for name, n in loops.arrays.items()]
        if arrays:
            rows = list(wrapped(arrays, WIDTH - 8, f"    {' ' * len(real)} "))
            yield f"    {real} {rows[0].strip()}" + ("" if len(rows) > 1 else ";")
            yield from rows[1:-1]
            if len(rows) > 1:
                yield rows[-1] + ";"
        yield from body
        yield "}"

    # --- the whole --------------------------------------------------------------------------------
    def _start(self) -> Iterator[str]:
        shape, real = self.shape, self.real
        yield comment("The states before the first step.")
        yield f"void {self.name}_start(size_t batch, {real} *state) {{"
        first = shape.initial
        upper = self.name.upper()
        if (first == 0).all():
            yield f"    for (size_t n = 0; n < batch * {upper}_STATE; n++) {{"
            yield "        state[n] = 0;"
            yield "    }"
        else:
            yield from (f"    {line}" for line in self._array(real, "start", first))
            yield f"    for (size_t n = 0; n < batch * {upper}_STATE; n++) {{"
            yield f"        state[n] = start[n % {upper}_STATE];"
            yield "    }"
        yield "}"

    def _forward(self) -> Iterator[str]:
        shape = self.shape
        *_, prototype = self._prototypes()
        yield comment("All steps of all sequences.")
        yield f"{prototype} {{"
        if not shape.weights:
            yield "    (void)weights;"
        for call in shape.calls():
            yield from (f"    {line}" for line in self._call(call))
        yield "}"

    def _call(self, call: Call) -> Iterator[str]:
        real = self.real
        yield "for (size_t n = 0; n < time; n++) {"
        yield f"    const size_t t = {'time - 1 - n' if call.reverse else 'n'};"
        yield "    for (size_t b = 0; b < batch; b++) {"
        yield "        const size_t row = t * batch + b;"
        if call.stage is None:
            yield from (f"        {line}" for line in self._last(call))
            yield "    }"
            yield "}"
            return
        x = f"xs + row * {call.width}"
        if call.symbols:
            if call.symbols == "embedding":
                x = f"weights + {call.start} + (size_t)ids[row] * {call.width}"
            else:
                yield f"        {real} x[{call.width}] = {{0}};"
                yield "        x[ids[row]] = 1;"
                x = "x"
        elif call.reads is not None:
            x = yield from self._joined("x", call.reads)
        given = []
        for own, parts in call.given:
            given.append((yield from self._joined(own, parts)))
        weights = f"weights + {call.start_of_weights}" if call.start_of_weights else "weights"
        state = f"state + b * {self.name.upper()}_STATE"
        state += f" + {call.start_of_state}" if call.start_of_state else ""
        arguments = [weights, x, *given, state, *map(_row, call.results)]
        one = f"{self.steps[call.stage.layer.name]}({', '.join(arguments)});"
        if len(one) + 12 <= WIDTH:
            yield f"        {one}"
        else:
            yield f"        {self.steps[call.stage.layer.name]}("
            yield from wrapped(arguments, WIDTH - 8, " " * 12)
            yield "        );"
        yield "    }"
        yield "}"

    def _joined(self, name: str, parts: Sequence[Rows]) -> Generator[str, None, str]:
        """What several rows are read as one behind the other: copied, where they are several."""
        if len(parts) == 1:
            return _row(parts[0])
        yield f"        {self.real} {name}[{sum(p.width for p in parts)}];"
        yield from (f"        {line}" for line in _side_by_side(f"{name}[j", parts))
        return name

    def _last(self, call: Call) -> Iterator[str]:
        """The outputs of several layers joined, or the scores of symbols."""
        assert call.reads is not None
        width = sum(part.width for part in call.reads)
        if not call.symbols:
            yield from _side_by_side(f"outputs[row * {width} + j", call.reads)
            return
        count = len(self.subject.reader.symbols) if self.subject.reader else 0
        yield comment("scores_t = W_y·h_t + b_y")
        yield f"for (int j = 0; j < {count}; j++) {{"
        yield f"    {self.real} sum = (weights + {call.start + count * width})[j];"
        start = 0
        for part in call.reads:
            yield f"    for (int k = 0; k < {part.width}; k++) {{"
            at = f"j * {width} + k{f' + {start}' if start else ''}"
            yield f"        sum += (weights + {call.start})[{at}] * ({_row(part)})[k];"
            yield "    }"
            start += part.width
        yield f"    scores[row * {count} + j] = sum;"
        yield "}"

    def _symbols(self) -> Iterator[str]:
        assert self.subject.reader is not None
        symbols = self.subject.reader.symbols
        yield comment("The Unicode number of each symbol: symbol k is the character symbols[k].")
        codes = [str(ord(c)) for c in symbols]
        yield f"const unsigned {self.name}_symbols[] = {{"
        yield from wrapped(codes, WIDTH, "    ")
        yield "};"

    # --- the test ---------------------------------------------------------------------------------
    def _test(self) -> Iterator[str]:
        answers, shape, real = self.subject.answers, self.shape, self.real
        time, batch = answers.xs.shape[:2]
        yield "#if !defined(NO_MAIN) || defined(SELF_TEST)"
        yield f"int {self.name}_self_test(double *worst);"
        yield ""
        first = "ids" if shape.reader else "xs"
        yield from self._array("int" if shape.reader else real, f"test_{first}", answers.xs)
        names = [f"test_{first}"]
        for own, layer, n in shape.further:
            yield from self._array(real, f"test_{own}", answers.further[layer.prefix + n])
            names.append(f"test_{own}")
        yield from self._array("double", "right", answers.outputs)
        yield from self._array("double", "right_state", shape.final())
        size, states = answers.outputs.size, shape.final().size
        arguments = [f"{self.name}_weights", str(time), str(batch), *names, "state", shape.result]
        room = f"    static {real} work[{time * batch} * {self.name.upper()}_WORK];"
        arguments += ["work"] * bool(shape.work)
        yield filled(
            "self_test.c",
            REAL=real,
            STATES=states,
            RESULT=shape.result,
            SIZE=size,
            WORK=room if shape.work else "",
            NAME=self.name,
            BATCH=batch,
            ARGUMENTS="\n".join(wrapped(arguments, WIDTH, " " * 8)),
            TOLERANCE=f"{answers.tolerance:g}",
        )


def _row(part: Rows) -> str:
    """Where a row begins."""
    start = f" + time * batch * {part.start}" if part.start else ""
    return f"{part.array}{start} + {part.row} * {part.width}"


def _side_by_side(to: str, parts: Sequence[Rows]) -> Iterator[str]:
    """Loops that copy rows one behind the other, to where `to` begins."""
    start = 0
    for part in parts:
        yield f"for (int j = 0; j < {part.width}; j++) {{"
        yield f"    {to}{f' + {start}' if start else ''}] = ({_row(part)})[j];"
        yield "}"
        start += part.width


def _used(name: str, text: str) -> bool:
    return re.search(rf"(?<![\w.]){re.escape(name)}\b", text) is not None


def _copied(to: str, own: str, size: int, start: int = 0) -> list[str]:
    target = f"{to}[j + {start}]" if start else f"{to}[j]"
    if size == 1:
        return [f"    {to}[{start}] = {own}[0];"]
    return [f"    for (int j = 0; j < {size}; j++) {{", f"        {target} = {own}[j];", "    }"]
