"""`identify`: which cell arrays from anywhere are the weights of, and how they are laid out."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from tinygrad_lstm.diagnosis.among import candidates
from tinygrad_lstm.diagnosis.converters import converter
from tinygrad_lstm.diagnosis.diagnosis import InWords, say
from tinygrad_lstm.diagnosis.identify_words import found_lines, none_lines
from tinygrad_lstm.diagnosis.readings import Array, Pools, Reading, pools, readings_of
from tinygrad_lstm.diagnosis.recordings import (
    Frame,
    check_given,
    directed,
    frames,
    frames_with,
    halves,
    read_weights,
    two_directions,
)
from tinygrad_lstm.diagnosis.structure import Structure, structure
from tinygrad_lstm.diagnosis.trials import Trial
from tinygrad_lstm.diagnosis.weight_search import Hit, Search
from tinygrad_lstm.errors import DataError, ShapeError, TinygradError, UnknownNameError
from tinygrad_lstm.networks import Backward, bidirectional
from tinygrad_lstm.parameters import Parameters
from tinygrad_lstm.step import Cell
from tinygrad_lstm.weights.gates import CELLS

ROUNDING = {2: 5e-3, 4: 3e-5, 8: 3e-5}  # of the largest entry, by the bytes of a number
EXACT = 1e-9  # of float64: what is so near is not beside what is only as near as float32
COMPARED = 64  # of several answers, how many are compared as functions


@dataclass(frozen=True)
class Identification(InWords):
    """Which cell some weights are of, how they are laid out, and its parameters.

    found: whether a cell gives the recorded output. cell, network, parameters:
    `unroll(network, parameters, xs)` gives it again, with xs (time, batch, inputs); network is the
    cell, or `networks.Backward(cell)` where it reads from the end. order: the gates in the order of
    their blocks, in the letters of `weights`' tables where the cell stands there ("ifCo"), else
    names with blanks between; "-" is a block without effect. transposed: whether the gates are
    along the columns. joined: "[h, x]" and the like where both matrices are one array, else "".
    bias: "none", "one" or "two". direction: "forward", "reverse", "go_backwards" where the outputs
    stand in the order of reading, or "bidirectional". flipped: gates all of whose weights have the
    opposite sign here (z for 1 - z); added: by gate what is added to its bias; activation: what
    another function than the cell's is, "" where none is. same: names of cells that compute the
    same function; open: what the recording does not decide ("h": the matrices on the state, "order"
    of the gates, a gate's name, …). call: the converter's call as text, with w
    for the arrays; "" where none fits. error: the largest difference, relative to the largest entry
    of the output. nearest: the cell that came nearest where none is found.
    """

    found: bool
    cell: Cell | None = None
    network: Any = None
    parameters: Parameters | None = None
    order: str = ""
    transposed: bool = False
    joined: str = ""
    bias: str = "none"
    direction: str = "forward"
    flipped: tuple[str, ...] = ()
    added: Mapping[str, float] = field(default_factory=dict)
    activation: str = ""
    same: tuple[str, ...] = ()
    open: tuple[str, ...] = ()
    call: str = ""
    error: float = float("inf")
    nearest: str = ""
    lines: Mapping[str, tuple[str, ...]] = field(default_factory=dict, repr=False)
    hit: Hit | None = field(default=None, repr=False, compare=False)
    backward: Hit | None = field(default=None, repr=False, compare=False)

    def __bool__(self) -> bool:
        return self.found

    def convert(self, weights: Any) -> Parameters:
        """The parameters of `network` from other arrays that are laid out in the same way.

        They have the same names and shapes. DataError where nothing was found.
        """
        if self.hit is None or self.cell is None:
            raise DataError("identify found no cell, so there is nothing to convert by.")
        arrays = read_weights(weights)
        wanted = self.hit.names | (self.backward.names if self.backward else set())
        if set(arrays) != wanted:
            raise UnknownNameError(
                f"identify: the arrays are {', '.join(sorted(wanted))}, got {', '.join(arrays)}."
            )
        if self.backward is None:
            return _bound(self.hit, self.hit.parameters(_read_again(self.hit, arrays)))[1]
        sides = halves(arrays) if self.hit.names == self.backward.names else [(arrays, arrays)]
        own: dict[str, Array] = {}
        for side, hit, given in zip(
            ("forward", "backward"), (self.hit, self.backward), sides[0], strict=True
        ):
            found = hit.parameters(_read_again(hit, given))
            own |= {f"{side}.{name}": array for name, array in found.items()}
        parameters: Parameters = self.network.bind(own)
        return parameters


def identify(
    weights: Any, xs: Any, output: Any, initial: Any = None, *, cells: Any = None
) -> Identification:
    """Find the cell and the layout of weights by one recorded input and output.

    weights: a mapping of names to arrays, or a list: matrices of all gates in one array or one for
    each, on x and on the state apart or side by side, either way round; biases once, twice or not
    at all; peepholes. Their names do not count. xs: (time, batch, inputs), (batch, time, inputs)
    or (time, inputs); output: of every step, (…, hidden), or of the last, (batch, hidden).
    initial: the first states in the cell's order, or by name; else they are what the cell starts
    from, zeros. cells: which it may be, such as [my_cell]; all that are built in unless told,
    whose parameters are gates' matrices and vectors.

    Tried are: every order of the gates, both directions, z for 1 - z, 1 added to a bias, other
    activations, gates of a unit side by side. Exact means to rounding. The result is an
    `Identification`, which prints the recipe; for no cell `found` is False.

    ShapeError, DTypeError, DataError: arrays that fit nothing, that are no floating-point numbers,
    that are not finite.
    """
    arrays = read_weights(weights)
    check_given(output)
    kinds = [np.asarray(v).dtype.itemsize for v in _plain(weights, xs, output)]
    tolerance = max(ROUNDING.get(size, 3e-5) for size in kinds)
    alone: Identification | TinygradError
    try:
        alone = _one_direction(arrays, xs, output, initial, cells, tolerance)
    except TinygradError as error:
        alone = error
    if not isinstance(alone, Identification) or not alone.found:
        for sides, outputs in two_directions(arrays, output):
            both = []
            for arrays_of, output_of in zip(sides, outputs, strict=True):
                with contextlib.suppress(TinygradError):
                    both.append(_one_direction(arrays_of, xs, output_of, None, cells, tolerance))
            if len(both) == 2 and initial is None and (found := _joined(*both)):
                return found
    if isinstance(alone, TinygradError):
        raise alone
    return alone


def _one_direction(
    arrays: Mapping[str, Array], xs: Any, output: Any, initial: Any, cells: Any, tolerance: float
) -> Identification:
    several = frames_with(frames(xs, output), initial)
    inputs, hidden = several[0].xs.shape[-1], several[0].output.shape[-1]
    known = candidates(cells)
    structures = [s for c in _in_order(known) if (s := structure(c, inputs, hidden)) is not None]
    if not structures:
        raise DataError(
            f"identify: none of {', '.join(known)} has parameters that are gates' matrices, with "
            f"hidden={hidden} and inputs={inputs}."
        )
    readings = {name: readings_of(name, array, inputs, hidden) for name, array in arrays.items()}
    search = Search(structures, several, readings, initial, tolerance)
    hits = search.run()
    if not hits and not search.fitting:
        raise ShapeError(_misfit(arrays, readings, structures, inputs, hidden))
    if not hits:
        near = search.nearest
        lines = none_lines(near.cell, near.steps, near.error, search.skipped)
        return Identification(False, nearest=near.cell, error=near.error, lines=lines)
    if tolerance <= ROUNDING[8] and min(hit.error for hit in hits) < EXACT:
        hits = [hit for hit in hits if hit.error < EXACT]
    return _told(hits, arrays)


def _plain(weights: Any, xs: Any, output: Any) -> list[Any]:
    """All that was given, as what NumPy reads."""
    own = weights.values() if isinstance(weights, Mapping) else weights
    if isinstance(output, tuple | list) and len(output) and hasattr(output[0], "shape"):
        output = output[0]
    found = []
    for value in (xs, output, *own):
        for method in ("detach", "cpu"):
            value = getattr(value, method, lambda given=value: given)()
        found.append(value)
    return found


def _joined(forward: Identification, backward: Identification) -> Identification | None:
    """Two directions as one layer; None where they are not one."""
    one, other = forward.hit, backward.hit
    if one is None or other is None or forward.cell is not backward.cell:
        return None
    if forward.direction != "forward" or backward.direction not in ("reverse", "forward"):
        return None
    if backward.direction == "forward" and len(one.frame.xs) > 1:
        return None
    cell = forward.cell
    assert cell is not None
    network = bidirectional(cell)
    own = {f"forward.{n}": v for n, v in one.parameters().items()}
    own |= {f"backward.{n}": v for n, v in other.parameters().items()}
    lines = {}
    for tag, shown in forward.lines.items():
        both = [say("identify both", tag, side=shown[0]), *shown[1:]]
        call = say("identify call", tag, call=forward.call or "found.convert(w)")
        lines[tag] = tuple(
            say("identify call", tag, call="found.convert(w)") if line == call else line
            for line in both
        )
    return replace(
        forward, network=network, parameters=network.bind(own), direction="bidirectional",
        call="", error=max(forward.error, backward.error), lines=lines, backward=other,
    )  # fmt: skip


def _in_order(known: Mapping[str, Cell]) -> list[Cell]:
    """Those that frameworks have before others."""
    return sorted(known.values(), key=lambda cell: cell not in CELLS)


# --- what was found ------------------------------------------------------------------------------
def _rank(hit: Hit) -> tuple[Any, ...]:
    """The plainest first."""
    odd = len(hit.sign) + len(hit.more) + hit.spare + (hit.rewrite is not None)
    return hit.pools.level, odd, hit.frame.batch_first, hit.direction != "forward"


def _told(hits: Sequence[Hit], arrays: Mapping[str, Array]) -> Identification:
    """The plainest hit, with what the others say."""
    ordered = sorted(hits, key=_rank)  # stable: in the order of the cells
    best = ordered[0]
    signature = _signature(best)
    same: list[str] = []
    other: list[Hit] = []
    for hit in ordered[1:COMPARED]:
        found = _signature(hit)
        if np.allclose(found, signature, rtol=1e-6, atol=1e-8):
            same.append(hit.cell.cell.name)
        else:
            other.append(hit)
    names = [n for n in dict.fromkeys(same) if n != best.cell.cell.name]
    left, unseen = _open(best, other), _unseen(best)
    converted = converter(best, arrays)
    network, parameters = _bound(best, best.parameters())
    call = converted[0] if converted else ""
    sides = [r.turned for r in best.pools.readings if r.count("x") or r.count("h")]
    lines = found_lines(best, call, names, left, len(other) + 1, unseen)
    return Identification(
        True,
        best.cell.cell,
        network,
        parameters,
        ("" if best.cell.letters else " ").join(best.order),
        any(sides),
        next((r.joined for r in best.pools.readings if r.joined), ""),
        best.pools.bias,
        best.direction,
        tuple(best.sign),
        dict(best.more),
        str(best.rewrite.words.get("other", "none")) if best.rewrite else "",
        tuple(names),
        tuple(dict.fromkeys([*left, *unseen])),
        call,
        best.error,
        "",
        lines,
        best,
    )


def _bound(hit: Hit, arrays: Mapping[str, Array]) -> tuple[Any, Parameters]:
    cell = hit.cell.cell
    if hit.direction != "reverse":
        return cell, cell.bind(arrays)
    network = Backward(cell)
    return network, network.bind({f"backward.{name}": array for name, array in arrays.items()})


def _signature(hit: Hit) -> Array:
    """What it computes of random numbers, from random states."""
    random = np.random.default_rng(0)
    hidden = hit.frame.output.shape[-1]
    xs = random.standard_normal((4, 2, hit.frame.xs.shape[-1]))
    initial = [random.standard_normal((2, hidden)) for _ in hit.cell.cell.state]
    made = directed(Frame(xs, xs, True, False), initial, hit.direction, slice(None))
    found = Trial(hit.cell, hit.program, hit.pools).outputs(hit.ways, made)
    return found[::-1] if hit.direction == "reverse" else found


def _unseen(hit: Hit) -> tuple[str, ...]:
    """What the recording does not depend on: "h", the matrices on the state, and gates' names."""
    made = directed(hit.frame, hit.initial, hit.direction, slice(1))

    def output(pooled: Pools) -> Array:
        found = Trial(hit.cell, hit.program, pooled).outputs(hit.ways, made)
        return found if made.every else found[-1:]

    true = output(hit.pools)
    noise = np.random.default_rng(0).standard_normal
    found = []
    if np.array_equal(output(replace(hit.pools, h=noise(hit.pools.h.shape))), true):
        found.append("h")
    for place, k in enumerate(hit.cell.having("x")):
        x = hit.pools.x.copy()
        x[hit.ways.x[0, place]] = noise(x.shape[1:])
        if np.array_equal(output(replace(hit.pools, x=x)), true):
            found.append(hit.cell.gates[k].name)
    return tuple(found)


def _open(best: Hit, other: Sequence[Hit]) -> tuple[str, ...]:
    """What differs between ways that all give the recording: keys of the words."""

    def facts(hit: Hit) -> list[Any]:
        by_kind = {
            kind: [(r.name, r.turned, r.by_unit) for r in hit.pools.readings if r.count(kind)]
            for kind in "hx"
        }
        names = {n: v for n, v in hit.pools.names.items() if n in "br"}
        return [
            hit.cell.cell.name, hit.order, (by_kind["h"], hit.order_h), by_kind["x"],
            (names, hit.pools.bias, hit.pools.second, hit.more, hit.sign), hit.direction,
            hit.rewrite and hit.rewrite.words,
        ]  # fmt: skip

    own = facts(best)
    words = ("cell", "order", "h", "x", "bias", "direction", "activation")
    return tuple(
        word for k, word in enumerate(words) if any(facts(hit)[k] != own[k] for hit in other)
    )


def _read_again(hit: Hit, arrays: Mapping[str, Array]) -> Pools:
    """Other arrays, read as the hit's were."""
    inputs, hidden = hit.frame.xs.shape[-1], hit.frame.output.shape[-1]
    chosen: dict[str, list[Reading]] = {}
    for old in hit.pools.readings:
        for new in readings_of(old.name, arrays[old.name], inputs, hidden):
            alike = [new.count(k) == old.count(k) for k in "xhv"]
            alike += [getattr(new, n) == getattr(old, n) for n in ("turned", "joined", "by_unit")]
            if all(alike):
                chosen[old.name] = [new]
        if old.name not in chosen:
            raise ShapeError(
                f"identify: {old.name} has shape {arrays[old.name].shape}, which is another "
                f"layout than the one that was found."
            )
    for pool in pools(hit.cell, chosen, hit.spare):
        if (pool.second, pool.names) == (hit.pools.second, hit.pools.names):
            return pool
    raise ShapeError("identify: the arrays together have another layout than the one found.")


def _misfit(
    arrays: Mapping[str, Array],
    readings: Mapping[str, Sequence[Reading]],
    structures: Sequence[Structure],
    inputs: int,
    hidden: int,
) -> str:
    """What does not fit, and which shapes would."""
    given = ", ".join(f"{name} {array.shape}" for name, array in arrays.items())
    strange = [name for name, found in readings.items() if not found]
    lines = [
        f"identify: the arrays {given} are no cell's with hidden={hidden}, the last axis of the "
        f"output, and inputs={inputs}, that of xs."
    ]
    if strange:
        lines.append(f"  {', '.join(strange)} can be no gate's: leave out what is not the cell's.")
    told: dict[tuple[int, ...], str] = {}
    for cell in structures:
        counts = tuple(len(cell.having(k)) for k in ("x", "h", "biases", "peephole"))
        told.setdefault(counts, cell.cell.name)
    for (x, h, b, p), name in list(told.items())[:4]:
        words = f"{x} blocks ({hidden}, {inputs}) on x, {h} ({hidden}, {hidden}) on the state"
        words += f", {b}, {2 * b} or no biases ({hidden})" * (b > 0)
        words += f", {p} peepholes ({hidden})" * (p > 0)
        lines.append(f"  {name} has {words}, together or apart.")
    return "\n".join(lines)
