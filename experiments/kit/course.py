"""A course of training: one run, looked at as it goes, until learning is over.

After its warm-up the rate stays (`minuddm.train`), so what is seen after k steps is what a run of k
steps would have left, and one run has all budgets. It is looked at after 500, 707, 1000, … steps,
√2 apart.

    over       since half as many steps no reading of the training set has changed by SLACK: .02
               of the recovery (a share), .02 nats per token of the bound; or by less, if asked
    finished   it was over before the cap on steps; else the cap stopped it

What was seen lies beside the checkpoint, whole or not at all, so an interrupted course goes on.
"""

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from experiments.kit.commandline import InputError
from minuddm import TrainConfig, Transformer
from minuddm.checks import Tokens
from minuddm.files import write_atomically
from minuddm.train import Trained, train

FIRST = 500  # steps before the first look
SLACK = 0.02
EARLIEST = 2000  # steps: before them nothing is over, however still it is

Seen = dict[str, NDArray[Any]]
Look = Callable[[Transformer], Mapping[str, Any]]
Over = Callable[[Sequence[int], Sequence[Mapping[str, Any]]], bool]


def looks(cap: int, first: int = FIRST) -> tuple[int, ...]:
    """Return the steps after which a run of at most `cap` steps is looked at, √2 apart."""
    number = int(np.ceil(2 * np.log2(max(cap / first, 1))))
    return (*(round(first * 2 ** (k / 2)) for k in range(number)), cap)


def over(steps: Sequence[int], seen: Sequence[Mapping[str, Any]], slack: float = SLACK) -> bool:
    """Return whether learning is over: "train recovery" and "train bound" stand still (above)."""
    return all(
        still(steps, [float(np.nanmean(row[name])) for row in seen], slack)
        for name in ("train recovery", "train bound")
    )


def still(steps: ArrayLike, values: ArrayLike, slack: float = SLACK) -> bool:
    """Return whether, since half as many steps, a quantity has changed by less than `slack`."""
    at, seen = np.asarray(steps), np.asarray(values)
    if at[-1] < EARLIEST or 2 * at[0] > at[-1]:
        return False
    return bool(np.ptp(seen[2 * at >= at[-1]]) < slack)


def told(finished: Mapping[int, Sequence[bool]]) -> str:
    """Say of how many networks learning was over, given by P, and at which P it was not."""
    every = [done for networks in finished.values() for done in networks]
    if not every:
        return ""
    capped = ", ".join(str(P) for P, networks in finished.items() if not all(networks))
    said = f" Learning was over in {sum(every)} of {len(every)} networks"
    return f"{said}; the cap on steps stopped some at P = {capped}." if capped else f"{said}."


def follow(
    model: Transformer,
    tokens: Tokens,
    config: TrainConfig,
    look: Look,
    *,
    over: Over = over,
    first: int = FIRST,
    checkpoint: Path | None = None,
    **options: Any,
) -> tuple[Trained, Seen]:
    """Train until learning is over, or to `config.steps`; return the run and what was seen.

    That is one row a look of every quantity that `look` returns, besides "steps" and, for the
    whole, "finished". Raises `InputError` for a checkpoint that is damaged or of something else,
    and for a loss that diverged.
    """
    beside = None if checkpoint is None else checkpoint.with_suffix(".looks.npz")
    seen = {} if beside is None or not beside.exists() else _read(beside)

    def probe(step: int, network: Transformer) -> bool:
        seen[step] = dict(look(network))
        if beside is not None:
            _write(beside, seen)
        return over(*_until(seen, step))

    at = looks(config.steps, first)
    ends = next((k for k in sorted(seen) if over(*_until(seen, k))), config.steps)
    config = replace(config, steps=ends)
    kept: dict[str, Any] = {"checkpoint": checkpoint, "probe": probe, "probe_at": at}
    try:
        trained = train(model, tokens, config, **kept, **options)
    except (ValueError, FloatingPointError) as error:
        raise InputError(str(error)) from error
    steps, rows = _until(seen, len(trained.losses))
    if steps != [step for step in at if step <= len(trained.losses)]:
        raise InputError(f"{checkpoint} has gone further than {beside}; remove both to begin anew")
    return trained, {
        "steps": np.array(steps),
        "finished": np.array(over(steps, rows)),
        **{name: np.stack([row[name] for row in rows]) for name in rows[0]},
    }


def _until(seen: dict[int, dict[str, Any]], last: int) -> tuple[list[int], list[dict[str, Any]]]:
    steps = sorted(step for step in seen if step <= last)
    return steps, [seen[step] for step in steps]


def _write(path: Path, seen: Mapping[int, Mapping[str, Any]]) -> None:
    content = io.BytesIO()
    named = {f"{step} {name}": x for step, row in seen.items() for name, x in row.items()}
    np.savez_compressed(content, **named)
    write_atomically(path, content.getvalue())


def _read(path: Path) -> dict[int, dict[str, Any]]:
    seen: dict[int, dict[str, Any]] = {}
    try:
        file = np.load(io.BytesIO(path.read_bytes()), allow_pickle=False)
        for key, values in file.items():
            step, name = key.split(" ", 1)
            seen.setdefault(int(step), {})[name] = values
    except Exception as error:  # whatever the parsers of zip and npy raise
        raise InputError(f"{path} is damaged ({error}); remove it and its checkpoint") from None
    return seen
