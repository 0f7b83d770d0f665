"""Every kind of figure of every odd cell: nothing raises, nothing that is computed is missing."""

import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from corpus import habits
from figure_kinds import SECONDS, figures_of, spent
from sampling import sample
from viz_cells import OWN
from viz_odd_cells import ODD

import viz
from equations import name_unicode
from equations.wording import Said
from lesson import prose
from lesson.commands import main
from tinygrad_lstm import bidirectional, cell, cells, exp, sigmoid, stack, tanh, unroll
from viz import layout as layouts
from viz.layout import search
from viz.tikz import document

ALL = {c.name: c for c in (*ODD, *OWN)}
NETWORKS = (stack([cells.lstm, bidirectional(cells.gru)]), bidirectional(stack([cells.rnn] * 2)))

# what stands in a figure for an operation: written here by hand, not read off the figures
SIGNS = {
    "exp": "exp",
    "log": "log",
    "mean": "mean",
    "sqrt": "√",
    "softmax": "softmax",
    "sigmoid": "σ",
    "tanh": "tanh",
    "reshape": "reshape",
    "transpose": "ᵀ|transpose",
    "swapaxes": "ᵀ|transpose",
    "divide": "÷",
    "subtract": "−",
    "maximum": "max",
    "max": "max",
    "sum": "Σ",
    "cumsum": "cumsum",
    "logsumexp": "logsumexp",
    "where": "where",
    "clip": "clip",
    "abs": r"abs|\|",
    "outer": "⊗|outer",
    "relu": "relu",
    "softplus": "softplus",
    "detach": "detach",
    "stack": "stack",
    "power": r"\^|power",
    "greater": ">|greater",
    "greater_equal": "≥|greater",
    "add": r"\+",
    "multiply": "×|⊙",
    "getitem": r"\[[^\]]*(?:[:\d…]|None)",
}


def figures(cell):
    """Every kind of figure of a cell, made when it is asked for."""
    return {
        **figures_of(cell),
        "program": lambda: viz.graph(cell.program()),
        "operations": lambda: viz.graph(cell.program(), fold="op"),
        "back": lambda: viz.difference(cell, cells.gru),
    }


def check(figure):
    """It is whole in every format, and said in every language."""
    root = ET.fromstring(figure.svg())
    ids = [e.get("id") for e in root.iter() if e.get("id")]
    assert len(ids) == len(set(ids))
    assert {f"{figure.prefix}-{e.id}" for e in (*figure.scene.shapes, *figure.scene.wires)} <= set(
        ids
    )
    assert figure.dot.count(" -> ") == len(figure.scene.wires)
    assert document(figure.tikz).count(r"\draw") == len(figure.scene.wires)
    assert figure.alt.endswith(".")
    if isinstance(figure.alt, Said):
        known = set(prose.sentences("ko")) | {"{left} = {right}"}
        assert figure.alt.templates() <= known
        for language in ("ko", "zh"):
            assert prose.translate(figure.alt, language) != figure.alt


def labels(figure):
    """What is written in a figure, but for the marks beside what is subtracted."""
    shapes = figure.scene.shapes
    return [shape.text for shape in shapes if shape.text and "second-" not in shape.id]


def of_product(node):
    """Whether a sum has a product with a matrix or vector among its terms."""
    terms = [node]
    for term in terms:
        if term.op == "add" and (term is node or term.name is None):
            terms += term.inputs
    return any(term.op in ("matvec", "vecdot") for term in terms)


def missing(cell, figure, unnamed=()):
    """What a cell computes that its figure does not show; some values may bear no name."""
    program, drawn = cell.program(), " ".join(labels(figure)).replace("²", "^2")
    titles = " ".join(shape.title for shape in figure.scene.shapes)
    parameters = {program.inputs[name] for name in cell.parameters}
    found = [n for n in program.equations if name_unicode(n) not in drawn and n not in unnamed]
    found += [
        n
        for n in cell.parameters
        if not re.search(rf"(?<!\w){n}(?![^\Wᵀ])", titles)
        and program.inputs[n] in set(program.nodes())
    ]
    count: dict[str, int] = {}
    for node in program.nodes():
        of_weights = parameters & set(node.inputs)
        if node.op == "add" and of_product(node):
            continue
        if not (node.op in ("getitem", "multiply", "swapaxes") and of_weights):
            op = "subtract" if node.op == "negative" else node.op or ""
            count[op] = count.get(op, 0) + 1
        if not node.inputs and not node.traced and node.size == 1:
            number = f"{node.data.item():.4g}".replace("-", "−")
            found += [number] * (number not in drawn)
    for op, sign in SIGNS.items():
        if len(re.findall(sign, drawn)) < count.get(op, 0):
            found.append(f"{count[op]} {op}")
    return found


