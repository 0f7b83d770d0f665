"""The plan of a cell's figure: what stands in which column and row, and which lines merge."""

from __future__ import annotations

from dataclasses import dataclass, field

from tinygrad_lstm.errors import TinygradError
from viz.anatomy import Anatomy


@dataclass
class Column:
    """A column of the grid; `stack` holds its parts from the layer row upwards."""

    stack: list[str] = field(default_factory=list)
    open: bool = True  # whether another part may stand above the stack
    down: bool = False  # its parts lead down; there is no layer at its foot


@dataclass
class Bus:
    """Lines that merge and then feed layers: `sources` are values or other buses ("bus:0")."""

    key: str
    sources: tuple[str, ...]
    layers: list[str]
    straight: str = ""  # the source that enters along the lane
    ramps: list[tuple[str, int, str]] = field(default_factory=list)  # source, column, from where
    lane: int = 0

    @property
    def start(self) -> int:
        """The column in which its sources are first one line."""
        return min(column for _, column, _ in self.ramps)


@dataclass(frozen=True)
class Order:
    """What may be tried in another order: belts from the top, lanes, states without a belt."""

    belts: tuple[str, ...] = ()
    lanes: tuple[int, ...] = ()
    states: tuple[str, ...] = ()


@dataclass
class GridPlan:
    """Columns and rows of everything; rows count downwards from 0."""

    anatomy: Anatomy
    columns: list[Column]
    place: dict[str, tuple[int, int]]  # part or terminal -> (column, row)
    state_row: dict[str, int]
    layer_row: int
    buses: dict[str, Bus] = field(default_factory=dict)
    rows: int = 0
    exit_column: int = 0

    def fed(self, key: str) -> list[str]:
        """The layers that a bus feeds, directly or through another."""
        inner = [other for other, bus in self.buses.items() if key in bus.sources]
        return [*self.buses[key].layers, *(layer for other in inner for layer in self.fed(other))]

    def values(self, key: str) -> set[str]:
        """The values that a line carries: one, or those that a bus has merged."""
        bus = self.buses.get(key)
        return {v for source in bus.sources for v in self.values(source)} if bus else {key}


class NotPlaceable(TinygradError):
    """The grid cannot serve this cell; Graphviz's own layout is used instead."""
