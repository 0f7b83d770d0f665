"""Exercises: typical wrong answers fail and are told why, in turn in each language."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from exercise_answers import (
    COUPLED,
    DROPPED,
    ILL,
    LANGUAGES,
    LINE,
    ORDER,
    Change,
    a_line,
    adjoints,
    answered,
    both,
    filled,
    fork_solved,
    line_mended,
    mended,
    mended_bias,
    on_map,
    replaced,
    shapes_told,
    told,
    unit_of,
    wrong_shapes,
)
from wrong_answers import FURTHER

from lesson.exercises import gradients_to_find, long_memory, shapes
from lesson.exercises.words import table


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    return tmp_path


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
    *FURTHER,
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
