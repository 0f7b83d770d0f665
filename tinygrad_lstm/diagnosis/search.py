"""Which mistakes make the right gradients into the ones that were found."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tinygrad_lstm.diagnosis.backward import Recorded
from tinygrad_lstm.diagnosis.changes import Changes, Mistake
from tinygrad_lstm.diagnosis.forward import in_forward
from tinygrad_lstm.diagnosis.mistakes import mistakes
from tinygrad_lstm.diagnosis.passes import in_parts
from tinygrad_lstm.diagnosis.reading import read_off, read_twice
from tinygrad_lstm.diagnosis.rules import Array

MATCH = 1e-5  # what the numbers of a mistake may differ by from those found, of the largest
WORK = 1_500_000  # edges of pairs of mistakes that are walked over, those first that add up best
FIRST = 24  # mistakes that mend something, with which every other one is tried
ENTRIES = 400  # of all gradients, from which it is told which mistakes add up


@dataclass(frozen=True)
class Explanation:
    """Mistakes that together give what was found, and how exactly: 1 is what rounding may do."""

    mistakes: tuple[Mistake, ...]
    error: float

    @property
    def rank(self) -> tuple[int, float]:
        """Few mistakes before many, likely ones before others."""
        return len(self.mistakes), sum(m.rank for m in self.mistakes)


def explanations(
    graph: Recorded, found: Mapping[str, Array], tolerance: Mapping[str, float]
) -> list[Explanation]:
    """What explains the gradients that were found, the likeliest first."""
    return _Search(graph, found, tolerance).run()


class _Search:
    def __init__(
        self, graph: Recorded, found: Mapping[str, Array], tolerance: Mapping[str, float]
    ) -> None:
        self.graph, self.found = graph, found
        largest = {n: float(np.abs(a).max(initial=0.0)) for n, a in found.items()}
        self.allowed = {
            n: max(tolerance[n], MATCH * largest[n]) or np.finfo(float).tiny for n in found
        }
        self.right, self.parts = graph.gradients()
        self.wrong = [n for n in found if not self.close(n, self.right[n])]

    def close(self, name: str, array: Array) -> bool:
        """Whether a gradient is the one that was found."""
        return bool(np.abs(array - self.found[name]).max(initial=0.0) <= self.allowed[name])

    def run(self) -> list[Explanation]:
        read = read_off(self.graph, self.right, self.parts, self.found, self.close)
        explained = [Explanation(each.mistakes, self._error(each.gradients)) for each in read]
        self.known = sorted(mistakes(self.graph), key=lambda m: m.rank)
        self._carry_out()
        explained += [
            Explanation((m,), float(e))
            for m, e in zip(self.known, self.errors, strict=True)
            if e <= 1
        ]
        if not explained:
            explained = [
                Explanation((mistake,), error)
                for mistake, gradients in in_forward(self.graph, self.found)
                if (error := self._error(gradients)) <= 1
            ]
        if not explained:
            explained = list(self._pairs())
        return _likeliest(explained)

    def _error(self, gradients: Mapping[str, Array]) -> float:
        return max(
            float(np.abs(gradients[n] - a).max(initial=0.0)) / self.allowed[n]
            for n, a in self.found.items()
        )

    def _carry_out(self) -> None:
        """Every mistake: how far its numbers are from those found, by name and at the worst."""
        names = list(self.found)
        self.off = np.zeros((len(self.known), len(names)))
        sample, kept = self._sample(names)
        self.moves = np.zeros((len(self.known), sample))
        with np.errstate(all="ignore"):
            for k, passes in in_parts(self.graph, [m.changes for m in self.known], names):
                rows = slice(k, k + passes.count)
                start = 0
                for column, name in enumerate(names):
                    array = passes.arrays[name]
                    axes = tuple(range(1, array.ndim))
                    off = np.abs(array - self.found[name]).max(axis=axes, initial=0.0)
                    self.off[rows, column] = off / self.allowed[name]
                    chosen = kept[name]
                    flat = (array - self.right[name]).reshape(len(array), -1)[:, chosen]
                    self.moves[rows, start : start + len(chosen)] = flat / self._scale(name)
                    start += len(chosen)
        self.off = np.nan_to_num(self.off, nan=np.inf, posinf=np.inf)
        self.moves = np.nan_to_num(self.moves, nan=1e6, posinf=1e6, neginf=-1e6)
        self.errors = self.off.max(axis=1, initial=0.0)

    def _sample(self, names: Sequence[str]) -> tuple[int, dict[str, Array]]:
        """Which entries of each gradient are looked at to see what adds up."""
        random = np.random.default_rng(0)
        each = max(ENTRIES // max(len(names), 1), 4)
        kept = {}
        for name in names:
            size = self.found[name].size
            every = np.arange(size)
            kept[name] = every if size <= each else np.sort(random.choice(every, each, False))
        self.kept = kept
        return sum(map(len, kept.values())), kept

    def _scale(self, name: str) -> float:
        true, found = self.right[name], self.found[name]
        return float(max(np.abs(true).max(initial=0.0), np.abs(found).max(initial=0.0))) or 1.0

    # --- two at once -----------------------------------------------------------------------------
    def _pairs(self) -> Iterator[Explanation]:
        both = read_off(self.graph, self.right, self.parts, self.found, self.close, 2)
        both += read_twice(self.graph, self.right, self.parts, self.found, self.close)
        explained = [Explanation(each.mistakes, self._error(each.gradients)) for each in both]
        explained += self._with_reading()
        if not explained:
            explained = self._deep_pairs()
        yield from explained

    def _with_reading(self) -> list[Explanation]:
        """One mistake in the way back and one in what is read off."""
        wrong = np.array([n in self.wrong for n in self.found])
        mended = ((self.off <= 1) & wrong).sum(axis=1)
        broken = ((self.off > 1) & ~wrong).sum(axis=1)
        order = np.lexsort((np.arange(len(self.known)), broken - mended))
        chosen = [int(k) for k in order[: 4 * FIRST] if mended[k] > broken[k]]
        chosen += [int(k) for k in self._proportional() if k not in chosen][: 4 * FIRST]
        explained = []
        for k in chosen:
            right, parts = self.graph.gradients(self.known[k].changes)
            for each in read_off(self.graph, right, parts, self.found, self.close):
                told = self.known[k], *each.mistakes
                explained.append(Explanation(told, self._error(each.gradients)))
        return explained

    def _proportional(self) -> Array:
        """Mistakes whose gradients are those found but for a number, each name its own."""
        fits = np.ones(len(self.known), bool)
        start = 0
        for name, chosen in self.kept.items():
            stop = start + len(chosen)
            true = self.right[name].ravel()[chosen] / self._scale(name)
            given = self.found[name].ravel()[chosen] / self._scale(name)
            here = true + self.moves[:, start:stop]
            square = (here * here).sum(axis=1)
            ratio = (here @ given) / np.where(square > 0, square, 1.0)
            off = np.abs(ratio[:, None] * here - given).max(axis=1, initial=0.0)
            fits &= off * self._scale(name) <= self.allowed[name]
            start = stop
        return np.flatnonzero(fits)

    def _deep_pairs(self) -> list[Explanation]:
        """Two mistakes in the way back: those first that nearly add up to what was found."""
        explained: list[Explanation] = []
        tried: set[tuple[int, int]] = set()
        for candidates in (self._mending, self._overall, self._adding_up):
            new = [pair for pair in candidates() if pair not in tried]
            tried |= set(new)
            explained += self._try(new)
            if explained:
                break
        return explained

    def _mending(self) -> list[tuple[int, int]]:
        wrong = np.array([n in self.wrong for n in self.found])
        mended = ((self.off <= 1) & wrong).sum(axis=1)
        broken = ((self.off > 1) & ~wrong).sum(axis=1)
        order = [int(k) for k in np.argsort(broken - mended, kind="stable")]
        firsts: list[int] = []
        seen: set[bytes] = set()
        for k in order:
            if mended[k] <= broken[k] or len(firsts) == FIRST:
                break
            if (key := np.round(self.moves[k], 6).tobytes()) not in seen:
                seen.add(key)
                firsts.append(k)
        different = self._different()
        return [(min(a, b), max(a, b)) for a in firsts for b in different if a != b]

    def _overall(self) -> list[tuple[int, int]]:
        """What is about no edge, with everything else."""
        different = self._different()
        overall = [k for k in different if self.known[k].place is None]
        return [(min(a, b), max(a, b)) for a in overall for b in different if a != b]

    def _different(self) -> list[int]:
        """One of all mistakes that give the same numbers, without those that change nothing."""
        seen: set[bytes] = set()
        chosen = []
        for k, move in enumerate(self.moves):
            key = np.round(move, 7).tobytes()
            if key not in seen and move.any():
                seen.add(key)
                chosen.append(k)
        return chosen

    def _adding_up(self) -> list[tuple[int, int]]:
        kept = self._different()
        moves = self.moves[kept]
        target = np.concatenate(
            [
                (self.found[n] - self.right[n]).ravel()[chosen] / self._scale(n)
                for n, chosen in self.kept.items()
            ]
        )
        # |r - a - b|² for all pairs
        square = (moves * moves).sum(axis=1)
        along = moves @ target
        gap = square[:, None] + square[None] + 2 * (moves @ moves.T)
        gap -= 2 * (along[:, None] + along[None])
        gap[np.tril_indices(len(kept))] = np.inf
        flat = gap.ravel()
        step = self.graph.step
        entries = self.graph.batch * max(node.size for node in step.nodes)
        most = WORK // int(len(self.graph) * len(step.edges) * (1 + entries / 500))
        most = min(max(most, 500), int(np.isfinite(flat).sum()))
        if not most:
            return []
        best = np.argpartition(flat, most - 1)[:most]
        best = best[np.argsort(flat[best])]
        return [(kept[int(k) // len(kept)], kept[int(k) % len(kept)]) for k in best]

    def _try(self, pairs: Sequence[tuple[int, int]]) -> list[Explanation]:
        changes: list[Changes] = []
        told = []
        for a, b in pairs:
            one, two = self.known[a], self.known[b]
            if not set(one.changes.edges) & set(two.changes.edges):
                changes.append(one.changes + two.changes)
                told.append((one, two))
        explained = []
        with np.errstate(all="ignore"):
            for k, passes in in_parts(self.graph, changes, self.found):
                worst = np.zeros(passes.count)
                for name, given in self.found.items():
                    array = passes.arrays[name]
                    off = np.abs(array - given).max(axis=tuple(range(1, array.ndim)), initial=0.0)
                    worst = np.maximum(worst, np.nan_to_num(off, nan=np.inf) / self.allowed[name])
                explained += [
                    Explanation(told[k + int(m)], float(worst[m]))
                    for m in np.flatnonzero(worst <= 1)
                ]
        return explained


def _likeliest(explained: Sequence[Explanation]) -> list[Explanation]:
    """The explanations in order; of those less exact than others none is kept."""
    if not explained:
        return []
    best = min(e.error for e in explained)
    kept = [e for e in explained if e.error <= max(4 * best, 1e-5)]

    def order(e: Explanation) -> tuple[int, float]:
        count, rank = e.rank
        return count, rank + 0.5 * (e.error > max(1.5 * best, 1e-5))

    return sorted(kept, key=order)
