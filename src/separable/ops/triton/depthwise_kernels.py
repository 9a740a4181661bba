# mypy: ignore-errors
# ruff: noqa: C901, RUF005
# Triton's dialect: no Python that a type checker knows, no unpacking in tuples; what looks like branches is resolved
# when a kernel is compiled.
"""Depthwise convolution in channels_last, forward and backward, as Triton programs.

A program owns a strip: ROWS rows by BW columns of BC channels. Rows are unrolled, and each row of what is read is
loaded once per tap of the kernel's width, activated there, and used for every row that it reaches: activating at each
of the nine taps would make a 3x3 bound by arithmetic (about 47 instructions a number against 22), not by memory.
Vectors of channels are loaded 16 bytes at a time where C is a multiple of 8: C comes as C / VEC times VEC, because
Triton knows nothing of an integer's divisors but whether 16 is one (728 is 8 * 91).
"""

from separable.ops.triton.language import jit, tl

__all__ = ["activate", "backward_kernel", "forward_kernel"]


@jit
def activate(v, scale, shift, valid, AFFINE: tl.constexpr, RELU: tl.constexpr):
    """relu(scale v + shift) in fp32; zero, as the border is, where not `valid`. NaN stays NaN."""
    v = v.to(tl.float32)
    if AFFINE:
        v = v * scale + shift
    if RELU:
        v = tl.maximum(v, 0.0, propagate_nan=tl.PropagateNan.ALL)
    if AFFINE:
        v = tl.where(valid, v, 0.0)
    return v


