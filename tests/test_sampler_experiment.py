"""The experiment on samplers: a tiny run of it, and its verdicts on known tables."""

import dataclasses
import json
import math

import numpy as np
import pytest

from experiments import samplers
from experiments.kit.chains import Sampler, worlds
from experiments.samplers import BATH, PLAIN, SHORT, TEXT, gain
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


def row(world, name, calls, far, half=0.0):
    values = {
        "tv": far,
        "critic": 2 + far,
        "critic_lo": 2 + far - half,
        "critic_hi": 2 + far + half,
    }
    return {"world": world, "process": "uniform", "sampler": name, "calls": calls, **values}


@pytest.mark.parametrize("world", ["chain", TEXT])
def test_a_gain_is_a_ratio_at_equal_calls_told_from_chance(world):
    table = [row(world, PLAIN, c, 1 / c) for c in (8, 32, 128)]
    table += [row(world, BATH, c, 0.5 / c, 0.01) for c in (7, 31, 127)]
    ratio, apart = gain(table, world, "uniform", BATH, 32, 2.0)
    assert ratio == pytest.approx(0.5)
    assert apart
    assert gain(table, world, "uniform", BATH, 120, 2.0)[1] == (world != TEXT)
    for calls in (4, 200):
        assert math.isnan(gain(table, world, "uniform", BATH, calls, 2.0)[0])
    assert math.isnan(gain(table, world, "uniform", SHORT, 32, 2.0)[0])


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
