// The passes over memory around convolutions: moments of a batch, sums and products per channel, scaled sums of two maps,
// and max pooling of a normalised map. Each reads its inputs once and writes its result once.
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>
#include <torch/library.h>

#include <limits>

#include "blocks.h"

namespace separable {
namespace {

constexpr int64_t kChunk = 64;  // pixels whose sums stay in registers

using Doubles = std::vector<double>;

INLINE void add_to(double* sums, const Pair& v) {
  float place[kBlock];
  pack(place, v);
  for (int j = 0; j < kBlock; j++) sums[j] += place[j];
}

// Runs fn(first pixel, count, block, c, count of channels, Full, sums) over all pixels, and adds up the threads' `rows` rows of
// sums in order: [row][padded channels].
template <typename Fn>
Doubles summed(int64_t pixels, int64_t channels, int64_t rows, Fn&& fn) {
  int64_t threads = std::max(1, at::get_num_threads()), padded = (channels + kBlock - 1) / kBlock * kBlock;
  std::vector<Doubles> parts(threads, Doubles(rows * padded, 0.));
  at::parallel_for(0, threads, 1, [&](int64_t first, int64_t last) {
    for (int64_t t = first; t < last; t++)
      for (int64_t p = pixels * t / threads, end = pixels * (t + 1) / threads; p < end; p += kChunk)
        each_block(channels, [&](int64_t block, int64_t c, int count, auto full) {
          fn(p, std::min(kChunk, end - p), block, c, count, full, parts[t].data() + block * kBlock, padded);
        });
  });
  for (int64_t t = 1; t < threads; t++)
    for (size_t j = 0; j < parts[0].size(); j++) parts[0][j] += parts[t][j];
  return parts[0];
}

template <typename T>
double unpacked(const Doubles& sums, int64_t row, int64_t padded, int64_t c) {
  int64_t block = c / kBlock;
  for (int j = 0; j < kBlock; j++)
    if (Block<T>::channel(j) == c % kBlock) return sums[row * padded + block * kBlock + j];
  return 0.;
}

// Mean and biased variance of every channel over (N, H, W), fp32. Sums are of distances from the first pixel, so that a mean
// far from zero costs no digits.
std::tuple<Tensor, Tensor> channel_moments(const Tensor& x_) {
  Tensor x = nhwc(x_);
  int64_t channels = x.size(1), pixels = x.numel() / channels, padded = (channels + kBlock - 1) / kBlock * kBlock;
  auto fp32 = x.options().dtype(at::kFloat).memory_format(at::MemoryFormat::Contiguous);
  Tensor mean = at::empty({channels}, fp32), variance = at::empty({channels}, fp32);
  by_type(x, [&](auto type) {
    using T = decltype(type);
    const T* xp = x.const_data_ptr<T>();
    Doubles sums = summed(pixels, channels, 2, [&](int64_t p, int64_t n, int64_t, int64_t c, int count, auto full, double* out, int64_t row) {
      constexpr bool kFull = decltype(full)::value;
      Pair origin = Block<T>::template load<kFull>(xp + c, count), sum = zero(), squares = zero();
      for (int64_t i = 0; i < n; i++) {
        prefetch(xp + (p + i + kAhead) * channels + c);
        Pair d = Block<T>::template load<kFull>(xp + (p + i) * channels + c, count) - origin;
        sum = sum + d;
        add_product(squares, d, d);
      }
      add_to(out, sum);
      add_to(out + row, squares);
    });
    for (int64_t c = 0; c < channels; c++) {
      double s = unpacked<T>(sums, 0, padded, c) / double(pixels), q = unpacked<T>(sums, 1, padded, c) / double(pixels);
      mean.mutable_data_ptr<float>()[c] = float(double(float(xp[c])) + s);
      variance.mutable_data_ptr<float>()[c] = float(std::max(0., q - s * s));
    }
  });
  return {mean, variance};
}

// Sums over (N, H, W) of g and of g * x, per channel, fp32.
std::tuple<Tensor, Tensor> channel_products(const Tensor& g_, const Tensor& x_) {
  Tensor g = nhwc(g_), x = nhwc(x_);
  int64_t channels = x.size(1), pixels = x.numel() / channels, padded = (channels + kBlock - 1) / kBlock * kBlock;
  auto fp32 = x.options().dtype(at::kFloat).memory_format(at::MemoryFormat::Contiguous);
  Tensor of_g = at::empty({channels}, fp32), of_both = at::empty({channels}, fp32);
  by_type(x, [&](auto type) {
    using T = decltype(type);
    const T *gp = g.const_data_ptr<T>(), *xp = x.const_data_ptr<T>();
    Doubles sums = summed(pixels, channels, 2, [&](int64_t p, int64_t n, int64_t, int64_t c, int count, auto full, double* out, int64_t row) {
      constexpr bool kFull = decltype(full)::value;
      Pair sum = zero(), products = zero();
      for (int64_t i = 0; i < n; i++) {
        int64_t at = (p + i) * channels + c;
        prefetch(gp + at + kAhead * channels);
        prefetch(xp + at + kAhead * channels);
        Pair one = Block<T>::template load<kFull>(gp + at, count);
        sum = sum + one;
        add_product(products, one, Block<T>::template load<kFull>(xp + at, count));
      }
      add_to(out, sum);
      add_to(out + row, products);
    });
    for (int64_t c = 0; c < channels; c++) {
      of_g.mutable_data_ptr<float>()[c] = float(unpacked<T>(sums, 0, padded, c));
      of_both.mutable_data_ptr<float>()[c] = float(unpacked<T>(sums, 1, padded, c));
    }
  });
  return {of_g, of_both};
}

// scale * x + shift + other, each but x left out where it is not given: batch normalisation, a residual, both at once.
Tensor combine(const Tensor& x_, const MaybeTensor& scale_, const MaybeTensor& shift_, const MaybeTensor& other_) {
  Tensor x = nhwc(x_), other = other_ ? nhwc(*other_) : Tensor();
  Tensor y = at::empty_like(x);
  int64_t channels = x.size(1), pixels = x.numel() / channels;
  by_type(x, [&](auto type) {
    using T = decltype(type);
    Tensor ones = scale_ ? floats(*scale_) : at::ones({channels}, x.options().dtype(at::kFloat));
    Tensor offsets = shift_ ? floats(*shift_) : at::zeros({channels}, x.options().dtype(at::kFloat));
    auto scale = packed_rows<T>(ones.const_data_ptr<float>(), 1, 0, 1, channels);
    auto shift = packed_rows<T>(offsets.const_data_ptr<float>(), 1, 0, 1, channels);
    const T *xp = x.const_data_ptr<T>(), *op = other_ ? other.const_data_ptr<T>() : nullptr;
    T* yp = y.mutable_data_ptr<T>();
    bool streamed = stream(yp, x.numel(), channels);
    at::parallel_for(0, (pixels + kChunk - 1) / kChunk, 1, [&](int64_t begin, int64_t end) {
      for (int64_t chunk = begin; chunk < end; chunk++)
        each_block(channels, [&](int64_t block, int64_t c, int count, auto full) {
          constexpr bool kFull = decltype(full)::value;
          Pair a = packed(scale.data() + block * kBlock), b = packed(shift.data() + block * kBlock);
          for (int64_t p = chunk * kChunk; p < std::min(pixels, (chunk + 1) * kChunk); p++) {
            int64_t at = p * channels + c;
            prefetch(xp + at + kAhead * channels);
            Pair sum = op ? Block<T>::template load<kFull>(op + at, count) + b : b;
            if (op) prefetch(op + at + kAhead * channels);
            add_product(sum, Block<T>::template load<kFull>(xp + at, count), a);
            Block<T>::template store<kFull>(yp + at, sum, count, streamed);
          }
        });
    });
  });
  return y;
}

// The window of a pooled pixel: which of its K * K inputs is the greatest after scale and shift, and that input itself.
struct Best {
  Pair value, tap, x;
};

template <typename T, bool Full>
INLINE Best best_of(const T* image, int64_t c, int count, int64_t channels, int64_t h, int64_t w, int64_t ih, int64_t iw, int kernel,
                    const Pair& scale, const Pair& shift) {
  Vec least(-std::numeric_limits<float>::infinity());
  Best best{{least, least}, zero(), zero()};
  auto keep = [](Vec& value, Vec& tap, Vec& kept, const Vec& v, const Vec& x, float number) {
    Vec wins = (v > value) | (v != v);  // the first of equals, and NaN, as torch has it
    value = Vec::blendv(value, v, wins);
    tap = Vec::blendv(tap, Vec(number), wins);
    kept = Vec::blendv(kept, x, wins);
  };
  for (int kh = 0; kh < kernel; kh++) {
    if (ih + kh < 0 || ih + kh >= h) continue;
    for (int kw = 0; kw < kernel; kw++) {
      if (iw + kw < 0 || iw + kw >= w) continue;
      Pair x = Block<T>::template load<Full>(image + ((ih + kh) * w + iw + kw) * channels + c, count), v = shift;
      add_product(v, x, scale);
      keep(best.value.a, best.tap.a, best.x.a, v.a, x.a, float(kh * kernel + kw));
      keep(best.value.b, best.tap.b, best.x.b, v.b, x.b, float(kh * kernel + kw));
    }
  }
  return best;
}

struct Pool {
  int64_t n, c, h, w, oh, ow, top, left;
  int kernel, stride;
};

Pool pool_of(const Tensor& x, int64_t kernel, int64_t stride, at::IntArrayRef border) {
  Pool p{x.size(0), x.size(1), x.size(2), x.size(3), 0, 0, border[0], border[2], int(kernel), int(stride)};
  p.oh = (p.h + border[0] + border[1] - kernel) / stride + 1;
  p.ow = (p.w + border[2] + border[3] - kernel) / stride + 1;
  return p;
}

// Max pooling of scale * x + shift; what lies outside never wins.
Tensor pool_forward(const Tensor& x_, const Tensor& scale_, const Tensor& shift_, int64_t kernel, int64_t stride,
                    at::IntArrayRef border) {
  Tensor x = nhwc(x_), scale_f = floats(scale_), shift_f = floats(shift_);
  Pool p = pool_of(x, kernel, stride, border);
  Tensor y = at::empty({p.n, p.c, p.oh, p.ow}, x.options().memory_format(at::MemoryFormat::ChannelsLast));
  by_type(x, [&](auto type) {
    using T = decltype(type);
    auto scale = packed_rows<T>(scale_f.const_data_ptr<float>(), 1, 0, 1, p.c);
    auto shift = packed_rows<T>(shift_f.const_data_ptr<float>(), 1, 0, 1, p.c);
    const T* xp = x.const_data_ptr<T>();
    T* yp = y.mutable_data_ptr<T>();
    at::parallel_for(0, p.n * p.oh, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; i++)
        for (int64_t ow = 0; ow < p.ow; ow++)
          each_block(p.c, [&](int64_t block, int64_t c, int count, auto full) {
            constexpr bool kFull = decltype(full)::value;
            Best best = best_of<T, kFull>(xp + i / p.oh * p.h * p.w * p.c, c, count, p.c, p.h, p.w, i % p.oh * p.stride - p.top,
                                          ow * p.stride - p.left, p.kernel, packed(scale.data() + block * kBlock),
                                          packed(shift.data() + block * kBlock));
            Block<T>::template store<kFull>(yp + (i * p.ow + ow) * p.c + c, best.value, count, false);
          });
    });
  });
  return y;
}

