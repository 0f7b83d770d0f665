"""Training on tasks: any network, optimiser and schedule goes on exactly, even when killed."""

import dataclasses
import os
import re
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest
from problems import useful
from small_tasks import adding, rolls, streams

from tinygrad_lstm import bidirectional, cell, cells, concat, learning, matvec, stack, tanh
from tinygrad_lstm.errors import CellError, DataError, ShapeError, UnknownNameError
from tinygrad_lstm.learning import (
    SGD,
    Adam,
    Batch,
    CheckpointError,
    Constant,
    Cosine,
    DivergenceError,
    InverseRoot,
    Linear,
    Objective,
    RMSProp,
    StepDecay,
    Training,
)

SMALL = {"batch": 3, "every": 4}


@cell(state="h", parameters={"W": "hidden, hidden + inputs"}, noise={"given": "hidden"})
def noisy(now, prev, x, p, given):
    now.n = matvec(p.W, concat(prev.h, x))
    now.h = tanh(now.n + 0.1 * given)


def trained(task, network, steps, path=None, **options):
    training = Training(task, network, **{**SMALL, **options})
    training.run(steps=steps, checkpoint=path)
    return training


def content(training):
    """All that a training will go on from, the seconds apart."""
    state = training.state
    arrays = [state.parameters, *state.averages.values(), *[state.carried] * bool(state.carried)]
    numbers = [[getattr(v, "data", v).tobytes() for v in each.values()] for each in arrays]
    history = [dataclasses.replace(record, seconds=0.0) for record in state.history]
    return dataclasses.replace(state.position, seconds=0.0), numbers, history


CASES = {
    "cell": (adding(), cells.lstm, {"b_f": 2.0, "hidden": 3, "optimiser": Adam(0.01)}),
    "stack": (rolls(), stack([cells.gru, cells.rnn]), {"hidden": 3, "optimiser": RMSProp(0.01)}),
    "both ways": (
        rolls(),
        bidirectional(cells.lstm),
        {"hidden": 3, "optimiser": SGD(0.1, 0.9, True), "schedule": Cosine(9, 0.1, 2)},
    ),
    "streams": (streams(), cells.lstm, {"hidden": 3, "weight_noise": 0.01}),
    "embedded": (streams(), cells.mut1, {"hidden": 3}),
    "linear": (adding(), cells.mut2, {"hidden": 3, "input_noise": 0.1, "clip_entries": 0.1}),
    "noisy": (adding(), noisy, {"hidden": 3, "dtype": np.float64, "clip": None}),
    "eager": (streams(), noisy, {"hidden": 3, "eager": True, "seed": 5}),
}


@pytest.mark.parametrize("case", CASES)
def test_a_resumed_training_equals_one_never_stopped(case, tmp_path):
    task, network, options = CASES[case]
    whole = trained(task, network, 11, **options)
    for stop in (0, 6, 9):
        path = tmp_path / f"{stop}.npz"
        first = trained(task, network, stop, path, **options)
        own = network if network is noisy else None
        second = Training.resume(path, task, own, eager=options.get("eager", False))
        assert content(second) == content(first)
        second.run(steps=11 - stop)
        assert content(second) == content(whole)
    assert whole.state.passes == (1 if task.name == "streams" else 0)
    loaded = learning.load_training(path, task, own).model
    np.testing.assert_array_equal(loaded.parameters["output.W_y"], first.parameters["output.W_y"])
    assert (loaded.count, loaded.sizes) == (first.model.count, first.model.sizes)


KILLED = """
    import sys
    from small_tasks import streams
    from tinygrad_lstm import cells, learning

    path, steps = sys.argv[1], int(sys.argv[2])
    if steps:
        training = learning.Training(streams(), cells.gru, hidden=3, batch=3, every=1)
    else:
        training = learning.Training.resume(path, streams())
    training.run(steps=10**6, checkpoint=path, report=lambda p: print(p.step, flush=True))
"""


