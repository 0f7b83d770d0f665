"""Formulas of adjoints: right ones pass in every spelling, wrong ones are told what is wrong."""

from __future__ import annotations

import re
import time
import tomllib
import unicodedata
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from sampling import WHOLE

import equations
from tinygrad_lstm import cell, cells, concat, diagnosis, matvec, sigmoid, tanh
from tinygrad_lstm.diagnosis.derivations import Derivations
from tinygrad_lstm.diagnosis.formula import FormulaError, Reference, read
from tinygrad_lstm.diagnosis.formula_words import marked
from tinygrad_lstm.diagnosis.repairs import written
from tinygrad_lstm.errors import DataError, UnknownNameError
from tinygrad_lstm.step import Cell

BUILT_IN = cells.all()


@cache
def sheet(name: str) -> Derivations:
    return Derivations(BUILT_IN[name])


@cache
def lines(name: str) -> dict[str, str]:
    """SymPy's right-hand sides, which know nothing of the engine."""
    found = {e.name: e.unicode().partition(" = ")[2] for e in equations.backward(BUILT_IN[name])}
    return {label: text for label, text in found.items() if not text.startswith("none")}


# --- right ones ----------------------------------------------------------------------------------
@pytest.mark.parametrize("name", BUILT_IN)
def test_what_sympy_derives_is_right_as_unicode_and_as_latex(name: str) -> None:
    for line in equations.backward(BUILT_IN[name]):
        if line.name in lines(name):
            for text in (line.unicode(), line.latex(), f"$${line.latex()}$$"):
                assert sheet(name).grade(line.name, text).right, (line.name, text)


def respelled(own: Derivations, text: str, rng: np.random.Generator) -> str:
    """The same formula with other words and signs, drawn at random."""
    words: dict[Reference, list[str]] = {}
    for word, reference in own.point.words.items():
        words.setdefault(reference, []).append(word)

    def pick(reference: Reference) -> str:
        several = words[reference]
        return several[rng.integers(len(several))]

    made = written(read(text, own.point)[1], pick)
    for sign, others in {"⊙": ["*", "∘", "×", "⊙"], "·": ["@", "⋅", "·"], "-": ["−", "-"]}.items():
        made = made.replace(f" {sign} ", f" {others[rng.integers(len(others))]} ")
    if rng.integers(2):
        made = "".join(chr(ord(c) + 0xFEE0) if c in "()+,*" else c for c in made)  # an IME's
    return unicodedata.normalize("NFC" if rng.integers(2) else "NFD", made)


@pytest.mark.parametrize("name", BUILT_IN)
def test_a_right_formula_is_right_in_other_words_and_signs(name: str) -> None:
    rng = np.random.default_rng(len(name))
    for label, text in lines(name).items():
        for _ in range(3):
            other = respelled(sheet(name), text, rng)
            assert sheet(name).grade(label, other).right, (label, other)


C = "h̄_t ⊙ o_t ⊙ (1 - tanh²(C_t)) + C̄_{t+1} ⊙ f_{t+1}"


