"""Answers as other libraries give them."""

import numpy as np


class Opaque:
    """What another library returns: NumPy can read it, and that is all."""

    def __init__(self, answer):
        self.answer = np.asarray(answer)
        if self.answer.dtype == np.float64:
            self.answer = self.answer.astype(np.float32)

    def __array__(self, dtype=None, copy=None):
        return self.answer


class Single:
    """A process that reads and returns single precision, in arrays of its own kind."""

    def __init__(self, process):
        self.process, self.V, self.states = process, process.V, process.states

    def __repr__(self):
        return f"Single({self.process!r})"

    def __getattr__(self, name):
        def single(given):
            kind = getattr(given, "dtype", None) or type(given)
            return np.float32(given) if kind in (float, np.float64) else given

        def ask(*given):
            kept = 1 if name == "bridge_quantile" else 0  # uniforms would be rounded to 1
            given = [*map(single, given[: len(given) - kept]), *given[len(given) - kept :]]
            found = getattr(self.process, name)(*given)
            return tuple(map(Opaque, found)) if isinstance(found, tuple) else Opaque(found)

        asked = getattr(type(self.process), name, None)
        if not callable(asked):
            raise AttributeError(name)
        return ask