def test_killed_and_resumed(tmp_path):
    path, script = tmp_path / "c.npz", tmp_path / "script.py"
    script.write_text(textwrap.dedent(KILLED), encoding="utf-8")
    places = os.pathsep.join([str(Path(__file__).resolve().parents[1]), *sys.path])
    for first in ("1", "0"):
        with subprocess.Popen(
            [sys.executable, str(script), str(path), first],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": places},
        ) as process:
            try:
                for _ in range(20):
                    assert process.stdout.readline()
                if first == "1":
                    with pytest.raises(CheckpointError) as caught:
                        trained(streams(), cells.gru, 1, path, hidden=3)
                    assert str(caught.value) == (
                        f"checkpoint {path} is in use: another training writes it.\n"
                        f"  Wait until that has ended, or name another file."
                    )
                time.sleep(0.02)
            finally:
                process.kill()
    resumed = Training.resume(path, streams())
    assert resumed.state.step >= 38
    resumed.run(steps=5)
    whole = Training(streams(), cells.gru, hidden=3, batch=3, every=1)
    whole.run(steps=resumed.state.step)
    assert content(resumed) == content(whole)


# --- what a training does -------------------------------------------------------------------------
def test_it_learns_and_stops_when_solved():
    training = Training(adding(4), cells.gru, hidden=8, optimiser=Adam(0.02), every=10)
    reports = []
    training.run(steps=500, report=reports.append, until="solved")
    assert training.solved and training.state.step < 300
    assert training.history[0].measures["mse"] > 0.05 > training.history[-1].measures["mse"]
    assert training.measure() == training.history[-1].measures
    assert [r.step for r in training.history] == [*range(0, training.state.step + 1, 10)]
    assert {p.read for p in reports} == {4 * 32}
    assert training.history[1].loss == np.mean([p.loss for p in reports[:10]])
    training.run(steps=10, until="solved")
    assert len(reports) == training.state.step
    test = adding(4).test()
    z = training.model.predict(test.xs)
    assert np.mean((z - test.target) ** 2) == pytest.approx(training.measure()["mse"], rel=1e-4)


def test_it_stops_where_nothing_gets_better():
    training = trained(adding(), cells.rnn, 0, hidden=2, optimiser=SGD(1e-12))
    training.run(steps=500, every=2, until=learning.no_better(3))
    assert training.state.step == 6
    training = trained(streams(), cells.rnn, 0, hidden=2, optimiser=SGD(1e-12))
    training.run(steps=500, every=2, until=learning.no_better(2, "accuracy", highest=True))
    assert training.state.step == 4


def test_measures_of_padded_batches_are_those_of_all_positions():
    task = rolls()
    training = trained(task, cells.lstm, 3, hidden=3, dtype=np.float64)
    total = count = 0.0
    for batch in task.test():
        for k, n in enumerate(batch.lengths):
            z = training.model.predict(batch.xs[:n, k])
            t = batch.target[:n, k]
            p = 1 / (1 + np.exp(-z))
            total -= (t * np.log(p) + (1 - t) * np.log(1 - p)).sum()
            count += n
    assert training.measure()["nll"] == pytest.approx(total / count, rel=1e-12)


@pytest.mark.parametrize("which", [cells.lstm, cells.mut1], ids=str)
@pytest.mark.parametrize("task", [adding(), rolls(), streams()], ids=str)
def test_compiled_equals_interpreted(task, which):
    one, two = (
        trained(task, which, 4, hidden=3, dtype=np.float64, eager=eager) for eager in (True, False)
    )
    np.testing.assert_allclose(one.parameters.vector, two.parameters.vector, atol=1e-13)
    assert one.history[-1].measures == pytest.approx(two.history[-1].measures, rel=1e-10)
    batch = next(task.reading(0, 0, 3))
    p = one.parameters
    for eager in (True, False):
        objective = Objective(one.model.readout, p, eager=eager, **one.model.sizes)
        z, final = objective.predict(p, batch.xs, lengths=batch.lengths)
        expected = one.model.predict(batch.xs, batch.lengths)
        counts = batch.counts(z)
        np.testing.assert_allclose(z[counts > 0], expected[counts > 0], atol=1e-13)
        assert final["h"].shape == (3, 3)


