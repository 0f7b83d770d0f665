"""The version of the packages, as `pyproject.toml` says it."""

__version__ = "0.2.0"
