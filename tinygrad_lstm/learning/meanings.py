"""What the units of a trained model remember: `meaning`.

found = learning.meaning(model, text.held_out())
found                                      # a table: unit, what it tells, what it is worth
found.best("place in line")                # its rows alone, the closest first
found.correlations["place in line"]["C"]   # r of every unit of equation C
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_lstm.errors import DataError, unknown
from tinygrad_lstm.kernels import compiled
from tinygrad_lstm.learning.ablations import switched_off
from tinygrad_lstm.learning.character_model import CharacterModel
from tinygrad_lstm.learning.probes import Probe, ask, chosen
from tinygrad_lstm.learning.streams import Streams
from tinygrad_lstm.learning.texts import Text
from tinygrad_lstm.notebook_html import bundle, table
from tinygrad_lstm.tensor import Array

MOST, TRIED = 60_000, 12_000  # characters to correlate on, and to switch units off on
RARE = 20  # places where a probe must differ, in either half of the text
HEADER = ("probe", "unit", "r", "right where on", "off", "costs", "costs where on")


@dataclass(frozen=True)
class Meaning:
    """One unit and one probe.

    equation, unit: the unit, counted from 0 (over all axes of an equation that has several). r: the
    correlation of its value with the probe on the second half of the text; searched: that on the
    first half, by which it was found. on, off: of a probe of yes and no, the shares of places where
    a threshold on the value, found on the first half, says yes rightly, and no rightly; nan for
    others. threshold, above: that threshold, and whether yes is above it. cost, cost_on: what a
    letter costs more in bits with the unit switched off, over all places, and where the probe is
    not 0.
    """

    probe: str
    equation: str
    unit: int
    r: float
    searched: float
    on: float
    off: float
    threshold: float
    above: bool
    cost: float
    cost_on: float

    def __str__(self) -> str:
        return "  ".join(self.cells())

    def cells(self) -> tuple[str, ...]:
        """The row of a table."""
        shares = ["" if np.isnan(v) else f"{100 * v:.0f} %" for v in (self.on, self.off)]
        costs = ["" if np.isnan(v) else f"{v:+.3f} bits" for v in (self.cost, self.cost_on)]
        return self.probe, f"{self.equation}[{self.unit}]", f"{self.r:+.2f}", *shares, *costs


class Meanings(Sequence[Meaning]):
    """What was found: a sequence of `Meaning`, which shows itself as a table.

    bits: what a letter costs with every unit on; characters: how many the correlations are of;
    correlations: for each probe and equation, r of every unit on the second half of the text;
    silent: probes that say the same, or nearly, all over this text.
    """

    def __init__(
        self,
        rows: Sequence[Meaning],
        bits: float,
        characters: int,
        correlations: Mapping[str, Mapping[str, Array]],
        silent: Sequence[str],
    ) -> None:
        self._rows, self.bits, self.characters = tuple(rows), bits, characters
        self.correlations, self.silent = correlations, tuple(silent)

    def __getitem__(self, k: int | slice) -> Any:
        return self._rows[k]

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[Meaning]:
        return iter(self._rows)

    def best(self, probe: str) -> list[Meaning]:
        """The rows of one probe, the closest unit first."""
        if probe not in (known := [*self.correlations, *self.silent]):
            raise unknown(f"there is no probe {probe!r} here", "there are", known)
        return [row for row in self._rows if row.probe == probe]

    @property
    def summary(self) -> str:
        """What the numbers are of, in a sentence or two."""
        said = (
            f"{self.characters:,} characters, {self.bits:.3f} bits each. Units were searched on "
            f"the first half, r and shares are those of the second."
        )
        if self.silent:
            said += f" Not in this text, or too rare: {', '.join(self.silent)}."
        return said

    def __str__(self) -> str:
        rows = [HEADER, *(row.cells() for row in self._rows)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [
            "  ".join(
                f"{word:{'<' if k < 2 else '>'}{w}}"
                for k, (word, w) in enumerate(zip(row, widths, strict=True))
            )
            for row in rows
        ]
        return "\n".join([*(line.rstrip() for line in lines), self.summary])

    __repr__ = __str__

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        rows = table([row.cells() for row in self._rows], HEADER)
        return bundle(str(self), f"{rows}<p>{self.summary}</p>")


def meaning(
    model: CharacterModel,
    text: str | Text,
    probes: Iterable[str | Probe] | Mapping[str, str | Probe] | None = None,
    *,
    equations: Sequence[str] | None = None,
    top: int = 3,
    most: int = MOST,
    tried: int = TRIED,
) -> Meanings:
    """What each unit's value goes along with on a text, and what switching it off costs.

        found = learning.meaning(model, text.held_out(), ["place in line", my_probe])

    text: best much of it that was not learnt from, `Text.held_out`; up to `most` characters of it
    are read. probes: names of `PROBES` (all of them by default), functions of a text that return a
    number or a word for each character, or {name: either}. equations: those to search, all by
    default. For each probe the `top` units are told with the largest |r|, the correlation of a
    unit's value after a character with what the probe says of it; of one unit's equations only
    the closest. What they cost is measured on up to `tried` characters, none for 0.

    A correlation is no proof that the network uses a unit so; the cost is what it is worth to it.
    """
    characters = text.characters if isinstance(text, Text) else text
    asked = chosen(probes)
    for what, number in {"top": top, "most": most, "tried": tried}.items():
        if number < (0 if what == "tried" else 1):
            raise DataError(f"{what} is a whole number of at least 1, got {number}.")
    known = list(model.cell.program(**model.sizes).equations)
    for name in equations or ():
        if name not in known:
            raise unknown(f"{model.cell} has no equation {name!r}", "it has", known)
    ids = model.vocabulary.encode(characters)
    streams = Streams(ids, most)
    said = {n: v for name, f in asked.items() for n, v in ask(name, f, characters).items()}
    told = {name: values[streams.places] for name, values in said.items()}
    heard = {n: v for n, v in told.items() if _differs(v, streams.half)}
    halves, bits = _correlations(model, streams, heard, equations or known)
    picked = [(probe, *unit) for probe in heard for unit in _closest(halves[0][probe], top)]
    units = list(dict.fromkeys(unit[1:] for unit in picked))
    values = _values(model, streams, units)
    trial = Streams(ids, tried, 8) if tried and units else None
    costs = switched_off(model, trial, units) if trial else np.full((1 + len(units), 1), np.nan)
    extra = dict(zip(units, costs[1:] - costs[0], strict=True))
    rows = []
    for probe, equation, unit in picked:
        there = said[probe][trial.places] if trial else np.zeros(1)
        rows.append(
            Meaning(
                probe,
                equation,
                unit,
                float(halves[1][probe][equation][unit]),
                float(halves[0][probe][equation][unit]),
                *_shares(values[equation, unit], heard[probe], streams.half),
                *_costs(extra[equation, unit], np.isfinite(there) & (there != 0)),
            )
        )
    silent = [name for name in told if name not in heard]
    return Meanings(rows, bits, len(streams.places), halves[1], silent)


def _differs(values: Array, half: int) -> bool:
    """Whether a probe says more than one thing in either half, often enough to count."""
    for part in (values[:half], values[half:]):
        part = part[np.isfinite(part)]
        if part.size < 2 * RARE or (part != _commonest(part)).sum() < RARE:
            return False
    return True


def _commonest(values: Array) -> float:
    kinds, counts = np.unique(values, return_counts=True)
    return float(kinds[counts.argmax()])


def _correlations(
    model: CharacterModel, streams: Streams, told: Mapping[str, Array], names: Sequence[str]
) -> tuple[list[dict[str, dict[str, Array]]], float]:
    """r of every unit with every probe on either half of the text, and bits a character."""
    probes, count, each = list(told), streams.count, streams.each
    said = np.array([told[p] for p in probes]).reshape(len(probes), count, each)
    there = np.isfinite(said)
    said = np.where(there, said, 0.0)
    halves = [slice(0, count // 2), slice(count // 2, count)]
    sums: list[dict[str, Array]] = [{}, {}]
    at, cost, cell = 0, 0.0, compiled(model.cell)
    for part in streams.read(model, cell):
        time = len(part.comes)
        z = model.logits(part.run).data.astype(float).reshape(time, count, -1)
        z -= z.max(axis=-1, keepdims=True)
        came = np.take_along_axis(z, part.comes[..., None], -1)[..., 0]
        cost += float((np.log(np.exp(z).sum(-1)) - came).sum())
        for name in names:
            values = part.run[name].data.reshape(time, count, -1).astype(float)
            for k, half in enumerate(halves):
                v = values[:, half].reshape(-1, values.shape[-1])
                s, m = (
                    a[:, half, at : at + time].transpose(0, 2, 1).reshape(len(probes), -1)
                    for a in (said, there)
                )
                m = m.astype(float)
                new = np.array([m @ v, m @ (v * v), s @ v])
                sums[k][name] = sums[k].get(name, 0.0) + new
        at += time
    found = []
    for k, half in enumerate(halves):
        flat, mask = (a[:, half].reshape(len(probes), -1) for a in (said, there))
        n, sp, spp = mask.sum(1), flat.sum(1), (flat * flat).sum(1)
        r = {name: _r(n, sums[k][name], sp, spp) for name in names}
        found.append({p: {name: r[name][i] for name in names} for i, p in enumerate(probes)})
    return found, cost / len(streams.places) / float(np.log(2.0))


def _r(n: Array, sums: Array, p: Array, pp: Array) -> Array:
    """Pearson's r, (probes, units), from sums of v, v² and p v; 0 for a unit that never changes."""
    (v, vv, pv), n, p, pp = sums, n[:, None], p[:, None], pp[:, None]
    spread = vv / n - (v / n) ** 2
    still = spread <= 1e-10 * (vv / n) + 1e-30
    below = np.sqrt(np.where(still, 1.0, spread) * (pp / n - (p / n) ** 2))
    r: Array = np.where(still, 0.0, (pv / n - p * v / n**2) / below)
    return r


