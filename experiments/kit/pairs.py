"""The two processes on the same sequences: a network each, and what network and ideals restore.

Restored are the same sequences in three ways [T42]:

    uniform                    a set of positions drawn anew, from time t
    masked                     the same set masked, from the same t
    masked, equal capacity     more of them masked, from the time at which a token tells as much as
                               it does in the uniform process at t

and recovery is counted on the tokens that the uniform noise changed, in all three. Networks take
equally many steps: no course of training ends one of them sooner.
"""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.kit.cells import Found
from experiments.kit.draws import generator
from experiments.kit.intervals import columns, headers
from experiments.kit.means import mean_known, mean_where
from experiments.kit.settings import PROCESSES, SCHEDULE, SPLITS, Settings
from minuddm import Absorbing, DatasetIdeal, Denoiser, Process, Transformer, Uniform, restore
from minuddm.checks import Tokens
from minuddm.probes import (
    alpha_of_capacity,
    channel_capacity,
    entropy,
    mean_interval,
    student_interval,
)
from minuddm.train import train

WAYS = ("uniform", "masked", "masked, equal capacity")
WRONG = 2  # tokens of a sequence that are replaced
NODES = 16  # of the quadrature over alpha
QUANTITIES = ("recovery", "gain", "entropy", "repaired", "misled", "area")
COLUMNS = ["data", "way", "model", "P", "t", "split", "seeds", "n", *headers(QUANTITIES)]
"""`gain` is the recovery less that of the uniform way, on the same tokens. `entropy` is the
leave-one-out one of the corrupted sequences, nats per token; `area` is in nats per sequence."""

Known = dict[str, Denoiser]


@dataclass(frozen=True, eq=False)
class Pair:
    """P training sequences and unseen ones over V values, for both processes."""

    training: Tokens
    test: Tokens
    V: int
    settings: Settings
    ideals: Mapping[str, Denoiser] = field(default_factory=dict, compare=False)
    """Of the source, by process, where it is known: the sequences tell it from others."""

    @property
    def label(self) -> str:
        """Return the readable part of the file's name."""
        return f"pair-P={len(self.training):06d}-seed={self.settings.seed}"


def compare(pair: Pair) -> Found:
    """Train both networks; return one value a sequence of all that is measured, and both areas."""
    s, found, known = pair.settings, {}, {}
    for name, make in PROCESSES.items():
        of, own = make(pair.V), replace(s, process=name)
        size = own.model(pair.V, pair.training.shape[1])
        network = Transformer.init(size, generator(s.seed, "weights"))
        known[name] = {
            "network": train(network, pair.training, own.training(), process=of).average,
            "dataset_ideal": DatasetIdeal(pair.training, pair.V, of),
        }
        if name in pair.ideals:
            known[name]["source_ideal"] = pair.ideals[name]
    for split, x in zip(SPLITS, (pair.training, pair.test), strict=True):
        for t in s.times:
            found |= _restored(pair, known, split, x, t)
        for name, denoisers in known.items():
            for model, denoiser in denoisers.items():
                chance = generator(s.seed, f"area {split}")
                under = area(denoiser, _repeated(x, s), PROCESSES[name](pair.V), chance)
                found[f"{name} {model} {split} area"] = np.array(under)
    return found


