"""What an experiment leaves behind: record.json, table.csv, figure.png and figure.svg.

The record names the claim, the configuration, seeds, versions, machine, commit and data, so that
a number in it can be made again.
"""

import csv
import datetime
import io
import json
import math
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from minuddm.files import write_atomically
from minuddm.probes import Interval

_CODE = (":/", ":(top,exclude)experiments/results")  # a record to be replaced is no change of code
_PACKAGES = ("minuddm", "numpy", "numba", "scipy", "matplotlib", "joblib", "safetensors")


class Run:
    """One run of an experiment, from the moment it starts to what it leaves behind."""

    def __init__(
        self, experiment: str, module_doc: str | None, argv: Sequence[str] | None = None
    ) -> None:
        self.experiment, self.claim = experiment, claim(module_doc)
        words = sys.argv[1:] if argv is None else argv
        self.command = " ".join(["python -m", f"experiments.{experiment}", *words])
        self._started, self._environment = time.perf_counter(), environment()

    def leave(
        self,
        out: Path,
        columns: list[str],
        rows: Iterable[Mapping[str, Any]],
        settings: Mapping[str, Any],
        headline: Mapping[str, Any],
        paragraph: str,
        **more: Any,
    ) -> None:
        """Write table.csv and record.json, and print the paragraph."""
        write_table(out, columns, rows)
        write_record(
            out,
            {
                "experiment": self.experiment,
                "claim": self.claim,
                "command": self.command,
                **more,
                "settings": settings,
                "wall_seconds": time.perf_counter() - self._started,
                "headline": {**headline, "paragraph": paragraph},
                "environment": self._environment,
            },
        )
        print(paragraph)


def show(interval: Interval, least: float = 0.0) -> str:
    """Say where a crossing is, with its interval; `least` is the smallest place measured."""
    if math.isnan(interval.value):
        return "none of those measured"
    if interval.value <= least:
        return f"{least:.0f} or below"
    high = f"{interval.high:.0f}" if math.isfinite(interval.high) else "beyond"
    return f"{interval.value:.0f} ({interval.low:.0f} to {high})"


def claim(module_doc: str | None) -> str:
    """Return the claim that opens an experiment's module, on one line."""
    return " ".join((module_doc or "").split("\n\n")[0].split())


def environment() -> dict[str, Any]:
    """Return versions, processor and commit: what a number may depend on besides its seed.

    To be called at the start of a run, when the code on disk is the code that runs.
    """
    return {
        "python": platform.python_version(),
        **{name: _version(name) for name in _PACKAGES},
        "platform": f"{platform.system()} {platform.machine()}",
        "cpu": _processor(),
        "cores": os.cpu_count(),
        "commit": _git("rev-parse", "HEAD"),
        "dirty": bool(_git("status", "--porcelain", "--untracked-files=no", "--", *_CODE)),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
    }


def write_record(out: Path, record: Mapping[str, Any]) -> None:
    """Write record.json; NaN becomes null and infinity a word."""
    content = json.dumps(_plain(record), indent=2, ensure_ascii=False, allow_nan=False)
    write_atomically(out / "record.json", (content + "\n").encode())


def write_table(out: Path, columns: list[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Write table.csv: one line a row, numbers with six digits, nothing where there is no value."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: _cell(value) for key, value in row.items()} for row in rows)
    write_atomically(out / "table.csv", text.getvalue().encode())


def _cell(value: Any) -> Any:
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.6g}"
    return value


def _plain(value: Any) -> Any:
    """Turn what JSON does not know into what it does: NaN is null, infinity a word."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        if math.isnan(value):
            return None
        return value if math.isfinite(value) else str(value)
    if isinstance(value, Path):
        return value.name
    return value


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor()


def _git(*words: str) -> str | None:
    try:
        answer = subprocess.run(
            ["git", *words], cwd=Path(__file__).parent, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return answer.stdout.strip()
