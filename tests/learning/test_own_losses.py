"""Networks that declare a loss are trained by it, systems whose parts have their own steps too."""

import numpy as np
import pytest
from small_tasks import rolls, streams

from tinygrad_lstm import (
    before,
    bidirectional,
    cell,
    cells,
    concat,
    exp,
    final,
    kl_normal,
    layer,
    log_bernoulli,
    matvec,
    system,
    systems,
    tanh,
    unroll,
    whole,
)
from tinygrad_lstm.errors import CellError
from tinygrad_lstm.learning import SGD, Adam, Batch, Task, Training


@cell(
    state="h",
    parameters={
        "W": "hidden, hidden + inputs",
        "W_m W_s": "latent, hidden + inputs",
        "V": "inputs, hidden + latent",
    },
    noise={"eps": "latent"},
    loss="L",
)
def latent(now, prev, x, p, eps):
    """A small recurrent network with a latent variable."""
    hx = concat(prev.h, x)
    now.m, now.s = p.W_m @ hx, exp(0.1 * (p.W_s @ hx))
    now.z = now.m + now.s * eps
    now.L = kl_normal(now.m, now.s) - log_bernoulli(x, p.V @ concat(prev.h, now.z))
    now.h = tanh(p.W @ hx)


@layer(parameters={"W_s": "hidden, inputs"})
def first_state(now, x, p):
    """What the decoder starts from."""
    now.s = tanh(matvec(p.W_s, x))


def translation():
    """An encoder and a decoder that searches what it has read."""
    wires = {
        "encoder.x": "source",
        "start.x": final("encoder.backward.h"),
        "decoder.x": before("target"),
        "decoder.y": "target",
        "decoder.H": whole("encoder.h"),
        "decoder.initial.s": "start.s",
        "decoder.mask": "mask",
    }
    parts = {"encoder": bidirectional(cells.gru), "start": first_state}
    return system(**parts, decoder=systems.find("bahdanau"), wires=wires, name="search")


def reversing():
    """Strings of three symbols are to be said backwards."""

    def batches(random, batch):
        while True:
            xs = np.eye(4)[random.integers(4, size=(3, batch))]
            yield Batch(xs, np.empty(0), further={"target": xs[::-1], "mask": np.ones(3)})

    measures = {"nats": lambda z, batch: float(z.mean())}
    test = batches(np.random.default_rng(9), 20)
    held_out = next(test)
    return Task("reversing", 4, 0, "own", "every", batches, lambda: held_out, measures)


CASES = {
    "cell": (rolls().by_own_loss(), latent, {"hidden": 4, "latent": 3}),
    "interpreted": (rolls().by_own_loss(), latent, {"hidden": 4, "latent": 3, "eager": True}),
    "symbols": (streams().by_own_loss(), latent, {"hidden": 4, "latent": 3}),
    "system": (reversing(), translation(), {"hidden": 4, "align": 3, "readout": 3}),
}


@pytest.mark.parametrize("case", CASES)
def test_it_learns_and_goes_on(case, tmp_path):
    task, network, options = CASES[case]
    same = {"batch": 5, "every": 20, "seed": 2, "optimiser": Adam(0.02), **options}
    whole_training, first = Training(task, network, **same), Training(task, network, **same)
    whole_training.run(steps=25)
    first.run(steps=15, checkpoint=tmp_path / "c.npz")
    eager = options.get("eager", False)
    second = Training.resume(tmp_path / "c.npz", task, network, eager=eager)
    second.run(steps=10)
    assert second.parameters.vector.tobytes() == whole_training.parameters.vector.tobytes()
    assert [r.measures for r in second.history] == [r.measures for r in whole_training.history]
    losses = [next(iter(r.measures.values())) for r in whole_training.history]
    assert losses == sorted(losses, reverse=True)
    assert {*first.parameters} == {*network.parameters}


@pytest.mark.parametrize("case", ["cell", "system"])
def test_a_step_is_one_along_the_gradient_of_the_loss_of_a_run(case):
    task, network, options = CASES[case]
    own = {"batch": 5, "dtype": np.float64, "optimiser": SGD(0.1), "clip": None, **options}
    training = Training(task, network, **own)
    p = network.bind({n: np.array(v) for n, v in training.parameters.items()})
    batch = next(task.reading(0, 0, 5))
    further = {"lengths": batch.lengths, "seed": 0, **batch.further}
    loss = unroll(network, p, batch.xs, **further).loss
    loss.backward()
    training.run(steps=1)
    assert training.state.loss == pytest.approx(loss.item(), rel=1e-12)
    for name, tensor in p.items():
        moved = tensor.data if tensor.grad is None else tensor.data - 0.1 * tensor.grad.data
        np.testing.assert_allclose(training.parameters[name], moved, atol=1e-13, err_msg=name)


def test_a_network_without_a_loss():
    with pytest.raises(CellError) as caught:
        Training(rolls().by_own_loss(), cells.lstm)
    assert str(caught.value) == (
        "cell 'lstm' declares no loss, by which it is to be trained.\n"
        '  Write @cell(loss="NAME") for a scalar equation, or train it with a readout.'
    )
