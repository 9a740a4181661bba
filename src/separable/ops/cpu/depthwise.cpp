// Depthwise convolution on a CPU, channels_last: the operator; depthwise_backward.cpp has its gradients.
//
// A depthwise convolution does 9 multiply-adds for each number it reads, so its limit is the memory. What these kernels do
// about it: every row of input is converted once, through batch normalisation and ReLU where they stand in front, into a
// layout that the first levels of cache can hold; results too large for the cache are written around it; and the two sums
// of batch normalisation's backward pass and the weight gradient are taken while the numbers are there.
#include <torch/library.h>

#include "depthwise_any.h"
#include "depthwise_dense.h"
#include "depthwise_whole.h"

namespace separable {
namespace {

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
    drain(streamed);
  });
}

}  // namespace

// x (N, C, H, W), weight (C, 1, KH, KW), border (top, bottom, left, right) -> (N, C, OH, OW), channels_last.
Tensor depthwise_forward(const Tensor& x_, const Tensor& weight_, const MaybeTensor& bias_, const MaybeTensor& scale,
                         const MaybeTensor& shift, bool relu, at::IntArrayRef stride, at::IntArrayRef border,
                         at::IntArrayRef dilation) {
  Shape s = shape_of(x_, weight_, stride, border, dilation);
  for (const MaybeTensor* values : {&bias_, &scale, &shift}) per_channel(*values, s.c);
  if (x_.scalar_type() == at::kHalf) {
    Tensor x = x_.to(at::kFloat), weight = rounded_weight(weight_, x_);
    return depthwise_forward(x, weight, bias_, scale, shift, relu, stride, border, dilation).to(at::kHalf);
  }
  Tensor x = nhwc(x_), weight = rounded_weight(weight_, x_);
  Tensor y = at::empty({s.n, s.c, s.oh, s.ow}, x.options().memory_format(at::MemoryFormat::ChannelsLast));
  Prologue prologue(scale, shift, relu);
  by_type_but_half(x, [&](auto type) {
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

}  // namespace separable

TORCH_LIBRARY(separable_cpu, m) {
  m.def(
      "depthwise_forward(Tensor x, Tensor weight, Tensor? bias, Tensor? scale, Tensor? shift, bool relu, int[2] stride, "
      "int[4] border, int[2] dilation) -> Tensor");
}

TORCH_LIBRARY_IMPL(separable_cpu, CPU, m) {
  m.impl("depthwise_forward", separable::depthwise_forward);
}
