"""Tables: every cell of the corpus and of the package, in every reading."""
