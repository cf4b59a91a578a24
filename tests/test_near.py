"""How near a network comes to the ideal generaliser: pairs in the table, and what is judged."""

import numpy as np
import pytest

from experiments.kit.near import near
from experiments.kit.record import Record
from experiments.kit.settings import Settings
from experiments.kit.table import rows

SETTINGS = Settings(
    times=(0.1,), sequences=50, grid=8, steps=1, batch=2, lr=1e-3, width=8, blocks=1, heads=1,
    dropout=0.0, seed=0, models=("network", "source_ideal"),
)  # fmt: skip
BOUND, SHARE = range(2)


def table(seeds, fallen=0.05):
    """The table of a network that recovers `fallen` less than the ideal of every sequence."""
    known = np.random.default_rng(0).uniform(0.3, 1, (seeds, 50))
    known[:, 0] = np.nan  # nothing was corrupted
    arrays = {f"{model} {split} 0.1 recovery": values
              for model, values in (("source_ideal", known), ("network", known - fallen))
              for split in ("train", "test")}  # fmt: skip
    arrays |= {"steps": np.ones(seeds), "finished": np.zeros(seeds, bool)}
    return known, list(rows("toy", {4: arrays}, SETTINGS, None))


@pytest.mark.parametrize("seeds", [1, 3])
def test_the_share_of_the_ideal_has_no_noise_that_both_have(seeds):
    known, found = table(seeds)
    own = next(row for row in found if (row["model"], row["split"]) == ("network", "test"))
    share = 1 - 0.05 / np.nanmean(known)
    ends = [own[f"of_ideal{end}"] for end in ("", "_lo", "_hi")]
    assert ends == pytest.approx([share] * 3, abs=1e-12)
    assert own["recovery_hi"] - own["recovery_lo"] > 0.01
    assert all("of_ideal" not in row for row in found if row["model"] == "source_ideal")


def judged(excess, **entries):
    own = {"model": "network", "P": "4", "t": "0.1", "split": "test", "seeds": "3",
           "recovery": "0.5", "recovery_lo": "0.4", "recovery_hi": "0.6",
           "excess": str(excess), "excess_se": "0.001"}  # fmt: skip
    ideal = own | {"model": "source_ideal"}
    return near(Record({}, [own | entries, ideal]), "", "network", 4)


@pytest.mark.parametrize(
    ("excess", "word"),
    [(0.0156, "holds"), (0.0158, "open"), (0.0242, "open"), (0.0244, "does not hold")],
)
def test_a_bound_is_near_with_its_interval_of_three_seeds(excess, word):
    """Student's interval of three seeds is 4.303 standard errors wide on either side."""
    assert judged(excess)[BOUND].word == word


@pytest.mark.parametrize(
    ("ends", "word"),
    [((0.99, 0.98, 1.0), "holds"), ((0.99, 0.96, 1.02), "open"),
     ((0.9, 0.88, 0.92), "does not hold")],
)  # fmt: skip
def test_a_share_is_judged_by_the_pairs(ends, word):
    names = ("of_ideal", "of_ideal_lo", "of_ideal_hi")
    assert judged(0, **dict(zip(names, map(str, ends), strict=True)))[SHARE].word == word


def test_a_share_without_pairs_has_the_interval_of_the_recovery():
    verdict = judged(0)[SHARE]
    assert (verdict.word, verdict.number) == ("open", "a share of 1.00 (0.80 to 1.20) at t = 0.1")


def test_without_an_ideal_nothing_is_judged():
    assert near(Record({}, []), "", "network", 4) == []
