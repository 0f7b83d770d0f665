"""A worker of a search, begun by `workers.Crew`."""

from tinygrad_lstm.searching.workers import main

if __name__ == "__main__":
    raise SystemExit(main())
