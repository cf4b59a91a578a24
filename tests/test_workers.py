"""Who does the work changes nothing: a cluster that loses a worker gives the same files."""

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from experiments import kernel_lab
from experiments.kit import cells
from experiments.kit.workers import Workers, WorkersError
from tests.test_kit import Task, square

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "experiments" / "report" / "RESULTS.template.md"
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
    """A scheduler on loopback, and what starts workers: as the page says, from another folder."""
    pytest.importorskip("distributed", reason="Dask is not installed (extra `cluster`)")
    scheduler, worker = re.findall(r"^    (dask .+)$", PAGE.read_text("utf-8"), re.MULTILINE)
    programs = str(Path(sys.executable).parent)
    environment = os.environ | {"PATH": os.pathsep.join([programs, os.environ["PATH"]])}
    environment.pop("PYTHONPATH", None)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    processes = []

    def start(command):
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        words = [*command.split(), "--no-dashboard"]
        processes.append(subprocess.Popen(words, cwd=tmp_path, env=environment, **quiet))
        return processes[-1]

    def workers(number):
        here = worker.replace("host:8786", address)
        assert here.endswith("--nworkers 8")
        return start(here.replace("--nworkers 8", f"--nworkers {number}"))

    try:
        start(scheduler + " --host {} --port {}".format(*address.split(":")))
        yield f"tcp://{address}", workers, processes
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


def at_work(address, number=20):
    """Return the processes that do the work of a scheduler."""
    return set(Workers(1, address).do(os.getpid, [()] * number))


@pytest.mark.filterwarnings("ignore")  # of the client that asks for workers
def test_a_worker_that_dies_loses_nothing(tmp_path, cluster):
    address, start, _ = cluster
    rng = np.random.default_rng(0)
    text, out = tmp_path / "text.txt", tmp_path / "scheduled"
    text.write_text(" ".join("".join(rng.choice(list("abcde"), 5)) for _ in range(3000)))
    start(2)
    workers = wait_for("workers", lambda: (found := sorted(at_work(address)))[1:] and found)

    def kill_in_the_middle():
        wait_for("finished cell", lambda: list(out.glob("cells/*.npz")))
        os.kill(workers[0], signal.SIGKILL)

    killer = threading.Thread(target=kill_in_the_middle)
    killer.start()
    said, table = run_grid(text, out, "--scheduler", address)
    killer.join()
    assert workers[0] not in at_work(address)

    alone_said, alone_table = run_grid(text, tmp_path / "alone")
    assert said == alone_said
    assert table == alone_table
    cells, alone = (sorted((tmp_path / who).glob("cells/*.npz")) for who in ("scheduled", "alone"))
    assert [p.name for p in cells] == [p.name for p in alone]
    assert len(cells) >= 8
    for one, other in zip(cells, alone, strict=True):
        with np.load(one) as here, np.load(other) as there:
            assert set(here) == set(there)
            for name in set(here) - {"seconds"}:
                np.testing.assert_array_equal(here[name], there[name], err_msg=name)


@pytest.mark.filterwarnings("ignore")
def test_one_worker_of_one_thread_may_come_late_and_go(cluster, monkeypatch):
    monkeypatch.setattr("experiments.kit.workers._PATIENCE", 3)
    address, start, processes = cluster
    with pytest.raises(WorkersError, match="has no workers"):
        Workers(1, address).check()
    start(1)
    [worker] = at_work(address)
    assert worker != os.getpid()
    assert list(Workers(1, address).do(divmod, [(7, 2), (9, 4)])) == [(3, 1), (2, 1)]
    for gone, message in ((-1, "has no workers"), (0, "is lost")):
        threading.Timer(1, processes[gone].kill).start()
        with pytest.raises(WorkersError, match=message):
            list(Workers(1, address).do(time.sleep, [(600,)]))
        start(1)


def test_a_worker_with_other_sources_than_the_run_is_refused(tmp_path):
    with pytest.raises(WorkersError, match="start the workers anew"):
        cells._keep(
            square,
            Task(2),
            cells.path(square, Task(3), tmp_path),
            Path(square.__code__.co_filename),
        )
    assert list(tmp_path.iterdir()) == []


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
