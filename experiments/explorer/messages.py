"""What the page asks and what it is told, as JSON.

    data      the runs that can be chosen, and sequences of each; on an exported page all answers
    request   {"run": 0, "clean": [L tokens], "shown": [L tokens] or null, "t": 0.25, "seed": 0}
    answer    {"shown": [L tokens], "restorings": [a `Restoring` each]}

A request comes from anywhere, so all of it is checked: `TypeError` or `ValueError`, with one line
that names the value and what is allowed. Where `shown` is null, `clean` is corrupted at t.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.explorer.runs import Restoring, Subject, corrupted, restorings
from experiments.kit.settings import PROCESSES
from minuddm import checks
from minuddm.checks import Tokens
from minuddm.command.arguments import SOONEST

KEYS = ("run", "clean", "shown", "t", "seed")
SOURCES = ("training", "unseen")
OFFERED = 20  # sequences of each source
RECORDED = 2  # of these, on an exported page
_SEEDS = 2**53  # whole numbers that JavaScript knows
_SHOWN = 60  # characters of a wrong value


def data(subjects: Sequence[Subject]) -> dict[str, Any]:
    """Return what a served page needs to know."""
    return {"runs": [_run(subject, OFFERED) for subject in subjects], "recorded": None}


def recorded(subjects: Sequence[Subject], times: Sequence[float], grid: int) -> dict[str, Any]:
    """Return what a page needs that has no server: the answers to all that can be asked there."""
    runs = [_run(subject, RECORDED) for subject in subjects]
    answers = list(_answers(subjects, runs, times, grid))
    return {"runs": runs, "recorded": answers, "times": list(times)}


def _answers(
    subjects: Sequence[Subject], runs: list[dict[str, Any]], times: Sequence[float], grid: int
) -> Iterator[dict[str, Any]]:
    for k, run in enumerate(runs):
        for source in SOURCES:
            for number, clean in enumerate(run[source]):
                for t in times:
                    request = {"run": k, "clean": clean, "shown": None, "t": t, "seed": number}
                    where = {"run": k, "source": source, "number": number, "t": t}
                    yield where | answer(request, subjects, grid)


def answer(request: Any, subjects: Sequence[Subject], grid: int) -> dict[str, Any]:
    """Return the answer to a request. Raises `TypeError` or `ValueError` for a wrong one."""
    subject, clean, shown, t, seed = _checked(request, subjects)
    if shown is None:
        shown = corrupted(subject, clean, t, seed)
    found = restorings(subject, shown, t, grid, seed)
    return {"shown": shown.tolist(), "restorings": [_described(one) for one in found]}


def _checked(
    request: Any, subjects: Sequence[Subject]
) -> tuple[Subject, Tokens, Tokens | None, float, int]:
    """Return subject, clean tokens (L,), corrupted ones or None, time and seed."""
    if not isinstance(request, dict) or request.keys() != set(KEYS):
        raise ValueError(f"a request is an object of {', '.join(KEYS)}, got {_short(request)}")
    run = checks.count(request["run"], "run", 0)
    if run >= len(subjects):
        raise ValueError(f"run must lie in 0 … {len(subjects) - 1}, got {_short(run)}")
    subject = subjects[run]
    clean = _tokens(request["clean"], subject.process.V, "clean", subject.L)
    shown = request["shown"]
    if shown is not None:
        shown = _tokens(shown, subject.process.states, "shown", subject.L)
    t = request["t"]
    if isinstance(t, bool) or not isinstance(t, int | float) or not SOONEST <= t <= 1:
        raise ValueError(f"t must lie in [{SOONEST}, 1], got {_short(t)}")
    seed = checks.count(request["seed"], "seed", 0)
    if seed >= _SEEDS:
        raise ValueError(f"seed must be below 2^53, got {_short(seed)}")
    return subject, clean, shown, float(t), seed


def _tokens(value: Any, states: int, name: str, L: int) -> Tokens:
    if not isinstance(value, list) or any(type(token) is not int for token in value):
        raise TypeError(f"{name} must be a list of whole numbers, got {_short(value)}")
    outside = [token for token in value if not 0 <= token < states]
    if outside:
        raise ValueError(f"{name} must lie in 0 … {states - 1}, got {_short(outside[0])}")
    [tokens] = checks.tokens(np.array([value], np.int32), states, name, 2, L)
    return np.asarray(tokens)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _run(subject: Subject, n: int) -> dict[str, Any]:
    """Return what a page knows of a network, with up to n sequences of each source."""
    V = subject.process.V
    [process] = [name for name, make in PROCESSES.items() if make(V) == subject.process]
    sequences = {"training": subject.training, "unseen": subject.unseen}
    return {
        "name": subject.name,
        "process": process,
        "alphabet": list(subject.alphabet),
        "length": subject.L,
        "pad": subject.pad,
        **{name: [] if x is None else x[:n].tolist() for name, x in sequences.items()},
    }


def _described(one: Restoring) -> dict[str, Any]:
    """Return a restoring with as many digits as are shown; no cost is null, and so is ∞."""
    return {
        "model": one.model,
        "times": _rounded(one.times, 4),
        "tokens": one.tokens.tolist(),
        "entropy": [_rounded(row, 3) for row in one.entropy],
        "cost": _rounded(one.cost, 4),
    }


def _rounded(values: NDArray[np.float64], digits: int) -> list[float | None]:
    return [round(x, digits) if np.isfinite(x) else None for x in values.tolist()]
