"""One thread for matrix products while a training runs.

A step's products are too small to share out: a second thread of OpenBLAS saves little on an idle
machine, and where another program wants the second core the two wait for each other, which was
measured to make a step 10 to 30 times slower. One thread also adds in one order, always.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
from collections.abc import Callable, Iterator
from functools import cache
from importlib import import_module
from typing import Any

# as NumPy's own wheels name them, then as other builds of OpenBLAS do
_NAMES = (
    "scipy_openblas_{}_num_threads64_", "scipy_openblas_{}_num_threads",
    "openblas_{}_num_threads64_", "openblas_{}_num_threads",
)  # fmt: skip


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """NumPy's products run on one thread in here, unless OPENBLAS_NUM_THREADS says how many.

    Where NumPy multiplies with something else than OpenBLAS nothing changes.
    """
    get, put = _function("get"), _function("set")
    if get is None or put is None or "OPENBLAS_NUM_THREADS" in os.environ:
        yield
        return
    before = get()
    put(1)
    try:
        yield
    finally:
        put(before)


@cache
def _function(verb: str) -> Callable[..., Any] | None:
    # a handle on NumPy's own extension also finds what it is linked with
    library = ctypes.CDLL(import_module("numpy._core._multiarray_umath").__file__)
    for name in _NAMES:
        with contextlib.suppress(AttributeError):
            return getattr(library, name.format(verb))  # type: ignore[no-any-return]
    return None
