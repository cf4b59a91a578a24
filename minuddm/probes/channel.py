"""How much a token at noise α tells of the clean one: the capacity of the channel [T42].

    masked     C = α log V                                          an erasure channel
    uniform    C = log V + (1 - e) log(1 - e) + e log(e/(V - 1))    a symmetric one
               e = (1 - α)(1 - 1/V), the chance of a change [T5]

Both are one sentence: with uniform clean tokens, which by symmetry are the best code, C is the
divergence of what one clean value shows from what any shows. So another process needs no formula.
"""

import numpy as np
import scipy

from minuddm import checks
from minuddm.process import Process
from minuddm.process.uniform import information


def channel_capacity(process: Process, alpha: float) -> float:
    """Return C in nats per token, for a process to which all values of a token are alike."""
    shown = process.marginal(0, alpha)
    any_shows = process.propagate(np.full(process.V, 1 / process.V), alpha)
    some = any_shows > 0  # elsewhere `shown` is 0 too, or so small that its mean underflows
    shown, any_shows = shown[some], any_shows[some]
    return float((any_shows * information((shown - any_shows) / any_shows)).sum())


def alpha_of_capacity(process: Process, capacity: float) -> float:
    """Return the alpha in [0, 1] at which a token tells `capacity` nats of the clean one.

    So processes are compared at equal capacity instead of equal time. Raises `ValueError` unless
    the capacity lies in [0, log V].
    """
    most = float(np.log(process.V))
    if not 0 <= checks.finite(capacity, "capacity") <= most:
        raise ValueError(f"capacity must lie in [0, log V = {most:.6g}], got {capacity}")
    least, most = (channel_capacity(process, alpha) for alpha in (0.0, 1.0))  # 0 and log V, rounded

    def missing(alpha: float) -> float:
        return channel_capacity(process, alpha) - min(max(capacity, least), most)

    return float(scipy.optimize.brentq(missing, 0, 1, xtol=1e-300, maxiter=2000))
