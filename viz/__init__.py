"""Pictures of recurrent cells and of their computation graphs."""

from viz.cell_figures import cell
from viz.figure import Figure, FigureError

__all__ = ["Figure", "FigureError", "cell"]
