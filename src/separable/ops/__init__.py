"""Functions on tensors: convolution and pooling with TensorFlow's padding arithmetic. No nn.Module lives here."""

from separable.ops.depthwise import depthwise_conv2d
from separable.ops.padding import pad_same, same_padding
from separable.ops.pooling import average_pool2d, max_pool2d
from separable.ops.separable import separable_conv2d

__all__ = ["average_pool2d", "depthwise_conv2d", "max_pool2d", "pad_same", "same_padding", "separable_conv2d"]
