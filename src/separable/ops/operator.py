"""A device's depthwise kernels as one operator that autograd, torch.compile, autocast and torch.func know."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from separable.ops.fakes import fake_depthwise_backward, fake_depthwise_forward
from separable.ops.layout import laid_out_like
from separable.ops.padding import Padding, Pair, border_of, to_pair

__all__ = ["DepthwiseOperator"]


class DepthwiseOperator:
    """Depthwise convolution of act(x), act(x) = relu(scale * x + shift), each part left out where it is not given.

    Zeros are put around act(x), not around x. Differentiable once: the reference is as often as one likes.

    Args of `forward`, with their names in the schema:
        x: (N, C, H, W) in fp32, bf16 or fp16; any strides, fastest in channels_last.
        weight: (C, 1, KH, KW). bias: (C,). scale, shift: (C,), both or neither, in fp32.
        relu: whether there is one.
        stride, dilation: (height, width). border: zeros at (top, bottom, left, right).
    It returns (N, C, OH, OW), channels_last, in the type of `x`; sums are taken in fp32.

    Args of `backward`: gradient, (N, C, OH, OW); x, weight, scale, shift, relu, stride, border and dilation; then
        other: (N, C, H, W), added to the input's gradient: that of whatever else reads x. None where nothing does.
        need_input, need_weight: what is not needed comes back empty.
    It returns the gradients of x in its type, channels_last; of weight, scale and shift in fp32.
    """

    def __init__(
        self,
        device: str,
        device_types: str | Sequence[str],
        forward: Callable[..., Tensor],
        backward: Callable[..., tuple[Tensor, Tensor, Tensor, Tensor]],
    ) -> None:
        """Register the two kernels as `separable::depthwise_<device>` and `separable::depthwise_<device>_backward`."""
        name = f"separable::depthwise_{device}"
        self.forward = _register(name, device_types, forward, fake_depthwise_forward)
        self.backward = _register(f"{name}_backward", device_types, backward, fake_depthwise_backward)
        derivative = once_differentiable(self._differentiate)
        self.forward.register_autograd(derivative, setup_context=_keep)
        self._transformed = _in_torch_func_form(self.forward, derivative)

    def convolve(
        self, x: Tensor, weight: Tensor, bias: Tensor | None, stride: Pair, padding: Padding, dilation: Pair
    ) -> Tensor:
        """`depthwise_conv2d_reference` by the kernels: 'same' padding is never written out, sums are fp32."""
        if torch.is_autocast_enabled(x.device.type):
            x = x.to(torch.get_autocast_dtype(x.device.type))
        stride, dilation = to_pair(stride, "stride"), to_pair(dilation, "dilation")
        border = border_of(x, weight, stride, padding, dilation)
        # torch's generated derivative refuses torch.func's transforms (pytorch/pytorch#170834, torch 2.11 to 2.13).
        transformed = not torch.compiler.is_compiling() and torch._C._functorch.peek_interpreter_stack() is not None
        y: Tensor = (self._transformed.apply if transformed else self.forward)(
            x, weight, bias, None, None, False, stride, border, dilation
        )
        return y

    def _differentiate(self, ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, scale, shift = ctx.saved_tensors
        need_x, need_weight, need_bias, need_scale, need_shift, *_ = ctx.needs_input_grad
        need_input = need_x or need_scale or need_shift
        found = self.backward(gradient, x, weight, scale, shift, *ctx.steps, None, need_input, need_weight)
        return (
            found[0] if need_x else None,
            laid_out_like(weight, found[1]) if need_weight else None,
            gradient.sum((0, 2, 3), dtype=torch.float32).to(ctx.bias_type) if need_bias else None,
            found[2].to(scale.dtype) if need_scale else None,
            found[3].to(shift.dtype) if need_shift else None,
            *(None for _ in ctx.steps),
        )


def _in_torch_func_form(
    operator: Callable[..., Tensor], derivative: Callable[..., Any]
) -> type[torch.autograd.Function]:
    """The same operator and derivative, in the form that torch.func.grad and its kin take."""

    class Transformed(torch.autograd.Function):
        @staticmethod
        def forward(*inputs: Any) -> Tensor:
            return operator(*inputs)

        @staticmethod
        def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
            _keep(ctx, inputs, output)

        @staticmethod
        def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
            found: tuple[Tensor | None, ...] = derivative(ctx, *gradients)
            return found

    return Transformed


def _register(name: str, device_types: Any, kernel: Callable[..., Any], fake: Callable[..., Any]) -> Any:
    """`kernel` as an operator whose signature is that of its fake."""
    schema = torch.library.infer_schema(fake, mutates_args=())
    operator = torch.library.custom_op(name, kernel, mutates_args=(), device_types=device_types, schema=schema)
    operator.register_fake(fake)
    return operator


def _keep(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, weight, bias, scale, shift, *ctx.steps = inputs
    ctx.save_for_backward(x, weight, scale, shift)
    ctx.bias_type = None if bias is None else bias.dtype
