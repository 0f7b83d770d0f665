"""What must hold in every cell's figure: lines meet nothing they do not belong to."""

from itertools import combinations

import pytest
from viz_cells import OWN, random_cell
from viz_odd_cells import ODD

from tinygrad_lstm import cells
from viz.anatomy import anatomy
from viz.layout.drawing import Drawing
from viz.layout.placement import Placer
from viz.layout.search import arranged
from viz.layout.shapes import Names

ALL = [*cells.all().values(), *OWN]
# how often lines cross: a layout that needs more is worse than today's
CROSSINGS = {
    "rnn": 0,
    "lstm": 1,
    "lstm_peephole": 1,
    "lstm_coupled": 1,
    "gru": 1,
    "lstm_1997": 8,
    "fgr": 11,
    "depth_gated": 6,
    "exponential": 5,
    "exotic": 4,
    "deep": 11,
    "separate": 3,
    "reset_after": 3,
    "leak": 0,
}


def drawn(cell):
    """A cell's scene on the grid, and the drawing that it is from."""
    drawing = Drawing(arranged(anatomy(cell)), Names())
    return drawing.scene, drawing


def segments(wire):
    return list(zip(wire.points, wire.points[1:], strict=False))


def spans(segment):
    (x0, y0), (x1, y1) = segment
    return min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)


def overlap(a, b, slack=0.0):
    return (
        a[0] < b[2] - slack and b[0] < a[2] - slack and a[1] < b[3] - slack and b[1] < a[3] - slack
    )


def related(drawing, a, b):
    """Whether two nets may touch: one value, or lines that merge into one."""
    buses = drawing.plan.buses

    def flows_into(one, other):
        bus = buses.get(other)
        return bus is not None and any(s == one or flows_into(one, s) for s in bus.sources)

    def merge(one, other):
        return any({one, other} <= set(bus.sources) for bus in buses.values())

    return a == b or flows_into(a, b) or flows_into(b, a) or merge(a, b)


@pytest.mark.parametrize("cell", ALL, ids=lambda c: c.name)
class TestEveryCell:
    def test_lines_run_level_or_upright(self, cell):
        scene, _ = drawn(cell)
        for wire in scene.wires:
            for (x0, y0), (x1, y1) in segments(wire):
                assert x0 == x1 or y0 == y1, wire.id

    def test_no_line_passes_through_a_foreign_shape(self, cell):
        scene, _ = drawn(cell)
        solid = [s for s in scene.shapes if s.kind != "body"]
        for wire in scene.wires:
            for segment in segments(wire):
                x0, y0, x1, y1 = spans(segment)
                for shape in solid:
                    if shape.id not in (wire.tail, wire.head):
                        box = (x0 - 0.5, y0 - 0.5, x1 + 0.5, y1 + 0.5)
                        assert not overlap(box, shape.box), f"{wire.id} meets {shape.id}"

    def test_lines_enter_shapes_at_their_border(self, cell):
        scene, _ = drawn(cell)
        shapes = {s.id: s for s in scene.shapes}
        for wire in scene.wires:
            if wire.arrow and wire.head.startswith("part-"):
                left, top, right, bottom = shapes[wire.head].box
                x, y = wire.points[-1]
                on_side = x in (pytest.approx(left), pytest.approx(right)) and top < y < bottom
                on_end = y in (pytest.approx(top), pytest.approx(bottom)) and left < x < right
                assert on_side or on_end, wire.id

    def test_no_unrelated_lines_lie_on_each_other(self, cell):
        scene, drawing = drawn(cell)
        for a, b in combinations(scene.wires, 2):
            if related(drawing, a.net, b.net):
                continue
            for one in segments(a):
                for other in segments(b):
                    (ax, ay, aX, aY), (bx, by, bX, bY) = spans(one), spans(other)
                    level = ay == aY == by == bY and min(aX, bX) > max(ax, bx)
                    upright = ax == aX == bx == bX and min(aY, bY) > max(ay, by)
                    assert not level and not upright, f"{a.id} lies on {b.id}"

    def test_shapes_and_labels_lie_apart(self, cell):
        scene, _ = drawn(cell)
        for a, b in combinations([s for s in scene.shapes if s.kind != "body"], 2):
            assert not overlap(a.box, b.box), f"{a.id} overlaps {b.id}"

    def test_every_value_bears_its_name(self, cell):
        scene, drawing = drawn(cell)
        ids = {s.id for s in scene.shapes}
        for name in drawing.anatomy.alias:
            assert f"label-{name}" in ids

    def test_belts_are_straight(self, cell):
        scene, drawing = drawn(cell)
        for state in drawing.anatomy.belts:
            belt = [w for w in scene.wires if f"belt-{state}" in w.classes]
            assert len({y for w in belt for _, y in w.points}) == 1
            covered = sum(abs(w.points[-1][0] - w.points[0][0]) for w in belt)
            assert covered > 0.5 * drawing.width

    def test_parts_stand_inside_the_body(self, cell):
        scene, drawing = drawn(cell)
        for shape in scene.shapes:
            if shape.kind in ("layer", "op"):
                left, top, right, bottom = shape.box
                assert left > 8 and right < drawing.width - 8
                assert top > 8 and bottom < drawing.height - 8

    def test_crossings(self, cell):
        assert len(arranged(anatomy(cell)).crossings()) <= CROSSINGS.get(cell.name, 3)


