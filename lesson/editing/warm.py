"""Imported by the process that the edited file's processes are forked from: all is ready there."""

from __future__ import annotations

import traceback

from lesson.editing.readings import NAMES, readings
from tinygrad_lstm.cells import lstm

try:
    for reading in readings(lstm):
        if reading.name == NAMES[-2]:
            break  # the checks have little to keep from one cell to the next
except Exception:  # then the first edit shows what is wrong
    traceback.print_exc()
