// Depthwise convolution on a CPU, channels_last: the operators.
//
// A depthwise convolution does 9 multiply-adds for each number it reads, so its limit is the memory. What these kernels do
// about it: every row of input is converted once, through batch normalisation and ReLU where they stand in front, into a
// layout that the first levels of cache can hold; results too large for the cache are written around it; and the two sums
// of batch normalisation's backward pass and the weight gradient are taken while the numbers are there.
#include <torch/library.h>

#include "depthwise_any.h"
#include "depthwise_backward.h"
#include "depthwise_dense.h"

namespace separable {
namespace {

Shape shape_of(const Tensor& x, const Tensor& weight, at::IntArrayRef stride, at::IntArrayRef border, at::IntArrayRef dilation) {
  Shape s{x.size(0), x.size(2), x.size(3), x.size(1), 0, 0, weight.size(2), weight.size(3), stride[0], stride[1], border[0],
          border[2], dilation[0], dilation[1]};
  s.oh = (s.h + border[0] + border[1] - s.dilation_h * (s.kh - 1) - 1) / s.stride_h + 1;
  s.ow = (s.w + border[2] + border[3] - s.dilation_w * (s.kw - 1) - 1) / s.stride_w + 1;
  return s;
}

template <typename T>
void forward_tiled(const Shape& s, const T* x, const Tensor& weight, const Tensor& bias, const Prologue& prologue, T* y) {
  DepthwiseForward<T> plan(s, weight, bias, prologue);
  bool streamed = stream(y, s.n * s.oh * s.ow * s.c, s.c);
  int64_t rows = EngineOf<T>::Type::rows_out(int(s.stride_h)), steps = (s.oh + rows - 1) / rows;
  at::parallel_for(0, s.n * steps, 1, [&](int64_t begin, int64_t end) {
    typename DepthwiseForward<T>::Rows worker(plan);
    for (int64_t i = begin; i < end;) {
      int64_t n = i / steps, next = std::min(end, (n + 1) * steps);
      int64_t first = (i - n * steps) * rows, last = std::min(s.oh, (next - n * steps) * rows);
      worker.write(x, n, first, last, y + (n * s.oh + first) * s.ow * s.c, streamed);
      i = next;
    }
  });
}

// x (N, C, H, W), weight (C, 1, KH, KW), border (top, bottom, left, right) -> (N, C, OH, OW), channels_last.
Tensor depthwise_forward(const Tensor& x_, const Tensor& weight_, const MaybeTensor& bias_, const MaybeTensor& scale,
                         const MaybeTensor& shift, bool relu, at::IntArrayRef stride, at::IntArrayRef border,
                         at::IntArrayRef dilation) {
  Tensor x = nhwc(x_), weight = floats(weight_);
  Shape s = shape_of(x, weight, stride, border, dilation);
  Tensor y = at::empty({s.n, s.c, s.oh, s.ow}, x.options().memory_format(at::MemoryFormat::ChannelsLast));
  Prologue prologue(scale, shift, relu);
  by_type(x, [&](auto type) {
    using T = decltype(type);
    const T* xp = x.const_data_ptr<T>();
    T* yp = y.mutable_data_ptr<T>();
    if (s.tiled() && !s.dense()) return forward_tiled<T>(s, xp, weight, bias_ ? *bias_ : Tensor(), prologue, yp);
    int64_t taps = s.kh * s.kw;
    auto w = packed_rows<T>(weight.const_data_ptr<float>(), taps, 1, taps, s.c);
    std::vector<float> bias;
    if (bias_) bias = packed_vector<T>(floats(*bias_));
    prologue.with<T>([&](auto act) { 
      const float* b = bias_ ? bias.data() : nullptr;
      s.dense() ? forward_dense<T, 3>(xp, w.data(), b, yp, s, act) : forward_any<T>(xp, w.data(), b, yp, s, act);
    });
  });
  return y;
}

// -> gradients of x (plus `other`), weight (fp32), scale and shift (fp32); those not asked for, or without meaning, are
// empty.
std::tuple<Tensor, Tensor, Tensor, Tensor> depthwise_backward(const Tensor& g_, const Tensor& x_, const Tensor& weight_,
                                                              const MaybeTensor& scale_, const MaybeTensor& shift_, bool relu,
                                                              at::IntArrayRef stride, at::IntArrayRef border,
                                                              at::IntArrayRef dilation, const MaybeTensor& other_,
                                                              bool need_input, bool need_weight) {
  Tensor x = nhwc(x_), g = nhwc(g_), weight = floats(weight_), other = other_ ? nhwc(*other_) : Tensor();
  Shape s = shape_of(x, weight, stride, border, dilation);
  Prologue prologue(scale_, shift_, relu);
  bool sums_wanted = prologue.affine && need_input;
  int64_t taps = s.kh * s.kw;
  Tensor dx = need_input ? at::empty_like(x) : at::empty({0}, x.options());
  Tensor dw = vector_like(x, need_weight ? taps * s.c : 0), dscale = vector_like(x, sums_wanted ? s.c : 0);
  Tensor dshift = at::empty_like(dscale);
  std::vector<Sums> parts(std::max(1, at::get_num_threads()), Sums(need_weight ? taps : 0, s.c));
  by_type(x, [&](auto type) {
    using T = decltype(type);
    Maps<T> maps{g.const_data_ptr<T>(), x.const_data_ptr<T>(), other_ ? other.const_data_ptr<T>() : nullptr,
                 need_input ? dx.mutable_data_ptr<T>() : nullptr};
    const float* w = weight.const_data_ptr<float>();
    prologue.with<T>([&](auto act) {
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

}  // namespace
}  // namespace separable

TORCH_LIBRARY(separable_cpu, m) {
  m.def(
      "depthwise_forward(Tensor x, Tensor weight, Tensor? bias, Tensor? scale, Tensor? shift, bool relu, int[2] stride, "
      "int[4] border, int[2] dilation) -> Tensor");
  m.def(
      "depthwise_backward(Tensor g, Tensor x, Tensor weight, Tensor? scale, Tensor? shift, bool relu, int[2] stride, "
      "int[4] border, int[2] dilation, Tensor? other, bool need_input, bool need_weight) -> (Tensor, Tensor, Tensor, Tensor)");
}

TORCH_LIBRARY_IMPL(separable_cpu, CPU, m) {
  m.impl("depthwise_forward", separable::depthwise_forward);
  m.impl("depthwise_backward", separable::depthwise_backward);
}
