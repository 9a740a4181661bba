"""The order of samples, as a keyed permutation: position -> index without a shuffled list.

A Feistel network permutes the numbers below a power of two, and cycle walking (Black and Rogaway, "Ciphers with
arbitrary finite domains", 2002) restricts it to the numbers below n: apply again until the result is below n. Any
position of any epoch is computed alone, in O(1) memory, so a resume and a worker need no history.
"""

from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

__all__ = ["permute", "shuffled"]

_MASK = (1 << 64) - 1
_ROUNDS = 10
# Below 64 numbers a Feistel network has too few distinct round functions to look random; the walk is then longer.
_MIN_BITS = 6
_GOLDEN, _MIX1, _MIX2 = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB


def _mix(x: int) -> int:
    """splitmix64's finaliser (Steele, Lea and Flood, OOPSLA 2014): every input bit moves every output bit."""
    x = ((x ^ (x >> 30)) * _MIX1) & _MASK
    x = ((x ^ (x >> 27)) * _MIX2) & _MASK
    return x ^ (x >> 31)


def _mix_array(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    x = (x ^ (x >> np.uint64(30))) * np.uint64(_MIX1)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(_MIX2)
    return x ^ (x >> np.uint64(31))


def _round_keys(n: int, seed: int, epoch: int) -> list[int]:
    state = 0
    for word in (seed, epoch, n):
        state = _mix((state + _GOLDEN + (word & _MASK)) & _MASK)
    return [_mix((state + (i + 1) * _GOLDEN) & _MASK) for i in range(_ROUNDS)]


def _halves(n: int) -> tuple[int, int]:
    bits = max(_MIN_BITS, (n - 1).bit_length())
    return bits // 2, bits - bits // 2


@overload
def permute(index: int | np.integer[Any], n: int, seed: int, epoch: int) -> int: ...
@overload
def permute(index: NDArray[np.int64], n: int, seed: int, epoch: int) -> NDArray[np.int64]: ...
def permute(index: int | np.integer[Any] | NDArray[np.int64], n: int, seed: int, epoch: int) -> int | NDArray[np.int64]:
    """Where `index` goes in the permutation of `range(n)` that (seed, epoch) names.

    Args:
        index: one number or an array of numbers in [0, n).
        n: how many there are, 1 to 2**62.
        seed: any integer; taken modulo 2**64.
        epoch: any integer; taken modulo 2**64.

    Returns:
        A number, or an int64 array of the same shape, in [0, n). For fixed (n, seed, epoch) the map is one to one.
    """
    if not 1 <= n <= 1 << 62:
        raise ValueError(f"n must be between 1 and 2**62, got {n}")
    if isinstance(index, np.ndarray):
        return _permute_array(index, n, seed, epoch)
    number = int(index)
    if not 0 <= number < n:
        raise ValueError(f"index must be in [0, {n}), got {number}")
    keys = _round_keys(n, seed, epoch)
    low_bits, high_bits = _halves(n)
    low_mask, high_mask = (1 << low_bits) - 1, (1 << high_bits) - 1
    low, high = number & low_mask, number >> low_bits
    while True:
        for even, odd in zip(keys[::2], keys[1::2], strict=True):
            low ^= _mix(high ^ even) & low_mask
            high ^= _mix(low ^ odd) & high_mask
        number = high << low_bits | low
        if number < n:
            return number


def _permute_array(index: NDArray[np.int64], n: int, seed: int, epoch: int) -> NDArray[np.int64]:
    if index.size and (int(index.min()) < 0 or int(index.max()) >= n):
        raise ValueError(f"every index must be in [0, {n}), got {int(index.min())} to {int(index.max())}")
    keys = [np.uint64(key) for key in _round_keys(n, seed, epoch)]
    low_bits, high_bits = (np.uint64(bits) for bits in _halves(n))
    low_mask, high_mask = (np.uint64((1 << int(bits)) - 1) for bits in (low_bits, high_bits))
    result = index.astype(np.uint64).ravel()
    walking = np.arange(result.size)
    while walking.size:
        low, high = result[walking] & low_mask, result[walking] >> low_bits
        for even, odd in zip(keys[::2], keys[1::2], strict=True):
            low ^= _mix_array(high ^ even) & low_mask
            high ^= _mix_array(low ^ odd) & high_mask
        number = high << low_bits | low
        result[walking] = number
        walking = walking[number >= np.uint64(n)]
    return result.astype(np.int64).reshape(index.shape)


def shuffled(n: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """The whole permutation as an array of n int64: for splits and tests; the loader never needs it."""
    return permute(np.arange(n), n, seed, epoch)
