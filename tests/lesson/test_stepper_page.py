"""The stepper of the page: the terminal's trace, in a browser, by mouse and by keyboard alone."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stepper_pages import CELLS, Tab, chromium_here, opened, three_languages, tiny, trace_of

from lesson.parts import stepper
from tinygrad_lstm import Tensor, cells, step_through

CHECKED = ["lstm", "gru", "lstm_peephole", "mut1", "clockwork", "depth_gated", "braid"]


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


DUMP = """
const flat = (pieces) => pieces.map((p) => p.node ? (p.bar ? "bar " : "") + p.node.l : p).join("");
return s.trace.events.map((e) => ({
  rule: flat(s.trace.pieces(e, e.pattern.r)), sign: s.trace.sign(e), subject: e.subject.l,
  equation: e.equation.l, time: e.time, forward: e.forward,
  numbers: s.trace.arithmetic(e), sums: s.trace.sums(e), result: s.trace.result(e),
  next: ["operation", "equation", "time", "pass"].map((by) => s.trace.next(e.index, by)),
  back: ["operation", "equation", "time", "pass"].map((by) => s.trace.back(e.index, by)),
  across: s.trace.across(e.index),
}));
"""


@pytest.mark.sample(3)
@pytest.mark.browser
@pytest.mark.parametrize("name", CHECKED)
def test_every_event_says_what_the_trace_says(name: str, chromium: Any, tmp_path: Path) -> None:
    trace = trace_of(name)
    tab = Tab(chromium, stepper.document(trace, "en", CELLS[name]), tmp_path / "page.html")
    shown = tab(DUMP)
    assert len(shown) == len(trace)
    ways = ("operation", "equation", "time", "pass")
    for event, found in zip(trace, shown, strict=True):
        label = trace.labels[event.subject]
        assert found["subject"] == label
        assert found["equation"] == event.equation
        assert found["time"] == event.time
        assert found["forward"] is (event.direction == "forward")
        lines = [f"{event.name}{at} {found['sign']} {text}" for at, text in found["numbers"]]
        assert lines == [x for x in event.numbers if not x.startswith("…")]
        sums = [f"{event.name}{at} = {text}" for at, text in found["sums"]]
        assert sums == [x for x in event.sum_numbers if not x.startswith("…")]
        bars = {f"bar {trace.labels[n]}": trace.labels.bar(n) for n in trace.operations}
        rule = event.rule.partition("= ")[2]
        written = found["rule"]
        for bar, right in bars.items():
            written = re.sub(rf"{re.escape(bar)}(?!\w)", right, written)
        assert written == rule
        np.testing.assert_allclose(found["result"], np.ravel(event.value), rtol=1e-6, atol=1e-9)
        assert found["next"] == [trace.next(event.index, by) for by in ways]
        assert found["back"] == [trace.back(event.index, by) for by in ways]
        assert found["across"] == trace.across(event.index)
    tab.close()


CONDITIONS = [
    "f",
    "C@2",
    "C_1",
    "h@0",
    "t=2",
    "backward",
    "|C|>0.1",
    "|h|<=0.3",
    "|grad|<1e-2",
    "|grad W_f|>0.001",
    "|grad C@1|<10",
    "nan",
    "inf",
    " forward ",
]


@pytest.mark.browser
def test_a_breakpoint_stops_where_the_terminal_does(tab: Tab) -> None:
    for condition in CONDITIONS:
        for start in (-1, 40, 200):
            found = tab(
                f"return s.trace.find(s.trace.breakpoint({json.dumps(condition)}), {start})"
            )
            expected = tiny().trace.find(condition, start)
            assert found == (-1 if expected is None else expected), condition
    for wrong in ("", "|f|", "f g", "|grad|<x", "a@b@c", "@2"):
        assert tab(f"return s.trace.breakpoint({json.dumps(wrong)}).error") == "unread"
    assert tab("return s.trace.breakpoint('q').error") == "unknown"


@pytest.mark.browser
def test_a_run_to_a_breakpoint_by_keyboard(tab: Tab) -> None:
    tab.page.focus(".card")
    tab.key("g")
    tab.page.keyboard.type("|grad C@3|>0")
    tab.key("Enter")
    assert tab.index() == tiny().trace.find("|grad C@3|>0")
    assert "Reached |grad C@3|>0" in tab.text(".note")
    tab.page.fill(".tools input >> nth=0", "q")
    tab.key("Enter")
    assert "There is no value q here" in tab.text(".note")
    tab.page.fill(".tools input >> nth=0", "t=1")
    tab("s.go(s.trace.last)")
    tab.key("Enter")
    assert "Nothing after this event is at t=1" in tab.text(".note")


@pytest.mark.browser
def test_moves_by_keyboard_alone(tab: Tab) -> None:
    trace, at = tiny().trace, 0
    tab.page.focus(".moves .next")
    for key, by, forward in (
        ("n", "operation", True),
        ("e", "equation", True),
        ("t", "time", True),
        ("e", "equation", True),
        ("b", "operation", False),
        ("E", "equation", False),
        ("T", "time", False),
        (">", "pass", True),
        (">", "pass", True),
        ("<", "pass", False),
        ("ArrowRight", "operation", True),
        ("ArrowLeft", "operation", False),
    ):
        at = trace.next(at, by) if forward else trace.back(at, by)
        tab.key(key)
        assert tab.index() == at, key
    tab.key("p")
    assert tab.index() == trace.across(at)
    said = tab.text("#announcement")
    assert "backward pass" in said
    assert "Event" in said
    tab("s.go(0)")
    tab.key("b")
    assert tab.text(".note") == "This is the start of the trace."
    assert tab.page.get_attribute(".moves .back >> nth=0", "aria-disabled") == "true"


@pytest.mark.browser
def test_focus_is_not_lost_where_the_step_is_redrawn(tab: Tab) -> None:
    tab.unfold_debugger()
    tab("s.go(240)")
    tab.page.focus(".state summary")
    tab.key("n", "n")
    assert tab.index() == 242


@pytest.mark.browser
def test_scrubber_shows_what_is_known_and_goes_there(tab: Tab) -> None:
    tab.unfold_debugger()
    cell = tab.page.get_by_role("button", name="f_3, not computed yet")
    cell.click()
    event = tiny().trace[tab.index()]
    assert (event.name, event.direction) == ("f_3", "forward")
    assert tab.page.get_by_role("button", name="f_3, value computed").inner_text() == "▸"
    tab.page.keyboard.press("Enter")  # the same place of the backward pass
    event = tiny().trace[tab.index()]
    assert (event.equation, event.time, event.direction) == ("f_3", 3, "backward")
    tab.key("ArrowRight", "ArrowDown", "Enter")
    assert tiny().trace[tab.index()].equation == "i_4"
    tab("s.go(s.trace.last)")
    assert set(tab.text(".grid tbody").replace("\t", " ").split()) >= {"◂"}
    assert "·" not in tab.text(".grid tbody")
    tab.page.fill(".stepper-app input[type=range]", "7")
    assert tab.index() == 7
    assert "Event 8 of" in tab.page.get_attribute(
        ".stepper-app input[type=range]", "aria-valuetext"
    )


@pytest.mark.browser
def test_arrows_go_to_the_nearest_cell_of_the_grid(tab: Tab) -> None:
    """From o_5 in every direction, and back over the gaps of the rows that have few cells."""
    focused = "document.activeElement.getAttribute('aria-label').split(',')[0]"
    tab.unfold_debugger()
    start = tab.page.get_by_role("button", name="o_5, not computed yet")
    ways = {"ArrowRight": "o_6", "ArrowLeft": "o_4", "ArrowUp": "C_5", "ArrowDown": "h_5"}
    for key, expected in ways.items():
        start.focus()
        tab.key(key)
        assert tab.page.evaluate(focused) == expected, key
    tab.page.get_by_role("button", name="o_1, not computed yet").focus()
    tab.key("ArrowLeft")
    assert tab.page.evaluate(focused) == "o_1"
    tab.page.get_by_role("button", name="loss, not computed yet").focus()
    tab.key("ArrowUp")
    assert tab.page.evaluate(focused) == "scores"


@pytest.mark.browser
def test_what_scrolls_sideways_is_a_stop_of_the_tab_key(chromium: Any, tmp_path: Path) -> None:
    html = stepper.document(tiny(), "en", cells.lstm)
    size = {"width": 340, "height": 700}
    with opened(chromium, html, tmp_path / "page.html", viewport=size) as tab:
        found = tab("""return s.trace.events.flatMap((e) => {
          s.go(e.index);
          return [...document.querySelectorAll(".card, .state")].map(
            (b) => [b.scrollWidth > b.clientWidth + 1, b.tabIndex]);
        });""")
    assert {(wide, stop) for wide, stop in found} == {(True, 0), (False, -1)}


@pytest.mark.browser
def test_a_long_vector_is_shown_in_part(chromium: Any, tmp_path: Path) -> None:
    for count, text in ((48, None), (49, "… and 1 more entries"), (60, "… and 12 more entries")):
        trace = step_through((Tensor(np.ones(count), "a") * 2.0).sum())
        with opened(chromium, stepper.document(trace), tmp_path / "page.html") as tab:
            shown = tab.page.locator(".card .bars >> nth=-1")
            assert shown.locator(".bar").count() == min(count, 48)
            rest = shown.locator("> span:not(.bar)").all_inner_texts()
            assert rest == ([] if text is None else [text])


@pytest.mark.browser
def test_scrubber_and_sentence_agree_with_the_trace(tab: Tab) -> None:
    trace = tiny().trace
    shown = tab("""return s.trace.events.map((e) => {
      s.go(e.index);
      const cells = [...document.querySelectorAll(".grid button")];
      const said = document.querySelector(".sentence").innerText;
      return [cells.map((b) => b.getAttribute("aria-label")), said];
    });""")
    owners = [n for n in trace.operations if trace.labels.owner(n) is n]
    for event, (states, sentence) in zip(trace, shown, strict=True):
        expected = set()
        for node in owners:
            state = "not computed yet"
            if found := trace.gradient_at(node, event.index):
                whole = found[0] == len(trace.terms[node])
                state = "gradient complete" if whole else "gradient under way"
            elif trace.known_at(node, event.index):
                state = "value computed"
            expected.add(f"{trace.labels[node]}, {state}")
        assert set(states) == expected, event.index
        if event.of_terms > 1:
            assert ("is complete" in sentence) is event.finished


@pytest.mark.browser
def test_not_computed_yet_is_a_dot_and_not_zero(tab: Tab) -> None:
    tab.unfold_debugger()
    h = next(k for k, e in enumerate(tiny().trace) if e.name == "h_2" and e.direction == "forward")
    tab(f"s.go({h - 1})")
    row = tab.page.locator(".known >> nth=0").locator("tr", has_text="h2")
    assert row.inner_text().split() == ["h2", "·", "·"]
    tab(f"s.go({h})")
    shown = row.inner_text().split()
    assert len(shown) == 6
    assert shown[-1] == "·"


@pytest.mark.browser
def test_shared_weight_grows_and_forks_are_added(tab: Tab) -> None:
    tab.unfold_debugger()
    trace = tiny().trace
    third = [e.index for e in trace if e.direction == "backward" and e.name == "W̄_f"][2]
    tab(f"s.go({third})")
    rows = tab.page.locator(".terms tbody tr").all_inner_texts()
    assert len(rows) == 8
    assert [row.endswith("·") for row in rows] == [False] * 3 + [True] * 5
    assert "W" in tab.text(".stepper-rule")
    assert "+=" in tab.text(".stepper-rule")
    assert "term 3 of 8" in tab.text(".sentence")
    tab.page.fill(".tools input >> nth=1", "W_f")
    tab.page.keyboard.press("Enter")
    watched = tab.text(".watch")
    assert "3 of 8 terms" in watched
    tab.page.click(".watch .remove")
    assert tab.page.locator(".watch").count() == 0
    tab.page.fill(".tools input >> nth=1", "nothing")
    tab.page.keyboard.press("Enter")
    assert "There is no value nothing here" in tab.text(".note")


@pytest.mark.browser
def test_the_figure_lights_up_where_one_is(tab: Tab) -> None:
    def lit(state: str) -> set[str]:
        nodes = f"[...document.querySelectorAll('.stepper-figure .node.{state}')]"
        return set(tab(f"return {nodes}.map((n) => n.id.split('-part-')[1])"))

    first = next(e.index for e in tiny().trace if e.name == "i_2" and e.direction == "forward")
    tab(f"s.go({first})")
    assert lit("forward") == {"i"}
    assert "o" in lit("dim")
    assert "f" not in lit("dim")
    product = next(e for e in tiny().trace if e.equation == "C_2" and e.operation == "multiply")
    tab(f"s.go({product.index})")
    assert lit("forward") == {"C.1"}  # the product with the forget gate, not the whole equation
    back = next(e.index for e in tiny().trace if e.equation == "o_2" and e.direction == "backward")
    tab(f"s.go({back})")
    assert lit("backward") == {"o"}
    assert lit("forward") == set()
    assert "f" in lit("dim")
    assert "h" not in lit("dim")


@pytest.mark.browser
def test_operations_of_an_equation_are_dim_until_it_begins(tab: Tab) -> None:
    """Shapes that stand for no named value: at this time step, and in this pass."""
    trace = tiny().trace
    shown = tab("""const own = (e, kind) => [...e.classList].filter((c) => c.startsWith(kind))
      .map((c) => c.slice(kind.length));
    const shapes = [...document.querySelectorAll(".stepper-figure g.node, .stepper-figure g.edge")]
      .filter((e) => own(e, "eq-").length && !own(e, "val-").length && !e.matches(".body"));
    return s.trace.events.map(({ index }) => {
      s.go(index);
      const is = (e, kind) => e.matches(kind);
      return shapes.map((e) => [own(e, "eq-"), is(e, ".forward, .backward"), is(e, ".dim")]);
    });""")
    begun: set[tuple[str, int | None, str]] = set()
    kinds = set()
    for event, shapes in zip(trace, shown, strict=True):
        own = trace.labels.name(trace.labels.owner(event.node))
        begun.add((event.direction, event.time, own))
        assert shapes
        for names, lit, dim in shapes:
            time = event.time or 8
            reached = any((event.direction, time, name) in begun for name in names)
            assert dim is (not lit and not reached), (event.index, names)
            kinds.add((lit, dim))
    assert kinds == {(True, False), (False, True), (False, False)}
