"""The script of a cell in a page whose content policy allows no code made of text."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from compiling import NO_WASM
from stepper_pages import chromium_here

from tinygrad_lstm import cells, compiled, unroll
from tinygrad_lstm.kernels import wasm_code
from tinygrad_lstm.kernels.loop import lower

pytestmark = pytest.mark.browser
POLICY = "default-src 'none'; script-src 'unsafe-inline'"


def opened(tmp_path: Path, scripts: list[str], policy: str, body: str) -> tuple[Any, list[str]]:
    """What a body returns in a page with some scripts, and what the page said beside."""
    page = tmp_path / "page.html"
    elements = "".join(f"<script>{script}</script>\n" for script in scripts)
    head = f'<meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="{policy}">'
    page.write_text(f"<!doctype html>{head}<title>a cell</title>\n{elements}", encoding="utf-8")
    said: list[str] = []
    with chromium_here() as chromium:
        tab = chromium.new_page()
        tab.on("console", lambda message: said.append(message.text))
        tab.on("pageerror", lambda error: said.append(str(error)))
        tab.goto(page.as_uri())
        try:
            return tab.evaluate(body), said
        finally:
            tab.close()


def wasm(own: Any, sizes: dict[str, int]) -> str:
    if NO_WASM:
        pytest.skip(NO_WASM)
    return wasm_code.script(lower(compiled(own).plan(**sizes)), np.float32)


def javascript(own: Any, sizes: dict[str, int]) -> str:
    return compiled(own).source("js", **sizes)  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("make", "policy"), [(javascript, POLICY), (wasm, f"{POLICY} 'wasm-unsafe-eval'")]
)
def test_two_cells_in_one_page(make: Any, policy: str, tmp_path: Path) -> None:
    sizes, scripts, given = {"inputs": 3, "hidden": 4}, list[str](), dict[str, Any]()
    xs = np.random.default_rng(1).normal(size=(5, 3))
    expected = {}
    for own in (cells.lstm, cells.gru):
        p = own.init(seed=1, **sizes)
        scripts.append(make(own, sizes))
        given[own.name] = {n: t.numpy().tolist() for n, t in p.items()}
        expected[own.name] = unroll(own, p, xs)["h"].numpy()
    body = f"""() => {{
      const found = {{}}, given = {json.dumps(given)}, xs = {xs.tolist()};
      for (const [name, p] of Object.entries(given)) {{
        const cell = tinygrad_lstm[name], stream = cell.stream(cell.pack(p));
        found[name] = xs.map((x) => {{
          stream.inputs.x.set(x);
          stream.step();
          return [...stream.values.h];
        }});
      }}
      return found;
    }}"""
    found, said = opened(tmp_path, scripts, policy, body)
    assert said == []
    for name, value in expected.items():
        assert np.allclose(found[name], value, atol=1e-5)
