"""Mutants: changed Programs are cells, the same at all sizes and in every process."""

import json
import subprocess
import sys

import numpy as np
import pytest

import equations
import viz
from tinygrad_lstm import cell, cells, check_gradients, compiled, concat, matvec, tanh, unroll
from tinygrad_lstm.cell_files import find
from tinygrad_lstm.errors import CellError, DataError
from tinygrad_lstm.searching import Change, behaviour, draw, examine, fingerprint, listing, mutated
from tinygrad_lstm.searching.mutations import places

PARENTS = ("lstm", "gru", "lstm_1997", "mut1", "clockwork", "odyssey_vanilla")


def some(number, seed=0):
    random = np.random.default_rng(seed)
    for k in range(number):
        parent = cells.all()[PARENTS[k % len(PARENTS)]]
        yield mutated(parent, draw(parent, 1 + k % 5, random))


def numbers(cell):
    """The places of a cell's equations and inputs, by name."""
    program = cell.program()
    number = {node: k for k, node in enumerate(places(program))}
    named = {**program.equations, **program.inputs}
    return {name: number[node] for name, node in named.items() if node in number}


def test_changes_of_a_mutant_are_further_changes_of_its_parent():
    random = np.random.default_rng(8)
    for k in range(40):
        parent = cells.all()[("gru", "lstm", "mut1", "lstm_1997")[k % 4]]
        first = draw(parent, 1 + k % 3, random)
        mutant = mutated(parent, first)
        further = draw(mutant, 2, random)
        assert behaviour(mutated(mutant, further)) == behaviour(mutated(parent, first + further))


def test_a_mutant_is_the_same_cell_at_sizes_that_coincide():
    for mutant in some(24):
        small, alike = mutant.program(), mutant.program(**dict.fromkeys(mutant.sizes, 5))
        assert str(small).splitlines()[1:] == [
            line for line in str(alike).splitlines()[1:]
        ]  # of the same text, whatever coincides
        assert [n.op for n in small.nodes()] == [n.op for n in alike.nodes()]


def test_a_mutant_runs_compiled_and_its_gradient_is_right():
    tried = 0
    for mutant in some(15, seed=2):
        if examine(mutant).fault or mutant.constants:
            continue
        p = mutant.init(seed=1, **mutant.small_sizes())
        xs = np.random.default_rng(0).normal(size=(4, 2, *mutant.program().inputs["x"].shape))
        a, b = unroll(mutant, p, xs), unroll(compiled(mutant, code="numpy"), p, xs)
        for name in mutant.state:
            np.testing.assert_allclose(a[name].data, b[name].data, rtol=1e-10, atol=1e-12)
        if not {n.op for n in mutant.program().nodes()} & {"relu", "maximum", "softsign"}:
            check_gradients(lambda q, m=mutant, x=xs: unroll(m, q, x)[m.output], p)
            tried += 1
    assert tried > 1


def test_a_mutant_is_made_again_from_its_changes_elsewhere():
    parent = cells.gru
    changes = draw(parent, 4, np.random.default_rng(11))
    stored = json.dumps([change.stored() for change in changes])
    code = (
        "import json, sys; from tinygrad_lstm import cells; from tinygrad_lstm.searching import *\n"
        "changes = [Change.of(c) for c in json.loads(sys.argv[1])]\n"
        "mutant = mutated(cells.gru, changes); print(behaviour(mutant), fingerprint(mutant))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, stored], capture_output=True, encoding="utf-8", timeout=60
    )
    mutant = mutated(parent, changes)
    assert done.stdout.split() == [behaviour(mutant), fingerprint(mutant)], done.stderr


