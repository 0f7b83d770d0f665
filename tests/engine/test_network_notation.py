"""Parts of networks in formulas: layers as superscripts, directions as arrows."""

import xml.etree.ElementTree as ET

import pytest
from latex2mathml.converter import convert

import equations
from equations import name_latex, name_unicode
from tinygrad_lstm import cells
from tinygrad_lstm.errors import TinygradError
from tinygrad_lstm.networks import bidirectional, stack
from viz.glyphs import glyphs

NAMES = [
    ("1.f", r"f^{(1)}_t", "f^(1)_t"),
    ("prev.2.C", r"C^{(2)}_{t-1}", "C^(2)_{t-1}"),
    ("1.W_f", r"W^{(1)}_f", "W^(1)_f"),
    ("1.2.C_tilde", r"\tilde{C}^{(1,2)}_t", "C̃^(1,2)_t"),
    ("2.h_prime", r"h^{\prime(2)}_t", "h′^(2)_t"),
    ("1.my_gate", r"\mathrm{my}^{(1)}_{\mathrm{gate}, t}", "my^(1)_{gate,t}"),
    ("forward.h", r"\overrightarrow{h}_t", "h⃗_t"),
    ("backward.h", r"\overleftarrow{h}_t", "h⃖_t"),
    ("2.forward.h", r"\overrightarrow{h}^{(2)}_t", "h⃗^(2)_t"),
    ("forward.2.h", r"\overrightarrow{h}^{(2)}_t", "h⃗^(2)_t"),
    ("forward.C_tilde", r"\overrightarrow{\tilde{C}}_t", "C̃⃗_t"),
    ("backward.W_f", r"\overleftarrow{W}_f", "W⃖_f"),
    ("prev.forward.h", r"\overrightarrow{h}_{t-1}", "h⃗_{t-1}"),
    # who reads backward comes from the right; turned twice, from the left
    ("prev.2.backward.h", r"\overleftarrow{h}^{(2)}_{t+1}", "h⃖^(2)_{t+1}"),
    ("prev.backward.backward.h", r"\overleftarrow{\overleftarrow{h}}_{t-1}", "h\u20d6\u20d6_{t-1}"),
    ("bar.1.f", r"\bar{f}^{(1)}_t", "f̄^(1)_t"),
    ("bar.2.W_f", r"\bar{W}^{(2)}_f", "W̄^(2)_f"),
    ("bar.backward.h", r"\bar{\overleftarrow{h}}_t", "h⃖̄_t"),
    ("bar.prev.1.h", r"\bar{h}^{(1)}_{t-1}", "h̄^(1)_{t-1}"),
    ("delta.1.f", r"\delta^{f^{(1)}}_t", "δ^{f^(1)}_t"),
    ("delta.1.f.2", r"\delta^{f^{(1)},2}_t", "δ^{f^(1),2}_t"),
    ("delta.f.2", r"\delta^{f,2}_t", "δ^{f,2}_t"),
    ("seed.2.h", r"\frac{\partial L}{\partial h^{(2)}_t}", "∂L/∂h^(2)_t"),
    # words that name no part
    ("forward", r"\mathrm{forward}_t", "forward_t"),
    ("delta.forward.1", r"\delta^{\mathrm{forward},1}_t", "δ^{forward,1}_t"),
]


@pytest.mark.parametrize(("name", "latex", "text"), NAMES)
def test_names(name: str, latex: str, text: str) -> None:
    assert name_latex(name) == latex
    assert name_unicode(name) == text
    ET.fromstring(convert(latex))
    assert glyphs(latex, 12.0).width > 0


def test_names_at_a_step() -> None:
    assert name_latex("prev.2.C", "3") == "C^{(2)}_2"
    assert name_latex("prev.backward.C", "3") == r"\overleftarrow{C}_4"
    assert name_latex("prev.backward.C", "t-1") == r"\overleftarrow{C}_t"


def drawable(found: equations.Equations) -> None:
    for equation in found:
        ET.fromstring(equation.mathml())
        assert glyphs(equation.latex(), 12.0).width > 0


def test_equations_of_layers() -> None:
    found = equations.forward(stack([cells.rnn, cells.gru]))
    assert found.names == ["1.h", "2.z", "2.r", "2.h_tilde", "2.h"]
    assert found["1.h"].latex() == (
        r"h^{(1)}_t = \tanh\left(W^{(1)} \cdot [h^{(1)}_{t-1}, x_t] + b^{(1)}\right)"
    )
    assert found["2.z"].latex() == (
        r"z^{(2)}_t = \sigma\left(W^{(2)}_z \cdot [h^{(2)}_{t-1}, h^{(1)}_t]\right)"
    )
    drawable(found)


def test_equations_of_both_directions() -> None:
    found = equations.forward(bidirectional(cells.rnn))
    assert [line.latex() for line in found] == [
        r"\overrightarrow{h}_t = \tanh\left(\overrightarrow{W} \cdot "
        r"[\overrightarrow{h}_{t-1}, x_t] + \overrightarrow{b}\right)",
        r"\overleftarrow{h}_t = \tanh\left(\overleftarrow{W} \cdot "
        r"[\overleftarrow{h}_{t+1}, x_t] + \overleftarrow{b}\right)",
        r"h_t = [\overrightarrow{h}_t, \overleftarrow{h}_t]",
    ]
    drawable(found)


def test_further_inputs_of_parts() -> None:
    network = stack([bidirectional(cells.rnn), cells.clockwork])
    line = equations.forward(network)["2.y_H"].latex()
    assert r"\mathrm{clock}^{(2)}_t" in line
    inner = equations.forward(network)["2.y_tilde"].latex()
    assert r"\mathrm{mask}^{(2)} \odot W^{(2)}_H" in inner


def test_a_transposed_matrix_of_a_layer_is_valid_latex() -> None:
    lines = equations.backward(stack([cells.gru_cho2014, cells.gru_cho2014]), loss="2.h")
    assert r"{W^{(2)}_z}^{\top}" in lines["bar.1.h"].latex().replace(r"^\top", r"^{\top}")
    drawable(lines)


def test_the_loss_reads_a_network_s_output() -> None:
    """The two layers' adjoints, as a textbook writes backpropagation through both directions."""
    lines = equations.backward(stack([cells.rnn, cells.rnn]))
    assert (
        lines["bar.2.h"]
        .latex()
        .startswith(r"\bar{h}^{(2)}_t = \frac{\partial L}{\partial h^{(2)}_t} + ")
    )
    assert r"\partial L" not in lines["bar.1.h"].latex()
    both = equations.backward(bidirectional(cells.rnn))
    assert both["bar.h"].latex() == r"\bar{h}_t = \frac{\partial L}{\partial h_t}"
    with pytest.raises(TinygradError, match="gradients evaluates the equations of one cell"):
        equations.gradients(stack([cells.rnn]), {}, [[1.0]], {})
