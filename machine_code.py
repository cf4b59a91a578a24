"""Machine code on disk, for both packages: what one process has compiled, no other compiles again.

Numba's own cache watches the file of a compiled function and no other, though what that function
calls is compiled into it; and two processes that write its index at once mix up their code for one
dtype or processor with that for another. Here instead

    a folder   holds the code of one state of a package's sources, of Numba and of its settings
    a file     holds one function for one list of types and one processor, behind its digest

so nothing stale is run, two writers of a file write the same, and what an interrupt or a full disk
left is compiled again. The folders lie in the first place that can be written of

    $NUMBA_CACHE_DIR,  the package's __pycache__,  the user's cache,  the user's part of /tmp

and may be deleted at any time. If there is none, every process compiles what it needs. A warning
says so, and another one, once, that /tmp is used.
"""

import contextlib
import functools
import hashlib
import os
import pickle
import stat
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
from numba.core.caching import NullCache
from numba.core.compiler import CompileResult
from numba.core.serialize import dumps

Function = TypeVar("Function", bound=Callable[..., Any])

_settings: Any = numba.config
_CHANGE_CODE = ("OPT", "BOUNDSCHECK", "LOOP_VECTORIZE", "SLP_VECTORIZE", "DEBUGINFO_DEFAULT")
_DIGEST = hashlib.sha256().digest_size

COMPILES = not _settings.DISABLE_JIT


def compiled(function: Function, **options: Any) -> Function:
    """Return a package's function compiled, without the GIL, and kept on disk.

    With `NUMBA_DISABLE_JIT=1` it is returned as it is: the same code as plain Python. With
    `NUMBA_BOUNDSCHECK=1` it checks every index.
    """
    result: Any = numba.njit(nogil=True, error_model="numpy", **options)(function)
    folder = _folder(function.__module__.partition(".")[0]) if COMPILES else None
    if folder is not None:
        result._cache = _Cache(function, folder)
    return cast(Function, result)


class _Cache(NullCache):
    """The machine code of one function on disk, as Numba asks for it."""

    def __init__(self, function: Callable[..., Any], folder: Path) -> None:
        self._folder = folder
        self._name = f"{function.__module__}.{function.__qualname__}"

    @property
    def cache_path(self) -> str:
        """Return the folder."""
        return str(self._folder)

    def _file(self, types: Any, codegen: Any) -> Path:
        key = repr((types, codegen.magic_tuple()))  # the latter names the processor
        return self._folder / f"{self._name}-{hashlib.sha256(key.encode()).hexdigest()[:16]}"

    def load_overload(self, types: Any, context: Any) -> Any:
        """Return what was compiled for these types; None if that is not there whole."""
        context.refresh()
        with contextlib.suppress(Exception):
            content = self._file(types, context.codegen()).read_bytes()
            if hashlib.sha256(content[_DIGEST:]).digest() == content[:_DIGEST]:
                known, code = pickle.loads(content[_DIGEST:])
                if known == types:  # and not a class of the same name
                    return CompileResult._rebuild(context, *code)
        return None

    def save_overload(self, types: Any, result: Any) -> None:
        """Keep what was compiled for these types, if it can be written."""
        if result.library.has_dynamic_globals:
            return  # addresses in this process
        content = dumps((types, result._reduce()))
        with contextlib.suppress(OSError), tempfile.TemporaryDirectory(dir=self._folder) as own:
            partial = Path(own) / "partial"
            partial.write_bytes(hashlib.sha256(content).digest() + content)
            partial.replace(self._file(types, result.codegen))


@functools.cache
def _folder(package: str) -> Path | None:
    """Return the folder for a package's machine code, its sources as they are; None if nowhere."""
    sources = Path(cast(str, sys.modules[package].__file__)).parent
    made_by = [sys.version, numba.__version__, *(getattr(_settings, x) for x in _CHANGE_CODE)]
    state = hashlib.sha256(repr(made_by).encode())
    for path in (Path(__file__), *sorted(sources.rglob("*.py"))):
        state.update(path.read_bytes())
    for place in _places(sources):
        folder = place / state.hexdigest()[:16]
        with contextlib.suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=folder).close()
            return folder
    _warn("no folder for machine code can be written, so every process compiles anew")
    return None


def _places(sources: Path) -> Iterator[Path]:
    """Yield where machine code may be kept, the best first."""
    if _settings.CACHE_DIR:
        yield Path(_settings.CACHE_DIR).absolute()
    yield sources / "__pycache__"
    with contextlib.suppress(RuntimeError):  # nobody's home
        yield Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "minuddm"
    with contextlib.suppress(OSError):
        yield _private(Path(tempfile.gettempdir()) / f"minuddm-{os.getuid()}")


def _private(folder: Path) -> Path:
    """Return a folder, made if it is not there, to which nobody else can write."""
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        found = folder.lstat()
        if (found.st_uid, found.st_mode) != (os.getuid(), stat.S_IFDIR | 0o700):
            raise PermissionError from None
    else:
        _warn(f"machine code is kept in {folder}")
    return folder


def _warn(what: str) -> None:
    warnings.warn(f"{what}; NUMBA_CACHE_DIR names a folder for it", RuntimeWarning, stacklevel=2)
