"""The character model beside the same in PyTorch: loss and processor time at 64, 128, 256 units."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.experiments.parts import Part, table
from tinygrad_lstm import cells
from tinygrad_lstm.learning import Adam, Training, tasks

UNITS, STEPS, RATE, EMBEDDING = (64, 128, 256), 600, 0.003, 64
GATES = ("i", "f", "C", "o")  # PyTorch's order


def ours(hidden: int, steps: int) -> dict[str, float]:
    """Train here."""
    task = tasks.find("characters")
    model = task.model(cells.lstm, input="embedding")
    training = Training(
        task, model, hidden=hidden, optimiser=Adam(RATE), batch=32, clip=1.0, seed=0, every=10**6,
        b_f=1.0, inputs=EMBEDDING,
    )  # fmt: skip
    times: list[float] = []
    training.run(steps=steps, report=lambda _: times.append(time.process_time()))
    return {"bits": training.measure()["bits"], "cpu": times[-1] - times[0]}


def torchs(hidden: int, steps: int) -> dict[str, float]:
    """Train the same model in PyTorch: the same start, the same batches, one thread."""
    import torch

    torch.set_num_threads(1)
    task = tasks.find("characters")
    model = task.model(cells.lstm, input="embedding")
    p = model.init(seed=0, hidden=hidden, inputs=EMBEDDING, b_f=1.0)
    embedding = torch.nn.Embedding(*p["input.E"].shape)
    lstm = torch.nn.LSTM(EMBEDDING, hidden)
    head = torch.nn.Linear(hidden, len(p["output.b_y"]))
    with torch.no_grad():
        embedding.weight.copy_(torch.from_numpy(p["input.E"].copy()))
        whole = np.concatenate([p[f"W_{g}"] for g in GATES])
        lstm.weight_hh_l0.copy_(torch.from_numpy(whole[:, :hidden].copy()))
        lstm.weight_ih_l0.copy_(torch.from_numpy(whole[:, hidden:].copy()))
        lstm.bias_ih_l0.copy_(torch.from_numpy(np.concatenate([p[f"b_{g}"] for g in GATES])))
        lstm.bias_hh_l0.zero_()
        head.weight.copy_(torch.from_numpy(p["output.W_y"].copy()))
        head.bias.copy_(torch.from_numpy(p["output.b_y"].copy()))
    lstm.bias_hh_l0.requires_grad_(False)  # one bias a gate, as here
    weights = [w for part in (embedding, lstm, head) for w in part.parameters() if w.requires_grad]
    optimiser = torch.optim.Adam(weights, lr=RATE)
    state, done, number, times = None, 0, 0, list[float]()
    while done < steps:
        for batch in task.reading(0, number, 32):
            state = state if batch.start and state is not None else None
            h, state = lstm(embedding(torch.from_numpy(np.asarray(batch.xs, np.int64))), state)
            state = tuple(s.detach() for s in state)
            target = torch.from_numpy(np.asarray(batch.target, np.int64)).reshape(-1)
            loss = torch.nn.functional.cross_entropy(head(h).reshape(len(target), -1), target)
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(weights, 1.0)
            optimiser.step()
            done += 1
            times.append(time.process_time())
            if done == steps:
                break
        number += 1
    total = count = 0.0
    with torch.no_grad():
        for batch in task.tests():
            state = state if batch.start else None
            h, state = lstm(embedding(torch.from_numpy(np.asarray(batch.xs, np.int64))), state)
            z = head(h).numpy()
            weight = batch.counts(z).sum()
            total += task.measures["bits"](z, batch) * weight
            count += weight
    return {"bits": float(total / count), "cpu": times[-1] - times[0]}


def parts(budget: float) -> list[Part]:
    """A part for each size: both, one after the other."""
    steps = max(5, round(STEPS * budget))

    def run(hidden: int) -> Callable[[], dict[str, Any]]:
        return lambda: {
            "steps": steps, "here": ours(hidden, steps), "torch": torchs(hidden, steps),
        }  # fmt: skip

    return [Part(str(hidden), run(hidden)) for hidden in UNITS]


def page(found: dict[str, Any]) -> str:
    """Bits a character and processor time, side by side."""
    rows = [
        (units, found[str(units)]["steps"],
         *(f"{found[str(units)][who]['bits']:.3f}" for who in ("here", "torch")),
         *(f"{found[str(units)][who]['cpu']:.1f}" for who in ("here", "torch")),
         f"{found[str(units)]['here']['cpu'] / found[str(units)]['torch']['cpu']:.2f}")
        for units in UNITS if str(units) in found
    ]  # fmt: skip
    return f"""
One LSTM on Shakespeare, an embedding of {EMBEDDING}, 32 streams, 64 characters a step, Adam with
rate
{RATE:g}, gradient norm at most 1, float32, one thread. PyTorch's starts from the same numbers and
reads the same batches; the two drift apart only by rounding, which training magnifies. Bits a
character on the held-out twentieth.

{
        table(
            ["units", "steps", "bits here", "bits PyTorch", "CPU s here", "CPU s PyTorch", "ratio"],
            rows,
        )
    }

The trainings of Karpathy, Johnson and Fei-Fei (2015) are of other texts, for fifty epochs; their
table could not be checked against the paper and is not repeated.
"""
