"""Networks that declare their loss, as a model that is trained by it: nothing is put around them.

task = tasks.find("piano-rolls", path="rolls.json").by_own_loss()
learning.Training(task, systems.vrnn, hidden=64)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tinygrad_lstm.errors import CellError, DataError
from tinygrad_lstm.learning.flat import Flat
from tinygrad_lstm.learning.losses import Loss
from tinygrad_lstm.learning.readouts import Readout
from tinygrad_lstm.networks import System
from tinygrad_lstm.running import Run
from tinygrad_lstm.step import Cell
from tinygrad_lstm.tensor import Tensor

OWN = "own"


def _missing(*given: Any) -> Any:
    raise DataError("the loss of a network with a loss of its own is that of its run.")


class OwnLoss(Readout):
    """A network that is trained by the loss that it declares, `run.loss`.

    Its parameters are the network's. In place of predictions it gives that loss, (batch, 1).
    """

    joined = False

    def __init__(self, network: Cell | System) -> None:
        super().__init__(network, 0, Loss(OWN, _missing, _missing), "every")
        if network.loss is None:
            raise CellError(
                f"{network} declares no loss, by which it is to be trained.\n"
                f'  Write @cell(loss="NAME") for a scalar equation, or train it with a readout.'
            )

    def __post_init__(self) -> None:
        pass  # no names are taken

    def __str__(self) -> str:
        return f"{self.network} with its own loss"

    __repr__ = __str__

    def init(self, seed: int = 0, dtype: Any = np.float32, **sizes: Any) -> Flat:
        """Fresh parameters, the network's own."""
        found = self.network.init(seed=seed, dtype=dtype, **sizes)
        return Flat.of({name: tensor.data.astype(dtype) for name, tensor in found.items()})

    def predict(self, p: Mapping[str, Any], run: Run, lengths: Any = None) -> Tensor:
        """The loss of a run, once for each sequence: (batch, 1)."""
        batch = next(iter(run.final.values())).shape[0]
        return run.loss * np.ones((batch, 1), run.loss.dtype)

    def batch_loss(
        self, p: Mapping[str, Any], run: Run, target: Any, weights: Any, lengths: Any
    ) -> Tensor:
        """The loss of a run: its sum over the steps of each sequence, mean over these."""
        if weights is not None:
            raise DataError(f"{self}: weights of positions are for a readout's loss.")
        return run.loss
