"""What a run consists of, but for its text: how it is cut, the network, how it is trained.

One dial sets the sizes; whatever is asked for singly stands above it. Rate, β₂ and conditioning are
those of all experiments of this repository (`experiments/kit/settings.py`), and a wider network
has a smaller rate.
"""

import dataclasses
import typing
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from minuddm import checks
from minuddm.process import Absorbing, Process, Uniform
from minuddm.schedule import LogLinear
from minuddm.train import TrainConfig
from minuddm.weights import ModelConfig

SCHEDULE = LogLinear()
COND, BETA2 = 32, 0.95
PROCESSES: dict[str, Callable[[int], Process]] = {"uniform": Uniform, "masked": Absorbing}
UNITS = ("characters", "words", "tokens")
SIZES: dict[str, dict[str, Any]] = {
    "tiny": {"width": 64, "blocks": 2, "heads": 4, "batch": 16, "lr": 2e-3, "steps": 5000},
    "small": {"width": 128, "blocks": 3, "heads": 4, "batch": 16, "lr": 2e-3, "steps": 20_000},
    "medium": {"width": 256, "blocks": 6, "heads": 8, "batch": 32, "lr": 1e-3, "steps": 40_000},
}


@dataclass(frozen=True)
class Settings:
    """The settings of a run; each but `steps` must be the same when it goes on.

    length L; vocab and least, what the vocabulary keeps (`minuddm.vocabulary`). Raises `ValueError`
    for what cannot be trained.
    """

    unit: str
    lines: bool
    length: int
    vocab: int
    least: int
    process: str
    width: int
    blocks: int
    heads: int
    dropout: float
    batch: int
    lr: float
    steps: int
    seed: int

    def __post_init__(self) -> None:
        for name, known in (("unit", UNITS), ("process", tuple(PROCESSES))):
            if getattr(self, name) not in known:
                raise ValueError(f"{name} must be {' or '.join(known)}, not {getattr(self, name)}")
        checks.count(self.length, "length", 2)
        self.model(2)  # each refuses what it cannot be
        self.training()

    @classmethod
    def read(cls, said: Any) -> "Settings":
        """Return the settings that a JSON object says; raises `ValueError` if it says others."""
        kinds = typing.get_type_hints(cls)
        if not isinstance(said, dict) or said.keys() != kinds.keys():
            raise ValueError("it does not hold the settings of a run")
        for name, kind in kinds.items():
            if type(said[name]) is not kind:
                raise ValueError(f"{name} must be of type {kind.__name__}, not {said[name]!r:.80}")
        return cls(**said)

    def said(self) -> dict[str, Any]:
        """Return the settings as a JSON object."""
        return dataclasses.asdict(self)

    def of_tokens(self, V: int) -> Process:
        """Return what corrupts tokens of V values."""
        return PROCESSES[self.process](V)

    def model(self, V: int) -> ModelConfig:
        """Return the size of a network over V values."""
        return ModelConfig(
            V, self.length, self.width, self.blocks, self.heads, COND, self.dropout,
            self.of_tokens(V).states,
        )  # fmt: skip

    def training(self) -> TrainConfig:
        """Return how it is trained."""
        return TrainConfig(
            steps=self.steps, batch=self.batch, lr=self.lr, beta2=BETA2, seed=self.seed,
            schedule=SCHEDULE,
        )  # fmt: skip
