"""What units remember: against cells whose units are known, and NumPy written afresh."""

from __future__ import annotations

import numpy as np
import pytest

from tinygrad_lstm import cell, cells, concat, learning, matvec, tanh
from tinygrad_lstm.errors import DataError, UnknownNameError
from tinygrad_lstm.learning import PROBES
from tinygrad_lstm.learning.streams import Streams

WORDS = ["to", "be", "or", "not", "that", "is", "the", "question"]


def text_of(lines: int, seed: int = 0) -> str:
    random = np.random.default_rng(seed)
    told = []
    for k in range(lines):
        words = " ".join(random.choice(WORDS, random.integers(2, 7)))
        told.append(words.upper() if k % 3 == 0 else f"{words} ({words}) done")
    return "\n".join(told) + "\n"


TEXT = text_of(150)


def test_probes_say_what_their_docstrings_do() -> None:
    assert list(PROBES["place in word"]("To be, it's")) == [1, 2, 0, 1, 2, 0, 0, 1, 2, 3, 4]
    assert list(PROBES["place in line"]("ab\n\nc")) == [1, 2, 0, 0, 1]
    said = PROBES["speaker line"]("SAM.\nHe SAID\nI\n")
    np.testing.assert_array_equal(said[3:4], [1])
    assert np.isnan(said[[0, 1, 2, 4, 5, 6, 7, 12, 13, 14]]).all()
    np.testing.assert_array_equal(said[8:12], 0)
    assert list(PROBES["quotes"]('a"b"c“d”')) == [0, 1, 1, 0, 0, 1, 1, 0]
    assert list(PROBES["quotes"]('a"b\n\nc')) == [0, 1, 1, 1, 0, 0]
    assert list(PROBES["brackets"]("(a[b])c)")) == [1, 1, 2, 2, 1, 0, 0, 0]
    assert PROBES["last vowel"]("sé bO") == ["", "e", "e", "e", "o"]


@cell(state="n", parameters={"w": "hidden, inputs"})
def since(now, prev, x, p):  # type: ignore[no-untyped-def]
    now.n = (prev.n + 1) * matvec(p.w, x)


def test_a_unit_that_counts_is_found() -> None:
    model = learning.CharacterModel(since, TEXT, input="one-hot", hidden=5, dtype=np.float64)
    w = np.full((5, len(model.vocabulary)), 0.1)
    w[3] = [symbol != "\n" for symbol in model.vocabulary.symbols]  # since the line's start
    w[1] = [symbol.isalpha() for symbol in model.vocabulary.symbols]  # since the word's
    model.parameters = {**model.parameters, "w": w}
    found = learning.meaning(model, TEXT, ["place in line", "place in word"], top=1)
    assert [(row.equation, row.unit) for row in found] == [("n", 3), ("n", 1)]
    assert all(row.r == pytest.approx(1.0, abs=1e-9) for row in found)
    assert found.correlations["place in line"]["n"][0] == pytest.approx(0.0)


