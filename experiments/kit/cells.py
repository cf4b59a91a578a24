"""Cells: independent pieces of work, each with random draws, a process and a file of its own.

What a cell found depends on nothing but its task and the source code. One rule says when a
finished cell is valid: its file is named after both,

    name = hash(work, task, sources)    sources = minuddm, hopfield, experiments/kit, and the
                                        module in which the work is defined

so it does not matter who works on it, in which order, or whether the run was interrupted; what
another code or another configuration found is never taken for found, and the commit that a record
names is the one that made its numbers. The name stands in the file as well. One that is damaged, or
that was renamed, is told in a line and measured anew.
"""

import dataclasses
import hashlib
import io
import json
import sys
from collections.abc import Callable, Sequence
from functools import cache
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.kit.commandline import create
from experiments.kit.progress import watched
from experiments.kit.workers import Workers, WorkersError
from minuddm.files import write_atomically

ROOT = Path(__file__).parents[2]
SOURCES = (
    *("argument_checks.py", "machine_code.py"),
    *("minuddm/**/*.py", "hopfield/**/*.py", "experiments/kit/*.py"),
)

_NAME = "name of this cell"

Found = dict[str, NDArray[Any]]
Work = Callable[[Any], Found]


def each(
    work: Work, tasks: Sequence[Any], folder: Path, workers: Workers, trial: Any | None = None
) -> list[Found]:
    """Return what `work` finds for each task, a frozen dataclass, in the order of the tasks.

    The last tasks start first: put the long ones there. `trial` is a tiny task to be done before
    them, here: what it compiles is cached, and no worker has to compile it again.
    """
    create(folder)
    paths = [path(work, task, folder) for task in tasks]
    found = {k: piece for k, file in enumerate(paths) if (piece := _kept(file)) is not None}
    missing = [k for k in range(len(tasks)) if k not in found][::-1]
    if trial is not None and missing:
        work(trial)
    module = Path(work.__code__.co_filename)
    todo = workers.do(_keep, [(work, tasks[k], paths[k], module) for k in missing], ordered=False)
    for _ in watched(todo, len(missing), work.__name__):
        pass
    return [found[k] if k in found else _read(file) for k, file in enumerate(paths)]


def spread(
    work: Callable[..., Any], tasks: Sequence[tuple[Any, ...]], workers: Workers
) -> list[Any]:
    """Return what `work` finds for each tuple of arguments, in order; nothing is kept on disk."""
    return list(watched(workers.do(work, list(tasks)), len(tasks), work.__name__))


def grouped(tasks: Sequence[Any], found: Sequence[Found], *names: str) -> dict[Any, list[Found]]:
    """Return what was found by the fields of the tasks named: one value, or a tuple of several."""
    together: dict[Any, list[Found]] = {}
    for task, piece in zip(tasks, found, strict=True):
        together.setdefault(attrgetter(*names)(task), []).append(piece)
    return together


def path(work: Work, task: Any, folder: Path, module: Path | None = None) -> Path:
    """Return the file whose presence says that a cell is done: `label-hash.npz`.

    A task's `label`, where it has one, takes the place of the name of the work. `module` defines
    the work: to be given in a worker, to which work of the program itself comes without it.
    """
    module = module or Path(work.__code__.co_filename)
    name = fingerprint([work.__name__, task, sources(module)])
    return folder / f"{getattr(task, 'label', work.__name__)}-{name}.npz"


def fingerprint(content: Any) -> str:
    """Name what is made of dataclasses, arrays and what JSON knows.

    Fields of a dataclass that do not take part in comparisons are left out.
    """
    return hashlib.sha256(json.dumps(content, default=_described).encode()).hexdigest()[:16]


@cache
def sources(module: Path) -> str:
    """Name the source code that a cell of a module depends on."""
    digest = hashlib.sha256(module.read_bytes())
    for pattern in SOURCES:
        for file in sorted(ROOT.glob(pattern)):
            digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def _described(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        shown = {f.name: getattr(value, f.name) for f in dataclasses.fields(value) if f.compare}
        return [type(value).__name__, shown]
    if isinstance(value, np.ndarray):
        return [str(value.dtype), value.shape, hashlib.sha256(value.tobytes()).hexdigest()]
    raise TypeError(f"{type(value).__name__} cannot name a cell")


def _keep(work: Work, task: Any, file: Path, module: Path) -> None:
    if path(work, task, file.parent, module) != file:
        raise WorkersError("a worker runs other sources than this run: start the workers anew")
    content = io.BytesIO()
    np.savez_compressed(content, **work(task), **{_NAME: file.stem})  # type: ignore[arg-type]
    write_atomically(file, content.getvalue())


def _kept(file: Path) -> Found | None:
    """Return what a finished cell found; None, and a line about it, where it has to be measured."""
    try:
        return _read(file)
    except FileNotFoundError:
        return None
    except ValueError as error:
        print(f"{error}; it is measured anew", file=sys.stderr)
        return None


def _read(file: Path) -> Found:
    """Return what a cell found. Raises `ValueError` for a file that is damaged or another cell's.

    The parts of a zip file carry checksums, so a flipped bit is an error or of no consequence.
    """
    try:
        found = dict(np.load(io.BytesIO(file.read_bytes()), allow_pickle=False))
    except FileNotFoundError:
        raise
    except Exception as error:  # whatever the parsers of zip and npy raise
        raise ValueError(f"{file} is damaged ({error or type(error).__name__})") from None
    if (name := str(found.pop(_NAME, ""))) != file.stem:
        raise ValueError(f"{file} is not the cell of its name but {name or 'an unnamed one'}")
    return found
