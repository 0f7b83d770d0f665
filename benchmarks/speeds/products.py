"""The limit: the matrix products of a workload's plan and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from speeds.workloads import Workload
from tinygrad_lstm import compiled
from tinygrad_lstm.kernels.plan import Plan, Stage

Shape = tuple[int, int]


def plan_of(w: Workload) -> Plan:
    """The plan that the compiled cell follows."""
    fast = compiled(w.found, code="numpy")
    seeds, wants = frozenset({fast.output}), frozenset({"x"} if w.input_gradient else ())
    kernel = fast.kernel(fast.plain.program(**w.sizes), w.dtype, seeds, wants, frozenset())
    plan: Plan = kernel.plan
    return plan


def shapes(plan: Plan) -> tuple[list[Shape], list[Shape], list[Shape]]:
    """(entries in, entries out) of products over all rows, of a step, and of weight gradients."""

    def of(stages: list[Stage]) -> list[Shape]:
        products = [stage for stage in stages if stage.product]
        return [(p.operands[1].size, p.made[0].size) for p in products]

    whole = of(plan.ahead) + [(d.left.size, d.right.shape[1]) for d in plan.input_products]
    deferred = [(d.left.size, d.right.size) for d in plan.weight_products]
    return whole, of(plan.forward) + of(plan.backward), deferred


def runner(w: Workload, library: str) -> Callable[[], Any]:
    """A function that computes the products, by NumPy or by PyTorch."""
    whole, step, deferred = shapes(plan_of(w))
    rows = w.time * w.batch
    random = np.random.default_rng(0)

    def array(*shape: int) -> Any:
        return random.random(shape, dtype=w.dtype)  # type: ignore[call-overload]

    # each product has memory of its own, as in a sequence: (factors, transposed, result)
    calls: list[tuple[Any, Any, Any]] = []
    for n, m in whole:
        calls.append((array(rows, n), array(n, m), array(rows, m)))
    for n, m in step:
        A, W, out = array(w.time, w.batch, n), array(n, m), array(w.time, w.batch, m)
        calls += [(A[t], W, out[t]) for t in range(w.time)]
    for n, m in deferred:
        calls.append((array(rows, n).T, array(rows, m), array(n, m)))
    product: Any = np.matmul
    if library == "torch":
        try:
            import torch
        except ImportError:
            from speeds.contenders import Absent

            raise Absent("PyTorch is not installed") from None
        torch.set_num_threads(w.threads)
        calls = [tuple(torch.from_numpy(a) for a in call) for call in calls]
        product = torch.mm

    def run() -> None:
        for A, B, out in calls:
            product(A, B, out=out)

    return run
