// The passes over memory around convolutions: moments of a batch, sums and products per channel, scaled sums of two maps.
// Each reads its inputs once and writes its result once.
#include <ATen/ops/ones.h>
#include <torch/library.h>

#include <cmath>

#include "checks.h"
#include "pixels.h"

namespace separable {
namespace {

constexpr int64_t kSample = 64;  // pixels

// About where the pixels of each channel lie, packed: the mean of some spread over them, 0 where that is not finite.
template <typename T>
std::vector<float> sampled_mean(const T* x, int64_t pixels, int64_t channels) {
  int64_t count = std::min(kSample, pixels);
  std::vector<float> sum(blocks_of(channels) * kBlock, 0.f);
  for (int64_t i = 0; i < count; i++)
    each_block(channels, [&](int64_t block, int64_t c, int n, auto full) {
      const T* place = x + pixels * i / count * channels + c;
      pack_sum(sum.data() + block * kBlock, Block<T>::template load<decltype(full)::value>(place, n));
    });
  for (float& one : sum) one = std::isfinite(one) ? one / float(count) : 0.f;
  return sum;
}

// Mean and biased variance of every channel over (N, H, W), fp32; NaN where there are no pixels. Sums are of distances from the
// mean of a few pixels, so that a mean far from zero costs no digits.
std::tuple<Tensor, Tensor> channel_moments(const Tensor& x_) {
  check_maps(x_);
  Tensor x = nhwc(x_);
  int64_t channels = x.size(1), pixels = pixels_of(x);
  Tensor mean = vector_like(x, channels), variance = vector_like(x, channels);
  by_type(x, [&](auto type) {
    using T = decltype(type);
    const T* xp = x.const_data_ptr<T>();
    auto origins = sampled_mean(xp, pixels, channels);
    auto sums = pixel_sums<2, T>(pixels, channels, [&](int64_t at, int64_t n, int64_t block, int count, auto full, auto& sum) {
      constexpr bool kFull = decltype(full)::value;
      Pair origin = packed(origins.data() + block * kBlock);
      for (int64_t i = 0; i < n; i++, at += channels) {
        prefetch(xp, at + kPixels * channels);
        Pair d = Block<T>::template load<kFull>(xp + at, count) - origin;
        sum[0] = sum[0] + d;
        add_product(sum[1], d, d);
      }
    });
    unpack_rows<T>(origins.data(), mean.mutable_data_ptr<float>(), 1, 0, 1, channels);
    for (int64_t c = 0; c < channels; c++) {
      double s = sums[0][c] / double(pixels), v = sums[1][c] / double(pixels) - s * s;
      float& origin = mean.mutable_data_ptr<float>()[c];
      origin = float(double(origin) + s);
      variance.mutable_data_ptr<float>()[c] = float(v < 0. ? 0. : v);  // NaN stays NaN
    }
  });
  return {mean, variance};
}

// Sums over (N, H, W) of g and of g * x, per channel, fp32.
std::tuple<Tensor, Tensor> channel_products(const Tensor& g_, const Tensor& x_) {
  same_maps(x_, g_);
  Tensor g = nhwc(g_), x = nhwc(x_);
  int64_t channels = x.size(1), pixels = pixels_of(x);
  Tensor of_g = vector_like(x, channels), of_both = vector_like(x, channels);
  by_type(x, [&](auto type) {
    using T = decltype(type);
    const T *gp = g.const_data_ptr<T>(), *xp = x.const_data_ptr<T>();
    auto sums = pixel_sums<2, T>(pixels, channels, [&](int64_t at, int64_t n, int64_t, int count, auto full, auto& sum) {
      constexpr bool kFull = decltype(full)::value;
      for (int64_t i = 0; i < n; i++, at += channels) {
        prefetch(gp, at + kPixels * channels);
        prefetch(xp, at + kPixels * channels);
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
  check_maps(x_);
  if (other_) same_kind(x_, *other_);
  for (const MaybeTensor* values : {&scale_, &shift_}) per_channel(*values, x_.size(1));
  Tensor x = nhwc(x_), other = other_ ? nhwc(*other_) : Tensor();
  Tensor y = at::empty_like(x);
  int64_t channels = x.size(1);
  Tensor factors = scale_ ? floats(*scale_) : at::ones({channels}, x.options().dtype(at::kFloat));
  Tensor offsets = given_or_zeros(shift_, x);
  by_type(x, [&](auto type) {
    using T = decltype(type);
    auto scale = packed_vector<T>(factors), shift = packed_vector<T>(offsets);
    const T *xp = x.const_data_ptr<T>(), *op = other_ ? other.const_data_ptr<T>() : nullptr;
    T* yp = y.mutable_data_ptr<T>();
    bool streamed = stream(yp, x.numel(), channels);
    all_pixels(pixels_of(x), channels, streamed, [&](int64_t at, int64_t block, int count, auto full) {
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
