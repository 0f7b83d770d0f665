"""A network with read-out and loss: compiled as one, it is what the interpreter computes."""

import random

import numpy as np
import pytest
from compiling import MISSING
from corpus import draw
from readings.subjects import CELLS
from sampling import WHOLE

from tinygrad_lstm import bidirectional, cell, cells, compiled, concat, matvec, stack, tanh, unroll
from tinygrad_lstm.errors import CellError, DataError, DTypeError, ShapeError, UnknownNameError
from tinygrad_lstm.learning import (
    SGD,
    Adam,
    DivergenceError,
    Learner,
    Objective,
    RMSProp,
    bernoulli,
    cross_entropy,
    readout,
    squared_error,
)
from tinygrad_lstm.learning.readouts import LOSS, Z

LOSSES = ("cross-entropy", "squared-error", "bernoulli")
RNG = np.random.default_rng(7)
OUTPUTS, SYMBOLS, TIME, BATCH = 4, 6, 5, 3


def vector(which):
    """Whether a cell reads a vector and gives one, so that it can be read out."""
    program = which.program()
    return program.equations[which.output].ndim == 1


READ = {name: which for name, which in CELLS.items() if vector(which)}
SOME = random.Random(3).sample(sorted(READ), 7) + ["char_rnn", "clockwork", "lstm"]
DRAWN = sorted(READ) if WHOLE else SOME


def batch(model, problem, lead):
    """Targets and inputs for a model of a problem's cell."""
    loss, rows = model.loss.name, (TIME, *lead) if model.at == "every" else lead
    shape = rows if model.loss.indices else (*rows, OUTPUTS)
    targets = RNG.integers(OUTPUTS, size=shape) if model.loss.indices else RNG.random(shape)
    if loss == "squared-error":
        targets = targets - 0.5
    return RNG.integers(SYMBOLS, size=(TIME, *lead)) if model.symbols else problem.xs, targets


def compare(model, p, sizes, tolerance, *given, **options):
    """Loss, gradients and final states of compiled code, twice, beside the interpreter's."""
    expected = Objective(model, p, eager=True, **sizes)(p, *given, **options)
    objective = Objective(model, p, **sizes)
    for _ in range(2):  # the second finds everything ready
        found = objective(p, *given, **options)
        assert found.loss == pytest.approx(expected.loss, rel=tolerance)
        for name, value in expected.gradient.items():
            close(found.gradient[name], value, tolerance, name)
        for name, value in expected.final.items():
            close(found.final[name], value, tolerance, name)
    assert found.gradient.vector.dtype == p.vector.dtype
    return found


def close(found, expected, tolerance, name):
    assert found.shape == expected.shape, name
    scale = max(1.0, np.abs(expected).max(initial=0.0))
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * scale, err_msg=name)


@pytest.mark.parametrize(("k", "name"), [*enumerate(DRAWN)])
def test_cells_as_they_are_posted(k, name):
    problem = draw(READ[name], TIME, BATCH)
    at, loss = ("every", "end")[k % 2], LOSSES[k % 3]
    symbols = SYMBOLS if problem.xs.ndim == 3 and k % 4 == 0 else 0
    model = readout(problem.cell, OUTPUTS, loss=loss, at=at, symbols=symbols)
    dtype, tolerance = (np.float64, 1e-10) if k % 5 else (np.float32, 1e-5)
    fresh = model.init(1, dtype, **problem.sizes)
    p = fresh.fit({**fresh, **problem.p})
    options = {"initial": problem.initial, "lengths": [5, 2, 4] if k % 3 == 1 else None}
    given = batch(model, problem, (BATCH,))
    compare(model, p, problem.sizes, tolerance, *given, **options, further=problem.further)


@pytest.mark.parametrize("at", ["every", "end"])
@pytest.mark.parametrize("loss", LOSSES)
def test_ways_of_giving_a_batch(loss, at):
    model = readout(cells.lstm, OUTPUTS, loss=loss, at=at)
    sizes = {"hidden": 3, "inputs": 2}
    p = model.init(0, np.float64, **sizes)
    for lead in ((), (2, 2)):
        problem = draw(cells.lstm, TIME, None, **sizes)
        xs = RNG.normal(size=(TIME, *lead, 2))
        _, target = batch(model, problem, lead)
        compare(model, p, sizes, 1e-10, xs, target)
        weights = RNG.random(lead if at == "end" else (TIME, *lead)) + 0.1
        compare(model, p, sizes, 1e-10, xs, target, weights=weights)
    lengths = [[1, 5], [3, 2]]
    compare(model, p, sizes, 1e-10, xs, target, lengths=lengths)
    compare(model, p, sizes, 1e-10, xs, target, lengths=lengths, weights=weights)