@pytest.fixture(params=("grid", "free"))
def layout(request, monkeypatch):
    """Both ways in which cells are laid out, so that each is tried on every cell."""
    if request.param == "free":
        monkeypatch.setattr(layouts, "arranged", lambda a: None)
    return request.param


@pytest.mark.parametrize("name", ALL)
def test_every_kind_of_figure(name):
    for kind, draw in sample(figures(ALL[name]).items(), 3, [*ALL].index(name)):
        begun = spent()
        figure = draw()
        check(figure)
        assert spent() - begun < SECONDS, kind


@pytest.mark.parametrize("name", ALL)
def test_nothing_that_is_computed_is_missing(name, layout):
    cell = ALL[name]
    assert missing(cell, viz.cell(cell)) == []
    # the states of a chain go from module to module
    assert missing(cell, viz.chain(cell), unnamed=cell.state) == []


@pytest.mark.sample(3)
@pytest.mark.parametrize("name", cells.all())
def test_nothing_that_is_computed_is_missing_in_the_family(name):
    assert missing(cells.all()[name], viz.cell(cells.all()[name])) == []


def test_what_is_missing_is_seen():
    """A part taken out, a name taken away, a sign put in another's place: the check sees each."""
    figure, odd = viz.cell(ALL["decay"]), ALL["decay"]
    shapes = figure.scene.shapes
    for k, shape in enumerate(list(shapes)):
        if shape.kind == "op" or shape.id in ("label-q", "label-m"):
            shapes.pop(k)
            assert missing(odd, figure), shape.id
            shapes.insert(k, shape)
    assert missing(odd, figure) == []


@pytest.mark.parametrize("name", ("decay", "packed", "odd_names", "minimal_gated"))
def test_what_cannot_stand_on_the_grid_is_drawn_in_every_kind(name, monkeypatch):
    """Whatever fails there, and however: the other layout draws, with words of its own."""

    def fail(*args):
        raise KeyError(9)

    monkeypatch.setattr(search, "routed", fail)
    search.arranged.cache_clear()
    for draw in sample(figures(ALL[name]).values(), 2):
        check(draw())
    alt = viz.cell(ALL[name]).alt
    assert not any(word in alt for word in ("belt", "from below", "above", "merge"))
    assert "Given inside: x_t" in alt and "from the left" in alt
    search.arranged.cache_clear()


def test_the_free_layout_marks_differences_too(monkeypatch):
    monkeypatch.setattr(layouts, "arranged", lambda a: None)
    scene = viz.difference(cells.lstm, cells.lstm_coupled).scene
    changed = {s.id for s in scene.shapes if "changed" in s.classes}
    assert {i for i in changed if "part" in i} == {"a-part-i", "b-part-C.2"}
    new = {w.net for w in scene.wires if "changed" in w.classes}
    assert new == {"a-i", "a-prev.h", "a-x", "b-f", "b-C.2"}


def test_signs_say_what_is_computed_from_parameters_and_where_slices_lie():
    shown = {
        "one_minus": {"(1 − μₖ)×", "(1 − a)×"},
        "decay": {"−exp(w)", "÷(1 + exp(−u))"},
        "parameter_alone": {"σ(a)"},
        "packed": {"[:hidden]", "[hidden:2·hidden]"},
        "constants_inside": {"(W − Wᵀ − 0.01 I)·", "0.1×"},
        "powers": {"(·)²", "(·)^(0.5)", "1÷", "· + ·"},
        "peepholes": {"(q² − pᵢ)×", "+exp(q)"},
        "attention": {"·U_aᵀ", "Σ_length", "reshape shape=(-1, 1)"},
        "kinks": {"max(·, low)", "≥0", "where(·, 0.25, ·)"},
    }
    plain = str.maketrans({"ₖ": "_k", "ᵢ": "_i"})
    for name, signs in shown.items():
        assert {sign.translate(plain) for sign in signs} <= set(labels(viz.cell(ALL[name])))


def test_only_what_has_a_matrix_of_weights_is_a_learned_layer():
    learned = {s.text for c in ODD for s in viz.cell(c).scene.shapes if s.kind == "layer"}
    assert not learned & {"[None]", "mean", "reshape shape=2·hidden", "μ_k×", "Σ", "exp"}
    scene = viz.cell(ALL["attention"]).scene
    at = {s.id: s for s in scene.shapes}
    taken = next(s for s in scene.shapes if s.text.startswith("[None"))
    assert taken.kind == "op" and any(
        w.head == taken.id and at[w.tail].text == "W_a" and at[w.tail].kind == "layer"
        for w in scene.wires
        if w.tail in at
    )


def test_a_mean_hangs_on_the_product_that_it_is_of():
    scene = viz.cell(ALL["mean_of_product"]).scene
    into = {f"part-{w.net}" for w in scene.wires if w.head == "part-h.3"}
    shapes = {s.id: s.text for s in scene.shapes}
    assert shapes["part-h.3"] == "mean" and {shapes[i] for i in into} == {"U"}


