"""Register intrinsics: a SIMD register as a value, and the functions that compute with it.

LLVM vectorises a loop by itself where the loop is long. The matrices of attention are many and
small, with rows as short as a register; written with the intrinsics below they stay in registers
and run at the processor's full rate. A register has 64 bytes with AVX-512, else 32: more would
take two of the processor's sixteen. `+`, `-` and `*` of two registers are lane by lane.

Each intrinsic is a Python function that states its meaning in NumPy, which is what runs where
nothing is compiled, and below it the LLVM instructions that it is compiled to. A (m, n) is a matrix
whose rows are contiguous.
"""

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import binding, ir
from numba import types
from numba.core import cgutils
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import lower_builtin, models, register_model


def _avx512() -> bool:
    try:
        return bool(binding.get_host_cpu_features().get("avx512f"))
    except RuntimeError:  # LLVM does not know this processor
        return False


AVX512 = _avx512()
BYTES = 64 if AVX512 else 32


def lanes(A: Any) -> int:
    """Return how many of A's numbers a register holds: a constant to the compiler."""
    return int(BYTES // A.itemsize)


def load(A: Any, i: int, j: int) -> Any:
    """Return A[i, j], A[i, j + 1], …: all lanes."""
    return A[i, j : j + lanes(A)].copy()


def masked_load(A: Any, i: int, j: int, n: int) -> Any:
    """Return the first n lanes of what `load` would, and zeros, whose memory is not read."""
    x = np.zeros(lanes(A), A.dtype)
    x[:n] = A[i, j : j + len(x)][:n]
    return x


def store(A: Any, i: int, j: int, x: Any) -> None:
    """Write all lanes of x to A[i, j], A[i, j + 1], …"""
    A[i, j : j + len(x)] = x


def masked_store(A: Any, i: int, j: int, n: int, x: Any) -> None:
    """Write the first n lanes of x to A[i, j], A[i, j + 1], …"""
    A[i, j : j + min(n, len(x))] = x[:n]


def prefetch(A: Any, i: int, j: int) -> None:
    """Prefetch the cache line of A[i, j] into L2: no value changes, only the time."""


def splat(number: Any) -> Any:
    """Return a register with the number, a float32 or float64, in every lane."""
    return np.full(lanes(number), number)


def multiply_add(a: Any, b: Any, c: Any) -> Any:
    """Return a b + c, lane by lane."""
    return a * b + c


def maximum(a: Any, b: Any) -> Any:
    """Return the larger number, lane by lane."""
    return np.maximum(a, b)


def reduce_add(a: Any) -> Any:
    """Return the sum of the lanes."""
    return a.sum()


def reduce_max(a: Any) -> Any:
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


def _intrinsic(meaning: Any, result: Callable[..., Any], *kinds: Any) -> Callable[[Emit], Emit]:
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


def _no_value(*_: Any) -> Any:
    return types.none


_ARRAY, _INTEGER = types.Array, types.Integer


def _address(context: Any, builder: Any, kinds: Any, values: Any) -> Any:
    """Return the address of A[i, j] as that of a register, and the LLVM type of the register."""
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
    count = _broadcast(builder, context.cast(builder, n, kind, types.int32), vector.count)
    return builder.icmp_signed("<", _constant(range(vector.count), 32), count)


def _broadcast(builder: Any, value: Any, count: int) -> Any:
    undefined = ir.Constant(ir.VectorType(value.type, count), ir.Undefined)
    first = builder.insert_element(undefined, value, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(first, undefined, _constant([0] * count, 32))


def _llvm(builder: Any, name: str, result: Any, values: Any) -> Any:
    """Call an LLVM intrinsic, such as its masked load."""
    kind = ir.FunctionType(result, [value.type for value in values])
    return builder.call(
        cgutils.get_or_insert_function(builder.module, kind, f"llvm.{name}"), values
    )


def _suffix(vector: Any) -> str:
    """Return the end of such an intrinsic's name: the types of what it moves and of the address."""
    return f"v{vector.count}f{8 * BYTES // vector.count}.p0"


def _align(kinds: Any) -> int:
    return int(kinds[0].dtype.bitwidth // 8)


@_intrinsic(lanes, lambda A: types.intp, _ARRAY)
def _lanes(context: Any, builder: Any, kinds: Any, values: Any) -> Any:
    return context.get_constant(types.intp, 8 * BYTES // kinds[0].dtype.bitwidth)


@_intrinsic(load, _register, _ARRAY, _INTEGER, _INTEGER)
def _load(context: Any, builder: Any, kinds: Any, values: Any) -> Any:
    return builder.load(_address(context, builder, kinds, values)[0], align=_align(kinds))


@_intrinsic(store, _no_value, _ARRAY, _INTEGER, _INTEGER, Register)
def _store(context: Any, builder: Any, kinds: Any, values: Any) -> Any:
    builder.store(values[3], _address(context, builder, kinds, values)[0], align=_align(kinds))
    return context.get_dummy_value()


@_intrinsic(masked_load, _register, _ARRAY, _INTEGER, _INTEGER, _INTEGER)
def _masked_load(context: Any, builder: Any, kinds: Any, values: Any) -> Any:
    address, vector = _address(context, builder, kinds, values)
    mask = _mask(context, builder, kinds[3], values[3], vector)
    align, zero = ir.Constant(ir.IntType(32), _align(kinds)), ir.Constant(vector, None)
    return _llvm(builder, f"masked.load.{_suffix(vector)}", vector, [address, align, mask, zero])


@_intrinsic(masked_store, _no_value, _ARRAY, _INTEGER, _INTEGER, _INTEGER, Register)
def _masked_store(context: Any, builder: Any, kinds: Any, values: Any) -> Any:
    """Where n is all lanes, by a plain store: without AVX-512 a masked one is slow."""
    address, vector = _address(context, builder, kinds, values)
    mask = _mask(context, builder, kinds[3], values[3], vector)
    whole = builder.icmp_signed(">=", values[3], ir.Constant(values[3].type, vector.count))
    with builder.if_else(whole) as (plain, masked):
        with plain:
            builder.store(values[4], address, align=_align(kinds))
        with masked:
            align = ir.Constant(ir.IntType(32), _align(kinds))
            given = [values[4], address, align, mask]
            _llvm(builder, f"masked.store.{_suffix(vector)}", ir.VoidType(), given)
    return context.get_dummy_value()


@_intrinsic(prefetch, _no_value, _ARRAY, _INTEGER, _INTEGER)
def _prefetch(context: Any, builder: Any, kinds: Any, values: Any) -> Any:
    address, _ = _address(context, builder, kinds, values)
    how = [ir.Constant(ir.IntType(32), n) for n in (0, 2, 1)]  # for reading; into L2; data
    _llvm(builder, "prefetch.p0", ir.VoidType(), [address, *how])
    return context.get_dummy_value()


@_intrinsic(splat, Register, types.Float)
def _splat(context: Any, builder: Any, kinds: Any, values: Any) -> Any:
    return _broadcast(builder, values[0], context.get_value_type(Register(kinds[0])).count)


@_intrinsic(operator.add, _same, Register, Register)
def _add(context: Any, builder: Any, kinds: Any, values: Any) -> Any:
    return builder.fadd(*values, flags=_CONTRACT)


@_intrinsic(operator.sub, _same, Register, Register)
def _subtract(context: Any, builder: Any, kinds: Any, values: Any) -> Any:
    return builder.fsub(*values, flags=_CONTRACT)


@_intrinsic(operator.mul, _same, Register, Register)
def _multiply(context: Any, builder: Any, kinds: Any, values: Any) -> Any:
    return builder.fmul(*values, flags=_CONTRACT)


@_intrinsic(multiply_add, _same, Register, Register, Register)
def _multiply_add(context: Any, builder: Any, kinds: Any, values: Any) -> Any:
    a, b, c = values
    return builder.fadd(builder.fmul(a, b, flags=_CONTRACT), c, flags=_CONTRACT)


@_intrinsic(maximum, _same, Register, Register)
def _maximum(context: Any, builder: Any, kinds: Any, values: Any) -> Any:
    return builder.select(builder.fcmp_ordered(">", *values), *values)


def _reduce(builder: Any, x: Any, combine: Callable[[Any, Any], Any]) -> Any:
    """Combine all lanes to one number: the upper half with the lower, and again."""
    half, undefined = x.type.count // 2, ir.Constant(x.type, ir.Undefined)
    while half:
        order = [(k + half) % x.type.count for k in range(x.type.count)]
        x = combine(x, builder.shuffle_vector(x, undefined, _constant(order, 32)))
        half //= 2
    return builder.extract_element(x, ir.Constant(ir.IntType(32), 0))


@_intrinsic(reduce_add, _number, Register)
def _reduce_add(context: Any, builder: Any, kinds: Any, values: Any) -> Any:
    return _reduce(builder, values[0], builder.fadd)


@_intrinsic(reduce_max, _number, Register)
def _reduce_max(context: Any, builder: Any, kinds: Any, values: Any) -> Any:
    return _reduce(builder, values[0], lambda *two: _maximum(context, builder, kinds, two))


@_intrinsic(transpose, _no_value, _ARRAY, _ARRAY, _INTEGER, _INTEGER)
def _transpose(context: Any, builder: Any, kinds: Any, values: Any) -> Any:
    """Rows of a square that are `step` apart swap half of their lanes, for step 1, 2, 4, …"""

    def row(array: int, which: int, i: int, j: int) -> Any:
        index = context.cast(builder, values[i], kinds[i], types.intp)
        at = builder.add(index, ir.Constant(index.type, which))
        other = context.cast(builder, values[j], kinds[j], types.intp)
        own = kinds[array], types.intp, types.intp
        return _address(context, builder, own, (values[array], at, other))

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