@pytest.mark.parametrize(
    ("label", "text"),
    [
        ("bar.C", C),
        ("bar.C", f"C̄_t = {C}"),
        ("bar.C", f"bar_C = {C}"),
        ("bar.C", "bar_h*o*(1-np.tanh(C)**2) + bar_C_next*f_next"),
        ("bar.C", "bar_C_{t+1} f_{t+1} + o bar_h tanh'(C)"),
        ("bar.C", "bar(h)*o*sech²(C) + bar.C[t+1]*f[t+1]"),
        ("bar.C", "h_bar*o*sech(C)^2 - (-C_bar_next)*f_next"),
        ("bar.C", "bar_h o (1 - tanh(C)) (1 + tanh(C)) + f_next bar_C_next"),
        ("bar.C", "bar_h ⊙ o ⊙ 4/(exp(C)+exp(-C))² + bar_C_next ⊙ f_next"),
        ("bar.C", "bar_o*o*(1 - tanh(C)^2)/tanh(C) + bar_C_next*f_next"),
        ("delta.o", "bar_o σ'(a_o)"),
        ("delta.o", "bar_h tanh(C) (o - o²)"),
        ("delta.o", "bar_o * sigmoid(W_o@[h_before, x] + b_o) * (1 - o)"),
        ("bar.x", "[W_f^T·δ_f + W_i^T·δ_i + W_C^T·δ_C_tilde + W_o^T·δ_o]_x"),
        ("bar.x", "(W_f.T@δ_f + W_i.T@δ_i + W_C.T@δ_C_tilde + W_o.T@δ_o)[hidden:hidden+inputs]"),
        ("bar.W_f", "sum_t outer(delta_f, concat(h_before, x))"),
        ("bar.W_f", "sum_t ([h_{t-1}, x_t] ⊗ δ^f_t)^T"),
        ("bar.b_f", "Σ_t bar_C C_before f (1 - f)"),
    ],
)
def test_equivalent_forms_are_right(label: str, text: str) -> None:
    assert sheet("lstm").grade(label, text).right


def test_functions_of_numpy_are_graded_too() -> None:
    own = sheet("lstm")

    def bar_C(bar_h, o, C, bar_C_next, f_next):  # type: ignore[no-untyped-def]
        return bar_h * o * (1 - np.tanh(C) ** 2) + bar_C_next * f_next

    assert own.grade_function("bar.C", bar_C).right
    assert own.grade_function(
        "bar.W_f", lambda delta_f, h_before, x: delta_f.T @ np.concatenate([h_before, x], 1)
    ).right
    late = own.grade_function("bar.C", lambda bar_h, o, C: bar_h * o * (1 - np.tanh(C) ** 2))
    assert late.kind == "carried"
    apart = own.grade_function(
        "bar.W_f", lambda delta_f, h_before, x: np.einsum("ti,tj->tij", delta_f, np.c_[h_before, x])
    )
    assert apart.kind == "sum"
    single = own.grade_function("bar.o", lambda bar_h, C: np.float32(bar_h * C))
    assert (single.kind, single.right) == ("value", False) or single.kind == "slope"
    with pytest.raises(DataError, match="takes 'q', which is no value; there are f, "):
        own.grade_function("bar.C", lambda q: q)
    with pytest.raises(DataError, match="returns None; numbers are asked for"):
        own.grade_function("bar.C", lambda f: None)
    with pytest.raises(UnknownNameError, match=r"no adjoint 'bar.q'; it has bar\.f, "):
        own.grade("bar.q", "f")


# --- wrong ones, by rule -------------------------------------------------------------------------
def terms_of(text: str) -> list[str]:
    """The terms of a sum, which stand beside no bracket."""
    depth, parts, start = 0, [], 0
    for k, sign in enumerate(text):
        depth += (sign in "([{") - (sign in ")]}")
        if depth == 0 and text[k : k + 3] == " + ":
            parts.append(text[start:k])
            start = k + 3
    return [*parts, text[start:]]


