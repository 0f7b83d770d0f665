"""The tables of the papers, made again: one module each, its parts stored as they are done.

    python -m benchmarks.experiments                          # what there is, and what it takes
    python -m benchmarks.experiments adding                   # at full size
    python -m benchmarks.experiments adding --budget 0.1      # a tenth of the steps, fewer seeds
    python -m benchmarks.experiments all --share 1/2          # every second part, beside 2/2

A part that was done at this budget or a larger one is not done again; `--anew` forgets all. What
was measured is in `benchmarks/results/experiments/NAME.json`, the page in `docs/experiments/`.
"""
