"""The same cells in PyTorch and torchrecurrent, where these are installed, in double precision."""

from dataclasses import replace

import numpy as np
import pytest


def framework(function):
    """A reference made by a framework, which gets the problem itself."""
    function.reference = True
    return function


def tensor(value):
    torch = pytest.importorskip("torch")
    return torch.tensor(np.asarray(value), dtype=torch.float64)


def ours(problem, *names):
    """Parameters one below the other, as the frameworks pack them."""
    return np.concatenate([problem.p[name] for name in names])


def fill(module, weights):
    """Every parameter of a module: its array, or zeros where none is given."""
    torch = pytest.importorskip("torch")
    module = module.double()
    known = dict(module.named_parameters())
    assert set(weights) <= set(known), f"{module} has {', '.join(known)}"
    with torch.no_grad():
        for name, parameter in known.items():
            parameter.copy_(tensor(weights[name]) if name in weights else 0 * parameter)
    return module


def recurrent(kind, problem, states, weights, **options):
    """A cell of torchrecurrent run over a problem; states: their names in its order."""
    torch = pytest.importorskip("torch")
    cells = pytest.importorskip("torchrecurrent")
    inputs, hidden = problem.xs.shape[-1], len(problem.initial[states[0]])
    cell = fill(getattr(cells, kind)(inputs, hidden, **options), weights)
    now, rows = tuple(tensor(problem.initial[name])[None] for name in states), []
    with torch.no_grad():
        for x in tensor(problem.xs):
            found = cell(x[None], now if len(now) > 1 else now[0])
            now = found if isinstance(found, tuple) else (found,)
            rows.append([state[0].numpy() for state in now])
    return dict(zip(states, map(np.array, zip(*rows, strict=True)), strict=True))


def unpacked(problem, *gates):
    """The arrays of cells with W_g, U_g, b_g for each gate g."""
    return {
        "weight_ih": ours(problem, *(f"W_{g}" for g in gates)),
        "weight_hh": ours(problem, *(f"U_{g}" for g in gates)),
        "bias_ih": ours(problem, *(f"b_{g}" for g in gates)),
    }


def by_columns(problem, *gates):
    """The arrays of cells with W_g on [h, x] and b_g for each gate g."""
    W, n = ours(problem, *(f"W_{g}" for g in gates)), problem.sizes["hidden"]
    b = ours(problem, *(f"b_{g}" for g in gates))
    return {"weight_ih": W[:, n:], "weight_hh": W[:, :n], "bias_ih": b}


# --- PyTorch --------------------------------------------------------------------------------------
def layer(kind, problem, states, weights, **options):
    torch = pytest.importorskip("torch")
    inputs, hidden = problem.xs.shape[-1], problem.sizes["hidden"]
    network = fill(getattr(torch.nn, kind)(inputs, hidden, **options), weights)
    first = tuple(tensor(problem.initial[name])[None] for name in states)
    with torch.no_grad():
        output, _ = network(tensor(problem.xs), first if len(first) > 1 else first[0])
    return {states[0]: output.numpy()}


@framework
def packed_lstm(problem):
    return layer("LSTM", problem, ["h", "c"], {f"{n}_l0": v for n, v in problem.p.items()})


@framework
def projected_lstm(problem):
    p = problem.p
    weights = {f"{n}_l0": p[n] for n in ("weight_ih", "weight_hh", "weight_hr")}
    weights["bias_ih_l0"] = p["bias"]
    return layer("LSTM", problem, ["h", "c"], weights, proj_size=problem.sizes["proj"])


@framework
def chunked_gru(problem):
    words = {"W": "weight", "b": "bias"}
    weights = {f"{words[n[0]]}{n[1:]}_l0": value for n, value in problem.p.items()}
    return layer("GRU", problem, ["h"], weights)


@framework
def one_line(problem):
    weights = {"weight_ih_l0": problem.p["W"], "weight_hh_l0": problem.p["U"]}
    return layer("RNN", problem, ["h"], weights)


@framework
def layernorm_lstm_packed(problem):
    torch = pytest.importorskip("torch")
    norm = torch.nn.functional.layer_norm
    p = {name: tensor(value) for name, value in problem.p.items()}
    h, c = tensor(problem.initial["h"]), tensor(problem.initial["c"])
    n, rows = len(h), []
    for x in tensor(problem.xs):
        z = norm(p["W_ih"] @ x, (4 * n,), p["gain_ih"], p["bias_ih"])
        z = z + norm(p["W_hh"] @ h, (4 * n,), p["gain_hh"], p["bias_hh"])
        i, f, g, o = z.chunk(4)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        h = o.sigmoid() * norm(c, (n,), p["gain_c"], p["bias_c"]).tanh()
        rows.append(h.numpy())
    return {"h": np.array(rows)}


