// Depthwise convolution of whole maps, for other operators: see depthwise.cpp.
#pragma once

#include "blocks.h"

namespace separable {

using DepthwiseGradients = std::tuple<Tensor, Tensor, Tensor, Tensor>;

Tensor depthwise_forward(const Tensor& x, const Tensor& weight, const MaybeTensor& bias, const MaybeTensor& scale,
                         const MaybeTensor& shift, bool relu, at::IntArrayRef stride, at::IntArrayRef border,
                         at::IntArrayRef dilation);

DepthwiseGradients depthwise_backward_into(Tensor dx, const Tensor& g, const Tensor& x, const Tensor& weight,
                                           const MaybeTensor& scale, const MaybeTensor& shift, bool relu,
                                           at::IntArrayRef stride, at::IntArrayRef border, at::IntArrayRef dilation,
                                           const MaybeTensor& other, bool need_input, bool need_weight);

}  // namespace separable
