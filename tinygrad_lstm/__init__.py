"""A mini autodiff engine for recurrent networks: cells written once, as named equations.

from tinygrad_lstm import cells, unroll
p = cells.lstm.init(inputs=3, hidden=4, seed=0)
run = unroll(cells.lstm, p, xs)                     # xs: (time, batch, inputs)
run["h"].sum().backward()
p.W_f.grad
"""

from types import ModuleType as _ModuleType

from tinygrad_lstm import numpy_names as _numpy_names  # noqa: F401 - np.tanh(t) works
from tinygrad_lstm import ops as ops  # the table must be full before anything is computed
from tinygrad_lstm.composites import *  # noqa: F403
from tinygrad_lstm.ops import *  # noqa: F403 - every operation is public, a new one too

from tinygrad_lstm.tensor import Tensor as Tensor  # isort: skip
from tinygrad_lstm.differentiate import grad as grad
from tinygrad_lstm.differentiate import value_and_grad as value_and_grad
from tinygrad_lstm.grids import Grid as Grid
from tinygrad_lstm.grids import grid as grid
from tinygrad_lstm.layers import Layer as Layer
from tinygrad_lstm.layers import layer as layer
from tinygrad_lstm.letters import *  # noqa: F403
from tinygrad_lstm.networks import bidirectional as bidirectional
from tinygrad_lstm.networks import stack as stack
from tinygrad_lstm.networks import system as system
from tinygrad_lstm.parameters import Parameters as Parameters
from tinygrad_lstm.program import Program as Program
from tinygrad_lstm.random_variables import *  # noqa: F403
from tinygrad_lstm.rewriting import otherwise as otherwise
from tinygrad_lstm.running import Run as Run
from tinygrad_lstm.running import unroll as unroll
from tinygrad_lstm.step import Cell as Cell
from tinygrad_lstm.step import cell as cell
from tinygrad_lstm.stepper.trace import step_through as step_through
from tinygrad_lstm.types import Array as Array
from tinygrad_lstm.types import Network as Network
from tinygrad_lstm.types import TensorLike as TensorLike
from tinygrad_lstm.version import __version__ as __version__
from tinygrad_lstm.wires import before as before
from tinygrad_lstm.wires import final as final
from tinygrad_lstm.wires import mask as mask
from tinygrad_lstm.wires import whole as whole

from tinygrad_lstm.kernels import compiled as compiled  # isort: skip
from tinygrad_lstm.checking import Agreement as Agreement  # isort: skip
from tinygrad_lstm.checking import check_gradients as check_gradients

from tinygrad_lstm import cells as cells  # isort: skip
from tinygrad_lstm.diagnosis import Diagnosis as Diagnosis  # isort: skip
from tinygrad_lstm.diagnosis import Identification as Identification  # isort: skip
from tinygrad_lstm.diagnosis import diagnose as diagnose  # isort: skip
from tinygrad_lstm.diagnosis import identify as identify  # isort: skip
from tinygrad_lstm import errors as errors
from tinygrad_lstm import systems as systems
from tinygrad_lstm import weights as weights
from tinygrad_lstm.exporting import ExportError as ExportError
from tinygrad_lstm.exporting import export as export

# Public is what stands above, but no module's own parts; Python's own sum, max, min and abs stay
# what they are after `import *`.
_public = {n for n, v in globals().items() if n[0] != "_" and not isinstance(v, _ModuleType)}
_public |= {"cells", "errors", "ops", "systems", "weights"}
globals()["__all__"] = sorted(_public - {"abs", "max", "min", "sum"})
