"""The figure of one cell."""

from viz import cell_figures
from viz.kinds import figure

cell = figure(focus="dim all but equations (f,i), belts (belt:C) or gates (gate:f)")(
    cell_figures.cell
)
