"""The kinds of figures: every module here draws one or several, and is found by its existence."""
