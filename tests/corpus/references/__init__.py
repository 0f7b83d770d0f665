"""What the cells of the corpus compute, written a second time: NumPy, one sample, no engine.

`REFERENCES` maps `file.name` to a function that computes what the cell called `name` does. It takes
a `corpus.Problem` and returns the equations it knows, (time, …) each. A function that is written in
any file of this folder is found by itself.
"""

import importlib
import pkgutil
from types import SimpleNamespace

import numpy as np


def whole(function):
    """A reference of p, xs and the first states that computes a whole sequence at once."""

    def sequence(problem):
        return function(SimpleNamespace(**problem.p), problem.xs, problem.initial)

    sequence.reference = True
    return sequence


def steps(step):
    """A reference of one step's p, s, x and further inputs; s are the states before the step."""

    def sequence(problem):
        p, states, rows = SimpleNamespace(**problem.p), dict(problem.initial), []
        for t, x in enumerate(problem.xs):
            further = {name: value[t] for name, value in problem.sequences.items()}
            row = step(p, SimpleNamespace(**states), x, **further, **problem.constants)
            states |= {name: row[name] for name in states if name in row}
            rows.append(row)
        return {name: np.array([row[name] for row in rows]) for name in rows[0]}

    sequence.reference = True
    return sequence


def σ(a):
    """The logistic function."""
    return 1 / (1 + np.exp(-np.asarray(a)))


def softmax(a):
    """Exponentials over their sum."""
    e = np.exp(a)
    return e / e.sum()


REFERENCES = {}
for _module in pkgutil.iter_modules(__path__):
    for _name, _value in vars(importlib.import_module(f"{__name__}.{_module.name}")).items():
        if hasattr(_value, "reference"):
            REFERENCES[f"{_module.name}.{_name}"] = _value
