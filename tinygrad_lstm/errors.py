"""What can go wrong, one class a kind. Every message names the place and the fix."""

from collections.abc import Iterable


class TinygradError(Exception):
    """Base of every error this project raises on bad input; the command line exits with 2 on it."""


class ShapeError(TinygradError, ValueError):
    """Shapes that do not fit together."""


class DTypeError(TinygradError, TypeError):
    """Numbers of a kind the engine does not take, such as integers where floats are needed."""


class DataError(TinygradError, ValueError):
    """Values that cannot be computed with: nan, infinity, an empty sequence."""


class TracedError(TinygradError):
    """The value of a traced Tensor, which has none until its Program is run."""


class CellError(TinygradError, ValueError):
    """A cell, or a file of cells, that is not written as it must be."""


class LetterError(TinygradError, ValueError):
    """A letter for the places of an axis that does not stand for one axis."""


class UnknownNameError(TinygradError, KeyError, AttributeError):
    """A name that is not defined where it is read; the message lists what is."""

    __str__ = Exception.__str__  # KeyError's would put the message in quotes


class GradientError(TinygradError, AssertionError):
    """A derivative that disagrees with its numerical value."""


def unknown(what: str, have: str, known: Iterable[str]) -> UnknownNameError:
    """What to raise of a name that is not there: `what`, and the names that are."""
    return UnknownNameError(f"{what}; {have} {', '.join(known) or 'none'}.")
