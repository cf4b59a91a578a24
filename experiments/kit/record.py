"""What an experiment leaves behind: record.json and table.csv, beside the figure.

The record names the claim, the configuration, seeds, versions, machine, code and data, so that a
number in it can be made again. It ends with the SHA-256 of what it says and of the files beside it:
damage is noticed, and so is a table or figure of another record. The oldest records have none.
"""

import csv
import datetime
import hashlib
import io
import json
import math
import os
import platform
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from experiments.kit.cells import ROOT, sources
from experiments.kit.intervals import recorded
from minuddm.files import write_atomically
from minuddm.probes import Interval

RESULTS = ROOT / "experiments" / "results"
_CODE = (":/", ":(top,exclude)experiments/results")  # a record to be replaced is no change of code
_ESCAPED = "backslashreplace"  # a name of a file may be no UTF-8; so it stays valid JSON
_BESIDE = ("table.csv", "figure.png", "figure.svg")
_DIGESTS, _REMEDY = "sha256", "run its experiment again, or remove the folder"
_PACKAGES = ("minuddm", "numpy", "numba", "scipy", "matplotlib", "joblib", "safetensors")


@dataclass(frozen=True)
class Record:
    """What stands in record.json, and the rows of table.csv, as text by column."""

    content: dict[str, Any]
    table: list[dict[str, str]]

    @classmethod
    def of(
        cls, content: Mapping[str, Any], columns: Sequence[str], rows: Iterable[Mapping[str, Any]]
    ) -> "Record":
        """Return the record of a run: NaN is null, infinity a word, numbers of rows are text."""
        table = [{column: _cell(row.get(column, "")) for column in columns} for row in rows]
        return cls(_plain(content), table)

    @classmethod
    def read(cls, folder: Path) -> "Record":
        """Return the record in a folder; where a table is too large to be kept it has no rows.

        Raises `ValueError` with one line if the files are not those that were written.
        """
        file = folder / "record.json"
        try:
            content = json.loads(file.read_bytes())
            written = content.pop(_DIGESTS, None)
            if not isinstance(content.get("experiment"), str):
                raise ValueError("it names no experiment")
            beside = {name: (folder / name).read_bytes() for name in _BESIDE
                      if (folder / name).exists()}  # fmt: skip
            found = _digests(content, beside)
            table = list(csv.DictReader(io.StringIO(beside.get("table.csv", b"").decode())))
            listed = () if written is None else {file.name, *written}
            wrong = [name for name in found if name in listed and written[name] != found[name]]
        except Exception as error:  # whatever reading damaged bytes may raise
            raise ValueError(f"{file} is damaged ({error}); {_REMEDY}") from None
        if wrong:
            raise ValueError(f"{folder / wrong[0]} is not what was written; {_REMEDY}")
        return cls(content, table)

    def write(self, folder: Path, figures: Mapping[str, bytes] | None = None) -> None:
        """Write table.csv, the figures by their names and, when these are there, record.json."""
        text = io.StringIO()
        writer = csv.DictWriter(text, self.table[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.table)
        beside = {"table.csv": text.getvalue().encode(errors=_ESCAPED), **(figures or {})}
        for name, content in beside.items():
            write_atomically(folder / name, content)
        stamped = self.content | {_DIGESTS: _digests(self.content, beside)}
        write_atomically(folder / "record.json", _json(stamped))

    @property
    def experiment(self) -> str:
        """Return the name of the experiment."""
        return str(self.content["experiment"])

    @property
    def command(self) -> str:
        """Return what was typed; the oldest records are of commands without options."""
        return str(self.content.get("command", f"python -m experiments.{self.experiment}")).strip()

    @property
    def headline(self) -> dict[str, Any]:
        """Return the numbers that verdicts are read from, and the paragraph."""
        found: dict[str, Any] = self.content["headline"]
        return found

    def number(self, name: str) -> float:
        """Return a number of the headline; NaN where it says nothing."""
        value = self.headline.get(name)
        return math.nan if value is None else float(value)

    def interval(self, name: str) -> Interval:
        """Return an interval of the headline; NaN where it says nothing."""
        return recorded(self.headline.get(name))

    def rows(self, **wanted: Any) -> list[dict[str, str]]:
        """Return the rows of the table that have all of these entries."""
        texts = {name: _cell(value) for name, value in wanted.items()}
        return [row for row in self.table if all(row[k] == text for k, text in texts.items())]


def records(results: Path = RESULTS) -> dict[str, Record]:
    """Return the records found, by folder name; those of --quick runs are left out."""
    folders = sorted(path.parent for path in results.glob("*/record.json"))
    return {
        folder.name: Record.read(folder)
        for folder in folders
        if not folder.name.endswith("quick")
    }  # fmt: skip


def claim(module_doc: str | None) -> str:
    """Return the claim that opens an experiment's module, on one line."""
    return " ".join((module_doc or "").split("\n\n")[0].split())


def environment(module: Path) -> dict[str, Any]:
    """Return versions, processor and code: what a number may depend on besides its seed.

    `sources` names the code that the cells of a module depend on, committed or not. To be called
    at the start of a run, when the code on disk is the code that runs.
    """
    return {
        "python": platform.python_version(),
        **{name: _version(name) for name in _PACKAGES},
        "platform": f"{platform.system()} {platform.machine()}",
        "cpu": _processor(),
        "cores": os.cpu_count(),
        "commit": _git("rev-parse", "HEAD"),
        "dirty": bool(_git("status", "--porcelain", "--untracked-files=no", "--", *_CODE)),
        "sources": sources(module),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
    }


def _digests(content: Mapping[str, Any], beside: Mapping[str, bytes]) -> dict[str, str]:
    """Return the SHA-256 of what a record says, and of the files beside it."""
    files = {"record.json": _json(content), **beside}
    return {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}


def _json(content: Mapping[str, Any]) -> bytes:
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
    return (text + "\n").encode(errors=_ESCAPED)


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.6g}"
    return "" if value is None else str(value)


def _plain(value: Any) -> Any:
    """Turn what JSON does not know into what it does: NaN is null, infinity a word."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, Interval):
        return _plain(value._asdict())
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        if math.isnan(value):
            return None
        return float(value) if math.isfinite(value) else str(value)
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
        for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor()


def _git(*words: str) -> str | None:
    try:
        answer = subprocess.run(
            ["git", *words], cwd=ROOT, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return answer.stdout.strip()
