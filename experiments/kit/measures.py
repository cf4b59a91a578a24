"""What is measured of a network: while it learns, from a noise level, clean, and on its way back.

Every quantity is one value a sequence, in nats per token where it is an entropy or a bound. All
models see the same corrupted sequences and the same chances.

    there_and_back  sequences corrupted to t, and what comes back
    recoveries      the mean share that comes back, of each split
    look            recovery and bound, while a network learns
    at_noise        recovery and entropies from t, and the distance to the ideals
    of_the_clean    entropies of the sequences as they are, and the bound
    own             its own samples; the entropies of what returns from each t [T46]; the bound by
                    noise level [T47]
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.kit.draws import generator
from experiments.kit.means import mean_known, mean_where
from experiments.kit.settings import SCHEDULE, STARTS, SURE, TRAINED, Arrays, Cell
from hopfield import TokenMemory
from minuddm import Denoiser, Process, Transformer, generate, inverse_temperature, restore
from minuddm.checks import Tokens
from minuddm.probes import (
    conditional_entropy,
    divergence,
    held_out_nelbo,
    nelbo_by_level,
    recovery,
)
from minuddm.reverse import T_END

_BATCH = 256  # sequences whose conditionals are held at a time
LOOKED_AT = 100  # sequences of each split that are looked at while a network learns


def there_and_back(
    denoiser: Denoiser, x0: Tokens, t: float, grid: int, of: Process, seed: int, purpose: str
) -> tuple[Tokens, Tokens]:
    """Return sequences x0 (n, L) corrupted to t, and restored: by the same draws at every call."""
    xt = of.corrupt(x0, float(SCHEDULE.alpha(t)), generator(seed, purpose))
    chance = generator(seed, f"{purpose}, back")
    return xt, restore(denoiser, xt, t, SCHEDULE, grid, chance, process=of)


def recoveries(
    denoiser: Denoiser, clean: Mapping[str, Tokens], t: float, grid: int, of: Process, seed: int,
    purpose: str,
) -> dict[str, float]:  # fmt: skip
    """Return the mean recovery from t of clean sequences by split: train_recovery, …"""
    found = {}
    for split, x in clean.items():
        xt, back = there_and_back(denoiser, x, t, grid, of, seed, f"{purpose} {split}")
        found[f"{split}_recovery"] = float(np.nanmean(recovery(x, xt, back).recovery))
    return found


def look(cell: Cell, network: Transformer) -> Arrays:
    """Return what is measured while a network learns, one value a sequence: recovery and bound."""
    s, V, of, t = cell.settings, cell.vocab, cell.process, cell.settings.times[0]
    found: Arrays = {}
    for split, x in (("train", cell.training), ("test", cell.test)):
        x0 = np.resize(x, (min(LOOKED_AT, s.sequences), x.shape[1]))
        xt, back = there_and_back(network, x0, t, s.grid, of, s.seed, f"look {split}")
        found[f"{split} recovery"] = recovery(x0, xt, back).recovery
        chance = generator(s.seed, f"look bound {split}")
        found[f"{split} bound"] = held_out_nelbo(network, x0, V, SCHEDULE, chance, process=of)
    return found


def at_noise(
    cell: Cell, denoisers: dict[str, Denoiser], split: str, x: NDArray[np.int32], t: float
) -> Arrays:
    """Corrupt to time t; restore and measure the same corrupted sequences with every model.

    One value per sequence: where there are fewer sequences than asked for, each is corrupted
    several times and its values are averaged.
    """
    s, V, of, alpha = cell.settings, cell.vocab, cell.process, float(SCHEDULE.alpha(t))
    repeats = max(1, s.sequences // len(x))
    x0 = np.repeat(x, repeats, axis=0)
    xt = of.corrupt(x0, alpha, generator(s.seed, f"corrupt {split} {t}"))
    arrays: Arrays = {}

    def keep(model: str, name: str, values: NDArray[Any]) -> None:
        each = np.asarray(values, dtype=float).reshape(len(x), repeats)
        arrays[f"{model} {split} {t} {name}"] = mean_known(each)

    restored = {}
    if "token_memory" in s.models:
        memory = TokenMemory(cell.training, V, float(inverse_temperature(alpha, V)))
        restored["token_memory"] = memory.recall(xt).state
    for model, denoiser in denoisers.items():
        chance = generator(s.seed, f"restore {split} {t}")
        restored[model] = restore(denoiser, xt, t, SCHEDULE, s.grid, chance, process=of)
        for kind, H in conditional_entropy(denoiser, xt, alpha, process=of)._asdict().items():
            if cell.pad is not None:
                keep(model, f"entropy_{kind}_characters", mean_where(x0 != cell.pad, H))
            keep(model, f"entropy_{kind}", H.mean(axis=1))
            keep(model, f"entropy_{kind}_median", np.median(H, axis=1))
            keep(model, f"entropy_{kind}_above", (H > SURE).mean(axis=1))
    for (ideal, model), apart in _distances(denoisers, xt, alpha, of).items():
        keep(model, f"kl_{ideal}", apart)
    for model, back in restored.items():
        for name, values in recovery(x0, xt, back)._asdict().items():
            keep(model, name, values)
        if cell.pad is not None:
            changed = (xt != x0) & (x0 != cell.pad)
            keep(model, "recovery_characters", mean_where(changed, back == x0))
    return arrays


def _distances(
    denoisers: dict[str, Denoiser], xt: NDArray[np.int32], alpha: float, of: Process
) -> dict[tuple[str, str], NDArray[np.float64]]:
    """Mean KL(ideal ‖ trained) of each sequence's conditionals, in nats per token, (B,).

    In this direction it is finite: the ideals exclude values, what is trained excludes none.
    """
    trained = [model for model in denoisers if model in TRAINED]
    ideals = [model for model in denoisers if model not in TRAINED]
    apart = {(ideal, model): np.empty(len(xt)) for ideal in ideals for model in trained}
    for start in range(0, len(xt), _BATCH):
        part = xt[start : start + _BATCH]
        at = np.full(len(part), alpha)
        log = {name: of.leave_one_out(known, part, at) for name, known in denoisers.items()}
        for (ideal, model), values in apart.items():
            near = divergence(log[ideal], log[model])
            values[start : start + _BATCH] = near.mean(axis=1)
    return apart


def of_the_clean(
    cell: Cell, model: str, denoiser: Denoiser, split: str, x: NDArray[np.int32]
) -> Arrays:
    """Entropies of the clean sequences at t = 1e-5, and the bound; one value per sequence."""
    of, alpha = cell.process, float(SCHEDULE.alpha(T_END))
    entropies = conditional_entropy(denoiser, x, alpha, process=of)
    chance = generator(cell.settings.seed, f"bound {split}")
    bound = held_out_nelbo(denoiser, x, cell.vocab, SCHEDULE, chance, process=of)
    return {
        f"{model} {split} clean_entropy_loo": entropies.loo.mean(axis=1),
        f"{model} {split} clean_entropy_posterior": entropies.posterior.mean(axis=1),
        f"{model} {split} nelbo": bound,
    }


def own(cell: Cell, denoisers: dict[str, Denoiser]) -> Arrays:
    """Return what the subject generates and what returns to it, and the bounds by noise level."""
    subject = denoisers[cell.settings.subject]
    found = _samples(cell, subject)
    return found | _returning(cell, subject, found["samples"]) | _by_level(cell, denoisers)


def _samples(cell: Cell, denoiser: Denoiser) -> Arrays:
    """Generate two independent sets of sequences; entropies of the first at t = 1e-5 [T28]."""
    s, of, size = cell.settings, cell.process, (cell.training.shape[1], cell.vocab)
    chance = generator(s.seed, "samples")
    both = generate(denoiser, 2 * s.samples, *size, SCHEDULE, s.grid, chance, process=of)
    first, second = np.split(both, 2)
    alpha = float(SCHEDULE.alpha(T_END))
    entropies = conditional_entropy(denoiser, first, alpha, process=of)
    return {
        "samples": first,
        "second samples": second,
        "samples entropy_loo": entropies.loo.mean(axis=1),
        "samples entropy_posterior": entropies.posterior.mean(axis=1),
    }


def _returning(cell: Cell, denoiser: Denoiser, samples: NDArray[np.int32]) -> Arrays:
    """Return the entropies at t = 1e-5 of what returns from t, by sequence [T46].

    Of training sequences and of the model's own samples, corrupted to each t but 1, from where it
    is the samples themselves that return.
    """
    s, of, end = cell.settings, cell.process, float(SCHEDULE.alpha(T_END))
    found: Arrays = {}
    for kind, x in (("train", cell.training), ("samples", samples)):
        x0 = np.resize(x, (min(LOOKED_AT, s.sequences), x.shape[1]))
        for t in STARTS[:-1]:
            purpose = f"returning {kind} {t}"
            _, back = there_and_back(denoiser, x0, t, s.grid, of, s.seed, purpose)
            H = conditional_entropy(denoiser, back, end, process=of).loo
            found[f"returning {kind} {t} entropy_loo"] = H.mean(axis=1)
    return found


def _by_level(cell: Cell, denoisers: dict[str, Denoiser]) -> Arrays:
    """Return the parts of the bound between the starting times, (n, 5), the same draws for all."""
    s, of, edges = cell.settings, cell.process, (T_END, *STARTS)
    found: Arrays = {}
    for split, x in (("train", cell.training), ("test", cell.test)):
        x0 = np.resize(x, (min(LOOKED_AT, s.sequences), x.shape[1]))
        for model, denoiser in denoisers.items():
            chance = generator(s.seed, f"levels {split}")
            found[f"{model} {split} nelbo_by_level"] = nelbo_by_level(
                denoiser, x0, cell.vocab, SCHEDULE, chance, edges, process=of
            )
    return found
