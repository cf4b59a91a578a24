"""The network as a `Denoiser`: checks its arguments, cuts a batch into shards, calls an engine.

`minuddm.network` says what is computed. By whom is said by `engine`: "compiled"
(`minuddm.machine`, the same, faster), "numpy" (the definition itself), or any `NewEngine`. A batch
is computed in a fixed number of shards whose gradients are added in shard order, each on a thread
of its own if there are any to spare; so the number of threads never changes a bit.
"""

import warnings
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike

from minuddm import checks
from minuddm.checks import Floats, Tokens
from minuddm.engine import Batch, NewEngine, NumPy
from minuddm.machine.integrand import checked
from minuddm.machine.shards import shards_of
from minuddm.process import Process, given_or_uniform
from minuddm.weights import ModelConfig, Weights, initialise, shapes

Choice: TypeAlias = Literal["compiled", "numpy"] | NewEngine


@cache
def compiled() -> NewEngine:
    """Return the compiled engine; where it cannot be built, warn once and return NumPy's."""
    try:
        from minuddm.machine.engine import Compiled, probe

        probe()
    except Exception as error:
        warnings.warn(
            "the compiled engine cannot be built here, NumPy computes instead, many times slower "
            f"({type(error).__name__}: {error})",
            RuntimeWarning,
            stacklevel=3,
        )
        return NumPy
    return Compiled


class Transformer(checks.Sealed):
    """A `Denoiser` (call it), and its training gradient (`loss_and_grad`).

    The dtype of the weights decides the arithmetic: float32 for work, float64 for checking.
    Several threads may call an instance, but only one `loss_and_grad`.
    """

    def __init__(self, config: ModelConfig, weights: Weights, engine: Choice = "compiled") -> None:
        if list(weights.shapes.items()) != list(shapes(config).items()):
            raise ValueError("the weights do not have the shapes of the configuration, in order")
        self.config = config
        self.weights = weights
        self._given = engine
        if isinstance(engine, str):
            if engine not in ("compiled", "numpy"):
                raise ValueError(f'engine must be "compiled" or "numpy", got {engine!r}')
            engine = compiled() if engine == "compiled" else NumPy
        self.engine = engine(config, weights)

    @classmethod
    def init(
        cls,
        config: ModelConfig,
        rng: Generator,
        dtype: Any = np.float32,
        engine: Choice = "compiled",
    ) -> "Transformer":
        """Return a network with fresh weights."""
        return cls(config, initialise(config, rng, dtype), engine)

    def with_weights(self, weights: Weights) -> "Transformer":
        """Return a network of this configuration and this kind of engine, with other weights."""
        return Transformer(self.config, weights, self._given)

    def __reduce__(self) -> tuple[Any, ...]:
        return Transformer, (self.config, self.weights, self._given)

    def __call__(self, tokens: ArrayLike, alpha: ArrayLike) -> Floats:
        """Tokens (B, L), alpha (B,) or a number → LOO log-probabilities (B, L, V) [T11].

        Raises `ValueError` for tokens outside the states that it reads, another length, or alpha
        outside [0, 1].
        """
        x = self._checked(tokens, self.config.states, "tokens")
        return self.engine.log_probs(x, checks.alphas(alpha, len(x)))

    def loss_and_grad(
        self,
        x0: ArrayLike,
        xt: ArrayLike,
        alpha: ArrayLike,
        dalpha: ArrayLike,
        *,
        shards: int = 1,
        pool: ThreadPoolExecutor | None = None,
        rng: Generator | None = None,
        process: Process | None = None,
    ) -> tuple[float, Weights]:
        """Return the mean bound [T8] (nats per token and unit of t) and its gradient table.

        x0, xt (B, L), alpha and dalpha (B,) or numbers. The batch is cut into `shards`, run on
        `pool` if there is one. `rng` draws the dropout masks and is needed when dropout is above
        0. The bound is that of the process, uniform if not given. The table may be the instance's
        own, which the next call overwrites.
        """
        process = self.learnt(process)
        clean, z = self._checked(x0, process.V, "x0"), self._checked(xt, process.states, "xt")
        if clean.shape != z.shape:
            raise ValueError(f"x0 and xt must have one shape, got {clean.shape} and {z.shape}")
        if len(z) == 0:
            raise ValueError("the batch must hold at least one sequence")
        a = checks.alphas(alpha, len(z))
        mean = np.asarray(dalpha, dtype=np.float64) / z.size  # the loss is a mean over tokens
        given = checked(process.coefficients(a, mean), len(z))
        batch = Batch(clean, z, a, given, self._dropout_uniforms(len(z), rng))
        parts = shards_of(len(z), min(checks.count(shards, "shards"), len(z)))
        return self.engine.loss_and_grad(batch, parts, pool)

    def learnt(self, process: Process | None) -> Process:
        """Return the process, uniform if not given, if the network reads what it shows."""
        process = given_or_uniform(process, self.config.vocab)
        if process.states != self.config.states:
            raise ValueError(
                f"{process} shows {process.states} values, the network reads {self.config.states}: "
                f"it needs ModelConfig(..., states={process.states})"
            )
        return process

    def _checked(self, tokens: ArrayLike, states: int, name: str) -> Tokens:
        x = checks.tokens(tokens, states, name, ndim=2)
        if x.shape[1] != self.config.length:
            raise ValueError(f"{name} must have length {self.config.length}, got {x.shape[1]}")
        return x

    def _dropout_uniforms(self, B: int, rng: Generator | None) -> Floats:
        """Draw (B, 2 blocks, L, D) uniforms, or none without dropout."""
        each = (2 * self.config.blocks, self.config.length, self.config.width)
        if self.config.dropout == 0:
            return np.empty((0, *each), np.float32)
        if rng is None:
            raise ValueError("dropout needs rng")
        return checks.generator(rng).random((B, *each), dtype=np.float32)
