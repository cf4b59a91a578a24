"""What the package offers as laws holds for what the package offers, whatever its size."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hopfield import (
    BinaryMemory,
    ContinuousMemory,
    DensityMemory,
    LogSumExp,
    LogSumReLU,
    TokenMemory,
    hebbian,
    pseudo_inverse,
    storkey,
)
from minuddm.laws import (
    DENOISERS,
    ENERGIES,
    KERNELS,
    SCHEDULES,
    Denoising,
    Storing,
    laws_for,
    parametrize_with_laws,
)
from minuddm.laws.law import FALSE_ALARM, frequencies, same
from minuddm.process import Absorbing, Uniform
from minuddm.schedule import Cosine, Linear, LogLinear
from minuddm.transformer import Transformer
from minuddm.weights import ModelConfig
from tests import strategies
from tests.foreign import Single

# ---- kernels and schedules -----------------------------------------------------------------------


def each(suite):
    return pytest.mark.parametrize("law", suite, ids=str)


@each([law for law in KERNELS if law.draws])
@pytest.mark.parametrize("process", [Uniform, Absorbing])
@given(data=st.data(), V=strategies.vocabularies)
def test_a_process_of_any_size_obeys(process, law, data, V):
    if not law.claim or hasattr(process, law.claim):
        law.once(process(V), data.draw)


@parametrize_with_laws([Uniform(5), Absorbing(4)])
def test_processes_obey(process, law):
    law(process)


@parametrize_with_laws([Single(Uniform(3)), Single(Absorbing(3))], examples=30)
def test_processes_in_single_precision_obey(process, law):
    law(process)


@parametrize_with_laws([LogLinear(), LogLinear(0.1), Linear(), Cosine()])
def test_schedules_obey(schedule, law):
    law(schedule)


# ---- denoisers -----------------------------------------------------------------------------------


def ideals(process, seed):
    """Three ideals of a process as subjects, each with the law that it is to know."""
    return [
        Denoising(denoiser, process.V, law.ndim, law=law, process=process)
        for denoiser, law in strategies.ideals(process, seed)
    ]


@each(DENOISERS)
@pytest.mark.parametrize("process", [Uniform, Absorbing])
@given(data=st.data(), V=st.integers(2, 3), kind=st.integers(0, 2), seed=strategies.seeds)
def test_ideals_obey(process, law, data, V, kind, seed):
    law.once(ideals(process(V), seed)[kind], data.draw)


def network():
    """A transformer with every tensor away from zero: it sees the token at its own position."""
    rng = np.random.default_rng(0)
    model = Transformer.init(ModelConfig(4, 5, 8, 1, 2), rng)
    model.weights.flat += 0.3 * rng.normal(size=model.weights.flat.size).astype(np.float32)
    return Denoising(model, 4, 5, leave_one_out=False)


@parametrize_with_laws([network(), *ideals(Uniform(3), 5)], examples=20)
def test_denoisers_obey(denoiser, law):
    law(denoiser)


# ---- energies ------------------------------------------------------------------------------------


class InRandomOrder:
    """A memory whose recall visits its sites in a random order."""

    def __init__(self, memory, seed):
        self.memory, self.seed = memory, seed

    def __getattr__(self, name):
        return getattr(self.memory, name)

    def recall(self, x):
        return self.memory.recall(x, rng=np.random.default_rng(self.seed))


@st.composite
def memories(draw, kind):
    """Subjects with every separation function and temperature, in order or in a random one."""
    if kind == "points":
        beta, dot = draw(st.floats(0.1, 30)), draw(st.booleans())
        if dot:
            return Storing(lambda xi: ContinuousMemory(xi, beta))
        return Storing(lambda xi: DensityMemory(xi, LogSumExp(beta)))
    V, F, seed = (
        draw(strategies.vocabularies),
        draw(strategies.separations()),
        draw(strategies.seeds),
    )
    rule = draw(st.sampled_from([hebbian, pseudo_inverse, storkey]))
    random = draw(st.booleans())

    def store(patterns):
        own = replace(F, origin=float(patterns.shape[1])) if isinstance(F, LogSumReLU) else F
        if kind == "couplings":
            memory = rule(patterns)
        else:
            spins = kind == "spins"
            memory = BinaryMemory(patterns, own) if spins else TokenMemory(patterns, V, F=own)
        return InRandomOrder(memory, seed) if random else memory

    values = range(V) if kind == "tokens" else [-1, 1]
    symmetric = kind != "couplings" or rule is not storkey
    return Storing(store, values, f"{kind} {V} {F} {rule.__name__}", symmetric)


DRAWN = [law for law in ENERGIES if law.draws]
LACKING = {"tokens": None, "spins": None, "couplings": "step", "points": "values"}


@pytest.mark.parametrize(
    ("kind", "law"),
    [(kind, law) for kind, name in LACKING.items() for law in DRAWN if name not in law.needs],
    ids=str,
)
@given(data=st.data())
def test_memories_obey(kind, law, data):
    subject = data.draw(memories(kind), label="memory")
    if not law.claim or getattr(subject, law.claim):  # Storkey's rule stores one after the other
        law.once(subject, data.draw)


@parametrize_with_laws(
    [
        Storing(lambda xi: TokenMemory(xi, 3, 2.0), range(3), "TokenMemory(V=3, beta=2)"),
        Storing(BinaryMemory, [-1, 1]),
        Storing(hebbian, [-1, 1]),
    ]
)
def test_energies_obey(memory, law):
    law(memory)


# ---- the interface -------------------------------------------------------------------------------


class Leaking(Uniform):
    """A kernel whose rows lose a hundredth."""

    def kernel(self, alpha_ts):
        return 0.99 * super().kernel(alpha_ts)


def test_a_broken_law_shows_the_smallest_arguments_and_the_equation():
    [rows] = [law for law in KERNELS if law.name == "rows"]
    with pytest.raises(AssertionError, match=r"the sum of row\[\d\] is 0.99, not 1") as error:
        rows(Leaking(3))
    notes = "\n".join(error.value.__notes__)
    assert "alpha=0.5" in notes  # of the alphas that break it, the first
    assert "breaks rows [T1]: Q ≥ 0 and Q 1 = 1" in notes


def test_an_exception_of_the_subject_is_named_by_the_law_too():
    class Raising:
        V = 3

        def kernel(self, alpha):
            raise ZeroDivisionError("1/0")

    [rows] = [law for law in KERNELS if law.name == "rows"]
    with pytest.raises(ZeroDivisionError) as error:
        rows(Raising())
    assert error.value.__notes__[-1].startswith("Raising breaks rows [T1]")


def test_what_a_subject_lacks_or_does_not_claim_is_skipped_with_the_reason():
    by_name = {law.name: law for law in KERNELS + DENOISERS}
    for name, subject, reason in (
        ("gradient", Foreign(), "Foreign has no nelbo, nelbo_grad: gradient was not asked"),
        ("reversibility", Absorbing(3), r"Absorbing\(V=3\) does not claim reversible"),
        ("blind_to_its_own_position", network(), "does not claim leave_one_out"),
    ):
        with pytest.raises(pytest.skip.Exception, match=reason):
            by_name[name](subject)


def test_the_suite_is_that_of_the_methods():
    assert laws_for(Uniform(3)) is KERNELS
    assert laws_for(Linear()) is SCHEDULES
    assert laws_for(network()) is DENOISERS
    assert laws_for(Storing(hebbian, [-1, 1])) is ENERGIES
    with pytest.raises(TypeError, match="a subject has store, dalpha or kernel"):
        laws_for(3)
    with pytest.raises(TypeError, match="a subject and a law"):
        parametrize_with_laws([Uniform(3)])(lambda law: None)


def test_a_test_of_a_kernel_is_named_after_it_and_the_law():
    @parametrize_with_laws([Uniform(5), Foreign()])
    def test(kernel, law):
        law(kernel)

    [mark] = test.pytestmark
    ids = [case.id for case in mark.args[1]]
    assert "Uniform(V=5)-chapman_kolmogorov" in ids
    assert "Foreign-chapman_kolmogorov" in ids
    assert len(ids) == 2 * len(KERNELS)


class Foreign:
    """Somebody's kernel, in single precision."""

    V = 3

    def kernel(self, alpha):
        return (alpha * np.eye(3) + (1 - alpha) / 3).astype(np.float32)


