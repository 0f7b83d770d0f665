"""Fifty steps of learning, number for number those of PyTorch: same start, same batches."""

import numpy as np
import pytest
from small_tasks import adding, rolls

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
SETTINGS = {"batch": BATCH, "clip": CLIP, "every": 1000}


class Reader(torch.nn.Module):
    """A network with its read-out in PyTorch's own words; embeds symbols where there are some."""

    def __init__(self, kind, inputs, outputs, symbols=0):
        super().__init__()
        self.embedding = torch.nn.Embedding(symbols, inputs) if symbols else torch.nn.Identity()
        self.network = kind(inputs, HIDDEN)
        self.output = torch.nn.Linear(HIDDEN, outputs)

    def forward(self, xs, states=None):
        h, states = self.network(self.embedding(xs), states)
        return self.output(h), states

    def named(self):
        """The cell, and the parameters under this project's names."""
        cell, own = weights.from_pytorch(self.network.state_dict())
        more = {"output.W_y": self.output.weight, "output.b_y": self.output.bias}
        if isinstance(self.embedding, torch.nn.Embedding):
            more["input.E"] = self.embedding.weight
        found = {n: t.numpy() for n, t in own.items()}
        return cell, found | {n: t.detach().numpy().copy() for n, t in more.items()}


def reader(kind, *sizes):
    torch.manual_seed(1)
    theirs = Reader(kind, *sizes).double()
    if kind is torch.nn.LSTM:  # whose second bias ours does not have
        torch.nn.init.zeros_(theirs.network.bias_hh_l0)
        theirs.network.bias_hh_l0.requires_grad = False
    return theirs


def learn(theirs, training, optimiser, loss_of):
    """Both learn; loss_of(step) is PyTorch's loss at a step."""
    learnt = [p for p in theirs.parameters() if p.requires_grad]
    optimiser = OPTIMISERS[optimiser][1](learnt)
    for step in range(STEPS):
        loss = loss_of(step)
        optimiser.zero_grad()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(learnt, float("inf"))
        for p in learnt if norm > CLIP else ():  # PyTorch's own adds 1e-6 to the norm
            p.grad *= CLIP / norm
        optimiser.step()
        training.run(steps=1)
        unit = np.log(2) if training.task.in_bits else 1.0
        assert training.state.loss * unit == pytest.approx(loss.item(), rel=1e-8), step
        assert training.state.norm == pytest.approx(norm.item(), rel=1e-8), step
    for name, value in theirs.named()[1].items():
        np.testing.assert_allclose(
            training.parameters[name], value, rtol=0, atol=1e-8, err_msg=name
        )


KINDS = pytest.mark.parametrize("kind", [torch.nn.LSTM, torch.nn.GRU], ids=["lstm", "gru"])


@pytest.mark.parametrize("optimiser", OPTIMISERS)
@KINDS
def test_characters(kind, optimiser):
    theirs = reader(kind, INPUTS, len(TEXT.vocabulary), len(TEXT.vocabulary))
    cell, start = theirs.named()
    model = CharacterModel(cell, TEXT, hidden=HIDDEN, inputs=INPUTS, dtype=np.float64)
    assert start.keys() == model.parameters.keys()
    model.parameters = start
    ours = OPTIMISERS[optimiser][0]
    training = Training(model, TEXT, optimiser=ours, length=LENGTH, sample=0, **SETTINGS)
    states = None

    def loss_of(step):
        nonlocal states
        place = training.state
        begin, offset = place.chunk * LENGTH, training.characters.offset(place.passes)
        given = texts.chunk(training.characters.train_ids, BATCH, begin, begin + LENGTH, offset)
        ids, following = (torch.tensor(np.array(part)) for part in given)
        z, states = theirs(ids, states if place.chunk else None)
        states = states.detach() if kind is torch.nn.GRU else tuple(s.detach() for s in states)
        return torch.nn.functional.cross_entropy(z.reshape(-1, z.shape[-1]), following.reshape(-1))

    learn(theirs, training, optimiser, loss_of)
    assert training.state.passes > 0  # states were carried, and begun anew


def of_adding(z, batch):
    return torch.nn.functional.mse_loss(z[-1], torch.tensor(batch.target))


def of_rolls(z, batch):
    target = torch.tensor(batch.target)
    cost = torch.nn.functional.binary_cross_entropy_with_logits(z, target, reduction="none")
    present = torch.arange(len(z))[:, None] < torch.tensor(batch.lengths)
    return cost.sum(-1)[present].mean()


@pytest.mark.parametrize("optimiser", OPTIMISERS)
@KINDS
@pytest.mark.parametrize(
    ("task", "loss"), [(adding(8), of_adding), (rolls(), of_rolls)], ids=["adding", "rolls"]
)
def test_tasks(task, loss, kind, optimiser):
    theirs = reader(kind, task.inputs, task.outputs)
    cell, start = theirs.named()
    ours = {"optimiser": OPTIMISERS[optimiser][0], "dtype": np.float64, "parameters": start}
    training = Training(task, cell, hidden=HIDDEN, seed=3, **SETTINGS, **ours)
    batches = task.reading(3, 0, BATCH)

    def loss_of(step):
        batch = next(batches)
        return loss(theirs(torch.tensor(batch.xs))[0], batch)

    learn(theirs, training, optimiser, loss_of)
