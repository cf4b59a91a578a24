"""Hostile pickles: nothing that a file names is run, in any protocol, and memory stays bounded.

Each of the programs here is run once by `pickle` itself, so that one sees that it would do harm.
"""

import copyreg
import operator
import os
import pathlib
import pickle
import runpy
import shutil
import struct
import subprocess
import sys
import timeit
import tracemalloc
from collections import OrderedDict

import numpy as np
import pytest

from minuddm.published import load_published
from minuddm.published.pickles import Inert, interpreted
from tests.published import CHECKPOINT, edited, logits, text

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)


class Reduced:
    """An object whose pickle is any that `__reduce__` can ask for."""

    def __init__(self, *reduced):
        self.reduced = reduced

    def __reduce__(self):
        return self.reduced


class Revived:
    """A class that acts when its state is set."""

    def __init__(self, path):
        self.path = path

    def __setstate__(self, state):
        os.mkdir(state["path"])  # noqa: PTH102


class Lengthened(list):
    """A class that acts when items are put into it."""

    def append(self, path):
        os.mkdir(path)  # noqa: PTH102

    def extend(self, paths):
        for path in paths:
            self.append(path)


class Made(dict):
    """A class that acts when it is made."""

    def __new__(cls, path=None):
        if path:
            os.mkdir(path)  # noqa: PTH102
        return super().__new__(cls)

    def __init__(self, path=None):
        super().__init__()


PROGRAMS = {
    "a system call": lambda path: Reduced(os.system, (f"mkdir {path}",)),
    "a process": lambda path: Reduced(subprocess.call, (["mkdir", path],)),
    "mkdir": lambda path: Reduced(os.mkdir, (path,)),
    "eval": lambda path: Reduced(eval, (f"__import__('os').mkdir({path!r})",)),
    "exec": lambda path: Reduced(exec, (f"import os; os.mkdir({path!r})",)),
    "a method": lambda path: Reduced(pathlib.Path.mkdir, (pathlib.Path(path),)),
    "a copy": lambda path: Reduced(shutil.copyfile, (str(CHECKPOINT), path)),
    "a script": lambda path: Reduced(runpy.run_path, (script(path),)),
    "timeit": lambda path: Reduced(
        timeit.timeit, (f"__import__('os').mkdir({path!r})", "pass", timeit.default_timer, 1)),
    "a called method": lambda path: Reduced(
        operator.methodcaller("mkdir"), (pathlib.Path(path),)),
    "a list's items": lambda path: Reduced(Lengthened, (), None, iter([path])),
    "a state setter": lambda path: Reduced(str, (path,), 0o777, None, None, os.mkdir),
    "__setstate__": Revived,
    "__new__": lambda path: Reduced(Made, (path,)),
}  # fmt: skip


def script(path):
    file = pathlib.Path(f"{path}.py")
    file.write_text(f"import os; os.mkdir({path!r})")
    return str(file)


def by_hand(path):
    """Programs of instructions that today's pickler does not write."""
    text = path.encode()
    copyreg.add_extension("os", "mkdir", 240)
    return {
        "INST": b"(S'%b'\nios\nmkdir\n." % text,
        "OBJ": b"(cos\nmkdir\nS'%b'\no." % text,
        "EXT1": b"\x80\x02\x82\xf0(X%b%btR." % (struct.pack("<I", len(text)), text),
        "GLOBAL": b"cos\nmkdir\n(S'%b'\ntR." % text,
        "dotted": b"\x80\x04\x8c\x07pathlib\x8c\x0aPath.mkdir\x93"
        b"cpathlib\nPath\n(X%b%btR\x85R." % (struct.pack("<I", len(text)), text),
    }


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_of_the_pickler_is_not_run(tmp_path, name, protocol):
    """As the whole of a checkpoint, and among what is not looked at in one."""
    path = tmp_path / "harm"
    program = PROGRAMS[name](str(path))
    data = pickle.dumps({"state_dict": program}, protocol)
    remove(path)
    pickle.loads(data)
    assert path.exists()
    remove(path)
    within = pickle.dumps(program, protocol)[2 if protocol > 1 else 0 : -1]
    for change in (lambda _: data, lambda whole: whole.replace(b"K\x01", within, 1)):
        with pytest.raises(ValueError, match="its pickle") as raised:
            load_published(edited(tmp_path / "hostile.ckpt", change))
        assert "\n" not in str(raised.value)
        assert not path.exists()


