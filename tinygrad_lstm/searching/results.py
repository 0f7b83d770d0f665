"""What a search has found: which hyper-parameters matter, which cells did best."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

from tinygrad_lstm.searching.databases import missing, optuna
from tinygrad_lstm.searching.storages import Storage


def importance(storage: Storage, seed: int = 0) -> dict[str, float]:
    """How much of the values' variance each hyper-parameter explains alone, by fANOVA.

    (Hutter, Hoos & Leyton-Brown 2014, as Optuna computes it.) A training that diverged counts
    as the worst that did not, or it would hide all others. Empty for fewer than ten results.
    """
    found, results = optuna(), [d for d in storage.results() if d.value is not None]
    names = [n for n in storage.space.drawn] + ["cell"] * (len(storage.space.cells) > 1)
    names = [n for n in names if all(n in d.values for d in results)]
    finite = [d.value for d in results if d.value is not None and abs(d.value) < 1e300]
    if len(finite) < 10 or not names or max(finite) == min(finite):
        return {}
    try:
        from optuna.importance import FanovaImportanceEvaluator, get_param_importances

        study = found.create_study()
        for done in results:
            assert done.value is not None
            study.add_trial(
                found.create_trial(
                    params={n: done.values[n] for n in names},
                    distributions={n: storage.distribution(n) for n in names},
                    value=min(done.value, max(finite)),
                )
            )
        evaluator = FanovaImportanceEvaluator(seed=seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            shares = get_param_importances(study, evaluator=evaluator, normalize=False)
    except ImportError as error:
        raise missing(error, "the importance of hyper-parameters") from error
    return {str(name): float(share) for name, share in shares.items()}


def labels(names: Sequence[str]) -> dict[str, str]:
    """Short names: "optimiser.rate" is "rate" where no other ends so."""
    last = [name.removesuffix(".name").rpartition(".")[2] for name in names]
    return {n: own if last.count(own) == 1 else n for n, own in zip(names, last, strict=True)}
