"""Matrix products C = A B, two of them: through BLAS if large, in registers if small.

`product` calls `sgemm` or `dgemm` of the OpenBLAS that SciPy ships, by its address, so that
compiled code needs neither Python nor the GIL between two products. Transposes are flags. Before
it multiplies, OpenBLAS packs both factors into panels, unless the product is small (m n k ≤ 10⁶,
and m n ≤ 1200 where B is a transpose) and the processor has AVX-512. At our sizes packing is a
sixth of the time. So on such a processor a product is cut into pieces that need none, and while
one piece is multiplied, the next one's rows are prefetched into L2.

`small_product` is for the heads of attention, whose matrices are too small to be worth a call, and
without AVX-512 for all products of up to 2²¹ multiplications that have whole registers. It keeps
four rows by two registers of C in registers along the whole of k.
"""

from typing import Any

from llvmlite import binding, ir
from numba import types
from numba.core import cgutils
from numba.extending import get_cython_function_address, intrinsic, overload

from minuddm.checks import Floats
from minuddm.machine.intrinsics import AVX512, lanes, load, multiply_add, prefetch, splat, store
from minuddm.machine.jit import jit_strict

# rows, columns and depth of a piece, and of one where B is a transpose
_PIECE, _PIECE_TRANSPOSED = ((64, 64, 240), (32, 32, 960)) if AVX512 else 2 * (3 * (2**30,),)
_IN_REGISTERS = 0 if AVX512 else 2**21  # m n k at most of what BLAS does not multiply
_NO_TRANS, _TRANS = ord("N"), ord("T")  # flags of BLAS

for _name in ("sgemm", "dgemm"):
    binding.add_symbol(
        f"minuddm_{_name}", get_cython_function_address("scipy.linalg.cython_blas", _name)
    )


