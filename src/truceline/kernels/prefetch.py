"""Asking the processor for memory that will be needed soon: nothing is computed, only waited for less."""

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

#: How many rows ahead: what memory takes to answer (some hundred ns) over what a row takes, of rows that are worked on
#: (tens of ns) and of rows that are only counted or copied.
AHEAD, FAR_AHEAD = 8, 32


@intrinsic
def prefetch(_typing: Any, array: types.Type, row: types.Type, column: types.Type) -> Any:
    """Have the line of the caches that holds array[row, column] fetched. The place need not be inside the array."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        of = context.make_array(signature.args[0])(context, builder, arguments[0])
        where = [arguments[1], arguments[2]][: signature.args[0].ndim]
        pointer = builder.bitcast(
            cgutils.get_item_pointer(context, builder, signature.args[0], of, where), cgutils.voidptr_t
        )
        number = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [cgutils.voidptr_t, number, number, number])
        fetch = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0i8")
        builder.call(fetch, [pointer, number(0), number(3), number(1)])  # to read (or write), soon, data
        return context.get_dummy_value()

    return types.void(array, types.intp, types.intp), generate
