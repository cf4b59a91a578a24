"""Does a network remember? What may be concluded from what `minuddm.probes.deployed` has read.

Of a memory the other tokens determine each token. So the entropy at t = 1e-5 of what returns from t
stays near 0 as long as the network is a memory in that shell, and rises through .1 nats a token
where it stops to be one [T46]. Sequence by sequence this is a share:

    settled        the share of the sequences that return with at most .1 nats a token
    remembers      settled are .9 of them or more; where a token of the language has about a nat,
                   this is where the mean entropy crosses .1
    generalises    settled are .1 of them or fewer: what the network makes is no memory
    in between     any other share
    undecided      fewer than six sequences: the exact 95 % interval of fewer reaches one half

Certainty alone is no memory: a language in which the other tokens leave no doubt (a code) settles
as well. What tells them apart is that a memory repeats itself, as it holds few sequences. So own
samples *remember* only if two that returned are copies of one another, or most samples are copies
of the text. n samples see repetition while there are fewer than about n²/7 memories; beyond,
a network that is certain is left undecided.

A text is remembered, return by return, if what returns is settled *and* has .9 of the changed
tokens back; against a second text its recovery must be ahead by three standard errors, for a
language that leaves no doubt brings back unseen sequences, too. If both texts are of one kind and
have many sequences, three errors occur by chance for one comparison in 370. Of a text with fewer
sequences than samples each returns several times: its share is one of returns, its standard error
still one over sequences, with the variance of both texts together.

What cannot be known. Entropy tells a memory from what is none; whether that has learnt the language
or little at all, only the bound on a text says. A language of few sequences and a memory of them
are one thing. And the start of own samples matters little: they end where the network ends from
noise, so what they say of inner shells is what they say of t = 1, unless these shells reach it.

The readings' errors are known from networks whose state was known (`KNOWN_ERROR`).
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import scipy
from numpy.typing import NDArray

from minuddm.probes.deployed import STARTS, Probed, Returned
from minuddm.probes.intervals import Interval, proportion_interval
from minuddm.probes.samples import COPY, twins

SURE = 0.1
"""Nats: a sequence whose tokens have more on average is not settled."""
NEARLY_ALL, HARDLY_ANY = 0.9, 0.1
BEYOND_CHANCE = 3.0  # standard errors
_LEAST = 6  # sequences
REMEMBERS, BETWEEN, GENERALISES = "remembers", "is in between", "generalises"
FORGOTTEN, UNDECIDED = "does not remember", "undecided"
KNOWN_ERROR: Mapping[float, tuple[float, float]] = {
    0.1: (1.05, 2.70), 0.25: (1.06, 2.13), 0.5: (1.27, 1.98), 1.0: (0.84, 1.14),
}  # fmt: skip
"""By t, least and largest factor from the number P of training sequences at which the shell is lost
to that at which the mean entropy rises through .1 nats. From 1: half of the samples are no copies.
Before: recovery of training sequences from t falls through .95 [T46]. Up to 15 networks of five
sizes, 15 to 282 thousand weights, on text (`experiments.estimators`). On the hierarchy, L = 16,
certainty is lost later still: 2.4, 2.8 and 9.5 times from .1, .25 and .5, on average."""

Array = NDArray[np.float64]


class Verdict(NamedTuple):
    """What the sequences of `subject` ("samples" or "text") say that return from t, and why.

    share of them, with its exact 95 % interval, that are settled, or remembered if it is a text.
    """

    t: float
    subject: str
    word: str
    why: str
    share: Interval


class Gap(NamedTuple):
    """By how much the text is better known than the other one, from t, and in standard errors."""

    t: float
    difference: float
    errors: float


def verdicts(read: Probed) -> list[Verdict]:
    """Return the verdicts on own samples by t, and those on a text, if there is one."""
    own = [_of_samples(read, t) for t in STARTS]
    return own + [_of_text(read, t) for t in read.text]


def gaps(read: Probed) -> dict[str, list[Gap]]:
    """Return what sets the text apart from the other one; empty unless both were given.

    recovery: more of it, from each t but 1. entropy: nats a token less. bound: nats a token less up
    to t. What is undefined is left out.
    """
    if not read.against:
        return {}
    bound = {name: parts.cumsum(axis=1).T for name, parts in read.levels.items()}
    levels = zip(STARTS, bound["text"], bound["against"], strict=True)
    return {
        "recovery": [_ahead(read, t) for t in read.text],
        "entropy": [
            _gap(read, t, -read.text[t].entropy, -read.against[t].entropy) for t in read.text
        ],
        "bound": [_gap(read, t, -one, -other) for t, one, other in levels],
    }


def memories(read: Probed) -> Interval:
    """Return how many equally likely sequences would repeat as often as the samples do, and 95 %.

    Of n samples n(n - 1)/2 pairs may be copies of one another, each with chance 1/M if M are
    equally likely; their number is taken for a Poisson draw. Infinite where none repeats.
    """
    n, repeated = len(read.samples), twins(read.samples)[1]
    pairs = n * (n - 1) / 2
    few = scipy.special.gammaincinv(repeated, 0.025) if repeated else 0.0
    many = scipy.special.gammaincinv(repeated + 1, 0.975)
    return Interval(*(float(pairs / k) if k else np.inf for k in (repeated, many, few)))


def _of_samples(read: Probed, t: float) -> Verdict:
    back = read.own[t]
    settled = back.entropy <= SURE
    share = _share(settled)
    word = _word(share, len(settled), GENERALISES)
    why = f"{share.value:.0%} of what returns is certain of its tokens"
    if len(settled) < _LEAST:
        why += f", but {len(settled)} samples are too few"
    if word == REMEMBERS:
        if read.copied is not None and read.copied.mean() >= NEARLY_ALL:
            why += f", and {read.copied.mean():.0%} of the samples are copies of the text"
        elif (back.apart <= COPY).any():
            why += ", and sequences repeat"
        else:
            word = UNDECIDED
            least = memories(read).low
            why += (
                f", but no two are alike: more than about {least:,.0f} memories, or a language "
                "whose other tokens leave no doubt"
            )
    return Verdict(t, "samples", word, why, share)


def _of_text(read: Probed, t: float) -> Verdict:
    back = read.text[t]
    kept = _kept(back)
    share = _share(kept)
    word = _word(share, len(kept), FORGOTTEN)
    if not len(kept):
        return Verdict(t, "text", word, "nothing returned that had been changed", share)
    why = f"{share.value:.0%} of what returns is the text, certain of its tokens"
    if len(kept) < _LEAST:
        why += f", but {len(kept)} returns with a change are too few"
    if word == REMEMBERS and not read.against:
        why += ", and no other text says whether unseen sequences return as well"
    elif word == REMEMBERS:
        ahead = _ahead(read, t).errors
        if ahead >= BEYOND_CHANCE:
            many = f"{ahead:.1f}" if np.isfinite(ahead) else "any number of"
            why += f", {many} standard errors ahead of the other text"
        else:
            word = UNDECIDED
            why += f", but not {BEYOND_CHANCE:g} standard errors ahead of the other text"
    return Verdict(t, "text", word, why, share)


def _kept(back: Returned) -> NDArray[np.bool_]:
    """Return whether each sequence came back and is settled; where nothing changed is left out."""
    known = ~np.isnan(back.recovery)
    return (back.recovery[known] >= NEARLY_ALL) & (back.entropy[known] <= SURE)


def _share(held: NDArray[np.bool_]) -> Interval:
    return proportion_interval(int(held.sum()), len(held))


def _word(share: Interval, n: int, none: str) -> str:
    """Return what a share says; `none` where it is hardly any."""
    if n < _LEAST:
        return UNDECIDED
    if share.value >= NEARLY_ALL:
        return REMEMBERS
    return none if share.value <= HARDLY_ANY else BETWEEN


def _ahead(read: Probed, t: float) -> Gap:
    return _gap(read, t, read.text[t].recovery, read.against[t].recovery)


def _gap(read: Probed, t: float, text: Array, against: Array) -> Gap:
    """Return the difference of two means over sequences, and the same in standard errors."""
    a, b = (
        _by_sequence(values, read.sequences[name])
        for name, values in (("text", text), ("against", against))
    )
    if min(len(a), len(b)) < 1 or len(a) + len(b) < 3:
        return Gap(t, np.nan, np.nan)
    difference = float(a.mean() - b.mean())
    variance = (len(a) * a.var() + len(b) * b.var()) / (len(a) + len(b) - 2)
    error = float(np.sqrt(variance * (1 / len(a) + 1 / len(b))))
    if error == 0:
        return Gap(t, difference, np.inf * np.sign(difference) if difference else 0.0)
    return Gap(t, difference, difference / error)


def _by_sequence(values: Array, sequences: int) -> Array:
    """Return the mean over each sequence's returns, NaN left out; only the finite ones."""
    each = values.reshape(sequences, -1)
    known = ~np.isnan(each)
    mean = np.where(known, each, 0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    return np.asarray(mean[known.any(axis=1) & np.isfinite(mean)])
