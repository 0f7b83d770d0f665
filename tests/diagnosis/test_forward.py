"""Mistakes in steps are named: those of people's own code, and those of any cell by rule."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sampling import WHOLE
from wrong_programs import changed

from tinygrad_lstm import Program, cells, concat, diagnose
from tinygrad_lstm import sigmoid as sigmoid_of
from tinygrad_lstm.cell_files import load
from tinygrad_lstm.errors import DataError

Arrays = Mapping[str, Any]
CORPUS = Path(__file__).parents[1] / "corpus"


def sigmoid(z: Any) -> Any:
    return 1 / (1 + np.exp(-z))


# --- steps by hand, as people write them ---------------------------------------------------------
def lstm(p: Arrays, x: Any, prev: Arrays, wrong: str = "") -> dict[str, Any]:
    h, C = prev["h"], prev["C"]
    z = np.concatenate([x, h] if wrong == "x before h" else [h, x], -1)
    f = sigmoid(z @ p["W_f"].T + p["b_f"] + (wrong == "forget bias"))
    i = sigmoid(z @ p["W_i"].T + (0 if wrong == "no bias" else p["b_i"]))
    g = z @ p["W_C"].T + p["b_C"]
    if wrong == "gates exchanged":
        f, i = i, f
    if wrong == "hard sigmoid":
        f = np.clip(0.2 * (z @ p["W_f"].T + p["b_f"]) + 0.5, 0, 1)
    g = {"no tanh": g, "sigmoid": sigmoid(g)}.get(wrong, np.tanh(g))
    new = f * C - i * g if wrong == "sign" else f * C + i * g
    if wrong == "1 - f":
        new = (1 - f) * C + i * g
    if wrong == "C not updated":
        new = C
    o = sigmoid(z @ p["W_o"].T + p["b_o"])
    seen = C if wrong == "old C" else new
    h = o * (seen if wrong == "not squashed" else np.tanh(seen))
    return {"h": new, "C": h} if wrong == "states exchanged" else {"h": h, "C": new}


@pytest.mark.parametrize(
    ("wrong", "kind", "where", "term"),
    [
        ("x before h", "order", "f", "[h_{t-1}, x_t]"),
        ("forget bias", "value", "f", "σ("),
        ("no bias", "missing term", "i", "b_i"),
        ("gates exchanged", "exchange", "f", ""),
        ("hard sigmoid", "activation", "f", "σ("),
        ("no tanh", "activation", "C_tilde", "tanh("),
        ("sigmoid", "activation", "C_tilde", "tanh("),
        ("sign", "sign", "C", "i_t ⊙ C̃_t"),
        ("1 - f", "exchange", "C", "f_t"),
        ("C not updated", "carried", "C", "C_{t-1}"),
        ("old C", "step", "h", "C_t"),
        ("not squashed", "activation", "h", "tanh(C_t)"),
        ("states exchanged", "exchange", "h", ""),
    ],
)
def test_a_mistake_in_a_hand_written_lstm(wrong: str, kind: str, where: str, term: str) -> None:
    found = diagnose(cells.lstm, forward=lambda p, x, prev: lstm(p, x, prev, wrong))
    assert (found.right, found.kind, found.where) == (False, kind, where), str(found)
    assert term in found.term
    assert found.confidence > 0 and found.example["theirs"] != found.example["true"]
    assert len({found.text(tag) for tag in ("en", "ko", "zh")}) == 3


def gru(p: Arrays, x: Any, prev: Arrays, wrong: str = "") -> Any:
    """GRU as libraries compute it."""
    h = prev["h"]
    one = wrong == "one bias"
    r = sigmoid(x @ p["W_r"].T + p["b_ir"] + h @ p["U_r"].T + (0 if one else p["b_hr"]))
    z = sigmoid(x @ p["W_z"].T + p["b_iz"] + h @ p["U_z"].T + p["b_hz"])
    inner = r * (h @ p["U_n"].T + p["b_hn"])
    if wrong == "reset before":
        inner = (r * h) @ p["U_n"].T + p["b_hn"]
    if wrong == "bias outside":
        inner = r * (h @ p["U_n"].T) + p["b_hn"]
    if wrong == "transposed":
        inner = r * (h @ p["U_n"] + p["b_hn"])
    n = np.tanh(x @ p["W_n"].T + p["b_in"] + inner)
    return (1 - z) * h + z * n if wrong == "1 - z" else z * h + (1 - z) * n


@pytest.mark.parametrize(
    ("wrong", "kind", "where"),
    [
        ("one bias", "missing term", "r"),
        ("reset before", "order", "h_tilde"),
        ("bias outside", "order", "h_tilde"),
        ("transposed", "transpose", "h_tilde"),
        ("1 - z", "exchange", "h"),
    ],
)
def test_the_conventions_of_the_gru(wrong: str, kind: str, where: str) -> None:
    found = diagnose(cells.gru_reset_after, lambda p, x, prev: gru(p, x, prev, wrong))
    assert (found.right, found.kind, found.where) == (False, kind, where), str(found)


def test_peepholes() -> None:
    def without(p: Arrays, x: Any, prev: Arrays, of: str) -> tuple[Any, Any]:
        z = np.concatenate([prev["h"], x], -1)
        C = prev["C"]
        a = {g: z @ p[f"W_{g}"].T + p[f"b_{g}"] for g in "fiCo"}
        f = sigmoid(a["f"] + (p["p_f"] * C if of != "f" else 0))
        i = sigmoid(a["i"] + p["p_i"] * C)
        new = f * C + i * np.tanh(a["C"])
        o = sigmoid(a["o"] + p["p_o"] * (C if of == "o" else new))
        return o * np.tanh(new), new

    right = diagnose(cells.lstm_peephole_gers, lambda p, x, prev: without(p, x, prev, ""))
    assert right.right
    missing = diagnose(cells.lstm_peephole_gers, lambda p, x, prev: without(p, x, prev, "f"))
    assert (missing.kind, missing.where) == ("missing term", "f")
    assert "has no peephole p_f ⊙ C_{t-1}" in str(missing)
    old = diagnose(cells.lstm_peephole_gers, lambda p, x, prev: without(p, x, prev, "o"))
    assert (old.kind, old.where) == ("step", "o")
    assert "reads the old state C_{t-1} where the new one, C_t, belongs" in str(old)


def test_it_is_told_as_a_teacher_would() -> None:
    found = diagnose(cells.gru_cho2014, lambda p, x, prev: cho(p, x, prev))
    assert str(found).splitlines()[:3] == [
        "In your h̃_t r_t is applied after the product with the matrix; right is before it: "
        "U·(r_t ⊙ h_{t-1}).",
        "Yours is: h̃_t = tanh(W·x_t + r_t ⊙ (U·h_{t-1}) + b)",
        "Right is: h̃_t = tanh(W·x_t + U·(r_t ⊙ h_{t-1}) + b)",
    ]


def cho(p: Arrays, x: Any, prev: Arrays) -> Any:
    h = prev["h"]
    r = sigmoid(x @ p["W_r"].T + h @ p["U_r"].T + p["b_r"])
    z = sigmoid(x @ p["W_z"].T + h @ p["U_z"].T + p["b_z"])
    return z * h + (1 - z) * np.tanh(x @ p["W"].T + r * (h @ p["U"].T) + p["b"])


def test_two_mistakes_at_once() -> None:
    def both(p: Arrays, x: Any, prev: Arrays) -> dict[str, Any]:
        without = {**p, "b_i": 0 * p["b_i"]}
        h, C = (lstm(without, x, prev, "old C")[name] for name in ("h", "C"))
        return {"h": h, "C": C}

    found = diagnose(cells.lstm, forward=both)
    assert found.kinds == ("missing term", "step")
    assert "b_i" in str(found) and "And: " in str(found)


# --- what a function may look like ---------------------------------------------------------------
def one_sample(p: Arrays, x: Any, prev: Arrays) -> tuple[Any, Any]:
    z = np.concatenate([prev["h"], x], 0)
    f, i, o = (sigmoid(p[f"W_{g}"] @ z + p[f"b_{g}"]) for g in "fio")
    C = f * prev["C"] + i * np.tanh(p["W_C"] @ z + p["b_C"])
    return o * np.tanh(C), C


def states_apart(p: Arrays, x: Any, h: Any, C: Any) -> Any:
    return lstm(p, x, {"h": h, "C": C})


def torch_step(p: Arrays, x: Any, prev: Arrays) -> Any:
    torch = pytest.importorskip("torch")
    p = {n: torch.tensor(v, dtype=torch.float32, requires_grad=True) for n, v in p.items()}
    x, h = torch.tensor(x).float(), torch.tensor(prev["h"]).float()
    return {"h": torch.tanh(torch.cat([h, x], 1) @ p["W"].T + p["b"])}


@pytest.mark.parametrize("step", [lstm, one_sample, states_apart])
def test_right_steps_are_right_in_every_form(step: Callable[..., Any]) -> None:
    found = diagnose(cells.lstm, forward=step)
    assert found.right and found and "This is lstm" in str(found)


def test_another_library_s_step_is_right() -> None:
    assert diagnose(cells.rnn, torch_step).right


def rnn(p: Arrays, xs: Any, wrong: str = "", initial: Any = None) -> Any:
    h, seen = np.zeros((xs.shape[1], len(p["b"]))), []
    h = h if initial is None else initial["h"]
    steps = range(len(xs))
    for t in steps if wrong != "reversed" else reversed(steps):
        before = 0 * h if wrong == "nothing carried" else h
        h = np.tanh(np.concatenate([before, xs[t]], 1) @ p["W"].T + p["b"])
        seen.append(before if wrong == "late" else h)
    return np.stack(seen[::-1] if wrong == "reversed" else seen)


@pytest.mark.parametrize(
    ("wrong", "kind"),
    [("", ""), ("reversed", "step"), ("nothing carried", "carried"), ("late", "step")],
)
def test_a_whole_sequence(wrong: str, kind: str) -> None:
    found = diagnose(cells.rnn, forward=lambda p, xs: rnn(p, xs, wrong))
    assert (found.right, found.kind) == (not wrong, kind)
    found = diagnose(cells.rnn, forward=lambda p, xs, initial: {"h": rnn(p, xs, wrong, initial)})
    assert found.right == (not wrong)


def test_the_axes_of_a_sequence() -> None:
    found = diagnose(cells.rnn, forward=lambda p, xs: rnn(p, xs.swapaxes(0, 1)).swapaxes(0, 1))
    assert found.kind == "order" and "yours takes the first for the batch" in str(found)


def test_arrays_in_place_of_a_function() -> None:
    p = cells.rnn.init(inputs=3, hidden=4, seed=0)
    xs = np.random.default_rng(0).standard_normal((5, 2, 3))
    given = {name: t.numpy() for name, t in p.items()}
    assert diagnose(cells.rnn, forward={"h": rnn(given, xs)}, p=p, xs=xs).right
    late = diagnose(cells.rnn, forward=rnn(given, xs, "late"), p=given, xs=xs)
    assert late.kind == "step"
    with pytest.raises(DataError, match="needs p, xs"):
        diagnose(cells.rnn, forward={"h": xs})


def test_intermediate_equations_and_what_no_rule_explains() -> None:
    def odd(p: Arrays, x: Any, prev: Arrays) -> dict[str, Any]:
        right = lstm(p, x, prev)
        z = np.concatenate([prev["h"], x], -1)
        f = sigmoid(z @ p["W_f"].T + p["b_f"]) ** 3
        return {**right, "C": np.sin(right["C"]) ** 5, "f": f}

    found = diagnose(cells.lstm, odd)
    assert (found.kind, found.where, found.confidence) == ("unexplained", "f", 0.0)
    assert "No rule explains it" in str(found)


# --- every cell, by rule -------------------------------------------------------------------------
def by_program(cell: Any, change: Callable[[str, Any, Arrays], Any]) -> Callable[..., Any]:
    """A step by the cell's Program, whose results `change` may change."""

    def step(p: Arrays, x: Any, prev: Arrays, **further: Any) -> dict[str, Any]:
        sizes = cell.infer_sizes(p)
        values = cell.program(**sizes).run(x=x, prev=prev, **p, **further)
        return {name: change(name, values[name], prev) for name in cell.state}

    step.__signature__ = _signature(cell)  # type: ignore[attr-defined]
    return step


