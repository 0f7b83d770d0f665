"""Predictions: wrong rules that are wrong, questions with one right answer, answers explained."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stepper_pages import LANGUAGES, Tab, chromium_here, opened, three_languages, tiny, trace_of

from lesson import languages
from lesson.parts import stepper
from lesson.parts.stepper import adjoints, predictions
from lesson.parts.stepper.trace_data import compact
from tinygrad_lstm import cells, matvec
from tinygrad_lstm.diagnosis.derivations import Derivations
from tinygrad_lstm.notation import name_unicode
from tinygrad_lstm.stepper.written import leaf, write_rule

CHECKED = ["lstm", "gru", "lstm_peephole", "mut1", "clockwork", "depth_gated", "braid"]


# --- wrong rules ----------------------------------------------------------------------------------
def test_gate_derivatives_come_with_the_mistakes_people_make() -> None:
    g, f, other = (leaf(np.full(3, v), n) for v, n in ((0.3, "{0}"), (0.7, "{1}"), (0.2, "{2}")))
    found = dict(predictions.wrong_rules(g * f * (1 - f)))
    assert found["{0} ⊙ (1 - {1})"] == "factor"  # 1 - f for f(1 - f)
    assert found["{0} ⊙ {1} ⊙ (1 + {1})"] == "sign"
    assert dict(predictions.wrong_rules(-(g * other)))["{0} ⊙ {2}"] == "sign"
    W = leaf(np.ones((3, 2)), "{2}")
    back = matvec(np.swapaxes(W, -1, -2), g)
    assert dict(predictions.wrong_rules(back))["{2}·{0}"] == "transpose"
    assert dict(predictions.wrong_rules(g * f + g * other))["{0} ⊙ {1}"] == "term"


def test_a_right_form_is_never_called_wrong() -> None:
    g, f = leaf(np.full(3, 0.3), "{0}"), leaf(np.full(3, 0.7), "{1}")
    assert "{0}" not in dict(predictions.wrong_rules(g * leaf(1.0, None)))
    found = dict(predictions.wrong_rules(f + f))
    assert "{1} ⊙ {1}" in found
    for name in CHECKED:
        for pattern in compact(trace_of(name))["patterns"]:
            for text, kind in pattern.get("w", []):
                assert text != pattern["r"]
                assert kind in predictions.KINDS
    assert write_rule(f + f) not in found


def test_every_kind_of_mistake_is_explained() -> None:
    for language in LANGUAGES:
        assert set(predictions.KINDS) <= set(languages.texts(language, "stepper")["why"])


@pytest.mark.parametrize("name", ["gru", "lstm_peephole", "clockwork"])
def test_formulas_to_choose_from_are_wrong_in_ways_that_have_a_name(name: str) -> None:
    cell = cells.all()[name]
    found, sheet = adjoints.choices(cell, LANGUAGES), Derivations(cell, seed=11)
    assert set(found) == {name_unicode(n, None) for n in cell.program().equations}
    labels = {name_unicode(n, None): f"bar.{n}" for n in cell.program().equations}
    for value, forms in found.items():
        assert sheet.grade(labels[value], forms["right"]).right
        assert forms["wrong"]
        for text, why in forms["wrong"]:
            verdict = sheet.grade(labels[value], text)
            assert not verdict.right and verdict.kind != "unexplained"
            assert {tag: verdict.text(tag).splitlines()[0] for tag in LANGUAGES} == why
            assert len(set(why.values())) == len(LANGUAGES)


# --- in a browser ---------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with chromium_here() as browser:
        yield browser


@pytest.fixture
def tab(chromium: Any, tmp_path: Path) -> Iterator[Tab]:
    html = three_languages(stepper.part(cells.lstm, tiny()))
    size = {"width": 1200, "height": 900}
    with opened(chromium, html, tmp_path / "page.html", viewport=size) as found:
        yield found


def ask_for(tab: Tab, kind: str) -> None:
    for _ in range(8):
        tab.page.click(".now")
        if tab.page.locator(f".question form[data-kind={kind}]").count():
            return
    raise AssertionError(f"never asked for a {kind}")


def choose(tab: Tab, text: str) -> None:
    labels = tab.page.locator(".answers label")
    at = [t.strip() for t in labels.all_inner_texts()].index(text)
    labels.nth(at).click()
    tab.page.click(".question button[type=submit]")


@pytest.mark.browser
def test_prediction_right_and_wrong(tab: Tab) -> None:
    gate = next(
        e
        for e in tiny().trace
        if e.direction == "backward" and e.equation == "f_8" and e.operation == "sigmoid"
    )
    tab(f"s.go({gate.index})")
    options: list[str] = []
    while not any(o.endswith("= f̄8 ⊙ (1 - f8)") for o in options):
        ask_for(tab, "formula")
        options = tab.page.locator(".answers label").all_inner_texts()
    assert "hidden until you have answered" in tab.text(".card")
    right = next(o for o in options if re.search(r"⊙ f8 ⊙ \(1 - f8\)", o))
    choose(tab, next(o for o in options if "⊙ (1 - f8)" in o and o != right))
    assert "✗" in tab.text(".verdict")
    assert "leaves a factor out" in tab.text(".verdict")
    assert right in tab.text(".verdict")
    ask_for(tab, "formula")
    choose(tab, right)
    assert "✓ Right." in tab.text(".verdict")
    assert "hidden" not in tab.text(".card")

    ask_for(tab, "shape")
    choose(tab, "4")
    assert "✓" in tab.text(".verdict")
    ask_for(tab, "sign")
    line = re.search(r"\[(\d)\]", tab.text(".question legend"))
    assert line
    value = np.ravel(gate.value)[int(line[1])]
    choose(tab, "positive" if value < 0 else "negative")
    assert "✗" in tab.text(".verdict")
    assert gate.numbers[int(line[1])].partition(" = ")[2] in tab.text(".verdict")


def plain(text: str) -> str:
    """A formula as a browser gives it as text: subscripts are letters like any other."""
    return re.sub(r"[_^](?:\{([^}]*)\}|((?:[^\W_ᵀ²]|[\u0300-\u036f])+))", r"\1\2", text)


@pytest.mark.browser
@pytest.mark.parametrize("language", LANGUAGES)
def test_a_wrong_adjoint_is_explained_by_the_rules_of_diagnose(tab: Tab, language: str) -> None:
    trace = tiny().trace
    at = next(e for e in trace if e.direction == "backward" and trace.labels[e.subject] == "C_5")
    if language != "en":
        tab.page.evaluate(
            "(tag) => document.querySelector(`input[name=language][value=${tag}]`).click()",
            language,
        )
    tab(f"s.go({at.index})")
    forms = adjoints.choices(cells.lstm, LANGUAGES)["C"]
    met = set[str]()
    for _ in range(40):
        ask_for(tab, "adjoint")
        options = tab.page.locator(".answers label").all_inner_texts()
        right = plain(f"{forms['bar']} = {forms['right']}")
        assert options.count(right) == 1 and len(set(options)) == len(options) > 2
        picked = next((o for o in options if o != right and o not in met), None)
        if picked is None:
            break
        met.add(picked)
        choose(tab, picked)
        why = {plain(text): said for text, said in forms["wrong"]}[picked.partition(" = ")[2]]
        assert "✗" in tab.text(".verdict") and plain(why[language]) in tab.text(".verdict")
    assert len(met) >= 3
    ask_for(tab, "adjoint")
    choose(tab, right)
    assert "✓" in tab.text(".verdict")


@pytest.mark.browser
def test_a_value_counts_within_the_tolerance_told(tab: Tab) -> None:
    gate = next(e for e in tiny().trace if e.name == "o_3" and e.direction == "forward")
    tab(f"s.go({gate.index})")
    for beyond, mark in ((0.9, "✓"), (1.5, "✗")):
        ask_for(tab, "value")
        asked = tab.text(".question legend")
        entry = re.search(r"\[(\d)\].*±([\d.e−]+) of", asked)
        assert entry
        right, tolerance = gate.value[int(entry[1])], float(entry[2].replace("−", "-"))
        tab.page.fill(".answers input", "much")
        tab.page.click(".question button[type=submit]")
        assert "Please write a number" in tab.text(".verdict")
        tab.page.fill(".answers input", f"{right + beyond * tolerance:.6f}".replace("-", "−"))
        tab.key("Enter")
        assert mark in tab.text(".verdict")
        assert f"{right:.4g}" in tab.text(".verdict")


@pytest.mark.browser
def test_asked_at_every_step_by_keyboard_alone(tab: Tab) -> None:
    tab.page.focus(".questions input[type=checkbox]")
    tab.key("Space")
    assert tab.page.locator(".question form").count() == 1
    for _ in range(12):
        tab.page.focus(".moves .next")
        tab.key("n")
        assert tab.page.locator(".question form").count() == 1
        assert "hidden until you have answered" in tab.text(".card")
    tab.page.focus(".question button[type=submit]")
    tab.key("Tab", "Enter")  # show me
    assert tab.page.locator(".question form").count() == 0
    assert "hidden" not in tab.text(".card")
    tab.page.focus(".questions input[type=checkbox]")
    tab.key("Space", "n")
    assert tab.page.locator(".question form").count() == 0


@pytest.mark.browser
def test_no_question_offers_one_answer_twice(tab: Tab) -> None:
    asked = tab("""
      const found = [];
      for (let k = 0; k <= s.trace.last; k += 3) {
        s.go(k);
        for (let j = 0; j < 4; j++) {
          document.querySelector(".now").click();
          const labels = [...document.querySelectorAll(".answers label")];
          const kind = document.querySelector(".question form").dataset.kind;
          found.push([k, kind, labels.map((label) => label.textContent)]);
        }
      }
      return found;
    """)
    assert {kind for _, kind, _ in asked} == {"formula", "adjoint", "shape", "sign", "value"}
    for index, kind, options in asked:
        assert len(set(options)) == len(options), (index, kind, options)
        assert len(options) == 1 if kind == "value" else 2 <= len(options) <= 4
        event = tiny().trace[index]
        if kind == "formula" and event.time is not None:
            right = event.rule.replace("_", "").replace("Ctilde", "C̃").replace("C̄tilde", "C̃̄")
            assert [o.replace(" ", "") for o in options].count(right.replace(" ", "")) == 1
