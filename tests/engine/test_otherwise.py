"""The same listing, read otherwise."""

import numpy as np
import pytest
from generative import variational

from tinygrad_lstm import cells, compiled, normal, otherwise, sigmoid, unroll
from tinygrad_lstm.errors import CellError, TinygradError

DREAM = otherwise(
    variational,
    z=lambda v: normal(v.mu_0, v.sigma_0, v.eps),
    x=lambda v: v.u < sigmoid(v.logits),
    inputs={"u": "inputs"},
    name="dream",
)


@pytest.mark.parametrize(
    ("gate", "ablated"), [("i", "nig"), ("f", "nfg"), ("o", "nog")], ids=["nig", "nfg", "nog"]
)
def test_a_gate_that_is_1_is_a_gate_less(gate: str, ablated: str) -> None:
    """The ablations of the LSTM study, written as what they are."""
    written, made = cells.all()[ablated], otherwise(cells.odyssey_vanilla, **{gate: 1})
    assert {*made.parameters} == {*written.parameters}
    p = written.init(inputs=3, hidden=4, seed=1)
    xs = np.random.default_rng(0).normal(size=(7, 2, 3))
    for own in (made, compiled(made)):
        run = unroll(own, dict(p), xs)
        np.testing.assert_allclose(
            run[made.output].numpy(), unroll(written, p, xs)[written.output].numpy(), atol=1e-14
        )


def test_a_generator_is_the_inference_text_with_another_z_and_x() -> None:
    """The rest is shared; what only inference reads has gone, and its parameters."""
    there, here = variational.program(), DREAM.program()
    gone = {*there.equations} - {*here.equations}
    assert gone == {"enc.mu", "enc.sigma", "mu", "sigma", "KL", "logp", "loss"}
    assert not any(n.startswith("enc.") for n in DREAM.parameters)
    assert {
        n for n in here.equations if n in there.equations and here.text(n) != there.text(n)
    } == {"z"}
    order = [*here.equations]
    wanted = ["mu_0", "z", "phi_z", "logits", "x", "phi_x", "h"]
    assert [n for n in order if n in wanted] == wanted
    assert here.folded().text("phi_x") == "phi_x = phi_x(x_t)"
    p = variational.init(inputs=3, hidden=4, latent=2, features=5, mlp=6)
    own = {n: p[n] for n in DREAM.parameters}
    run = unroll(DREAM, own, np.zeros((6, 2)), u=np.random.default_rng(0).random((6, 2, 3)), seed=1)
    assert {*run["x"].numpy().astype(float).reshape(-1)} <= {0.0, 1.0}


def test_a_parameter_can_be_replaced() -> None:
    """By a number, which fills it."""
    without = otherwise(cells.lstm, b_f=0)
    assert "b_f" not in without.parameters
    p = cells.lstm.init(inputs=3, hidden=4, seed=1, b_f=0.0)
    xs = np.ones((3, 3))
    own = {n: p[n] for n in without.parameters}
    np.testing.assert_array_equal(
        unroll(without, own, xs)["h"].numpy(), unroll(cells.lstm, p, xs)["h"].numpy()
    )


@pytest.mark.parametrize(
    ("replaced", "inputs", "message"),
    [
        ({"q": 1}, {}, "has no 'q' to replace"),
        ({"z": lambda v: v.h}, {}, "in a circle"),
        ({"z": lambda v: v.nothing}, {}, "no 'nothing' to write with"),
        ({}, {"z": "latent"}, "has z already"),
    ],
)
def test_what_cannot_be_replaced_is_said(replaced, inputs, message) -> None:  # type: ignore[no-untyped-def]
    """One message each, with what there is."""
    with pytest.raises(TinygradError, match=message):
        otherwise(variational, inputs=inputs, **replaced)
    assert issubclass(CellError, TinygradError)
