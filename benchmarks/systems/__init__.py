"""Small real runs of the systems: each a command of minutes, its results in docs/experiments."""
