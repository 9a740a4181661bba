// What the operators demand of their arguments: the kernels read where the sizes of one of them say, and a second one that is
// smaller would be read past its end.
#pragma once

#include "blocks.h"

namespace separable {

inline void check_type(const Tensor& x) {
  auto type = x.scalar_type();
  TORCH_CHECK(type == at::kFloat || type == at::kBFloat16 || type == at::kHalf, "fp32, bf16 or fp16 expected, got ", type);
}

inline void check_maps(const Tensor& x) {
  TORCH_CHECK(x.dim() == 4, "maps (N, C, H, W) expected, got ", x.sizes());
  check_type(x);
}

inline void check_rows(const Tensor& x) { TORCH_CHECK(x.dim() == 2, "a matrix expected, got ", x.sizes()); }

// `other` beside x: of one type and one shape.
inline void same_kind(const Tensor& x, const Tensor& other) {
  TORCH_CHECK(other.sizes() == x.sizes(), "two of one shape expected, got ", x.sizes(), " and ", other.sizes());
  TORCH_CHECK(other.scalar_type() == x.scalar_type(), "two of one type expected, got ", x.scalar_type(), " and ",
              other.scalar_type());
}

inline void same_maps(const Tensor& x, const Tensor& other) {
  check_maps(x);
  same_kind(x, other);
}

inline void per_channel(const Tensor& values, int64_t channels) {
  TORCH_CHECK(values.dim() == 1 && values.size(0) == channels, "one number for each of ", channels, " channels expected, got ",
              values.sizes());
}

inline void per_channel(const MaybeTensor& values, int64_t channels) {
  if (values) per_channel(*values, channels);
}

// Values per channel in fp32, zeros where none are given.
inline Tensor given_or_zeros(const MaybeTensor& values, const Tensor& x) {
  per_channel(values, x.size(1));
  return values ? floats(*values) : vector_like(x, x.size(1)).zero_();
}

inline int64_t pixels_of(const Tensor& x) { return x.size(0) * x.size(2) * x.size(3); }

}  // namespace separable
