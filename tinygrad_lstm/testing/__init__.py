"""Tools for the tests of your own cells and operations: Hypothesis strategies, a pytest plugin."""
