"""Colours, as CSS custom properties with a light and a dark value each.

A page may set any `--viz-NAME`, on the figure or above it. Otherwise the light value holds, or the
dark one where the reader prefers it; `data-theme="light"` or `"dark"` on an element above the
figure overrules that preference. What a shape means is told by its form and outline; the fill
only helps. Every outline and glyph has a contrast of at least 3 against its ground, text 4.5.
"""

from __future__ import annotations

from collections.abc import Iterable

COLOURS: dict[str, tuple[str, str]] = {
    # name: (light, dark)
    "ground": ("#ffffff", "#12171c"),
    "ink": ("#222b36", "#e4eaf0"),
    "line": ("#33404f", "#c3cedb"),
    "body": ("#edf5ef", "#1a2721"),
    "body-line": ("#5f8f72", "#5f9a78"),
    "layer": ("#ffdd80", "#5c4a10"),
    "layer-line": ("#8f6a00", "#efc75e"),
    "op": ("#fbc6d2", "#5b2639"),
    "op-line": ("#b03a62", "#f294b1"),
    "terminal": ("#dfeafa", "#1d3350"),
    "terminal-line": ("#3f6fae", "#82b1ee"),
    "quiet": ("#5b6775", "#9aa7b5"),
    "band": ("#f1f4f8", "#1a2129"),
    "forward": ("#0b66c3", "#6db5ff"),
    "backward": ("#b8371f", "#ff9479"),
    "changed": ("#c2410c", "#ff9a5c"),
}

# kind of shape: (fill, outline, width of the outline)
SHAPES: dict[str, tuple[str | None, str | None, float]] = {
    "body": ("body", "body-line", 1.4),
    "layer": ("layer", "layer-line", 1.4),
    "op": ("op", "op-line", 1.4),
    "terminal": ("terminal", "terminal-line", 1.4),
    "module": ("body", "body-line", 1.4),
    "card": ("layer", "layer-line", 1.4),
    "given": ("terminal", "terminal-line", 1.4),
    "step": ("op", "op-line", 1.4),
    "band": ("band", None, 0.0),
    "frame": (None, "line", 1.0),
    "mark": (None, None, 0.0),  # a value of data, as dark as it is large, or in its own colour
    "label": (None, None, 0.0),
    "caption": (None, None, 0.0),
}

DIM = 0.2
STATES = ("changed", "forward", "backward")  # classes that recolour outlines and lines


def light(name: str | None) -> str:
    """The light colour of a role, as Graphviz takes it; a colour as it is."""
    return COLOURS[name][0] if name in COLOURS else name or "none"


def _values(which: int) -> str:
    return "".join(f"--v-{name}:var(--viz-{name},{c[which]});" for name, c in COLOURS.items())


def stylesheet(kinds: Iterable[str]) -> str:
    """The CSS of a figure: colours, emphasis, and the states a page can set by class."""
    kinds = set(kinds)
    rules = [
        f".viz{{{_values(0)}background:var(--v-ground)}}",
        f"@media (prefers-color-scheme:dark){{.viz{{{_values(1)}}}}}",
        f"[data-theme=light] .viz,.viz[data-theme=light]{{{_values(0)}}}",
        f"[data-theme=dark] .viz,.viz[data-theme=dark]{{{_values(1)}}}",
        ".viz .glyph{fill:var(--v-ink)}",
        *([".viz .mark .ink{fill:var(--v-ink)}"] if "mark" in kinds else []),
        ".viz .caption .glyph{fill:var(--v-quiet)}",
        ".viz .edge path{stroke:var(--v-line)}",
        ".viz .edge polygon{fill:var(--v-line);stroke:var(--v-line)}",
    ]
    for kind in sorted(kinds):
        fill, line, _ = SHAPES[kind]
        colours = f"fill:var(--v-{fill});" if fill else ""
        colours += f"stroke:var(--v-{line})" if line else ""
        if colours:
            rules.append(f".viz .{kind} .shape{{{colours}}}")
    rules.append(f".viz .dim{{opacity:{DIM}}}.viz .node,.viz .edge{{transition:opacity .25s}}")
    for state in STATES:
        rules.append(
            f".viz .{state} .shape{{stroke:var(--v-{state});stroke-width:2.4}}"
            f".viz .edge.{state} path{{stroke:var(--v-{state});stroke-width:2.4}}"
            f".viz .edge.{state} polygon{{fill:var(--v-{state});stroke:var(--v-{state})}}"
            f".viz .label.{state} .glyph{{fill:var(--v-{state})}}"
        )
    return "\n".join(rules)
