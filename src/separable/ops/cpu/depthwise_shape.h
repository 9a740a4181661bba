// The sides of a depthwise convolution.
#pragma once

#include "checks.h"

namespace separable {

struct Shape {
  int64_t n, h, w, c, oh, ow, kh, kw, stride_h, stride_w, top, left, dilation_h, dilation_w;
  // Whether reading rows straight from memory is faster: measured, for maps wider than a few tiles.
  bool dense() const { return kh == 3 && w > 32 && stride_h == 1 && tiled(); }
  // Whether the kernels of depthwise_tiles.h take it.
  bool tiled() const {
    return kh == kw && (kh == 3 || kh == 5 || kh == 7) && dilation_h == 1 && dilation_w == 1 && stride_h == stride_w && stride_h <= 2;
  }
};

// The weight as it is multiplied: in the type of x, as plain torch has it, and kept in fp32. All kernels, forward and backward,
// then have the same one.
inline Tensor rounded_weight(const Tensor& weight, const Tensor& x) { return floats(weight.to(x.scalar_type())); }

inline Shape shape_of(const Tensor& x, const Tensor& weight, at::IntArrayRef stride, at::IntArrayRef border,
                      at::IntArrayRef dilation) {
  check_maps(x);
  TORCH_CHECK(x.size(1) > 0 && weight.dim() == 4 && weight.size(0) == x.size(1) && weight.size(1) == 1 && weight.numel() > 0,
              "a weight (", x.size(1), ", 1, KH, KW) expected, got ", weight.sizes());
  auto all_of = [](at::IntArrayRef values, int64_t least) {
    return std::all_of(values.begin(), values.end(), [&](int64_t one) { return one >= least; });
  };
  TORCH_CHECK(all_of(stride, 1) && all_of(dilation, 1) && all_of(border, 0),
              "strides and dilations of at least 1, and borders of at least 0, expected, got ", stride, ", ", dilation, " and ",
              border);
  Shape s{x.size(0), x.size(2), x.size(3), x.size(1), 0, 0, weight.size(2), weight.size(3), stride[0], stride[1], border[0],
          border[2], dilation[0], dilation[1]};
  int64_t high = s.h + border[0] + border[1] - s.dilation_h * (s.kh - 1);
  int64_t wide = s.w + border[2] + border[3] - s.dilation_w * (s.kw - 1);
  TORCH_CHECK(high > 0 && wide > 0, "a kernel that fits into the maps expected, got ", weight.sizes(), " for ", x.sizes());
  s.oh = (high - 1) / s.stride_h + 1;
  s.ow = (wide - 1) / s.stride_w + 1;
  return s;
}

}  // namespace separable
