"""The stepper of the page: what Python makes of a run."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from stepper_pages import LANGUAGES, bursting, crowded, forgetful, tiny, trace_of

from lesson import languages
from lesson.parts import stepper
from lesson.parts.stepper.trace_data import compact
from tinygrad_lstm import Tensor, cells, matvec, step_through
from tinygrad_lstm.errors import TinygradError, UnknownNameError


def test_a_tiny_run_is_of_a_real_model() -> None:
    assert "".join(tiny().columns) == "to␣be␣or"
    labels = {tiny().trace.labels[n]: n for n in tiny().trace.operations}
    assert labels["h_8"].shape == (4,)
    scores = labels["scores"].data
    p = np.exp(scores) / np.exp(scores).sum()
    assert labels["loss"].item() == pytest.approx(-np.log(p[0]))  # a space is the first symbol
    weights = next(n for n in tiny().trace.given if n.name == "W_f").data
    np.testing.assert_array_equal(weights, np.round(weights, 2))
    assert np.abs(weights).max() > 0


@pytest.mark.parametrize(
    "chosen", [cells.clockwork, forgetful, bursting, crowded], ids=lambda chosen: chosen.name
)
def test_a_cell_that_text_cannot_be_given_to_runs_all_the_same(chosen: Any) -> None:
    run = stepper.tiny_run(chosen, hidden=2, training=3)
    assert len(run.trace) > 10
    assert {e.time for e in run.trace if e.time} == set(range(1, 9))


def test_data_is_small() -> None:
    part = stepper.part(cells.lstm, tiny())
    data = re.search(r'class="stepper-data">(.*?)</script>', part, re.S)
    assert data
    assert len(data[1].encode()) < 100_000
    assert len(part.encode()) < 210_000  # with the figure twice: forward, and with arrows back


def test_too_large_a_trace_is_refused() -> None:
    W = Tensor(np.zeros((300, 300)), "W")
    message = (
        r"^a stepper of 18\d,\d{3} numbers is too large for a page, which takes 60,000\.\n"
        r"  Step through fewer time steps, or through a cell with fewer units\.$"
    )
    with pytest.raises(TinygradError, match=message):
        compact(step_through(matvec(W, Tensor(np.zeros(300))).sum()))


def test_unknown_language_is_named() -> None:
    with pytest.raises(
        UnknownNameError, match=r"^there is no stepper in language 'xx'; there are en, ko, zh\.$"
    ):
        stepper.document(trace_of("rnn"), "xx")


def test_the_table_without_script_tells_one_time_step() -> None:
    part = stepper.part(cells.lstm, tiny())
    table = part.partition('<details class="stepper-still" open>')[2]
    rows = re.findall(r"<tr><td>(.*?)</td><td>(.*?)</td><td>(.*?)</td></tr>", table, re.S)
    last = [e for e in tiny().trace if e.time == 8]
    assert len(rows) == len(last)
    assert {e.direction for e in last} == {"forward", "backward"}
    plain = [re.sub(r"<[^>]+>", "", rule) for _, rule, _ in rows]
    assert any(re.fullmatch(r"h8 = o8 ⊙ v\d+", rule) for rule in plain)
    assert any(rule.startswith("C̃̄8 = ") for rule in plain)
    assert any(re.fullmatch(r"v̄\d+ \+= Wfᵀ·v̄\d+", rule) for rule in plain)
    for language in LANGUAGES:
        assert (
            f'lang="{language}">{languages.texts(language, "stepper")["still"]["backward"]}<'
            in rows[-1][0]
        )


def test_a_document_needs_nothing_else() -> None:
    page = stepper.document(trace_of("gru"), "ko", cells.gru)
    assert 'lang="ko"' in page
    assert "default-src 'none'" in page
    markup = re.sub(r"(<script[^>]*>).*?</script>", r"\1", page, flags=re.DOTALL)
    assert not re.search(r"\b(src|href)=\"[^#]", markup)  # a script tells how to embed a figure
    assert languages.texts("ko", "stepper")["move"]["operation"] in page
    assert "What is known by now" not in page