def test_further_inputs(tmp_path):
    given, task = useful(cells.clockwork, 4), adding()
    options = {"groups": 4, "units": 1, "further": given, "hidden": 4}
    options = {n: v for n, v in options.items() if n in (*cells.clockwork.sizes, "further")}
    whole = trained(task, cells.clockwork, 6, **options)
    trained(task, cells.clockwork, 3, tmp_path / "c.npz", **options)
    resumed = Training.resume(tmp_path / "c.npz", task, further=given)
    resumed.run(steps=3)
    assert content(resumed) == content(whole)
    assert whole.model.predict(task.test().xs).shape == (50, 1)


def test_noise_on_weights_is_where_the_gradient_is_taken():
    plain = trained(adding(), cells.rnn, 0, hidden=3, dtype=np.float64)
    shaken = trained(adding(), cells.rnn, 1, hidden=3, dtype=np.float64, weight_noise=0.5)
    p = plain.parameters
    noise = 0.5 * np.random.default_rng([0, 0, 1]).standard_normal(p.vector.size)
    batch = next(adding().reading(0, 0, 3))
    found = plain.objective(p.like(p.vector + noise), batch.xs, batch.target)
    gradient, _ = learning.clip_by_norm(found.gradient, 1.0)
    rule = Adam(0.003)
    expected, _ = rule.update(p, gradient, rule.start(p), 1)
    np.testing.assert_array_equal(shaken.parameters.vector, expected.vector)
    assert shaken.state.loss == found.loss


def test_schedules():
    assert [Linear(4, 0.2)(k) for k in (1, 3, 5, 9)] == pytest.approx([1.0, 0.6, 0.2, 0.2])
    assert [Cosine(4)(k) for k in (1, 3, 5, 9)] == pytest.approx([1.0, 0.5, 0.0, 0.0])
    assert [StepDecay(2, 0.1)(k) for k in (1, 2, 3, 5)] == pytest.approx([1, 1, 0.1, 0.01])
    assert [Constant(4)(k) for k in (1, 2, 4, 5)] == [0.25, 0.5, 1.0, 1.0]
    assert [Linear(10, 0.0, 2)(k) for k in (1, 2)] == [0.5, 0.9]
    torch = pytest.importorskip("torch")
    for ours, make in {
        Cosine(7, 0.1): lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 7, 0.1),
        Linear(7, 0.1): lambda o: torch.optim.lr_scheduler.LinearLR(o, 1.0, 0.1, 7),
        InverseRoot(3, 0): lambda o: torch.optim.lr_scheduler.LambdaLR(
            o, lambda k: (1 + k / 3) ** -0.5
        ),
        StepDecay(3, 0.1): lambda o: torch.optim.lr_scheduler.StepLR(o, 3, 0.1),
    }.items():
        optimiser = torch.optim.SGD([torch.zeros(1, requires_grad=True)], 1.0)
        schedule = make(optimiser)
        for step in range(1, 8):
            assert ours(step) == pytest.approx(optimiser.param_groups[0]["lr"]), (ours, step)
            optimiser.step()
            schedule.step()


def test_a_schedule_scales_the_rate():
    p = trained(adding(), cells.rnn, 0, hidden=3, optimiser=SGD(1.0), clip=None).parameters
    scheduled = trained(
        *(adding(), cells.rnn, 1), hidden=3, optimiser=SGD(1.0), clip=None, schedule=Constant(4)
    )
    quarter = trained(adding(), cells.rnn, 1, hidden=3, optimiser=SGD(0.25), clip=None)
    np.testing.assert_array_equal(scheduled.parameters.vector, quarter.parameters.vector)
    assert abs(scheduled.parameters.vector - p.vector).max() > 1e-4
    ended = trained(
        adding(), cells.rnn, 3, hidden=3, optimiser=SGD(1.0), clip=None, schedule=Linear(1)
    )
    once = trained(adding(), cells.rnn, 1, hidden=3, optimiser=SGD(1.0), clip=None)
    np.testing.assert_array_equal(ended.parameters.vector, once.parameters.vector)


# --- what cannot be -------------------------------------------------------------------------------
@cell(state={"M": "rows, columns"}, parameters={"V": "columns, inputs"})
def table(now, prev, x, p):
    now.M = 0.5 * prev.M + matvec(p.V, x)


