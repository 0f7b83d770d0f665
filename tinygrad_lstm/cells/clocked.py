"""The clockwork recurrent network, and the clock and connections that periods mean."""

from collections.abc import Sequence

import numpy as np

from tinygrad_lstm.errors import DataError
from tinygrad_lstm.ops import matvec, tanh
from tinygrad_lstm.step import cell
from tinygrad_lstm.tensor import Array


@cell(
    state={"y_H": "hidden"},
    parameters={"W_H": "hidden, hidden", "W_I": "hidden, inputs", "b": "hidden"},
    sequences={"clock": "hidden"},
    constants={"mask": "hidden, hidden"},
    papers=["koutnik2014"],
)
def clockwork(now, prev, x, p, clock, mask):  # type: ignore[no-untyped-def]
    """Clockwork recurrent network (Koutník et al. 2014): each unit has a period, and rests between.

    `clock`, made by the function of that name, is 1 where a unit ticks and 0 where it holds still:
    then its output is copied, untouched by input and recurrence. `mask`, made by `mask`, is 1
    where a connection exists: from slow units to fast ones and within a module.

    With g modules of k units there are k² g(g + 1) / 2 recurrent weights that count; those under
    a 0 of the mask have no effect and no gradient. The bias b is optional in the literature: leave
    it zero for the equation as printed.
    """
    now.y_tilde = tanh(matvec(mask * p.W_H, prev.y_H) + matvec(p.W_I, x) + p.b)
    now.y_H = clock * now.y_tilde + (1 - clock) * prev.y_H


def clock(periods: Sequence[int], hidden: int, steps: int, start: int = 0) -> Array:
    """Which unit ticks when, (steps, hidden): 1 where its period T divides t, else 0.

    t counts from `start`, 0 unless told: at t = 0 every unit ticks. (Counting from 1, all tick
    together only when every period has passed: pass start=1.) Units are sorted from fast to slow,
    in modules as equal as possible, the first ones larger by a unit where they cannot be equal.

    DataError for periods that are not different whole numbers of at least 1, or outnumber the
    units.
    """
    times = np.arange(start, start + steps)
    ticks: Array = (times[:, None] % _of_units(periods, hidden) == 0).astype(float)
    return ticks


def mask(periods: Sequence[int], hidden: int) -> Array:
    """Which connections exist, (hidden, hidden): 1 from unit j to unit i where T_i <= T_j, else 0.

    Slow modules feed fast ones and each feeds itself. Sorted from fast to slow as by `clock`, the
    matrix is block upper triangular. Errors as for `clock`.
    """
    T = _of_units(periods, hidden)
    exists: Array = (T[:, None] <= T[None, :]).astype(float)
    return exists


def _of_units(periods: Sequence[int], hidden: int) -> Array:
    """The period of each unit, from the fastest to the slowest."""
    whole = all(isinstance(T, int | np.integer) and T >= 1 for T in periods)
    if not whole or len(set(periods)) != len(periods) or not 0 < len(periods) <= hidden:
        raise DataError(
            f"periods {list(periods)} for {hidden} units: give different whole numbers of at "
            f"least 1, one for each module, and no more of them than units."
        )
    modules = np.array_split(np.arange(hidden), len(periods))
    of_units: Array = np.repeat(sorted(periods), [len(module) for module in modules])
    return of_units
