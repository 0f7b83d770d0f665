"""Mistakes in gradients are named: those of people's own code, and those of any cell by rule."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lesson.commands import main
from tinygrad_lstm import Tensor, cell, cells, concat, diagnose, diagnosis, stack, tanh, unroll
from tinygrad_lstm.errors import (
    CellError,
    DataError,
    DTypeError,
    ShapeError,
    TinygradError,
    UnknownNameError,
)
from tinygrad_lstm.testing.inputs import random_inputs

Arrays = Mapping[str, Any]


def sigmoid(z: Any) -> Any:
    return 1 / (1 + np.exp(-z))


# --- an LSTM by hand, as people write it ---------------------------------------------------------
def lstm(p: Arrays, xs: Any, h_bar: Any, wrong: str = "") -> dict[str, Any]:
    """Backpropagation through time of the LSTM, with one thing done wrong."""
    (T, B, I), H = xs.shape, len(p["b_f"])
    h, C, seen = np.zeros((B, H)), np.zeros((B, H)), []
    for t in range(T):
        z = np.concatenate([h, xs[t]], 1)
        f, i, o = (sigmoid(z @ p[f"W_{g}"].T + p[f"b_{g}"]) for g in "fio")
        g = np.tanh(z @ p["W_C"].T + p["b_C"])
        before, C = C, f * C + i * g
        h = o * np.tanh(C)
        seen.append((z, f, i, g, o, before, C, h))
    found = {name: np.zeros_like(value) for name, value in p.items()} | {"x": np.zeros_like(xs)}
    dh, dC = np.zeros((B, H)), np.zeros((B, H))
    for t in reversed(range(T)):
        z, f, i, g, o, before, C, h = seen[t]
        dh = dh + h_bar[t] if wrong != "loss at the end only" or t == T - 1 else dh
        do = dh * np.tanh(C) if wrong != "tanh forgotten at o" else dh * C
        slope = 1 - np.tanh(C) ** 2
        if wrong == "slope of tanh at C":
            slope = 1 - C**2
        if wrong == "slope of tanh squared":
            slope = slope**2
        own = dh * o * slope if wrong != "C is not read by h" else 0
        dC = own + (dC if wrong != "C is not carried" else 0)
        di, dg = (dC * g, dC * i) if wrong != "i and g exchanged" else (dC * i, dC * g)
        df = dC * (before if wrong != "new state for old" else C)
        if wrong == "sign of f":
            df = -df
        df, di, do = df * f * (1 - f), di * i * (1 - i), do * o * (1 - o)
        if wrong == "value of f for its slope":
            df = dC * before * f
        dg = dg * (1 - g * g) if wrong != "slope of the candidate" else dg
        dz: Any = 0
        for name, d in {"f": df, "i": di, "C": dg, "o": do}.items():
            if not (wrong == "first step left out" and t == 0):
                found[f"W_{name}"] += d.T @ z
                found[f"b_{name}"] += d.sum(0)
            if not (wrong == "o is not read by x and h" and name == "o"):
                dz = dz + d @ p[f"W_{name}"]
        found["x"][t], dh = dz[:, H:], dz[:, :H]
        if wrong == "h is not carried":
            dh = 0 * dh
        dC = dC * (f if wrong != "carried by i" else i)
    if wrong == "W_f and W_i exchanged":
        found["W_f"], found["W_i"] = found["W_i"], found["W_f"]
    if wrong == "x before h":
        for name in "fiCo":
            found[f"W_{name}"] = np.roll(found[f"W_{name}"], I, axis=1)
    if wrong == "mean of the batch":
        found = {name: value / B for name, value in found.items()}
    if wrong == "twice":
        found = {name: value * 2 for name, value in found.items()}
    return found


@pytest.mark.parametrize(
    ("wrong", "kind", "where"),
    [
        ("C is not read by h", "missing term", "C"),
        ("C is not carried", "carried", "C"),
        ("h is not carried", "carried", "h"),
        ("loss at the end only", "missing term", "b_o"),
        ("tanh forgotten at o", "value", "o"),
        ("slope of tanh at C", "slope", "C"),
        ("slope of tanh squared", "slope", "C"),
        ("i and g exchanged", "exchange", ""),
        ("new state for old", "step", "f"),
        ("sign of f", "sign", "f"),
        ("value of f for its slope", "slope", "b_f"),
        ("slope of the candidate", "slope", "b_C"),
        ("first step left out", "step", ""),
        ("o is not read by x and h", "missing term", "x"),
        ("carried by i", "exchange", "C"),
        ("W_f and W_i exchanged", "exchange", ""),
        ("x before h", "order", ""),
        ("mean of the batch", "sum", ""),
        ("twice", "factor", ""),
    ],
)
def test_a_mistake_in_a_hand_written_lstm(wrong: str, kind: str, where: str) -> None:
    found = diagnose(cells.lstm, lambda p, xs, h_bar: lstm(p, xs, h_bar, wrong))
    assert not found.right
    assert kind in (found.kind, *found.kinds)
    if where:
        assert found.where == where
        assert found.term or found.kind == "missing term"
    assert found.confidence > 0


def test_the_hand_written_lstm_is_right() -> None:
    found = diagnose(cells.lstm, lstm)
    assert found.right and found and "right" in str(found)
    for dtype in (np.float32, np.float64):
        as_dtype = diagnose(
            cells.lstm,
            lambda p, xs, h_bar, d=dtype: lstm(  # type: ignore[misc]
                {n: v.astype(d) for n, v in p.items()}, xs.astype(d), h_bar.astype(d)
            ),
        )
        assert as_dtype.right, dtype


def test_the_missing_term_is_told_as_a_teacher_would() -> None:
    found = diagnose(cells.lstm, lambda p, xs, h_bar: lstm(p, xs, h_bar, "C is not read by h"))
    first = str(found).splitlines()[0]
    for part in ("C̄_t", "C̄_{t+1} ⊙ f_{t+1}", "h̄_t ⊙ o_t ⊙", "C_t is also read by h_t"):
        assert part in first
    assert found.term.startswith("h̄_t ⊙ o_t ⊙ (1 - tanh")
    assert "C̄_t = ∂L" not in first and "C̄_t = " in str(found)
    assert len({found.text(tag) for tag in ("en", "ko", "zh")}) == 3
    with pytest.raises(UnknownNameError, match="no language 'fr'; there are en, ko, zh"):
        found.text("fr")


def test_two_mistakes_at_once() -> None:
    def both(p: Arrays, xs: Any, h_bar: Any) -> dict[str, Any]:
        found = lstm(p, xs, h_bar, "C is not carried")
        return {**found, "b_o": found["b_o"] / xs.shape[1]}

    found = diagnose(cells.lstm, both)
    assert set(found.kinds) == {"carried", "sum"}


# --- one step ------------------------------------------------------------------------------------
def step(p: Arrays, x: Any, prev: Arrays, now: Arrays, bar: Arrays) -> dict[str, Any]:
    """One step of the plain network, back; the slope forgotten."""
    z = np.concatenate([prev["h"], x], 1)
    d = bar["h"]
    return {"W": d.T @ z, "b": d.sum(0), "x": (d @ p["W"])[:, prev["h"].shape[1] :]}


def test_one_step() -> None:
    found = diagnose(cells.rnn, step)
    assert (found.kind, found.right) == ("slope", False)
    right = diagnose(
        cells.rnn,
        lambda p, x, prev, now, bar: step(p, x, prev, now, {"h": bar["h"] * (1 - now["h"] ** 2)}),
    )
    assert right.right


# --- arrays, and any cell ------------------------------------------------------------------------
def test_gradients_of_the_engine_are_right_for_every_cell() -> None:
    for k, (name, own) in enumerate(cells.all().items()):
        case = random_inputs(own, steps=4, batch=2, rng=k)
        run = case.unroll()
        h_bar = np.random.default_rng(k).standard_normal(run[own.output].shape)
        x, p = Tensor(case.xs), own.bind(case.parameters)
        (unroll(own, p, x, case.initial, **case.further)[own.output] * h_bar).sum().backward()
        found = {n: t.grad.numpy() for n, t in p.items() if t.grad is not None}
        found["x"] = x.grad.numpy()
        single = {n: v.astype(np.float32) for n, v in found.items()}
        for given in (found, single):
            verdict = diagnose(
                own, found=given, p=case.parameters, xs=case.xs, h_bar=h_bar,
                initial=case.initial, **case.further,
            )  # fmt: skip
            assert verdict.right, name


def test_pytorch_s_gradients_are_right() -> None:
    torch = pytest.importorskip("torch")
    from tinygrad_lstm import weights

    torch.manual_seed(0)
    layer = torch.nn.LSTM(3, 4)
    xs, h_bar = torch.randn(6, 2, 3), torch.randn(6, 2, 4)
    (layer(xs)[0] * h_bar).sum().backward()
    cell, p = weights.from_pytorch(layer.state_dict())
    # one bias is the sum of two, which share its gradient
    grads = {n: g.grad for n, g in layer.named_parameters()}
    rows = {g: grads["weight_hh_l0"][4 * k : 4 * k + 4] for k, g in enumerate("ifCo")}
    wide = {g: grads["weight_ih_l0"][4 * k : 4 * k + 4] for k, g in enumerate("ifCo")}
    found = {f"W_{g}": torch.cat([rows[g], wide[g]], 1).numpy() for g in "ifCo"}
    found |= {
        f"b_{g}": grads["bias_ih_l0"][4 * k : 4 * k + 4].numpy() for k, g in enumerate("ifCo")
    }
    given = {n: t.numpy() for n, t in p.items()}
    verdict = diagnose(cell, found=found, p=given, xs=xs.numpy(), h_bar=h_bar.numpy())
    assert verdict.right
    found["W_f"], found["W_i"] = found["W_i"], found["W_f"]
    verdict = diagnose(cell, found=found, p=given, xs=xs.numpy(), h_bar=h_bar.numpy())
    assert verdict.kind == "exchange"


# --- what cannot be compared ---------------------------------------------------------------------
def with_(name: str, change: Callable[[Any], Any]) -> Callable[..., dict[str, Any]]:
    def changed(p: Arrays, xs: Any, h_bar: Any) -> dict[str, Any]:
        found = lstm(p, xs, h_bar)
        return {**found, name: change(found.get(name))}

    return changed


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (lambda v: v.T, "transpose"),
        (lambda v: np.broadcast_to(v, (3, *v.shape)), "sum"),
        (lambda v: np.broadcast_to(v, (5, *v.shape)), "sum"),
    ],
)
def test_a_wrong_shape_that_has_a_name(change: Callable[[Any], Any], kind: str) -> None:
    verdict = diagnose(cells.lstm, with_("W_f", change))
    assert (verdict.kind, verdict.where) == (kind, "W_f")


def fails(p: Any, xs: Any, h_bar: Any) -> Any:
    raise ValueError("no")


@pytest.mark.parametrize(
    ("function", "error", "message"),
    [
        (
            with_("W_f", lambda v: v[:2, :2]),
            ShapeError,
            "the gradient of W_f has shape (2, 2), but",
        ),
        (with_("W_q", lambda v: 1.0), UnknownNameError, "no gradient of 'W_q'; there are W_f"),
        (with_("b_f", lambda v: v[:, None]), ShapeError, "Write .reshape(4)"),
        (with_("b_f", lambda v: v + 0j), DTypeError, "holds complex numbers (complex128)"),
        (with_("b_f", lambda v: v.astype(object)), DTypeError, "holds object, not numbers"),
        (with_("b_f", lambda v: v.astype(np.float16)), DTypeError, "in float32 or float64"),
        (with_("b_f", lambda v: v / 0), DataError, "the gradient of b_f is"),
        (with_("b_f", lambda v: [[1.0], [1.0, 2.0]]), ShapeError, "is ragged"),
        (with_("x", lambda v: v[:, :, :2]), ShapeError, "it is needed as (time=5, batch=3, "),
        (lambda p, xs: {}, DTypeError, "cannot be called as <lambda>(p, xs, h_bar)"),
        (with_("b_f", lambda v: v * np.nan), DataError, "the gradient of b_f is nan at [0]"),
        (with_("b_f", lambda v: v.astype(int)), DTypeError, "holds whole numbers (int64)"),
        (with_("b_f", lambda v: v.astype(str)), DTypeError, "the gradient of b_f holds <U"),
        (lambda p, xs, h_bar: 3, DTypeError, "a mapping of names to gradients is needed"),
        (lambda p, xs, h_bar: {}, DataError, "no gradient was given"),
        (fails, DataError, "fails, line"),
    ],
)
def test_bad_gradients_are_one_message(
    function: Callable[..., Any], error: type[TinygradError], message: str
) -> None:
    with pytest.raises(error) as caught:
        diagnose(cells.lstm, function)
    assert message in str(caught.value)


def test_what_a_caller_gives_besides_is_checked() -> None:
    given = {"p": cells.rnn.init(inputs=2, hidden=3), "xs": np.zeros((4, 1, 2))}
    given["h_bar"] = np.zeros((4, 1, 2))
    with pytest.raises(ShapeError, match=r"h_bar has shape \(4, 1, 2\), but the output h"):
        diagnose(cells.rnn, found={"b": np.zeros(3)}, **given)
    with pytest.raises(DTypeError, match="found is a mapping of names to arrays, got list"):
        diagnose(cells.rnn, found=[1.0], **given)  # type: ignore[arg-type]
    with pytest.raises(DTypeError, match="diagnose takes a function, got int"):
        diagnose(cells.rnn, 3)  # type: ignore[arg-type]
    with pytest.raises(CellError, match="diagnose each cell by itself"):
        diagnose(stack([cells.rnn, cells.rnn]), lstm)  # type: ignore[arg-type]


def test_none_and_tensors_of_frameworks() -> None:
    torch = pytest.importorskip("torch")

    def mixed(p: Arrays, xs: Any, h_bar: Any) -> dict[str, Any]:
        found = lstm(p, xs, h_bar)
        grown = torch.tensor(found["W_f"], requires_grad=True)
        return {**found, "W_f": grown, "b_f": Tensor(found["b_f"]), "W_i": None, "x": None}

    assert diagnose(cells.lstm, mixed).right


def test_a_gradient_that_is_zero_but_for_rounding() -> None:
    @cell(state="h", parameters={"W": "hidden, hidden + inputs", "b": "hidden"})
    def centred(now: Any, prev: Any, x: Any, p: Any) -> None:
        z = p.W @ concat(prev.h, x) + p.b.sum()  # b moves all entries alike, which is taken out
        now.h = tanh(z - z.mean())

    case = random_inputs(centred, steps=6, batch=3, rng=1)
    h_bar = np.random.default_rng(2).standard_normal(case.unroll()["h"].shape)

    def found(dtype: Any) -> dict[str, Any]:
        p = centred.bind({n: Tensor(v.astype(dtype)) for n, v in case.parameters.items()})
        initial = {n: v.astype(dtype) for n, v in case.initial.items()}
        run = unroll(centred, p, case.xs.astype(dtype), initial)
        (run["h"] * h_bar.astype(dtype)).sum().backward()
        return {n: t.grad.numpy() for n, t in p.items() if t.grad is not None}

    given = {"p": case.parameters, "xs": case.xs, "h_bar": h_bar, "initial": case.initial}
    assert np.abs(found(float)["b"]).max() < 1e-12
    for dtype in (np.float32, np.float64):
        assert diagnose(centred, found=found(dtype), **given).right
    wrong = {**found(np.float32), "b": np.full_like(case.parameters["b"], 0.1)}
    assert diagnose(centred, found=wrong, **given).where == "b"


def test_a_wrong_shape_and_another_mistake() -> None:
    def both(p: Arrays, xs: Any, h_bar: Any) -> dict[str, Any]:
        found = lstm(p, xs, h_bar, "C is not carried")
        return {**found, "W_o": found["W_o"].T}

    assert diagnose(cells.lstm, both).kinds == ("transpose", "carried")


def test_arrays_need_what_they_were_computed_for() -> None:
    with pytest.raises(DataError, match="found= needs p, h_bar"):
        diagnose(cells.lstm, found={}, xs=np.zeros((2, 1, 3)))
    with pytest.raises(DataError, match="a function, .* or arrays"):
        diagnose(cells.lstm)


# --- words and the command -----------------------------------------------------------------------
def test_every_message_is_in_three_languages() -> None:
    for file in Path(diagnosis.__file__).parent.glob("*words.toml"):
        for message, texts in tomllib.loads(file.read_text(encoding="utf-8")).items():
            assert list(texts) == ["en", "ko", "zh"], message
            fields = [
                {part.split("}")[0] for part in text.split("{")[1:]} for text in texts.values()
            ]
            assert fields[0] == fields[1] == fields[2], message


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        "import numpy as np\n\n"
        "def back(p, x, prev, now, bar):\n"
        "    d = bar['h'] * (1 - now['h'] ** 2)\n"
        "    return {'b': d.sum(0), 'W': d.T @ np.concatenate([x, prev['h']], 1)}\n",
        encoding="utf-8",
    )
    assert main(["diagnose", "rnn", f"{file}:back"]) == 1
    assert "[x, h] for [h, x]" in capsys.readouterr().out
    assert main(["diagnose", "rnn", f"{file}:back", "--language", "zh"]) == 1
    assert "列顺序不同" in capsys.readouterr().out
    assert main(["diagnose", "rnn", f"{file}:forth"]) == 2
    assert "no function 'forth'; the file has back" in capsys.readouterr().err
    assert main(["diagnose", "rnn", "back"]) == 2
    assert "write path/to/file.py:NAME" in capsys.readouterr().err