def nothing(random, batch):
    return iter(())


REFUSED = {
    "output": (
        lambda: Training(adding(), table, rows=2, columns=2),
        CellError,
        "cell 'table': the output M has the shape (2, 2), but a vector is needed to predict from.\n"
        "  Name a state with one axis h.",
    ),
    "inputs": (
        lambda: Training(adding(), cells.lstm, inputs=3),
        ShapeError,
        "cell 'lstm': x is (inputs), 3 numbers, but there are 2 to be read at each step.\n"
        "  Give sizes that make it 2 long, or have them read through a matrix, by the "
        "input 'linear'.",
    ),
    "further": (
        lambda: Training(adding(), cells.clockwork, groups=2, units=2),
        CellError,
        "cell 'clockwork' has further inputs (clock, mask), which adding(length=8) does not give.\n"
        "  Make them parameters, or pass further=f in Python, a function "
        "f(start, shape) of their values.",
    ),
    "sizes": (
        lambda: Training(adding(), cells.lstm_1997, further=lambda start, shape: {}),
        ShapeError,
        "cell 'lstm_1997' needs cells=…, blocks=…: its sizes are cells, blocks, inputs.",
    ),
    "names": (
        lambda: Training(adding(), cells.rnn, optimizer=3),
        UnknownNameError,
        "cell 'rnn' has no size or parameter 'optimizer'; its sizes are hidden, inputs, its "
        "parameters W, b.",
    ),
    "head": (
        lambda: Training(adding(), learning.readout(cells.rnn, outputs=2, at="end")),
        DataError,
        "cell 'rnn' with 2 outputs and cross-entropy does not fit the task adding(length=8), which "
        "has outputs=1, loss='squared-error'.\n  Make it by task.model(network).",
    ),
    "text": (
        lambda: Training(adding(), "lstm"),
        CellError,
        "adding(length=8): a cell, a network or a readout is needed, got 'lstm'.",
    ),
    "noise": (
        lambda: Training(streams(), cells.rnn, input_noise=0.1),
        DataError,
        "input_noise is for vectors, but streams(symbols=5) reads symbols.",
    ),
    "rate": (lambda: Training(adding(), cells.rnn, optimiser=Adam(0)), DataError, None),
    "until": (
        lambda: Training(adding(), cells.rnn).run(steps=1, until="better"),
        DataError,
        "until is \"solved\" or a function of the history, got 'better'.",
    ),
    "batches": (
        lambda: Training(dataclasses.replace(adding(), batches=nothing), cells.rnn).run(steps=1),
        DataError,
        "adding(length=8) gives no batch of 32 sequences.",
    ),
    "schedule": (lambda: Cosine(0), DataError, "steps of Cosine must be at least 1, got 0."),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_fit(case):
    make, kind, message = REFUSED[case]
    with pytest.raises(kind) as caught:
        make()
    assert message is None or str(caught.value) == message


def test_divergence_is_named(tmp_path):
    with pytest.raises(DivergenceError) as caught:
        trained(
            *(adding(), cells.rnn, 99, tmp_path / "c.npz"), hidden=3, optimiser=SGD(1e30), clip=None
        )
    assert re.fullmatch(
        r"after step \d+ the .*; .*\.\n  Try a rate below 1e\+30, or clip the gradient. The last "
        r"checkpoint is kept.",
        str(caught.value),
    )
    assert Training.resume(tmp_path / "c.npz", adding()).state.step == 0


def test_measures_that_are_no_numbers():
    task = dataclasses.replace(adding(), measures={"error": lambda z, batch: float("nan")})
    with pytest.raises(DivergenceError, match="error on held-out data is nan"):
        trained(task, cells.rnn, 1)


def test_states_do_not_cross_what_is_not_one_stream():
    batch = next(adding().reading(0, 0, 3))
    again = Batch(batch.xs, batch.target)

    def same(random, size):
        while True:
            yield again

    task = dataclasses.replace(adding(), batches=same)
    training = trained(task, cells.lstm, 3, hidden=3, optimiser=SGD(1e-12))
    assert not training.state.carried
    assert len({round(x, 6) for x in training.state.recent}) == 1
