"""Reaching a database: its address, the package that speaks with it, and what it may say."""

from __future__ import annotations

import contextlib
import re
import warnings
from collections.abc import Iterator
from typing import Any

from tinygrad_lstm.searching.spaces import SearchError

_INSTALL = "Install it with: pip install 'tinygrad-lstm[search]'"


def optuna() -> Any:
    """The package Optuna; SearchError where the extra `search` is not installed."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import optuna as found
    except ImportError as error:
        raise missing(error, "a search") from error
    found.logging.set_verbosity(found.logging.ERROR)
    return found


def missing(error: ImportError, what: str) -> SearchError:
    """The error for a package that is not installed."""
    name = (error.name or "optuna").partition(".")[0]
    return SearchError(f"{what} needs the package {name}.\n  {_INSTALL}")


@contextlib.contextmanager
def reached(shown: str) -> Iterator[None]:
    """What a database and its driver raise, as one SearchError; shown: its address."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # heartbeats are called experimental
        try:
            yield
        except SearchError:
            raise
        except ImportError as error:
            raise missing(error, shown) from error
        except Exception as error:
            if not _of_database(error):
                raise
            raise SearchError(
                f"the storage {shown} cannot be used: {_reason(error)}.\n  Check that the "
                f"database runs and its address is right; what it holds is not lost."
            ) from error


def whole_address(address: str) -> str:
    """A database's address as SQLAlchemy takes it: the name of a file is SQLite's."""
    if "://" not in address:
        return f"sqlite:///{address}"
    return re.sub(r"^postgres(ql)?://", "postgresql+psycopg://", address)


def without_password(text: str) -> str:
    """A text in which an address shows no password."""
    return re.sub(r"(://[^:/@\s]*):[^@\s]*@", r"\1:…@", text)


def _of_database(error: Exception) -> bool:
    """Whether an error is one of SQLAlchemy, a driver or Optuna's storage."""
    modules = {kind.__module__.partition(".")[0] for kind in type(error).__mro__}
    if modules & {"sqlalchemy", "psycopg", "sqlite3", "alembic"} or isinstance(error, OSError):
        return True
    of_optuna = type(error).__module__.startswith("optuna.")
    return of_optuna or type(error) in (ValueError, RuntimeError) and "URL" in str(error)


def _reason(error: BaseException) -> str:
    """The last cause, in one line, without a password."""
    while error.__cause__ is not None:
        error = error.__cause__
    original = getattr(error, "orig", None) or error
    lines = str(original).strip().splitlines() or [type(original).__name__]
    return without_password(lines[0]).rstrip(".")
