"""Phase diagrams: what is read off known lines, seed by seed, and a tiny run's record."""

import json
from statistics import median

import numpy as np
import pytest

from experiments import phase_diagram, recipe
from experiments.kit import commandline
from experiments.kit.experiment import OPEN
from experiments.kit.phases import (
    ENTROPIES,
    dates,
    generalises_first,
    lines_of,
    mean,
    misfit,
    power,
    readings,
    summary,
    times,
    timetable,
    until,
)
from experiments.kit.record import Record
from experiments.kit.trials import reached, share, within

STEPS = np.array([500.0, 1000, 2000, 4000, 8000])


def test_a_known_power_is_found():
    P = np.repeat([16.0, 64.0, 256.0], 4)
    noise = np.exp(0.1 * np.random.default_rng(0).normal(size=12))
    fit = power(P, 3 * P**1.0 * noise)
    assert fit.low < 1 < fit.high
    assert fit.high - fit.low < 0.2
    assert np.isnan(power(P[:4], P[:4])).all()
    assert power(P, np.where(P == 256, np.nan, 3 * P)) == pytest.approx([1, 1, 1])


def test_points_beside_a_power_are_found():
    W = np.array([1.0, 2, 4, 8])
    assert misfit(W, 3 * W**1.5) == pytest.approx(1)
    assert misfit(W, 3 * W**1.5 * [1, 2, 2, 1]) == pytest.approx(2**0.5)
    assert np.isnan(misfit(W, [1, 2, np.nan, 3]))


def line(tau, best=2000):
    """Recovery that passes .9 after tau steps, linear in log steps; unseen, largest at `best`."""
    train = np.clip(0.9 + 0.2 * np.log(STEPS / tau), 0, 1)
    test = 0.5 - 0.1 * np.abs(np.log(STEPS / best))
    return {"steps": STEPS, "train_recovery": train, "test_recovery": test,
            **dict.fromkeys(ENTROPIES, STEPS)}  # fmt: skip


def test_a_line_is_read():
    found = readings(line(1500.0))
    assert found.remembers == pytest.approx(1500)
    assert (found.best, found.largest, found.kept) == (2000, 0.5, 1.0)
    assert found.lost == pytest.approx(0.1 * np.log(4))
    assert np.isnan(readings(line(1e6)).remembers)


def test_every_seed_is_read_by_itself():
    """Times P^1 and P^1.2: the power is their mean, with Student's interval of two."""
    of = {P: [line(50.0 * P), line(50.0 * P**1.2)] for P in (16, 32, 64, 1024)}
    found = summary(of)
    assert found.power.value == pytest.approx(1.1)
    assert found.power.high - found.power.value == pytest.approx(12.706 * 0.1, rel=1e-3)
    assert found.remembers[16] == pytest.approx((50 * 16 + 50 * 16**1.2) / 2)
    assert np.isnan(found.remembers[1024])
    assert 64 < found.limit.value < 1024
    assert found.limit.low < found.limit.value < found.limit.high


def test_one_seed_has_the_interval_of_its_line_and_none_of_its_limit():
    rng = np.random.default_rng(0)  # 1 in 20 seeds would leave 1 out
    found = summary({P: [line(50.0 * P * np.exp(0.05 * rng.normal()))] for P in (16, 32, 64, 128)})
    assert found.power.low < 1 < found.power.high
    assert np.isnan(found.limit.low)
    assert np.isinf(summary({P: [line(600.0)] for P in (16, 32)}).limit.value)  # all is remembered


def test_a_seed_without_a_limit_leaves_its_interval_open():
    found = summary({P: [line(50.0 * P), line(600.0), line(60.0 * P)] for P in (16, 64, 1024)})
    assert 64 < found.limit.low <= found.limit.value < 1024
    assert np.isinf(found.limit.high)
    assert found.limited is None
    assert np.isnan(found.power.high - found.power.low)


def test_a_limit_after_fewer_steps_is_that_of_a_shorter_training():
    """Time P² for each doubling of .9 + .2 log: the limit doubles when the steps are fourfold."""
    of = {P: [line(4.0 * P**2)] for P in (4, 8, 16, 32, 64, 128)}
    limits = [summary(until(of, steps)).limit.value for steps in (500, 2000, 8000)]
    assert np.divide(limits[1:], limits[:-1]) == pytest.approx([2, 2])
    assert [len(x) for x in until(of, 2500)[4][0].values()] == len(of[4][0]) * [3]


def test_a_timetable_tells_what_most_seeds_do_and_means_at_the_end():
    few, many = timetable({16: [line(700.0), line(900.0), line(1e5)],
                           64: [line(700.0), line(1e5), line(1e5)]})  # fmt: skip
    assert (few.P, many.P) == (16, 64)
    assert few.remembers == pytest.approx(900)
    assert np.isinf(many.remembers)
    assert (few.best, few.largest) == (2000, 0.5)
    assert few.test == pytest.approx(0.5 - 0.1 * np.log(4))
    assert (few.still, many.still) == (2, 1)  # 1.0 of 700 and 900 from 4000 steps on; 1e5 rises
    last = 0.9 + 0.2 * np.log(8000 / 1e5)
    assert (few.train, many.train) == pytest.approx(((2 + last) / 3, (1 + 2 * last) / 3))


