"""What is wrong with somebody's own gradient, named by rule.

    from tinygrad_lstm import cells, diagnose
    print(diagnose(cells.lstm, my_backward))

A wrong backward pass is the right one with a mistake in it. The mistakes that people make are
drawn by rule from the graph of the cell's own step (`mistakes`), each is carried out (`backward`),
and the one that gives the numbers that were found is told (`gradients`, `diagnosis`), with the term
it is about (`terms`).
"""

from tinygrad_lstm.diagnosis.diagnosis import Diagnosis
from tinygrad_lstm.diagnosis.gradients import diagnose
from tinygrad_lstm.diagnosis.identification import Identification, identify

__all__ = ["Diagnosis", "Identification", "diagnose", "identify"]
