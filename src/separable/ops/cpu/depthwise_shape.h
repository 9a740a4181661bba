// The sides of a depthwise convolution.
#pragma once

#include <cstdint>

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

}  // namespace separable
