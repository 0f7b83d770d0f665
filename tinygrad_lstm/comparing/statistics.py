"""What few runs say: intervals of shares, exact tests of two groups."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

Z = 1.959963984540054  # of 95 %
ENUMERATED = 20_000  # ways to deal out ranks that are all looked at


def wilson(solved: int, count: int) -> tuple[float, float]:
    """The 95 % interval of a share by Wilson (1927): 5 of 5 may be 57 % as well."""
    if not count:
        return 0.0, 1.0
    p, n = solved / count, count
    middle = (p + Z * Z / (2 * n)) / (1 + Z * Z / n)
    half = Z / (1 + Z * Z / n) * math.sqrt(p * (1 - p) / n + Z * Z / (4 * n * n))
    return max(0.0, middle - half), min(1.0, middle + half)


def fisher(a: int, of_a: int, b: int, of_b: int) -> float:
    """Fisher's exact test, two-sided: how likely so unlike shares are if both succeed alike.

    The sum of the probabilities of all tables with these margins that are as unlikely.
    """
    whole, good = of_a + of_b, a + b

    def probability(k: int) -> float:
        return math.comb(of_a, k) * math.comb(of_b, good - k) / math.comb(whole, good)

    seen = probability(a)
    possible = range(max(0, good - of_b), min(of_a, good) + 1)
    return min(1.0, sum(p for k in possible if (p := probability(k)) <= seen * (1 + 1e-9)))


def rank_test(a: Sequence[float], b: Sequence[float]) -> float:
    """The rank-sum test of Wilcoxon, Mann and Whitney, two-sided, with mean ranks for ties.

    Exact where there are few ways to deal out the ranks, else by the normal approximation.
    """
    if not a or not b:
        return 1.0
    every = sorted([*a, *b])
    rank = {v: (2 * every.index(v) + every.count(v) + 1) / 2 for v in {*every}}
    ranks = [rank[v] for v in every]
    n, whole = len(a), len(every)
    middle = n * (whole + 1) / 2
    off = abs(sum(rank[v] for v in a) - middle) - 1e-9
    if math.comb(whole, n) <= ENUMERATED:
        sums = [abs(sum(part) - middle) for part in itertools.combinations(ranks, n)]
        return sum(s >= off for s in sums) / len(sums)
    m = whole - n
    variance = n * m / whole / (whole - 1) * sum((r - (whole + 1) / 2) ** 2 for r in ranks)
    return math.erfc(off / math.sqrt(2 * variance)) if variance else 1.0


def holm(p: Sequence[float]) -> list[float]:
    """Holm's (1979) correction of several tests: what is below 0.05 stays so for all together."""
    order, found, least = sorted(range(len(p)), key=lambda k: p[k]), [1.0] * len(p), 0.0
    for place, k in enumerate(order):
        least = max(least, min(1.0, p[k] * (len(p) - place)))
        found[k] = least
    return found
