// The passes over memory around convolutions: moments of a batch, sums and products per channel, scaled sums of two maps.
// Each reads its inputs once and writes its result once.
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>
#include <torch/library.h>

#include "pixels.h"

namespace separable {
namespace {

// Mean and biased variance of every channel over (N, H, W), fp32. Sums are of distances from the first pixel, so that a mean
// far from zero costs no digits.
std::tuple<Tensor, Tensor> channel_moments(const Tensor& x_) {
  Tensor x = nhwc(x_);
  int64_t channels = x.size(1), pixels = x.numel() / channels;
  Tensor mean = vector_like(x, channels), variance = vector_like(x, channels);
  by_type(x, [&](auto type) {
    using T = decltype(type);
    const T* xp = x.const_data_ptr<T>();
    auto sums = pixel_sums<2, T>(pixels, channels, [&](int64_t at, int64_t n, int64_t block, int count, auto full, auto& sum) {
      constexpr bool kFull = decltype(full)::value;
      Pair origin = Block<T>::template load<kFull>(xp + block * kBlock, count);
      for (int64_t i = 0; i < n; i++, at += channels) {
        prefetch(xp + at + kPixels * channels);
        Pair d = Block<T>::template load<kFull>(xp + at, count) - origin;
        sum[0] = sum[0] + d;
        add_product(sum[1], d, d);
      }
    });
    for (int64_t c = 0; c < channels; c++) {
      double s = sums[0][c] / double(pixels), q = sums[1][c] / double(pixels);
      mean.mutable_data_ptr<float>()[c] = float(double(float(xp[c])) + s);
      variance.mutable_data_ptr<float>()[c] = float(std::max(0., q - s * s));
    }
  });
  return {mean, variance};
}

// Sums over (N, H, W) of g and of g * x, per channel, fp32.
std::tuple<Tensor, Tensor> channel_products(const Tensor& g_, const Tensor& x_) {
  Tensor g = nhwc(g_), x = nhwc(x_);
  int64_t channels = x.size(1), pixels = x.numel() / channels;
  Tensor of_g = vector_like(x, channels), of_both = vector_like(x, channels);
  by_type(x, [&](auto type) {
    using T = decltype(type);
    const T *gp = g.const_data_ptr<T>(), *xp = x.const_data_ptr<T>();
    auto sums = pixel_sums<2, T>(pixels, channels, [&](int64_t at, int64_t n, int64_t, int count, auto full, auto& sum) {
      constexpr bool kFull = decltype(full)::value;
      for (int64_t i = 0; i < n; i++, at += channels) {
        prefetch(gp + at + kPixels * channels);
        prefetch(xp + at + kPixels * channels);
        Pair one = Block<T>::template load<kFull>(gp + at, count);
        sum[0] = sum[0] + one;
        add_product(sum[1], one, Block<T>::template load<kFull>(xp + at, count));
      }
    });
    write_sums(sums[0], of_g);
    write_sums(sums[1], of_both);
  });
  return {of_g, of_both};
}

// scale * x + shift + other, each but x left out where it is not given: batch normalisation, a residual, both at once.
Tensor combine(const Tensor& x_, const MaybeTensor& scale_, const MaybeTensor& shift_, const MaybeTensor& other_) {
  Tensor x = nhwc(x_), other = other_ ? nhwc(*other_) : Tensor();
  Tensor y = at::empty_like(x);
  int64_t channels = x.size(1);
  auto fp32 = x.options().dtype(at::kFloat);
  Tensor factors = scale_ ? floats(*scale_) : at::ones({channels}, fp32);
  Tensor offsets = shift_ ? floats(*shift_) : at::zeros({channels}, fp32);
  by_type(x, [&](auto type) {
    using T = decltype(type);
    auto scale = packed_vector<T>(factors), shift = packed_vector<T>(offsets);
    const T *xp = x.const_data_ptr<T>(), *op = other_ ? other.const_data_ptr<T>() : nullptr;
    T* yp = y.mutable_data_ptr<T>();
    bool streamed = stream(yp, x.numel(), channels);
    all_pixels(x.numel() / channels, channels, [&](int64_t at, int64_t block, int count, auto full) {
      constexpr bool kFull = decltype(full)::value;
      Pair sum = packed(shift.data() + block * kBlock);
      if (op) sum = sum + Block<T>::template load<kFull>(op + at, count);
      add_product(sum, Block<T>::template load<kFull>(xp + at, count), packed(scale.data() + block * kBlock));
      Block<T>::template store<kFull>(yp + at, sum, count, streamed);
    });
  });
  return y;
}

}  // namespace
}  // namespace separable

TORCH_LIBRARY_FRAGMENT(separable_cpu, m) {
  m.def("channel_moments(Tensor x) -> (Tensor, Tensor)");
  m.def("channel_products(Tensor g, Tensor x) -> (Tensor, Tensor)");
  m.def("combine(Tensor x, Tensor? scale, Tensor? shift, Tensor? other) -> Tensor");
}

TORCH_LIBRARY_IMPL(separable_cpu, CPU, m) {
  m.impl("channel_moments", separable::channel_moments);
  m.impl("channel_products", separable::channel_products);
  m.impl("combine", separable::combine);
}