def remove(path):
    if path.is_dir():
        path.rmdir()
    path.unlink(missing_ok=True)


@pytest.mark.parametrize("name", ["INST", "OBJ", "EXT1", "GLOBAL", "dotted"])
def test_a_program_written_by_hand_is_not_run(tmp_path, name):
    path = tmp_path / "harm"
    data = by_hand(str(path))[name]
    pickle.loads(data)
    assert path.exists()
    path.rmdir()
    with pytest.raises(ValueError, match="its pickle"):
        load_published(edited(tmp_path / "hostile.ckpt", lambda _: data))
    assert not path.exists()


@pytest.mark.parametrize("call", [b"R", b"\x81", b"b"])
def test_what_a_known_library_is_asked_for_is_not_run_either(tmp_path, call):
    """A name below a known library is only a name: here the system call that it imports."""
    path = tmp_path / "harm"
    argument = b"X%b%b" % (struct.pack("<I", len(f"mkdir {path}")), f"mkdir {path}".encode())
    called = b"comegaconf.os\nsystem\n"
    within = called + (b")R" + argument if call == b"b" else argument + b"\x85") + call
    file = edited(tmp_path / "inert.ckpt", lambda whole: whole.replace(b"K\x01", within, 1))
    right, before = load_published(CHECKPOINT).weights.flat, set(sys.modules)
    np.testing.assert_array_equal(load_published(file).weights.flat, right)
    assert set(sys.modules) == before
    assert not path.exists()


def nothing(identity):
    raise ValueError("no storage")


@pytest.mark.parametrize("protocol", PROTOCOLS[2:])
def test_plain_data_are_read_in_every_protocol_since_the_second(protocol):
    table = OrderedDict(
        {"a": [1, -2, 300, 70_000, 2.5, None, True, False], "é": (), 3: {"b": (1,)}}
    )
    data = pickle.dumps([table, table, (1, 2, 3, 4), {("a", "b"): "long " * 99}], protocol)
    assert interpreted(data, nothing) == pickle.loads(data)


def test_objects_of_libraries_are_a_name_and_a_state():
    found = interpreted(b"comegaconf.nodes\nAnyNode\n)\x81}X\x04\x00\x00\x00_valK\x03sb.", nothing)
    assert isinstance(found, Inert)
    assert (found.name, found.state) == ("omegaconf.nodes AnyNode", {"_val": 3})


@pytest.mark.parametrize(
    ("program", "message"),
    [
        (b".", "more from the stack"),
        (b"\x85.", "more from the stack"),
        (b"t.", "lacks a mark"),
        (b"(\x85.", "more from the stack"),
        (b"h\x07.", "not described"),
        (b"q\x00.", "more from the stack"),
        (b"}]K\x01s.", "neither a number nor a text"),
        (b"}(K\x01u.", "argument 2 is shorter"),
        (b"K\x01K\x02a.", "puts items"),
        (b"]K\x02b.", "gives a state"),
        (b"K\x01)R.", "of what is no class"),
        (b"ctorch\nFloatStorage\n)R.", "of what is no class"),
        (b"ctyping\nAny\nK\x01R.", "of what is no class"),
        (b"ctorch._utils\n_rebuild_tensor_v2\n)R.", "of what is no class"),
        (b"ctorch._utils\n_rebuild_tensor_v2\n(NK\x00))tR.", "tensor in another way"),
        (b"K\x01Q.", "no storage"),
        (b"K\x01K\x02\x93.", "calls for ''"),
        (b"cos\nsystem\n.", "calls for 'os system'"),
        (b"cbuiltins\neval\n.", "calls for 'builtins eval'"),
        (b"ctorch.hub\nload\n.", "calls for 'torch.hub load'"),
        (b"comegaconfs\nx\n.", "calls for 'omegaconfs x'"),
        (b"K\x012.", "uses DUP"),
        (b"I1\n.", "uses INT"),
        (b"Px\n.", "uses PERSID"),
        (b"K\x01", "exhausted"),
        (b"", "exhausted"),
        (b"\xff", "unknown"),
        (b"X\xff\xff\xff\xff", "expected 4294967295 bytes"),
    ],
)
def test_what_no_checkpoint_needs_is_refused(program, message):
    with pytest.raises(ValueError, match=message):
        interpreted(program, nothing)


