"""The heat map: every unit of an equation, or its gradient, along a line of text."""

from __future__ import annotations

import base64
import struct
import zlib

import numpy as np
from markupsafe import Markup

import equations
from lesson.arithmetic import packed
from lesson.measurements import Line, telling_unit
from lesson.page import render
from lesson.prose import Texts
from lesson.subject import Subject
from tinygrad_lstm.notation import number, visible
from tinygrad_lstm.tensor import Array

BUDGET = 148_000  # bytes of numbers, about; beyond it the units that change least are left out
# below and above zero: mid tones, which show on a light and on a dark page
HUES = ((201, 92, 32), (38, 118, 205))


def markup(subject: Subject) -> Markup:
    """The heat map's place in the page, with a guide to reading it."""
    cell, line = subject.cell, subject.line
    hidden = (n for n in cell.state if n != cell.output and n in line.values)  # memory building up
    return Texts("heatmap").block("intro") + heatmap(line, next(hidden, None), subject.unit)


def heatmap(
    line: Line, name: str | None = None, unit: int | None = None, ident: str = "heatmap"
) -> Markup:
    """A heat map of a Line, of any cell; `name` and `unit` are what it shows first.

    Without them that is the first equation whose values lie between 0 and 1, a gate, and the unit
    of it that tells most. A matrix is shown entry by entry. ident: begins the ids of the markup.
    """
    length = len(line.text)
    values = {key: array.reshape(length, -1) for key, array in line.values.items()}
    slopes = {key: array.reshape(length, -1) for key, array in line.gradients.items()}
    most = max(1, BUDGET // (4 * len(values) * length))
    kept = {key: _lively(array, most) for key, array in values.items()}
    if name is None:
        gates = (key for key, array in values.items() if _gate(array) and array.shape[1] > 1)
        name = next(gates, next(iter(values)))
    if unit is None:
        unit = telling_unit(Line(line.text, values, slopes, line.bits), name)
    unit = unit if unit in kept[name] else int(kept[name][0])
    letters = list(visible(line.text))
    described = {
        "characters": letters,
        "equation": list(values).index(name),
        "unit": unit,
        "equations": [
            {
                "name": key,
                "symbol": equations.name_unicode(key, None),
                "adjoint": equations.name_unicode(f"bar.{key}", None),
                "shape": list(line.values[key].shape[1:]),
                "units": units.tolist(),
                "gate": _gate(values[key]),
                "value": packed(values[key][:, units].T),
                "gradient": packed(slopes[key][:, units].T),
            }
            for key, units in kept.items()
        ],
    }
    numbers = {"": values, "bar.": slopes}
    return render(
        __name__,
        t=Texts("heatmap"),
        ident=ident,
        described=described,
        symbol=equations.name_unicode(name, None),
        picture=base64.b64encode(_picture(values[name][:, kept[name]])).decode(),
        letters=letters,
        unit=str(unit + 1),
        rows=[  # the unit's numbers in every equation that has it, and their gradients
            (equations.name_unicode(space + key, None), [_number(v) for v in array[:, unit]])
            for space, arrays in numbers.items()
            for key, array in arrays.items()
            if unit < array.shape[1]
        ],
    )


def _lively(values: Array, most: int) -> Array:
    """The `most` units that change most, in their order."""
    with np.errstate(all="ignore"):
        spread = np.nan_to_num(np.std(values.astype(float), axis=0))
    kept: Array = np.sort(np.argsort(-spread, kind="stable")[:most])
    return kept


def _gate(values: Array) -> bool:
    return bool(np.all((values >= 0) & (values <= 1)))


def _picture(values: Array) -> bytes:
    """A PNG of (time, units), a pixel each, the units as rows: the more opaque the larger."""
    scale = 1.0 if _gate(values) else float(np.nanmax(np.abs(values))) or 1.0
    levels = np.rint(127 * np.nan_to_num(values.T / scale).clip(-1, 1)).astype(int) + 128
    rows, columns = levels.shape
    below, above = (bytes(hue) * 128 for hue in HUES)
    opacity = bytes(min(255, 2 * abs(level - 128)) for level in range(256))
    lines = b"".join(b"\0" + bytes(row) for row in levels.astype(np.uint8))
    chunks = {
        b"IHDR": struct.pack(">IIBBBBB", columns, rows, 8, 3, 0, 0, 0),
        b"PLTE": below + above,
        b"tRNS": opacity,
        b"IDAT": zlib.compress(lines, 9),
        b"IEND": b"",
    }
    png = b"\x89PNG\r\n\x1a\n"
    for kind, content in chunks.items():
        check = zlib.crc32(kind + content)
        png += struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)
    return png


def _number(value: float) -> str:
    return number(value, 2) if np.isfinite(value) else "–"
