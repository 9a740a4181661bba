// What happens to a number between memory and convolution: batch normalisation, ReLU, both, or nothing.
#pragma once

#include "blocks.h"

namespace separable {

// Nothing, or scale * x + shift, and ReLU.
template <bool Affine, bool Relu>
struct Act {
  static constexpr bool kAffine = Affine, kRelu = Relu, kAny = Affine || Relu;
  const float* scale;  // packed, one row
  const float* shift;
  struct At {
    Pair scale, shift;
    INLINE Pair operator()(Pair x) const {
      if constexpr (Affine) x = {at::vec::fmadd(x.a, scale.a, shift.a), at::vec::fmadd(x.b, scale.b, shift.b)};
      if constexpr (Relu) x = {relu(x.a), relu(x.b)};
      return x;
    }
    INLINE Pair masked(const Pair& gradient, const Pair& x) const {
      if constexpr (!Relu) return gradient;
      Pair y = x;
      if constexpr (Affine) y = {at::vec::fmadd(x.a, scale.a, shift.a), at::vec::fmadd(x.b, scale.b, shift.b)};
      return {through_relu(gradient.a, y.a), through_relu(gradient.b, y.b)};
    }
  };
  INLINE At at(int64_t block) const {
    if constexpr (Affine) return {packed(scale + block * kBlock), packed(shift + block * kBlock)};
    return {zero(), zero()};
  }
};

// The same, known when it runs only.
struct AnyAct {
  bool affine = false, relu = false;
  const float *scale = nullptr, *shift = nullptr;
};

template <typename Fn>
void by_act(bool affine, bool relu, const float* scale, const float* shift, Fn&& fn) {
  if (affine && relu) return fn(Act<true, true>{scale, shift});
  if (affine) return fn(Act<true, false>{scale, shift});
  if (relu) return fn(Act<false, true>{nullptr, nullptr});
  fn(Act<false, false>{nullptr, nullptr});
}

struct Prologue {
  bool affine, relu;
  Tensor scale, shift;
  Prologue(const MaybeTensor& scale_, const MaybeTensor& shift_, bool relu_) : affine(scale_.has_value()), relu(relu_) {
    TORCH_CHECK(scale_.has_value() == shift_.has_value(), "scale and shift expected, or neither");
    if (affine) scale = floats(*scale_), shift = floats(*shift_);
  }
  template <typename T, typename Fn>
  void with(Fn&& fn) const {
    std::vector<float> a, b;
    if (affine) {
      a = packed_vector<T>(scale);
      b = packed_vector<T>(shift);
    }
    by_act(affine, relu, a.data(), b.data(), fn);
  }
};

}  // namespace separable
