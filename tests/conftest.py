"""One profile for all property tests: the same examples in every run, and no clock; and texts."""

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "minuddm",
    deadline=None,
    derandomize=True,
    database=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("minuddm")


@pytest.fixture
def file(tmp_path):
    """What writes a text, or bytes, into a file and returns its path."""

    def write(content, name="text.txt"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


@pytest.fixture(scope="session")
def text(tmp_path_factory):
    """A text of six words for small grids of networks."""
    words = np.random.default_rng(0).choice(["the", "cat", "sat", "on", "a", "mat"], size=3000)
    path = tmp_path_factory.mktemp("data") / "text.txt"
    path.write_text(" ".join(words))
    return path
