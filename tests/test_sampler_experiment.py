"""The experiment on samplers: a tiny run of it, and its verdicts on known tables."""

import dataclasses
import json
import math

import numpy as np
import pytest

from experiments import samplers
from experiments.kit.chains import Sampler, worlds
from experiments.kit.gains import curves, gain, middle
from experiments.kit.intervals import below
from experiments.samplers import BATH, PLAIN, SHORT, TEXT
from minuddm import Linear
from minuddm.reverse import quadratic_grid, time_grid


def tiny(args):
    whole = samplers.plan(args)
    tasks = [
        dataclasses.replace(task, tokens=task.tokens[:32], steps=2, samples=3, most=8)
        for task in whole.tasks
    ]
    return whole._replace(tasks=tasks, most=8)


def test_a_tiny_run_leaves_its_record(tmp_path, capsys):
    experiment = dataclasses.replace(samplers.EXPERIMENT, plan=tiny)
    experiment.main(["--quick", "--jobs", "1", "--out", str(tmp_path)])
    assert capsys.readouterr().out.startswith("Distance to the data")
    record = json.loads((tmp_path / "record.json").read_text())
    assert len(record["verdicts"]) == 12
    assert {row["verdict"] for row in record["verdicts"]} == {"open"}  # nothing at 16 calls
    assert (tmp_path / "figure.svg").exists()


def rows(name, far, half, seeds=(0,)):
    """Rows of a sampler whose distance is far / calls on every world; seeds have their own far."""
    for calls in (8, 32, 128):
        yield {"world": "chain", "sampler": name, "calls": calls, "tv": far[0] / calls}
        at = calls - (name == BATH)
        for seed, x in zip(seeds, far, strict=True):
            yield {
                "world": TEXT,
                "sampler": name,
                "seed": seed,
                "calls": at,
                "tv": "",
                "excess": -x / at,
                "excess_lo": -x / at - half,
                "excess_hi": -x / at + half,
            }


@pytest.mark.parametrize("world", ["chain", TEXT])
def test_a_gain_is_a_ratio_at_equal_calls_told_from_chance(world):
    table = [*rows(PLAIN, [1], 0.0), *rows(BATH, [0.5], 0.01)]
    own, plain = (curves(table, world=world, sampler=name) for name in (BATH, PLAIN))
    assert gain(own, plain, 32).value == pytest.approx(0.5)
    assert below(gain(own, plain, 32), 1)
    assert below(gain(own, plain, 120), 1) == (True if world == "chain" else None)
    for calls in (4, 200):
        assert math.isnan(gain(own, plain, calls).value)
    assert math.isnan(gain(curves(table, sampler=SHORT), plain, 32).value)


def test_a_gain_of_several_seeds_is_read_in_each_of_them():
    """Distances differ by a factor of 4 between seeds, ratios by 1.21: .5 x (1/1.1, 1, 1.1)."""
    seeds = (0, 1, 2)
    table = [*rows(PLAIN, [1, 2, 4], 0.0, seeds), *rows(BATH, [0.5 / 1.1, 1.0, 2.2], 0.0, seeds)]
    own, plain = (curves(table, world=TEXT, sampler=name) for name in (BATH, PLAIN))
    found = gain(own, plain, 32)
    assert found.value == pytest.approx(0.5)
    # Student's 4.303 of three, whose standard deviation is log 1.1
    assert found.high / found.value == pytest.approx(1.1 ** (4.3027 / 3**0.5), rel=1e-4)
    assert middle(plain)[1] == pytest.approx(2 / plain[0, 0])


KNOWN = {
    "uniform": {"memory": (0.018067, 0.011174, 0.006404, 0.002916),
                "chain": (0.016472, 0.011506, 0.010206, 0.001362)},
    "masked": {"memory": (0.017234, 0.023955, 0.001357, 0.000685),
               "chain": (0.023555, 0.034838, 0.001783, 0.000627)},
}  # fmt: skip


@pytest.mark.parametrize("process", KNOWN)
def test_correctors_pay_for_their_calls_on_a_chain_that_ends_with_a_last_look(process):
    """[T45]: 31 calls with a heat bath of one site, 32 without; steps of either kind."""
    of = [Sampler(grid, sites=s) for s in (0, 1) for grid in (time_grid, quadratic_grid)]
    for name, (world, clean) in worlds(process).items():
        goal = np.zeros(len(world.states))
        goal[(world.states < 3).all(axis=1)] = clean
        for sampler, wanted in zip(of, KNOWN[process][name], strict=True):
            law, calls = sampler.end(world, Linear(), 15 if sampler.sites else 31)
            assert calls == (31 if sampler.sites else 32)
            assert 0.5 * np.abs(law - goal).sum() == pytest.approx(wanted, abs=1e-6)
