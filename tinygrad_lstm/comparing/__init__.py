"""Cells in comparison: trained on the same data, over several seeds, with what may be concluded.

    plan = Plan(("rnn", "lstm"), "temporal-order", {"lag": 20}, seeds=5)
    entrants = entrants_of(plan)
    results = compare(plan, entrants, Path("compare.json"), jobs=2, tell=print)
    conclusions(results)

The command `tinygrad-lstm compare` shows it and writes its page.
"""

from tinygrad_lstm.comparing.conclusions import conclusions
from tinygrad_lstm.comparing.entrants import Entrant, entrants_of
from tinygrad_lstm.comparing.plans import ComparisonError, Plan
from tinygrad_lstm.comparing.results import Results
from tinygrad_lstm.comparing.statistics import fisher, rank_test, wilson
from tinygrad_lstm.comparing.workers import compare

__all__ = [
    "ComparisonError",
    "Entrant",
    "Plan",
    "Results",
    "compare",
    "conclusions",
    "entrants_of",
    "fisher",
    "rank_test",
    "wilson",
]
