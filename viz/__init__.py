"""Pictures of recurrent cells and of their computation graphs."""

from viz.cell_figures import cell
from viz.comparison import difference
from viz.computation import graph
from viz.figure import Figure, FigureError
from viz.networks import chain, rolled, unrolled
from viz.notation import legend

__all__ = [
    "Figure", "FigureError", "cell", "chain", "difference", "graph", "legend", "rolled", "unrolled",
]  # fmt: skip