def test_correlations_and_costs_equal_numpy_s() -> None:
    model = learning.CharacterModel(cells.lstm, TEXT, hidden=6, inputs=4, dtype=np.float64, seed=3)
    p = {n: 3.0 * np.asarray(v) for n, v in model.parameters.items()}
    model.parameters = p
    found = learning.meaning(model, TEXT, tried=1000, top=2)
    streams = Streams(model.vocabulary.encode(TEXT), 60_000)
    trial = Streams(model.vocabulary.encode(TEXT), 1000, 8)

    def run(where: Streams, off: tuple[str, int] | None) -> tuple[dict[str, list], np.ndarray]:
        values: dict[str, list] = {}
        costs = []
        for first in where.places.reshape(where.count, -1)[:, 0]:
            h, c = np.zeros(6), np.zeros(6)
            for t in range(first - where.lead, first + where.each):
                hx = np.concatenate([h, p["input.E"][model.vocabulary.encode(TEXT[t])[0]]])
                now = {}

                def put(name: str, value: np.ndarray, now: dict = now) -> np.ndarray:
                    value = value.copy()
                    if off and off[0] == name:
                        value[off[1]] = 0.0
                    now[name] = value
                    return value

                def gate(n: str, hx: np.ndarray = hx) -> np.ndarray:
                    return 1 / (1 + np.exp(-(p[f"W_{n}"] @ hx + p[f"b_{n}"])))

                f, i = put("f", gate("f")), put("i", gate("i"))
                candidate = put("C_tilde", np.tanh(p["W_C"] @ hx + p["b_C"]))
                c = put("C", f * c + i * candidate)
                o = put("o", gate("o"))
                h = put("h", o * np.tanh(c))
                if t >= first:
                    z = p["output.W_y"] @ h + p["output.b_y"]
                    came = model.vocabulary.encode(TEXT[t + 1])[0]
                    costs.append((np.log(np.exp(z).sum()) - z[came]) / np.log(2))
                    for name, value in now.items():
                        values.setdefault(name, []).append(value)
        return values, np.array(costs)

    values, costs = run(streams, None)
    assert found.bits == pytest.approx(costs.mean(), abs=1e-9)
    half = len(streams.places) // 2
    for probe in ("place in word", "speaker line", "brackets"):
        said = PROBES[probe](TEXT)[streams.places][half:]
        there = np.isfinite(said)
        for name, rows in values.items():
            for unit in (0, 5):
                v = np.array(rows)[half:, unit]
                r = np.corrcoef(v[there], said[there])[0, 1]
                assert found.correlations[probe][name][unit] == pytest.approx(r, abs=1e-8)
    before = run(trial, None)[1]
    for row in {(r.equation, r.unit): r for r in found[:4]}.values():
        more = run(trial, (row.equation, row.unit))[1] - before
        assert row.cost == pytest.approx(more.mean(), abs=1e-8)
        said = PROBES[row.probe](TEXT)[trial.places] if row.probe in PROBES else None
        if said is not None:
            on = np.isfinite(said) & (said != 0)
            assert row.cost_on == pytest.approx(more[on].mean(), abs=1e-8)


def test_a_probe_of_one_s_own_and_words() -> None:
    model = learning.CharacterModel(cells.gru, TEXT, hidden=4, inputs=3)

    def kind_of_line(text: str) -> list[str]:
        return ["verse" if "(" in line else "" for line in text.split("\n") for _ in line + "\n"][
            : len(text)
        ]

    found = learning.meaning(model, TEXT, [kind_of_line, "brackets"], top=1, tried=0)
    assert found.silent == ("kind of line verse",)  # there is one word alone
    assert {row.probe for row in found} == {"brackets"}
    assert np.isnan(found[0].cost)
    again = learning.meaning(model, TEXT, [kind_of_line, "brackets"], top=1, tried=0)
    assert str(found) == str(again) and "brackets" in found._repr_mimebundle_()["text/html"]


def test_what_is_wrong_is_named() -> None:
    model = learning.CharacterModel(cells.rnn, TEXT, hidden=3, inputs=2)
    with pytest.raises(UnknownNameError, match="no probe 'rhyme'.*place in word"):
        learning.meaning(model, TEXT, ["rhyme"])
    with pytest.raises(UnknownNameError, match="no equation 'C'"):
        learning.meaning(model, TEXT, equations=["C"])
    with pytest.raises(DataError, match="too few"):
        learning.meaning(model, TEXT[:20])
    with pytest.raises(DataError, match="one for each"):
        learning.meaning(model, TEXT, {"bad": lambda text: [1, 2]})
    with pytest.raises(DataError, match="not -1|not 9"):
        learning.switched_off(model, Streams(model.vocabulary.encode(TEXT), 500), [("h", 9)])


def test_odd_cells_are_switched_off() -> None:
    @cell(state="keep_h h", parameters={"W": "hidden, hidden + inputs"}, x="inputs")
    def odd(now, prev, x, p):  # type: ignore[no-untyped-def]
        now.keep_h = 0.5 * prev.keep_h + prev.h
        now.h = tanh(matvec(p.W, concat(prev.h, x))) + 0.1 * now.keep_h

    model = learning.CharacterModel(odd, TEXT, hidden=3, inputs=3)
    found = learning.meaning(model, TEXT, ["place in word"], top=3)
    assert len(found) == 3 and all(np.isfinite(row.cost) for row in found)
