"""Pictures of recurrent cells and networks, of computation graphs, and of compiled cells' plans.

Every kind of figure that `viz.figures` holds is a function here: `viz.cell`, `viz.unrolled`, ….
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from viz.figure import Figure, FigureError
from viz.kinds import all_kinds

__all__ = ["Figure", "FigureError", *all_kinds()]

if TYPE_CHECKING:

    def __getattr__(name: str) -> Callable[..., Figure]: ...


globals().update({name: kind.draw for name, kind in all_kinds().items()})
