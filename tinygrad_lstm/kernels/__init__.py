"""Compiled cells: a plan found on a step's equations, and the code made of it.

from tinygrad_lstm import compiled
fast = compiled(cells.lstm)
print(fast.plan(inputs=64, hidden=128))
print(fast.source("c", inputs=64, hidden=128))
"""

from tinygrad_lstm.kernels.compiled_cell import Compiled, compiled

__all__ = ["Compiled", "compiled"]
