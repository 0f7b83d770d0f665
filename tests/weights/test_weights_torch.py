"""PyTorch's modules and ours with the same weights: outputs, final states and all gradients."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_lstm import Tensor, bidirectional, cells, stack, unroll, weights

torch = pytest.importorskip("torch")

MODULES = {"RNN": torch.nn.RNN, "LSTM": torch.nn.LSTM, "GRU": torch.nn.GRU}
TOLERANCE = {"float64": 1e-10, "float32": 1e-5}
DTYPES = {"float64": torch.float64, "float32": torch.float32}


@st.composite
def settings(draw: Any) -> dict[str, Any]:
    whole = st.integers(1, 5)
    time, batch = draw(st.integers(1, 6)), draw(st.integers(1, 4))
    lengths = st.lists(st.integers(1, time), min_size=batch, max_size=batch)
    return {
        "time": time,
        "batch": batch,
        "inputs": draw(whole),
        "hidden": draw(whole),
        "layers": draw(st.integers(1, 3)),
        "both": draw(st.booleans()),
        "bias": draw(st.booleans()),
        "lengths": draw(st.none() | lengths),
        "seed": draw(st.integers(0, 2**16)),
    }


def close(found: Any, expected: Any, dtype: str) -> None:
    """Equal to the tolerance, of the largest entry where that is above 1."""
    scale = max(1.0, float(np.max(np.abs(expected), initial=0.0)))
    np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE[dtype] * scale)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("kind", MODULES)
@given(s=settings())
def test_outputs_states_and_gradients(kind: str, dtype: str, s: dict[str, Any]) -> None:
    torch.manual_seed(s["seed"])
    random = np.random.default_rng(s["seed"])

    def draw(*shape: int) -> Any:
        return random.normal(size=shape).astype(dtype)

    module = MODULES[kind](
        s["inputs"],
        s["hidden"],
        s["layers"],
        bias=s["bias"],
        bidirectional=s["both"],
        dtype=DTYPES[dtype],
    )
    network, p = weights.from_pytorch(module.state_dict())
    sides, lengths = 1 + s["both"], s["lengths"]
    time = max(lengths) if lengths else s["time"]  # packed sequences end with the longest
    xs = draw(time, s["batch"], s["inputs"])
    names = (
        [n for n in network.state if n.endswith("h")],
        [n for n in network.state if n.endswith("C")],
    )
    states = [draw(s["layers"] * sides, s["batch"], s["hidden"]) for own in names if own]

    # theirs
    x = torch.tensor(xs, requires_grad=True)
    begin = [torch.tensor(v, requires_grad=True) for v in states]
    given_x = x
    if lengths:
        given_x = torch.nn.utils.rnn.pack_padded_sequence(
            x, torch.tensor(lengths), enforce_sorted=False
        )
    y, end = module(given_x, tuple(begin) if kind == "LSTM" else begin[0])
    if lengths:
        y, _ = torch.nn.utils.rnn.pad_packed_sequence(y)
    end = end if kind == "LSTM" else (end,)
    w, final_w = draw(*y.shape), [draw(*v.shape) for v in end]
    loss = (y * torch.tensor(w)).sum()
    for v, own_w in zip(end, final_w, strict=True):
        loss = loss + (v * torch.tensor(own_w)).sum()
    loss.backward()

    # ours
    our_x = Tensor(xs)
    initial = {
        n: Tensor(v[k]) for own, v in zip(names, states, strict=False) for k, n in enumerate(own)
    }
    run = unroll(network, p, our_x, initial, lengths=lengths)
    close(run["h"].data, y.detach().numpy(), dtype)
    assert run["h"].dtype == dtype
    total = (run["h"] * w).sum()
    for own, v, own_w in zip(names, end, final_w, strict=False):
        for k, n in enumerate(own):
            close(run.final[n].data, v[k].detach().numpy(), dtype)
            total = total + (run.final[n] * own_w[k]).sum()
    total.backward()

    close(our_x.grad.data, x.grad.numpy(), dtype)
    for own, v in zip(names, begin, strict=False):
        for k, n in enumerate(own):
            close(initial[n].grad.data, v.grad[k].numpy(), dtype)
    ours = weights.to_pytorch(network, {n: t.grad.data for n, t in p.items()})
    for name, parameter in module.named_parameters():
        kept = name.replace("bias_hh", "bias_ih") if kind != "GRU" else name  # one bias: one sum
        close(ours[kept], parameter.grad.numpy(), dtype)


@pytest.mark.parametrize("kind", MODULES)
def test_a_module_with_our_weights_computes_the_same(kind: str) -> None:
    cell = {"RNN": cells.rnn, "LSTM": cells.lstm, "GRU": cells.gru_reset_after}[kind]
    network = stack([bidirectional(cell), bidirectional(cell)])
    random = np.random.default_rng(2)
    p = network.init(inputs=3, hidden=4)
    p = p.replace({n: random.normal(size=t.shape) for n, t in p.items()})
    module = MODULES[kind](3, 4, 2, bidirectional=True, dtype=torch.float64)
    arrays = weights.to_pytorch(network, p)
    module.load_state_dict({n: torch.from_numpy(a) for n, a in arrays.items()})
    xs = random.normal(size=(5, 2, 3))
    y, _ = module(torch.from_numpy(xs))
    close(unroll(network, p, xs)["h"].data, y.detach().numpy(), "float64")


def test_tensors_that_require_gradients_are_taken_and_copied() -> None:
    module = torch.nn.GRU(2, 3)
    network, p = weights.from_pytorch(dict(module.named_parameters()))
    before = p.U_n.numpy().copy()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.zero_()
    np.testing.assert_array_equal(p.U_n.numpy(), before)
    assert network is cells.gru_reset_after


def test_a_projection_is_refused() -> None:
    module = torch.nn.LSTM(3, 4, proj_size=2)
    with pytest.raises(weights.WeightsError) as said:
        weights.from_pytorch(module.state_dict())
    assert str(said.value) == (
        "from_pytorch: weight_hr_l0 is the projection of an LSTM with proj_size, which has no "
        "equal here; only modules with proj_size=0 can be converted."
    )


def test_a_state_dict_of_a_larger_module_is_refused() -> None:
    module = torch.nn.Sequential(torch.nn.RNN(1, 2, bias=False))
    with pytest.raises(KeyError) as said:
        weights.from_pytorch(module.state_dict())
    assert str(said.value) == (
        "from_pytorch: 0.weight_ih_l0, 0.weight_hh_l0 are not of an nn.RNN, nn.LSTM or nn.GRU, "
        "whose names are weight_ih_l0, weight_hh_l0, …\n  Of a larger module name the part: "
        "prefix='0'."
    )


def test_a_dtype_that_numpy_does_not_have() -> None:
    module = torch.nn.RNN(1, 2, dtype=torch.bfloat16)
    with pytest.raises(TypeError) as said:
        weights.from_pytorch(module.state_dict())
    assert str(said.value) == (
        "from_pytorch: weight_ih_l0 cannot be read as a NumPy array: Got unsupported ScalarType "
        "BFloat16\n  Convert it first: weight_ih_l0.float()."
    )
    weights.from_pytorch({name: value.float() for name, value in module.state_dict().items()})


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("kind", ["RNNCell", "LSTMCell", "GRUCell"])
def test_cells_within_a_larger_module(kind: str, bias: bool) -> None:
    torch.manual_seed(5)
    module = torch.nn.ModuleDict(
        {"emb": torch.nn.Embedding(5, 3), "own": getattr(torch.nn, kind)(3, 4, bias=bias)}
    ).double()
    cell, p = weights.from_pytorch(module.state_dict(), prefix="own")
    xs = np.random.default_rng(3).normal(size=(3, 2, 3))
    state: Any = None
    for x in torch.from_numpy(xs):
        state = module["own"](x, state)
    h = state[0] if kind == "LSTMCell" else state
    close(unroll(cell, p, xs).final["h"].data, h.detach().numpy(), "float64")
