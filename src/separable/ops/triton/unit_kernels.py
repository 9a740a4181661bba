# mypy: ignore-errors
# Triton's dialect is no Python that a type checker knows.
"""The rest of a separable unit as Triton programs: products with moments, their combination, and one-pass maps.

All work on maps in channels_last seen as a matrix of rows (pixels) by channels.
"""

from separable.ops.triton.depthwise_kernels import activate
from separable.ops.triton.language import jit, tl

__all__ = ["combine_kernel", "gather_kernel", "moments_kernel", "product_kernel", "products_kernel"]


@jit
def _store_moments(v, valid, sums, squares, block, c, C, count):
    """Sum and sum of squared distances from this block's own mean: far from zero, plain squares would lose digits."""
    total = tl.sum(v, axis=0)
    distance = tl.where(valid, v - (total / count)[None, :], 0.0)
    place = block.to(tl.int64) * C + c
    tl.store(sums + place, total, mask=c < C)
    tl.store(squares + place, tl.sum(distance * distance, axis=0), mask=c < C)


@jit
def _window(
    x, w, scale, shift, pixel, rows, c, C, H, W, K: tl.constexpr, AFFINE: tl.constexpr, RELU: tl.constexpr,
    BM: tl.constexpr, BK: tl.constexpr,
):  # fmt: skip
    """(BM, BK) of the depthwise convolution of act(x), stride 1, side kept, computed where it is needed."""
    inside = c < C
    a, b = 0.0, 0.0
    if AFFINE:
        a = tl.load(scale + c, mask=inside, other=0.0)[None, :]
        b = tl.load(shift + c, mask=inside, other=0.0)[None, :]
    total = tl.zeros((BM, BK), tl.float32)
    row, column = pixel // W % H, pixel % W
    for kh in tl.static_range(K):
        for kw in tl.static_range(K):
            dy, dx = kh - K // 2, kw - K // 2
            near = (row + dy >= 0) & (row + dy < H) & (column + dx >= 0) & (column + dx < W) & (pixel < rows)
            valid = near[:, None] & inside[None, :]
            v = tl.load(x + (pixel + dy * W + dx).to(tl.int64)[:, None] * C + c[None, :], mask=valid, other=0.0)
            tap = tl.load(w + (kh * K + kw) * C + c, mask=inside, other=0.0)
            total += activate(v, a, b, valid, AFFINE, RELU) * tap[None, :]
    return total


@jit
def product_kernel(
    a, scale, shift, taps, b, y, sums, squares,
    rows, deep, wide, H, W,
    A_VEC: tl.constexpr, Y_VEC: tl.constexpr, WINDOW: tl.constexpr, K: tl.constexpr, RELU: tl.constexpr,
    AFFINE: tl.constexpr, MOMENTS: tl.constexpr, WIDEN: tl.constexpr, PRECISION: tl.constexpr,
    DEPTHS: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr,
):  # fmt: skip
    """y (rows, wide) = A (rows, deep) @ b^T, b (wide, deep), with y's moments per block of rows from its fp32 sums.

    A is `a` itself or, with WINDOW, the depthwise convolution of relu(scale a + shift), which then never is in memory.
    Blocks of the width are neighbours in time, so that A is read from memory once.
    """
    C, O = deep * A_VEC, wide * Y_VEC  # noqa: E741
    program = tl.program_id(0)
    n_blocks = tl.cdiv(O, BN)
    block = program // n_blocks
    pixel = block * BM + tl.arange(0, BM)
    o = (program % n_blocks) * BN + tl.arange(0, BN)
    total = tl.zeros((BM, BN), tl.float32)
    for start in range(DEPTHS):
        c = start * BK + tl.arange(0, BK)
        if WINDOW:
            left = _window(a, taps, scale, shift, pixel, rows, c, C, H, W, K, AFFINE, RELU, BM, BK)
            left = left.to(a.dtype.element_ty)
        else:
            valid = (pixel < rows)[:, None] & (c < C)[None, :]
            left = tl.load(a + pixel.to(tl.int64)[:, None] * C + c[None, :], mask=valid, other=0.0)
        right = tl.load(b + c[:, None] + o[None, :] * C, mask=(c < C)[:, None] & (o < O)[None, :], other=0.0)
        if WIDEN:
            left, right = left.to(tl.float32), right.to(tl.float32)
        total = tl.dot(left, right, total, input_precision=PRECISION)
    valid = (pixel < rows)[:, None] & (o < O)[None, :]
    value = total.to(y.dtype.element_ty)
    tl.store(y + pixel.to(tl.int64)[:, None] * O + o[None, :], value, mask=valid)
    if MOMENTS:
        count = tl.minimum(rows - block * BM, BM).to(tl.float32)
        _store_moments(value.to(tl.float32), valid, sums, squares, block, o, O, count)


