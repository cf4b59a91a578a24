"""A register of the processor as a value, and the words that compute with it.

The compiler turns a loop into SIMD by itself where the loop is long. The matrices of attention
are many and small, with rows as short as a register; written in the words below they stay in
registers and reach the processor's own rate. A register has 64 bytes; where the processor's are
half as wide, the compiler takes two for one. Beside the words, `+`, `-` and `*` work lane by lane.

64 bytes are a line of the cache, too, and a register that lies across two lines costs two reads.
`aligned` makes arrays that begin with a line, as NumPy's do only by chance; where the rows of one
are whole registers, none lies across.

Each word has its meaning in NumPy, which holds where nothing is compiled, and below it the
instructions it is compiled to. A (m, n) is a matrix whose rows lie without gaps.
"""

import math
import operator
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import lower_builtin, models, register_model
from numpy.typing import NDArray

BYTES = 64


def aligned(shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
    """Return an array of zeros that begins with a line of the cache."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    room = np.zeros(size + BYTES, np.uint8)
    start = -room.ctypes.data % BYTES
    array: NDArray[Any] = room[start : start + size].view(dtype).reshape(shape)
    return array


def lanes(A: Any) -> int:
    """Return how many of A's numbers a register holds: to the compiler, a constant."""
    return int(BYTES // A.itemsize)


def load(A: Any, i: int, j: int) -> Any:
    """Return A[i, j], A[i, j + 1], …: all lanes."""
    return A[i, j : j + lanes(A)].copy()


def take(A: Any, i: int, j: int, n: int) -> Any:
    """Return the first n lanes of what `load` would, and zeros; those are not even read."""
    x = np.zeros(lanes(A), A.dtype)
    x[:n] = A[i, j : j + len(x)][:n]
    return x


def store(A: Any, i: int, j: int, x: Any) -> None:
    """Write all lanes of x to A[i, j], A[i, j + 1], …"""
    A[i, j : j + len(x)] = x


def put(A: Any, i: int, j: int, n: int, x: Any) -> None:
    """Write the first n lanes of x to A[i, j], A[i, j + 1], …"""
    A[i, j : j + min(n, len(x))] = x[:n]


def expect(A: Any, i: int, j: int) -> None:
    """Ask the second cache for the line that holds A[i, j]: no value changes, only the time."""


def splat(number: Any) -> Any:
    """Return a register with the number, a float32 or float64, in every lane."""
    return np.full(lanes(number), number)


def multiply_add(a: Any, b: Any, c: Any) -> Any:
    """Return a b + c, lane by lane."""
    return a * b + c


def larger(a: Any, b: Any) -> Any:
    """Return the larger number, lane by lane."""
    return np.maximum(a, b)


def total(a: Any) -> Any:
    """Return the sum of the lanes."""
    return a.sum()


def top(a: Any) -> Any:
    """Return the largest lane."""
    return a.max()


def transpose(B: Any, A: Any, i: int, j: int) -> None:
    """Write the square of A at (i, j), lanes by lanes, transposed into that of B at (j, i)."""
    n = lanes(A)
    B[j : j + n, i : i + n] = A[i : i + n, j : j + n].T


class Register(types.Type):
    """The compiled type of a register of float32 or float64 numbers."""

    def __init__(self, number: types.Float) -> None:
        self.number = number
        super().__init__(f"Register({number})")


@register_model(Register)
class _RegisterModel(models.PrimitiveModel):
    def __init__(self, manager: Any, register: Register) -> None:
        real = ir.FloatType() if register.number == types.float32 else ir.DoubleType()
        count = 8 * BYTES // register.number.bitwidth
        super().__init__(manager, register, ir.VectorType(real, count))


Emit = Callable[[Any, Any, Any, Any], Any]
_CONTRACT = ("contract",)  # a product and a sum become one instruction


def _word(meaning: Any, result: Callable[..., Any], *kinds: Any) -> Callable[[Emit], Emit]:
    """Compile calls of `meaning` with arguments of `kinds` by the function that follows.

    `result` gives the value's type from those of the arguments. The function emits the code: it
    gets context, builder, and the types and values of the arguments.
    """

    @infer_global(meaning)
    class Typing(AbstractTemplate):
        key = meaning

        def generic(self, given: Any, named: Any) -> Any:
            if len(given) == len(kinds) and all(map(isinstance, given, kinds)):
                return signature(result(*given), *given)
            return None

    def compiled_by(emit: Emit) -> Emit:
        @lower_builtin(meaning, *kinds)  # type: ignore[untyped-decorator]
        def lower(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return emit(context, builder, signature.args, arguments)

        return emit

    return compiled_by


def _register(A: Any, *_: Any) -> Any:
    return Register(A.dtype)


def _same(a: Any, *_: Any) -> Any:
    return a


def _number(a: Any) -> Any:
    return a.number


def _nothing(*_: Any) -> Any:
    return types.none


_ARRAY, _WHOLE = types.Array, types.Integer


def _place(context: Any, builder: Any, kinds: Any, values: Any) -> Any:
    """Return the address of A[i, j] as that of a register, and the register's type."""
    vector = context.get_value_type(Register(kinds[0].dtype))
    array = context.make_array(kinds[0])(context, builder, values[0])
    index = [context.cast(builder, v, k, types.intp)
             for v, k in zip(values[1:3], kinds[1:3], strict=True)]  # fmt: skip
    pointer = cgutils.get_item_pointer(context, builder, kinds[0], array, index)
    return builder.bitcast(pointer, vector.as_pointer()), vector


def _constant(values: Any, bits: int) -> Any:
    return ir.Constant(ir.VectorType(ir.IntType(bits), len(values)), list(values))


def _mask(context: Any, builder: Any, kind: Any, n: Any, vector: Any) -> Any:
    """Return a mask of the first n lanes."""
    count = _spread(builder, context.cast(builder, n, kind, types.int32), vector.count)
    return builder.icmp_signed("<", _constant(range(vector.count), 32), count)


def _spread(builder: Any, value: Any, count: int) -> Any:
    nothing = ir.Constant(ir.VectorType(value.type, count), ir.Undefined)
    alone = builder.insert_element(nothing, value, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(alone, nothing, _constant([0] * count, 32))


def _llvm(builder: Any, name: str, result: Any, values: Any) -> Any:
    """Call a function of LLVM's own, such as its masked load."""
    kind = ir.FunctionType(result, [value.type for value in values])
    return builder.call(
        cgutils.get_or_insert_function(builder.module, kind, f"llvm.{name}"), values
    )


def _kind(vector: Any) -> str:
    """Return the end of such a function's name: what it moves, and where to."""
    return f"v{vector.count}f{512 // vector.count}.p0"


def _align(kinds: Any) -> int:
    return int(kinds[0].dtype.bitwidth // 8)


@_word(lanes, lambda A: types.intp, _ARRAY)
def _lanes(context: Any, builder: Any, kinds: Any, values: Any) -> Any:
    return context.get_constant(types.intp, 8 * BYTES // kinds[0].dtype.bitwidth)


@_word(load, _register, _ARRAY, _WHOLE, _WHOLE)
def _load(context: Any, builder: Any, kinds: Any, values: Any) -> Any:
    return builder.load(_place(context, builder, kinds, values)[0], align=_align(kinds))


@_word(store, _nothing, _ARRAY, _WHOLE, _WHOLE, Register)
def _store(context: Any, builder: Any, kinds: Any, values: Any) -> Any:
    builder.store(values[3], _place(context, builder, kinds, values)[0], align=_align(kinds))
    return context.get_dummy_value()


@_word(take, _register, _ARRAY, _WHOLE, _WHOLE, _WHOLE)
def _take(context: Any, builder: Any, kinds: Any, values: Any) -> Any:
    place, vector = _place(context, builder, kinds, values)
    mask = _mask(context, builder, kinds[3], values[3], vector)
    align, zero = ir.Constant(ir.IntType(32), _align(kinds)), ir.Constant(vector, None)
    return _llvm(builder, f"masked.load.{_kind(vector)}", vector, [place, align, mask, zero])


@_word(put, _nothing, _ARRAY, _WHOLE, _WHOLE, _WHOLE, Register)
def _put(context: Any, builder: Any, kinds: Any, values: Any) -> Any:
    place, vector = _place(context, builder, kinds, values)
    mask = _mask(context, builder, kinds[3], values[3], vector)
    align = ir.Constant(ir.IntType(32), _align(kinds))
    given = [values[4], place, align, mask]
    _llvm(builder, f"masked.store.{_kind(vector)}", ir.VoidType(), given)
    return context.get_dummy_value()


@_word(expect, _nothing, _ARRAY, _WHOLE, _WHOLE)
def _expect(context: Any, builder: Any, kinds: Any, values: Any) -> Any:
    place, _ = _place(context, builder, kinds, values)
    how = [ir.Constant(ir.IntType(32), n) for n in (0, 2, 1)]  # to read; second cache; data
    _llvm(builder, "prefetch.p0", ir.VoidType(), [place, *how])
    return context.get_dummy_value()


@_word(splat, Register, types.Float)
def _splat(context: Any, builder: Any, kinds: Any, values: Any) -> Any:
    return _spread(builder, values[0], context.get_value_type(Register(kinds[0])).count)


@_word(operator.add, _same, Register, Register)
def _add(context: Any, builder: Any, kinds: Any, values: Any) -> Any:
    return builder.fadd(*values, flags=_CONTRACT)


@_word(operator.sub, _same, Register, Register)
def _subtract(context: Any, builder: Any, kinds: Any, values: Any) -> Any:
    return builder.fsub(*values, flags=_CONTRACT)


@_word(operator.mul, _same, Register, Register)
def _multiply(context: Any, builder: Any, kinds: Any, values: Any) -> Any:
    return builder.fmul(*values, flags=_CONTRACT)


@_word(multiply_add, _same, Register, Register, Register)
def _multiply_add(context: Any, builder: Any, kinds: Any, values: Any) -> Any:
    a, b, c = values
    return builder.fadd(builder.fmul(a, b, flags=_CONTRACT), c, flags=_CONTRACT)


@_word(larger, _same, Register, Register)
def _larger(context: Any, builder: Any, kinds: Any, values: Any) -> Any:
    return builder.select(builder.fcmp_ordered(">", *values), *values)


def _folded(builder: Any, x: Any, both: Callable[[Any, Any], Any]) -> Any:
    """Combine all lanes: the upper half with the lower, and again."""
    half, nothing = x.type.count // 2, ir.Constant(x.type, ir.Undefined)
    while half:
        lanes = [(k + half) % x.type.count for k in range(x.type.count)]
        x = both(x, builder.shuffle_vector(x, nothing, _constant(lanes, 32)))
        half //= 2
    return builder.extract_element(x, ir.Constant(ir.IntType(32), 0))


@_word(total, _number, Register)
def _total(context: Any, builder: Any, kinds: Any, values: Any) -> Any:
    return _folded(builder, values[0], builder.fadd)


@_word(top, _number, Register)
def _top(context: Any, builder: Any, kinds: Any, values: Any) -> Any:
    return _folded(builder, values[0], lambda *two: _larger(context, builder, kinds, two))


@_word(transpose, _nothing, _ARRAY, _ARRAY, _WHOLE, _WHOLE)
def _transpose(context: Any, builder: Any, kinds: Any, values: Any) -> Any:
    """Exchange quarters: rows of a square that are `step` apart swap half of their lanes."""

    def row(array: int, which: int, i: int, j: int) -> Any:
        index = context.cast(builder, values[i], kinds[i], types.intp)
        at = builder.add(index, ir.Constant(index.type, which))
        other = context.cast(builder, values[j], kinds[j], types.intp)
        own = kinds[array], types.intp, types.intp
        return _place(context, builder, own, (values[array], at, other))

    count = context.get_value_type(Register(kinds[0].dtype)).count
    align = _align(kinds)
    rows = [builder.load(row(1, k, 2, 3)[0], align=align) for k in range(count)]
    step = 1
    while step < count:
        kept = [k if not k & step else count + k - step for k in range(count)]
        swapped = [k + step if not k & step else count + k for k in range(count)]
        for k in range(count):
            if not k & step:
                a, b = rows[k], rows[k + step]
                rows[k] = builder.shuffle_vector(a, b, _constant(kept, 32))
                rows[k + step] = builder.shuffle_vector(a, b, _constant(swapped, 32))
        step *= 2
    for k, x in enumerate(rows):
        builder.store(x, row(0, k, 3, 2)[0], align=align)
    return context.get_dummy_value()
