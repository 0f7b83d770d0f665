"""One choice of letter and unit through the whole page, and the states that an address brings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from lesson_pages import about, about_own
from stepper_pages import chromium_here

from lesson.numbers import bars, largest
from lesson.parts.stages import told
from lesson.prose import Texts
from lesson.stages import stages
from lesson.subject import Subject

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with chromium_here() as browser:
        yield browser


def opened(chromium: Any, file: Path, address: str) -> Any:
    tab = chromium.new_page(viewport={"width": 1280, "height": 900}, reduced_motion="reduce")
    tab.goto(file.as_uri() + address)
    tab.evaluate("lesson.ready()")
    return tab


def sentences(tab: Any) -> dict[str, str]:
    found: dict[str, str] = tab.evaluate(
        "Object.fromEntries([...document.querySelectorAll('p.there[data-stage]')]"
        ".map((p) => [`${p.dataset.stage} ${p.dataset.pass}`, p.textContent]))"
    )
    return found


def expected(subject: Subject, k: int) -> dict[str, str]:
    """What Python says of every stage at character k."""
    found, t = {}, Texts("stages")
    for stage in stages(subject.cell):
        for way, (key, facts) in zip(("forward", "backward"), told(subject, stage, k), strict=True):
            text = t.english(key)
            for name, fact in facts.items():
                text = text.replace(f"{{{name}}}", fact)
            found[f"{stage.key} {way}"] = text
    return found


@pytest.mark.parametrize("own", [False, True])
def test_any_unit_is_told_as_python_tells_it(
    own: bool, pages: tuple[Path, Path], chromium: Any
) -> None:
    """Sentences, bars and numbers in the picture, of units and letters that were not followed."""
    subject = about_own() if own else about()
    last = len(subject.line.text) - 1
    tab = opened(chromium, pages[own], f"#steps?unit={(subject.unit + 3) % 12 + 1}&char=5")
    for unit, k in (((subject.unit + 3) % 12, 4), (2, last), (7, 0), (subject.unit, 11)):
        tab.evaluate("(news) => lesson.choice.set(news)", {"unit": unit, "letter": k})
        other = replace(subject, unit=unit)
        assert sentences(tab) == expected(other, k)
        name = stages(subject.cell)[0].names[0]
        values = other.values(name)
        tall = [bar["height"] for bar in bars(values, max(1.0, largest(values)))]
        row = f".strip tr.value[data-name='{name}'] td"
        shown = tab.eval_on_selector_all(
            row, "l => l.map(td => parseFloat(td.style.cssText.slice(4)))"
        )
        assert max(abs(a - b) for a, b in zip(shown, tall, strict=True)) <= 1
        assert f"Unit {unit + 1} of 12," in tab.inner_text("#steps .strip figcaption")
        assert tab.input_value(".heatmap input[type=number]") == str(unit + 1)
    tab.close()


def test_an_address_brings_letter_unit_event_and_cells(
    pages: tuple[Path, Path], chromium: Any
) -> None:
    tab = opened(chromium, pages[0], "#walk?lang=ko&char=9&unit=4&event=21&cells=rnn,clockwork")
    assert tab.evaluate("lesson.choice.get()") == {"letter": 8, "unit": 3}
    assert tab.is_checked("#character-8")
    assert tab.evaluate("document.querySelector('#stepper').stepper.state.index") == 20
    assert "4번" in tab.inner_text("#steps .strip figcaption")
    tab.evaluate("document.querySelector('#stepper .moves .next').click()")
    tab.wait_for_timeout(600)
    assert "event=22" in tab.evaluate("location.hash")
    tab.evaluate("location.hash = 'family'")
    tab.wait_for_selector(".family .line")
    assert "cells=rnn,clockwork" in tab.evaluate("location.hash")
    said = Texts("family").plain("nothing")["ko"]
    assert tab.inner_text(".family .verdict") == said
    assert tab.locator(".family .changed, .family .same, .family .new").count() == 0
    tab.select_option(".family .side:nth-of-type(2) select", "niaf")
    assert tab.locator(".family .line.new, .family .line.same").count() == 0
    tab.select_option(".family .side:nth-of-type(1) select", "odyssey_vanilla")
    assert tab.locator(".family .line.same").count() > 0
    label = tab.inner_text(".family select option[value=niaf] >> nth=0")
    assert label.startswith("niaf: ") and len(label) > 9
    tab.evaluate("location.hash = 'term-forget-gate'")
    tab.wait_for_selector("#term-forget-gate", state="visible")
    tab.fill(".glossary input", "망각")
    assert tab.locator(".glossary tbody tr:visible").count() == 1
    tab.close()


def test_an_appendix_s_part_stands_alone(pages: tuple[Path, Path], chromium: Any) -> None:
    errors: list[str] = []
    tab = chromium.new_page()
    tab.on("pageerror", lambda error: errors.append(str(error)))
    tab.goto(f"{pages[0].as_uri()}#embed=part-family&cells=lstm,gru")
    tab.wait_for_selector(".family .line", state="visible")
    assert tab.input_value(".family select >> nth=1") == "gru"
    assert not tab.locator("h1").is_visible()
    tab.close()
    assert errors == []