# --- torchrecurrent -------------------------------------------------------------------------------
@framework
def atr(problem):
    p = problem.p
    weights = {"weight_ih": p["W"], "weight_hh": p["U"], "bias_ih": p["b"]}
    return recurrent("ATRCell", problem, ["h"], weights)


@framework
def ind_rnn(problem):
    p = problem.p
    weights = {"weight_ih": p["W"], "vector_u": p["u"], "bias_ih": p["b"]}
    return recurrent("IndRNNCell", problem, ["h"], weights)


@framework
def mgu(problem):
    return recurrent("MGUCell", problem, ["h"], by_columns(problem, "f", "h"))


@framework
def ugrnn(problem):
    weights = unpacked(problem, "c", "g")
    weights["bias_ih"][problem.sizes["hidden"] :] += 1
    return recurrent("UGRNNCell", problem, ["h"], weights)


@framework
def janet(problem):
    weights = {**unpacked(problem, "s", "c"), "beta": 1.0}
    both = replace(problem, initial={name: problem.initial["c"] for name in "hc"})
    return {"c": recurrent("JANETCell", both, ["h", "c"], weights)["c"]}


@framework
def star(problem):
    weights = {
        "weight_ih": ours(problem, "W_z", "W_k"),
        "weight_hh": problem.p["U_k"],
        "bias_ih": ours(problem, "b_z", "b_k"),
    }
    return recurrent("STARCell", problem, ["h"], weights)


@framework
def li_gru(problem):
    return recurrent("LiGRUCell", problem, ["h"], unpacked(problem, "z", "h"))


@framework
def fast_rnn(problem):
    p = problem.p
    weights = {"weight_ih": p["W"], "weight_hh": p["U"], "bias_ih": p["b"]}
    weights |= {name: np.atleast_1d(p[name]) for name in ("alpha", "beta")}
    return recurrent("FastRNNCell", problem, ["h"], weights, nonlinearity="tanh")


@framework
def fast_grnn(problem):
    p = problem.p
    weights = {"weight_ih": p["W"], "weight_hh": p["U"], "bias_ih": ours(problem, "b_z", "b_h")}
    weights |= {"zeta": np.atleast_1d(p["ζ"]), "nu": np.atleast_1d(p["ν"])}
    return recurrent("FastGRNNCell", problem, ["h"], weights, nonlinearity="sigmoid")


@framework
def ran(problem):
    weights = {
        "weight_ih": ours(problem, "W_c", "W_i", "W_f"),
        "weight_hh": ours(problem, "U_i", "U_f"),
        "bias_ih": ours(problem, "b_i", "b_f"),
    }
    return recurrent("RANCell", problem, ["h", "c"], weights)


@framework
def cfn(problem):
    b = ours(problem, "b_θ", "b_η")
    weights = {
        "weight_ih": ours(problem, "V_θ", "V_η", "W"),
        "weight_hh": ours(problem, "U_θ", "U_η"),
        "bias_ih": np.append(b, np.zeros(problem.sizes["hidden"])),
    }
    return recurrent("CFNCell", problem, ["h"], weights)


@framework
def multiplicative_lstm(problem):
    weights = {
        "weight_ih": ours(problem, "W_m", "W_i", "W_f", "W_h", "W_o"),
        "weight_hh": problem.p["U_m"],
        "weight_mh": ours(problem, "U_i", "U_f", "U_h", "U_o"),
    }
    return recurrent("MultiplicativeLSTMCell", problem, ["h", "c"], weights)


@framework
def co_rnn(problem):
    p = problem.p
    weights = {"weight_ih": p["V"], "weight_hh": p["W"], "weight_ch": p["W_z"], "bias_ih": p["b"]}
    options = {"dt": 0.5, "gamma": 1.0, "epsilon": 1.0}
    return recurrent("coRNNCell", problem, ["y", "z"], weights, **options)


@framework
def unicornn(problem):
    p = problem.p
    weights = {"weight_ih": p["V"], "weight_hh": p["w"], "weight_ch": p["c"], "bias_ih": p["b"]}
    return recurrent("UnICORNNCell", problem, ["y", "z"], weights, dt=0.1, alpha=0.9)


@framework
def antisymmetric_rnn(problem):
    p = problem.p
    weights = {"weight_ih": p["V"], "weight_hh": p["W"], "bias_ih": p["b"]}
    options = {"epsilon": 0.1, "gamma": 0.01}
    return recurrent("AntisymmetricRNNCell", problem, ["h"], weights, **options)


@framework
def gated_antisymmetric_rnn(problem):
    weights = {
        "weight_ih": ours(problem, "V_z", "V_h"),
        "weight_hh": problem.p["W"],
        "bias_ih": ours(problem, "b_z", "b_h"),
    }
    options = {"epsilon": 0.1, "gamma": 0.01}
    return recurrent("GatedAntisymmetricRNNCell", problem, ["h"], weights, **options)