def _repeated(x: Tokens, settings: Settings) -> Tokens:
    """Return as many sequences as are asked for, each several times where there are too few."""
    n = settings.sequences
    return np.repeat(x[:n], max(1, n // len(x)), axis=0)


def ways(V: int, t: float) -> dict[str, tuple[Process, float]]:
    """Return the process of each way, and the time from which it restores."""
    uniform, masked = Uniform(V), Absorbing(V)
    told = channel_capacity(uniform, float(SCHEDULE.alpha(t)))
    later = float(SCHEDULE.time(alpha_of_capacity(masked, told)))
    return dict(zip(WAYS, ((uniform, t), (masked, t), (masked, later)), strict=True))


def _restored(
    pair: Pair, known: Mapping[str, Known], split: str, x: NDArray[np.int32], t: float
) -> Found:
    """Restore the same sequences in all ways, at the first t also with wrong tokens.

    The values of a sequence that is corrupted several times are averaged.
    """
    s, V = pair.settings, pair.V
    x0 = _repeated(x, s)
    noisy = {
        way: of.corrupt(x0, SCHEDULE.alpha(at), generator(s.seed, f"corrupt {split} {t}"))
        for way, (of, at) in ways(V, t).items()
    }  # the same uniforms: what the uniform process draws anew the masked one masks
    changed, visible = noisy[WAYS[0]] != x0, noisy[WAYS[2]] < V
    chance = generator(s.seed, f"wrong {split}")
    rank = np.where(visible, chance.random(x0.shape), 2).argsort(axis=1).argsort(axis=1)
    wrong = visible & (rank < WRONG)
    false = Uniform(V).change(x0, chance)
    found: Found = {}
    for way, (of, at) in ways(V, t).items():
        xt = noisy[way]

        def back(z: Tokens, denoiser: Denoiser, of: Process = of, at: float = at) -> Tokens:
            chance = generator(s.seed, f"restore {split} {t}")
            return restore(denoiser, z, at, SCHEDULE, s.grid, chance, process=of)

        for model, denoiser in known["uniform" if of == Uniform(V) else "masked"].items():
            open_, H = _entropies(denoiser, xt, float(SCHEDULE.alpha(at)), of)
            values = {
                "recovery": mean_where(changed, back(xt, denoiser) == x0),
                "entropy": mean_where(open_, H),
            }
            if t == s.times[0]:
                beside, alone = (np.where(wrong, false, z) for z in (xt, x0))
                values["misled"] = mean_where(changed, back(beside, denoiser) == x0)
                values["repaired"] = mean_where(wrong, back(alone, denoiser) == x0)
            for name, each in values.items():
                averaged = mean_known(each.reshape(min(len(x), s.sequences), -1))
                found[f"{way} {model} {split} {t} {name}"] = averaged
    return found


def area(denoiser: Denoiser, x0: Tokens, process: Process, rng: np.random.Generator) -> float:
    """Return ∫ Σ_i H(x0_i | x_t without i) dα [T40] in nats per sequence, the mean over x0 (n, L).

    By Gauss-Legendre in α, with one corruption of every sequence at each node.
    """
    points, weights = np.polynomial.legendre.leggauss(NODES)
    total = 0.0
    for alpha, weight in zip((points + 1) / 2, weights / 2, strict=True):
        xt = process.corrupt(x0, alpha, rng)
        open_, H = _entropies(denoiser, xt, alpha, process)
        total += weight * x0.shape[1] * H[open_].mean() if open_.any() else 0.0
    return float(total)


def _entropies(
    denoiser: Denoiser, xt: Tokens, alpha: float, process: Process
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Return the leave-one-out entropies (n, L), and where the denoiser has been taught them.

    A position is masked whatever the others are, so those that are masked stand for all.
    """
    H = entropy(denoiser(xt, np.full(len(xt), alpha)))
    return process.inverse_temperature(xt, alpha) < np.inf, H


def rows(name: str, found: dict[int, list[Found]], settings: Settings) -> list[dict[str, Any]]:
    """Return one row per P, way, model, t and split, over all seeds."""
    table = []
    keys = itertools.product(found, WAYS, settings.models, settings.times, SPLITS)
    for P, way, model, t, split in keys:
        rng = generator(settings.seed, f"bootstrap {P} {way} {model} {t} {split}")

        def of(quantity: str, way: str = way, at: tuple[Any, ...] = (P, model, split, t)) -> Any:
            P, model, split, t = at
            names = f"{way} {model} {split} {t} {quantity}", f"{way} {model} {split} {quantity}"
            several = [next((x[k] for k in names if k in x), None) for x in found[P]]
            return None if several[0] is None else np.stack(several)

        recovered = of("recovery")
        row = {"data": name, "way": way, "model": model, "P": P, "t": t, "split": split}
        row |= {"seeds": len(recovered), "n": recovered.shape[1]}
        measured = {quantity: of(quantity) for quantity in QUANTITIES if quantity != "gain"}
        if way != WAYS[0]:
            measured["gain"] = recovered - of("recovery", WAYS[0])
        for quantity, values in measured.items():
            if values is not None:
                over = student_interval(values) if values.ndim == 1 else mean_interval(values, rng)
                row |= columns(quantity, over)
        table.append(row)
    return table
