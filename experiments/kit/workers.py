"""Who does the work: the cores of this machine, or the workers of a Dask scheduler anywhere.

All experiments are made of independent jobs with one thread each. joblib hands them to processes of
this machine; with a scheduler's address they go to its workers, which must see the same files (the
repository and the folder of the results). A worker that dies loses the job it was at, which another
takes up; what is finished lies on disk either way. Neither changes a bit of a result.
"""

import contextlib
import functools
import logging
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, CancelledError
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib
from threadpoolctl import threadpool_limits

_PATIENCE = 20  # seconds to wait for a scheduler, and for a worker where there is none
_ROOT = str(Path(__file__).parents[2])
_FIND = f"""import sys
if {_ROOT!r} not in sys.path:
    sys.path.insert(0, {_ROOT!r})
import {__name__}"""  # what a scheduler and its workers need before they can read a job


class WorkersError(RuntimeError):
    """Nobody does the work: there is no scheduler, it has no workers, or they were ended."""


@dataclass(frozen=True)
class Workers:
    """A number of processes of this machine or, with an address, the workers of a scheduler."""

    jobs: int = 1
    scheduler: str | None = None

    def check(self) -> None:
        """Raise `WorkersError` unless there is no scheduler, or it answers and has workers."""
        if self.scheduler is not None:
            with self._client() as client:
                self._wait_for_one(client)

    def do(
        self, work: Callable[..., Any], arguments: list[tuple[Any, ...]], *, ordered: bool = True
    ) -> Iterator[Any]:
        """Yield what `work` returns for each tuple of arguments, in their order or as it comes.

        Raises `WorkersError` if those who do it are lost.
        """
        if self.scheduler is not None:
            yield from self._far(work, arguments, ordered)
            return
        how = "generator" if ordered else "generator_unordered"
        todo = [joblib.delayed(_alone)(work, words) for words in arguments]
        try:
            yield from joblib.Parallel(max(1, min(self.jobs, len(todo))), return_as=how)(todo)
        except BrokenExecutor:
            raise WorkersError(
                "a worker was ended from outside; was there enough memory?"
            ) from None

    def _far(
        self, work: Callable[..., Any], arguments: list[tuple[Any, ...]], ordered: bool
    ) -> Iterator[Any]:
        with self._client() as client:
            from distributed import KilledWorker, wait

            left = client.map(_alone, [work] * len(arguments), arguments, pure=False)
            try:
                while left:
                    next_ones = left[:1] if ordered else left
                    try:
                        done = wait(next_ones, _PATIENCE, "FIRST_COMPLETED").done
                    except TimeoutError:
                        self._wait_for_one(client)
                        continue
                    for future in done:
                        left.remove(future)
                        yield future.result()
            except CancelledError:
                raise WorkersError(f"the scheduler at {self.scheduler} is lost") from None
            except KilledWorker as error:
                raise WorkersError(str(error)) from None

    @contextlib.contextmanager
    def _client(self) -> Iterator[Any]:
        """Yield a client of the scheduler, whose workers, also those to come, find the code."""
        try:
            from distributed import Client

            for name in ("distributed.client", "asyncio"):  # what fails is told in one line, ours
                logging.getLogger(name).setLevel(logging.CRITICAL)
        except ImportError:
            raise WorkersError(
                "--scheduler needs the extra `cluster`: pip install 'minuddm[cluster]'"
            ) from None
        try:
            client = Client(self.scheduler, timeout=_PATIENCE)
        except Exception as error:  # whatever the address makes its network raise
            raise WorkersError(
                f"no scheduler answers at {self.scheduler} ({error or type(error).__name__})"
            ) from None
        with client:
            find = functools.partial(exec, _FIND)
            try:
                client.run_on_scheduler(find)
                client.register_worker_callbacks(find)
            except ImportError as error:
                raise WorkersError(f"{self.scheduler} does not see {_ROOT} ({error})") from None
            yield client

    def _wait_for_one(self, client: Any) -> None:
        try:
            client.wait_for_workers(1, _PATIENCE)
        except TimeoutError:
            raise WorkersError(f"the scheduler at {self.scheduler} has no workers") from None


def _alone(work: Callable[..., Any], words: tuple[Any, ...]) -> Any:
    """Do one job with one thread, wherever it is."""
    with threadpool_limits(1):
        return work(*words)
