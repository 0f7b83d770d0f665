"""Searching: many trainings of many cells, by many processes, kept in one database.

    from tinygrad_lstm import searching
    space = searching.read_space("odyssey.toml")
    storage = searching.Storage.create(space, "sqlite:///odyssey.db")
    searching.work(storage, "odyssey.trials")                # in this process, until all are done
    searching.importance(storage)                            # of hyper-parameters, by fANOVA

`tinygrad-lstm search odyssey.toml --workers 2` does so, with as many processes as are wanted. It
needs the extra `search`: `pip install 'tinygrad-lstm[search]'`.
"""

from tinygrad_lstm.searching.examining import Examination, behaviour, examine, fingerprint
from tinygrad_lstm.searching.listings import listing
from tinygrad_lstm.searching.mutations import Change, Mutant, draw, mutated
from tinygrad_lstm.searching.results import importance, labels
from tinygrad_lstm.searching.spaces import (
    Choice,
    Mutations,
    Range,
    SearchError,
    Space,
    parse_space,
    read_space,
)
from tinygrad_lstm.searching.storages import Done, Job, Storage
from tinygrad_lstm.searching.trials import Outcome, check, find_task, mutant_of
from tinygrad_lstm.searching.workers import Crew, several, work

__all__ = [
    "Change",
    "Choice",
    "Crew",
    "Done",
    "Examination",
    "Job",
    "Mutant",
    "Mutations",
    "Outcome",
    "Range",
    "SearchError",
    "Space",
    "Storage",
    "behaviour",
    "check",
    "draw",
    "examine",
    "find_task",
    "fingerprint",
    "importance",
    "labels",
    "listing",
    "mutant_of",
    "mutated",
    "parse_space",
    "read_space",
    "several",
    "work",
]
