"""Networks as JSON, by the names of their cells, and made again from it.

"lstm"      {"stack": ["lstm", "gru"]}      {"bidirectional": ["gru", "gru"]}
{"system": {"name": …, "parts": {"q": …}, "wires": {"p.x": {"before": "x"}}, …}}
{"grid": {"block": "grid_lstm", "axes": [["right", ["h_1", "m_1"], null, true], …]}}
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tinygrad_lstm.errors import UnknownNameError
from tinygrad_lstm.grids import Axis, Grid
from tinygrad_lstm.networks import Backward, Bidirectional, Stack, System
from tinygrad_lstm.step import Cell
from tinygrad_lstm.weights.gates import WeightsError
from tinygrad_lstm.wires import Source, Wire

_KINDS: dict[str, type[System]] = {
    "stack": Stack,
    "bidirectional": Bidirectional,
    "backward": Backward,
}


def cells_of(network: Any, prefix: str = "") -> Iterator[tuple[str, Cell]]:
    """The cells of a network, each with the prefix of its parameters; those that are tied once."""
    if isinstance(network, Grid):
        for k in range(1, network.layers + 1) or (0,):
            yield f"{prefix}{k}." if k else prefix, network.block
    elif isinstance(network, Cell):
        yield prefix, network
    else:
        for name, part in network.parts.items():
            if network.home[name] == name:
                yield from cells_of(part, f"{prefix}{name}.")


def structure_of(network: Any) -> Any:
    """A network as JSON: a cell by its name, a network by its kind and parts."""
    if isinstance(network, Grid):
        axes = [[a.name, list(a.states), a.length, a.tied] for a in network.axes_of_grid]
        return {"grid": {"block": network.block.name, "axes": axes}}
    if isinstance(network, Cell):
        return network.name
    for kind, of in _KINDS.items():
        if type(network) is of and not network.tied:
            return {kind: [structure_of(part) for part in network.parts.values()]}
    if not isinstance(network, System):
        raise WeightsError(
            f"weights.save: a cell or a network of cells is needed, got {network!r}."
        )
    parts = {name: structure_of(part) for name, part in network.parts.items()}
    tied = [network.tied] if isinstance(network.tied, str) else list(network.tied)
    if isinstance(network, Stack):
        return {"stack": list(parts.values()), "tied": tied}
    return {
        "system": {
            "name": network.name,
            "parts": parts,
            "wires": {target: _written(source) for target, source in network.wires.items()},
            "output": network.output,
            "reverse": list(network.turned),
            "tied": tied,
        }
    }


def network_of(path: Path, structure: Any, known: Mapping[str, Cell]) -> Any:
    """The network that JSON of `structure_of` describes, of cells by their names."""
    if isinstance(structure, str):
        if structure not in known:
            raise UnknownNameError(
                f"weights file {path}: there is no cell {structure!r} here.\n"
                f"  If it is your own, pass it: load(path, cells={{{structure!r}: {structure}}})."
            )
        return known[structure]
    tied = structure.get("tied", ())
    ((kind, described),) = ((k, v) for k, v in structure.items() if k != "tied")
    if kind == "grid":
        axes = [
            Axis(name, tuple(own), length, tied) for name, own, length, tied in described["axes"]
        ]
        return Grid(network_of(path, described["block"], known), axes)
    if kind == "system":
        return System(
            described["name"],
            {name: network_of(path, part, known) for name, part in described["parts"].items()},
            {target: _read(source) for target, source in described["wires"].items()},
            output=described["output"],
            turned=described["reverse"],
            tied=described["tied"],
        )
    made = [network_of(path, part, known) for part in described]
    return Stack(made, tied) if kind == "stack" else _KINDS[kind](*made)


def _written(source: Source) -> Any:
    if isinstance(source, Wire):
        return source.source if source.kind == "each" else {source.kind: source.source}
    return source if isinstance(source, str) else [_written(each) for each in source]


def _read(source: Any) -> Any:
    if isinstance(source, list):
        return [_read(each) for each in source]
    if isinstance(source, dict):
        ((kind, name),) = source.items()
        return Wire(name, kind)
    return source
