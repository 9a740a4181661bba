"""How large a piece of the work one program takes, per kernel and shape: a table, and what was timed on this device.

The table is reckoned for an H200 (132 multiprocessors, 65,536 registers, 227 KB of shared memory and up to 64 warps
each; 4.3 TB/s measured for a copy), not measured yet. To keep the memory busy, reads of bandwidth times latency have to
be under way: about 2.2 TB/s * 0.7 us / 132 = 12 KB per multiprocessor for a kernel that reads half of what it moves.

Depthwise: a tile of BW * BC numbers over 32 * warps threads. Registers as the compiler (Triton 3.6, sm_90, bf16, 728
channels, prologue) allots them, none of them spilled in what is listed here:

| rows, numbers a thread | 3x3 forward | 3x3 backward | 5x5 forward | 5x5 backward | 7x7 forward |
|---|---|---|---|---|---|
| 2, 2 | | | 126 | 255 | 211 |
| 4, 2 | | 140 | 166 | 255 | 219 |
| 2, 4 | 96 | 200 | 211 | spills | spills |
| 4, 4 | 112 | 255 | spills | spills | spills |
| 8, 4 | 155 | spills | | | |
| 4, 8 | 190 | spills | | | |

At 112 registers 16 warps fit a multiprocessor, each with the loads of up to six rows under way: 16 * 32 * 4 * 2 bytes
a row is 4 KB, so three rows reach the 12 KB. Longer strips read fewer rows twice (ROWS + KH - 1 for ROWS), from the L2
cache. The backward program carries KH KW sums a thread, too many for 7x7 beside the input's gradient: that takes two
launches.

Products: the usual Hopper tile, 128 x 128 or 128 x 256 with 64 deep and 8 warps; 64 x 64 where there are few channels.
"""

import json
import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from separable.download import cache_directory
from separable.files import make_directory, write_text_atomically
from separable.ops.triton.language import is_interpreting, triton_version

__all__ = ["Config", "Tuner", "config_for", "default_config", "rival_configs", "tuner", "tuning"]

_FORMAT = 1
_STRIPS: dict[str, dict[int, tuple[tuple[int, int, int], ...]]] = {
    "forward": {
        3: ((4, 4, 4), (8, 4, 4), (4, 8, 4), (2, 8, 4), (4, 4, 2), (4, 4, 8)),
        5: ((4, 2, 4), (2, 2, 4), (2, 4, 4), (2, 2, 8)),
        7: ((2, 2, 4), (4, 2, 4), (1, 2, 4)),
    },
    "backward": {
        3: ((4, 2, 4), (2, 4, 4), (4, 4, 4), (2, 2, 4), (4, 2, 8)),
        5: ((2, 2, 4), (4, 2, 4), (2, 1, 4)),
        7: ((1, 2, 4), (2, 1, 4)),
    },
}
"""Rows, numbers a thread and warps of a strip by the side of the window; the first is the table's own."""


@dataclass(frozen=True)
class Config:
    """Sizes of one program's piece. What a kernel has no use for is 0."""

    rows: int = 0
    """Rows of a strip (depthwise)."""
    columns: int = 0
    """Columns of a strip (depthwise), or rows of the matrix (products, passes)."""
    channels: int = 0
    """Channels: the output's, where there are two kinds."""
    depth: int = 0
    """Channels summed over at a time (products)."""
    warps: int = 4
    stages: int = 2
    programs: int = 4096
    """About how many programs share out the work, where each writes partial sums (backward)."""


def default_config(kernel: str, channels: int, window: int = 3, width: int = 1 << 30) -> Config:
    """The table: `kernel` is "forward", "backward" (depthwise), "product", "wide" (in fp32), "window" (of a
            depthwise convolution) or "pass".

    Args:
        channels: of the output. window: side of the filter. width: of the map; no tile is wider than it needs to be.
    """
    if is_interpreting():  # small shapes; large tiles cost nothing there, programs do
        small, columns = _floor(channels, 16, 32), min(_ceiling(width), 32 if kernel in _STRIPS else 128)
        return Config(rows=2, columns=columns, channels=small, depth=16, warps=4, stages=1, programs=8)
    if kernel in _STRIPS:
        rows, numbers, warps = _STRIPS[kernel][_window_class(window)][0]
        return _strip(channels, width, rows, numbers, warps)
    if kernel == "window":
        return Config(columns=64, channels=128 if channels > 64 else 64, depth=32, warps=8, stages=2)
    if kernel == "wide":
        return Config(columns=64, channels=64, depth=16, warps=4, stages=2)
    if kernel == "product":
        if channels <= 64:
            return Config(columns=128, channels=64, depth=64, warps=4, stages=3)
        return Config(columns=128, channels=256 if channels > 512 else 128, depth=64, warps=8, stages=3)
    return Config(columns=32, channels=_floor(channels, 16, 64), warps=4)


def rival_configs(kernel: str, channels: int, window: int = 3, width: int = 1 << 30) -> list[Config]:
    """What is worth timing for this shape, the table's own choice first."""
    own = default_config(kernel, channels, window, width)
    if kernel in _STRIPS:
        rivals = [_strip(channels, width, *strip) for strip in _STRIPS[kernel][_window_class(window)]]
    elif kernel == "window":
        sizes: tuple[tuple[int, ...], ...] = (
            (64, 128, 32, 8, 2),
            (64, 64, 32, 4, 2),
            (128, 64, 32, 8, 2),
            (64, 256, 32, 8, 2),
        )
        rivals = [Config(0, m, n, k, warps, stages) for m, n, k, warps, stages in sizes]
    elif kernel == "wide":
        rivals = [
            Config(0, 64, n, k, warps, 2) for n, k, warps in ((64, 16, 4), (64, 32, 8), (128, 16, 8), (32, 32, 4))
        ]
    elif kernel == "product":
        sizes = (
            (128, 64, 64, 4, 4),
            (128, 128, 64, 8, 3),
            (128, 128, 64, 4, 4),
            (128, 256, 64, 8, 3),
            (64, 256, 64, 8, 3),
        )
        rivals = [Config(0, m, n, k, warps, stages) for m, n, k, warps, stages in sizes]
    else:
        rivals = [Config(0, rows, _floor(channels, 16, 64), warps=warps) for rows in (16, 32, 64) for warps in (4, 8)]
    return list(dict.fromkeys([own, *rivals]))