@pytest.mark.parametrize("n", [1, 3])
def test_sizes_that_coincide(n):
    for input in ("embedding", "one-hot"):
        model = readout(cells.gru, n, symbols=n, input=input)
        sizes = {"hidden": n, "inputs": n}
        p = model.init(0, np.float64, **sizes)
        ids = RNG.integers(n, size=(n + 1, n))
        compare(model, p, sizes, 1e-10, ids[:-1], ids[1:])


@pytest.mark.parametrize(
    "network", [stack([cells.lstm, cells.gru]), bidirectional(cells.rnn)], ids=str
)
def test_networks_of_several_parts(network):
    sizes = {"hidden": 3, "inputs": 2}
    for at in ("every", "end"):
        model = readout(network, OUTPUTS, at=at, symbols=SYMBOLS)
        p = model.init(0, np.float64, **sizes)
        ids = RNG.integers(SYMBOLS, size=(TIME, BATCH))
        target = ids % OUTPUTS if at == "every" else ids[0] % OUTPUTS
        for lengths in (None, [5, 1, 3]):
            compare(model, p, sizes, 1e-10, ids, target, lengths=lengths)


@cell(state="z L", parameters={"W target E": "hidden, hidden + inputs", "b_y h": "hidden"})
def misnamed(now, prev, x, p):
    """Names that a read-out has, too, and a parameter that nothing reads."""
    zx = concat(prev.z, x)
    now.output = tanh(matvec(p.W, zx) + p.b_y)
    now.n = tanh(matvec(p.E, zx))
    now.given = now.n * now.output
    now.L = 0.5 * prev.L + now.given
    now.z = now.L - prev.z * now.output


def test_names_that_collide_and_gradients_that_are_absent():
    model, sizes = readout(misnamed, OUTPUTS, symbols=SYMBOLS), {"hidden": 3, "inputs": 2}
    p = model.init(0, np.float64, **sizes)
    ids = RNG.integers(SYMBOLS, size=(TIME + 1, BATCH))
    found = compare(model, p, sizes, 1e-10, ids[:-1], ids[1:] % OUTPUTS)
    assert not found.gradient["target"].any() and not found.gradient["h"].any()
    for optimiser in (Adam(0.1), RMSProp(0.1), SGD(0.1, 0.9)):
        learner = Learner(model, parameters=p, optimiser=optimiser, dtype=np.float64, **sizes)
        learner.step(ids[:-1], ids[1:] % OUTPUTS)
        assert np.array_equal(learner.parameters["target"], p["target"])
        assert not np.array_equal(learner.parameters["W"], p["W"])


def test_the_step_is_one_program_that_is_run_and_read_like_any():
    model = readout(cells.lstm, OUTPUTS)
    step = model.step(hidden=3, inputs=2)
    xs, target = RNG.normal(size=(TIME, BATCH, 2)), RNG.integers(OUTPUTS, size=(TIME, BATCH))
    p = model.init(0, np.float64, hidden=3, inputs=2)
    for network in (step, compiled(step)):
        run = unroll(network, dict(p), xs, **{"output.target": target.astype(float)})
        expected = cross_entropy(run[Z], target)
        assert float(run[LOSS].mean()) == pytest.approx(float(expected), rel=1e-12)
    plan = compiled(step).plan(hidden=3, inputs=2)
    assert plan.products["deferred"] == 3  # one of them that of W_y


def test_a_loss_is_the_mean_over_what_is_there():
    model = readout(cells.rnn, 2, loss="bernoulli")
    learner = Learner(model, hidden=3, inputs=2, dtype=np.float64)
    xs, target = RNG.normal(size=(TIME, 2, 2)), RNG.random((TIME, 2, 2))
    parts = [learner.loss(xs[:n, [k]], target[:n, [k]]) for k, n in enumerate((5, 2))]
    whole = learner.loss(xs, target, lengths=[5, 2])
    assert whole == pytest.approx((5 * parts[0] + 2 * parts[1]) / 7, rel=1e-12)
    xs[2:, 1] = 1e300  # padding is not looked at
    assert learner.loss(xs, target, lengths=[5, 2]) == whole


