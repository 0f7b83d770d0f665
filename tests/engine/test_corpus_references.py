"""The cells of the corpus compute what their papers say: against NumPy and PyTorch.

Any function in a file of `corpus/references` that is named after a cell is run here.
"""

import numpy as np
import pytest
from corpus import CELLS, draw
from corpus.references import REFERENCES

from tinygrad_lstm import unroll


@pytest.mark.parametrize("reference", REFERENCES)
def test_cell_computes_what_its_reference_does(reference):
    problem = draw(reference.split(".")[1], time=5)
    expected = REFERENCES[reference](problem)
    run = unroll(problem.cell, problem.p, problem.xs, problem.initial, **problem.further)
    for equation, value in expected.items():
        np.testing.assert_allclose(
            run[equation].numpy(), value, rtol=1e-12, atol=1e-12, err_msg=equation
        )


def test_corpus_is_large_and_most_of_it_has_a_reference():
    assert len(CELLS) >= 50
    assert len({reference.split(".")[1] for reference in REFERENCES} & set(CELLS)) >= 35
