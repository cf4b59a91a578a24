"""How far long work is, and how long it took in all of its legs."""

import json
import os
import sys
import time

import pytest

from experiments.kit import legs
from experiments.kit.progress import watched


def test_where_no_terminal_watches_each_finished_piece_has_a_line(capsys):
    pieces = watched("ab", 2, "work")
    assert next(pieces) == "a"
    assert capsys.readouterr().err == "work: 1 of 2 done\n"  # said when it is, not at the end
    assert list(pieces) == ["b"]
    assert capsys.readouterr().err == "work: 2 of 2 done\n"


def test_on_a_terminal_there_is_a_bar(capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert list(watched("ab", 2, "work")) == ["a", "b"]
    assert "100%" in capsys.readouterr().err


def leg(folder, seconds, run="run", ends=None, cell=True):
    """A leg of a run that takes so many seconds; how it ends, and whether it leaves a cell."""
    with legs.timed(folder, run) as clock:
        time.sleep(seconds)
        if cell:
            (folder / "cells" / "x.npz").touch()
        if ends is not None:
            raise ends
        return clock()


def test_an_interrupted_run_took_as_long_as_all_of_its_legs(tmp_path):
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            leg(tmp_path, 0.2, ends=KeyboardInterrupt())
    for _ in range(2):  # once more: it finds its cells
        assert leg(tmp_path, 0.0) > 0.36  # a file's time is up to a tick, 10 ms, late


def test_the_legs_of_another_run_count_nothing(tmp_path):
    leg(tmp_path, 0.0)
    note = tmp_path / "cells" / "legs.json"
    note.write_text(json.dumps(json.loads(note.read_text()) | {"seconds": 1000}))
    assert leg(tmp_path, 0.0) > 1000
    assert leg(tmp_path, 0.0, run="another") < 1000


def test_a_leg_that_was_killed_counts_up_to_its_last_file(tmp_path):
    with legs.timed(tmp_path, "run"):
        left = (tmp_path / "cells" / "legs.json").read_bytes()
    (tmp_path / "cells").mkdir()
    (tmp_path / "cells" / "legs.json").write_bytes(left)
    cell = tmp_path / "cells" / "y.npz"
    cell.touch()
    os.utime(cell, times=(0, json.loads(left)["since"] + 1000))
    assert 1000 <= leg(tmp_path, 0.0) < 2000


def test_a_run_that_leaves_no_cells_takes_its_own_time(tmp_path):
    assert leg(tmp_path, 0.2, cell=False) >= 0.2
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("note", [b"", b"{}", b"[]", b'{"run": "run", "since": 1}', b"\xff"])
def test_a_note_that_is_damaged_counts_nothing(tmp_path, note):
    (tmp_path / "cells").mkdir()
    (tmp_path / "cells" / "legs.json").write_bytes(note)
    assert leg(tmp_path, 0.0) < 1000
