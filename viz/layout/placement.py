"""Columns and rows: where the parts of a cell stand, before any line is drawn.

Rows, from the top: a belt for each state that is carried by pointwise operations; those operations
that lead to or from the belts, by depth; the learned layers; lanes in which the layers' operands
merge. Columns follow the author's order. A part that leads up to a belt stands above what it reads;
one that leads down (to an output, or back into a layer) gets a column of its own, right of it.
"""

from __future__ import annotations

from viz.anatomy import Anatomy, Part
from viz.layout.grid import Column, GridPlan, NotPlaceable, Order
from viz.layout.lanes import Lanes


class Placer:
    """Puts every part of a cell into a column, then into a row."""

    def __init__(self, anatomy: Anatomy, order: Order = Order()) -> None:  # noqa: B008
        self.anatomy = anatomy
        self.parts = anatomy.parts
        self.belts = anatomy.belts
        self.order = order
        self.on_belt = {key: state for state, path in self.belts.items() for key in path}
        self.columns: list[Column] = []
        self.column: dict[str, Column] = {}
        self.last_on_belt: dict[str, Column | None] = dict.fromkeys(self.belts)
        self.up = self._rising()

    def plan(self) -> GridPlan:
        """Place everything."""
        waiting: list[Part] = []
        for part in self.parts.values():
            if self._waits(part):
                waiting.append(part)
                continue
            self._set(part)
        for part in waiting:
            if part.key not in self.column:
                self._new_column(part, down=True)
        try:
            height = self._heights(apart=True)
        except NotPlaceable:  # two operations would each have to stand above the other
            height = self._heights(apart=False)
        top = max(height.values(), default=0)
        belt_rows = {state: k for k, state in enumerate(self.order.belts or reversed(self.belts))}
        layer_row = len(self.belts) + top
        place: dict[str, tuple[int, int]] = {}
        index = {id(column): k for k, column in enumerate(self.columns)}
        for key, column in self.column.items():
            row = belt_rows[self.on_belt[key]] if key in self.on_belt else layer_row - height[key]
            if (index[id(column)], row) in place.values():
                raise NotPlaceable(f"{key} falls on another part")
            place[key] = (index[id(column)], row)
        plan = GridPlan(self.anatomy, self.columns, place, belt_rows, layer_row)
        Lanes(plan).add(self.order)
        return plan

    def _rising(self) -> set[str]:
        """The operations that lead up to a belt without passing a layer."""
        rising: set[str] = set()
        for part in reversed(self.parts.values()):
            if part.key in self.on_belt or (part.key in rising and not part.merges):
                rising |= {i for i in part.inputs if i in self.parts and i not in self.on_belt}
        return rising

    def _above(self, key: str) -> bool:
        """Whether a value comes from a belt, or from what waits to hang below one."""
        return key in self.on_belt or key in self.anatomy.previous

    def _waits(self, part: Part) -> bool:
        """A chain that hangs below a belt is placed with the operation that it leads to."""
        if part.merges or part.key in self.on_belt or part.key in self.up:
            return False
        users = self.anatomy.users(part.key)
        if len(users) != 1 or users[0].merges or users[0].key in self.on_belt:
            return False
        return all(
            self._above(i) or (i in self.parts and i not in self.column) for i in part.inputs
        )

    def _set(self, part: Part) -> None:
        if part.key in self.on_belt:
            self._set_on_belt(part)
        elif part.merges:
            self._append(part)
        elif part.key in self.up:
            self._set_above(part)
        else:
            self._set_down(part)

    def _append(self, part: Part) -> None:
        self.columns.append(Column([part.key]))
        self.column[part.key] = self.columns[-1]

    def _insert(self, part: Part, after: Column | None, down: bool = False) -> Column:
        column = Column([part.key], down=down)
        at = len(self.columns) if after is None else self._index(after) + 1
        self.columns.insert(at, column)
        self.column[part.key] = column
        return column

    def _index(self, column: Column) -> int:
        return next(k for k, c in enumerate(self.columns) if c is column)

    def _placed(self, part: Part) -> list[tuple[int, str]]:
        return sorted((self._index(self.column[i]), i) for i in part.inputs if i in self.column)

    def _set_on_belt(self, part: Part) -> None:
        state = self.on_belt[part.key]
        before = self.last_on_belt[state]
        least = -1 if before is None else self._index(before)
        side = [(k, i) for k, i in self._placed(part) if self.on_belt.get(i) != state]
        c, source = side[-1] if side else (-1, "")
        column = self.columns[c] if side else None
        if column and c > least and column.open and column.stack[-1] == source:
            column.open = False
            self.column[part.key] = column
        else:
            after = self.columns[max(c, least)] if max(c, least) >= 0 else None
            column = self._insert(part, after)
            column.stack, column.open = [], False
        self.last_on_belt[state] = column

    def _set_above(self, part: Part) -> None:
        placed = self._placed(part)
        if placed:
            column = self.columns[placed[-1][0]]
            if column.open and column.stack[-1:] == [placed[-1][1]]:
                column.stack.append(part.key)
                self.column[part.key] = column
                return
        self._insert(part, self.columns[placed[-1][0]] if placed else None)

    def _set_down(self, part: Part) -> None:
        placed = self._placed(part)
        if placed:
            column = self.columns[placed[-1][0]]
            if column.down and column.stack[0] == placed[-1][1]:
                column.stack.insert(0, part.key)
                self.column[part.key] = column
                return
            others = [i for i in part.inputs if i != placed[-1][1]]
            top = column.open and column.stack[-1:] == [placed[-1][1]]
            if top and others and all(i in self.anatomy.previous for i in others):
                column.stack.append(part.key)  # the states come along from the left
                self.column[part.key] = column
                return
        self._new_column(part, down=True)

    def _new_column(self, part: Part, down: bool) -> None:
        chain = [part]  # from this part up to the belt that it hangs below
        while above := [i for i in chain[-1].inputs if i in self.parts and i not in self.column]:
            for other in above[1:]:
                self._new_column(self.parts[other], down=True)
            chain.append(self.parts[above[0]])
        placed = sorted(k for link in chain for k, _ in self._placed(link))
        column = self._insert(part, self.columns[placed[-1]] if placed else None, down)
        for link in chain[1:]:
            column.stack.append(link.key)
            self.column[link.key] = column

    def _heights(self, apart: bool) -> dict[str, int]:
        """How many rows above the layers a part stands that is not on a belt.

        apart: a part stands higher than those to its right that read the same value from below
        it, so that the line to them is level.
        """
        height: dict[str, int] = {}
        for part in self.parts.values():
            if part.merges:
                height[part.key] = 0
        changed = True
        rounds = 0
        while changed:
            changed = False
            rounds += 1
            if rounds > len(self.parts) + 2:
                raise NotPlaceable("heights do not settle")
            for key, column in self.column.items():
                if key in self.on_belt or self.parts[key].merges:
                    continue
                least = 1
                below = column.stack.index(key) - 1
                if below >= 0:
                    least = height.get(column.stack[below], 0) + 1
                    if apart:
                        level = self._beside(column, below, height)
                        least = max([least, *(h + 1 for h in level)])
                if not column.down:
                    for i in self.parts[key].inputs:
                        if i in height and self.column[i] is not column:
                            least = max(least, height[i], self._over(i, column, height))
                if height.get(key, -1) < least:
                    height[key] = least
                    changed = True
        return height

    def _beside(self, column: Column, below: int, height: dict[str, int]) -> list[int]:
        """The heights of operations to the right that read what stands below in a column."""
        users = self.anatomy.users(column.stack[below])
        return [
            height[u.key]
            for u in users
            if u.key in height and not u.merges and self._right_of(column, u.key)
        ]

    def _right_of(self, column: Column, key: str) -> bool:
        return self._index(self.column[key]) > self._index(column)

    def _over(self, source: str, column: Column, height: dict[str, int]) -> int:
        """The least height at which a level line from a source's column meets no other part."""
        first, last = self._index(self.column[source]), self._index(column)
        between = [k for c in self.columns[first + 1 : last] for k in c.stack]
        return max((height.get(k, 0) + 1 for k in between if k in height), default=0)
