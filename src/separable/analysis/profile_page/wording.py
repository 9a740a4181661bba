"""How this page writes times, rates and shares."""

import math

from separable.analysis.page.wording import amount

__all__ = ["flops", "milliseconds", "share", "size", "times"]


def milliseconds(seconds: float) -> str:
    """Three digits: "213 ms", "8.42 ms", "0.031 ms"."""
    if not math.isfinite(seconds):
        return "\N{EN DASH}"
    value = 1000 * seconds
    if value >= 9999.5:
        return f"{seconds:.3g} s"
    digits = 0 if value >= 99.95 else 1 if value >= 9.995 else 2 if value >= 0.9995 else 3
    return f"{value:.{digits}f} ms"


def share(value: float) -> str:
    """0.474 as "47%"; a dash for what is not a number."""
    if not math.isfinite(value):
        return "\N{EN DASH}"
    return f"{100 * value:.0f}%" if value >= 0.0995 else f"{100 * value:.1f}%"


def flops(rate: float) -> str:
    """ "193 GFLOP/s"."""
    return f"{amount(rate)}FLOP/s" if math.isfinite(rate) else "\N{EN DASH}"


def size(count: float) -> str:
    """ "1.53 MB"; thousand bytes are a kB here, as in rates."""
    return f"{amount(count)}B" if count >= 1000 else f"{count:.0f} B"


def times(shape: tuple[int, ...]) -> str:
    """(1, 64, 147, 147) as "1x64x147x147" with the proper sign."""
    return "\N{MULTIPLICATION SIGN}".join(map(str, shape)) or "not run"
