"""What TF-slim calls each layer of Inception V1 and of BN-Inception, its "Inception V2" (research/slim/nets/
inception_v1.py and inception_v2.py). One slip is kept in published checkpoints: `Conv2d_0a_3x3` in V1's Mixed_5b.
"""

from collections.abc import Mapping

__all__ = ["BN_INCEPTION_SCOPES", "INCEPTION_V1_SCOPES"]

Scopes = dict[str, tuple[str, Mapping[str, str]]]
"""From a block of the chain to slim's scope, and from the layers in it to the scopes inside."""

_STEM: Scopes = {
    "conv1": ("Conv2d_1a_7x7", {"": "", "conv.depthwise": "", "conv.pointwise": ""}),
    "conv2": ("Conv2d_2b_1x1", {"": ""}),
    "conv3": ("Conv2d_2c_3x3", {"": ""}),
}
_V1 = {
    "branch1x1": "Branch_0/Conv2d_0a_1x1",
    "branch3x3_1": "Branch_1/Conv2d_0a_1x1",
    "branch3x3_2": "Branch_1/Conv2d_0b_3x3",
    "branch5x5_1": "Branch_2/Conv2d_0a_1x1",
    "branch5x5_2": "Branch_2/Conv2d_0b_3x3",
    "branch_pool": "Branch_3/Conv2d_0b_1x1",
}
_BN = {
    **{name: scope for name, scope in _V1.items() if "5x5" not in name},
    "branch3x3dbl_1": "Branch_2/Conv2d_0a_1x1",
    "branch3x3dbl_2": "Branch_2/Conv2d_0b_3x3",
    "branch3x3dbl_3": "Branch_2/Conv2d_0c_3x3",
}
_BN_REDUCTION = {
    "branch3x3_1": "Branch_0/Conv2d_0a_1x1",
    "branch3x3_2": "Branch_0/Conv2d_1a_3x3",
    "branch3x3dbl_1": "Branch_1/Conv2d_0a_1x1",
    "branch3x3dbl_2": "Branch_1/Conv2d_0b_3x3",
    "branch3x3dbl_3": "Branch_1/Conv2d_1a_3x3",
}

# In both, slim's letters begin one later than the papers', the pool or the reduction before a stage being its "a".
INCEPTION_V1_SCOPES: Scopes = {
    **_STEM,
    **{f"inception3{letter}": (f"Mixed_3{slims}", _V1) for letter, slims in zip("ab", "bc", strict=True)},
    **{f"inception4{letter}": (f"Mixed_4{slims}", _V1) for letter, slims in zip("abcde", "bcdef", strict=True)},
    "inception5a": ("Mixed_5b", {**_V1, "branch5x5_2": "Branch_2/Conv2d_0a_3x3"}),
    "inception5b": ("Mixed_5c", _V1),
    "head": ("Logits", {"classifier": "Conv2d_0c_1x1"}),
}
BN_INCEPTION_SCOPES: Scopes = {
    **_STEM,
    **{f"inception3{letter}": (f"Mixed_3{slims}", _BN) for letter, slims in zip("ab", "bc", strict=True)},
    "inception3c": ("Mixed_4a", _BN_REDUCTION),
    **{f"inception4{letter}": (f"Mixed_4{slims}", _BN) for letter, slims in zip("abcd", "bcde", strict=True)},
    "inception4e": ("Mixed_5a", _BN_REDUCTION),
    **{f"inception5{letter}": (f"Mixed_5{slims}", _BN) for letter, slims in zip("ab", "bc", strict=True)},
    "head": ("Logits", {"classifier": "Conv2d_1c_1x1"}),
}
