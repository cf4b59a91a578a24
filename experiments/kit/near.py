"""How near one network comes to the ideal generaliser, on unseen sequences of a known source.

No network beats the ideal on average. One that has learnt the source has its bound within BOUND
nats per token of the entropy, and recovers RECOVERY of what the ideal does from every t: of the
same corrupted sequences with the same chances, so that what both owe to chance is no difference.
"""

from collections.abc import Mapping
from typing import Any

from scipy.special import stdtrit

from experiments.kit.experiment import Verdict
from experiments.kit.intervals import above, headers, over_seeds, spread
from experiments.kit.record import Record
from minuddm.probes import Interval

BOUND, RECOVERY = 0.02, 0.97


def near(record: Record, about: str, subject: str, P: int) -> list[Verdict]:
    """Judge the bound and the recovery of the network that learnt P sequences."""
    network, ideal = (
        record.rows(model=model, P=P, split="test") for model in (subject, "source_ideal")
    )
    if not ideal:
        return []
    excess, wide = float(network[0]["excess"]), half(network[0])
    shares = [_share(*rows) for rows in zip(network, ideal, strict=True)]
    return [
        Verdict(
            f"{about}at P = {P} the bound on unseen sequences lies within {BOUND} nats per "
            "token of the source's entropy",
            f"{excess:.3f} ± {wide:.3f} above it",
            (above((-excess, -excess - wide, -excess + wide), -BOUND),),
        ),
        Verdict(
            f"{about}at P = {P} recovery reaches {RECOVERY:.0%} of the ideal generaliser's",
            f"a share of {', '.join(map(spread, shares))} "
            f"at t = {', '.join(row['t'] for row in ideal)}",
            tuple(above(share, RECOVERY) for share in shares),
        ),
    ]


def half(row: Mapping[str, Any]) -> float:
    """Return the half-width of the interval of a bound's excess, over several seeds Student's."""
    seeds = int(row["seeds"])
    return float(row["excess_se"]) * (float(stdtrit(seeds - 1, 0.975)) if seeds > 1 else 2.0)


def _share(own: Mapping[str, Any], ideal: Mapping[str, Any]) -> Interval:
    """Return the share of the ideal's recovery; of a record without it, as if that were known."""
    if own.get("of_ideal"):
        return over_seeds([own], "of_ideal")
    whole = float(ideal["recovery"])
    return Interval(*(float(own[end]) / whole for end in headers(["recovery"])))
