"""Random numbers that are a pure function of what they are for.

Nothing here has a state. A draw is named by (seed, epoch, sample, purpose), and the same name gives the same bits in
any process, in any order, on any number of workers. The bits are Philox4x64-10 (Salmon et al., "Parallel random
numbers: as easy as 1, 2, 3", SC 2011) from numpy, whose bit generators are frozen by numpy's compatibility policy; the
conversion to numbers is done here, because numpy's distributions are not frozen.
"""

import hashlib
import threading
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Key", "beta", "random_bits", "random_bytes", "uniforms"]

_MASK = (1 << 64) - 1
_TO_UNIT = 2.0**-53
_PAIRS = 500


@dataclass(frozen=True)
class Key:
    """Names a stream of draws: the run's seed, the epoch (or step), and the sample (or global position)."""

    seed: int
    epoch: int
    sample: int


@lru_cache(maxsize=256)
def _purpose_word(purpose: str) -> int:
    # A hash of the name, not a running number: adding a purpose must not move the draws of another one.
    return int.from_bytes(hashlib.blake2b(purpose.encode(), digest_size=8).digest(), "little")


class _Generator(threading.local):
    """One Philox a thread, set to a new key and counter for every draw: that costs a tenth of making a new one."""

    def __init__(self) -> None:
        self.philox = np.random.Philox(key=0)
        self.state: Any = self.philox.state
        self.words = self.state["state"]


_generator = _Generator()


def random_bits(key: Key, purpose: str, count: int) -> NDArray[np.uint64]:
    """`count` independent 64-bit words.

    The seed and the purpose are the Philox key; epoch and sample are its upper counter words. The lowest counter word
    counts the blocks, so two streams never overlap.
    """
    words = _generator.words
    words["key"] = np.array([key.seed & _MASK, _purpose_word(purpose)], dtype=np.uint64)
    words["counter"] = np.array([0, 0, key.epoch & _MASK, key.sample & _MASK], dtype=np.uint64)
    # The state read from a fresh generator has an empty buffer, so the first word is the first of the counter's block.
    _generator.philox.state = _generator.state
    bits: NDArray[np.uint64] = _generator.philox.random_raw(count)
    return bits


def uniforms(key: Key, purpose: str, count: int) -> list[float]:
    """`count` numbers in [0, 1), each a multiple of 2**-53."""
    return [(word >> 11) * _TO_UNIT for word in random_bits(key, purpose, count).tolist()]


def random_bytes(key: Key, purpose: str, count: int) -> NDArray[np.uint8]:
    """`count` uniform bytes, the same on big- and little-endian machines."""
    words = random_bits(key, purpose, -(-count // 8))
    return words.astype("<u8").view(np.uint8)[:count]


def beta(key: Key, purpose: str, alpha: float) -> float:
    """One draw of the symmetric Beta(alpha, alpha) by Jöhnk's method (Metrika 8, 1964), for 0 < alpha <= 4.

    Accepts a pair (u**(1/alpha), v**(1/alpha)) whose sum is at most 1. The draws are limited, so that a value always
    comes back: 1/2 after 500 rejected pairs, whose chance at alpha = 4 (acceptance 1/70) is below 1e-3.
    """
    # A longer draw begins with the shorter one, so trying few first changes nothing but the time.
    for pairs in (8, _PAIRS):
        draws = np.array(uniforms(key, purpose, 2 * pairs)).reshape(pairs, 2)
        # In logarithms: u**(1/alpha) underflows for the small alphas that mixup uses.
        with np.errstate(divide="ignore"):
            logs = np.log(draws) / alpha
        total = np.logaddexp(logs[:, 0], logs[:, 1])
        accepted = np.flatnonzero((total <= 0) & np.isfinite(total))
        if accepted.size:
            first = accepted[0]
            return float(np.exp(logs[first, 0] - total[first]))
    return 0.5
