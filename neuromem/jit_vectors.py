"""Vector code that a compiler does not find by itself: rows of bits are added up with all sums held in registers.

Written as loops over arrays the same sums take five times as long, because each of seven rows and six planes must be shown
not to overlap before a vector may be stored.  What is here is LLVM's own vector arithmetic and no instruction of any one
processor, so every target has it.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import config
from numba.core import cgutils, types
from numba.extending import intrinsic

GROUP = 7  # rows folded at once: 7 = 2**3 - 1 fills three planes exactly
FAST_PLANES = 6  # the sums go up to 63


def compiled_adder(width: int) -> Any:
    """``add_rows`` for ``width`` words as an intrinsic of kernels."""

    @intrinsic
    def add_rows(typing_context: Any, weights: Any, rows: Any, first: Any, n_groups: Any, word: Any, planes: Any) -> Any:
        signature = types.void(weights, rows, types.int64, types.int64, types.int64, planes)
        return signature, lambda *arguments: emit_adder(width, *arguments)

    return add_rows


def emit_adder(width: int, context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    """Write the code: full adders fold seven rows into three bits per cell, which ripple into the six planes."""
    weights, rows, planes = (context.make_array(signature.args[i])(context, builder, arguments[i]) for i in (0, 1, 5))
    first, n_groups, word = arguments[2:5]
    n_words = cgutils.unpack_tuple(builder, weights.shape)[1]
    int64 = ir.IntType(64)
    vector = ir.VectorType(int64, width)
    sums = [cgutils.alloca_once_value(builder, ir.Constant(vector, [0] * width)) for _ in range(FAST_PLANES)]

    def place(array: Any, row: Any) -> Any:
        at = builder.gep(array.data, [builder.add(builder.mul(row, n_words), word)])
        return builder.bitcast(at, vector.as_pointer())

    def add(x: Any, y: Any, z: Any) -> tuple[Any, Any]:
        half = builder.xor(x, y)
        return builder.xor(half, z), builder.or_(builder.and_(x, y), builder.and_(half, z))

    with cgutils.for_range(builder, n_groups, intp=int64) as loop:
        start = builder.add(first, builder.mul(loop.index, ir.Constant(int64, GROUP)))
        words = []
        for k in range(GROUP):
            row = builder.load(builder.gep(rows.data, [builder.add(start, ir.Constant(int64, k))]))
            words.append(builder.load(place(weights, builder.sext(row, int64)), align=8))
        ones1, twos1 = add(*words[0:3])
        ones2, twos2 = add(*words[3:6])
        ones, twos3 = add(ones1, ones2, words[6])
        twos, fours = add(twos1, twos2, twos3)
        carry = None
        for plane, bit in zip(sums, (ones, twos, fours, None, None, None), strict=True):
            old = builder.load(plane)
            terms = [old, *(x for x in (bit, carry) if x is not None)]
            if len(terms) == 3:
                new, carry = add(*terms)
            else:
                new, carry = builder.xor(*terms), builder.and_(*terms)
            builder.store(new, plane)
    for p, plane in enumerate(sums):
        builder.store(builder.load(plane), place(planes, ir.Constant(int64, p)), align=8)
    return context.get_dummy_value()


def plain_adder(width: int) -> Callable:
    """The same without a compiler."""

    def add_rows(weights: np.ndarray, rows: np.ndarray, first: int, n_groups: int, word: int, planes: np.ndarray) -> None:
        """Write bit ``p`` of every cell's sum into plane ``p``, for the cells of some words.

        Parameters
        ----------
        weights : uint64 (n_rows, n_words), C order
        rows : int32 (n,)
            ``rows[first : first + 7 * n_groups]`` are added up, at most nine groups.
        word : int
            First of the words.
        planes : uint64 (>= 6, n_words), C order
            Output.
        """
        some = slice(word, word + width)
        planes[:FAST_PLANES, some] = 0
        for row in rows[first : first + GROUP * n_groups]:
            carry = weights[row, some].copy()
            for plane in planes[:FAST_PLANES, some]:
                plane ^= carry
                carry &= ~plane

    return add_rows


adder = plain_adder if config.DISABLE_JIT else compiled_adder  # type: ignore[attr-defined]
add_rows_1, add_rows_4, add_rows_8 = adder(1), adder(4), adder(8)
