"""The plain recurrent network (Elman 1990)."""

from tinygrad_lstm.ops import concat, matvec, tanh
from tinygrad_lstm.step import cell


@cell(
    state="h",
    parameters={"W": "hidden, hidden + inputs", "b": "hidden"},
    papers=["elman1990"],
)
def rnn(now, prev, x, p):  # type: ignore[no-untyped-def]
    """The plain recurrent network: one tanh layer."""
    now.h = tanh(matvec(p.W, concat(prev.h, x)) + p.b)
