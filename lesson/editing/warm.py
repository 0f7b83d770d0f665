"""Imported by the process that the edited file's processes are forked from: all is ready there."""

from __future__ import annotations

import traceback

from lesson.editing.readings import NAMES, readings
from tinygrad_lstm.cells import lstm

try:
    for reading in readings(lstm):
        if reading.name == NAMES[-1]:
            break  # the quick checks are the last that a reader waits for
except Exception:  # then the first edit shows what is wrong
    traceback.print_exc()