@jit_strict
def product(C: Floats, A: Floats, B: Floats, add: bool) -> None:
    """C (m, n) ← A B, or C + A B, of A (m, k), B (k, n), which may be views of transposes."""
    m, n, k = C.shape[0], C.shape[1], A.shape[1]
    whole = m % 4 == 0 and n % lanes(C) == 0 and B.strides[1] == B.itemsize
    if whole and m * n * k <= _IN_REGISTERS:
        small_product(C, A, B, add)
        return
    rows, columns, depth = _PIECE if B.strides[1] == B.itemsize else _PIECE_TRANSPOSED
    depth = -(-k // -(-k // depth))  # pieces of equal depth
    for j in range(0, n, columns):
        for i in range(0, m, rows):
            for p in range(0, k, depth):
                if i + rows < m:  # the next rows; below the last, the next columns, if any
                    _prefetch_piece(C[i + rows : i + 2 * rows, j : j + columns])
                    _prefetch_piece(A[i + rows : i + 2 * rows, p : p + depth])
                else:
                    _prefetch_piece(C[:rows, j + columns : j + 2 * columns])
                    _prefetch_piece(B[p : p + depth, j + columns : j + 2 * columns])
                gemm(
                    C[i : i + rows, j : j + columns],
                    A[i : i + rows, p : p + depth],
                    B[p : p + depth, j : j + columns],
                    add or p > 0,
                )


@jit_strict
def _prefetch_piece(A: Floats) -> None:
    """Prefetch a piece, whose rows or columns are contiguous, into L2."""
    by_rows = A if A.strides[1] == A.itemsize else A.T
    for i in range(by_rows.shape[0]):
        for j in range(0, by_rows.shape[1], lanes(A)):
            prefetch(by_rows, i, j)


def gemm(C: Any, A: Any, B: Any, add: bool) -> None:
    """C = A B, or C + A B, by one call of BLAS; rows or columns of A and B are contiguous."""
    C[:] = A @ B + (C if add else 0)


@overload(gemm, inline="never")
def _compiled_gemm(C: Any, A: Any, B: Any, add: Any) -> Any:
    return _call_gemm


def _call_gemm(C: Any, A: Any, B: Any, add: Any) -> None:
    # BLAS stores by columns: to it, what we store by rows is a transpose, so Cᵀ = Bᵀ Aᵀ
    trans_b, ldb = _layout(B)
    trans_a, lda = _layout(A)
    ldc = _layout(C)[1]
    beta = C.dtype.type(1 if add else 0)
    _gemm(trans_b, trans_a, C.shape[1], C.shape[0], A.shape[1], B, ldb, A, lda, beta, C, ldc)


@jit_strict
def _layout(A: Floats) -> tuple[int, int]:
    """Return the BLAS layout of a matrix: its flag, and its leading dimension in numbers."""
    if A.strides[1] == A.itemsize:
        return _NO_TRANS, max(A.strides[0] // A.itemsize, A.shape[1])
    return _TRANS, max(A.strides[1] // A.itemsize, A.shape[0])


def _typed_gemm(
    _: Any,
    trans_a: Any,
    trans_b: Any,
    m: Any,
    n: Any,
    k: Any,
    a: Any,
    lda: Any,
    b: Any,
    ldb: Any,
    beta: Any,
    c: Any,
    ldc: Any,
) -> Any:
    """Call ?gemm by Fortran's convention: every argument by its address."""
    name = "minuddm_sgemm" if a.dtype == types.float32 else "minuddm_dgemm"

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        def flag(value: Any) -> Any:
            return cgutils.alloca_once_value(builder, builder.trunc(value, ir.IntType(8)))

        def integer(value: Any) -> Any:  # its lower half is the number too, if BLAS reads 32 bits
            return cgutils.alloca_once_value(builder, value)

        def start(kind: Any, array: Any) -> Any:
            return context.make_array(kind)(context, builder, array).data

        trans_a, trans_b, m, n, k, a_, lda, b_, ldb, beta, c_, ldc = arguments
        one = context.get_constant(a.dtype, 1.0)
        passed = [
            flag(trans_a),
            flag(trans_b),
            integer(m),
            integer(n),
            integer(k),
            cgutils.alloca_once_value(builder, one),
            start(a, a_),
            integer(lda),
            start(b, b_),
            integer(ldb),
            cgutils.alloca_once_value(builder, beta),
            start(c, c_),
            integer(ldc),
        ]
        kind = ir.FunctionType(ir.VoidType(), [value.type for value in passed])
        builder.call(cgutils.get_or_insert_function(builder.module, kind, name), passed)
        return context.get_dummy_value()

    n_ = types.intp
    return types.none(n_, n_, n_, n_, n_, a, n_, b, n_, a.dtype, c, n_), code


_gemm: Any = intrinsic(_typed_gemm)


@jit_strict
def small_product(C: Floats, A: Floats, B: Floats, add: bool) -> None:
    """C (m, n) ← A B, or C + A B, of A (m, k), B (k, n); n is a multiple of a register, m of four.

    Rows of B and C are contiguous; A may be a view of any strides.
    """
    wide = lanes(C)
    for j in range(0, C.shape[1] - wide, 2 * wide):
        for i in range(0, C.shape[0], 4):
            c00 = c01 = c10 = c11 = c20 = c21 = c30 = c31 = splat(C.dtype.type(0))
            if add:
                c00, c01 = load(C, i, j), load(C, i, j + wide)
                c10, c11 = load(C, i + 1, j), load(C, i + 1, j + wide)
                c20, c21 = load(C, i + 2, j), load(C, i + 2, j + wide)
                c30, c31 = load(C, i + 3, j), load(C, i + 3, j + wide)
            for p in range(A.shape[1]):
                b0, b1 = load(B, p, j), load(B, p, j + wide)
                a = splat(A[i, p])
                c00, c01 = multiply_add(a, b0, c00), multiply_add(a, b1, c01)
                a = splat(A[i + 1, p])
                c10, c11 = multiply_add(a, b0, c10), multiply_add(a, b1, c11)
                a = splat(A[i + 2, p])
                c20, c21 = multiply_add(a, b0, c20), multiply_add(a, b1, c21)
                a = splat(A[i + 3, p])
                c30, c31 = multiply_add(a, b0, c30), multiply_add(a, b1, c31)
            store(C, i, j, c00)
            store(C, i, j + wide, c01)
            store(C, i + 1, j, c10)
            store(C, i + 1, j + wide, c11)
            store(C, i + 2, j, c20)
            store(C, i + 2, j + wide, c21)
            store(C, i + 3, j, c30)
            store(C, i + 3, j + wide, c31)
    if C.shape[1] // wide % 2:  # the last register of a row is single
        j = C.shape[1] - wide
        for i in range(0, C.shape[0], 4):
            c00 = c10 = c20 = c30 = splat(C.dtype.type(0))
            if add:
                c00, c10 = load(C, i, j), load(C, i + 1, j)
                c20, c30 = load(C, i + 2, j), load(C, i + 3, j)
            for p in range(A.shape[1]):
                b0 = load(B, p, j)
                c00 = multiply_add(splat(A[i, p]), b0, c00)
                c10 = multiply_add(splat(A[i + 1, p]), b0, c10)
                c20 = multiply_add(splat(A[i + 2, p]), b0, c20)
                c30 = multiply_add(splat(A[i + 3, p]), b0, c30)
            store(C, i, j, c00)
            store(C, i + 1, j, c10)
            store(C, i + 2, j, c20)
            store(C, i + 3, j, c30)