def test_every_kind_of_change_changes_what_is_computed():
    place = numbers(cells.lstm)
    changes = [
        Change("activation", place["f"], "tanh"),
        Change("operation", place["C"], "multiply"),
        Change("wrap", place["h"], "relu"),
        Change("join", place["h"], "add", place["C"]),
        Change("gate", place["h"]),
        Change("drop", place["h"], "", 0),
        Change("take", place["o"], "", place["i"]),
    ]
    found = {behaviour(cells.lstm)}
    for change in changes:
        mutant = mutated(cells.lstm, [change])
        assert Change.of(json.loads(json.dumps(change.stored()))) == change
        found.add(behaviour(mutant))
    assert len(found) == len(changes) + 1
    gated = mutated(cells.lstm, [changes[4]])
    assert gated.parameters["W_g1"] == "hidden, hidden + inputs" and "b_g1" in gated.parameters
    # what nothing reads any more is gone, with its parameters
    assert "W_o" not in mutated(cells.lstm, [changes[6]]).parameters
    assert "C" in mutated(cells.lstm, [changes[5]]).program().equations


def test_what_computes_the_same_behaves_alike():
    place = numbers(cells.lstm)
    for op in ("add", "multiply"):
        one = mutated(cells.lstm, [Change("join", place["f"], op, place["prev.C"])])
        two = mutated(one, [Change("join", numbers(one)["f"], op, numbers(one)["prev.C"])])
        assert len({behaviour(cells.lstm), behaviour(one), behaviour(two)}) == 3
    other = mutated(cells.gru, [], "the_gru_under_another_name")
    assert behaviour(other) == behaviour(cells.gru) and fingerprint(other) == fingerprint(cells.gru)
    assert fingerprint(cells.lstm) != fingerprint(cells.gru)
    assert behaviour(swapped_sums) == behaviour(cells.rnn)
    assert fingerprint(swapped_sums) != fingerprint(cells.rnn)


@cell(state="h", parameters={"W": "hidden, hidden + inputs", "b": "hidden"})
def swapped_sums(now, prev, x, p):
    now.inside = p.b + matvec(p.W, concat(prev.h, x))
    now.h = tanh(now.inside)


def test_faults_are_found_before_a_training():
    place = numbers(cells.rnn)
    forgets = mutated(cells.rnn, [Change("take", place["h"], "", place["b"])])
    assert "do not depend on the states" in examine(forgets).fault
    assert examine(cells.lstm).fault == "" and examine(cells.lstm).bounded
    assert not examine(cells.nfg).bounded  # nothing is forgotten


def test_a_listing_is_the_cell_again(tmp_path):
    file = tmp_path / "a.py"
    every = [*cells.all().values(), *some(12, seed=5)]
    for which in every[::2]:
        file.write_text(listing(which, "again", "What it is."), encoding="utf-8")
        again = find(f"{file}:again")
        assert behaviour(again) == behaviour(which)
        assert again.parameters.keys() == which.parameters.keys()
        assert again.start == which.start and again.doc == "What it is."


def test_a_mutant_is_read_like_any_cell():
    mutant = mutated(cells.lstm, [Change("gate", numbers(cells.lstm)["h"])])
    assert "g_{1,t}" in equations.forward(mutant).unicode()
    assert "W̄_g1" in equations.backward(mutant).unicode()
    assert "g_{1,t}" in equations.difference(cells.lstm, mutant).unicode()
    assert viz.cell(mutant).svg().startswith("<")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("wrap", 400, "tanh"), "no place 400"),
        (("activation", "C", "tanh"), "does not fit"),
        (("operation", "f", "add"), "does not fit"),
        (("drop", "f", "", 3), "does not fit"),
        (("wrap", "W_f", "tanh"), "not an operation"),
        (("take", "f", "", "h"), "is not there yet"),
        (("join", "f", "add", "h"), "is not there yet"),
        (("join", "f", "add", "x"), "not as long"),
    ],
)
def test_changes_of_another_cell_are_refused(change, message):
    place = numbers(cells.lstm)
    kind, at, word, *other = (place.get(part, part) for part in change)
    with pytest.raises(CellError, match=message):
        mutated(cells.lstm, [Change(kind, at, word, *other)])


@pytest.mark.parametrize("stored", [["wrap"], ["explode", 1, "", 0], ["wrap", 1, "eval", 0], 7])
def test_what_is_no_change(stored):
    with pytest.raises(DataError, match="no change"):
        Change.of(stored)