def mistakes(text: str) -> Iterator[tuple[set[str], str]]:
    """Wrong forms of a formula, each with what the mistake may be called; by rules on its text."""
    front = "Σ_t " if text.startswith("Σ_t ") else ""
    terms = terms_of(text.removeprefix("Σ_t "))
    for k, term in enumerate(terms):
        rest = [*terms[:k], *terms[k + 1 :]]
        if rest and not front:
            yield {"missing term", "carried"}, " + ".join(rest)
            yield {"double term"}, " + ".join([*terms, term])
            yield {"sign"}, " + ".join(rest) + f" - {term}"
        if found := re.search(r" ⊙ \(1 - (\S+_\S+)\)$", term):
            others = [*rest, term[: found.start()]]
            yield {"slope", "factor"}, front + " + ".join(others)
        if found := re.search(r" ⊙ \(1 - (\S+?)²\)$", term):
            others = [*rest, f"{term[: found.start()]} ⊙ (1 - {found[1]})"]
            yield {"slope"}, front + " + ".join(others)
        if not front and not re.search(r"t[+-]1|∂", term) and "_t" in term:
            others = [*rest, term.replace("_t", "_{t+1}")]
            yield {"step"}, " + ".join(others)
        if "{t-1}" in term and "," not in term:
            yield {"step", "exchange"}, front + " + ".join([*rest, term.replace("_{t-1}", "_t")])
        if "ᵀ·" in term and not front and "[" not in term:
            yield {"transpose", "cannot be"}, " + ".join([*rest, term.replace("ᵀ·", "·")])
    if not front:
        yield {"sign"}, f"-({text})"
        yield {"factor", "double term"}, f"2 ({text})"


def test_mistakes_are_named_in_the_formulas_of_many_cells() -> None:
    rng = np.random.default_rng(3)
    named, tried, wrongly = 0, 0, []
    pool = [(n, label) for n in BUILT_IN for label in lines(n) if len(lines(n)[label]) < 150]
    for k in rng.permutation(len(pool))[: 400 if WHOLE else 60]:
        name, label = pool[k]
        every = list(mistakes(lines(name)[label]))
        if not every:
            continue
        kinds, text = every[rng.integers(len(every))]
        try:
            verdict = sheet(name).grade(label, text)
        except FormulaError as error:
            assert "cannot be" in kinds and error.key == "product", (name, label, text)
            continue
        assert not verdict.right, (name, label, text)
        tried += 1
        named += verdict.kind in kinds
        if verdict.kind not in kinds:
            wrongly.append((name, label, text, verdict.kind))
        assert len({verdict.text(tag) for tag in ("en", "ko", "zh")}) == 3
    assert tried > 30
    assert named >= 0.95 * tried, wrongly


@pytest.mark.parametrize(
    ("label", "text", "kind", "said"),
    [
        ("bar.C", "bar_h*o*(1-tanh(C)**2)", "carried", "lacks what comes back from the next step"),
        ("bar.C", "bar_C_next*f_next", "missing term", "but not h̄_t ⊙ o_t ⊙ (1 - tanh²(C_t))"),
        ("bar.C", C.replace("tanh²(C_t)", "C_t²"), "slope", "slope of tanh is taken of its input"),
        ("bar.C", C.replace("f_{t+1}", "f_t"), "step", "there is f_t where f_{t+1} belongs"),
        ("bar.C", C.replace("+ C̄", "- C̄"), "sign", "C̄_{t+1} ⊙ f_{t+1} has the wrong sign"),
        ("bar.C", C.replace("_{t+1}", "_t"), "step", "where C̄_{t+1} ⊙ f_{t+1} belongs"),
        ("bar.C", C.replace("o_t", "i_t"), "exchange", "there is i_t where o_t belongs"),
        ("bar.C", C.replace("tanh", "σ"), "slope", ""),
        ("bar.C", "bar_C", "value", "goes round in a circle: C̄_t"),
        ("bar.C", "bar_f / C_before", "value", "goes round in a circle: f̄_t"),
        ("delta.o", "bar_o*(1 - o²)", "slope", "the slope is that of tanh"),
        ("delta.o", "bar_o*σ(o)*(1-σ(o))", "slope", "the function is applied once more"),
        ("bar.W_f", "δ^f_t ⊗ [h_{t-1}, x_t]", "sum", "Put Σ_t in front"),
        ("bar.W_f", "Σ_t [h_{t-1}, x_t] ⊗ δ^f_t", "transpose", "gradient of W_f is transposed"),
        ("bar.W_f", "Σ_t δ^f_t ⊗ [x_t, h_{t-1}]", "order", "another order: [h_{t-1}, x_t]"),
        ("bar.W_f", "Σ_t f̄_t ⊗ [h_{t-1}, x_t]", "slope", "slope of sigmoid is left out"),
        ("bar.o", "Σ_t h̄_t ⊙ tanh(C_t)", "sum", "no sum over the steps"),
        ("bar.x", "W_f^T * δ_f", "value", "A matrix times a vector is written ·"),
        ("bar.h", "∂L/∂h_t", "carried", "lacks what comes back"),
        ("bar.C", "bar_h / 0", "value", "not a number everywhere"),
        ("bar.C", "9**9**9**9 * bar_h", "value", "not a number everywhere"),
        ("bar.C", "h̄_t ⊙ x_t[0] ⊙ σ(o_t)", "unexplained", "no rule says why"),
    ],
)
def test_what_is_said_of_a_wrong_formula(label: str, text: str, kind: str, said: str) -> None:
    verdict = sheet("lstm").grade(label, text)
    assert not verdict.right
    assert kind in verdict.kinds and said in verdict.text()