def _signature(cell: Any) -> Any:
    import inspect

    names = ["p", "x", "prev", *cell.extra_inputs]
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    return inspect.Signature([inspect.Parameter(name, kind) for name in names])


@pytest.mark.sample(3)
@pytest.mark.parametrize("cell", cells.all().values(), ids=str)
def test_every_cell_is_right_and_its_states_may_be_lost(cell: Any) -> None:
    assert diagnose(cell, by_program(cell, lambda name, value, prev: value)).right
    single = by_program(cell, lambda name, value, prev: value.astype(np.float32))
    assert diagnose(cell, forward=single).right
    state = next(iter(cell.state))
    lost = by_program(cell, lambda name, value, prev: prev[name] if name == state else value)
    found = diagnose(cell, forward=lost)
    assert (found.kind, found.where) == ("carried", state), str(found)


@pytest.mark.parametrize("cell", load(CORPUS / "inside.py").values(), ids=str)
def test_names_with_dots(cell: Any) -> None:
    assert diagnose(cell, by_program(cell, lambda name, value, prev: value)).right


def drawn(program: Program, rng: np.random.Generator) -> tuple[set[str], Program] | None:
    """A step with one node made otherwise, and the kinds that this may be called."""
    choices: list[tuple[set[str], Any, Any]] = []
    for node in program.nodes():
        if node.op == "add":
            for k in (0, 1):
                if node.inputs[k].op == "add" and node.inputs[k].name is None:
                    continue
                if node.inputs[k].shape == node.inputs[1 - k].shape:
                    choices += [
                        ({"missing term"}, node, lambda o, k=k: o[1 - k] + 0.0),
                        ({"double term", "factor"}, node, lambda o, k=k: o[0] + o[1] + o[k]),
                        ({"sign"}, node, lambda o, k=k: o[1 - k] - o[k]),
                    ]
        if node.op == "tanh":
            choices.append(({"activation"}, node, lambda o: o[0] + 0.0))
        if node.op == "sigmoid":
            choices.append(({"activation"}, node, lambda o: o[0] + 0.0))
            choices.append(({"value"}, node, lambda o: sigmoid_of(o[0] + 1.0)))
        if node.op == "concat" and node.ndim == 1 and len(node.inputs) == 2:
            choices.append(({"order"}, node, lambda o: concat(o[1], o[0])))
    if not choices:
        return None
    kinds, node, change = choices[rng.integers(len(choices))]
    return kinds, changed(program, {node: lambda operands, new: change(operands)})


