"""The house can be read: an evening holds README's path, and no file is longer than a sitting."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
EVENING, BEFORE_THE_KEYSTONE, NETWORK = 2000, 600, 220
LINES, MACHINE_LINES, README_LINES = 300, 400, 130
STOP = re.compile(r"^\| (\d+) \| (.+) \| .+ \| (\d+) \| (\d+) \|$", re.MULTILINE)


def stops() -> list[tuple[list[Path], int, int]]:
    """The stops of README's path: files, and the lines and minutes it gives for them."""
    found = []
    for number, files, lines, minutes in STOP.findall(README):
        assert int(number) == len(found) + 1
        paths = [ROOT / name for name in re.findall(r"`([\w./]+)`", files)]
        found.append((paths, int(lines), int(minutes)))
    return found


def length(path: Path) -> int:
    return len(path.read_text().splitlines())


def test_readme_counts_the_lines_and_minutes_of_every_stop():
    """Eight lines take a minute: two thousand of them an evening of four hours."""
    assert stops()
    for paths, lines, minutes in stops():
        assert sum(map(length, paths)) == lines, paths
        assert minutes == max(1, round(lines / 8)), paths


def test_an_evening_holds_the_path():
    assert sum(lines for _, lines, _ in stops()) <= EVENING


def test_the_keystone_comes_early_and_before_any_network():
    read = 0
    for paths, lines, _ in stops():
        names = [path.name for path in paths]
        assert not {"network.py", "transformer.py", "train.py"} & set(names)
        read += lines
        if "test_keystone.py" in names:
            break
    else:
        pytest.fail("the path does not pass the keystone")
    assert read <= BEFORE_THE_KEYSTONE


def test_the_network_is_two_hundred_lines():
    assert length(ROOT / "minuddm" / "network.py") <= NETWORK


def test_no_file_is_longer_than_a_sitting():
    listed = subprocess.run(
        ["git", "ls-files", "*.py"], capture_output=True, text=True, cwd=ROOT, check=False
    )
    if listed.returncode:
        pytest.skip("not a git checkout")
    for name in listed.stdout.split():
        most = MACHINE_LINES if name.startswith("minuddm/machine/") else LINES
        assert length(ROOT / name) <= most, name
    assert length(ROOT / "README.md") <= README_LINES
