"""Memory of compiled cells: arrays lie as vectors want them, and no product reads past its rows."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from compiling import MISSING

from tinygrad_lstm import cells, compiled
from tinygrad_lstm.kernels import memory, toolchain
from tinygrad_lstm.kernels.c_source import Source
from tinygrad_lstm.kernels.loop import lower

# Rows that end where a page ends that nobody may read behind; by plain loops, what must come out.
GUARD = r"""
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

static real *at_the_end(count numbers)
{
    const count page = sysconf(_SC_PAGESIZE);
    const count pages = (numbers * sizeof(real) + page - 1) / page;
    char *all = mmap(0, (pages + 1) * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
                     -1, 0);
    if (all == MAP_FAILED || mprotect(all + pages * page, page, PROT_NONE)) _exit(3);
    return (real *)(all + pages * page) - numbers;
}

int main(void)
{
    static real gathered[100000], space[100000], out[100000];
    for (count height = 1; height < 40; height++)
        for (count width = 1; width < 40; width++) {
            const count steps = 2, rows = 3, all = steps * rows;
            real *left = at_the_end(all * height), *right = at_the_end(all * width);
            for (count k = 0; k < all * height; k++) left[k] = k % 7 - 3;
            for (count k = 0; k < all * width; k++) right[k] = k % 5 - 2;
            for (count k = 0; k < height * width; k++) out[k] = 1;
            gather(height, steps, rows, left, rows * height, height, gathered);
            outer(height, width, steps, rows, gathered, right, rows * width, width, out, space);
            for (count i = 0; i < height; i++)
                for (count j = 0; j < width; j++) {
                    real sum = 1;
                    for (count k = 0; k < all; k++)
                        sum += left[k * height + i] * right[k * width + j];
                    if (out[i * width + j] != sum) {
                        printf("(%td, %td) of %td x %td\n", i, j, height, width);
                        return 1;
                    }
                }
        }
    return 0;
}
"""


@pytest.mark.skipif(bool(MISSING), reason=MISSING or "compiled")
@pytest.mark.skipif(sys.platform == "win32", reason="needs mmap")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_products_read_nothing_behind_their_rows(dtype: type, tmp_path: Path) -> None:
    plan = compiled(cells.rnn).plan(inputs=1, hidden=1)
    products = Source(lower(plan), dtype, toolchain.machine()).products
    path, made = tmp_path / "guard.c", tmp_path / "guard"
    path.write_text(products + GUARD, encoding="utf-8")
    command = toolchain.compiler()
    assert command is not None
    flags = ["-march=native", "-O1", "-w"]
    subprocess.run([*command, *flags, "-o", str(made), str(path), "-lm"], check=True, timeout=120)
    done = subprocess.run([str(made)], capture_output=True, encoding="utf-8", timeout=60)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_arrays_lie_on_lines_of_the_cache(dtype: type) -> None:
    shapes = {"a": (3,), "b": (5, 7), "c": (), "d": (0, 4), "e": (33,)}
    for _ in range(3):
        block, arrays = memory.carved(shapes, dtype)
        ends = []
        for name, shape in shapes.items():
            array = arrays[name]
            assert (array.shape, array.dtype) == (shape, np.dtype(dtype))
            assert array.ctypes.data % 64 == 0, name
            assert np.may_share_memory(array, block) or not array.size
            ends.append((array.ctypes.data, array.ctypes.data + array.nbytes))
            array[...] = len(ends)
        assert all(end <= start for (_, end), (start, _) in zip(ends, ends[1:], strict=False))
        assert all((arrays[n] == k).all() for k, n in enumerate(shapes, start=1))
