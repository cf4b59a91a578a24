"""Files that are there whole or not at all, and one writer of a file at a time."""

import multiprocessing
import os

import pytest

from minuddm.files import reserved, write_atomically


def test_a_run_that_was_killed_keeps_nothing_reserved(tmp_path):
    path = tmp_path / "run.safetensors"
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        pool.apply(_reserve_and_leave, (path,))
        with pytest.raises(ValueError, match="another run"), reserved(path):
            pass
    with reserved(path):
        pass


def _reserve_and_leave(path):
    """Reserve a file in a process that will be killed."""
    global _kept
    _kept = reserved(path)
    _kept.__enter__()


def test_writers_and_readers_of_one_file_do_not_disturb_each_other(tmp_path):
    path, size = tmp_path / "file", 2_000_000
    write_atomically(path, b"a" * size)
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        writing = pool.map_async(_write_again_and_again, [(path, b"a" * size), (path, b"b" * size)])
        while not writing.ready():
            content = path.read_bytes()
            assert content in (b"a" * size, b"b" * size)
        writing.get()
    assert [file.name for file in tmp_path.iterdir()] == ["file"]


def _write_again_and_again(task):
    for _ in range(20):
        write_atomically(*task)


def test_partial_files_of_killed_runs_are_swept_up_when_they_are_old(tmp_path):
    path = tmp_path / "fi[l]e"
    old, young = tmp_path / ".fi[l]e.0.partial", tmp_path / ".fi[l]e.1.partial"
    for partial in (old, young):
        partial.write_bytes(b"half")
    os.utime(old, (0, 0))
    write_atomically(path, b"whole")
    assert {file.name for file in tmp_path.iterdir()} == {path.name, young.name}


@pytest.mark.parametrize("when", ["writing", "syncing", "renaming"])
def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, when):
    path = tmp_path / "file"
    write_atomically(path, b"old")

    def fails(*_):
        raise OSError(28, "No space left on device")

    place = {"writing": "open", "renaming": "replace"}
    if when == "syncing":
        monkeypatch.setattr("os.fsync", fails)
    else:
        monkeypatch.setattr(type(path), place[when], fails)
    with pytest.raises(OSError, match="No space"):
        write_atomically(path, b"new")
    monkeypatch.undo()
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == {"file": b"old"}
