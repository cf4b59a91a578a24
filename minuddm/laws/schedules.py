"""The laws of a noise schedule: α and its own α' as one value [T6].

A subject has alpha(t) and dalpha(t), for times (...) in [0, 1], and may have time(alpha), the
inverse of the first.
"""

from typing import Any

import numpy as np
from hypothesis import strategies as st

from minuddm.laws.law import holds, law, rounding, same, ulp

times = st.sampled_from([0.5, 0.0, 1.0]) | st.floats(0, 1)
inner_times = st.sampled_from([0.5, 0.01, 0.99]) | st.floats(0.01, 0.99)


@law("[T6]", "alpha")
def starts_whole(schedule: Any) -> None:
    """α(0) = 1, to the last bit: nothing is forgotten yet."""
    same(schedule.alpha(0.0), 1.0, 0, "α(0)")


@law("[T6]", "alpha", s=times, t=times)
def forgets_only(schedule: Any, s: float, t: float) -> None:
    """0 ≤ α(t) < α(s) for s < t: nothing is remembered again.

    Strictly so between the thousandths of the unit interval.
    """
    first, last = (np.asarray(schedule.alpha(time)) for time in (min(s, t), max(s, t)))
    holds((last >= 0) & (first >= last), f"0 ≤ α(t) ≤ α(s), α = {first}, {last}")
    grid = np.asarray(schedule.alpha(np.linspace(0, 1, 1001)))
    holds(np.diff(grid) < 0, "α(t) < α(s)")


@law("[T6]", "alpha dalpha", t=inner_times)
def derivative(schedule: Any, t: float) -> None:
    """`dalpha` is the derivative of α.

    Central differences over h, h³ an ulp: right to 8 h² for third derivatives below 40.
    """
    eps = ulp(np.asarray(schedule.alpha(t)))
    h = eps ** (1 / 3)
    ahead, behind = (np.asarray(schedule.alpha(t + s * h), dtype=np.float64) for s in (1, -1))
    slope, size = (ahead - behind) / (2 * h), eps ** (2 / 3)
    same(schedule.dalpha(t), slope, 8 * size * (1 + abs(slope)), "α'(t)")


@law("[T6]", "alpha time", t=times)
def inverse(schedule: Any, t: float) -> None:
    """α(time(α)) = α, for every α that is reached."""
    alpha = np.asarray(schedule.alpha(t))
    same(schedule.alpha(schedule.time(alpha)), alpha, rounding(1, alpha), "α(time(α))")
