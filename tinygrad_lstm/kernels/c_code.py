"""A plan as compiled C at work."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, ClassVar

import numpy as np

from tinygrad_lstm.kernels.c_source import Source, matrix
from tinygrad_lstm.kernels.loop import Apply, Loops, Multiply, Outer, Statement, Sweep
from tinygrad_lstm.kernels.memory import Views, address, carved
from tinygrad_lstm.kernels.plan import Buffer, Kind, Space
from tinygrad_lstm.kernels.threads import in_parallel, split
from tinygrad_lstm.kernels.toolchain import load, machine
from tinygrad_lstm.tensor import Array

PIECES = {"forward": 28, "backward": 160}  # of a piece of the loop, whose memory stays at hand


class CCode:
    """A plan's compiled loops.

    The hoisted products are done a few steps ahead of the loop, the deferred ones a few steps
    behind it, so that what passes between them never leaves the processor's caches; it needs no
    memory for each step.
    """

    title: ClassVar[str] = "C"
    rows: Iterable[Buffer]
    transient: Collection[Buffer]

    def __init__(self, loops: Loops, dtype: Any) -> None:
        self.made = made = Source(loops, dtype, machine())
        self.dtype, self.rows = made.dtype, made.rows
        self.transient = made.transient.keys()
        self.works = {
            "forward": sum(map(_work, [*loops.ahead, *loops.forward])),
            "backward": sum(map(_work, [*loops.backward, *made.outers])),
        }
        self.work = max(self.works.values())
        self.sizes, self._tables = made.sizes.values(self.dtype)
        library = load(made.code, made.products, machine())
        pointer, number = ctypes.c_void_p, ctypes.c_ssize_t
        self.pack = library.pack
        self.loops = {"forward": library.forward, "backward": library.backward}
        self.pack.argtypes = [number, number, pointer, number, number, pointer]
        for loop in self.loops.values():
            loop.argtypes = [pointer, *[number] * 5, *[pointer] * 7]
        for function in (self.pack, *self.loops.values()):
            function.restype = None

    @property
    def source(self) -> str:
        """All of the source, with these sizes."""
        return self.made.text

    @staticmethod
    def text(loops: Loops, dtype: Any) -> str:
        """The source alone, for this machine."""
        return Source(loops, dtype, machine()).text

    def forward(self, views: Views, workers: int) -> Callable[[], None]:
        """The loop over time."""
        return _Loop(self, "forward", views, workers)

    def backward(self, views: Views, workers: int) -> Callable[[], Mapping[str, Array]]:
        """The loop back through time, and the gradients of the packed weights."""
        run = _Loop(self, "backward", views, workers)
        sums, start, totals = run.total, 0, list[tuple[Array, Array]]()
        for buffer in self.made.totals:
            totals.append((views[buffer.name], sums[start : start + buffer.width]))
            start += buffer.width
        found: dict[str, Array] = {}
        more: list[tuple[Array, Array]] = []  # a weight of several products
        for s in self.made.outers:
            m, n = s.left.size, s.right.size
            part = sums[start : start + m * n].reshape(m, n)
            start += m * n
            if s.onto:
                more.append((found[s.weight], part))
            else:
                found[s.weight] = part

        def loop() -> Mapping[str, Array]:
            run()
            for total, part in (*totals, *more):
                total += part
            return found

        return loop


class _Loop:
    """A loop of a cell's code on the memory of some views, with threads that share the batch."""

    def __init__(self, code: CCode, name: str, views: Views, workers: int) -> None:
        self._code, self._views, made = code, views, code.made
        self._loop, size = code.loops[name], code.dtype.itemsize
        self._addresses()
        self._pack(name)
        self._parts = split(views.batch, views.steps * views.batch * code.works[name], workers)
        most = max(last - first for first, last in self._parts)
        piece = min(views.steps, -(-PIECES[name] // most))
        sizes = address(code.sizes)
        self._sizes = [(sizes, views.steps, views.batch, *part, piece) for part in self._parts]
        back = name == "backward"
        width = sum(b.width for b in made.totals) if back else 0
        products = sum(s.left.size * s.right.size for s in made.outers) if back else 0
        self._sums = np.zeros((len(self._parts), width + products + 1), code.dtype)
        self.total = self._sums[0] if len(self._parts) == 1 else np.empty_like(self._sums[0])
        shapes = {str(k): (made.scratch[name] * piece * most,) for k in range(len(self._parts))}
        self._scratch = carved(shapes, code.dtype)[1].values()
        both = zip(self._sums, self._scratch, strict=True)
        self._own = [(address(s), address(s) + width * size, address(free)) for s, free in both]

    def __call__(self) -> None:
        """Run it once; `total` is what it sums up: totals, then products."""
        views, size = self._views, self._code.dtype.itemsize
        for k, buffer in self._later:
            array = views[buffer]
            self._at[k], self._by[k] = address(array), array.strides[0] // size
        for product in self._packing:
            self._code.pack(*product)
        self._sums.fill(0.0)
        mask = views.mask()
        ended = None if mask is None else address(mask)

        def share(first: int, last: int, k: int) -> None:
            self._loop(*self._sizes[k], *self._arrays, ended, *self._own[k])

        in_parallel(share, self._parts)
        if len(self._parts) > 1:
            np.sum(self._sums, axis=0, out=self.total)

    def _addresses(self) -> None:
        """Where each buffer's first step lies, how far the next is; and what each run tells."""
        code, views = self._code, self._views
        self._at = np.zeros(len(code.made.buffers) + 1, np.intp)
        self._by = np.zeros(len(code.made.buffers) + 1, np.intp)
        self._later: list[tuple[int, str]] = []
        for k, buffer in enumerate(code.made.buffers):
            if buffer in code.transient:
                continue
            if buffer.kind is Kind.CARRY:
                if buffer.label not in views.carry:
                    continue
                array = views.carry[buffer.label][buffer.space is Space.OUT]
            elif buffer.name in views.given:
                self._later.append((k, buffer.name))
                continue
            elif buffer.name in views:
                array = views[buffer.name]
            else:
                continue
            self._at[k] = address(array)
            if buffer.kind is Kind.TIME:
                self._by[k] = array.strides[0] // code.dtype.itemsize

    def _pack(self, loop: str) -> None:
        """Where weights lie in panels for the products of this loop, and what puts them there."""
        made = self._code.made
        own = [(k, *pack) for k, pack in enumerate(made.packs) if pack[0] == loop]
        self._panels = carved({str(k): (n,) for k, _, _, n in own}, self._code.dtype)[1]
        packs = np.zeros(len(made.packs) + 1, np.intp)
        self._packing = []
        for k, _, product, _ in own:
            inner, columns = matrix(product)
            down, right = (columns, 1) if product.transposed else (1, inner)
            packs[k] = address(self._panels[str(k)])
            weight = address(self._views[product.weight.buffer.name])
            self._packing.append((inner, columns, weight, down, right, int(packs[k])))
        self._packs = packs
        self._arrays = address(self._at), address(self._by), address(packs)


def _work(statement: Statement) -> float:
    """About how many multiplications a statement takes for one row."""
    if isinstance(statement, Multiply):
        return float(statement.weight.size)
    if isinstance(statement, Outer):
        return float(statement.left.size * statement.right.size)
    if isinstance(statement, Sweep):
        return 4.0 * len(statement.assigns) * math.prod(statement.shape)
    return 4.0 * statement.out.size if isinstance(statement, Apply) else 0.0
