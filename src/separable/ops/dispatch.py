"""Which implementation runs: chosen by an argument at call time, never by an import or an environment variable."""

from typing import Literal, get_args

from separable.errors import UsageError

__all__ = ["Implementation", "require_available"]

Implementation = Literal["auto", "reference", "cpu", "triton"]
_AVAILABLE = ("auto", "reference")


def require_available(implementation: str) -> None:
    """Raise for an implementation that this version does not have.

    Raises:
        UsageError: the name is unknown, or known and not built yet.
    """
    if implementation in _AVAILABLE:
        return
    known = implementation in get_args(Implementation)
    raise UsageError(
        f"The {implementation!r} kernels are not part of this version" if known else "Unknown `implementation`",
        got=None if known else repr(implementation),
        expected=" or ".join(repr(name) for name in _AVAILABLE),
        fix='Use implementation="auto", which takes the fastest one there is',
    )