def test_the_tolerance_is_that_of_the_dtype():
    """Single precision is enough where it is admitted (tests/test_mutants: and not where not)."""
    for law in KERNELS:
        if law.needs == ("kernel",) and not law.claim:
            law(Foreign())


def test_counting_draws_raises_false_alarms_as_rarely_as_it_says():
    """3,000 dice of 600 throws at a rate of .03: 90 alarms, within 5 standard deviations."""
    rng, alarms = np.random.default_rng(0), 0
    for counts in rng.multinomial(600, np.full(6, 1 / 6), size=3000):
        try:
            frequencies(counts, np.full(6, 1 / 6), FALSE_ALARM / 0.03, "a die")
        except AssertionError:
            alarms += 1
    assert abs(alarms - 90) < 5 * np.sqrt(90)


def test_comparisons_refuse_shapes_and_what_is_no_number():
    for got, message in (
        (np.zeros(3), r"x has shape \(3,\), not \(2,\)"),
        ([0.0, np.nan], r"x\[1\] is nan, not 0"),
        ([np.inf, 0.0], r"x\[0\] is inf"),
    ):
        with pytest.raises(AssertionError, match=message):
            same(got, np.zeros(2), 1e9, "x")
    same([np.inf, 1.0], np.array([np.inf, 1.0]), 0, "x")
