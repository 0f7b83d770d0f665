"""Fifty steps of learning, number for number those of PyTorch: same start, same batches."""

import numpy as np
import pytest

from tinygrad_lstm import weights
from tinygrad_lstm.learning import SGD, Adam, CharacterModel, RMSProp, Text, Training, texts

torch = pytest.importorskip("torch")
TEXT = Text("".join(chr(97 + (k * k + 3 * k) % 11) + " " * (k % 3 == 0) for k in range(900)))
BATCH, LENGTH, STEPS, CLIP, INPUTS, HIDDEN = 4, 9, 50, 0.5, 3, 5
OPTIMISERS = {
    "Adam": (Adam(0.01), lambda p: torch.optim.Adam(p, 0.01)),
    "RMSProp": (RMSProp(0.002, 0.9), lambda p: torch.optim.RMSprop(p, 0.002, 0.9)),
    "SGD": (SGD(0.1, 0.9, True), lambda p: torch.optim.SGD(p, 0.1, 0.9, nesterov=True)),
}


class Reader(torch.nn.Module):
    """The character model in PyTorch's own words."""

    def __init__(self, symbols, kind):
        super().__init__()
        self.embedding = torch.nn.Embedding(symbols, INPUTS)
        self.network = kind(INPUTS, HIDDEN)
        self.output = torch.nn.Linear(HIDDEN, symbols)

    def forward(self, ids, states):
        h, states = self.network(self.embedding(ids), states)
        return self.output(h), states

    def named(self):
        """The cell, and the parameters under this project's names."""
        cell, own = weights.from_pytorch(self.network.state_dict())
        more = {
            "input.E": self.embedding.weight,
            "output.W_y": self.output.weight,
            "output.b_y": self.output.bias,
        }
        return cell, {n: t.numpy() for n, t in own.items()} | {
            n: t.detach().numpy().copy() for n, t in more.items()
        }


def reader(kind):
    torch.manual_seed(1)
    theirs = Reader(len(TEXT.vocabulary), kind).double()
    if kind is torch.nn.LSTM:  # whose second bias ours does not have
        torch.nn.init.zeros_(theirs.network.bias_hh_l0)
        theirs.network.bias_hh_l0.requires_grad = False
    return theirs


@pytest.mark.parametrize("optimiser", OPTIMISERS)
@pytest.mark.parametrize("kind", [torch.nn.LSTM, torch.nn.GRU], ids=["lstm", "gru"])
def test_fifty_steps(kind, optimiser):
    theirs, (ours, make) = reader(kind), OPTIMISERS[optimiser]
    cell, start = theirs.named()
    model = CharacterModel(cell, TEXT, hidden=HIDDEN, inputs=INPUTS, dtype=np.float64)
    assert start.keys() == model.parameters.keys()
    model.parameters = start
    settings = {"batch": BATCH, "length": LENGTH, "clip": CLIP, "every": 1000, "sample": 0}
    training = Training(model, TEXT, optimiser=ours, **settings)
    learnt = [p for p in theirs.parameters() if p.requires_grad]
    optimiser, states = make(learnt), None
    for step in range(STEPS):
        place = training.state
        begin, offset = place.chunk * LENGTH, training.characters.offset(place.passes)
        given = texts.chunk(training.characters.train_ids, BATCH, begin, begin + LENGTH, offset)
        ids, following = (torch.tensor(np.array(part)) for part in given)
        z, states = theirs(ids, states if place.chunk else None)
        states = states.detach() if kind is torch.nn.GRU else tuple(s.detach() for s in states)
        loss = torch.nn.functional.cross_entropy(z.reshape(-1, z.shape[-1]), following.reshape(-1))
        optimiser.zero_grad()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(learnt, CLIP)
        optimiser.step()
        training.run(steps=1)
        assert training.state.loss * np.log(2) == pytest.approx(loss.item(), rel=1e-8), step
        assert training.state.norm == pytest.approx(norm.item(), rel=1e-6), step
    assert training.state.passes > 0  # states were carried, and begun anew
    for name, value in theirs.named()[1].items():
        np.testing.assert_allclose(model.parameters[name], value, rtol=0, atol=1e-8, err_msg=name)
