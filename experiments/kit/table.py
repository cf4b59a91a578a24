"""From measured cells to the table: one row per model × P × t × split, with intervals.

The bound's excess over the entropy of a known source is measured against the ideal generaliser on
the same draws: its bound has exactly that entropy for its mean, so the difference, sequence by
sequence, has the same mean and far less noise. So has the share of its recovery, on the same
corrupted sequences with the same chances.
"""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from experiments.kit.draws import generator
from experiments.kit.intervals import columns, headers
from experiments.kit.means import mean_known
from experiments.kit.settings import SPLITS, Arrays, Settings
from minuddm.probes import Interval, mean_interval

Values = NDArray[np.float64]

COLUMNS = [
    *("data", "model", "P", "t", "split", "seeds", "n"),
    *headers(["recovery", "of_ideal"]), *("recovery_characters", "unstable", "exact"),
    *headers(["entropy_loo"]), "entropy_loo_characters", "entropy_loo_median",
    *("entropy_loo_above", "entropy_posterior", "entropy_posterior_median"),
    *("entropy_posterior_above", "clean_entropy_loo", "clean_entropy_posterior"),
    *("nelbo", "nelbo_se", "excess", "excess_se"),
    *headers(["kl_dataset_ideal", "kl_source_ideal"]), *("steps", "finished"),
]  # fmt: skip
"""Entropies are those of the corrupted sequences at the row's t, `clean_` ones of the clean
sequences at t = 1e-5 [T28]; `median` is the mean of the medians of sequences, `above` the share of
tokens above 0.1 nat; all count the padding of lines but those of `characters`. The bound has no t;
its `excess` is over the entropy of the source; `of_ideal` is the share of the ideal generaliser's
recovery. `kl_` is KL(ideal ‖ trained) between conditionals of the corrupted sequences, in nats per
token. `n` is the number of sequences a seed; `steps` the mean number of training steps, and
`finished` the share of the seeds whose networks stopped because learning was over
(`kit/course.py`)."""
_INTERVALS = ("entropy_loo", "kl_dataset_ideal", "kl_source_ideal")


def rows(
    name: str, cells: dict[int, Arrays], settings: Settings, entropy: float | None
) -> Iterator[dict[str, Any]]:
    """Yield the table's rows: model × P × t × split, over all seeds (S, n).

    `entropy` is the source's, if it is known.
    """
    for P, arrays in cells.items():
        for model, split, t in itertools.product(settings.models, SPLITS, settings.times):
            rng = generator(settings.seed, f"bootstrap {model} {P} {split} {t}")
            recovered = arrays[f"{model} {split} {t} recovery"]
            row = {"data": name, "model": model, "P": P, "t": t, "split": split}
            row |= {"seeds": len(recovered), "n": recovered.shape[1]}
            row |= columns("recovery", mean_interval(recovered, rng))
            known = arrays.get(f"source_ideal {split} {t} recovery")
            if known is not None and model != "source_ideal":
                row |= columns("of_ideal", _share(recovered, known, rng))
            if model == "network":
                row |= {name: float(arrays[name].mean()) for name in ("steps", "finished")}
            for column in COLUMNS:  # the energy descent has no conditionals, hence fewer of them
                values = arrays.get(
                    f"{model} {split} {t} {column}", arrays.get(f"{model} {split} {column}")
                )
                if column in row or values is None:
                    continue
                if column in _INTERVALS:
                    row |= columns(column, mean_interval(values, rng))
                else:
                    row[column] = float(mean_known(values.ravel()))
            yield row | _bound_columns(arrays, model, split, entropy)


def _share(recovered: Values, known: Values, rng: Generator) -> Interval:
    """Return recovery (S, n) as a share of the ideal's, by differences on the same sequences."""
    apart, whole = mean_interval(recovered - known, rng), np.nanmean(known)
    return Interval(*(float(1 + end / whole) for end in apart))


def _bound_columns(
    arrays: Arrays, model: str, split: str, entropy: float | None
) -> dict[str, float]:
    """Return standard errors, and the bound's excess over the source's entropy.

    The ideal generaliser's bound has exactly that entropy for its mean and was measured with the
    same draws, so subtracting it, sequence by sequence, removes most of the noise.
    """
    bound = arrays.get(f"{model} {split} nelbo")
    if bound is None or not np.isfinite(bound).all():
        return {}
    row = {"nelbo_se": _standard_error(bound)}
    if entropy is not None:
        baseline = arrays.get(f"source_ideal {split} nelbo", entropy)
        if model == "source_ideal":
            baseline = entropy
        row |= {
            "excess": float((bound - baseline).mean()),
            "excess_se": _standard_error(bound - baseline),
        }
    return row


def _standard_error(values: Values) -> float:
    """Of the mean of values (S, n): between seeds, or between the sequences of one."""
    if len(values) == 1:
        return float(values.std() / np.sqrt(values.size))
    return float(values.mean(axis=1).std(ddof=1) / np.sqrt(len(values)))


def matching(table: Sequence[Mapping[str, Any]], **wanted: Any) -> list[Mapping[str, Any]]:
    """Return the rows, of a run or of a record, that have these entries."""
    return [r for r in table if all(str(r.get(k, "")) == str(v) for k, v in wanted.items())]


def gaps(table: list[dict[str, Any]], t: float, model: str) -> str:
    """Return, per P, what separates a trained model from both ideals, as a table to print."""
    of = {(r["P"], r["split"]): r for r in table if r["t"] == t and r["model"] == model}
    names = ("excess", "kl_dataset_ideal", "kl_source_ideal")
    titles = ("bound - entropy (nats/token)", "KL(memoriser ‖ net)", "KL(generaliser ‖ net)")
    lines = [
        [str(P), *(f"{of[P, split][name]:.3f}" for name in names for split in SPLITS)]
        for P in sorted({P for P, _ in of})
    ]
    both = [word for title in titles for word in (f"{title}, training", "unseen")]
    return printed(["P", *both], lines, "r" * 7)


def printed(titles: Sequence[str], rows: Iterable[Sequence[str]], align: str = "") -> str:
    """Return a table to be read; `align` has an l or r for each column."""
    sides = [":" if side == "r" else "" for side in align.ljust(len(titles))]
    lines = [titles, [f"---{side}" for side in sides], *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |"
                     for line in lines)  # fmt: skip
