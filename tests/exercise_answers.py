"""Answers to the exercises: the right one of each, and changes that make wrong ones."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from lesson import languages
from lesson.commands import main
from lesson.exercises import (
    Verdict,
    checked,
    gradients_to_find,
    networks_to_read,
    over_time,
    shapes,
)
from lesson.exercises.collection import built_in

EVERY = {made.name: made for made in built_in()}
ORDER = list(EVERY)
LANGUAGES = languages.languages()
Change = Callable[[str, int], str]


def replaced(*pairs: tuple[str, str]) -> Change:
    """A change of the file begun: each text must be there."""

    def change(text: str, seed: int) -> str:
        for old, new in pairs:
            assert old in text, f"{old!r} is not in\n{text}"
            text = text.replace(old, new, 1)
        return text

    return change


def filled(**values: Any) -> Change:
    """The blanks NAME = … filled in."""

    def change(text: str, seed: int) -> str:
        for name, value in values.items():
            text, count = re.subn(rf"(?m)^{name} = .*$", f"{name} = {value!r}", text)
            assert count == 1, name
        return text

    return change


def both(*changes: Change) -> Change:
    def change(text: str, seed: int) -> str:
        for one in changes:
            text = one(text, seed)
        return text

    return change


def facts(name: str, seed: int) -> dict[str, Any]:
    made = EVERY[name]
    assert made.facts is not None
    return dict(made.facts(seed))


def answered(name: str, change: Change, seed: int = 7, language: str = "en") -> Verdict:
    """Begin an exercise as the command does, change the file, check it."""
    number = ORDER.index(name) + 1
    assert main(["exercise", name, "--seed", str(seed), "--language", language]) == 0
    path = Path(f"exercise-{number}-{name}.py")
    path.write_text(change(path.read_text(encoding="utf-8"), seed), encoding="utf-8")
    try:
        return checked(EVERY[name], path, language)
    finally:
        path.unlink()


def told(verdict: Verdict, template: str) -> bool:
    """Whether a finding is this text, whatever its facts are."""
    parts = [re.escape(part) for part in re.split(r"\{\{\w+\}\}", template)]
    return any(re.fullmatch(".*".join(parts), f.text, re.DOTALL) for f in verdict.findings)


def the_line(text: str, seed: int) -> str:
    line = facts("finish-the-cell", seed)["solution"]
    return re.sub(r"(?m)^    now\.\w+ = \.\.\..*$", f"    {line}", text)


def a_line(line: str) -> Change:
    return lambda text, seed: re.sub(r"(?m)^(    now\.\w+) = \.\.\..*$", rf"\1 = {line}", text)


def mended(text: str, seed: int) -> str:
    for right, wrong in shapes.FAULTS.values():
        text = text.replace(wrong, right)
    return text


def shapes_told(text: str, seed: int) -> str:
    wanted, count = shapes._measured(shapes._drawn(seed)[1])
    text = re.sub(r"(?ms)^shapes = \{.*?^\}", f"shapes = {wanted!r}", text)
    return filled(numbers=count)(text, seed)


def map_read(text: str, seed: int) -> str:
    line, order, _ = networks_to_read.reader(seed)
    units = {name: order.index(name) for name in ("between", "counter", "latch")}
    return filled(**units, written_at=line.index("#"))(text, seed)


def mended_bias(text: str, seed: int) -> str:
    gate = networks_to_read.ill_gate(seed)
    name = f"b_{gate}"
    repair = {name: networks_to_read._HEALTHY[name]}
    kept = float(facts("why-it-forgets", seed)["kept"])
    return filled(gate=gate, kept=kept, repair=repair)(text, seed)


def fork_solved(text: str, seed: int) -> str:
    a, w = gradients_to_find._fork(seed)
    b, c = a * w, a * w + a
    values = {"bar_c": b, "bar_b": c + b, "bar_a": (c + b) * w + b, "bar_w": (c + b) * a}
    return filled(**values, order=["c", "b", "a"])(text, seed)


def adjoints(bar: str, delta: str) -> Change:
    def change(text: str, seed: int) -> str:
        head, first, second = text.split("return ...")
        return f"{head}return {bar}{first}return {delta}{second}"

    return change


def line_mended(text: str, seed: int) -> str:
    wrong, formula = gradients_to_find._planted(seed)
    right = gradients_to_find.BACKWARD[wrong]
    mend = replaced((f"{wrong} = {formula}\n", f"{wrong} = {right}\n"))
    return both(mend, filled(wrong_line=wrong))(text, seed)


COUPLED = replaced(
    ("W_f W_i W_C W_o", "W_f W_C W_o"),
    ("b_f b_i b_C b_o", "b_f b_C b_o"),
    ("    now.i = sigmoid(matvec(p.W_i, hx) + p.b_i)\n", ""),
    ("now.i * now.C_tilde", "(1 - now.f) * now.C_tilde"),
)
PEEPHOLE = replaced(
    ('"b_f b_i b_C b_o": "hidden"', '"b_f b_i b_C b_o v_f v_i v_o": "hidden"'),
    ("p.W_f, hx) +", "p.W_f, hx) + p.v_f * prev.C +"),
    ("p.W_i, hx) +", "p.W_i, hx) + p.v_i * prev.C +"),
    ("p.W_o, hx) +", "p.W_o, hx) + p.v_o * now.C +"),
)
WIDER = replaced(
    (
        '"W_f W_i W_C W_o": "hidden, hidden + inputs"',
        '"W_f W_i W_o": "hidden, 2 * hidden + inputs", "W_C": "hidden, hidden + inputs"',
    ),
    ("p.W_f, hx)", "p.W_f, concat(prev.C, hx))"),
    ("p.W_i, hx)", "p.W_i, concat(hx, prev.C))"),
    ("p.W_o, hx)", "p.W_o, concat(now.C, hx))"),
)


def gru(body: str, parameters: str = '{"W_z W_r W_h": "hidden, hidden + inputs"}') -> Change:
    def change(text: str, seed: int) -> str:
        head = text[: text.index("@cell")]
        lines = "".join(f"    {line}\n" for line in body.strip().split("\n"))
        return f"""{head}@cell(state="h", parameters={parameters})