def test_times_of_generalisation_and_memory_are_read_between_looks():
    steps = [10, 100, 1000, 10_000]
    train, test = [0.1, 0.5, 0.5, 0.9], [0.1, 0.5, 0.5, 0.4]
    generalises, remembers = times(steps, train, test)
    # .45 of .5 lies 7/8 of the way from .1 to .5; the gap .1 a fifth of that from 0 to .5
    assert generalises == pytest.approx(10 ** (1 + 7 / 8))
    assert remembers == pytest.approx(10 ** (3 + 1 / 5))
    assert np.isnan(times(steps, test, test)[1])


def test_dates_are_read_off_means_of_three_looks():
    """A gap of .2 in one look alone dates nothing; one that stays passes .1 in the means."""
    steps, flat = np.array([1.0, 2, 4, 8, 16, 32]), np.full(6, 0.5)
    once = flat + 0.2 * (steps == 2)
    stays = once + 0.3 * (steps > 4)

    def of(train):
        return dates({"steps": steps, "train_recovery": train, "test_recovery": flat})

    assert np.isfinite(times(steps, once, flat)[1])
    assert np.isnan(of(once)[1])
    assert of(stays)[1] == pytest.approx(2 ** (1 + 1 / 3))  # from .2/3 at 2 to (.2 + .3)/3 at 4
    short = {"steps": steps[:2], "train_recovery": stays[:2], "test_recovery": flat[:2]}
    assert np.isnan(dates(short)).all()


def test_memory_that_never_came_came_later():
    tau = np.array([[100, 50], [100, 200], [100, np.nan], [np.nan, np.nan]])
    assert generalises_first(tau) == 0.75
    assert np.isnan(generalises_first(tau[3:]))


def test_seconds_are_read_of_every_seed_and_told_by_the_middle_one():
    rows = [{"trial": "one", "seed": seed, "seconds": s, "train_recovery": r}
            for seed, last in enumerate((1.0, 0.95, 0.8))
            for s, r in ((10, 0.5), (40, last))]  # fmt: skip
    found = reached(rows, ["one"], 0.9)["one"]
    assert found == pytest.approx([10 * 4**0.8, 10 * 4 ** (0.4 / 0.45), np.inf])
    assert median(found) == found[1]
    assert median(found[1:]) == np.inf


def test_a_time_that_never_came_bounds_a_ratio():
    known = {(20, 80): "0.25", (20, np.inf): "at most 0.20", (np.inf, 80): "at least 0.50"}
    for (own, other), said in known.items():
        assert within(share(own, other, 40, 100)) == said
    assert within(share(np.inf, np.inf, 40, 100)) == "–"


def trials(recipe_at, former_at):
    """A record of two trials of 100 s, whose recovery passes .95 after so many, or does not."""
    table = [{"trial": name, "seed": "0", "seconds": str(s), "train_recovery": str(r)}
             for name, at in (("recipe", recipe_at), ("former", former_at))
             for s, r in ((1, 0.1), (at, 0.951 if at < 100 else 0.949))]  # fmt: skip
    falling = {"text, falling to 1": [[0.5, 0.5], [0.5, 0.5]]}
    return Record({"headline": {"falling": falling}}, table)


def test_a_third_of_a_time_that_never_came_is_open():
    words = [recipe.verdicts(trials(*at))[0].word
             for at in ((20, 80), (50, 80), (20, 100), (50, 100), (100, 80))]  # fmt: skip
    assert words == ["holds", "does not hold", "holds", "open", "does not hold"]


def test_a_recipe_of_few_steps_has_its_ends_among_them():
    line = commandline.CommandLine("recipe", "")
    recipe.options(line)
    plan = recipe.plan(line.parse_args(["--steps", "5000", "--seeds", "1"]))
    assert [dict(falling.changed)["steps"] for _, falling in plan.pairs] == [4000, 4000]
    assert all(dict(task.changed).get("steps", 0) <= 5000 for task in plan.trials)


def test_a_tiny_diagram_leaves_its_record(text, tmp_path, capsys):
    words = ["--quick", "--subsets", "2", "4", "--steps", "500", "--seeds", "2", "--jobs", "2"]
    phase_diagram.EXPERIMENT.main([*words, "--data", str(text), "--out", str(tmp_path)])
    record = Record.read(tmp_path)
    assert capsys.readouterr().out.strip().startswith(record.headline["paragraph"])
    assert len(record.table) == 4
    assert record.content["settings"]["seeds"] == [0, 1]
    judged = phase_diagram.verdicts(record)
    assert [verdict.word for verdict in judged[:3]] == [OPEN] * 3  # one look moves nothing
    assert len(judged) == 4
    lines = lines_of(record.table)
    assert list(lines) == [2, 4]
    kept = json.loads((tmp_path / "record.json").read_text())["headline"]["readings"]["2"]
    assert [r["kept"] for r in kept] == pytest.approx(
        [float(of["train_recovery"][-1]) for of in lines[2]], rel=1e-4
    )
    assert mean(lines[2], "train_recovery")[-1] == pytest.approx(np.mean([r["kept"] for r in kept]),
                                                                 rel=1e-4)  # fmt: skip


def test_damaged_looks_are_one_line(text, tmp_path, capsys):
    words = ["--quick", "--subsets", "2", "--steps", "500", "--jobs", "1", "--data", str(text)]
    phase_diagram.EXPERIMENT.main([*words, "--out", str(tmp_path)])
    [looks] = tmp_path.rglob("*.looks.npz")
    looks.write_bytes(b"nothing")
    looks.with_name(looks.name.replace(".looks", "")).unlink()
    with pytest.raises(SystemExit) as ended:
        phase_diagram.EXPERIMENT.main([*words, "--out", str(tmp_path)])
    assert ended.value.code == 2
    assert f"{looks} is damaged" in capsys.readouterr().err
