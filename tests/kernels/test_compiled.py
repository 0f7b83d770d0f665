"""Compiled cells compute what the interpreter computes, for every cell in every situation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from compiling import CODES, LENGTHS, MISSING, Problem, compare, problem
from operation_cells import OWN, attention, no_parameters

from tinygrad_lstm import bidirectional, cells, compiled, stack


@pytest.fixture
def as_users_have_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The compiler takes all the effort that it takes for users."""
    monkeypatch.delenv("TINYGRAD_LSTM_CFLAGS")


ALONE = {n: c for n, c in cells.all().items() if not (c.sequences or c.constants)}

SITUATIONS: dict[str, dict[str, Any]] = {
    "plain": {"initial": False},
    "initial": {},
    "output": {"equations": False},
    "lengths": {"lengths": LENGTHS},
    "reverse": {"lengths": LENGTHS, "reverse": True},
    "one": {"lead": ()},
    "two axes": {"lead": (2, 2), "reverse": True},
    "low": {"memory": "low", "lengths": LENGTHS},
    "low reverse": {"memory": "low", "every": 4, "reverse": True, "equations": False},
    "one step": {"time": 3, "lead": (1,)},
    "float32": {"dtype": np.float32, "lengths": LENGTHS},
}


def situation(network: Any, code: str, how: dict[str, Any]) -> None:
    ours = {k: v for k, v in how.items() if k in ("memory", "every", "equations")}
    given = problem(network, **{k: v for k, v in how.items() if k not in ours})
    compare(network, given, code, **ours)


@pytest.mark.sample(7)
@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("how", SITUATIONS)
@pytest.mark.parametrize("name", cells.all())
def test_every_cell_in_its_situations(name: str, how: str, code: str) -> None:
    situation(cells.all()[name], code, SITUATIONS[how])


NETWORKS = {
    "both directions": lambda c: bidirectional(c),
    "two layers": lambda c: stack([c, c]),
    "layers of both directions": lambda c: stack([bidirectional(c), bidirectional(c, cells.rnn)]),
}


@pytest.mark.usefixtures("as_users_have_it")
@pytest.mark.sample(3)
@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("form", NETWORKS)
@pytest.mark.parametrize("name", ALONE)
def test_networks(name: str, form: str, code: str) -> None:
    if form == "layers of both directions" and ALONE[name].x == "hidden":
        pytest.skip("its x is as long as its state")
    network = NETWORKS[form](ALONE[name])
    situation(network, code, {"lengths": LENGTHS})


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("memory", ["full", "low"])
def test_a_layer_that_reads_an_equation_of_the_layer_below(memory: str, code: str) -> None:
    network = stack([cells.lstm, cells.depth_gated])
    situation(network, code, {"lengths": LENGTHS, "memory": memory})
    situation(bidirectional(network), code, {"memory": memory})


@pytest.mark.usefixtures("as_users_have_it")
@pytest.mark.sample(3)
@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("how", SITUATIONS)
@pytest.mark.parametrize("name", OWN)
def test_cells_with_any_operation(name: str, how: str, code: str) -> None:
    situation(OWN[name], code, SITUATIONS[how])


@pytest.mark.sample(3)
@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("how", SITUATIONS)
def test_attention_over_a_memory(how: str, code: str) -> None:
    options = dict(SITUATIONS[how])
    ours = {k: options.pop(k) for k in ("memory", "every", "equations") if k in options}
    given = problem(attention, **options)
    sizes = attention.infer_sizes(given.parameters)
    shape = (4, sizes["hidden"])
    memory = np.random.default_rng(5).normal(size=shape).astype(given.xs.dtype)
    given.further["memory"] = memory
    compare(attention, given, code, **ours)


@pytest.mark.parametrize("code", CODES)
def test_a_memory_for_each_sample(code: str) -> None:
    given = problem(attention)
    hidden = attention.infer_sizes(given.parameters)["hidden"]
    given.further["memory"] = np.random.default_rng(5).normal(size=(3, 4, hidden))
    compare(attention, given, code)


@pytest.mark.parametrize("code", CODES)
def test_a_cell_without_parameters(code: str) -> None:
    random = np.random.default_rng(0)
    compare(
        no_parameters,
        Problem({}, random.normal(size=(4, 3, 2)), {"h": random.normal(size=(3, 2))}),
        code,
    )


@pytest.mark.skipif(bool(MISSING), reason=MISSING)
@pytest.mark.parametrize("name", [*ALONE, *OWN])
def test_what_is_asked_for_in_c_is_computed_in_c(name: str) -> None:
    fast = compiled({**ALONE, **OWN}[name], "c")
    problem(fast).run(fast)
    assert {type(kernel.code).__name__ for kernel in fast._kernels.values()} == {"CCode"}
