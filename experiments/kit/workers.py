"""Who does the work: the cores of this machine, or the workers of a Dask scheduler anywhere.

All experiments are made of independent jobs with one thread each, run by joblib. Here they get
processes of this machine; with a scheduler's address the same jobs go to its workers, which must
see the same files (the repository and the folder of the results). A worker that dies loses the
job it was at, which another takes up; what is finished lies on disk either way. Neither changes a
bit of a result.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import joblib
from threadpoolctl import threadpool_limits

_PATIENCE = 10  # seconds to wait for a scheduler's answer


class SchedulerError(ValueError):
    """There is no scheduler at the address, or the software for it is missing."""


@dataclass(frozen=True)
class Workers:
    """A number of processes of this machine or, with an address, the workers of a scheduler."""

    jobs: int = 1
    scheduler: str | None = None

    def check(self) -> None:
        """Raise `SchedulerError` unless there is none, or it answers and has workers."""
        if self.scheduler is not None:
            with self._client() as client:
                if not client.scheduler_info()["workers"]:
                    raise SchedulerError(f"the scheduler at {self.scheduler} has no workers")

    def do(
        self, work: Callable[..., Any], arguments: list[tuple[Any, ...]], *, ordered: bool = True
    ) -> Iterator[Any]:
        """Yield what `work` returns for each tuple of arguments, in their order or as it comes."""
        how = "generator" if ordered else "generator_unordered"
        todo = [joblib.delayed(_alone)(work, words) for words in arguments]
        if self.scheduler is None:
            yield from joblib.Parallel(max(1, min(self.jobs, len(todo))), return_as=how)(todo)
        else:
            with self._client(), joblib.parallel_config("dask"):
                yield from joblib.Parallel(return_as=how)(todo)

    def _client(self) -> Any:
        try:
            from distributed import Client
        except ImportError:
            raise SchedulerError(
                "--scheduler needs the extra `cluster`: pip install 'minuddm[cluster]'"
            ) from None
        try:
            return Client(self.scheduler, timeout=_PATIENCE)
        except (OSError, ValueError) as error:
            raise SchedulerError(
                f"no scheduler answers at {self.scheduler} ({error or type(error).__name__})"
            ) from None


def _alone(work: Callable[..., Any], words: tuple[Any, ...]) -> Any:
    """Do one job with one thread, wherever it is."""
    with threadpool_limits(1):
        return work(*words)
