"""Character models: gradients of every cell, observation, samples."""

import re

import numpy as np
import pytest
from problems import further, sizes_of

from tinygrad_lstm import cell, cells, learning, matvec, tanh, value_and_grad
from tinygrad_lstm.errors import CellError, DataError, DTypeError, ShapeError, UnknownNameError
from tinygrad_lstm.learning import CharacterModel


@cell(state="h", parameters={"U": "hidden, hidden"}, x="hidden")
def narrow(now, prev, x, p):
    """A cell whose input is as wide as its state."""
    now.h = tanh(matvec(p.U, prev.h) + x)


@cell(state="s", parameters={"A": "hidden, inputs"}, sequences={"noise": "hidden"})
def noisy(now, prev, x, p, noise):
    """A cell with a further input at each step, and a state that is not called h."""
    now.s = tanh(matvec(p.A, x) + 0.5 * prev.s + noise)


@cell(state={"z": "code", "M": "slots, code"}, parameters={"V": "code, latent"}, x="latent")
def elsewhere(now, prev, x, p):
    """A cell whose sizes are called neither hidden nor inputs, with a state that is a table."""
    now.v = matvec(p.V, x)
    now.M = 0.5 * prev.M + now.v
    now.z = tanh(now.v + 0.5 * prev.z)


@cell(state={"M": "slots, code"}, parameters={"V": "code, inputs"})
def table(now, prev, x, p):
    """A cell without a vector to predict from."""
    now.M = 0.5 * prev.M + matvec(p.V, x)


ALL = [*cells.all().values(), narrow]


@pytest.mark.sample(3)
@pytest.mark.parametrize("kind", ["embedding", "one-hot"])
@pytest.mark.parametrize("which", ALL, ids=str)
def test_gradients_by_complex_step(which, kind):
    units = 4 if "inputs" not in which.sizes else 3
    sizes = {name: n for name, n in sizes_of(which, units).items() if name != "inputs"}

    def given(start, shape):
        return further(which, sizes, *shape)

    own = given if which.sequences or which.constants else None
    model = CharacterModel(
        which, "abcd", input=kind, dtype=np.float64, seed=3, further=own, **sizes
    )
    ids = np.array([0, 2, 1, 3, 3])
    states = {name: np.full(units, 0.1) for name in which.state}

    def loss(p):
        run = model.run(ids[:-1], states, parameters=p)
        return learning.cross_entropy(model.logits(run, p), ids[1:])

    _, gradients = value_and_grad(loss)(model.parameters)
    assert set(gradients) == set(model.parameters)
    for name, value in model.parameters.items():
        expected = np.zeros(value.shape)
        for place in np.ndindex(value.shape):
            shifted = value.astype(complex)
            shifted[place] += 1e-30j
            cost = loss({**model.parameters, name: shifted})
            expected[place] = np.imag(np.asarray(getattr(cost, "data", cost))) / 1e-30
        np.testing.assert_allclose(gradients[name].data, expected, atol=1e-14, err_msg=name)


def test_parameters_of_a_model():
    model = CharacterModel(cells.gru, "abcd", hidden=5, inputs=3)
    shapes = {name: value.shape for name, value in model.parameters.items()}
    assert shapes == {
        "W_z": (5, 8),
        "W_r": (5, 8),
        "W_h": (5, 8),
        "input.E": (4, 3),
        "output.W_y": (4, 5),
        "output.b_y": (4,),
    }
    assert all(value.dtype == np.float32 for value in model.parameters.values())
    assert model.count == 3 * 40 + 12 + 20 + 4
    assert repr(model) == (
        "CharacterModel of cell 'gru': hidden=5, inputs=3, embedding input, 156 numbers"
    )


def test_the_width_of_x_has_any_name():
    assert CharacterModel(elsewhere, "abc", code=2, slots=3, dtype=float).sizes == {
        "latent": 64,
        "code": 2,
        "slots": 3,
    }
    one_hot = CharacterModel(elsewhere, "abc", input="one-hot", code=2, slots=3)
    assert one_hot.sizes["latent"] == 3
    assert CharacterModel(narrow, "abc").sizes == {"hidden": 128}
    assert CharacterModel(narrow, "abc", input="one-hot").sizes == {"hidden": 3}


def test_what_is_read_out_is_the_output_of_the_cell():
    for which in [*ALL, elsewhere]:
        sizes = sizes_of(which, 4, 3)
        own = (lambda *_: {}) if which.sequences or which.constants else None
        model = CharacterModel(which, "abcd", further=own, **sizes)
        assert model.output == which.output
        width = which.program(**sizes).equations[which.output].shape
        assert model.parameters["output.W_y"].shape == (4, *width)


def test_start_values():
    usual = CharacterModel(cells.lstm, "abc", hidden=3).parameters
    model = CharacterModel(cells.lstm, "abc", hidden=3, start={"b_f": 2})
    assert model.start == {"b_f": 2}
    for name, value in model.parameters.items():
        expected = np.full(3, 2.0) if name == "b_f" else usual[name]
        np.testing.assert_array_equal(value, expected)


def test_further_inputs_know_where_in_the_text_they_are():
    asked = []

    def further(start, shape):
        asked.append((start, shape))
        return {"noise": np.full((*shape, 2), 0.01, np.float32)}

    model = CharacterModel(noisy, "abc" * 30, hidden=2, further=further)
    training = learning.Training(model, "abc" * 30, batch=2, length=8, sample=3)
    training.run(steps=2)
    assert (8, (8, 2)) in asked and asked[-1] == (2, (1,))


