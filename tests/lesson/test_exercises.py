"""Exercises: right answers pass, wrong ones fail and are told why, in turn in each language."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lesson.exercises
from lesson import languages
from lesson.commands import main
from lesson.exercises import (
    Exercise,
    ExerciseError,
    Verdict,
    checked,
    gradients_to_find,
    long_memory,
    networks_to_read,
    over_time,
    shapes,
)
from lesson.exercises.collection import built_in
from lesson.exercises.words import say, table
from lesson.terminal_text import width_of, wrap_paragraphs
from tinygrad_lstm import cells

EVERY = {made.name: made for made in built_in()}
ORDER = list(EVERY)
LANGUAGES = languages.languages()
Change = Callable[[str, int], str]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    return tmp_path


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


# --- the right solution of each ------------------------------------------------------------------
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


@pytest.mark.parametrize("name", ORDER)
def test_the_right_solution_passes(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    verdict = answered(name, RIGHT[name])
    assert verdict.passed, verdict.findings


@pytest.mark.parametrize("name", [n for n in ORDER if n not in ("fifty-steps", "adjoint-of-o")])
def test_the_right_solution_passes_whatever_is_drawn(name: str) -> None:
    for seed in range(6):
        verdict = answered(name, RIGHT[name], seed)
        assert verdict.passed, (seed, verdict.findings)


def test_other_right_ways_pass() -> None:
    ways = [
        ("finish-the-cell", a_line("now.C_tilde * now.i + prev.C * now.f"), LINE["C"]),
        (
            "coupled-gates",
            both(
                COUPLED,
                replaced(
                    (
                        "now.f * prev.C + (1 - now.f) * now.C_tilde",
                        "now.C_tilde + now.f * (prev.C - now.C_tilde)",
                    )
                ),
            ),
            7,
        ),
        ("peepholes", WIDER, 7),
        (
            "gru-from-lstm",
            gru(
                GRU.replace(
                    "(1 - now.z) * prev.h + now.z * now.h_tilde",
                    "prev.h + now.z * (now.h_tilde - prev.h)",
                )
            ),
            7,
        ),
        ("adjoint-of-o", adjoints("tanh(C) * bar_h", "bar_o(bar_h, o, C) * (o - o * o)"), 7),
    ]
    for name, change, seed in ways:
        verdict = answered(name, change, seed)
        assert verdict.passed, (name, verdict.findings)


# --- typical wrong answers -----------------------------------------------------------------------
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

# name, seed, the answer, and the keys of what is said
WRONG: list[tuple[str, int, Change, tuple[str, ...]]] = [
    ("finish-the-cell", 7, lambda t, s: t, ("says.blank",)),
    ("finish-the-cell", LINE["C"], a_line("now.i * prev.C + now.f * now.C_tilde"), ("swapped",)),
    ("finish-the-cell", LINE["C"], a_line("now.f * prev.C + now.C_tilde"), ("not_gated",)),
    ("finish-the-cell", LINE["C"], a_line("prev.C + now.i * now.C_tilde"), ("not_forgotten",)),
    (
        "finish-the-cell",
        LINE["C"],
        a_line("now.f * prev.C - now.i * now.C_tilde"),
        ("says.differs",),
    ),
    ("finish-the-cell", LINE["C"], a_line("matvec(p.W_C, prev.C)"), ("says.refused",)),
    ("finish-the-cell", LINE["h"], a_line("now.o * now.C"), ("not_squashed",)),
    ("finish-the-cell", LINE["h"], a_line("tanh(now.o * now.C)"), ("squashed_late",)),
    ("finish-the-cell", LINE["h"], a_line("tanh(now.C)"), ("not_shown",)),
    ("finish-the-cell", LINE["f"], a_line("tanh(matvec(p.W_f, hx) + p.b_f)"), ("no_gate",)),
    ("finish-the-cell", LINE["f"], a_line("sigmoid(matvec(p.W_f, hx))"), ("no_bias",)),
    ("finish-the-cell", LINE["f"], a_line("matvec(p.W_f, hx) + p.b_f"), ("not_sigmoid",)),
    (
        "finish-the-cell",
        7,
        lambda t, s: "seed = 7\nfrom tinygrad_lstm.cells import lstm\n",
        ("says.elsewhere",),
    ),
    ("finish-the-cell", 7, lambda t, s: "seed = 7\nlstm = 3\n", ("says.not_a_cell",)),
    ("finish-the-cell", 7, lambda t, s: "seed = 7\n", ("says.missing",)),
    ("finish-the-cell", 7, lambda t, s: "x = 7\n", ("says.no_seed",)),
    ("finish-the-cell", 7, lambda t, s: "seed = 7\nx = = 7\n", ("says.fails",)),
    ("finish-the-cell", LINE["f"], a_line("sigmoid(p.W_f * hx + p.b_f)"), ("says.star",)),
    ("finish-the-cell", LINE["f"], a_line("sigmoid(p.W_f @ hx + p.b_i)"), ("other_bias",)),
    ("finish-the-cell", LINE["f"], a_line("sigmoid(p.W_o @ hx + p.b_f)"), ("other_matrix",)),
    ("shapes", 7, shapes_told, ("says.refused",)),
    ("shapes", 7, wrong_shapes(W_f=lambda s: s[::-1]), ("turned", "is_count")),
    ("shapes", 7, wrong_shapes(hx=lambda s: s[1:]), ("axis_lost",)),
    ("shapes", 7, wrong_shapes(b_f=lambda s: s[0]), ("no_tuple",)),
    ("shapes", 7, wrong_shapes(W_f=lambda s: (s[0], s[1] + 1)), ("not_shape", "is_shape")),
    ("shapes", 7, wrong_shapes(numbers=lambda n: n // 4), ("one_gate",)),
    (
        "shapes",
        7,
        wrong_shapes(numbers=lambda n: n - 4 * shapes._drawn(7)[1]["hidden"]),
        ("no_biases",),
    ),
    ("shapes", 7, wrong_shapes(numbers=lambda n: n + 1), ("not_count",)),
    ("shapes", 7, both(wrong_shapes(), replaced(("p.W_o, hx", "p.W_i, hx"))), ("says.differs",)),
    ("shapes", 7, both(mended, shapes_told, lambda t, s: re.sub("'W_f'", "'W'", t)), ("not_all",)),
    ("coupled-gates", 7, lambda t, s: t, ("still_two",)),
    (
        "coupled-gates",
        7,
        replaced(
            ("W_f W_i W_C W_o", "W_i W_C W_o"),
            ("b_f b_i b_C b_o", "b_i b_C b_o"),
            ("    now.f = sigmoid(matvec(p.W_f, hx) + p.b_f)\n", ""),
            ("now.f * prev.C", "(1 - now.i) * prev.C"),
        ),
        ("kept_i",),
    ),
    ("coupled-gates", 7, both(COUPLED, replaced(("(1 - now.f) *", "now.f *"))), ("same_share",)),
    (
        "coupled-gates",
        7,
        both(
            COUPLED, replaced(("now.f * prev.C + (1 - now.f) *", "(1 - now.f) * prev.C + now.f *"))
        ),
        ("other_way",),
    ),
    ("coupled-gates", 7, both(COUPLED, replaced(("(1 - now.f) *", ""))), ("not_gated",)),
    (
        "coupled-gates",
        7,
        both(COUPLED, replaced(("(1 - now.f)", "(2 - now.f)"))),
        ("says.differs",),
    ),
    (
        "coupled-gates",
        7,
        both(COUPLED, replaced(("b_f b_C b_o", "b_f b_C b_o b"))),
        ("says.extra_parameters",),
    ),
    (
        "coupled-gates",
        7,
        both(COUPLED, replaced(("b_f b_C b_o", "b_f b_C"), (" + p.b_o", ""))),
        ("says.lacks_parameters",),
    ),
    (
        "heat-map",
        7,
        lambda t, s: on_map(t, s, between=unit_of("latch")),
        ("not_between", "is_counter", "is_latch", "is_open"),
    ),
    ("heat-map", 7, lambda t, s: on_map(t, s, counter=unit_of("letters")), ("not_counter",)),
    ("heat-map", 7, lambda t, s: on_map(t, s, latch=unit_of("between")), ("not_latch",)),
    ("heat-map", 7, lambda t, s: on_map(t, s, written_at=2), ("not_open", "is_between")),
    ("heat-map", 7, lambda t, s: on_map(t, s, written_at=99), ("no_place",)),
    ("heat-map", 7, lambda t, s: on_map(t, s, written_at=13.9), ("says.not_whole",)),
    ("heat-map", 7, lambda t, s: on_map(t, s, between="two"), ("says.not_a_choice",)),
    ("heat-map", 7, lambda t, s: on_map(t, s, between=4), ("says.not_a_choice",)),
    ("why-it-forgets", ILL["f"], both(mended_bias, filled(gate="i")), ("not_i", "kept", "mended")),
    ("why-it-forgets", ILL["i"], both(mended_bias, filled(gate="o")), ("not_o",)),
    ("why-it-forgets", ILL["o"], both(mended_bias, filled(gate="f")), ("not_f",)),
    (
        "why-it-forgets",
        ILL["f"],
        both(mended_bias, filled(repair={"b_o": 9.0})),
        ("still_ill", "is_f"),
    ),
    ("why-it-forgets", ILL["f"], both(mended_bias, filled(repair={"b_f": 2.0})), ("still_ill",)),
    (
        "why-it-forgets",
        ILL["i"],
        both(mended_bias, filled(repair={"b_i": -1.0})),
        ("still_ill", "is_i"),
    ),
    (
        "why-it-forgets",
        ILL["o"],
        both(mended_bias, filled(repair={"b_o": -3.0})),
        ("still_ill", "is_o"),
    ),
    ("why-it-forgets", ILL["f"], both(mended_bias, filled(kept=0.817574)), ("one_step",)),
    ("why-it-forgets", ILL["f"], both(mended_bias, filled(kept=0.5)), ("not_kept",)),
    ("why-it-forgets", ILL["f"], both(mended_bias, filled(kept="half")), ("says.not_a_number",)),
    ("why-it-forgets", ILL["f"], both(mended_bias, filled(repair={"W_f": 2.0})), ("no_repair",)),
    ("why-it-forgets", ILL["f"], both(mended_bias, filled(repair={"b_f": True})), ("no_repair",)),
    (
        "value-used-twice",
        7,
        both(
            fork_solved,
            lambda t, s: filled(
                bar_b=gradients_to_find._fork(s)[0] * (gradients_to_find._fork(s)[1] + 1)
            )(t, s),
        ),
        ("one_path", "right", "order"),
    ),
    ("value-used-twice", 7, both(fork_solved, filled(bar_a=1000)), ("differs",)),
    ("value-used-twice", 7, both(fork_solved, filled(order=["b", "c", "a"])), ("too_early",)),
    ("value-used-twice", 7, both(fork_solved, filled(order=["c", "a", "b"])), ("too_early",)),
    ("value-used-twice", 7, both(fork_solved, filled(order=["c", "a"])), ("no_order",)),
    (
        "adjoint-of-o",
        7,
        adjoints("bar_h * C", "bar_h * tanh(C)"),
        ("not_squashed", "gate_not_left"),
    ),
    (
        "adjoint-of-o",
        7,
        adjoints("bar_h * o * (1 - tanh(C) ** 2)", "bar_h * o * (1 - o)"),
        ("state_not_output", "only_slope"),
    ),
    (
        "adjoint-of-o",
        7,
        adjoints("tanh(C)", "bar_h * tanh(C) * (1 - o * o)"),
        ("nothing_from_h", "tanh_slope"),
    ),
    (
        "adjoint-of-o",
        7,
        adjoints(
            "bar_h * tanh(C) * o * (1 - o)", "bar_h * tanh(C) * sigmoid(o) * (1 - sigmoid(o))"
        ),
        ("too_far", "sigmoid_twice"),
    ),
    ("adjoint-of-o", 7, adjoints("-bar_h * tanh(C)", "bar_h.sum()"), ("differs", "shape")),
    (
        "adjoint-of-o",
        7,
        adjoints("1.01 * bar_h * tanh(C)", "None"),
        ("differs", "says.not_numbers"),
    ),
    ("adjoint-of-o", 7, adjoints("bar_h * tahn(C)", "1.0"), ("says.fails",)),
    ("adjoint-of-o", 7, lambda t, s: "seed = 7\nbar_o = 2\n", ("says.not_a_function",)),
    ("wrong-gradient", 7, filled(wrong_line="bar_C_tilde"), ("not_there",)),
    ("wrong-gradient", DROPPED, filled(wrong_line="bar_C"), ("found", "still_wrong")),
    (
        "wrong-gradient",
        7,
        both(line_mended, replaced(("i * (1 - i)", "i * (1 - f)"))),
        ("found", "still_wrong"),
    ),
    ("wrong-gradient", 7, filled(wrong_line="bar_x"), ("says.not_a_choice",)),
    ("wrong-gradient", 7, both(line_mended, filled(wrong_line="bar_f")), ("mended_other",)),
    (
        "wrong-gradient",
        7,
        both(line_mended, lambda t, s: re.sub(r"(?m)^    bar_f = .*$", "    bar_f = None", t)),
        ("says.fails",),
    ),
    (
        "wrong-gradient",
        7,
        both(line_mended, replaced(('        "delta_f": delta_f,', '        "delta_f": None,'))),
        ("found", "says.not_numbers"),
    ),
    (
        "wrong-gradient",
        7,
        both(line_mended, replaced(('        "bar_C": bar_C,\n', ""))),
        ("names",),
    ),
    ("peepholes", 7, lambda t, s: t, ("blind", "o_blind")),
    (
        "peepholes",
        7,
        both(PEEPHOLE, replaced(("p.v_o * now.C", "p.v_o * prev.C"))),
        ("o_sees_old",),
    ),
    (
        "peepholes",
        7,
        both(PEEPHOLE, replaced(("p.W_C, hx) +", "p.W_C, hx) + p.v_f * prev.C +"))),
        ("candidate_sees",),
    ),
    ("peepholes", 7, both(PEEPHOLE, replaced(("now.f = sigmoid(", "now.f = ("))), ("no_sigmoid",)),
    (
        "peepholes",
        7,
        both(PEEPHOLE, replaced(("now.i = sigmoid(", "now.i = tanh("))),
        ("no_sigmoid",),
    ),
    (
        "peepholes",
        7,
        both(PEEPHOLE, replaced(("p.v_i * prev.C + p.b_i)", "p.b_i) * prev.C + 0 * p.v_i"))),
        ("no_sigmoid",),
    ),
    (
        "peepholes",
        7,
        both(PEEPHOLE, replaced(("p.v_o * now.C", "p.v_o * (now.C + prev.C)"))),
        ("o_sees_both",),
    ),
    (
        "peepholes",
        7,
        both(PEEPHOLE, replaced(("tanh(matvec(p.W_C, hx) + p.b_C)", "tanh(p.b_C)"))),
        ("candidate_blind",),
    ),
    (
        "peepholes",
        7,
        both(PEEPHOLE, replaced(("now.C_tilde = tanh(", "now.C_tilde = sigmoid("))),
        ("candidate_changed",),
    ),
    (
        "peepholes",
        7,
        both(PEEPHOLE, replaced(("now.o * tanh(now.C)", "now.o * now.C"))),
        ("all_see", "rest_changed"),
    ),
    (
        "peepholes",
        7,
        both(PEEPHOLE, replaced(("matvec(p.W_f, hx) + ", ""), ("matvec(p.W_o, hx) + ", ""))),
        ("lost_x", "lost_h"),
    ),
    ("peepholes", 7, both(PEEPHOLE, replaced(("now.i = ", "i = "), ("now.i *", "i *"))), ("lost",)),
    ("peepholes", 7, both(PEEPHOLE, replaced(("h C", "h C o"))), ("states",)),
    ("gru-from-lstm", 7, lambda t, s: t, ("two_states",)),
    (
        "gru-from-lstm",
        7,
        gru(GRU.replace("(1 - now.z) * prev.h + now.z *", "now.z * prev.h + (1 - now.z) *")),
        ("z_turned",),
    ),
    ("gru-from-lstm", 7, gru(GRU.replace("now.r * prev.h", "prev.h")), ("no_reset",)),
    (
        "gru-from-lstm",
        7,
        gru(
            GRU.replace(
                "tanh(matvec(p.W_h, concat(now.r * prev.h, x)))",
                "tanh(now.r * matvec(p.W_h[:, :prev.h.shape[-1]], prev.h) + "
                "matvec(p.W_h[:, prev.h.shape[-1]:], x))",
            )
        ),
        ("reset_late",),
    ),
    (
        "gru-from-lstm",
        7,
        gru(
            GRU.replace(
                "tanh(matvec(p.W_h, concat(now.r * prev.h, x)))",
                "tanh(now.r * matvec(p.W_h[:, :prev.h.shape[-1]], prev.h) + "
                "matvec(p.W_h[:, prev.h.shape[-1]:], x))",
            ).replace("(1 - now.z) * prev.h + now.z *", "now.z * prev.h + (1 - now.z) *")
        ),
        ("z_turned_reset_late",),
    ),
    ("gru-from-lstm", 7, gru(GRU.replace("tanh", "sigmoid")), ("says.differs",)),
    (
        "gru-from-lstm",
        7,
        gru(
            GRU.replace("concat(prev.h, x)", "concat(x, prev.h)").replace(
                "concat(now.r * prev.h, x)", "concat(x, now.r * prev.h)"
            )
        ),
        ("hx_turned",),
    ),
    ("gru-from-lstm", 7, gru(GRU, '{"W_z W_r W_h": "hidden, hidden + features"}'), ("says.sizes",)),
    (
        "gru-from-lstm",
        7,
        gru(GRU, '{"W_z W_r": "hidden, hidden + inputs", "W_h": "hidden, hidden"}'),
        ("says.refused",),
    ),
    (
        "gru-from-lstm",
        7,
        gru(GRU, '{"W_z W_r W_h W_x": "hidden, hidden + inputs"}'),
        ("says.extra_parameters",),
    ),
    (
        "gru-from-lstm",
        7,
        gru("now.h = tanh(matvec(p.W_h, prev.h))", '{"W_h": "hidden, hidden"}'),
        ("says.lacks_parameters",),
    ),
    ("fifty-steps", 7, memory(LSTM, "{}"), ("forgets", "vanishes")),
    (
        "fifty-steps",
        7,
        memory(
            '@cell(state="h", parameters={"W": "hidden, inputs"})\n'
            "def memory(now, prev, x, p):\n    now.h = prev.h + matvec(p.W, x)\n",
            "{}",
        ),
        ("forgets", "arrives"),
    ),
    (
        "fifty-steps",
        7,
        memory(
            '@cell(state="h", parameters={"W": "hidden, inputs"})\n'
            "def memory(now, prev, x, p):\n    now.h = 1e9 * prev.h ** 2 + matvec(p.W, x)\n",
            "{}",
        ),
        ("diverged",),
    ),
    ("fifty-steps", 7, memory(LSTM, "3"), ("no_fills",)),
    ("fifty-steps", 7, memory(LSTM, '{"b_f": "big"}'), ("bad_fill",)),
    ("fifty-steps", 7, memory(LSTM, '{"b_f": float("nan")}'), ("bad_fill",)),
    ("fifty-steps", 7, memory(LSTM, '{"b_x": 3.0}'), ("says.refused",)),
    (
        "fifty-steps",
        7,
        memory(
            '@cell(state="h", sequences={"m": "hidden"})\n'
            "def memory(now, prev, x, p, m):\n    now.h = m * prev.h\n",
            "{}",
        ),
        ("further",),
    ),
    ("what-is-left", 7, both(unrolled, filled(h=[1.0, 2.0])), ("no_list",)),
    (
        "what-is-left",
        7,
        both(unrolled, filled(left=0.5, steps=3)),
        ("unrolled", "not_left", "not_steps"),
    ),
    (
        "what-is-left",
        7,
        both(unrolled, states(lambda w, x, h: np.tanh(x))),
        ("no_state", "left", "steps"),
    ),
    ("what-is-left", 7, both(unrolled, states(lambda w, x, h: w * h + x)), ("no_tanh",)),
    ("what-is-left", 7, both(unrolled, states(lambda w, x, h: 0.123 + 0 * x)), ("not_unrolled",)),
    ("what-is-left", 7, both(unrolled, share(lambda w, s: w * w)), ("left_no_slope",)),
    ("what-is-left", 7, both(unrolled, share(lambda w, s: s[1] * s[2])), ("left_no_weight",)),
    ("what-is-left", 7, both(unrolled, share(lambda w, s: w * w * s[0] * s[1])), ("left_early",)),
    (
        "what-is-left",
        7,
        both(unrolled, share(lambda w, s: w**3 * s[0] * s[1] * s[2])),
        ("left_three",),
    ),
    ("what-is-left", 7, both(unrolled, share(lambda w, s: w * s[2])), ("left_one",)),
    (
        "what-is-left",
        7,
        both(
            unrolled, lambda t, s: filled(steps=over_time._steps(over_time._plain(s)[0]) - 1)(t, s)
        ),
        ("steps_near",),
    ),
    ("convert-weights", 7, converting("return_nothing"), ("says.blank",)),
    ("convert-weights", 7, converting("found['W_f'] = 1"), ("names",)),
    ("convert-weights", 7, converting(CONVERT.replace("ifCo", "fiCo")), ("own_order",)),
    ("convert-weights", 7, converting(CONVERT.replace("ifCo", "iofC")), ("other_order",)),
    ("convert-weights", 7, converting(CONVERT.replace("ifCo", "oCfi")), ("differs",)),
    ("convert-weights", 7, converting(CONVERT.replace(" + bias_hh[rows]", "")), ("one_bias",)),
    (
        "convert-weights",
        7,
        converting(
            CONVERT.replace("weight_hh[rows], weight_ih[rows]", "weight_ih[rows], weight_hh[rows]")
        ),
        ("h_last",),
    ),
    ("convert-weights", 7, converting(CONVERT.replace("axis=1)", "axis=1).T")), ("turned",)),
    ("convert-weights", 7, converting(CONVERT.replace("[weight_hh[rows], ", "[")), ("shape",)),
    (
        "convert-weights",
        7,
        converting(CONVERT.replace("bias_ih[rows] + bias_hh[rows]", "None")),
        ("says.not_numbers",),
    ),
    ("backward-pass", 7, lambda t, s: t, ("says.blank",)),
    ("attention", 7, reading(a="matvec(memory, now.q)"), ("no_softmax",)),
    ("attention", 7, both(reading(a="softmax(0 * matvec(memory, now.q))")), ("even",)),
    (
        "attention",
        7,
        both(
            reading(a="sigmoid(matvec(memory, now.q))"),
            replaced(("matvec, softmax", "matvec, sigmoid, softmax")),
        ),
        ("gates",),
    ),
    ("attention", 7, reading(c="matvec(memory, now.a)"), ("says.refused",)),
    (
        "attention",
        7,
        both(
            reading(a="softmax(now.q)", c="now.a"),
            replaced(('    constants={"memory": "places, width"},', ""), ("p, memory)", "p)")),
        ),
        ("no_memory",),
    ),
]


@pytest.mark.sample(3)
@pytest.mark.parametrize(
    ("name", "seed", "change", "keys", "language"),
    [(*wrong, LANGUAGES[k % 3]) for k, wrong in enumerate(WRONG)],
    ids=[f"{name}-{keys[0]}-{k}" for k, (name, _, _, keys) in enumerate(WRONG)],
)
def test_wrong_answers_are_explained(
    name: str,
    seed: int,
    change: Change,
    keys: tuple[str, ...],
    language: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(long_memory, "STEPS", 25)
    monkeypatch.setattr(long_memory, "STARTS", 1)
    verdict = answered(name, change, seed, language)
    assert not verdict.passed
    for key in keys:
        where = table("says") if key.startswith("says.") else table(name, "says")
        template = where[key.removeprefix("says.")][language]
        assert told(verdict, template), (key, verdict.findings)


def test_every_explanation_is_given_somewhere() -> None:
    """No text stands in the files that no answer brings out."""
    said = {(n, k) for n, _, _, keys in WRONG for k in keys if not k.startswith("says.")}
    right = {
        ("adjoint-of-o", "agrees"),
        ("wrong-gradient", "repaired"),
        ("peepholes", "rest_same"),
        ("fifty-steps", "remembers"),
        ("fifty-steps", "by_hand"),
        ("convert-weights", "same"),
        ("backward-pass", "agrees"),
    }
    every = {(name, key) for name in ORDER for key in table(name, "says")}
    assert every - said - right == set()


def test_a_plain_network_does_not_learn_to_remember(monkeypatch: pytest.MonkeyPatch) -> None:
    """An LSTM with a forget bias needs less than half of the steps that are given."""
    monkeypatch.setattr(long_memory, "STARTS", 1)
    plain = answered("fifty-steps", lambda text, seed: text)
    says = table("fifty-steps", "says")
    assert all(told(plain, says[key]["en"]) for key in ("forgets", "vanishes"))
    share = re.search(r"right in (\d+)%", plain.findings[0].text)
    assert share and int(share[1]) < 65
    trained = long_memory.train(cells.lstm, {"b_f": 5.0, "b_i": -2.0}, seed=7)
    assert trained.steps <= long_memory.STEPS // 2 and trained.share > 0.95


def test_the_best_of_several_starts_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    shares = iter([0.5, 0.97, 0.99])
    monkeypatch.setattr(
        long_memory,
        "train",
        lambda cell, fills, seed, progress: long_memory.TrainedMemory(seed, next(shares), []),
    )
    best = long_memory.best(cells.lstm, {}, 40)
    assert (best.steps, best.share) == (41, 0.97)


@pytest.mark.parametrize("fault", gradients_to_find._PLANTED)
def test_a_planted_fault_is_measured(fault: tuple[str, str]) -> None:
    """Every line of the listing is right by the complex step, and each planted one is wrong."""
    v = gradients_to_find._numbers(3)
    measured = gradients_to_find.measured_backward(v)
    for planted in (None, fault):
        values: dict[str, Any] = {**v, "np": np}
        lines = dict(gradients_to_find.BACKWARD)
        if planted:
            lines[planted[0]] = planted[1]
        source = "".join(f"{name} = {rule}\n" for name, rule in lines.items())
        exec(source, values)  # the project's own listing
        wrong = [n for n in lines if not np.allclose(values[n], measured[n], rtol=1e-9)]
        assert wrong[:1] == ([planted[0]] if planted else [])


# --- texts ---------------------------------------------------------------------------------------
def test_there_are_ten_exercises_and_more_in_three_languages() -> None:
    assert len(EVERY) >= 10
    for made in EVERY.values():
        assert made.languages == set(LANGUAGES)
        for text in (made.title, made.task, *made.hints):
            assert not isinstance(text, str) and set(text) == set(LANGUAGES)
            assert all(text.values())


def test_an_exercise_is_found_by_its_existence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "more.py").write_text(
        "from lesson.exercises import Exercise\n"
        "mine = Exercise('mine', 'Mine', 'Do.', ['So.'], 'x = ...', print, place=4)\n",
        encoding="utf-8",
    )
    monkeypatch.setattr(lesson.exercises, "__path__", [*lesson.exercises.__path__, str(tmp_path)])
    names = [made.name for made in built_in()]
    assert sorted(names) == sorted([*ORDER, "mine"]) and names.index("mine") in (3, 4)
    assert [made.place for made in EVERY.values()] == list(range(1, len(ORDER) + 1))


@pytest.mark.sample(3)
@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", ORDER)
def test_tasks_and_files_fit_a_terminal_and_are_python(
    name: str, language: str, capsys: pytest.CaptureFixture[str]
) -> None:
    number = ORDER.index(name) + 1
    for seed in range(3):
        assert main(["exercise", str(number), "--language", language, "--seed", str(seed)]) == 0
        for _ in EVERY[name].hints:
            assert main(["exercise", name, "--hint", "--language", language]) == 0
        out = capsys.readouterr().out
        assert "{{" not in out and max(map(width_of, out.splitlines())) <= 80
        path = Path(f"exercise-{number}-{name}.py")
        text = path.read_text(encoding="utf-8")
        compile(text, path, "exec")
        assert "{{" not in text and max(map(width_of, text.splitlines())) <= 100
        path.unlink()


def test_lines_break_as_the_language_does() -> None:
    chinese = "门在零（关）与一（开）之间，所以它决定保留多少。"
    for width in range(8, 40):
        lines = wrap_paragraphs(chinese, width).split("\n")
        assert "".join(lines) == chinese
        assert all(width_of(line) <= width + 2 for line in lines)
        assert not any(line[0] in "，。）" or line[-1] == "（" for line in lines)
    korean = "게이트는 하나의 층입니다. 편향을 더합니다."
    assert wrap_paragraphs(korean, 16) == "게이트는 하나의\n층입니다. 편향을\n더합니다."
    assert wrap_paragraphs("one two\nthree\n\n    code  stays\n- a b c d", 9) == (
        "one two\nthree\n\n    code \n      stays\n- a b c d".replace("code \n", "code\n")
    )


# --- the command ---------------------------------------------------------------------------------
def test_the_way_through_an_exercise(capsys: pytest.CaptureFixture[str]) -> None:
    def said(*words: str, code: int = 0) -> str:
        assert main(["exercise", *words]) == code
        return capsys.readouterr().out

    first = said()
    assert re.search(r"  3   Couple two gates +easy +10 min +1\n", first)
    begun = said("3", "--seed", "5")
    path = Path("exercise-3-coupled-gates.py")
    assert begun.startswith("3. Couple two gates\n\nIn an LSTM two gates decide")
    assert "    tinygrad-lstm exercise 3 --check\n" in begun
    assert "\nseed = 5  # " in path.read_text(encoding="utf-8")
    assert re.search(r"  3 … Couple two gates .* begun\n", said())

    path.write_text(path.read_text(encoding="utf-8") + "# mine\n", encoding="utf-8")
    again = said("3")
    assert "It is there already: exercise-3-coupled-gates.py" in again
    assert path.read_text(encoding="utf-8").endswith("# mine\n")

    wrong = said("3", "--check", code=1)
    assert wrong.startswith("✗ The cell still declares W_i, b_i: ")
    assert wrong.endswith("Not yet. The next hint:\n\n    tinygrad-lstm exercise 3 --hint\n")
    assert said("3", "--hint").startswith("Hint 1 of 3\n\nIf a share f of the old state is kept")
    assert said("3", "--hint").startswith("Hint 2 of 3\n")
    last = said("3", "--hint")
    assert last.startswith("Hint 3 of 3\n") and "    now.C = now.f * prev.C + (1 - now.f)" in last
    assert last.endswith("\nThat was the last hint.\n") and last == said("3", "--hint")

    path.rename("old.py")
    said("3", "--seed", "5")
    assert said("3", "--hint").startswith("Hint 1 of 3\n")  # a new file, from the first hint
    Path("old.py").replace(path)

    path.write_text(COUPLED(path.read_text(encoding="utf-8"), 5), encoding="utf-8")
    right = said("3", "--check")
    assert right.startswith("✓ The states are right: ")
    assert right.endswith("\nSolved: tries 1, hints 1.\n")
    assert "the complex step" in right
    assert re.search(r"  3 ✓ Couple two gates .* done\n", said())
    assert sorted(p.name for p in Path().iterdir()) == [".tinygrad-lstm-exercises.json", path.name]


def test_an_answer_in_another_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["exercise", "coupled-gates", "--seed", "5"]) == 0
    Path("sent").mkdir()
    begun = Path("exercise-3-coupled-gates.py")
    Path("sent/ada.py").write_text(COUPLED(begun.read_text(encoding="utf-8"), 5), encoding="utf-8")
    assert main(["exercise", "3", "--check", "--answer", "sent/ada.py"]) == 0
    assert main(["exercise", "3", "--check"]) == 1
    kept = Path("sent/.tinygrad-lstm-exercises.json").read_text(encoding="utf-8")
    assert json.loads(kept)["passed"]


@pytest.mark.parametrize(
    ("locale", "title"),
    [
        ("ko_KR.UTF-8", "두 게이트 결합하기"),
        ("zh_CN.UTF-8", "把两个门耦合起来"),
        ("fr_FR.UTF-8", "Couple two gates"),
        ("C", "Couple two gates"),
        ("", "Couple two gates"),
    ],
)
def test_the_language_is_the_locales(
    locale: str, title: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LANG", locale)
    assert main(["exercise"]) == 0
    assert title in capsys.readouterr().out
    assert main(["exercise", "--language", "zh"]) == 0
    assert "把两个门耦合起来" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["3", "--language", "fr"],
            "there is no language 'fr'; there are en, ko, zh.\n  Write --language en.",
        ),
        (["99"], f"there is no exercise '99'; there are 1 to 15: {', '.join(ORDER)}."),
        (
            ["3", "--check"],
            "exercise-3-coupled-gates.py does not exist; begin with\n  tinygrad-lstm exercise 3",
        ),
        (
            ["3", "--hint"],
            "exercise-3-coupled-gates.py does not exist; begin with\n  tinygrad-lstm exercise 3",
        ),
        (["--check"], "name an exercise, as in: tinygrad-lstm exercise 3 --check"),
        (
            ["3", "--answer", "x.py"],
            "--answer names the file that --check is to read: add --check.",
        ),
        (["3", "--seed", "-1"], "--seed is a whole number from 0, for beginning an exercise."),
        (
            ["3", "--check", "--seed", "1"],
            "--seed is a whole number from 0, for beginning an exercise.",
        ),
        (["--file", "none.py"], "exercise file none.py does not exist."),
    ],
)
def test_bad_use(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["exercise", *words]) == 2
    captured = capsys.readouterr()
    assert captured.err == f"tinygrad-lstm exercise: {message}\n" and captured.out == ""
    assert list(Path().iterdir()) == []


def test_files_in_the_way(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["exercise", "3", "--seed", "5"]) == 0
    assert main(["exercise", "3", "--seed", "6"]) == 2
    assert "is there, with seed 5, and is not written over" in capsys.readouterr().err
    Path(".tinygrad-lstm-exercises.json").write_text("[]", encoding="utf-8")
    assert main(["exercise"]) == 2
    assert "delete it to begin counting anew" in capsys.readouterr().err
    Path("exercise-3-coupled-gates.py").write_text("seed = x\n", encoding="utf-8")
    Path(".tinygrad-lstm-exercises.json").unlink()
    assert main(["exercise", "3", "--hint"]) == 2
    assert "has no line `seed = NUMBER`" in capsys.readouterr().err


def test_a_file_that_is_no_text(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["exercise", "3", "--seed", "5"]) == 0
    path = Path("exercise-3-coupled-gates.py")
    text = path.read_bytes()
    path.write_bytes(b"\xef\xbb\xbf" + COUPLED(text.decode(), 5).encode())  # as some editors do
    assert main(["exercise", "3", "--check"]) == 0
    path.write_bytes(text + b"\0")
    assert main(["exercise", "3", "--check"]) == 1
    assert "✗ It does not run: " in capsys.readouterr().out


# --- a teacher's exercises -----------------------------------------------------------------------
def teachers_example() -> str:
    """The example of docs/exercises.md, as it stands there."""
    text = (Path(__file__).parents[2] / "docs" / "exercises.md").read_text(encoding="utf-8")
    found = re.search(r"```python\n(# teacher\.py.*?)```", text, re.DOTALL)
    assert found
    return found[1]


def test_the_example_of_the_documentation(capsys: pytest.CaptureFixture[str]) -> None:
    Path("teacher.py").write_text(teachers_example(), encoding="utf-8")
    more = ["--file", "teacher.py"]
    assert main(["exercise", *more]) == 0
    assert " 16   A leaky unit\n" in capsys.readouterr().out
    assert main(["exercise", "16", *more, "--seed", "4"]) == 0
    assert "    tinygrad-lstm exercise 16 --file teacher.py --check\n" in capsys.readouterr().out
    path = Path("exercise-16-leaky-unit.py")
    begun = path.read_text(encoding="utf-8")
    assert main(["exercise", "16", *more, "--check"]) == 1
    answers = {
        "0.9 * prev.h + 0.1 * tanh(matvec(p.W, x))": (0, "✓ The states are right"),
        "0.1 * prev.h + 0.9 * tanh(matvec(p.W, x))": (1, "✗ 0.9 is the share that is kept"),
        "prev.h + 0.1 * tanh(matvec(p.W, x))": (1, "✗ Your equation h = "),
        "0.9 * prev.h": (1, "✗ Your equation h = "),
    }
    for line, (code, first) in answers.items():
        path.write_text(begun.replace("now.h = ...", f"now.h = {line}"), encoding="utf-8")
        capsys.readouterr()
        assert main(["exercise", "16", *more, "--check"]) == code
        assert capsys.readouterr().out.startswith(first)
    assert main(["exercise", "leaky-unit", *more, "--hint", "--language", "ko"]) == 0
    assert "힌트 1/2" in capsys.readouterr().out
    assert main(["exercise", "16", *more, "--language", "zh"]) == 2
    assert "there is no language 'zh'; there are en, ko." in capsys.readouterr().err


HEAD = "from lesson.exercises import Exercise\n"
PLAIN = "one = Exercise('one', 'One', 'Do it.', ['So.'], 'answer = ...\\n', lambda a: {check})\n"


def test_a_folder_of_exercises(capsys: pytest.CaptureFixture[str]) -> None:
    Path("more").mkdir()
    text = HEAD + PLAIN.format(check="a.right('good') if a.number('answer') == 2 else None")
    Path("more/b.py").write_text(text, encoding="utf-8")
    Path("more/a.py").write_text(text.replace("'one'", "'two'"), encoding="utf-8")
    Path("more/_helpers.py").write_text("raise RuntimeError", encoding="utf-8")
    assert main(["exercise", "--file", "more"]) == 0
    assert " 17   One" in capsys.readouterr().out
    assert main(["exercise", "one", "--file", "more", "--seed", "1"]) == 0
    path = Path("exercise-17-one.py")
    begun = path.read_text(encoding="utf-8")
    for answer, code in (("2", 0), ("3", 1)):  # 3: the check finds nothing right
        path.write_text(begun.replace("...", answer), encoding="utf-8")
        assert main(["exercise", "17", "--file", "more", "--check"]) == code


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "x = 1\n",
            "teacher.py has no exercises.\n  Write NAME = Exercise(…), with "
            "`from lesson.exercises import Exercise`.",
        ),
        (
            HEAD + PLAIN.format(check="1").replace("'one', 'One'", "'shapes', 'One'"),
            "teacher.py: there is an exercise 'shapes' already.\n  Give it another name.",
        ),
        (
            HEAD + PLAIN.format(check="1").replace("'one', 'One'", "'My One', 'One'"),
            "exercise file teacher.py, line 2 does not run:\n  ExerciseError: an exercise's name "
            "is lower-case letters, digits and hyphens, got 'My One'.",
        ),
        (
            HEAD + PLAIN.format(check="1").replace("['So.']", "[]"),
            "exercise file teacher.py, line 2 does not run:\n  ExerciseError: exercise 'one': "
            "hints is a list of texts, the last one the solution, got [].",
        ),
        (
            HEAD + PLAIN.format(check="1").replace("['So.']", "[{'ko': '이렇게'}]"),
            "exercise file teacher.py, line 2 does not run:\n  ExerciseError: exercise 'one': "
            "title and hint 1 are not in the same languages (en, ko).",
        ),
        (
            HEAD + PLAIN.format(check="1").replace("'Do it.'", "3"),
            "exercise file teacher.py, line 2 does not run:\n  ExerciseError: exercise 'one': task "
            "is a string, or a mapping of languages to strings, got 3.",
        ),
    ],
)
def test_files_of_exercises_that_are_not_right(
    text: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("teacher.py").write_text(text, encoding="utf-8")
    assert main(["exercise", "--file", "teacher.py"]) == 2
    assert capsys.readouterr().err == f"tinygrad-lstm exercise: {message}\n"


def test_a_check_that_fails_is_the_teachers(capsys: pytest.CaptureFixture[str]) -> None:
    Path("teacher.py").write_text(HEAD + PLAIN.format(check="1 / 0"), encoding="utf-8")
    assert main(["exercise", "16", "--file", "teacher.py", "--seed", "1"]) == 0
    path = Path("exercise-16-one.py")
    path.write_text(path.read_text(encoding="utf-8").replace("...", "2"), encoding="utf-8")
    assert main(["exercise", "16", "--file", "teacher.py", "--check"]) == 2
    assert capsys.readouterr().err == (
        "tinygrad-lstm exercise: the check of exercise 'one' fails in teacher.py, line 2:\n"
        "  ZeroDivisionError: division by zero\n"
    )


def test_plain_words_need_no_languages() -> None:
    made = Exercise(
        "one",
        "One",
        "Do {{it}}.",
        ["So."],
        "x = {{it}}\n",
        lambda a: None,
        lambda seed: {"it": str(seed)},
    )
    assert made.languages == {"en"}
    assert made.fill(made.task, 3, "ko") == "Do 3." and made.begin(4, "en") == "x = 4\n"
    assert say({"ko": "하나"}, "en") == "하나"
    with pytest.raises(ExerciseError, match="check is a function"):
        Exercise("one", "One", "Do.", ["So."], "", 3)  # type: ignore[arg-type]


@pytest.mark.parametrize("gate", "fio")
def test_what_is_read_from_the_printed_table_is_right(gate: str) -> None:
    seed = ILL[gate]
    assert main(["exercise", "why-it-forgets", "--seed", str(seed)]) == 0
    path = Path("exercise-5-why-it-forgets.py")
    run = subprocess.run([sys.executable, path], capture_output=True, encoding="utf-8", check=True)
    f = [float(line.split()[2]) for line in run.stdout.splitlines()[1:]]

    def answer(text: str, seed: int) -> str:
        return filled(kept=float(np.prod(f[1:])))(mended_bias(text, seed), seed)

    path.unlink()
    verdict = answered("why-it-forgets", answer, seed)
    assert verdict.passed, verdict.findings
    example = both(mended_bias, filled(repair={"b_f": 0.0}))  # what the file shows repairs nothing
    assert not answered("why-it-forgets", example, seed).passed


@pytest.mark.parametrize(
    ("wrong", "kind"),
    [
        ({"bar_h": "h_bar[t]"}, "넘어가지 않습니다"),
        ({"bar_h": "carried"}, ""),
        ({"delta": "bar_h"}, "tanh의 미분이 빠졌습니다"),
        ({"delta": "bar_h * states[t] * (1 - states[t])"}, "sigmoid의 것이지만"),
        ({'gradients["W"]': "delta.T @ joined[t] / batch"}, ""),
        ({'gradients["b"]': "delta.mean(axis=0)"}, "평균했습니다"),
        ({"delta": "bar_h * (1 - states[max(t - 1, 0)] ** 2)"}, ""),
    ],
)
def test_a_wrong_backward_pass_is_told_its_mistake(wrong: dict[str, str], kind: str) -> None:
    verdict = answered("backward-pass", back_through_time(**wrong), 7, "ko")
    assert not verdict.passed and kind in verdict.findings[0].text
    assert "맞는 식:" not in "".join(f.text for f in verdict.findings)  # that is for the hints


def test_mistakes_in_adjoints_that_no_exercise_foresaw_are_named_by_rule() -> None:
    change = adjoints("-bar_h * tanh(C)", "bar_h * tanh(C) * o * o * (1 - o) * (1 - o)")
    texts = [f.text for f in answered("adjoint-of-o", change, 7, "zh").findings]
    assert any("ō_t 中" in text or "你的 ō_t" in text for text in texts)
    assert any("乘了两次" in text for text in texts)
    seed = next(s for s in range(100) if gradients_to_find._planted(s)[0] == "delta_i")
    half = both(
        line_mended,
        lambda t, s: re.sub(r"(?m)^    delta_i = .*$", "    delta_i = bar_i * (1 - i)", t),
    )
    said = [f.text for f in answered("wrong-gradient", half, seed).findings]
    assert any("one minus the value of sigmoid stands where its slope belongs" in t for t in said)


def test_multiplying_by_hand_is_right_and_said() -> None:
    own = memory(
        '@cell(state="h", parameters={"w": "hidden"})\n'
        "def memory(now, prev, x, p):\n    now.h = prev.h + p.w * x[0:1] * x[1:2]\n",
        "{}",
    )
    verdict = answered("fifty-steps", own)
    assert verdict.passed
    assert told(verdict, table("fifty-steps", "says")["by_hand"]["en"])


def test_the_engine_speaks_the_students_language() -> None:
    line = a_line("sigmoid(matvec(p.W_f, x) + p.b_f)")
    texts = [answered("finish-the-cell", line, LINE["f"], x).findings[0].text for x in LANGUAGES]
    assert "W_f (3, 7), x (4,)" in texts[0] and "got shapes" in texts[0]
    assert all("W_f (3, 7), x (4,)" in x and "got" not in x for x in texts[1:])


def test_the_file_of_the_forgetful_network_runs_by_itself() -> None:
    assert main(["exercise", "why-it-forgets", "--seed", "5"]) == 0
    path = Path("exercise-5-why-it-forgets.py")
    run = subprocess.run([sys.executable, path], capture_output=True, encoding="utf-8", check=True)
    lines = run.stdout.splitlines()
    assert len(lines) == 31 and lines[0].split() == ["t", "bit", "f", "i", "o", "C", "h"]


def test_every_exercise_says_how_hard_it_is_and_what_comes_before_it() -> None:
    every = {exercise.name: exercise for exercise in built_in()}
    done: set[str] = set()
    for _ in every:  # whatever comes before something can itself be begun
        done |= {n for n, e in every.items() if e.grade and set(e.grade.after) <= done}
    assert done == set(every)
    assert {e.grade.level for e in every.values() if e.grade} == {"easy", "medium", "hard"}
    assert all(e.grade and 5 <= e.grade.minutes <= 60 for e in every.values())
