// Depthwise convolution on a CPU, channels_last: the gradients.
#include "depthwise_backward.h"

#include <torch/library.h>

#include "depthwise_any.h"
#include "depthwise_dense.h"
#include "depthwise_patches.h"
#include "depthwise_whole.h"
#include "depthwise_window.h"

namespace separable {

// -> gradients of x (plus `other`; it is written to `dx`, if that is defined), weight (fp32), scale and shift (fp32); those not
// asked for, or without meaning, are empty.
DepthwiseGradients depthwise_backward_into(Tensor dx, const Tensor& g_, const Tensor& x_, const Tensor& weight_,
                                           const MaybeTensor& scale_, const MaybeTensor& shift_, bool relu,
                                           at::IntArrayRef stride, at::IntArrayRef border, at::IntArrayRef dilation,
                                           const MaybeTensor& other_, bool need_input, bool need_weight) {
  Shape s = shape_of(x_, weight_, stride, border, dilation);
  TORCH_CHECK(g_.sizes() == at::IntArrayRef({s.n, s.c, s.oh, s.ow}) && g_.scalar_type() == x_.scalar_type(),
              "a gradient like the result expected, got ", g_.sizes(), " of ", g_.scalar_type());
  if (other_) same_kind(x_, *other_);
  for (const MaybeTensor* values : {&scale_, &shift_}) per_channel(*values, s.c);
  if (x_.scalar_type() == at::kHalf) {
    MaybeTensor other = other_ ? MaybeTensor(other_->to(at::kFloat)) : std::nullopt;
    auto all = depthwise_backward_into({}, g_.to(at::kFloat), x_.to(at::kFloat), rounded_weight(weight_, x_), scale_, shift_, relu,
                                       stride, border, dilation, other, need_input, need_weight);
    Tensor& of_x = std::get<0>(all);
    of_x = dx.defined() ? dx.copy_(of_x) : of_x.to(at::kHalf);
    return all;
  }
  Tensor x = nhwc(x_), g = nhwc(g_), weight = rounded_weight(weight_, x_), other = other_ ? nhwc(*other_) : Tensor();
  Prologue prologue(scale_, shift_, relu);
  bool sums_wanted = prologue.affine && need_input;
  int64_t taps = s.kh * s.kw;
  if (!dx.defined()) dx = need_input ? at::empty_like(x) : at::empty({0}, x.options());
  Tensor dw = vector_like(x, need_weight ? taps * s.c : 0), dscale = vector_like(x, sums_wanted ? s.c : 0);
  Tensor dshift = at::empty_like(dscale);
  std::vector<Sums> parts(std::max(1, at::get_num_threads()), Sums(need_weight ? taps : 0, s.c));
  by_type_but_half(x, [&](auto type) {
    using T = decltype(type);
    Maps<T> maps{g.const_data_ptr<T>(), x.const_data_ptr<T>(), other_ ? other.const_data_ptr<T>() : nullptr,
                 need_input ? dx.mutable_data_ptr<T>() : nullptr, false};
    // By the size of the map that it may be a part of.
    maps.streamed = need_input && stream(maps.dx, int64_t(dx.storage().nbytes() / sizeof(T)), s.c);
    const float* w = weight.const_data_ptr<float>();
    prologue.with<T>([&](auto act) {
#ifdef HAS_BF16_PAIRS
      if constexpr (EngineOf<T>::Type::kRows == 2)
        if (s.dense() && need_weight)
          return need_input ? backward_patches<T>(maps, w, s, act, parts) : backward_window<T>(maps, s, act, parts);
#endif
      if (s.dense() && !need_weight && need_input) {
        Tensor flipped = weight.flip({2, 3}).contiguous();
        return backward_dense<T, 3>(maps, packed_rows<T>(flipped.const_data_ptr<float>(), taps, 1, taps, s.c).data(), s, act, parts);
      }
      if (s.tiled()) return backward_tiled<T>(maps, w, s, act, need_weight, parts);
      backward_any<T>(maps, packed_rows<T>(w, taps, 1, taps, s.c).data(), s, act, need_weight, parts);
    });
    for (size_t p = 1; p < parts.size(); p++) parts[0] += parts[p];
    float *w_out = dw.mutable_data_ptr<float>(), *scale_out = dscale.mutable_data_ptr<float>();
    if (need_weight && s.tiled()) unpack_rows<T>(parts[0].weight.data(), w_out + taps - 1, taps, -1, taps, s.c);
    if (need_weight && !s.tiled()) unpack_rows<T>(parts[0].weight.data(), w_out, taps, 1, taps, s.c);
    if (!sums_wanted) return;
    unpack_rows<T>(parts[0].scale.data(), scale_out, 1, 0, 1, s.c);
    unpack_rows<T>(parts[0].shift.data(), dshift.mutable_data_ptr<float>(), 1, 0, 1, s.c);
  });
  return {dx, need_weight ? dw.view(weight.sizes()) : dw, dscale, dshift};
}

namespace {

DepthwiseGradients depthwise_backward(const Tensor& g, const Tensor& x, const Tensor& weight, const MaybeTensor& scale,
                                      const MaybeTensor& shift, bool relu, at::IntArrayRef stride, at::IntArrayRef border,
                                      at::IntArrayRef dilation, const MaybeTensor& other, bool need_input, bool need_weight) {
  return depthwise_backward_into({}, g, x, weight, scale, shift, relu, stride, border, dilation, other, need_input, need_weight);
}

}  // namespace
}  // namespace separable

TORCH_LIBRARY_FRAGMENT(separable_cpu, m) {
  m.def(
      "depthwise_backward(Tensor g, Tensor x, Tensor weight, Tensor? scale, Tensor? shift, bool relu, int[2] stride, "
      "int[4] border, int[2] dilation, Tensor? other, bool need_input, bool need_weight) -> (Tensor, Tensor, Tensor, Tensor)");
}

TORCH_LIBRARY_IMPL(separable_cpu, CPU, m) {
  m.impl("depthwise_backward", separable::depthwise_backward);
}
