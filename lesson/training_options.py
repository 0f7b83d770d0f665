"""The options that say how to train: `--optimiser`, `--rate`, `--schedule`, `--clip` and so on."""

from __future__ import annotations

import argparse
import math
from typing import Any

from lesson import cell_options
from tinygrad_lstm import learning
from tinygrad_lstm.errors import DataError

SAME = ("batch", "clip", "clip_entries", "seed", "every", "weight_noise", "input_noise")
OPTIMISERS = {"adam": learning.Adam, "rmsprop": learning.RMSProp, "sgd": learning.SGD}
SCHEDULES: dict[str, type] = {
    "constant": learning.Constant,
    "linear": learning.Linear,
    "cosine": learning.Cosine,
    "step": learning.StepDecay,
    "root": learning.InverseRoot,
}
LEAST = dict(batch=1, seed=0, every=1, momentum=0, weight_noise=0, input_noise=0, warm_up=0)


def add(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    add = parser.add_argument
    add("--batch", type=int, metavar="N", help="sequences side by side (default 32)")
    add("--optimiser", choices=list(OPTIMISERS), help="(default adam)")
    add("--rate", type=float, help="of the optimiser (default 0.006 for a text, 0.003 for a task)")
    add("--momentum", type=float, metavar="M", help="of sgd or rmsprop (default 0)")
    add("--nesterov", action="store_true", default=None, help="Nesterov's momentum, of sgd")
    add(
        "--schedule",
        type=_schedule,
        metavar="KIND:STEPS[:SHARE]",
        help="of the rate: linear:2000 or cosine:2000 falls to 0 in 2000 steps, cosine:2000:0.1 to "
        "a tenth; step:500:0.5 is halved every 500 steps, root:100 falls as 1/√(1 + steps/100)",
    )
    add("--warm-up", type=int, metavar="N", help="steps in which the rate first rises")
    add("--clip", type=float, metavar="NORM", help="limit of the gradient's norm (default 1)")
    add("--clip-entries", type=float, metavar="X", help="limit of each of its entries")
    add("--weight-noise", type=float, metavar="S", help="standard deviation, for each gradient")
    add("--input-noise", type=float, metavar="S", help="standard deviation, where x is a vector")
    add("--every", type=int, metavar="N", help="steps from record to record (default 100)")
    add("--seed", type=int, metavar="N", help="of the random numbers (default 0)")


def check(options: argparse.Namespace) -> None:
    """What these options alone tell to be wrong."""
    cell_options.check_least(options, **LEAST)
    for name in ("rate", "clip", "clip_entries"):
        value = getattr(options, name)
        if value is not None and not 0 < value < math.inf:
            raise DataError(f"--{name.replace('_', '-')} must be a number above 0, got {value}.")
    kind = options.optimiser or "adam"
    if options.momentum is not None and kind == "adam":
        raise DataError("--momentum is of --optimiser sgd or rmsprop; adam has its own.")
    if options.nesterov and kind != "sgd":
        raise DataError("--nesterov is of --optimiser sgd.")


def settings(options: argparse.Namespace, usual: learning.TrainingSettings) -> dict[str, Any]:
    """The settings that were asked for, by the names they have in Python."""
    found = {name: value for name in SAME if (value := getattr(options, name)) is not None}
    names = ("rate", "momentum", "nesterov")
    own = {name: value for name in names if (value := getattr(options, name)) is not None}
    if options.optimiser or own:
        rate = {"rate": usual.optimiser.rate} if options.optimiser in (None, "adam") else {}
        found["optimiser"] = OPTIMISERS[options.optimiser or "adam"](**{**rate, **own})
    if options.schedule or options.warm_up:
        kind, *numbers = options.schedule or ("constant",)
        found["schedule"] = SCHEDULES[kind](*numbers, warm_up=options.warm_up or 0)
    return found


def differences(options: argparse.Namespace, have: learning.TrainingSettings) -> dict[str, Any]:
    """Of the settings that were asked for, those that are others: name: (had, asked for)."""
    return {
        name: (getattr(have, name), value)
        for name, value in settings(options, have).items()
        if name != "every" and getattr(have, name) != value
    }


def _schedule(words: str) -> tuple[Any, ...]:
    kind, *numbers = words.split(":")
    try:
        if (
            kind not in SCHEDULES
            or len(numbers) > 2 - (kind == "root")
            or (kind == "constant") != (not numbers)
        ):
            raise ValueError
        return kind, *(int(n) if k == 0 else float(n) for k, n in enumerate(numbers))
    except ValueError as error:
        raise argparse.ArgumentTypeError(
            f"write linear:2000, cosine:2000:0.1, step:500:0.5 or root:100, not {words!r}"
        ) from error
