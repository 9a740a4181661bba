"""Finer feature maps from a network that was built to reduce them: stride traded for dilation."""

from collections.abc import Sequence

__all__ = ["strides_and_dilations"]


def strides_and_dilations(strides: Sequence[int], output_stride: int) -> list[tuple[int, int]]:
    """The (stride, dilation) of each block that would have `strides`, so that the last map has `output_stride`.

    arXiv:1802.02611, section 3.1, as `stack_blocks_dense` of DeepLab's xception.py does it: from the block on that
    would exceed `output_stride`, blocks keep their side, and what follows a removed stride is dilated by it. The block
    that loses its stride is not: its convolutions come before its reduction.
    """
    reached = dilation = 1
    steps = []
    for stride in strides:
        if reached * stride <= output_stride:
            reached *= stride
            steps.append((stride, dilation))
        else:
            steps.append((1, dilation))
            dilation *= stride
    return steps