def _closest(r: Mapping[str, Array], top: int) -> list[tuple[str, int]]:
    """The units with the largest |r|, of one unit the equation that is closest."""
    every = [(-abs(value), name, k) for name, row in r.items() for k, value in enumerate(row)]
    found: dict[int, str] = {}
    for size, name, k in sorted(every, key=lambda e: e[0]):
        if size and k not in found:
            found[k] = name
        if len(found) == top:
            break
    return [(name, k) for k, name in found.items()]


def _values(
    model: CharacterModel, streams: Streams, units: Sequence[tuple[str, int]]
) -> dict[tuple[str, int], Array]:
    """The values of some units at all places."""
    parts: dict[tuple[str, int], list[Array]] = {unit: [] for unit in units}
    for part in streams.read(model, compiled(model.cell)):
        for name, k in units:
            parts[name, k].append(part.run[name].data.reshape(*part.comes.shape, -1)[..., k])
    return {unit: np.concatenate(found).T.reshape(-1) for unit, found in parts.items()}


def _shares(values: Array, said: Array, half: int) -> tuple[float, float, float, bool]:
    """How often a threshold says yes and no rightly; it is the best of the first half."""
    there = np.isfinite(said)
    if not np.isin(said[there], (0.0, 1.0)).all():
        return float("nan"), float("nan"), float("nan"), True
    v, yes = values[:half][there[:half]], said[:half][there[:half]] == 1
    order = np.argsort(v, kind="stable")
    v, yes = v[order], yes[order]
    under = np.cumsum(yes) / yes.sum() - np.cumsum(~yes) / (~yes).sum()
    under = np.where(np.append(v[1:] > v[:-1], False), under, 0.0)  # between different values
    k = int(np.abs(under).argmax())
    threshold, above = float(v[k] + v[min(k + 1, len(v) - 1)]) / 2, bool(under[k] <= 0)
    v, yes = values[half:][there[half:]], said[half:][there[half:]] == 1
    right = (v > threshold) == (yes if above else ~yes)
    return float(right[yes].mean()), float(right[~yes].mean()), threshold, above


def _costs(extra: Array, on: Array) -> tuple[float, float]:
    where = float(extra[on].mean()) if on.any() else float("nan")
    return float(extra.mean()), where