def test_mistakes_drawn_in_the_steps_of_many_cells_are_named() -> None:
    rng = np.random.default_rng(5)
    pool = [c for c in cells.all().values() if c is not cells.fgr]
    named, tried, told = 0, 0, []
    count = 400 if WHOLE else 24
    for _ in range(count):
        cell = pool[rng.integers(len(pool))]
        found = diagnose(cell, forward=wrong_step(cell, int(rng.integers(2**31)), kinds := set()))
        if not found.right:
            tried += 1
            named += bool(kinds & {found.kind, *found.likely[:3]})
            if not kinds & {found.kind}:
                told.append((cell.name, kinds, found.kind, found.likely))
    assert tried > 0.7 * count and named >= 0.95 * tried, told


def wrong_step(cell: Any, seed: int, kinds: set[str]) -> Callable[..., Any]:
    def step(p: Arrays, x: Any, prev: Arrays, **further: Any) -> dict[str, Any]:
        program = cell.program(**cell.infer_sizes(p))
        wrong = drawn(program, np.random.default_rng(seed))
        assert wrong is not None
        kinds.update(wrong[0])
        values = wrong[1].run(x=x, prev=prev, **p, **further)
        return {name: values[name].astype(np.float32) for name in cell.state}

    step.__signature__ = _signature(cell)  # type: ignore[attr-defined]
    return step


