"""For `pytest -p tests.bounds`: all compiled loops are run, with bounds checks in them.

`NUMBA_BOUNDSCHECK=1` puts them there [`minuddm/machine/README.md`]. Left out are tests of whole
experiments, of commands, of the page and of processes; a loop that no other test reaches, in any of
the processes that share out the tests, fails the run. Everything is compiled anew: code found on
disk would not tell which loops it calls.
"""

import importlib
import os
import pkgutil
import tempfile
from fnmatch import fnmatch

import numba
import pytest
from hypothesis import settings
from numba.core.registry import CPUDispatcher

LEFT_OUT = (
    *("*experiment*", "two_processes", "*command*", "explorer*", "program", "workers", "legs"),
    *("readme", "report", "speed", "course", "checkpoint", "compiled", "frozen", "memory_safety"),
    *("train", "twin"),
)
OF_WORKERS: list[list[str]] = []


def pytest_configure(config):
    if not numba.config.BOUNDSCHECK:
        raise pytest.UsageError("tests.bounds needs NUMBA_BOUNDSCHECK=1")
    settings.register_profile("bounds", settings.get_profile("minuddm"), max_examples=20)
    settings.load_profile("bounds")  # an index goes astray by shapes, of which there are few
    folder = tempfile.TemporaryDirectory()
    config.add_cleanup(folder.cleanup)
    numba.config.CACHE_DIR = os.environ["NUMBA_CACHE_DIR"] = folder.name


def pytest_ignore_collect(collection_path):
    name = collection_path.stem.removeprefix("test_")
    return any(fnmatch(name, pattern) for pattern in LEFT_OUT) or None


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node, error):
    if error is None:  # one that died fails the run without this
        OF_WORKERS.append(node.workeroutput["never called"])


def pytest_sessionfinish(session):
    if hasattr(session.config, "workeroutput"):  # one of several processes
        session.config.workeroutput["never called"] = never_called()
        return
    first, *others = OF_WORKERS or [never_called()]
    missing = [name for name in first if all(name in other for other in others)]
    if session.exitstatus == pytest.ExitCode.OK and missing:
        print(f"\nnever called: {', '.join(missing)}")
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def never_called():
    """Return the compiled functions of both packages that were never compiled."""
    names = [
        module.name
        for package in map(importlib.import_module, ("minuddm", "hopfield"))
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
    ]
    return [
        f"{name}.{function.__name__}"
        for name in names
        for function in vars(importlib.import_module(name)).values()
        if isinstance(function, CPUDispatcher)
        and function.__module__ == name
        and not function.overloads
    ]
