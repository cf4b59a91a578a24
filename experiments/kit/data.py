"""What an experiment is run on: a text, or a toy source whose law is known.

A source gives more than sequences: its entropy, and the ideal generaliser that no model beats.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from minuddm import Corpus, Denoiser, Process, Uniform, load
from minuddm.checks import Tokens
from minuddm.ideal import HierarchyIdeal, MarkovIdeal
from minuddm.sources import MarkovChain, RandomHierarchy

SOURCES = ("markov", "hierarchy")
NAMED = ("pydoc", "names", *SOURCES)
_FEW = 1e-3  # share of repeated sequences that may be removed from a law that is not uniform
_SYMBOLS = "abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True)
class Data:
    """Different sequences, and, where the law behind them is known, its ideal and its entropy.

    entropy is in nats per token; source has `log_prob`.
    """

    corpus: Corpus
    ideal: Denoiser | None = None
    entropy: float | None = None
    source: MarkovChain | RandomHierarchy | None = None


def read(
    name: str, length: int | None, *, lines: bool, vocab: int, rules: int, seed: int,
    process: Callable[[int], Process] = Uniform,
) -> Data:  # fmt: skip
    """Return the data of a name: a text (`minuddm.load`), `markov` or `hierarchy`.

    The ideal generaliser is that of a process over V values. Raises `ValueError` with one line for
    what cannot be had.
    """
    if name == "markov":
        return markov(length or 32, seed, process=process)
    if name == "hierarchy":
        if length not in (None, 16):
            raise ValueError(f"sequences of the hierarchy have length 16, got {length}")
        return hierarchy(rules, seed, process=process)
    return Data(load(name, length, lines=lines, vocab=vocab))


def label(name: str) -> str:
    """Return what a folder of results is called after its data: nothing for the default.

    A file has digits of its own after its name, so that no text takes the place of another, nor of
    data that have a name.
    """
    if name in NAMED:
        return "" if name == NAMED[0] else name
    path = Path(name)
    return f"{path.stem}-{hashlib.sha256(path.read_bytes()).hexdigest()[:8]}"


def describe(data: Data) -> dict[str, Any]:
    """Return what a record says of its data."""
    corpus = data.corpus
    return {
        "name": Path(corpus.name).name,
        "sha256": corpus.sha256,
        "sequences": len(corpus),
        "V": corpus.V,
        "L": corpus.tokens.shape[1],
        "entropy": data.entropy,
        "padding": corpus.padding,
        "unknown_characters": sum(corpus.unknown.values()),
        "dropped_lines": corpus.dropped,
    }


def markov(
    length: int, seed: int, V: int = 16, n: int = 70_000,
    process: Callable[[int], Process] = Uniform,
) -> Data:  # fmt: skip
    """Return sequences of a random Markov chain over V values."""
    rng = np.random.default_rng(seed)
    chain = MarkovChain.random(V, rng)
    corpus = _corpus("markov", _SYMBOLS[:V], chain.sample(n, length, rng))
    if len(corpus) < (1 - _FEW) * n:  # the law without repetitions would be another law
        raise ValueError(
            f"markov sequences of length {length} repeat too often: {len(corpus)} different ones "
            f"among {n}; choose a larger length"
        )
    return Data(corpus, MarkovIdeal(chain, process(V)), chain.entropy(length), chain)


def hierarchy(
    rules: int, seed: int, n: int = 90_000, process: Callable[[int], Process] = Uniform
) -> Data:
    """Return sequences of a random hierarchy: 8 symbols, branching 2, depth 4.

    Its law is uniform over its support, and stays so when repetitions are removed.
    """
    rng = np.random.default_rng(seed)
    source = RandomHierarchy.random(8, rules, 2, 4, rng)
    corpus = _corpus(f"hierarchy, {rules} rules", _SYMBOLS[:8], source.sample(n, rng))
    return Data(corpus, HierarchyIdeal(source, process(8)), source.entropy(), source)


def _corpus(name: str, alphabet: str, tokens: Tokens) -> Corpus:
    """Keep the first of equal sequences, so that no test sequence is a training sequence."""
    _, first = np.unique(tokens, axis=0, return_index=True)
    different = np.ascontiguousarray(tokens[np.sort(first)])
    return Corpus(different, alphabet, name, hashlib.sha256(different.tobytes()).hexdigest())