// -> gradients of x, scale (fp32) and shift (fp32). The winners are found again rather than kept: an index of them would be
// as large as the output.
std::tuple<Tensor, Tensor, Tensor> pool_backward(const Tensor& g_, const Tensor& x_, const Tensor& scale_, const Tensor& shift_,
                                                 int64_t kernel, int64_t stride, at::IntArrayRef border) {
  Tensor x = nhwc(x_), g = nhwc(g_), scale_f = floats(scale_), shift_f = floats(shift_);
  Pool p = pool_of(x, kernel, stride, border);
  auto fp32 = x.options().dtype(at::kFloat).memory_format(at::MemoryFormat::Contiguous);
  Tensor dx = at::empty_like(x), dscale = at::empty({p.c}, fp32), dshift = at::empty({p.c}, fp32);
  int64_t padded = (p.c + kBlock - 1) / kBlock * kBlock;
  by_type(x, [&](auto type) {
    using T = decltype(type);
    auto scale = packed_rows<T>(scale_f.const_data_ptr<float>(), 1, 0, 1, p.c);
    auto shift = packed_rows<T>(shift_f.const_data_ptr<float>(), 1, 0, 1, p.c);
    const T *xp = x.const_data_ptr<T>(), *gp = g.const_data_ptr<T>();
    T* out = dx.mutable_data_ptr<T>();
    std::vector<Doubles> parts(p.n, Doubles(2 * padded, 0.));
    at::parallel_for(0, p.n, 1, [&](int64_t begin, int64_t end) {
      std::vector<float> rows(p.kernel * p.w * padded);  // the input rows that the current windows reach, in fp32
      for (int64_t n = begin; n < end; n++) {
        std::fill(rows.begin(), rows.end(), 0.f);
        const T* image = xp + n * p.h * p.w * p.c;
        auto ring = [&](int64_t ih) { return rows.data() + ((ih + p.kernel) % p.kernel) * p.w * padded; };
        auto flush = [&](int64_t ih) {
          if (ih < 0 || ih >= p.h) return;
          float* row = ring(ih);
          for (int64_t iw = 0; iw < p.w; iw++)
            each_block(p.c, [&](int64_t block, int64_t c, int count, auto full) {
              float* place = row + iw * padded + block * kBlock;
              Block<T>::template store<decltype(full)::value>(out + ((n * p.h + ih) * p.w + iw) * p.c + c, packed(place), count, false);
              pack(place, zero());
            });
        };
        int64_t flushed = -p.top;
        for (int64_t oh = 0; oh < p.oh; oh++) {
          int64_t ih = oh * p.stride - p.top;
          for (; flushed < ih; flushed++) flush(flushed);
          for (int64_t ow = 0; ow < p.ow; ow++)
            each_block(p.c, [&](int64_t block, int64_t c, int count, auto full) {
              constexpr bool kFull = decltype(full)::value;
              int64_t iw = ow * p.stride - p.left;
              Pair a = packed(scale.data() + block * kBlock);
              Best best = best_of<T, kFull>(image, c, count, p.c, p.h, p.w, ih, iw, p.kernel, a, packed(shift.data() + block * kBlock));
              Pair gradient = Block<T>::template load<kFull>(gp + ((n * p.oh + oh) * p.ow + ow) * p.c + c, count);
              add_to(parts[n].data() + block * kBlock, gradient * best.x);
              add_to(parts[n].data() + padded + block * kBlock, gradient);
              gradient = gradient * a;
              for (int kh = 0; kh < p.kernel; kh++)
                for (int kw = 0; kw < p.kernel; kw++) {
                  if (ih + kh < 0 || ih + kh >= p.h || iw + kw < 0 || iw + kw >= p.w) continue;
                  Vec tap(float(kh * p.kernel + kw));
                  Pair won{Vec::blendv(Vec(0.f), gradient.a, best.tap.a == tap), Vec::blendv(Vec(0.f), gradient.b, best.tap.b == tap)};
                  pack_sum(ring(ih + kh) + (iw + kw) * padded + block * kBlock, won);
                }
            });
        }
        for (; flushed < p.h; flushed++) flush(flushed);
      }
    });
    for (int64_t n = 1; n < p.n; n++)
      for (size_t j = 0; j < parts[0].size(); j++) parts[0][j] += parts[n][j];
    for (int64_t c = 0; c < p.c; c++) {
      dscale.mutable_data_ptr<float>()[c] = float(unpacked<T>(parts[0], 0, padded, c));
      dshift.mutable_data_ptr<float>()[c] = float(unpacked<T>(parts[0], 1, padded, c));
    }
  });
  return {dx, dscale, dshift};
}

}  // namespace
}  // namespace separable

TORCH_LIBRARY_FRAGMENT(separable_cpu, m) {
  m.def("channel_moments(Tensor x) -> (Tensor, Tensor)");
  m.def("channel_products(Tensor g, Tensor x) -> (Tensor, Tensor)");
  m.def("combine(Tensor x, Tensor? scale, Tensor? shift, Tensor? other) -> Tensor");
  m.def("pool_forward(Tensor x, Tensor scale, Tensor shift, int kernel, int stride, int[4] border) -> Tensor");
  m.def(
      "pool_backward(Tensor g, Tensor x, Tensor scale, Tensor shift, int kernel, int stride, int[4] border) "
      "-> (Tensor, Tensor, Tensor)");
}

TORCH_LIBRARY_IMPL(separable_cpu, CPU, m) {
  m.impl("channel_moments", separable::channel_moments);
  m.impl("channel_products", separable::channel_products);
  m.impl("combine", separable::combine);
  m.impl("pool_forward", separable::pool_forward);
  m.impl("pool_backward", separable::pool_backward);
}
