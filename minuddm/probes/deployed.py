"""What can be read off one network, whether or not its training data are at hand [T28], [T46].

    samples        n sequences from noise, and how certain the conditionals are on the way
    own            they are corrupted to each t and restored; from t = 1 they return as they are
    text           the same of sequences that may have been in training, and how much comes back;
                   from t = 1 nothing is left of them, so that start is not theirs
    against        the same of sequences that were not, to compare them with
    levels         the parts of the bound between the starting times, of either text [T47]
    copied         which samples are copies of the text

What returns from t is read at t = 1e-5, with the leave-one-out entropy [T13]: near 0 where the
other tokens determine each token, as in a sequence that is remembered. The start t chooses the
shell that is looked at. Own samples are read at the places where the network itself ends; only a
text tells whether the inner shells around *its* sequences are basins. `minuddm.probes.verdicts`
says what may be concluded.

Conditionals (b, L, V) of a few sequences are held at a time, 17 MB or one sequence on each thread.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.random import Generator, Philox
from numpy.typing import ArrayLike, NDArray

from minuddm import checks
from minuddm.checks import Floats, Tokens
from minuddm.denoiser import Denoiser
from minuddm.probes.entropy import entropy, leave_one_out_entropy
from minuddm.probes.perplexity import nelbo_by_level
from minuddm.probes.recovery import recovery
from minuddm.probes.samples import copies, twins
from minuddm.process import Process, given_or_uniform
from minuddm.reverse import T_END, generate, restore, time_grid
from minuddm.schedule import Schedule

STARTS = (0.1, 0.25, 0.5, 0.75, 1.0)
"""The times from which the chain starts."""
MOST = 2048
"""The largest number of samples, and of sequences of a text that are restored."""
_TABLE = 2**24  # bytes of log-probabilities that a thread holds at a time
_BATCH = 256  # sequences at a time where these would be more
_DRAWS = 4  # passes over a text for each part of its bound

Array = NDArray[np.float64]


class Returned(NamedTuple):
    """What returned from one t, a value a sequence, each (n,).

    entropy in nats per token; recovery in [0, 1], NaN where nothing was changed and from t = 1;
    apart, the share of tokens in which it differs from the nearest other one that returned.
    """

    entropy: Array
    recovery: Array
    apart: Array


@dataclass(frozen=True, eq=False)
class Probed:
    """All that was read; `text` and `against` are empty, `copied` None, where no text was given."""

    V: int
    L: int
    steps: int
    process: Process
    samples: Tokens  # (n, L)
    times: Array  # (K,), of the chain from noise, falling
    way: Array  # (K, n) entropy there, over tokens in doubt; NaN where there are none
    own: Mapping[float, Returned]
    text: Mapping[float, Returned] = field(default_factory=dict)
    against: Mapping[float, Returned] = field(default_factory=dict)
    levels: Mapping[str, Array] = field(default_factory=dict)  # (n, 5), nats per token
    sequences: Mapping[str, int] = field(default_factory=dict)  # of each text, in equal parts of n
    copied: NDArray[np.bool_] | None = None  # (n,)


def probe(
    denoiser: Denoiser,
    V: int,
    L: int,
    schedule: Schedule,
    steps: int,
    rng: Generator,
    *,
    text: ArrayLike | None = None,
    against: ArrayLike | None = None,
    among: ArrayLike | None = None,
    samples: int = 64,
    process: Process | None = None,
    threads: int = 1,
) -> Probed:
    """Read a denoiser of sequences (·, L) over V values; the chain has `steps` steps from noise.

    text (N, L) and against (M, L): of each, `samples` sequences are restored, chosen by chance; if
    they are fewer, each is corrupted as many times as fit. Copies are sought `among` sequences
    (K, L), the text if not given. What is read of the samples does not depend on the texts. The
    process is uniform if not given; threads share out what is restored. Raises `ValueError` for
    sequences of another length or other tokens, more than 2048 samples, and `against` without a
    text.
    """
    process, n = given_or_uniform(process, checks.vocabulary(V)), _number(samples)
    if against is not None and text is None:
        raise ValueError("a text to compare with (against) needs a text")
    given = {
        name: _chosen(x, name, V, L, n, chance)
        for name, x, chance in zip(
            ("text", "against"), (text, against), _two(checks.generator(rng)), strict=True
        )
        if x is not None
    }
    places = None if text is None else checks.tokens(
        text if among is None else among, V, "among", 2, L
    )  # fmt: skip
    batch = at_a_time(V, L)
    chain = _Chain(denoiser, process, schedule, steps, batch, threads)
    found, way = chain.generate(n, L, rng)
    own = {t: chain.returning(found, t, rng) for t in STARTS}
    read = {
        name: {t: chain.returning(x, t, chance) for t in STARTS[:-1]}
        for name, (x, chance) in given.items()
    }
    return Probed(
        V, L, steps, process, found, time_grid(1.0, steps), way, own, **read,
        levels={name: chain.levels(x, chance) for name, (x, chance) in given.items()},
        sequences={
            name: min(n, len(np.asarray(x)))
            for name, x in (("text", text), ("against", against)) if x is not None
        },
        copied=None if places is None else copies(found, places),
    )  # fmt: skip


def at_a_time(V: int, L: int) -> int:
    """Return how many sequences a thread restores at a time: on threads no number depends."""
    table = 4 * checks.vocabulary(V) * checks.count(L, "L")
    return max(1, min(_BATCH, _TABLE // table))


def evaluations(
    V: int, L: int, steps: int, samples: int, text: int = 0, against: int = 0,
    process: Process | None = None,
) -> int:  # fmt: skip
    """Return how many sequences `probe` asks the denoiser about, for texts of so many sequences."""
    process, n = given_or_uniform(process, checks.vocabulary(V)), _number(samples)
    asked = 0

    def counted(tokens: Tokens, alpha: Array) -> Floats:
        nonlocal asked
        asked += len(tokens)
        return np.broadcast_to(np.float32(-np.log(V)), (*tokens.shape, V))

    process.leave_one_out(counted, np.zeros((1, L), np.int32), np.full(1, 0.5))
    calls = {t: len(time_grid(t, steps)) for t in STARTS}
    returning = sum(calls[t] + asked for t in STARTS[:-1])
    bound = _DRAWS * len(STARTS)
    texts = sum(min(n, number) * max(1, n // number) for number in (text, against) if number)
    return n * (calls[1.0] + asked + returning) + texts * (returning + bound)


@dataclass(frozen=True)
class _Chain:
    """The chain back with one denoiser, a few sequences at a time."""

    denoiser: Denoiser
    process: Process
    schedule: Schedule
    steps: int
    batch: int
    threads: int

    def generate(self, n: int, L: int, rng: Generator) -> tuple[Tokens, Array]:
        """Return n samples (n, L), and the entropies (K, n) on their way."""
        times = time_grid(1.0, self.steps)
        place, way = {t: k for k, t in enumerate(times.tolist())}, np.empty((len(times), n))

        def watch(t: float, rows: slice, tokens: Tokens, log_p: Floats) -> None:
            alpha = self.schedule.alpha(t)
            doubt = np.isfinite(self.process.inverse_temperature(tokens, alpha))
            H = np.where(doubt, entropy(log_p), 0).sum(axis=1)
            number = doubt.sum(axis=1)
            way[place[t], rows] = np.divide(
                H, number, out=np.full(len(H), np.nan), where=number > 0
            )

        found = generate(
            self.denoiser, n, L, self.process.V, self.schedule, self.steps, rng,
            process=self.process, batch=self.batch, threads=self.threads, watch=watch,
        )  # fmt: skip
        return found, way

    def returning(self, x0: Tokens, t: float, rng: Generator) -> Returned:
        """Return what is read when x0 (n, L) is corrupted to t and restored; from 1 it is x0."""
        back, came = x0, np.full(len(x0), np.nan)
        if t < 1:
            xt = self.process.corrupt(x0, float(self.schedule.alpha(t)), rng)
            back = restore(
                self.denoiser, xt, t, self.schedule, self.steps, rng, batch=self.batch,
                threads=self.threads, process=self.process,
            )  # fmt: skip
            came = recovery(x0, xt, back).recovery
        end = float(self.schedule.alpha(T_END))
        V, batch = self.process.V, self.batch
        H = leave_one_out_entropy(self.denoiser, back, V, end, batch, self.process)
        return Returned(H.mean(axis=1), came, twins(back)[0])

    def levels(self, x0: Tokens, rng: Generator) -> Array:
        """Return the parts of the bound between the starts, (n, 5), in nats per token."""
        return nelbo_by_level(
            self.denoiser, x0, self.process.V, self.schedule, rng, (T_END, *STARTS), _DRAWS,
            self.batch, self.process,
        )  # fmt: skip


def _two(rng: Generator) -> list[Generator]:
    """Return two generators of their own."""
    return [Generator(Philox(key=int(seed))) for seed in rng.integers(2**63, size=2)]


def _number(samples: int) -> int:
    n = checks.count(samples, "samples", 2)
    if n > MOST:
        raise ValueError(f"samples must lie in 2 … {MOST}, got {n}")
    return n


def _chosen(
    x: ArrayLike, name: str, V: int, L: int, n: int, rng: Generator
) -> tuple[Tokens, Generator]:
    """Return n of the sequences x (N, L), or each several times, and what is to draw for them."""
    tokens = checks.tokens(x, V, name, ndim=2, L=L)
    if len(tokens) == 0:
        raise ValueError(f"{name} must hold at least one sequence")
    rows = np.sort(rng.choice(len(tokens), min(n, len(tokens)), replace=False))
    return np.repeat(tokens[rows], max(1, n // len(tokens)), axis=0), rng