@pytest.mark.parametrize("loss", LOSSES)
def test_losses_agree_with_pytorch(loss):
    torch = pytest.importorskip("torch")
    z, target = RNG.normal(size=(5, 3, 4)), RNG.random((5, 3, 4))
    ids, f = RNG.integers(4, size=(5, 3)), torch.nn.functional
    theirs = torch.tensor(z)
    expected, found = {
        "cross-entropy": (
            lambda: f.cross_entropy(theirs.reshape(-1, 4), torch.tensor(ids).reshape(-1)),
            lambda: cross_entropy(z, ids),
        ),
        "squared-error": (
            lambda: f.mse_loss(theirs, torch.tensor(target)),
            lambda: squared_error(z, target),
        ),
        "bernoulli": (
            lambda: f.binary_cross_entropy_with_logits(theirs, torch.tensor(target)) * 4,
            lambda: bernoulli(z, target),
        ),
    }[loss]
    assert float(found()) == pytest.approx(float(expected()), rel=1e-12)


# --- learning -------------------------------------------------------------------------------------
@pytest.mark.parametrize("code", ["c", "numpy"])
def test_it_learns_what_was_seen_at_the_start(code, monkeypatch):
    if code == "c" and MISSING:
        pytest.skip(MISSING)
    if code == "numpy":
        monkeypatch.setenv("TINYGRAD_LSTM_CC", "")
    model = readout(cells.gru, 1, loss="bernoulli", at="end")
    learner = Learner(model, inputs=2, hidden=8, optimiser=Adam(0.03), clip=1.0, clip_entries=0.5)
    random, losses = np.random.default_rng(0), []
    for _ in range(150):
        xs = random.normal(size=(6, 32, 2))
        losses.append(learner.step(xs, xs[0, :, :1] > 0).loss)
    assert np.mean(losses[-10:]) < 0.3 < 0.6 < np.mean(losses[:10])
    assert learner.steps == 150 and learner.parameters["W_z"].dtype == np.float32


def test_states_are_carried_into_the_next_batch():
    model = readout(cells.lstm, 3, loss="squared-error")
    learner = Learner(model, inputs=2, hidden=4, optimiser=SGD(1e-300), dtype=np.float64)
    xs, target = RNG.normal(size=(6, 2, 2)), RNG.normal(size=(6, 2, 3))
    whole = learner.step(xs, target)
    first = learner.step(xs[:2], target[:2])
    second = learner.step(xs[2:], target[2:], initial=first.final)
    assert whole.loss == pytest.approx((2 * first.loss + 4 * second.loss) / 6, rel=1e-12)
    np.testing.assert_allclose(second.final["C"], whole.final["C"], rtol=1e-12)


def test_what_leaves_the_finite_numbers_is_named_and_changes_nothing():
    learner = Learner(readout(cells.rnn, 1, loss="squared-error"), inputs=1, hidden=2)
    before = learner.parameters
    with pytest.raises(DivergenceError, match=r"after step 0 the loss is inf"):
        learner.step(np.ones((2, 1, 1)), np.full((2, 1, 1), 1e30))
    assert learner.parameters is before and learner.steps == 0


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: readout(cells.lstm, 2, loss="hinge"), UnknownNameError, "no loss 'hinge'"),
        (lambda: readout(cells.lstm, 2, at="start"), DataError, "at is 'every' or 'end'"),
        (lambda: readout(cells.lstm, 0), DataError, "outputs is a whole number of at least 1"),
        (lambda: readout(cells.lstm, 2, input="x"), DataError, "input is 'embedding' or"),
        (lambda: readout("lstm", 2), CellError, "readout needs a cell or a network"),
        (lambda: Learner(readout(cells.rnn, 2), hidden=2), ShapeError, "needs inputs=…"),
        (lambda: small(clip=0), DataError, "clip must be a number above 0"),
        (lambda: small().step([[0, 3]], [[0, 1]]), DataError, "symbols must lie between 0 and 2"),
        (lambda: small().step([[0, 1]], [[0, 2]]), DataError, "targets must lie between 0 and 1"),
        (lambda: small().step([[0.5, 1]], [[0, 1]]), DTypeError, "symbols are indices"),
        (lambda: small().step([[0, 1]], [[0, 1, 1]]), ShapeError, r"output\.target has shape"),
        (lambda: small().step([[0, 1]], [[0, 1]], lengths=[2, 1]), DataError, "lengths holds 2"),
        (lambda: small().step([[0, 1]], [[0, 1]], weights=[[0, 0]]), DataError, "not all zero"),
        (lambda: small().step([[0, 1]], [[0, 1]], initial={"C": 0.0}), UnknownNameError, "initial"),
        (lambda: SGD(0.1, nesterov=True), DataError, "nesterov needs a momentum"),
        (lambda: readout(stack([cells.rnn]), 2).step(), CellError, "no step that is one Program"),
    ],
)
def test_bad_input_is_named(make, error, message):
    with pytest.raises(error, match=message):
        make()


def small(**options):
    return Learner(readout(cells.rnn, 2, symbols=3), hidden=2, inputs=2, **options)
