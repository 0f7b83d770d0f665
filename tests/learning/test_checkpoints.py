"""Checkpoints that are whole as files and are not what a training writes."""

import contextlib
import copy
import dataclasses
import json
import re

import numpy as np
import pytest
from json_places import at, places
from sampling import sample

from tinygrad_lstm import __version__, cell, cells, concat, learning, matvec
from tinygrad_lstm.learning import (
    SGD,
    Adam,
    CharacterModel,
    CheckpointError,
    DivergenceError,
    Settings,
    Training,
    checkpoints,
    schema,
)

RHYME = "a tiny text, told many times;\nit has no reason, though it rhymes.\n" * 6


def saved(path, which=cells.lstm, **options):
    """A checkpoint in the middle of a pass, as its description and its arrays."""
    model = CharacterModel(which, RHYME, hidden=3, inputs=2, start=options.pop("start", None))
    training = Training(model, RHYME, batch=3, length=10, every=2, sample=5, **options)
    training.run(steps=3, checkpoint=path)
    return checkpoints.read(path)


GONE = object()
HUGE = 10**30
ODD = [
    GONE,
    None,
    True,
    -1,
    0,
    10**9,
    2**62,
    HUGE,
    10**400,
    -0.5,
    0.0,
    1.5,
    1e308,
    float("nan"),
    float("inf"),
    "",
    "x",
    "\0",
    [],
    ["x"],
    [[]],
    {},
    {"x": 1},
    [None],
]


def goes_on(path):
    """Whether a checkpoint can be gone on from; a CheckpointError of one kind says why not."""
    try:
        training = Training.resume(path, cells.lstm, RHYME)
    except CheckpointError as error:
        text = str(error)
        place = re.escape(str(path))
        assert re.match(rf"checkpoint {place} (is|has|had|was|cannot be used: )", text)
        assert len(text) < 1500
        return False
    with contextlib.suppress(DivergenceError):  # such as for a rate of 1e30
        training.run(steps=2)
    return True


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    path = tmp_path_factory.mktemp("whole") / "c.npz"
    return path, *saved(path)


FREE = {
    ("text", "name"),
    ("settings", "seed"),
    ("settings", "clip"),
    ("settings", "every"),
    ("settings", "sample"),
    ("settings", "held_out"),
    ("settings", "length"),
    ("position", "step"),
    ("position", "passes"),
    ("position", "chunk"),
    ("position", "seconds"),
    ("position", "loss"),
    ("position", "norm"),
    ("position", "recent"),
    ("history",),
    ("start",),
}


def free(place):
    """Whether another value at a place can be that of another training."""
    return place[:2] in FREE or place[:1] in FREE or place[:2] == ("settings", "optimiser")


@pytest.mark.parametrize("odd", [None, [], 3, "x", {}])
def test_a_description_that_is_none(odd, whole):
    path, _, arrays = whole
    checkpoints.write(path, odd, arrays)
    assert not goes_on(path)


def test_every_field_of_a_description(whole, monkeypatch):
    path, described, arrays = whole
    checkpoints.write(path, described, arrays)
    assert goes_on(path)
    refused, tried = 0, 0
    for k, place in enumerate(places(described, most=2)):
        own = at(described, place)
        for odd in sample(ODD, 4, k):
            if odd is not GONE and type(odd) is type(own) and odd == own:
                continue
            changed = copy.deepcopy(described)
            if odd is GONE:
                del at(changed, place[:-1])[place[-1]]
            else:
                at(changed, place[:-1])[place[-1]] = odd
            read = json.loads(json.dumps(changed)), arrays
            monkeypatch.setattr(checkpoints, "read", lambda path, read=read: read)
            fine = goes_on(path)
            tried, refused = tried + 1, refused + (not fine)
            # what is taken is of the type that was there
            number = isinstance(own, int | float) or own is None
            alike = number and type(odd) in (int, float) or type(odd) is type(own) or odd is None
            assert not fine or (free(place) and (alike or odd is GONE)), (place, odd)
    assert tried > 250 and refused > 250


