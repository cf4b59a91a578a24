"""Machine code on disk is that of the sources as they are, and gives the same bits every time."""

import ast
import os
import shutil
import signal
import subprocess
import sys
import time
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


def start(program: str, folder: Path, **environment: str) -> subprocess.Popen:
    """Run a program in a folder; nowhere but beside its modules may it write, unless told so."""
    usual = {k: v for k, v in os.environ.items() if not k.startswith(("NUMBA_", "XDG_"))}
    usual |= {"HOME": "/proc", "TMPDIR": str(folder / "no place"), "PYTHONPATH": "", **environment}
    return subprocess.Popen(
        [sys.executable, "-c", program], cwd=folder, env=usual, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def run(program: str, folder: Path, **environment: str) -> list[str]:
    """Return the words that a program prints, with the lines of its standard error."""
    process = start(program, folder, **environment)
    out, errors = process.communicate()
    assert process.returncode == 0, errors
    return [*out.split(), *(line for line in errors.splitlines() if "Warning: " in line)]


def block(folder: Path, *packages: Path) -> None:
    """Let nothing be written beside sources or in `no place`, not even by root."""
    for package in packages:
        (package / "__pycache__").write_text("no folder")
    (folder / "no place").mkdir()
    (folder / "no place" / f"minuddm-{os.getuid()}").write_text("no folder")


def test_a_function_is_compiled_again_if_one_that_it_calls_has_changed(tmp_path):
    """Here in a package that cannot be written, so that its code goes to the user's cache."""
    shutil.copytree(ROOT / "minuddm", tmp_path / "minuddm",
                    ignore=shutil.ignore_patterns("__pycache__"))  # fmt: skip
    for name in ("argument_checks.py", "machine_code.py"):
        shutil.copy(ROOT / name, tmp_path)
    block(tmp_path, tmp_path / "minuddm")
    home = str(tmp_path / "home")
    first, again = (run(PROGRAM, tmp_path, HOME=home) for _ in range(2))
    assert (first[1:], again[1:]) == (["0"], ["1"])
    assert first[0] == again[0]
    exponential = tmp_path / "minuddm" / "machine" / "exponential.py"
    source = exponential.read_text()
    changed = source.replace("np.float32(poly)", "np.float32(poly * poly)")
    assert changed != source
    exponential.write_text(changed)
    assert run(PROGRAM, tmp_path, HOME=home)[0] != first[0]


SMALL = """
import numpy as np
from small.caller import total
print(*(total(np.ones(4, dtype)) for dtype in ({dtypes})), sum(total.stats.cache_hits.values()))
"""


@pytest.fixture
def small(tmp_path):
    """A folder with a package of two functions, one of which calls the other, of another file."""
    package = tmp_path / "small"
    package.mkdir()
    (package / "__init__.py").touch()
    compiled = "from machine_code import compiled\n\n@compiled\n"
    (package / "callee.py").write_text(f"{compiled}def twice(x):\n    return 2 * x\n")
    (package / "caller.py").write_text(
        f"from small.callee import twice\n{compiled}def total(x):\n    return twice(x).sum()\n"
    )
    shutil.copy(ROOT / "machine_code.py", tmp_path)
    return tmp_path


ONE = SMALL.format(dtypes="'f4',")


@pytest.mark.parametrize("place", ["NUMBA_CACHE_DIR", "HOME", "XDG_CACHE_HOME", "TMPDIR", None])
def test_every_place_is_used_in_turn_and_the_last_resorts_are_told_once(place, small):
    block(small, small / "small")
    (small / "place").mkdir()
    where = {} if place is None else {place: str(small / "place")}
    first, again = (run(ONE, small, **where) for _ in range(2))
    assert first[:2] == ["8.0", "0"]
    assert again[:2] == ["8.0", "0" if place is None else "1"]
    told = {"TMPDIR": (1, 0), None: (1, 1)}.get(place, (0, 0))
    assert (len(first) - 2, len(again) - 2) == told
    if place is None:
        assert "every process compiles anew" in first[2]
    else:
        (small / "small" / "callee.py").write_text(
            (small / "small" / "callee.py").read_text().replace("2 * x", "3 * x")
        )
        assert run(ONE, small, **where) == ["12.0", "0"]


def test_what_is_damaged_or_of_another_processor_or_setting_is_compiled_again(small):
    def cached() -> list[Path]:
        return [p for p in (small / "small" / "__pycache__").rglob("small.*") if p.is_file()]

    assert run(ONE, small) == ["8.0", "0"]
    number = len(cached())
    for path in cached():
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2] + b"\0" + whole[len(whole) // 2 + 1 :])
    assert run(ONE, small) == ["8.0", "0"]
    for path in cached():
        path.write_bytes(path.read_bytes()[:-1])
    assert run(ONE, small) == ["8.0", "0"]
    for other in ({"NUMBA_CPU_NAME": "nehalem"}, {"NUMBA_BOUNDSCHECK": "1"}):
        assert run(ONE, small, **other) == ["8.0", "0"]
    assert len(cached()) == 3 * number
    assert run(ONE, small) == ["8.0", "1"]


def test_processes_that_compile_at_once_or_are_interrupted_leave_a_whole_cache(small):
    """Numba's own index mixes up overloads of one function that two processes write at once."""
    dtypes = ("'f4','f8'", "'f8','f4'", "'i4','i8'", "'i8','i4'")
    together = [start(SMALL.format(dtypes=some), small) for some in dtypes]
    for process in together:
        out, errors = process.communicate()
        assert (process.returncode, errors) == (0, "")
        assert set(out.split()[:2]) <= {"8", "8.0"}
    everything = SMALL.format(dtypes="'f4','f8','i4','i8'")
    assert run(everything, small) == ["8.0", "8.0", "8", "8", "4"]
    for k, how in enumerate((signal.SIGINT, signal.SIGKILL)):
        process = start(SMALL.format(dtypes=f"'u{2**k}',"), small)
        time.sleep(0.5 + 0.2 * k)
        process.send_signal(how)
        process.communicate()
    assert run(SMALL.format(dtypes="'f4','u1','u2'"), small)[:3] == ["8.0", "8", "8"]


ASTRAY = """
import numpy as np
from hopfield import jit as energies
from minuddm.machine import jit as networks

def read(x, i):
    return x[i]

for jit in (networks.jit_reassoc, networks.jit_strict, energies.jit_reassoc, energies.jit_strict):
    try:
        jit(read)(np.zeros(3), 5)
        print("astray")
    except IndexError:
        print("refused")
"""


def test_the_debug_mode_refuses_what_is_out_of_bounds_whatever_is_cached(tmp_path):
    (tmp_path / "astray.py").write_text(ASTRAY)
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path), "PYTHONPATH": str(ROOT)}
    for debug, word in (("0", "astray"), ("1", "refused")):
        said = subprocess.run(
            [sys.executable, "astray.py"], cwd=tmp_path, capture_output=True, text=True, check=True,
            env=environment | {"NUMBA_BOUNDSCHECK": debug},
        ).stdout.split()  # fmt: skip
        assert said == [word] * 4


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
