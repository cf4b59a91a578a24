"""Files that are there whole or not at all."""

import os
from pathlib import Path


def write_atomically(path: Path, content: bytes) -> None:
    """Replace the file at `path` by `content`: temporary file beside it, fsync, rename.

    A reader, or a run that resumes after a power cut, sees the old file or the new one, never a
    part.
    """
    partial = path.with_name(f".{path.name}.partial")  # one name: a killed run leaves one at most
    try:
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
