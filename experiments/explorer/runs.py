"""Restoring step by step: what each model makes of the same corrupted tokens, and how sure it is.

    network        the reverse chain with the trained conditionals [T26]
    dataset_ideal  the same chain, with the same uniforms, and a perfect memory [T14]
    token_memory   energy descent, one changed site a step [T19]; it knows of no MASK

With every state comes the entropy of each token's clean value given the *other* tokens [T28], nats
per token, and a cost that falls as the state becomes likelier:

    network        a bound on -log p [T9] of the tokens taken for clean, nats per token
    dataset_ideal  -log p_t of the diffused training set at the time of the state, nats per token
    token_memory   its energy E [T19]

A sequence with a MASK has no bound. That of another is estimated with the same draws for all states
of a run, so that their differences are theirs. The memory descends at the β_t of the time t at
which the tokens were corrupted, where its heat bath is α p_i + (1 - α)/V, with p_i the conditional
of the ideal memoriser [T16]: the entropy shown is that of p_i, for it as for the others.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from experiments.kit.draws import generator
from experiments.kit.settings import SCHEDULE
from hopfield import TokenMemory
from minuddm import DatasetIdeal, Denoiser, Process, Transformer, inverse_temperature, restore
from minuddm.checks import Tokens
from minuddm.probes import entropy, held_out_nelbo
from minuddm.reverse import T_END

Array = NDArray[np.float64]

DRAWS = 64  # times at which the bound is estimated
_BATCH = 16  # states whose conditionals are held at a time


@dataclass(frozen=True, eq=False)
class Subject:
    """A network with its process and alphabet, and, if they were found, its sequences.

    training (P, L) are those it was trained on, unseen (n, L) others of the same text; `pad` is the
    token that fills lines up, if there are lines.
    """

    name: str
    network: Transformer
    process: Process
    alphabet: str
    training: Tokens | None = None
    unseen: Tokens | None = None
    pad: int | None = None

    @property
    def L(self) -> int:  # noqa: N802  the theory's letter
        """The length of its sequences."""
        return self.network.config.length


class Restoring(NamedTuple):
    """S states on the way from corrupted tokens to the end, of one model.

    tokens (S, L); times (S,) in [0, 1], falling, 0 at the end of a chain; entropy (S, L) and cost
    (S,) as above, NaN where there is none, ∞ for what cannot be.
    """

    model: str
    times: Array
    tokens: Tokens
    entropy: Array
    cost: Array


def corrupted(subject: Subject, clean: Tokens, t: float, seed: int) -> Tokens:
    """Return clean tokens (L,) as the process shows them at time t, (L,)."""
    alpha = float(SCHEDULE.alpha(t))
    [xt] = subject.process.corrupt(clean[None], alpha, generator(seed, "corrupt"))
    return np.asarray(xt)


def restorings(subject: Subject, xt: Tokens, t: float, grid: int, seed: int) -> list[Restoring]:
    """Restore tokens xt (L,), corrupted at time t ∈ (0, 1], by every model that there is.

    `grid` is the number of intervals over [0, 1] of the reverse chain. The same arguments give the
    same bits.
    """
    process, training, network = subject.process, subject.training, subject.network
    times, states = _chain(network, process, xt, t, grid, seed)
    H, bounds = _entropies(network, process, states, times), _bounds(network, process, states, seed)
    found = [Restoring("network", times, states, H, bounds)]
    if training is None:
        return found
    ideal = DatasetIdeal(training, process.V, process)
    times, states = _chain(ideal, process, xt, t, grid, seed)
    surprise = [
        -log_chance(training, process, z, float(SCHEDULE.alpha(max(time, T_END)))) / len(z)
        for time, z in zip(times.tolist(), states, strict=True)
    ]
    H = _entropies(ideal, process, states, times)
    found.append(Restoring("dataset_ideal", times, states, H, np.array(surprise)))
    if process.states == process.V:
        found.append(_descent(training, process.V, xt, t))
    return found


def log_chance(patterns: Tokens, process: Process, z: Tokens, alpha: float) -> float:
    """Return log p_t(z) of tokens z (L,): patterns (P, L), equally likely, corrupted at alpha.

    By the definition, which holds for any process; -∞ for what no pattern can become.
    """
    with np.errstate(divide="ignore"):
        log_q = np.log(process.kernel(alpha))
        evidence = log_q[patterns, z].sum(axis=1)
        return float(logsumexp(evidence) - np.log(len(patterns)))


def _chain(
    denoiser: Denoiser, process: Process, xt: Tokens, t: float, grid: int, seed: int
) -> tuple[Array, Tokens]:
    """Return the times (S,) and states (S, L) of the reverse chain from xt (L,) at t."""
    times, states = [], []

    def watch(time: float, rows: slice, z: Tokens, log_p: object) -> None:
        times.append(time)
        states.append(z[0].copy())

    chance = generator(seed, "restore")
    end = restore(denoiser, xt[None], t, SCHEDULE, grid, chance, watch=watch, process=process)
    return np.array([*times, 0.0]), np.array([*states, end[0]])


def _entropies(denoiser: Denoiser, process: Process, states: Tokens, times: Array) -> Array:
    """Return the leave-one-out entropies (S, L) of states (S, L), each at its own time.

    Where that is 0 it is taken for 1e-5, the end of the chain's grid [T26].
    """
    alpha = SCHEDULE.alpha(np.maximum(times, T_END))
    parts = [slice(k, k + _BATCH) for k in range(0, len(states), _BATCH)]
    asked = (process.leave_one_out(denoiser, states[part], alpha[part]) for part in parts)
    return np.concatenate([entropy(log_p) for log_p in asked])


def _bounds(denoiser: Denoiser, process: Process, states: Tokens, seed: int) -> Array:
    """Return the bound (S,) of every state (S, L) without a MASK, in nats per token; else NaN."""
    known: dict[bytes, float] = {}
    for z in states:
        if z.max() < process.V and z.tobytes() not in known:
            copies = np.repeat(z[None], DRAWS, axis=0)
            chance = generator(seed, "bound")
            bound = held_out_nelbo(
                denoiser, copies, process.V, SCHEDULE, chance, draws=1, process=process
            )
            known[z.tobytes()] = float(bound.mean())
    return np.array([known.get(z.tobytes(), np.nan) for z in states])


def _descent(patterns: Tokens, V: int, xt: Tokens, t: float) -> Restoring:
    """Visit site after site until none changes; keep every state that is new."""
    alpha = float(SCHEDULE.alpha(t))
    memory = TokenMemory(patterns, V, float(inverse_temperature(alpha, V)))
    states, site, still = [xt], 0, 0
    while still < len(xt):
        after = memory.step(states[-1][None], site)[0]
        still = still + 1 if (after == states[-1]).all() else 0
        if still == 0:
            states.append(after)
        site = (site + 1) % len(xt)
    tokens = np.array(states)
    p = np.clip((memory.conditionals(tokens) - (1 - alpha) / V) / alpha, 0, 1)
    with np.errstate(divide="ignore"):
        H = entropy(np.log(p))
    return Restoring("token_memory", np.full(len(tokens), t), tokens, H, memory.energy(tokens))
