"""Files that are there whole or not at all, and one writer of a file at a time."""

import contextlib
import fcntl
import glob
import os
import secrets
import time
from collections.abc import Iterator
from pathlib import Path

_ABANDONED = 3600  # seconds after which a partial file must be that of a killed run


def write_atomically(path: Path, content: bytes) -> None:
    """Replace the file at `path` by `content`: temporary file beside it, fsync, rename.

    A reader, or a run that resumes after a power cut, sees the old file or the new one, never a
    part. Each writer has a temporary file of its own, so that none breaks another's.
    """
    partial = path.with_name(f".{path.name}.{secrets.token_hex(8)}.partial")
    try:
        with partial.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException as error:
        partial.unlink(missing_ok=True)
        if isinstance(error, OSError):
            error.filename = str(path)
        raise
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
    _sweep_up(path)


def _sweep_up(path: Path) -> None:
    """Remove the partial files that killed runs have left of this file."""
    for left in path.parent.glob(f".{glob.escape(path.name)}.*.partial"):
        with contextlib.suppress(FileNotFoundError):  # another writer was faster
            if time.time() - left.stat().st_mtime > _ABANDONED:
                left.unlink()


@contextlib.contextmanager
def reserved(path: Path | None) -> Iterator[None]:
    """Keep a file that is written again and again for one run; None keeps nothing.

    A lock on a hidden file beside it, which the system lifts when its holder ends, however it ends.
    Raises `ValueError` if the folder does not exist or cannot be written, or another run is at it.
    """
    if path is None:
        yield
        return
    lock = path.with_name(f".{path.name}.lock")
    if not path.parent.is_dir():
        raise ValueError(f"the folder of the checkpoint {path} does not exist")
    try:
        descriptor = _locked(lock)
    except BlockingIOError:
        raise ValueError(f"another run is writing {path}") from None
    except OSError as error:
        raise ValueError(f"{path} cannot be written: {error.strerror}") from None
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)
        os.close(descriptor)


def _locked(lock: Path) -> int:
    """Return a descriptor of the file `lock`, locked."""
    while True:
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(descriptor), lock.stat()):
                    return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # its holder had removed the file before it let go: once more