def _window_class(window: int) -> int:
    return min(max(window, 3), 7) | 1


def _strip(channels: int, width: int, rows: int, numbers: int, warps: int = 4) -> Config:
    """A strip of `numbers` numbers a thread: as many channels as there are up to 64, the rest in columns."""
    across = _floor(channels, 16, 64)
    columns = min(32 * warps * numbers // across, _ceiling(width))
    return Config(rows=rows, columns=max(columns, 1), channels=across, warps=warps)


def _ceiling(number: int) -> int:
    """The next power of two."""
    return 1 << max(number - 1, 0).bit_length()


def _floor(number: int, least: int, most: int) -> int:
    """The power of two at or above `number`, between `least` and `most`."""
    return min(max(_ceiling(number), least), most)


class Tuner:
    """What was timed: kept in memory and in one file per device, torch and Triton.

    Args:
        path: the file. A damaged one, or one of another format, is as good as none.
        time: milliseconds that a call takes; `triton.testing.do_bench` unless something else is given.
    """

    def __init__(self, path: Path, time: Callable[[Callable[[], object]], float] | None = None) -> None:
        self.path, self.active, self.spent = path, False, 0.0
        self._time = time or _time
        self._chosen = _read(path)

    def find(self, key: str) -> Config | None:
        """What was chosen for `key`."""
        return self._chosen.get(key)

    def choose(self, key: str, rivals: Iterable[Config], run: Callable[[Config], object]) -> Config:
        """The fastest of `rivals` by running each, kept; one that fails (too large for the device) is passed over.

        Raises:
            RuntimeError: every one of them failed; the last one's own error.
        """
        best, least, failure = None, math.inf, None
        for config in rivals:
            try:
                took = self._time(lambda config=config: run(config))  # type: ignore[misc]
            except (RuntimeError, ValueError, AssertionError) as error:  # Triton's OutOfResources among them
                failure = error
                continue
            self.spent += took
            if took < least:
                best, least = config, took
        if best is None:
            raise RuntimeError(f"no configuration of {key} ran: {failure}") from failure
        self._chosen[key] = best
        self._write()
        return best

    def _write(self) -> None:
        """What another process has found meanwhile is kept."""
        make_directory(self.path.parent)
        self._chosen = _read(self.path) | self._chosen
        content = {"format": _FORMAT, "chosen": {key: asdict(config) for key, config in sorted(self._chosen.items())}}
        write_text_atomically(self.path, json.dumps(content, indent=1) + "\n")


def _read(path: Path) -> dict[str, Config]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] != _FORMAT:
            return {}
        return {str(key): _checked(Config(**fields)) for key, fields in content["chosen"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _checked(config: Config) -> Config:
    """A file can say anything; a tile that is no power of two would stop the compiler in the middle of a step."""
    sizes = (config.columns, config.channels, config.depth, config.warps)
    if not all(isinstance(n, int) and n >= 0 and n & (n - 1) == 0 for n in sizes) or config.warps < 1:
        raise ValueError("not a configuration")
    if not all(isinstance(n, int) and n >= 0 for n in (config.rows, config.stages, config.programs)):
        raise ValueError("not a configuration")
    return config


def _time(call: Callable[[], object]) -> float:
    """Milliseconds, the median; compiling is not counted."""
    from triton.testing import do_bench

    return float(do_bench(call, warmup=5, rep=20, return_mode="median"))


_tuner: Tuner | None = None


def tuner() -> Tuner:
    """This device's, read from the disk when it is first asked for."""
    global _tuner
    if _tuner is None:
        device = (
            "interpreter" if is_interpreting() else torch.cuda.get_device_name().replace(" ", "-").replace("/", "-")
        )
        name = f"{device}-torch-{torch.__version__}-triton-{triton_version()}.json"
        _tuner = Tuner(cache_directory() / "triton" / name)
    return _tuner


@contextmanager
def tuning() -> Iterator[Tuner]:
    """Within it, shapes met for the first time are timed, seconds each, and the choices kept for good.

    Elsewhere an unknown shape gets the table's choice at once. Which of two near equals wins is chance, and changes the
    last bits of sums: tune once, not in the middle of a training that shall be resumed to the bit.
    """
    found = tuner()
    before, found.active = found.active, True
    try:
        yield found
    finally:
        found.active = before


def config_for(
    kernel: str,
    shape: tuple[object, ...],
    run: Callable[[Config], object],
    channels: int,
    window: int = 3,
    width: int = 1 << 30,
) -> Config:
    """The configuration for a call: what was timed, or is timed now within `tuning()`, or the table's.

    Args:
        kernel: see `default_config`. shape: everything that tells this call from others; it becomes the file's key.
        run: makes the call with the configuration given; it must be harmless to repeat.
    """
    found = tuner()
    key = f"{kernel} {' '.join(str(part) for part in shape)}"
    known = found.find(key)
    if known is not None:
        return known
    if not found.active:
        return default_config(kernel, channels, window, width)
    return found.choose(key, rival_configs(kernel, channels, window, width), run)
