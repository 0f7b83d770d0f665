"""The recipe of `identify` in words: en, ko, zh."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tinygrad_lstm.diagnosis.converters import known_orders
from tinygrad_lstm.diagnosis.diagnosis import LANGUAGES, say
from tinygrad_lstm.diagnosis.forward_words import Lines, mistake
from tinygrad_lstm.diagnosis.weight_search import Hit

WHAT = ("cell", "order", "h", "x", "bias", "direction", "activation")


def none_lines(cell: str, steps: int, error: float, skipped: bool) -> Lines:
    """Where nothing gives the output."""
    lines = {}
    for tag in LANGUAGES:
        how = say("identify off", tag, error=f"{error:.1e}", step=steps)
        more = (say("identify skipped", tag),) if skipped else ()
        lines[tag] = (say("identify none", tag, cell=cell, how=how), *more)
    return lines


def found_lines(
    hit: Hit, call: str, same: Sequence[str], left: Sequence[str], count: int, unseen: Sequence[str]
) -> Lines:
    """The recipe of a hit.

    same: cells that compute the same; left: what is not decided between `count` ways; unseen: what
    the recording does not depend on.
    """
    lines = {}
    for tag in LANGUAGES:
        shown = _lines(hit, call, same, left, count, tag)
        if unseen:
            words = say("identify what", tag).split(" | ")
            what = ", ".join(words[WHAT.index(k)] if k in WHAT else k for k in unseen)
            shown.append(say("identify unseen", tag, what=what))
        lines[tag] = tuple(shown)
    return lines


def _lines(
    hit: Hit, call: str, same: Sequence[str], left: Sequence[str], count: int, tag: str
) -> list[str]:
    cell, pool = hit.cell.cell.name, hit.pools

    def tell(key: str, **words: Any) -> str:
        return say(f"identify {key}", tag, **words)

    shown = [tell("is", cell=cell, error=f"{hit.error:.0e}")]
    if hit.rewrite is not None:
        shown.append(
            tell("activation", cell=cell, mistake=mistake(hit.cell.program, hit.rewrite, tag))
        )
    known = known_orders(hit)
    if len(hit.order) > 1:
        after = tell("known", known=", ".join(known)) if known else ""
        shown.append(tell("order", order=" ".join(hit.order), known=after))
    if "-" in hit.order:
        shown.append(tell("without effect"))
    if hit.order_h:
        shown.append(tell("order of h", order=" ".join(hit.order_h)))
    shown += _arrays(hit, tell)
    shown += [tell("share", gate=gate) for gate in hit.sign]
    shown += [tell("added", gate=gate, number=f"{n:g}") for gate, n in hit.more.items()]
    if pool.names["p"]:
        gates = hit.cell.having("peephole")
        places = {int(hit.ways.p[0, k]): hit.cell.gates[g].name for k, g in enumerate(gates)}
        order = " ".join(places.get(k, "-") for k in range(len(pool.p)))
        shown.append(tell("peepholes", names=", ".join(pool.names["p"]), order=order))
    if hit.direction != "forward":
        shown.append(tell(hit.direction))
    if hit.frame.batch_first:
        shown.append(tell("batch first"))
    shown.append(tell("call", call=call or "found.convert(w)"))
    if same:
        shown.append(tell("same", cells=", ".join([cell, *same])))
    if left:
        words = tell("what").split(" | ")
        what = ", ".join(words[WHAT.index(key)] for key in left)
        shown.append(tell("open", count=count, what=what))
    return shown


def _arrays(hit: Hit, tell: Callable[..., str]) -> list[str]:
    """Which array is what, and which way round."""
    pool, shown = hit.pools, []
    joined = [r for r in pool.readings if r.joined]
    if joined:
        names = ", ".join(r.name for r in joined)
        shown.append(tell("joined", names=names, joined=joined[0].joined))
    else:
        x, h = ", ".join(pool.names["x"]), ", ".join(pool.names["h"])
        shown.append(tell("matrices", x=x, h=h))
    turned = [r.name for r in pool.readings if r.turned and (r.count("x") or r.count("h"))]
    if turned:
        shown.append(tell("turned", names=", ".join(turned)))
    by_unit = [r.name for r in pool.readings if r.by_unit]
    if by_unit:
        shown.append(tell("by unit", names=", ".join(by_unit)))
    if any(gate.biases for gate in hit.cell.gates):
        names = ", ".join(dict.fromkeys([*pool.names["b"], *pool.names["r"]]))
        shown.append(tell(f"bias {pool.bias}", names=names))
    return shown
