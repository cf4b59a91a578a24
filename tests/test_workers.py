"""Who does the work changes nothing: a cluster that loses a worker gives the same files."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from experiments import kernel_lab
from experiments.kit.workers import Workers

ROOT = Path(__file__).parents[1]
PATIENCE = 120  # seconds until something that should happen is said not to
GRID = [
    *("--sizes", "16x1", "--subsets", "4", "8", "16", "32", "--seeds", "2"),
    *("--steps", "300", "--samples", "5", "--quick", "--jobs", "1"),
]


def wait_for(what, found):
    for _ in range(10 * PATIENCE):
        if result := found():
            return result
        time.sleep(0.1)
    raise AssertionError(f"no {what} after {PATIENCE} s")


@pytest.fixture
def cluster(tmp_path):
    """A scheduler and two worker processes on loopback: its address, and the workers."""
    pytest.importorskip("distributed", reason="Dask is not installed (extra `cluster`)")
    file, processes = tmp_path / "scheduler.json", []

    def start(*words):
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        command = [sys.executable, "-m", "dask", *words, "--scheduler-file", str(file)]
        processes.append(subprocess.Popen(command, cwd=ROOT, **quiet))
        return processes[-1]

    try:
        start("scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard")
        wait_for("scheduler", file.exists)
        alone = ("--nthreads", "1", "--nworkers", "1", "--no-nanny", "--no-dashboard")
        workers = [start("worker", *alone) for _ in range(2)]
        address = json.loads(file.read_text())["address"]

        def joined():
            from distributed import Client

            with Client(address, timeout=PATIENCE) as client:
                return len(client.scheduler_info()["workers"]) == 2

        wait_for("workers", joined)
        yield address, workers
    finally:
        for process in processes[::-1]:
            process.kill()
            process.wait()


def run_grid(text, out, *more):
    """Run a small grid as a user would; return what it leaves."""
    command = [sys.executable, "-m", "experiments.size_sweep", "--data", str(text)]
    run = subprocess.run(
        [*command, *GRID, "--out", str(out), *more], cwd=ROOT, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    return run.stdout, (out / "table.csv").read_text()


@pytest.mark.filterwarnings("ignore")  # of the client that asks for workers
def test_a_worker_that_dies_loses_nothing(tmp_path, cluster):
    address, workers = cluster
    rng = np.random.default_rng(0)
    text, out = tmp_path / "text.txt", tmp_path / "scheduled"
    text.write_text(" ".join("".join(rng.choice(list("abcde"), 5)) for _ in range(3000)))

    def kill_in_the_middle():
        wait_for("finished cell", lambda: list(out.glob("cells/*.npz")))
        os.kill(workers[0].pid, signal.SIGKILL)

    at_work = set(Workers(1, address).do(os.getpid, [()] * 20))
    assert at_work <= {worker.pid for worker in workers}  # and not in this process

    killer = threading.Thread(target=kill_in_the_middle)
    killer.start()
    said, table = run_grid(text, out, "--scheduler", address)
    killer.join()
    workers[0].wait()
    assert workers[0].returncode == -signal.SIGKILL
    assert workers[1].poll() is None

    alone_said, alone_table = run_grid(text, tmp_path / "alone")
    assert said == alone_said
    assert table == alone_table
    cells, alone = (sorted((tmp_path / who).glob("cells/*.npz")) for who in ("scheduled", "alone"))
    assert [p.name for p in cells] == [p.name for p in alone]
    assert len(cells) == 8
    for one, other in zip(cells, alone, strict=True):
        with np.load(one) as here, np.load(other) as there:
            assert set(here) == set(there)
            for name in set(here) - {"seconds"}:
                np.testing.assert_array_equal(here[name], there[name], err_msg=name)


def test_jobs_come_in_order_or_as_they_are_done():
    for workers in (Workers(1), Workers(2)):
        assert list(workers.do(divmod, [(7, 2), (9, 4)])) == [(3, 1), (2, 1)]
        assert sorted(workers.do(divmod, [(7, 2), (9, 4)], ordered=False)) == [(2, 1), (3, 1)]
        assert list(workers.do(divmod, [])) == []


def test_without_the_extra_one_line_says_what_to_install(monkeypatch, capsys, tmp_path):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(SystemExit) as left:
        kernel_lab.EXPERIMENT.main(
            ["--scheduler", "tcp://127.0.0.1:1", "--out", str(tmp_path / "out")]
        )
    assert left.value.code == 2
    assert "pip install 'minuddm[cluster]'" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "nonsense://here"])
def test_a_scheduler_that_is_not_there_is_refused(address, capsys, monkeypatch, tmp_path):
    pytest.importorskip("distributed", reason="Dask is not installed (extra `cluster`)")
    monkeypatch.setattr("experiments.kit.workers._PATIENCE", 1)
    with pytest.raises(SystemExit) as left:
        kernel_lab.EXPERIMENT.main(["--scheduler", address, "--out", str(tmp_path / "out")])
    assert left.value.code == 2
    message = capsys.readouterr().err.splitlines()[-1]
    assert f"no scheduler answers at {address}" in message
    assert not (tmp_path / "out").exists()