def gru(now, prev, x, p):
{lines}"""

    return change


GRU = """hx = concat(prev.h, x)
now.z = sigmoid(matvec(p.W_z, hx))
now.r = sigmoid(matvec(p.W_r, hx))
now.h_tilde = tanh(matvec(p.W_h, concat(now.r * prev.h, x)))
now.h = (1 - now.z) * prev.h + now.z * now.h_tilde"""


def memory(text: str, fills: str) -> Change:
    def change(begun: str, seed: int) -> str:
        head = begun[: begun.index("@cell")]
        return f"{head}{text}\nfills = {fills}\n"

    return change


LSTM = """@cell(state="h C", parameters={
    "W_f W_i W_C W_o": "hidden, hidden + inputs", "b_f b_i b_C b_o": "hidden"})
def memory(now, prev, x, p):
    hx = concat(prev.h, x)
    now.f = sigmoid(matvec(p.W_f, hx) + p.b_f)
    now.i = sigmoid(matvec(p.W_i, hx) + p.b_i)
    now.C_tilde = tanh(matvec(p.W_C, hx) + p.b_C)
    now.C = now.f * prev.C + now.i * now.C_tilde
    now.o = sigmoid(matvec(p.W_o, hx) + p.b_o)
    now.h = now.o * tanh(now.C)
