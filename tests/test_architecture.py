"""The house keeps its shape: arrows point down the floors, the two sides never meet."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FLOORS = [
    {"files", "schedule", "network", "laws"},
    {"machine.jit", "machine.shards"},
    {"checks"},
    {"machine"},  # layers: each a loop or two
    {"draws", "text", "sources", "adamw", "nelbo.integrand", "nelbo.times"},
    {"transition", "weights", "vocabulary"},
    {"process", "engine", "machine.arrays", "sequences"},
    {"denoiser", "machine.passes"},
    {"machine.engine"},
    {"nelbo", "transformer", "ideal", "samplers"},
    {"reverse", "checkpoint", "published"},
    {"train", "probes"},
    {"command"},
    {"__main__"},
]
ENERGY_FLOORS = [
    {"jit", "frozen", "threads"},
    {"separation", "recall"},
    {"reference", "walks", "couplings", "continuous", "propagation"},
    {"baths"},
    {"dense", "pseudolikelihood"},
    {"binary", "token"},
    {"landscape"},
]
MODULES = sorted(
    path.relative_to(ROOT).as_posix()
    for side in ("minuddm", "hopfield")
    for path in (ROOT / side).rglob("*.py")
)


def imports(path: Path) -> set[str]:
    """All modules a file imports, by full name."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def room(name: str, floors: list[set[str]]) -> str:
    """The longest of the names on the floors that begins a module's name inside its package."""
    parts = name.split(".")
    starts = [".".join(parts[:k]) for k in range(len(parts), 0, -1)]
    return next(start for start in starts if any(start in modules for modules in floors))


def floor(name: str, floors: list[set[str]]) -> int:
    """The floor of a room."""
    [level] = [k for k, modules in enumerate(floors) if name in modules]
    return level


@pytest.mark.parametrize("module", MODULES)
def test_the_sides_do_not_know_each_other_nor_who_uses_them(module):
    side = module.split("/")[0]
    strangers = {"minuddm", "hopfield", "experiments", "tests", "matplotlib"} - {side}
    if module == "minuddm/command/figures.py":
        strangers -= {"matplotlib"}  # the one command that draws
    assert not {name.split(".")[0] for name in imports(ROOT / module)} & strangers


@pytest.mark.parametrize("module", MODULES)
def test_arrows_point_down_the_floors(module):
    side, *path = module.removesuffix(".py").split("/")
    floors = FLOORS if side == "minuddm" else ENERGY_FLOORS
    if path[0] == "__init__":
        return  # the map sees the whole house
    own = room(".".join(path), floors)
    for name in imports(ROOT / module):
        if name.startswith(f"{side}."):
            other = room(name.removeprefix(f"{side}."), floors)
            assert other == own or floor(other, floors) < floor(own, floors), f"{own} → {other}"


@pytest.mark.parametrize("module", [name for name in MODULES if name.startswith("minuddm/")])
def test_only_the_process_spells_out_which_process_it_is(module):
    """What stands above asks the value; so another process needs no change there."""
    of_uniform = {"minuddm.transition", "minuddm.draws", "minuddm.nelbo.integrand"}
    own = {"__init__", "draws", "transition", "nelbo/__init__", "process/uniform"}
    if module.removeprefix("minuddm/").removesuffix(".py") not in own:
        found = imports(ROOT / module)
        assert not {
            name for name in found for law in of_uniform if f"{name}.".startswith(f"{law}.")
        }


@pytest.mark.parametrize("module", [name for name in MODULES if name.startswith("minuddm/")])
def test_laws_are_for_tests_alone(module):
    """They need Hypothesis and pytest, and know nothing of what is put through them."""
    found = imports(ROOT / module)
    if module.startswith("minuddm/laws/"):
        assert all(name.startswith("minuddm.laws.") for name in found if name.startswith("minuddm"))
    else:
        assert not {name.split(".")[0] for name in found} & {"hypothesis", "pytest"}
        assert not any(f"{name}.".startswith("minuddm.laws.") for name in found)


@pytest.mark.parametrize("module", MODULES)
def test_only_the_transformer_and_the_memoriser_open_the_machine(module):
    """Others have loops of their own: they may know how a loop is compiled and run, no layer."""
    if module.startswith("minuddm/machine/"):
        return
    known = {name.split(".")[2] for name in imports(ROOT / module) if ".machine." in name}
    layers = {
        "minuddm/transformer.py": {"engine"},
        "minuddm/ideal/matches.py": {"one_hot_attention"},
    }
    how = {"jit", "shards", "subnormals", "exponential", "integrand"}
    assert known <= how | layers.get(module, set())


@pytest.mark.parametrize("module", MODULES)
def test_only_the_command_reads_a_command_line(module):
    if not module.startswith("minuddm/command/"):
        assert "argparse" not in {name.split(".")[0] for name in imports(ROOT / module)}


def test_importing_the_package_draws_nothing():
    """What `import minuddm` costs beyond NumPy and Numba is small: nothing that draws or forks."""
    program = "import minuddm, hopfield, sys, json; print(json.dumps(sorted(sys.modules)))"
    answer = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT
    )
    loaded = {name.split(".")[0] for name in json.loads(answer.stdout)}
    assert not loaded & {"matplotlib", "joblib", "experiments", "hypothesis", "pytest"}
    assert "tokenizers" not in loaded
    assert "minuddm.command" not in json.loads(answer.stdout)
    assert "scipy.stats" not in json.loads(answer.stdout)  # slow to load, and hardly needed


def test_the_top_level_is_what_was_promised():
    listed = subprocess.run(
        ["git", "ls-files"], capture_output=True, text=True, cwd=ROOT, check=False
    )
    if listed.returncode:
        pytest.skip("not a git checkout")
    folders = {line.split("/")[0] for line in listed.stdout.splitlines() if "/" in line}
    assert {name for name in folders if not name.startswith(".")} <= {
        "minuddm", "hopfield", "experiments", "tests"
    }  # fmt: skip
