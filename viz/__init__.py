"""Pictures of recurrent cells, of their computation graphs, and of the plans of compiled ones."""

from viz.comparison import difference
from viz.computation import graph
from viz.figure import Figure, FigureError
from viz.figures.cell import cell
from viz.networks import chain, rolled, unrolled
from viz.notation import legend
from viz.schedule import plan

__all__ = [
    "Figure",
    "FigureError",
    "cell",
    "chain",
    "difference",
    "graph",
    "legend",
    "plan",
    "rolled",
    "unrolled",
]
