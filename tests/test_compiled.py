"""Machine code on disk is that of the sources as they are."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

PROGRAM = """
import numpy as np
from minuddm.layers.mlp import gelu_forward
y, u = np.empty((1, 8), np.float32), np.ones((1, 8), np.float32)
gelu_forward(y, u, np.zeros(8, np.float32))
print(y[0, 0], sum(gelu_forward.stats.cache_hits.values()))
"""


def test_a_function_is_compiled_again_if_one_that_it_calls_has_changed(tmp_path):
    shutil.copytree(Path(__file__).parents[1] / "minuddm", tmp_path / "minuddm",
                    ignore=shutil.ignore_patterns("__pycache__"))  # fmt: skip

    def run() -> list[str]:
        environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / "cache")}
        environment.pop("PYTHONPATH", None)
        return subprocess.run(
            [sys.executable, "-c", PROGRAM], cwd=tmp_path, env=environment,
            capture_output=True, text=True, check=True,
        ).stdout.split()  # fmt: skip

    first, again = run(), run()
    assert (first[1], again[1]) == ("0", "1")
    assert first[0] == again[0]
    exponential = tmp_path / "minuddm" / "layers" / "exponential.py"
    source = exponential.read_text()
    changed = source.replace("return poly * np.int32", "return poly * poly * np.int32")
    assert changed != source
    exponential.write_text(changed)
    assert run()[0] != first[0]
