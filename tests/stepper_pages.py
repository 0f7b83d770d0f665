"""A page with a stepper in it, and small runs to step through."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import playwright.sync_api as playwright
import pytest
from problems import further, sizes_of

from lesson import languages
from lesson.parts import scripts, stepper, style
from tinygrad_lstm import (
    Tensor,
    cell,
    cells,
    concat,
    exp,
    matvec,
    sigmoid,
    step_through,
    tanh,
    unroll,
)
from tinygrad_lstm.stepper.trace import Trace

LANGUAGES = languages.languages()


@cell(state="a b_low c", parameters={"W_γ": "hidden, 2 * hidden + inputs", "v": "hidden"})
def braid(now, prev, x, p):
    """Three states that pass each other on, with a Greek name and an underscore."""
    pre = matvec(p.W_γ, concat(prev.a, prev.b_low, x))
    now.γ = sigmoid(pre)
    now.c = now.γ * prev.b_low + (1 - now.γ) * tanh(pre * p.v)
    now.a = prev.c - now.c * now.c
    now.b_low = prev.a / (2 + now.γ)


@cell(state={"s": "inputs"})
def forgetful(now, prev, x, p):
    """No parameters at all."""
    now.s = 0.5 * prev.s + tanh(x)


@cell(state="h", parameters={"W": "hidden, hidden + inputs"})
def bursting(now, prev, x, p):
    """A cell whose values soon leave the finite numbers."""
    now.h = exp(exp(exp(2 + matvec(p.W, concat(prev.h, x)))))


@cell(state="a b c d", parameters={"W": "hidden, hidden + inputs"})
def crowded(now, prev, x, p):
    """Twelve equations and four states."""
    now.e_1 = tanh(matvec(p.W, concat(prev.a, x)))
    now.e_2 = now.e_1 * prev.b
    now.e_3 = now.e_2 + prev.c
    now.e_4 = sigmoid(now.e_3)
    now.e_5 = now.e_4 * prev.d
    now.e_6 = now.e_5 - now.e_1
    now.e_7 = tanh(now.e_6)
    now.e_8 = now.e_7 * now.e_4
    now.a = now.e_8 + now.e_2
    now.b = now.e_7 * prev.a
    now.c = sigmoid(now.e_6)
    now.d = now.e_3 * now.c


CELLS = {**cells.all(), "braid": braid, "crowded": crowded, "bursting": bursting}


@lru_cache
def tiny() -> stepper.TinyRun:
    """The run of the page, from a shorter training."""
    return stepper.tiny_run(cells.lstm, training=20)


@lru_cache
@np.errstate(all="ignore")
def trace_of(name: str, steps: int = 3) -> Trace:
    """Any cell on random numbers, from random states."""
    chosen, random = CELLS[name], np.random.default_rng(1)
    sizes = sizes_of(chosen)
    p = chosen.init(**sizes, seed=2)
    initial = {s: Tensor(random.normal(size=2), f"prev.{s}") for s in chosen.state}
    xs = Tensor(random.normal(size=(steps, sizes[chosen.x])), "x")
    given = {n: Tensor(v, n) for n, v in further(chosen, sizes, steps).items()}
    run = unroll(chosen, p, xs, initial, **given)
    return step_through(sum((run[s] * run[s]).sum() for s in chosen.state))


class Tab:
    """A page with a stepper in it, which must neither complain nor ask for anything."""

    def __init__(self, browser: Any, html: str, path: Path, **options: Any) -> None:
        path.write_text(html, encoding="utf-8")
        self.said: list[str] = []
        self.asked: list[str] = []
        self.page = browser.new_page(**options)
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(path.as_uri())

    def __call__(self, script: str) -> Any:
        """The value of a script in which s is the stepper."""
        return self.page.evaluate(
            f"() => {{ const s = document.querySelector('.stepper').stepper; {script} }}"
        )

    def index(self) -> int:
        return int(self("return s.state.index"))

    def text(self, selector: str) -> str:
        return str(self.page.inner_text(selector))

    def unfold_debugger(self) -> None:
        """Opens the scrubber, the tools and what is known by now, which the page folds."""
        self.page.click(".debugger > summary")

    def key(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def close(self) -> None:
        self.page.close()
        assert self.said == []
        assert [a for a in self.asked if not a.startswith("file:")] == []


def three_languages(part: str) -> str:
    """The part as it stands in the lesson: with a language switch."""
    radios = "".join(
        f'<input type="radio" name="language" id="language-{x}" value="{x}" aria-label="{x}">'
        for x in LANGUAGES
    )
    hidden = "".join(
        f'html:not([data-language="{x}"]) .say[lang="{x}"]{{display:none}}' for x in LANGUAGES
    )
    title = "".join(f'<span lang="{x}">T</span>' for x in LANGUAGES)
    script, css = "\n".join(scripts("stepper")), style("stepper") + hidden
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>T</title><style>{css}</style>'
        f'{radios.replace(">", " checked>", 1)}<p id="announcement" aria-live="polite"></p>'
        f"<h1>{title}</h1><main><section>{part}</section></main><script>{script}</script></html>"
    )


@contextmanager
def chromium_here() -> Iterator[Any]:
    """A browser; the test is skipped where there is none."""
    found = shutil.which("chromium") or shutil.which("google-chrome")
    if not found:
        pytest.skip("no Chromium on this machine")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=found, args=["--no-sandbox", "--disable-background-networking"]
        )
        yield browser
        browser.close()


@contextmanager
def opened(browser: Any, html: str, path: Path, **options: Any) -> Iterator[Tab]:
    """A page, and at the end a look at what it said."""
    tab = Tab(browser, html, path, **options)
    yield tab
    tab.close()
