"""Nothing unchecked reaches a compiled loop: what was checked is what is read, always.

A loop that is led astray kills the process, so the hostile programs run in one of their own, which
says before each what it tries.
"""

import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

import argument_checks
from minuddm.ideal import DatasetIdeal, HierarchyIdeal, MarkovIdeal
from minuddm.sources import MarkovChain, RandomHierarchy

ROOT = Path(__file__).parents[1]
FAR = 10**8  # outside every table


def run(program):
    """Run a program of its own, and return what it printed; -11 is a segmentation fault."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        capture_output=True, text=True, cwd=ROOT, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{done.returncode} after: {done.stdout}\n{done.stderr[-500:]}"
    return done.stdout


def test_tokens_are_copied_before_they_are_checked():
    for dtype in (np.int32, np.int64, np.uint8, ">i4"):
        x = np.zeros((2, 3), dtype)
        own = argument_checks.tokens(x, 5)
        assert not np.shares_memory(own, x)
        assert own.dtype == np.int32
        assert own.flags.c_contiguous
        assert own.flags.writeable
    with pytest.raises(ValueError, match="got 4294967296"):
        argument_checks.tokens(np.array([2**32]), 5)  # not the 0 that it is in 32 bits


def test_what_an_object_keeps_is_its_own():
    """The caller's array may be used again: each answer stays what it was."""
    program = f"""
        import numpy as np
        from minuddm import DatasetIdeal
        from minuddm.ideal import HierarchyIdeal, MarkovIdeal
        from minuddm.sources import MarkovChain, RandomHierarchy

        rng = np.random.default_rng(0)
        rules = np.array(RandomHierarchy.random(3, 2, 2, 2, rng).rules)
        chain = np.array([[0.5, 0.5, 0], [0, 0.5, 0.5], [0.5, 0, 0.5]])
        for shape in ((3, 4), (1, 4), (3, 1)):
            for wrong in ({FAR}, -{FAR}, 2):
                print("patterns", shape, wrong, flush=True)
                x, z = np.zeros(shape, np.int32), np.zeros((2, shape[1]), int)
                ideal = DatasetIdeal(x, 3)
                before = ideal(z, 0.5)
                x[:] = wrong
                assert (ideal(z, 0.5) == before).all()
        print("rules", flush=True)
        z, given = np.zeros((2, 4), int), rules.copy()
        hierarchy = RandomHierarchy(given)
        ideal = HierarchyIdeal(hierarchy)
        before = ideal(z, 0.5), hierarchy.contains(z)
        given[:] = {FAR}
        assert (ideal(z, 0.5) == before[0]).all() and (hierarchy.contains(z) == before[1]).all()
        assert HierarchyIdeal(hierarchy).V == 3
        print("matrix and start", flush=True)
        given, start = chain.copy(), np.full(3, 1 / 3)
        source = MarkovChain(given, start)
        ideal = MarkovIdeal(source)
        before = ideal(z, 0.5)
        given[:], start[:] = np.nan, 0
        assert (ideal(z, 0.5) == before).all()
        assert source.sample(1000, 5, rng).max() < 3
        print("held")
    """
    assert run(program).endswith("held\n")


def test_another_thread_that_writes_leads_no_loop_astray():
    program = f"""
        import threading, time
        import numpy as np
        from minuddm import DatasetIdeal, ModelConfig, Transformer
        from minuddm.nelbo import nelbo

        x, over = np.zeros((64, 8), np.int32), threading.Event()

        def write():
            while not over.is_set():
                x[:] = {FAR}
                x[:] = 0

        ideal = DatasetIdeal(np.zeros((2, 8), int), 3)
        model = Transformer.init(ModelConfig(3, 8, 8, 1, 2), np.random.default_rng(0))
        log_p, calls, refused = np.zeros((64, 8, 3)), 0, 0
        calling = [lambda: ideal(x, 0.5), lambda: model(x, 0.5),
                   lambda: nelbo(log_p, x, np.zeros((64, 8), int), 0.5, -1.0)]
        for call in calling:
            call()
        writer = threading.Thread(target=write)
        writer.start()
        until = time.monotonic() + 2
        while time.monotonic() < until:
            for call in calling:
                calls += 1
                try:
                    call()
                except ValueError:
                    refused += 1
        over.set()
        writer.join()
        print(calls, refused, "held")
    """
    assert run(program).endswith("held\n")


def sealed():
    rng = np.random.default_rng(1)
    chain, hierarchy = MarkovChain.random(3, rng), RandomHierarchy.random(3, 2, 2, 2, rng)
    return {
        "patterns": DatasetIdeal([[0, 1], [1, 2]], 3),
        "matrix": chain,
        "start": chain,
        "rules": hierarchy,
        "V": MarkovIdeal(chain),
        "L": HierarchyIdeal(hierarchy),
    }


@pytest.mark.parametrize("name", list(sealed()))
def test_what_an_object_shows_cannot_be_written_or_replaced(name):
    owner = sealed()[name]
    shown = getattr(owner, name)
    with pytest.raises(AttributeError, match=f"{name} of a {type(owner).__name__} cannot be"):
        setattr(owner, name, shown)
    if isinstance(shown, np.ndarray):
        with pytest.raises(ValueError, match="read-only"):
            shown[:] = 0


def test_what_is_shown_is_another_array_than_what_is_read():
    ideal = sealed()["patterns"]
    before = ideal([[0, 1]], 0.5)
    shown = ideal.patterns
    shown.flags.writeable = True  # whoever insists may write, to no effect
    shown[:] = FAR
    np.testing.assert_array_equal(ideal([[0, 1]], 0.5), before)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda rng: RandomHierarchy.random(8, 2, 2, 10**9, rng), r"branching \*\* depth must be"),
        (lambda rng: RandomHierarchy.random(8, 2, 10**9, 2, rng), r"symbols \*\* branching must"),
        (lambda rng: RandomHierarchy.random(2**31 - 1, 2, 2, 2, rng), r"symbols \*\* branching"),
    ],
)
def test_sizes_are_refused_before_they_are_multiplied_out(call, message):
    with pytest.raises(ValueError, match=message):
        call(np.random.default_rng(0))
