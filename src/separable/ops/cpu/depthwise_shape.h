// The sides of a depthwise convolution.
#pragma once

#include "blocks.h"

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

inline Shape shape_of(const Tensor& x, const Tensor& weight, at::IntArrayRef stride, at::IntArrayRef border,
                      at::IntArrayRef dilation) {
  Shape s{x.size(0), x.size(2), x.size(3), x.size(1), 0, 0, weight.size(2), weight.size(3), stride[0], stride[1], border[0],
          border[2], dilation[0], dilation[1]};
  s.oh = (s.h + border[0] + border[1] - s.dilation_h * (s.kh - 1) - 1) / s.stride_h + 1;
  s.ow = (s.w + border[2] + border[3] - s.dilation_w * (s.kw - 1) - 1) / s.stride_w + 1;
  return s;
}

}  // namespace separable
