"""Laws that anyone's kernel, denoiser, schedule or energy can be put through, inside pytest.

    from minuddm.laws import parametrize_with_laws

    @parametrize_with_laws([Uniform(V=5), MyKernel()])
    def test_kernel(kernel, law):
        law(kernel)

A subject is a plain object with a few methods: arrays in, arrays out. Which ones, and their shapes,
say the docstrings of the suites; the first that a subject fits is the one it is asked:

    a method `store`                  `energies`
    a method `dalpha`                 `schedules`
    a method `kernel`                 `kernels`, `corruption`, `bridges`, `bounds`
    it can be called                  `denoisers`

Every law is a function law(subject) with a name, the label of its equation and a statement. It is
skipped, with the reason, where the subject lacks a method that it needs, or makes no such claim as
`reversible`. Where it is broken, Hypothesis looks for the smallest arguments that break it, and
what is raised shows them with the equation. The examples are the same in every run.

This needs Hypothesis and pytest (the extra `laws`), and nothing else of minuddm: what is imported
here is imported by no other part of the package.
"""

import inspect
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from minuddm.laws import bounds, bridges, corruption, denoisers, energies, kernels, schedules
from minuddm.laws.denoisers import Denoising
from minuddm.laws.energies import Storing
from minuddm.laws.law import Law, laws_of, name_of

__all__ = [
    "DENOISERS", "ENERGIES", "KERNELS", "SCHEDULES", "Denoising", "Law", "Storing", "laws_for",
    "parametrize_with_laws",
]  # fmt: skip

KERNELS = laws_of(kernels) + laws_of(corruption) + laws_of(bridges) + laws_of(bounds)
SCHEDULES = laws_of(schedules)
DENOISERS = laws_of(denoisers)
ENERGIES = laws_of(energies)


def laws_for(subject: Any) -> tuple[Law, ...]:
    """Return the laws of the suite that a subject fits.

    Raises `TypeError` if it fits none.
    """
    for name, suite in (("store", ENERGIES), ("dalpha", SCHEDULES), ("kernel", KERNELS)):
        if callable(getattr(subject, name, None)):
            return suite
    if callable(subject):
        return DENOISERS
    raise TypeError(f"a subject has store, dalpha or kernel, or can be called, got {subject!r}")


def parametrize_with_laws(
    subjects: Iterable[Any], examples: int = 50
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return a decorator of a test with two parameters, a subject and a law.

    The test runs once for each subject and each law of its suite, as `subject-law`; `examples` are
    how many arguments a law draws.
    """
    cases = [
        pytest.param(subject, law.with_examples(examples), id=f"{name_of(subject)}-{law}")
        for subject in subjects
        for law in laws_for(subject)
    ]

    def decorate(test: Callable[..., None]) -> Callable[..., None]:
        names = [name for name in inspect.signature(test).parameters if name != "self"]
        if len(names) != 2:
            raise TypeError(f"a test of laws takes a subject and a law, got parameters {names}")
        run: Callable[..., None] = pytest.mark.parametrize(names, cases)(test)
        return run

    return decorate