@pytest.mark.parametrize(
    "storage",
    [
        ("storage", "torch FloatStorage", "0", "cpu", 1),
        ("storage", ("torch", "FloatStorage"), "../../secret", "cpu", 1),
        ("storage", ("torch", "FloatStorage"), "0", "cpu", -1),
        ("storage", ("torch", "FloatStorage"), "0", "cpu", 2**60),
        ("storage", ("torch", "FloatStorage"), 0, "cpu", 1),
        ("storage", ("typing", "Any"), "0", "cpu", 1),
        ("module", ("torch", "FloatStorage"), "0", "cpu", 1),
        ("storage", ("torch", "FloatStorage")),
        "storage",
    ],
)
def test_storages_are_referred_to_in_one_way(tmp_path, storage):
    class Class:
        def __init__(self, name):
            self.name = name

    class Pickler(pickle._Pickler):
        def save_global_of(self, item):
            self.write(b"c%b\n%b\n" % tuple(part.encode() for part in item.name))

        dispatch = pickle._Pickler.dispatch | {Class: save_global_of}

    identity = storage
    if isinstance(storage, tuple):
        identity = tuple(Class(part) if isinstance(part, tuple) else part for part in storage)
    with (tmp_path / "identity").open("wb") as file:
        Pickler(file, 2).dump(identity)
    within = (tmp_path / "identity").read_bytes()[2:-1] + b"Q"
    with pytest.raises(ValueError, match=r"storage in another way|lacks the entry|bytes, not"):
        load_published(
            edited(tmp_path / "x.ckpt", lambda whole: whole.replace(b"K\x01", within, 1))
        )


def test_memory_and_the_interpreters_stack_stay_bounded():
    """Nested two hundred thousand deep, where `hash` would crash; memo numbers near 2^32."""
    deep = b")" + b"\x85" * 200_000
    assert isinstance(interpreted(deep + b".", nothing), tuple)
    with pytest.raises(ValueError, match="neither a number nor a text"):
        interpreted(b"}" + deep + b"Ns.", nothing)
    tracemalloc.start()
    assert interpreted(b"Nr\xff\xff\xff\xff0j\xff\xff\xff\xff.".replace(b"0", b""), nothing) is None
    assert tracemalloc.get_traced_memory()[1] < 1e6
    tracemalloc.stop()


def test_settings_that_are_shared_without_end_are_not_written_out(tmp_path):
    """A pair of a pair of … the same: its text would have 2^60 letters."""
    numbers = [struct.pack("<I", 2**20 + k) for k in range(60)]
    shared = b")" + b"".join(b"r%bj%b\x86" % (n, n) for n in numbers)
    change = edited(tmp_path / "x.ckpt", lambda whole: whole.replace(text("duo_base"), shared, 1))
    with pytest.raises(ValueError, match="family None"):
        load_published(change)


def test_a_pickle_of_too_many_instructions_is_refused():
    with pytest.raises(ValueError, match="more than 2,097,152 instructions"):
        interpreted(b"}" * (2**21 + 2) + b".", nothing)


def test_a_library_that_is_not_installed_is_not_missed():
    assert {"torch", "omegaconf", "transformers", "lightning"}.isdisjoint(sys.modules)
    tokens, alpha = np.zeros((1, 12), int), np.ones(1)
    assert np.isfinite(logits(load_published(CHECKPOINT), tokens, alpha)).all()
