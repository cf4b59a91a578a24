"""For `pytest -p tests.bounds`: the run must reach every compiled loop, with bounds checks in it.

`NUMBA_BOUNDSCHECK=1` puts them there [`minuddm/machine/README.md`].
"""

import importlib
import pkgutil

import numba
import pytest
from numba.core.registry import CPUDispatcher

import hopfield
import minuddm


def left_out():
    """Return the compiled functions of both packages that nobody has called."""
    names = [
        module.name
        for package in (minuddm, hopfield)
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


def pytest_configure(config):
    if not numba.config.BOUNDSCHECK:
        raise pytest.UsageError("tests.bounds needs NUMBA_BOUNDSCHECK=1")


def pytest_sessionfinish(session):
    if missing := left_out():
        print(f"\nnever called: {', '.join(missing)}")
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