@jit
def moments_kernel(z, sums, squares, rows, channels, VEC: tl.constexpr, BM: tl.constexpr, BC: tl.constexpr):
    """Moments of z (rows, C) per block of rows."""
    C = channels * VEC
    c_blocks = tl.cdiv(C, BC)
    c = (tl.program_id(0) % c_blocks) * BC + tl.arange(0, BC)
    block = tl.program_id(0) // c_blocks
    pixel = block * BM + tl.arange(0, BM)
    valid = (pixel < rows)[:, None] & (c < C)[None, :]
    v = tl.load(z + pixel.to(tl.int64)[:, None] * C + c[None, :], mask=valid, other=0.0).to(tl.float32)
    _store_moments(v, valid, sums, squares, block, c, C, tl.minimum(rows - block * BM, BM).to(tl.float32))


@jit
def gather_kernel(
    sums, squares, sums_out, squares_out, blocks, size, rows, C, LAST: tl.constexpr, BB: tl.constexpr, BC: tl.constexpr
):
    """Moments of BB blocks as those of one: squares of the whole are the blocks' own plus their means' distances.

    Every block is of `size` rows, the last one of what is left of `rows`. With LAST, mean and variance are written.
    """
    c_blocks = tl.cdiv(C, BC)
    c = (tl.program_id(0) % c_blocks) * BC + tl.arange(0, BC)
    group = tl.program_id(0) // c_blocks
    block = group * BB + tl.arange(0, BB)
    valid = (block < blocks)[:, None] & (c < C)[None, :]
    place = block.to(tl.int64)[:, None] * C + c[None, :]
    total = tl.load(sums + place, mask=valid, other=0.0)
    square = tl.load(squares + place, mask=valid, other=0.0)
    count = tl.maximum(tl.minimum(rows - block.to(tl.int64) * size, size), 1).to(tl.float32)[:, None]
    whole = tl.sum(total, axis=0)
    every = tl.minimum(rows - group.to(tl.int64) * BB * size, BB * size).to(tl.float32)
    distance = tl.where(valid, total / count - (whole / every)[None, :], 0.0)
    square = tl.sum(square + count * distance * distance, axis=0)
    if LAST:
        whole, square = whole / every, square / every
    tl.store(sums_out + group * C + c, whole, mask=c < C)
    tl.store(squares_out + group * C + c, square, mask=c < C)


@jit
def products_kernel(
    g, z, sums, rows, channels, VEC: tl.constexpr, BM: tl.constexpr, STEPS: tl.constexpr, BC: tl.constexpr
):
    """Per block of STEPS * BM rows and channel: the sums of g z and of g."""
    C = channels * VEC
    c_blocks = tl.cdiv(C, BC)
    c = (tl.program_id(0) % c_blocks) * BC + tl.arange(0, BC)
    block = tl.program_id(0) // c_blocks
    product = tl.zeros((BM, BC), tl.float32)
    total = tl.zeros((BM, BC), tl.float32)
    for step in range(STEPS):
        pixel = (block * STEPS + step) * BM + tl.arange(0, BM)
        valid = (pixel < rows)[:, None] & (c < C)[None, :]
        place = pixel.to(tl.int64)[:, None] * C + c[None, :]
        v = tl.load(g + place, mask=valid, other=0.0).to(tl.float32)
        product += v * tl.load(z + place, mask=valid, other=0.0).to(tl.float32)
        total += v
    line = sums + block.to(tl.int64) * 2 * C + c
    tl.store(line, tl.sum(product, axis=0), mask=c < C)
    tl.store(line + C, tl.sum(total, axis=0), mask=c < C)


@jit
def combine_kernel(
    z, scale, shift, other, y, rows, channels, VEC: tl.constexpr, SHIFT: tl.constexpr, OTHER: tl.constexpr,
    BM: tl.constexpr, BC: tl.constexpr,
):  # fmt: skip
    """y = scale z + shift + other, each (rows, C), scale and shift per channel; what is not given is left out."""
    C = channels * VEC
    c_blocks = tl.cdiv(C, BC)
    c = (tl.program_id(0) % c_blocks) * BC + tl.arange(0, BC)
    pixel = (tl.program_id(0) // c_blocks) * BM + tl.arange(0, BM)
    valid = (pixel < rows)[:, None] & (c < C)[None, :]
    place = pixel.to(tl.int64)[:, None] * C + c[None, :]
    v = tl.load(z + place, mask=valid, other=0.0).to(tl.float32)
    v = v * tl.load(scale + c, mask=c < C, other=0.0)[None, :]
    if SHIFT:
        v += tl.load(shift + c, mask=c < C, other=0.0)[None, :]
    if OTHER:
        v += tl.load(other + place, mask=valid, other=0.0).to(tl.float32)
    tl.store(y + place, v.to(y.dtype.element_ty), mask=valid)
