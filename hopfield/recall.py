"""Recall: sites change until nothing does, in any memory with a finite set of states.

    asynchronous   one site at a time, in order or in a random order drawn anew for every query and
                   sweep; where there is an energy it never rises
    synchronous    all sites at once; the end is a fixed point or a 2-cycle
    gibbs          every site in turn drawn from its law given the others

A sweep visits every site once. The loops over sites are the memory's own (`hopfield.walks` for the
dense ones); here is what all memories share: when a query is done, and what is recorded of it.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

import argument_checks as checks

Tokens = NDArray[np.int32]
Unsigned = NDArray[np.unsignedinteger[Any]]
Bools = NDArray[np.bool_]
Sites = NDArray[np.int64]
Floats = NDArray[np.float64]
ROUNDING = 2.3e-16
"""Of one addition, twice 2⁻⁵³ and a little; sums closer than their rounding tie."""


class Recall(NamedTuple):
    """The outcome of a recall of B queries.

    state (B, …) is where each query ended; energies (B, S + 1) its energy before the first sweep
    and after each, held at its last value once nothing changes; steps (B,) the sweeps that changed
    something; converged (B,) whether a whole sweep changed nothing.
    """

    state: NDArray[Any]
    energies: NDArray[np.float64]
    steps: NDArray[np.int64]
    converged: NDArray[np.bool_]

    @property
    def cycling(self) -> Bools:
        """Whether a synchronous recall (B,) ended in a 2-cycle; `steps` are those to enter it."""
        return np.asarray(~self.converged & (self.steps < self.energies.shape[1] - 1))


def asynchronous(
    state: NDArray[Any],
    energies: Floats,
    sweep: Callable[[Sites, Sites], tuple[Bools, Floats]],
    rng: Generator | None,
    max_sweeps: int,
) -> Recall:
    """Descend in place from `state` (B, L), with energies (B,), by sweeps over single sites.

    `sweep(active, order)` changes the queries active (A,), visiting sites in order (A, L), and
    returns for each whether it changed, and its energy.
    """
    checks.count(max_sweeps, "max_sweeps")
    if rng is not None:
        checks.generator(rng)
    B, L = state.shape
    active = np.arange(B)
    order = np.tile(np.arange(L), (B, 1))
    trace, steps = [energies], np.zeros(B, np.int64)
    while len(active) and len(trace) <= max_sweeps:
        if rng is not None:
            rng.permuted(order, axis=1, out=order)
        changed, after = sweep(active, order[active])
        trace.append(trace[-1].copy())
        trace[-1][active] = after
        steps[active[changed]] += 1
        active = active[changed]
    converged = np.ones(B, np.bool_)
    converged[active] = False
    return Recall(state, np.stack(trace, axis=1), steps, converged)


def synchronous(
    state: NDArray[Any],
    update: Callable[[NDArray[Any]], tuple[NDArray[Any], Floats]],
    max_sweeps: int,
) -> Recall:
    """Iterate `update`, states (A, L) → (the next states, energies of those given), to its end.

    The end is a fixed point or a 2-cycle; of a cycle, the state visited second is returned.
    """
    checks.count(max_sweeps, "max_sweeps")
    B = len(state)
    now, active, steps = state.copy(), np.arange(B), np.zeros(B, np.int64)
    before = np.full_like(now, -2)  # no state
    following, energies = update(now)
    trace, converged = [energies], np.zeros(B, np.bool_)
    for sweep in range(1, max_sweeps + 1):
        moved = (following != now[active]).any(axis=1)
        cycle = moved & (following == before[active]).all(axis=1)
        converged[active[~moved]] = True
        steps[active[cycle]] -= 1  # the cycle was entered one step before
        active, following = active[moved & ~cycle], following[moved & ~cycle]
        if len(active) == 0:
            break
        before[active], now[active] = now[active], following
        steps[active] = sweep
        following, after = update(following)
        trace.append(trace[-1].copy())
        trace[-1][active] = after
    else:
        converged[active[(following == now[active]).all(axis=1)]] = True
    return Recall(now, np.stack(trace, axis=1), steps, converged)


def gibbs(
    state: NDArray[Any],
    energy: Callable[[], Floats],
    draw: Callable[[Floats], None],
    rng: Generator,
    sweeps: int,
) -> Recall:
    """Draw every site of `state` (B, L) from its heat bath, in place, `sweeps` times.

    `draw(u)` sets each site by its uniform u (B, L); energies, (B,) of the state now, may rise.
    `steps` are the sweeps that changed something, `converged` says that the last did not.
    """
    checks.count(sweeps, "sweeps")
    checks.generator(rng)
    trace, steps = [energy()], np.zeros(len(state), np.int64)
    moved = np.zeros(len(state), np.bool_)
    for _ in range(sweeps):
        before = state.copy()
        draw(rng.random(state.shape))
        moved = (state != before).any(axis=1)
        steps += moved
        trace.append(energy())
    return Recall(state, np.stack(trace, axis=1), steps, ~moved)