# --- among cells ---------------------------------------------------------------------------------
def test_which_cell_a_step_is() -> None:
    found = diagnose(among=lstm)
    assert (found.right, found.cell) == (True, "lstm")  # type: ignore[attr-defined]
    found = diagnose(forward=lambda p, x, prev: gru(p, x, prev, "1 - z"), among=True)
    assert (found.right, found.cell) == (False, "gru_reset_after")  # type: ignore[attr-defined]
    assert str(found).startswith("This is gru_reset_after, but for this:")
    assert "z_t and 1 - z_t have changed places" in str(found)
    some = diagnose(forward=lstm, among=[cells.rnn, cells.lstm_peephole_output, cells.lstm])
    assert (some.cell, some.candidates) == ("lstm", ("lstm_peephole_output", "lstm"))  # type: ignore[attr-defined]


def test_cells_that_compute_the_same_are_said_together() -> None:
    from tinygrad_lstm import cell as define
    from tinygrad_lstm import concat, matvec, tanh

    @define(state="h", parameters={"W": "hidden, hidden + inputs", "b": "hidden"})
    def elman(now: Any, prev: Any, x: Any, p: Any) -> None:
        now.a = p.b + matvec(p.W, concat(prev.h, x))
        now.h = tanh(now.a)

    found = diagnose(
        forward=lambda p, x, prev: rnn(p, x[None], initial=prev)[0], among=[cells.rnn, elman]
    )
    assert found.right and {found.cell, *found.same} == {"rnn", "elman"}  # type: ignore[attr-defined]
    assert "cannot be told apart: rnn, elman" in str(found)