"""


def unrolled(text: str, seed: int) -> str:
    w, xs = over_time._plain(seed)
    h = [float(f"{v:.3f}") for v in over_time._unrolled(w, xs)]
    left = float(facts("what-is-left", seed)["left"])
    return filled(h=h, left=left, steps=int(facts("what-is-left", seed)["steps"]))(text, seed)


def from_hint(name: str, place: str) -> Change:
    """The code of the last hint in place of the dots."""

    def change(text: str, seed: int) -> str:
        last = EVERY[name].fill(EVERY[name].hints[-1], seed, "en")
        code = "\n".join(line for line in last.splitlines() if line.startswith("    "))
        assert text.count(place) == 1
        return text.replace(place, code)

    return change


BACK = {
    "bar_h": "h_bar[t] + carried",
    "delta": "bar_h * (1 - states[t] ** 2)",
    'gradients["W"]': "delta.T @ joined[t]",
    'gradients["b"]': "delta.sum(axis=0)",
    "bar_hx": "delta @ W",
}


def back_through_time(**changed: str) -> Change:
    def change(text: str, seed: int) -> str:
        for name, formula in {**BACK, **changed}.items():
            sign = "+=" if "[" in name else "="
            assert f"{name} {sign} ..." in text
            text = text.replace(f"{name} {sign} ...", f"{name} {sign} {formula}")
        return text

    return change


def reading(
    a: str = "softmax(matvec(memory, now.q))", c: str = "matvec(memory.T, now.a)"
) -> Change:
    return replaced(("now.a = ...", f"now.a = {a}"), ("now.c = ...", f"now.c = {c}"))


RIGHT: dict[str, Change] = {
    "finish-the-cell": the_line,
    "shapes": both(mended, shapes_told),
    "coupled-gates": COUPLED,
    "heat-map": map_read,
    "why-it-forgets": mended_bias,
    "value-used-twice": fork_solved,
    "adjoint-of-o": adjoints("bar_h * tanh(C)", "bar_h * tanh(C) * o * (1 - o)"),
    "wrong-gradient": line_mended,
    "peepholes": PEEPHOLE,
    "gru-from-lstm": gru(GRU),
    "fifty-steps": memory(LSTM, '{"b_f": 5.0, "b_i": -2.0}'),
    "what-is-left": unrolled,
    "convert-weights": from_hint("convert-weights", "    ..."),
    "backward-pass": back_through_time(),
    "attention": reading(),
}


def seeded(wanted: str, of: Callable[[int], Any]) -> int:
    return next(seed for seed in range(100) if of(seed) == wanted)


def open_line(seed: int) -> Any:
    return facts("finish-the-cell", seed)["name"]


def wrong_shapes(**changes: Any) -> Change:
    def change(text: str, seed: int) -> str:
        wanted, count = shapes._measured(shapes._drawn(seed)[1])
        given = {**wanted, **{n: f(wanted[n]) for n, f in changes.items() if n in wanted}}
        text = re.sub(r"(?ms)^shapes = \{.*?^\}", f"shapes = {given!r}", mended(text, seed))
        number = changes["numbers"](count) if "numbers" in changes else count
        return filled(numbers=number)(text, seed)

    return change


def on_map(text: str, seed: int, **units: Any) -> str:
    return filled(**units)(map_read(text, seed), seed)


def unit_of(purpose: str, seed: int = 7) -> int:
    return networks_to_read.reader(seed)[1].index(purpose)


def states(of: Callable[[float, Any, Any], Any]) -> Change:
    """The states of what-is-left, computed in another way."""

    def change(text: str, seed: int) -> str:
        w, xs = over_time._plain(seed)
        h = over_time._unrolled(w, xs)
        given = of(w, xs, np.concatenate([[0.0], h[:-1]]))
        return filled(h=[float(v) for v in given])(text, seed)

    return change


def share(of: Callable[[float, Any], float]) -> Change:
    """What is left, computed in another way from w and the slopes."""

    def change(text: str, seed: int) -> str:
        w, xs = over_time._plain(seed)
        return filled(left=float(of(w, 1 - over_time._unrolled(w, xs) ** 2)))(text, seed)

    return change


CONVERT = """
    for k, gate in enumerate("ifCo"):
        rows = slice(k * hidden, (k + 1) * hidden)
        found[f"W_{gate}"] = np.concatenate([weight_hh[rows], weight_ih[rows]], axis=1)
        found[f"b_{gate}"] = bias_ih[rows] + bias_hh[rows]
"""


def converting(body: str) -> Change:
    if body == "return_nothing":
        return lambda text, seed: text
    return replaced(("    ...\n", f"    {body.strip()}\n"))


ILL = {gate: seeded(gate, networks_to_read.ill_gate) for gate in "fio"}
LINE = {name: seeded(name, open_line) for name in ("C", "h", "f")}
DROPPED = next(s for s in range(100) if gradients_to_find._planted(s)[1].endswith("C) ** 2)"))