@pytest.mark.parametrize(
    "place",
    [
        (),
        ("text",),
        ("sizes",),
        ("settings",),
        ("settings", "optimiser"),
        ("position",),
        ("history", 0),
        ("start",),
    ],
    ids=str,
)
def test_a_field_that_a_newer_version_may_have_added(place, whole):
    path, described, arrays = whole
    changed = copy.deepcopy(described)
    at(changed, place)["momentum"] = 1
    checkpoints.write(path, changed, arrays)
    with pytest.raises(CheckpointError) as caught:
        learning.load(path, cells.lstm)
    if place == ("sizes",):
        expected = (
            "has the sizes hidden, inputs, momentum, but those of cell 'lstm' are hidden, inputs.\n"
            "  Write the cell as it was, or name another file to begin anew."
        )
    elif place == ("start",):
        expected = (
            "cannot be used: cell 'lstm' has no parameter 'momentum' to start; its parameters are "
            "W_f, W_i, W_C, W_o, b_f, b_i, b_C, b_o.\n"
            "  Restore it from a copy, or name another file to begin anew."
        )
    else:
        name = ".".join(map(str, (*place, "momentum"))).replace(".0", "[0]")
        expected = (
            f"has {name}, which this version, {__version__}, does not know.\n"
            f"  Use the newer version that wrote it, or name another file to begin anew."
        )
    assert str(caught.value) == f"checkpoint {path} {expected}"


def test_a_newer_format(whole):
    path, described, arrays = whole
    checkpoints.write(path, {**described, "format": "tinygrad-lstm character model 2"}, arrays)
    with pytest.raises(CheckpointError) as caught:
        learning.load(path, cells.lstm)
    assert str(caught.value) == (
        f"checkpoint {path} has the format 'tinygrad-lstm character model 2', and this version, "
        f"{__version__}, reads 'tinygrad-lstm character model 1'.\n"
        f"  Use a newer version, or name another file to begin anew."
    )


def test_a_checkpoint_without_start_values_is_of_a_model_without_any(whole):
    path, described, arrays = whole
    checkpoints.write(path, {k: v for k, v in described.items() if k != "start"}, arrays)
    assert learning.load(path, cells.lstm).model.start == {}


