"""Versions that are known to fail or mislead here, each with what happens and what to do: one literal list."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

__all__ = ["KnownBad", "known_bad", "known_bad_convolution", "version_tuple"]

Versions = Mapping[str, str]  # distribution name -> version; a distribution that is not installed is absent


@dataclass(frozen=True)
class KnownBad:
    """`severe` means wrong results or no start; otherwise it is slow, untested or loses a feature."""

    subject: str
    what: str
    fix: str
    severe: bool


def version_tuple(version: str) -> tuple[int, ...]:
    """Leading numbers of a version, its local tag and pre-release part ignored: '2.13.0+cpu' -> (2, 13, 0)."""
    numbers = []
    for part in version.partition("+")[0].split("."):
        digits = part[: len(part) - len(part.lstrip("0123456789"))]
        if not digits:
            break
        numbers.append(int(digits))
    return tuple(numbers)


def known_bad(versions: Versions) -> tuple[KnownBad, ...]:
    """What is wrong with these versions together. `versions` may also hold "python", "cuda" and "cudnn"."""
    return tuple(entry for applies, entry in _RULES if applies(versions))


def known_bad_convolution(
    versions: Versions, kernel: tuple[int, ...], stride: tuple[int, ...], channels: tuple[int, int]
) -> KnownBad | None:
    """What is wrong with a convolution of this form, or None. `channels` are those that go in and those that come out.

    `blocks.ConvBN` takes every second pixel and convolves densely instead: the same values.
    """
    strided_pointwise = set(kernel) == {1} and max(stride) > 1 and min(channels) < _ONEDNN_BLOCK
    return _STRIDED_POINTWISE if strided_pointwise and _between("torch", (2, 13), (2, 14))(versions) else None


_ONEDNN_BLOCK = 16
_STRIDED_POINTWISE = KnownBad(
    "strided 1x1 convolution",
    "oneDNN 3.12 of torch 2.13 writes past its buffer in the weight gradient of a strided 1x1 convolution with fewer "
    "than 16 channels in channels_last with an odd batch: training may crash or be wrong without a word",
    "Sample first and convolve densely, conv(x[:, :, ::2, ::2]) with stride 1, which gives the same values; or train "
    "in the contiguous layout or with even batches",
    True,
)


def _between(name: str, low: tuple[int, ...], high: tuple[int, ...]) -> Callable[[Versions], bool]:
    """True when `name` is installed with low <= version < high."""
    return lambda versions: name in versions and low <= version_tuple(versions[name]) < high


def _torchvision_of_another_torch(versions: Versions) -> bool:
    # torchvision 0.(n + 15) is built against torch 2.n; any other pair fails at import or warns at every operator.
    if "torch" not in versions or "torchvision" not in versions:
        return False
    torch, vision = version_tuple(versions["torch"]), version_tuple(versions["torchvision"])
    return torch[:1] == (2,) and vision[:1] == (0,) and vision[1:2] != (torch[1] + 15,)


_RULES: tuple[tuple[Callable[[Versions], bool], KnownBad], ...] = (
    (
        _between("python", (0,), (3, 11)),
        KnownBad("python", "older than 3.11, the first version supported", "Use Python 3.11, 3.12 or 3.13", True),
    ),
    (
        _between("python", (3, 14), (99,)),
        KnownBad("python", "newer than 3.13, the last version tested", "Use Python 3.11, 3.12 or 3.13", False),
    ),
    (
        _between("torch", (0,), (2, 11)),
        KnownBad("torch", "older than 2.11, the first version supported", 'pip install "torch>=2.11,<2.14"', True),
    ),
    (
        _between("torch", (2, 14), (99,)),
        KnownBad("torch", "newer than 2.13, the last version tested", 'pip install "torch>=2.11,<2.14"', False),
    ),
    (
        _between("numpy", (0,), (1, 26)),
        KnownBad("numpy", "older than 1.26: torch cannot share memory with it", 'pip install "numpy>=1.26"', True),
    ),
    (
        _between("pillow", (0,), (11,)),
        KnownBad("pillow", "older than 11: decoders with known security holes", 'pip install "pillow>=11"', False),
    ),
    (
        # torch refuses cuDNN for channels_last tensors beyond 2^31 elements on these (aten/native/Convolution.cpp).
        _between("cudnn", (9, 10), (9, 15)),
        KnownBad(
            "cudnn",
            "9.10 to 9.14 cannot run channels_last tensors of more than 2^31 elements (Xception at batch 777 and more)",
            "Keep the batch on one GPU below that, or install a torch built with cuDNN 9.15",
            False,
        ),
    ),
    (
        _torchvision_of_another_torch,
        KnownBad(
            "torchvision",
            "built for another version of torch; programs that import both fail",
            "pip install --upgrade torchvision, or uninstall it: separable does not use it",
            False,
        ),
    ),
)
