"""Learning: a cell trained as a character model on real text.

    from tinygrad_lstm import cells, learning
    text = learning.shakespeare()                        # or learning.read_text("my.txt")
    model = learning.CharacterModel(cells.lstm, text, hidden=128)
    training = learning.Training(model, text)
    training.run(seconds=60, report=print, checkpoint="lstm.npz")
    learning.sample(model, 200, prompt="To be")
    model.observe("To be, or not to be").run["f"]        # gate values, one row a character

It reports progress to a callback and draws nothing.
"""

from tinygrad_lstm.learning import tasks
from tinygrad_lstm.learning.ablations import switched_off
from tinygrad_lstm.learning.character_model import CharacterModel, Observation
from tinygrad_lstm.learning.characters import evaluate
from tinygrad_lstm.learning.checkpoint_files import CheckpointError, claim
from tinygrad_lstm.learning.checkpoints import Checkpoint, TaskCheckpoint, load, load_training
from tinygrad_lstm.learning.flat import Flat
from tinygrad_lstm.learning.learner import DivergenceError, Learner, Step
from tinygrad_lstm.learning.losses import bernoulli, bits, cross_entropy, squared_error
from tinygrad_lstm.learning.meanings import Meaning, Meanings, meaning
from tinygrad_lstm.learning.models import Model
from tinygrad_lstm.learning.objectives import Objective, Outcome
from tinygrad_lstm.learning.optimisers import (
    SGD,
    Adam,
    RMSProp,
    clip_by_entry,
    clip_by_norm,
    global_norm,
)
from tinygrad_lstm.learning.probes import PROBES, Probe
from tinygrad_lstm.learning.readouts import Readout, readout
from tinygrad_lstm.learning.sampling import sample
from tinygrad_lstm.learning.schedules import Constant, Cosine, InverseRoot, Linear, StepDecay
from tinygrad_lstm.learning.streams import Streams
from tinygrad_lstm.learning.task import Batch, Task
from tinygrad_lstm.learning.texts import Text, Vocabulary, read_text, shakespeare
from tinygrad_lstm.learning.training import Training
from tinygrad_lstm.learning.training_state import (
    Progress,
    Record,
    Settings,
    TrainingSettings,
    no_better,
)

__all__ = [
    "PROBES",
    "SGD",
    "Adam",
    "Batch",
    "CharacterModel",
    "Checkpoint",
    "CheckpointError",
    "Constant",
    "Cosine",
    "DivergenceError",
    "Flat",
    "InverseRoot",
    "Learner",
    "Linear",
    "Meaning",
    "Meanings",
    "Model",
    "Objective",
    "Observation",
    "Outcome",
    "Probe",
    "Progress",
    "RMSProp",
    "Readout",
    "Record",
    "Settings",
    "Step",
    "StepDecay",
    "Streams",
    "Task",
    "TaskCheckpoint",
    "Text",
    "Training",
    "TrainingSettings",
    "Vocabulary",
    "bernoulli",
    "bits",
    "claim",
    "clip_by_entry",
    "clip_by_norm",
    "cross_entropy",
    "evaluate",
    "global_norm",
    "load",
    "load_training",
    "no_better",
    "meaning",
    "read_text",
    "readout",
    "sample",
    "shakespeare",
    "squared_error",
    "switched_off",
    "tasks",
]