@pytest.mark.parametrize("seed", range(10))
def test_a_random_cell_is_as_tidy(seed):
    cell, checks = random_cell(seed), TestEveryCell()
    checks.test_lines_run_level_or_upright(cell)
    checks.test_no_line_passes_through_a_foreign_shape(cell)
    checks.test_lines_enter_shapes_at_their_border(cell)
    checks.test_no_unrelated_lines_lie_on_each_other(cell)
    checks.test_shapes_and_labels_lie_apart(cell)
    checks.test_parts_stand_inside_the_body(cell)


@pytest.mark.parametrize("cell", [*ALL, *ODD, *map(random_cell, (44, 50))], ids=lambda c: c.name)
def test_lines_climb_into_a_lane_where_nothing_else_stands(cell):
    plan = Placer(anatomy(cell)).plan()
    for bus in plan.buses.values():
        for source, column, _ in bus.ramps:
            own = source in plan.place and plan.place[source][0] == column
            assert own or not plan.columns[column].stack, (bus.key, source)
            assert column < min(plan.place[layer][0] for layer in plan.fed(bus.key))


@pytest.mark.parametrize("cell", [*ALL, *ODD], ids=lambda c: c.name)
def test_what_several_layers_read_is_merged_once(cell):
    buses = Placer(anatomy(cell)).plan().buses
    for a, b in combinations(buses.values(), 2):
        assert len({*a.sources} & {*b.sources}) < 2, (a.key, b.key)

    def values(source):
        return set().union(*map(values, buses[source].sources)) if source in buses else {source}

    for bus in buses.values():
        for layer in bus.layers:
            assert values(bus.key) == set(anatomy(cell).parts[layer].inputs)


@pytest.mark.parametrize("cell", ODD, ids=lambda c: c.name)
def test_an_odd_cell_is_as_tidy(cell):
    checks = TestEveryCell()
    checks.test_lines_run_level_or_upright(cell)
    checks.test_no_line_passes_through_a_foreign_shape(cell)
    checks.test_lines_enter_shapes_at_their_border(cell)
    checks.test_no_unrelated_lines_lie_on_each_other(cell)
    checks.test_parts_stand_inside_the_body(cell)


def test_the_geometry_tests_see_a_bad_line():
    """A line moved onto a part, or onto another line, is found by the checks above."""
    scene, _ = drawn(cells.lstm)
    shape = next(s for s in scene.shapes if s.id == "part-i")
    line = ((shape.x - 90, shape.y), (shape.x + 90, shape.y))
    assert overlap((line[0][0], shape.y - 0.5, line[1][0], shape.y + 0.5), shape.box)