def test_observation():
    model = CharacterModel(cells.lstm, "to be", hidden=6, dtype=np.float64)
    seen = model.observe("to be")
    assert seen.run["f"].shape == (5, 6)
    assert seen.probabilities.shape == (5, 5)
    np.testing.assert_allclose(seen.probabilities.sum(-1), 1.0, rtol=1e-14)
    ids = model.vocabulary.encode("to be")
    expected = -np.log2(seen.probabilities[range(4), ids[1:]])
    np.testing.assert_allclose(seen.bits, expected, rtol=1e-12)
    mean = learning.evaluate(model, ids)
    assert np.mean(seen.bits) == pytest.approx(mean, rel=1e-12)
    best = seen.expected(2, 5)
    assert [p for _, p in best] == sorted(seen.probabilities[2], reverse=True)
    assert {s for s, _ in best} == set("to be")


@pytest.mark.parametrize("count", [0, 1])
def test_of_one_symbol_nothing_is_predicted(count: int):
    model = CharacterModel(cells.rnn, "abc", hidden=3)
    with pytest.raises(DataError, match=f"nothing to predict in {count} symbols; give at least"):
        learning.evaluate(model, model.vocabulary.encode("a" * count))


def test_evaluation_reads_every_stream_alike():
    model = CharacterModel(cells.rnn, "abc", hidden=3, dtype=np.float64)
    ids = model.vocabulary.encode("abcacbbca" * 60)
    whole = learning.evaluate(model, ids, streams=1, length=len(ids))
    assert learning.evaluate(model, ids, streams=1, length=7) == pytest.approx(whole, rel=1e-12)
    # two streams of half the text each, from zero states
    half = (len(ids) - 1) // 2
    parts = [learning.evaluate(model, part) for part in (ids[: half + 1], ids[half:])]
    both = learning.evaluate(model, ids[: 2 * half + 1], streams=2)
    assert both == pytest.approx(np.mean(parts), rel=1e-3)


def test_samples():
    model = CharacterModel(cells.rnn, "abcdef\n", hidden=8)
    first = learning.sample(model, 40, seed=1)
    assert len(first) == 40 and set(first) <= set("abcdef\n")
    assert first == learning.sample(model, 40, seed=1) != learning.sample(model, 40, seed=2)
    bold = learning.sample(model, 20, temperature=0, seed=1, prompt="ab")
    assert bold == learning.sample(model, 20, temperature=1e-300, seed=2, prompt="ab")
    likeliest = model.observe("ab").expected(1, 1)[0][0]
    assert bold[0] == likeliest
    assert learning.sample(model, 0) == ""


def test_samples_follow_the_probabilities():
    model = CharacterModel(cells.rnn, "abc", hidden=2, dtype=np.float64)
    p = model.observe("a").probabilities[0] ** 2  # temperature 1/2 squares the odds
    drawn = [learning.sample(model, 1, temperature=0.5, seed=k, prompt="a") for k in range(1000)]
    counts = np.array([drawn.count(symbol) for symbol in "abc"])
    deviations = (counts / 1000 - p / p.sum()) / np.sqrt(p / p.sum() / 1000)
    assert np.abs(deviations).max() < 4


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda m: CharacterModel(cells.rnn, "ab", input="hot"),
            DataError,
            "input is 'embedding' or 'one-hot', got 'hot'.",
        ),
        (
            lambda m: CharacterModel(cells.rnn, ""),
            DataError,
            "a vocabulary needs at least one symbol, but the text is empty.",
        ),
        (
            lambda m: CharacterModel(cells.rnn, "ab", hidden=0),
            ShapeError,
            "cell 'rnn': hidden must be a whole number of at least 1, got 0.",
        ),
        (
            lambda m: CharacterModel(narrow, "ab", input="one-hot", hidden=3),
            ShapeError,
            "cell 'narrow': x is (hidden) = 3 numbers, but one-hot input has one for each of the 2 "
            "symbols.\n  Use embedding input, or sizes that make x 2 long.",
        ),
        (
            lambda m: CharacterModel(elsewhere, "ab"),
            ShapeError,
            "cell 'elsewhere' needs code=…, slots=…: its sizes are code, slots, latent.",
        ),
        (
            lambda m: CharacterModel(table, "ab", slots=2, code=3),
            CellError,
            "cell 'table': the output M has the shape (2, 3), but a vector is needed to predict "
            "from.\n  Name a state with one axis h.",
        ),
        (
            lambda m: CharacterModel(cells.rnn, "ab", start={"hidden": 3}),
            UnknownNameError,
            "cell 'rnn' has no parameter 'hidden' to start; its parameters are W, b.",
        ),
        (
            lambda m: CharacterModel(cells.rnn, "ab", dtype="junk"),
            DTypeError,
            "parameters are floating-point numbers, got dtype 'junk'.",
        ),
        (
            lambda m: CharacterModel(cells.rnn, "ab", dtype=int),
            DTypeError,
            "parameters are floating-point numbers, got dtype <class 'int'>.",
        ),
        (
            lambda m: CharacterModel(noisy, "ab"),
            CellError,
            "cell 'noisy' has further inputs (noise), which text does not give.\n"
            "  Make them parameters, or pass further=f in Python, a function "
            "f(start, shape) of their values.",
        ),
        (
            lambda m: m.observe(""),
            DataError,
            "there is no text to observe; give at least one character.",
        ),
        (lambda m: learning.sample(m, -1), DataError, "a sample has 0 characters or more, got -1."),
        (
            lambda m: learning.sample(m, 1, temperature=float("nan")),
            DataError,
            "temperature must be 0 or more, got nan.",
        ),
    ],
)
def test_bad_arguments(call, error, message):
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        call(CharacterModel(cells.rnn, "ab", hidden=2))