@jit
def forward_kernel(
    x, w, bias, scale, shift, y,
    H, W, channels, OH, OW, top, left,
    VEC: tl.constexpr, KH: tl.constexpr, KW: tl.constexpr, SH: tl.constexpr, SW: tl.constexpr,
    DH: tl.constexpr, DW: tl.constexpr, AFFINE: tl.constexpr, RELU: tl.constexpr, BIAS: tl.constexpr,
    ROWS: tl.constexpr, BW: tl.constexpr, BC: tl.constexpr,
):  # fmt: skip
    """y[n, o, p, c] = sum over taps of act(x)[n, o SH + kh DH - top, p SW + kw DW - left, c] w[kh, kw, c]."""
    C = channels * VEC
    program = tl.program_id(0)
    c_blocks, w_blocks, h_blocks = tl.cdiv(C, BC), tl.cdiv(OW, BW), tl.cdiv(OH, ROWS)
    c = (program % c_blocks) * BC + tl.arange(0, BC)
    program = program // c_blocks
    ow = (program % w_blocks) * BW + tl.arange(0, BW)
    program = program // w_blocks
    first = (program % h_blocks) * ROWS
    n = (program // h_blocks).to(tl.int64)
    x += n * H * W * C
    y += n * OH * OW * C
    inside = c < C
    a, b = 0.0, 0.0
    if AFFINE:
        a = tl.load(scale + c, mask=inside, other=0.0)[None, :]
        b = tl.load(shift + c, mask=inside, other=0.0)[None, :]
    total = ()
    for _ in tl.static_range(ROWS):
        total = total + (tl.zeros((BW, BC), tl.float32),)
    for r in tl.static_range((ROWS - 1) * SH + (KH - 1) * DH + 1):
        row = first * SH + r - top
        for kw in tl.static_range(KW):
            column = ow * SW + kw * DW - left
            valid = ((column >= 0) & (column < W) & (row >= 0) & (row < H))[:, None] & inside[None, :]
            v = tl.load(x + (row * W + column)[:, None] * C + c[None, :], mask=valid, other=0.0)
            v = activate(v, a, b, valid, AFFINE, RELU)
            for i in tl.static_range(ROWS):
                for kh in tl.static_range(KH):
                    if r - i * SH == kh * DH:
                        tap = tl.load(w + (kh * KW + kw) * C + c, mask=inside, other=0.0)
                        total = total[:i] + (total[i] + v * tap[None, :],) + total[i + 1 :]
    for i in tl.static_range(ROWS):
        value = total[i]
        if BIAS:
            value += tl.load(bias + c, mask=inside, other=0.0).to(tl.float32)[None, :]
        written = ((ow < OW) & (first + i < OH))[:, None] & inside[None, :]
        place = y + ((first + i) * OW + ow)[:, None] * C + c[None, :]
        tl.store(place, value.to(y.dtype.element_ty), mask=written)


@jit
def backward_kernel(
    g, x, w, scale, shift, other, dx, sums,
    N, H, W, channels, OH, OW, top, left,
    VEC: tl.constexpr, KH: tl.constexpr, KW: tl.constexpr, SH: tl.constexpr, SW: tl.constexpr,
    DH: tl.constexpr, DW: tl.constexpr, AFFINE: tl.constexpr, RELU: tl.constexpr, OTHER: tl.constexpr,
    INPUT: tl.constexpr, WEIGHT: tl.constexpr,
    STRIPS: tl.constexpr, ROWS: tl.constexpr, BW: tl.constexpr, BC: tl.constexpr,
):  # fmt: skip
    """Every gradient from one pass over g and x: dx, and this program's share of those that are sums over pixels.

    A program walks over STRIPS strips of the input one after the other and keeps its sums in registers; it alone
    writes them, to sums[block, tap, c]: first the KH KW taps of the weight, then scale and shift. No atomics, so the
    result is the same to the bit each time. Strips start where the stride's phase is 0, so that which tap a row
    meets is known when the kernel is compiled; ROWS is a multiple of SH.
    """
    C = channels * VEC
    TAPS: tl.constexpr = KH * KW
    BACK: tl.constexpr = (KH - 1) * DH // SH
    program = tl.program_id(0)
    c_blocks, w_blocks = tl.cdiv(C, BC), tl.cdiv(W, BW)
    c = (program % c_blocks) * BC + tl.arange(0, BC)
    block = program // c_blocks
    iw = (block % w_blocks) * BW + tl.arange(0, BW)
    inside = c < C
    phase = top % SH
    h_blocks = tl.cdiv(H + phase, ROWS)
    a, b = 0.0, 0.0
    if AFFINE:
        a = tl.load(scale + c, mask=inside, other=0.0)[None, :]
        b = tl.load(shift + c, mask=inside, other=0.0)[None, :]
    taps = ()
    for _ in tl.static_range(TAPS if WEIGHT else 1):
        taps = taps + (tl.zeros((BW, BC), tl.float32),)
    dscale = tl.zeros((BW, BC), tl.float32)
    dshift = tl.zeros((BW, BC), tl.float32)
    for step in range(STRIPS):  # numpy from 2.4 on lets the interpreter take no bounds that are read from memory
        strip = (block // w_blocks) * STRIPS + step
        rows_left = tl.where(strip < N * h_blocks, H, 0)  # past the end nothing is valid
        orows_left = tl.where(strip < N * h_blocks, OH, 0)
        n = (strip // h_blocks).to(tl.int64)
        first = (strip % h_blocks) * ROWS - phase
        g_n, at = g + n * OH * OW * C, n * H * W * C
        kept, sources, totals = (), (), ()
        for i in tl.static_range(ROWS):
            row = first + i
            valid = ((iw < W) & (row >= 0) & (row < rows_left))[:, None] & inside[None, :]
            v = tl.load(x + at + (row * W + iw)[:, None] * C + c[None, :], mask=valid, other=0.0)
            kept = kept + (v,)
            sources = sources + (activate(v, a, b, valid, AFFINE, RELU),)
            totals = totals + (tl.zeros((BW, BC), tl.float32),)
        for j in tl.static_range(BACK + (ROWS - 1) // SH + 1):
            orow = (first + top) // SH + (j - BACK)
            for kw in tl.static_range(KW):
                column = iw + left - kw * DW
                met = (column >= 0) & (orow >= 0) & (orow < orows_left)
                if SW > 1:
                    met = met & (column % SW == 0)
                    column = column // SW
                met = (met & (column < OW))[:, None] & inside[None, :]
                v = tl.load(g_n + (orow * OW + column)[:, None] * C + c[None, :], mask=met, other=0.0).to(tl.float32)
                for i in tl.static_range(ROWS):
                    for kh in tl.static_range(KH):
                        if i - kh * DH == (j - BACK) * SH:
                            if INPUT:
                                tap = tl.load(w + (kh * KW + kw) * C + c, mask=inside, other=0.0)
                                totals = totals[:i] + (totals[i] + v * tap[None, :],) + totals[i + 1 :]
                            if WEIGHT:
                                more = taps[kh * KW + kw] + v * sources[i]
                                taps = taps[: kh * KW + kw] + (more,) + taps[kh * KW + kw + 1 :]
        if INPUT:
            for i in tl.static_range(ROWS):
                row = first + i
                valid = ((iw < W) & (row >= 0) & (row < rows_left))[:, None] & inside[None, :]
                da = totals[i]
                if RELU:
                    da = tl.where(sources[i] <= 0.0, 0.0, da)
                if AFFINE:
                    dscale += tl.where(valid, da * kept[i].to(tl.float32), 0.0)
                    dshift += tl.where(valid, da, 0.0)
                    da = da * a
                place = at + (row * W + iw)[:, None] * C + c[None, :]
                if OTHER:
                    da += tl.load(other + place, mask=valid, other=0.0).to(tl.float32)
                tl.store(dx + place, da.to(dx.dtype.element_ty), mask=valid)
    line = sums + block.to(tl.int64) * (TAPS + 2) * C + c
    if WEIGHT:
        for t in tl.static_range(TAPS):
            tl.store(line + t * C, tl.sum(taps[t], axis=0), mask=inside)
    if INPUT and AFFINE:
        tl.store(line + TAPS * C, tl.sum(dscale, axis=0), mask=inside)
        tl.store(line + (TAPS + 1) * C, tl.sum(dshift, axis=0), mask=inside)
