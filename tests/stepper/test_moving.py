"""The stepper: back and forth, breakpoints, what is known, and other ways in and out."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from test_stepping import small_trace

import tinygrad_lstm as tl
from tinygrad_lstm import Program, Tensor, cells, step_through
from tinygrad_lstm.errors import ShapeError, TinygradError, UnknownNameError
from tinygrad_lstm.stepper.breakpoints import BreakpointError
from tinygrad_lstm.stepper.trace import to_json


# --- moving about -------------------------------------------------------------------------------
def test_moving_by_equation_time_and_pass() -> None:
    trace = small_trace("lstm", steps=2)
    names, k = [trace[0].name], 0
    for _ in range(6):
        k = trace.next(k, "equation")
        names.append(trace[k].name)
    assert names == ["x_1", "f_1", "i_1", "C̃_1", "C_1", "o_1", "h_1"]
    k = trace.find("h_1")
    assert k is not None
    assert trace[trace.back(k, "equation")].name == "o_1"
    assert trace[trace.next(k, "time")].name == "h_2"
    assert trace.next(k, "pass") == len(trace.operations) - 1
    assert trace.next(len(trace) - 1, "time") == len(trace) - 1
    assert trace.back(0, "time") == trace.back(0) == 0
    across = trace[trace.across(k)]
    assert across.direction == "backward" and across.node is trace[k].node
    assert trace.across(across.index) == k
    with pytest.raises(UnknownNameError, match="goes by operation, equation, time, pass, not by"):
        trace.next(0, "step")


def test_a_trace_is_a_sequence() -> None:
    trace = small_trace("gru")
    assert [event.index for event in trace] == list(range(len(trace)))
    assert trace[-1].index == len(trace) - 1
    assert [e.index for e in trace[2:5]] == [2, 3, 4]
    with pytest.raises(IndexError):
        trace[len(trace)]


def test_breakpoints() -> None:
    trace = small_trace("lstm")

    def at(condition: str, start: int = -1) -> tuple[str, str, int | None]:
        found = trace.find(condition, start)
        assert found is not None
        return trace[found].direction, trace[found].name, trace[found].time

    assert at("f") == ("forward", "f_1", 1)
    assert at("f@2") == at("f_2") == ("forward", "f_2", 2)
    assert at("f", trace.find("f@3")) == ("backward", "f̄_3", 3)
    assert at("W_f") == ("backward", "W̄_f", 3)
    assert trace[trace.find("t = 2")].time == 2
    assert at("backward")[:2] == ("backward", "ȳ")
    assert trace.find("nan") is None and trace.find("inf") is None
    found = trace[trace.find("|C|>0.1")]
    assert found.name.startswith("C_") and np.abs(found.value).max() > 0.1
    found = trace[trace.find("|grad| < 0.05")]
    assert found.finished and np.abs(found.value).max() < 0.05
    found = trace[trace.find("|grad C@1|>0")]
    assert (found.name, found.finished) == ("C̄_1", True)
    assert trace.find("t=9") is None


def test_nan_and_inf_are_found() -> None:
    a = Tensor([0.0, 1.0], "a")
    with np.errstate(all="ignore"):
        trace = step_through((tl.log(a) * a).sum())
        assert trace[trace.find("inf")].name == "v1"
        assert trace[trace.find("nan")].name == "v2"
        saved = json.loads(to_json(trace))
    assert saved["events"][0]["result"]["value"] == ["-inf", 0.0]


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ("f=", "cannot read the breakpoint 'f='"),
        ("", "no breakpoint given"),
        ("|f|>x", "cannot read the limit 'x' in the breakpoint '|f|>x'"),
        ("||>2", "'||>2' names no value"),
        ("__import__('os')", "there is no value \"__import__('os')\" here; there are W_f"),
        ("f@9", "there is no f@9: f is here at time steps 1 to 3."),
        ("W_f@1", "there is no W_f@1: W_f is here without a time."),
    ],
)
def test_a_bad_breakpoint(condition: str, message: str) -> None:
    with pytest.raises(TinygradError) as caught:
        small_trace("lstm").find(condition)
    assert str(caught.value).startswith(message)
    if isinstance(caught.value, BreakpointError) and "limit" not in message:
        assert "|grad|<1e-3" in str(caught.value)


def test_what_is_known_at_a_point() -> None:
    trace = small_trace("lstm")
    k = trace.find("C_2")
    assert k is not None
    state = trace.state_at(k)
    assert state.value("C_1") is not None and state.value("C_3") is None
    assert state.gradient("C_1") is None
    assert "C_3 = ·   C̄_3 = ·" in str(state)
    assert trace.state_at(k - 1).value("C_2") is None
    half = trace.state_at(trace.terms[trace.lookup("W_f")[0]][0])
    assert half.watch("W_f").endswith(" (1 of 3 terms)")
    with pytest.raises(UnknownNameError, match="f has a value at each time step; say which: f_1,"):
        state.value("f")


# --- other ways in and out ----------------------------------------------------------------------
def test_json_keeps_every_digit() -> None:
    trace = small_trace("lstm")
    saved = json.loads(to_json(trace))
    assert len(saved["events"]) == len(trace)
    for event, found in zip(trace, saved["events"], strict=True):
        assert (found["pass"], found["time"]) == (event.direction, event.time)
        np.testing.assert_array_equal(found["result"]["value"], event.value)
        if event.direction == "backward":
            before = found["sum"]["before"] or 0.0
            np.testing.assert_array_equal(np.add(before, found["contribution"]), event.value)
        else:
            assert found["sum"] is found["upstream"] is found["local"] is None


def test_a_program_on_arrays_agrees_with_its_gradient() -> None:
    program = cells.lstm.program(inputs=1, hidden=2)
    random = np.random.default_rng(3)
    arrays = {name: random.normal(size=t.shape) for name, t in program.inputs.items()}
    seed = {"h": np.array([1.0, -2.0]), "C": np.array([0.5, 0.0])}
    trace = step_through(program, arrays, seed=seed)
    expected = program.gradient().run(**arrays, seed=seed)
    end = trace.state_at(-1)
    for name in program.inputs:
        label = {"prev.h": "h_{t-1}", "prev.C": "C_{t-1}"}.get(name, name)
        np.testing.assert_allclose(end.gradient(label), expected[name], rtol=1e-14)
    assert trace.equations()["f"] == "σ(W_f·[h_{t-1}, x_t] + b_f)"
    np.testing.assert_array_equal(end.value("C"), program.run(**arrays)["C"])


def test_a_gradient_program_is_a_program_too() -> None:
    program = cells.rnn.program(inputs=1, hidden=1).gradient("W", "h")
    arrays = {"x": [0.4], "prev": {"h": [0.2]}, "W": [[0.5, 1.0]], "b": [0.1], "seed": {"h": [1.0]}}
    trace = step_through(program, arrays)
    known = trace.state_at(-1).value("W̄")
    h = math.tanh(0.5 * 0.2 + 0.4 + 0.1)
    np.testing.assert_allclose(known, [[(1 - h * h) * 0.2, (1 - h * h) * 0.4]])


def test_errors_name_the_fix() -> None:
    with pytest.raises(ShapeError, match=r"starts backward from one number.*shape \(2,\)"):
        step_through(Tensor([1.0, 2.0]) * 2.0)
    with pytest.raises(ShapeError, match=r"the seed has shape \(3,\)"):
        step_through(Tensor([1.0, 2.0]) * 2.0, seed=np.ones(3))
    with pytest.raises(TinygradError, match="has no value yet"):
        step_through(Tensor.input("x", (1,)))
    with pytest.raises(UnknownNameError, match="lstm has no output 'f'; it has h, C"):
        program = cells.lstm.program(inputs=1, hidden=1)
        step_through(
            program, {k: np.ones(t.shape) for k, t in program.inputs.items()}, seed={"f": 1}
        )
    with pytest.raises(UnknownNameError, match="needs values for x"):
        step_through(Program.trace(lambda x: x * x, x=(1,)))


def test_a_notebook_shows_a_table() -> None:
    bundle = small_trace("rnn")._repr_mimebundle_()
    assert bundle["text/html"].startswith("<table>") and "h_1 = tanh(v" in bundle["text/html"]
    assert bundle["text/plain"].startswith("Trace of ")


def test_a_chain_of_20_000_operations() -> None:
    start = x = Tensor(1.0, "x")
    for _ in range(20_000):
        x = x * 1.00001
    trace = step_through(x)
    assert len(trace) == 40_001
    assert trace[20_000 - 1].name == "y"
    assert trace.find("x", 20_000) == len(trace) - 1
    assert trace[-1].value == pytest.approx(1.00001**20_000)
    assert str(trace[10_000]).splitlines()[1] == "    v10001 = v10000·1"
    assert trace.state_at(-1).gradient("x") == trace[-1].value
    assert trace.next(0, "equation") == 19_999
    assert trace.lookup("x") == [start]
