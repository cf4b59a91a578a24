"""Machine code on disk is that of the sources as they are, and gives the same bits every time."""

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROGRAM = """
import numpy as np
from minuddm.machine.mlp import gelu_forward
y, u = np.empty((1, 8), np.float32), np.ones((1, 8), np.float32)
gelu_forward(y, u, np.zeros(8, np.float32))
print(y[0, 0], sum(gelu_forward.stats.cache_hits.values()))
"""


def test_a_function_is_compiled_again_if_one_that_it_calls_has_changed(tmp_path):
    shutil.copytree(ROOT / "minuddm", tmp_path / "minuddm",
                    ignore=shutil.ignore_patterns("__pycache__"))  # fmt: skip
    shutil.copy(ROOT / "argument_checks.py", tmp_path)

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
    exponential = tmp_path / "minuddm" / "machine" / "exponential.py"
    source = exponential.read_text()
    changed = source.replace("np.float32(poly)", "np.float32(poly * poly)")
    assert changed != source
    exponential.write_text(changed)
    assert run()[0] != first[0]


TRAINING = """
import hashlib
import sys
import numpy as np
from minuddm import ModelConfig, TrainConfig, Transformer
from minuddm.nelbo import nelbo
from minuddm.train import train
rng = np.random.default_rng(0)
x = rng.integers(6, size=(8, 32)).astype(np.int32)
if "bound first" in sys.argv:
    nelbo(np.zeros((8, 32, 6), np.float32), x, x, 0.5, -1.0)
model = Transformer.init(ModelConfig(6, 32, 16, 1, 2), rng)
losses = train(model, x, TrainConfig(steps=5, batch=8)).losses
print(hashlib.sha256(losses.tobytes() + model.weights.flat.tobytes()).hexdigest())
"""


def test_neither_compiling_nor_what_is_loaded_before_changes_a_bit(tmp_path):
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}
    bits = [
        subprocess.run(
            [sys.executable, "-c", TRAINING, when], cwd=ROOT, env=environment,
            capture_output=True, text=True, check=True,
        ).stdout
        for when in ("compiling", "compiled", "bound first")
    ]  # fmt: skip
    assert len(set(bits)) == 1


def layers():
    """Return all functions whose sums the compiler may regroup."""
    paths = [path for name in ("minuddm", "hopfield") for path in (ROOT / name).rglob("*.py")]
    return [
        pytest.param(node, id=f"{path.stem}.{node.name}")
        for path in paths
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef)
        and any(isinstance(d, ast.Name) and d.id == "jit_reassoc" for d in node.decorator_list)
    ]


def names(node):
    return {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}


def body(loop):
    return [node for line in loop.body for node in ast.walk(line)]


def sums(loop):
    """Return what is carried from pass to pass of a loop: s += …, s = … s …, t[0] += …"""
    carried, fresh = set(), set()
    for node in body(loop):
        if isinstance(node, ast.AugAssign) and loop.target.id not in names(node.target):
            carried |= {ast.unparse(node.target)}
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name = node.targets[0].id
            (carried if name in names(node.value) else fresh).add(name)
    return carried - fresh


def writes(loop):
    return any(isinstance(n, ast.Subscript) and isinstance(n.ctx, ast.Store) for n in body(loop))


def offences(function):
    """Return the lines of innermost loops, those that become SIMD, which sum and write."""
    loops = [node for node in ast.walk(function) if isinstance(node, ast.For)]
    innermost = [loop for loop in loops if not any(isinstance(n, ast.For) for n in body(loop))]
    return [loop.lineno for loop in innermost if sums(loop) and writes(loop)]


@pytest.mark.parametrize("function", layers())
def test_a_loop_that_sums_writes_nothing(function):
    assert offences(function) == []


def test_loops_that_sum_and_write_are_found():
    for line in ("s += x[j]", "s = s + x[j]", "t[0] += x[j]"):
        assert offences(ast.parse(f"for j in range(n):\n    {line}\n    y[j] = x[j]")) == [1]
    for line in ("s = x[j]", "s = x[j]\n    s += 1"):
        assert offences(ast.parse(f"for j in range(n):\n    {line}\n    y[j] += s")) == []