def test_two_mistakes_are_both_named() -> None:
    verdict = sheet("lstm").grade("bar.C", C.replace("tanh²", "tanh").replace("f_{t+1}", "f_t"))
    assert set(verdict.kinds) == {"slope", "step"} and "And: " in verdict.text()


# --- what cannot be read -------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("text", "key", "place"),
    [
        ("", "empty", ""),
        ("bar_h * (o", "open", "("),
        ("bar_h * o)", "rest", ")"),
        ("bar_h * ", "end", "*"),
        ("bar_hh * o", "near", "bar_hh"),
        ("quark * o", "unknown", "quark"),
        ("bar_h * #", "sign", "#"),
        ("tanh * o", "no argument", "tanh"),
        ("max(o)", "arguments", "max(o)"),
        ("max'(o, f)", "no slope", "max'(o, f)"),
        ("bar_h ⊙ W_f", "shapes", "bar_h ⊙ W_f"),
        ("bar_h · o + f · W_f · o", "product", "f · W_f · o"),
        ("W_f · bar_h", "product", "W_f · bar_h"),
        ("[W_f^T · δ_f]_q", "block", "[W_f^T · δ_f]_q"),
        ("[W_f^T · δ_f][__import__:]", "block", "[W_f^T · δ_f][__import__:]"),
        ("2 + 3 = bar_h", "left", "2 + 3"),
        ("bar_o = bar_h", "other side", "bar_o"),
        ("o ⊙ b̄_f", "whole", "b̄_f"),
        ("o\n* ; import os", "sign", ";"),
        ("__import__('os').system('touch broken')", "unknown", "__import__"),
        ("().__class__.__bases__", "sign", ")"),
        ("lambda: 1", "unknown", "lambda"),
        ("o if f else i", "unknown", "if"),
        ("f.__class__", "rest", ".__class__"),
        ("exec(o)", "unknown", "exec"),
        ("open('/etc/passwd')", "unknown", "open"),
        ("'a' * 10", "sign", "'"),
        ("(" * 5000, "long", "("),
        ("(" * 900 + "o" + ")" * 900, "deep", "("),
        ("-" * 1999 + "o", None, ""),
        ("o" + "^o" * 900, None, ""),
        ("[" * 300, "deep", "["),
        ("|" * 300, "deep", "|"),
        ("tanh(" * 300, "deep", ""),
        ("√" * 1500 + "o", "deep", ""),
        ("o[" * 500, "open", "["),
        ("{" * 500, "deep", "{"),
        ("\\frac{" * 300, "deep", ""),
        ("Σ_t " * 480 + "o", "deep", ""),
        ("1" * 1999, None, ""),
        ("\x00", "sign", "\x00"),
    ],
)
def test_what_cannot_be_read_is_one_error_with_its_place(
    text: str, key: str | None, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    began = time.process_time()
    if key is None:  # read, and wrong
        try:
            assert not sheet("lstm").grade("bar.C", text).right
        except FormulaError as error:
            assert error.key in ("deep", "shapes", "long")
    else:
        with pytest.raises(FormulaError) as caught:
            sheet("lstm").grade("bar.C", text)
        error = caught.value
        assert error.key == key
        shown = unicodedata.normalize("NFD", place)
        assert error.source[error.start : error.end].startswith(shown[:1])
        if key not in ("open", "rest", "end", "empty", "sign", "deep", "long"):
            assert error.source[error.start : error.end].strip() == shown
        assert len({error.text(tag) for tag in ("en", "ko", "zh")}) == 3
        assert all(len(line) < 400 for line in error.text().splitlines())
    assert time.process_time() - began < 5
    assert list(tmp_path.iterdir()) == []


def test_the_mark_stands_below_the_place() -> None:
    shown = marked("h̄_t ⊙ quark", 7, 12).splitlines()
    assert shown[0].index("q") - 1 == shown[1].index("^")  # the bar takes no column
    assert shown[1].count("^") == 5
    long = marked("a + " * 100 + "quark", 400, 405).splitlines()
    assert len(long[0]) < 90 and long[0][long[1].index("^") :].startswith("quark")


def test_every_sentence_is_in_three_languages() -> None:
    words = Path(diagnosis.__file__).with_name("formula.toml").read_text(encoding="utf-8")
    for key, texts in tomllib.loads(words).items():
        assert list(texts) == ["en", "ko", "zh"], key
        fields = [sorted(re.findall(r"\{(\w+)\}", text)) for text in texts.values()]
        assert sorted(set(fields[0])) == sorted(set(fields[1])) == sorted(set(fields[2])), key


# --- cells with odd names ------------------------------------------------------------------------
def odd(names: tuple[str, str, str]) -> Cell:
    """A small gated cell whose equations are called anything."""
    gate, candidate, state = names

    def step(now, prev, x, p):  # type: ignore[no-untyped-def]
        hx = concat(getattr(prev, state), x)
        setattr(now, gate, sigmoid(matvec(p.W_a, hx)))
        setattr(now, candidate, tanh(matvec(p.W_b, hx)))
        old, new = getattr(now, gate), getattr(now, candidate)
        setattr(now, state, old * getattr(prev, state) + (1 - old) * new)

    step.__name__ = "odd"
    parameters = {"W_a W_b": "hidden, hidden + inputs"}
    return cell(state=state, parameters=parameters)(step)


@pytest.mark.parametrize(
    "names",
    [
        ("given", "n", "h"), ("f", "h_bar", "h"), ("bar_h", "h_bar", "h"), ("t", "T", "h"),
        ("tanh", "sigma", "h"), ("α", "β_tilde", "γ"), ("x1", "x2", "x_"), ("L", "delta", "C"),
        ("given", "where", "h"), ("hidden", "inputs", "h"), ("sum", "e", "i"), ("Σ", "d", "dL"),
        ("h_next", "h_before", "h"), ("σ", "a_h", "h"),
    ],
)  # fmt: skip
def test_cells_with_odd_names_have_formulas(names: tuple[str, str, str]) -> None:
    gate, candidate, state = names
    own = Derivations(odd(names))
    words: Callable[[str], str] = lambda label: next(  # noqa: E731
        w for w, r in sorted(own.point.words.items()) if r == Reference(label)
    )
    g, c, s = words(gate), words(candidate), words(f"bar.{state}")
    assert own.grade(f"bar.{candidate}", f"{s} * (1 - {g})").right
    assert own.grade(f"delta.{candidate}", f"{words(f'bar.{candidate}')} (1 - {c}**2)").right
    wrong = own.grade(f"bar.{candidate}", f"{s} * {g}")
    assert not wrong.right and wrong.kind != "unexplained"
    kept = own.point.words
    assert kept[gate] == Reference(gate) and kept[candidate] == Reference(candidate)