CHANGES = {
    "is missing": lambda a: None,
    "must be": lambda a: a[..., :-1],
    "must be (": lambda a: a[None],
    "must be of float32, but is of int64": lambda a: np.round(a).astype(int),
    "must be of float32, but is of bool": lambda a: a > 0,
    "must be of float32, but is of complex64": lambda a: a + 0j,
    "must be of float32, but is of <U32": lambda a: a.astype(str),
    "must be of float32, but is of float64": lambda a: a.astype(float),
    "holds what is no finite number": lambda a: (
        np.where(np.arange(a.size) == 0, np.nan, a.flat).reshape(a.shape).astype(a.dtype)
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_every_array(change, whole):
    path, described, arrays = whole
    kinds = {"averages/m", "averages/v", "carried", "parameters"}
    assert {name.rpartition("/")[0] for name in arrays} == kinds
    for name, own in arrays.items():
        if name.startswith("carried/") and change.endswith("float64"):
            continue  # a cell's further inputs may make it so
        new = {**arrays, name: CHANGES[change](own)}
        checkpoints.write(path, described, {n: a for n, a in new.items() if a is not None})
        with pytest.raises(CheckpointError) as caught:
            learning.load(path, cells.lstm)
        text = str(caught.value)
        assert text.startswith(f"checkpoint {path} cannot be used: array {name} {change}"), text
        assert text.endswith("\n  Restore it from a copy, or name another file to begin anew.")


def test_an_array_too_many(whole):
    path, described, arrays = whole
    for name in ("parameters/W_x", "averages/u/W_f", "carried/z", "more"):
        checkpoints.write(path, described, {**arrays, name: np.zeros(3)})
        with pytest.raises(CheckpointError, match=f"^checkpoint {path} has an array {name}, which"):
            learning.load(path, cells.lstm)


def test_sizes_that_a_cell_would_loop_over(tmp_path):
    @cell(state="h", parameters={"U": "hidden, hidden + inputs"})
    def looping(now, prev, x, p):
        now.h = matvec(p.U, concat(prev.h, x))
        for _ in range(p.U.shape[0]):
            assert p.U.shape[0] < 100, "it would take long"

    path = tmp_path / "c.npz"
    described, arrays = saved(path, looping)
    described["sizes"]["hidden"] = 10**9
    checkpoints.write(path, described, arrays)
    with pytest.raises(CheckpointError) as caught:
        learning.load(path, looping)
    assert str(caught.value) == (
        f"checkpoint {path} cannot be used: array parameters/U must be (1000000000, 1000000002), "
        f"but is (3, 5).\n  Restore it from a copy, or name another file to begin anew."
    )


def test_a_cell_with_other_sizes(tmp_path):
    def version(size):
        @cell(state={"h": size}, parameters={"U": f"{size}, {size} + inputs"})
        def mine(now, prev, x, p):
            now.h = matvec(p.U, concat(prev.h, x))

        return mine

    saved(tmp_path / "c.npz", version("hidden"))
    with pytest.raises(CheckpointError) as caught:
        learning.load(tmp_path / "c.npz", version("units"))
    assert str(caught.value) == (
        f"checkpoint {tmp_path}/c.npz has the sizes hidden, inputs, but those of cell 'mine' are "
        f"units, inputs.\n  Write the cell as it was, or name another file to begin anew."
    )


@pytest.mark.parametrize("optimiser", [Adam(rate=0.5, beta1=0.25), SGD(momentum=0.5)], ids=repr)
def test_what_is_written_is_read(optimiser, tmp_path):
    start = {"b_f": 2, "b_i": -1.5}
    saved(tmp_path / "c.npz", optimiser=optimiser, start=start, clip=2)
    found = learning.load(tmp_path / "c.npz", cells.lstm)
    assert found.settings == Settings(
        batch=3, length=10, every=2, sample=5, optimiser=optimiser, clip=2
    )
    assert found.model.start == start
    assert [record.step for record in found.history] == [0, 2, 3]


# --- JSON as dataclasses --------------------------------------------------------------------------
@dataclasses.dataclass
class Point:
    x: float
    n: int | None = None


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        (int, 3, 3),
        (float, 3, 3.0),
        (float, -0.5, -0.5),
        (str, "a", "a"),
        (int | None, None, None),
        (float | str, "a", "a"),
        (float | str, 2, 2.0),
        (tuple[int, ...], [1, 2], (1, 2)),
        (dict[str, float], {"a": 1}, {"a": 1.0}),
        (Point, {"x": 1, "n": None}, Point(1.0)),
        (tuple[Point, ...], [{"x": 1, "n": 2}], (Point(1.0, 2),)),
        (Adam | SGD, {"name": "SGD", "rate": 1, "momentum": 0}, SGD(1.0, 0.0)),
    ],
)
def test_values_of_their_type(kind, value, expected):
    found = schema.read(kind, value)
    assert found == expected and type(found) is type(expected)


@pytest.mark.parametrize(
    ("kind", "value", "message"),
    [
        (int, 1.0, "p must be a whole number of at least 0, but is 1.0"),
        (int, True, "p must be a whole number of at least 0, but is True"),
        (int, -1, "p must be a whole number of at least 0, but is -1"),
        (float, "1", "p must be a finite number, but is '1'"),
        (float, float("nan"), "p must be a finite number, but is nan"),
        (float, 10**400, f"p must be a finite number, but is {'1' + '0' * 17}...{'0' * 19}"),
        (str, None, "p must be a text, but is None"),
        (float | None, "x", "p must be a finite number or null, but is 'x'"),
        (tuple[int, ...], {}, "p must be a list, but is {}"),
        (tuple[int, ...], [1, "2"], "p[1] must be a whole number of at least 0, but is '2'"),
        (dict[str, int], [], "p must be a mapping, but is []"),
        (dict[str, int], {"a": "b"}, "p.a must be a whole number of at least 0, but is 'b'"),
        (Point, {"x": 1}, "p.n is missing"),
        (Point, {"n": 1, "x": None}, "p.x must be a finite number, but is None"),
        (Adam | SGD, {"rate": 1}, "p.name must be Adam or SGD, but is None"),
        (Adam | SGD, {"name": ["SGD"]}, "p.name must be Adam or SGD, but is ['SGD']"),
        (Adam | SGD, {"name": "SGD", "rate": 1}, "p.momentum is missing"),
    ],
)
def test_values_of_another_type(kind, value, message):
    with pytest.raises(schema.SchemaError, match=f"^{re.escape(message)}$"):
        schema.read(kind, value, "p")
