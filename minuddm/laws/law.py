"""A law: a statement about an object that draws can refute, with the label of its equation.

The body of a law is a plain function check(subject, **arguments); `draws` says what each argument
is drawn from, either a Hypothesis strategy or a function from the subject to one. Hypothesis looks
for arguments that break the law, makes them as small as it can, and prints them.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import ModuleType
from typing import Any, TypeAlias

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from numpy.typing import ArrayLike, NDArray

Array: TypeAlias = NDArray[Any]
Strategy: TypeAlias = st.SearchStrategy[Any]
Draws: TypeAlias = Mapping[str, Strategy | Callable[[Any], Strategy]]

FALSE_ALARM = 1e-6
"""The chance that a law which counts draws fails for an object that obeys it."""

# The same examples in every run: a law that holds today holds tomorrow.
_SETTINGS = settings(
    derandomize=True,
    deadline=None,
    database=None,
    print_blob=False,
    report_multiple_bugs=False,
    phases=[Phase.explicit, Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
)


def laws_of(module: ModuleType) -> "tuple[Law, ...]":
    """Return the laws that a module states, in its order."""
    return tuple(
        value
        for value in vars(module).values()
        if isinstance(value, Law) and value.check.__module__ == module.__name__
    )


def name_of(subject: Any) -> str:
    """Return the repr of a subject, or the name of its class where that is an address."""
    text = repr(subject)
    return type(subject).__name__ if " at 0x" in text else text


@dataclass(frozen=True)
class Law:
    """A statement about a subject, called with it.

    `needs` are names of attributes, of the subject or of what `of` returns for it, without which it
    cannot be asked, and `claim` that of one which must be true. `examples` is the number of draws.
    """

    name: str
    label: str
    statement: str
    check: Callable[..., None]
    needs: tuple[str, ...]
    claim: str = ""
    of: Callable[[Any], Any] | None = None
    draws: Draws = field(default_factory=dict)
    examples: int = 50

    def __str__(self) -> str:
        return self.name

    def __call__(self, subject: Any) -> None:
        """Raise unless the subject obeys; skip, with the reason, what it lacks or does not claim.

        The exception carries the smallest arguments found, the statement and its label.
        """
        self._skip(subject)

        def example(**arguments: Any) -> None:
            self.check(subject, **arguments)

        example.__name__ = example.__qualname__ = self.name
        drawn = {name: self._strategy(name, subject) for name in self.draws}
        asked = given(**drawn)(example) if drawn else example
        try:
            if drawn:
                asked = settings(_SETTINGS, max_examples=self.examples)(asked)
            asked()
        except Exception as error:
            error.add_note(f"{name_of(subject)} breaks {self.name} {self.label}: {self.statement}")
            raise

    def once(self, subject: Any, draw: Callable[[Strategy], Any]) -> None:
        """Check one example, inside a Hypothesis test that draws the subject as well."""
        self._skip(subject)
        self.check(subject, **{name: draw(self._strategy(name, subject)) for name in self.draws})

    def with_examples(self, examples: int) -> "Law":
        """Return the law with another number of examples."""
        return replace(self, examples=examples)

    def _strategy(self, name: str, subject: Any) -> Strategy:
        source = self.draws[name]
        return source if isinstance(source, st.SearchStrategy) else source(subject)

    def _skip(self, subject: Any) -> None:
        asked = [subject] if self.of is None else [subject, self.of(subject)]
        lacking = [
            name for name in self.needs if all(getattr(x, name, None) is None for x in asked)
        ]
        reason = f"has no {', '.join(lacking)}" if lacking else ""
        if self.claim and not getattr(subject, self.claim, False):
            reason = f"does not claim {self.claim}"
        if reason:
            pytest.skip(f"{name_of(subject)} {reason}: {self.name} was not asked")


def law(
    label: str,
    needs: str,
    claim: str = "",
    of: Callable[[Any], Any] | None = None,
    **draws: Strategy | Callable[[Any], Strategy],
) -> Callable[[Callable[..., None]], Law]:
    """Return a decorator that makes a law of a function, its name and what its docstring states.

    `needs` are names with spaces between.
    """

    def of_function(check: Callable[..., None]) -> Law:
        statement = " ".join((inspect.getdoc(check) or "").split("\n\n")[0].split())
        return Law(check.__name__, label, statement, check, tuple(needs.split()), claim, of, draws)

    return of_function


# ---- what laws say when they compare -------------------------------------------------------------


def ulp(*answers: Array) -> float:
    """Return the distance from 1 to the next number of the coarsest dtype, or of float64."""
    kinds = [a.dtype for a in answers if a.dtype.kind == "f"]
    return max([float(np.finfo(kind).eps) for kind in kinds], default=2.0**-52)


def rounding(terms: int, *answers: Array) -> float:
    """Return what sums of products of numbers in [0, 1], known to two ulps, may be wrong by."""
    return 8 * (terms + 1) * ulp(*answers)


def same(got: ArrayLike, wanted: ArrayLike, tolerance: ArrayLike, what: str) -> None:
    """Raise `AssertionError` with the largest error unless two arrays agree in shape and value."""
    found, expected = np.asarray(got), np.asarray(wanted)
    if found.shape != expected.shape:
        raise AssertionError(f"{what} has shape {found.shape}, not {expected.shape}")
    with np.errstate(invalid="ignore"):
        error = np.where(found == expected, 0.0, np.abs(found - expected.astype(np.float64)))
    excess = np.where(np.isnan(error), np.inf, error) - tolerance
    if excess.size and excess.max() > 0:
        at = np.unravel_index(excess.argmax(), excess.shape)
        allowed = np.broadcast_to(tolerance, excess.shape)[at]
        place = f"[{', '.join(map(str, at))}]" if at else ""
        raise AssertionError(
            f"{what}{place} is {found[at]:.9g}, not {expected[at]:.9g} ± {allowed:.2g}"
        )


def holds(condition: ArrayLike, what: str) -> None:
    """Raise `AssertionError` with the place unless a condition holds everywhere."""
    true = np.asarray(condition)
    if not true.all():
        at = np.unravel_index(int(true.argmin()), true.shape)
        place = f" at [{', '.join(map(str, at))}]" if at else ""
        raise AssertionError(f"{what} does not hold{place}")


def frequencies(counts: ArrayLike, chances: ArrayLike, tests: int, what: str) -> None:
    """Raise `AssertionError` unless counts are those of draws with the given chances.

    The chi-square test is one of `tests` that together fail by chance `FALSE_ALARM`; what has no
    chance must not occur.
    """
    from scipy.stats import chisquare

    n, p = np.asarray(counts), np.asarray(chances, dtype=np.float64)
    possible = p > 0
    if n[~possible].any():
        raise AssertionError(f"{what} shows {int(np.flatnonzero(~possible & (n > 0))[0])}, which "
                             "has no chance")  # fmt: skip
    expected = n.sum() * p[possible] / p[possible].sum()
    if len(expected) > 1 and chisquare(n[possible], expected).pvalue < FALSE_ALARM / tests:
        shares = np.round(n[possible] / n.sum(), 4).tolist()
        raise AssertionError(f"{what} has the shares {shares}, not {np.round(p, 4).tolist()}")


# ---- what laws are quantified over ---------------------------------------------------------------

alphas = st.sampled_from([0.5, 0.0, 1.0, 1e-6, 1 - 1e-6]) | st.floats(1e-6, 1 - 1e-6)
two_alphas = st.tuples(alphas, alphas).map(lambda pair: (pair[0], pair[0] * pair[1]))
"""(alpha_s, alpha_t) of two times s ≤ t, their ratio 1 or no nearer to it than 1e-6."""
seeds = st.integers(0, 2**32 - 1)


def distributions(n: int, least: int = 0, most: int = 10**9) -> Strategy:
    """Return the laws over n values, (n,), that whole weights from `least` to 20, or `most`, make.

    One-hot ones are among them if `least` is 0, and concentrated ones if `most` is large.
    """
    weight = st.integers(least, 20) | st.just(most)
    weights = st.lists(weight, min_size=n, max_size=n).filter(any)
    return weights.map(_shares)


def _shares(weights: list[int]) -> Array:
    return np.asarray(np.array(weights) / sum(weights))