@pytest.mark.parametrize("kind", ("cell", "chain", "unrolled", "rolled"))
def test_the_output_is_what_the_cell_says(kind, layout):
    figure = getattr(viz, kind)(ALL["output_second"])
    above = [s.text for s in figure.scene.shapes if s.id.endswith(("out-output", "-out"))]
    assert above and all(text.startswith("h_") for text in above)
    words = {"cell": "h_t is also the output", "chain": "h_t is also the output"}.get(kind, "h_t")
    assert words in figure.alt or "the output is h_t" in figure.alt


def test_an_output_that_is_no_state_leaves_the_cell(monkeypatch, layout):
    monkeypatch.setattr(ALL["readout"], "output", "y")
    search.arranged.cache_clear()
    viz.anatomy.parts_of.cache_clear()
    figure = viz.cell(ALL["readout"])
    wire = next(w for w in figure.scene.wires if w.head == "out-output")
    assert wire.net == "y" and "h_t" in labels(figure)
    place = "the output above is y_t" if layout == "grid" else "the output is y_t"
    assert figure.alt.endswith(f"h_t leaves to the right; {place}.")
    check(viz.chain(ALL["readout"]))
    check(viz.rolled(ALL["readout"]))
    viz.anatomy.parts_of.cache_clear()
    search.arranged.cache_clear()


def test_a_state_called_x_is_not_the_input():
    parts = viz.anatomy.anatomy(ALL["state_x"])
    assert parts.inputs == ("x",) and set(parts.parts["x.0"].inputs) == {"x", "prev.x"}
    assert (
        "x_{t-1} and y_{t-1} enter from the left, x_t from below." in viz.cell(ALL["state_x"]).alt
    )


def test_a_crowded_cell_ends_in_time():
    """Gates that all read one another: more than the grid can serve."""
    count = 40

    @cell(state="h C", x="hidden", parameters={f"w_{k}": "hidden" for k in range(count)})
    def crowded(now, prev, x, p):
        known = [prev.h, prev.C, x]
        for k in range(count):
            a, b, c = (known[(7 * k + 3 * j) % len(known)] for j in range(3))
            setattr(now, f"a{k}", sigmoid(p[f"w_{k}"] * a) * b + exp(tanh(c - a)) * known[-1])
            known.append(getattr(now, f"a{k}"))
        now.C = known[-1] * prev.C + known[-2]
        now.h = known[-3] * tanh(now.C)

    for draw in (viz.cell, viz.chain):
        begun = spent()
        figure = draw(crowded)
        figure.svg()
        assert spent() - begun < SECONDS
        assert missing(crowded, figure, crowded.state if draw is viz.chain else ()) == []


@pytest.mark.parametrize("network", NETWORKS, ids=str)
def test_networks(network):
    check(viz.unrolled(network, 2))
    check(viz.rolled(network))
    run = unroll(network, network.init(inputs=2, hidden=2), np.ones((2, 2)))
    loss = run.steps[-1]["h"].sum()
    loss.backward()
    for fold in ("equation", "op", "time"):
        check(viz.graph(loss, fold=fold))
    for kind in (viz.cell, viz.chain, lambda n: viz.difference(n, cells.lstm)):
        with pytest.raises(viz.FigureError, match="has several parts"):
            kind(network)


def test_figures_say_sums_of_products_axes_and_sizes_as_formulas_do():
    assert "mixed_t = Σ_j [T]_kij [h_{t-1}]_j" in viz.cell(habits.bilinear).alt
    largest = viz.cell(habits.largest).alt
    assert "top_t = max_columns(A_{t-1})" in largest and "most_t = max(A_{t-1})." in largest
    assert "÷ sqrt(half)" in viz.cell(habits.halves).alt
    shifted = viz.cell(habits.shifted).alt
    assert "+ 0.3333." in shifted and "0.3333, 0.3333" not in shifted


@pytest.mark.parametrize("figure", ["cell", "unrolled", "rolled", "chain", "plan"])
def test_what_is_no_cell_is_refused(figure):
    with pytest.raises(viz.FigureError, match=f"viz.{figure} draws .* cell, got 'lstm'"):
        getattr(viz, figure)("lstm")


@pytest.mark.parametrize("kind", ["graph", "plan"])
def test_the_command_draws_within_a_cells_bounds(kind, tmp_path):
    (tmp_path / "own.py").write_text(
        "from tinygrad_lstm import cell, tanh\n"
        '@cell(state={"M": "slots, width"}, x="width", sizes={"slots": "at least 5"})\n'
        "def own(now, prev, x, p):\n"
        "    now.M = tanh(prev.M[4] + prev.M * x)\n",
        encoding="utf-8",
    )
    out = tmp_path / "own.svg"
    assert main(["draw", f"{tmp_path / 'own.py'}:own", "--kind", kind, "-o", str(out)]) == 0
    assert "<svg" in out.read_text(encoding="utf-8")
