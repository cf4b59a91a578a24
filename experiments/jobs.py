"""Independent pieces of work: each with random draws, a process and a file of its own.

What a piece found depends on nothing but its task and the source code, so it does not matter who
works on it, in which order, or whether the run was interrupted: what is finished lies in
`cells/` under a name made of the task and the code, and is never computed again.
"""

import dataclasses
import hashlib
import json
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.random import Generator, Philox
from tqdm import tqdm

from experiments.workers import Workers
from minuddm.files import write_atomically

ROOT = Path(__file__).parents[1]
PACKAGES = ("minuddm", "hopfield", "experiments")

Found = dict[str, Any]


def generator(seed: int, purpose: str) -> Generator:
    """Return a generator of its own for each purpose: no draw depends on another."""
    word = int.from_bytes(hashlib.sha256(purpose.encode()).digest()[:8], "little")
    return Generator(Philox(key=np.array([seed, word], dtype=np.uint64)))


def each(
    work: Callable[[Any], Found],
    tasks: Sequence[Any],
    out: Path,
    workers: Workers,
    *,
    quiet: bool,
    trial: Any | None = None,
) -> list[Found]:
    """Return what `work` finds for each task, a frozen dataclass, in the order of the tasks.

    `work` returns what JSON can hold. The last tasks start first: put the long ones there. `trial`
    is a tiny task to be done before them, here: what it compiles is cached, and no worker has to
    compile it again.
    """
    folder = out / "cells"
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{work.__name__}-{_name(work, task)}.json" for task in tasks]
    missing = [k for k, path in enumerate(paths) if not path.exists()][::-1]
    if trial is not None and missing:
        work(trial)
    todo = workers.do(_keep, [(work, tasks[k], paths[k]) for k in missing], ordered=False)
    for _ in tqdm(todo, total=len(missing), desc=work.__name__, disable=True if quiet else None):
        pass
    return [json.loads(path.read_text()) for path in paths]


def spread(
    work: Callable[..., Any], arguments: Sequence[tuple[Any, ...]], workers: Workers, *, quiet: bool
) -> list[Any]:
    """Return what `work` finds for each tuple of arguments, in order; nothing is kept on disk."""
    todo = workers.do(work, list(arguments))
    disable = True if quiet else None
    return list(tqdm(todo, total=len(arguments), desc=work.__name__, disable=disable))


def _keep(work: Callable[[Any], Found], task: Any, path: Path) -> None:
    write_atomically(path, json.dumps(work(task)).encode())


def _name(work: Callable[[Any], Found], task: Any) -> str:
    described = json.dumps([work.__module__, work.__name__, dataclasses.asdict(task), _code()])
    return hashlib.sha256(described.encode()).hexdigest()[:16]


@cache
def _code() -> str:
    """Name the source code: what was found with another one is not taken for found."""
    digest = hashlib.sha256()
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()
