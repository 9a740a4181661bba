"""Numbers as a reader wants them, and the interval that belongs to a share."""

import math

__all__ = ["amount", "count_of", "duration", "listed", "milliseconds", "percent", "wilson_interval"]

_Z95 = 1.959963984540054


def wilson_interval(right: float, n: int) -> tuple[float, float]:
    """95 % interval of a share seen as `right` of `n` (Wilson 1927): sensible at 0, at 1 and for few pictures."""
    if n <= 0:
        return 0.0, 1.0
    share, z2 = right / n, _Z95**2
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = _Z95 / (1 + z2 / n) * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    return max(0.0, centre - half), min(1.0, centre + half)


def percent(share: float, decimals: int = 1) -> str:
    """0.885 as "88.5%"; a dash for what is not a number; never "100%" for less than all nor "0%" for some."""
    if not math.isfinite(share):
        return "\N{EN DASH}"
    if share in (0.0, 1.0):
        return f"{100 * share:.0f}%"
    text = f"{100 * share:.{decimals}f}"
    if float(text) in (0.0, 100.0):
        limit = 10.0**-decimals
        return f"<{limit:.{decimals}f}%" if share < 0.5 else f">{100 - limit:.{decimals}f}%"
    return f"{text}%"


def duration(seconds: float) -> str:
    """Seconds in the two units that matter: "1 h 12 min", "2 min 41 s", "8.4 s"."""
    if not math.isfinite(seconds) or seconds < 0:
        return "\N{EN DASH}"
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    minutes = round(seconds / 60)
    if minutes < 48 * 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes // 1440} d {minutes % 1440 // 60} h"


def milliseconds(value: float) -> str:
    """23.46 as "23.5 ms", 2580 as "2.6 s"."""
    return f"{amount(value)} ms" if value < 999.5 else duration(value / 1000)


def amount(value: float, digits: int = 3) -> str:
    """A large number with its unit prefix: 22_910_480 as "22.9 M", 8.357e9 as "8.36 G", small ones as they are."""
    if not math.isfinite(value):
        return "\N{EN DASH}"
    for size, prefix in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size * (1 - 0.5 * 10.0**-digits):
            return f"{_significant(value / size, digits)} {prefix}"
    return _significant(value, digits)


def count_of(number: int, one: str, many: str | None = None) -> str:
    """1, "picture" as "1 picture"; 1200 as "1,200 pictures"."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def listed(items: list[str]) -> str:
    """["a", "b", "c"] as "a, b and c"."""
    return " and ".join(filter(None, [", ".join(items[:-1]), *items[-1:]]))


def _significant(value: float, digits: int) -> str:
    if value == int(value) and abs(value) < 10**digits:
        return str(int(value))
    rounded = float(f"{value:.{digits - 1}e}")  # 999.96 has one digit more than it seems
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(rounded))))
    return f"{value:.{decimals}f}"
