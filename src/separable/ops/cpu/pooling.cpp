// Max pooling of a normalised map: scale * x + shift and the greatest of each window in one pass, and back.
#include <torch/library.h>

#include <limits>

#include "checks.h"
#include "pixels.h"

namespace separable {
namespace {

// The window of a pooled pixel: which of its K * K inputs is the greatest after scale and shift, and that input itself.
struct Best {
  Pair value, tap, x;
};

// Keeps v, its tap and its input where it is greater than what is kept, and NaN, as torch has it: the first of equals.
INLINE void keep(Vec& value, Vec& tap, Vec& kept, const Vec& v, const Vec& x, float number) {
#ifdef HAS_BF16_PAIRS
  __mmask16 wins = _kor_mask16(_mm512_cmp_ps_mask(v, value, _CMP_GT_OQ), _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q));
  value = _mm512_mask_mov_ps(value, wins, v);
  tap = _mm512_mask_mov_ps(tap, wins, _mm512_set1_ps(number));
  kept = _mm512_mask_mov_ps(kept, wins, x);
#else
  Vec wins = (v > value) | (v != v);
  value = Vec::blendv(value, v, wins);
  tap = Vec::blendv(tap, Vec(number), wins);
  kept = Vec::blendv(kept, x, wins);
#endif
}

// sum + gradient where the tap is this one.
INLINE Vec add_to_winner(const Vec& sum, const Vec& gradient, const Vec& tap, float number) {
#ifdef HAS_BF16_PAIRS
  return _mm512_mask_add_ps(sum, _mm512_cmp_ps_mask(tap, _mm512_set1_ps(number), _CMP_EQ_OQ), sum, gradient);
#else
  return sum + Vec::blendv(Vec(0.f), gradient, tap == Vec(number));
#endif
}

// Kernel: the window's side where all of it lies inside, 0 where it has to be looked at.
template <typename T, bool Full, int Kernel>
INLINE Best best_of(const T* image, int64_t c, int count, int64_t channels, int64_t h, int64_t w, int64_t ih, int64_t iw, int kernel,
                    const Pair& scale, const Pair& shift) {
  // Where nothing is greater than -inf, the first that lies inside wins.
  int64_t top = std::max<int64_t>(0, -ih), left = std::max<int64_t>(0, -iw);
  Vec least(-std::numeric_limits<float>::infinity()), first(float(top * kernel + left));
  const T* corner = image + ((ih + top) * w + iw + left) * channels + c;
  Best best{{least, least}, {first, first}, Block<T>::template load<Full>(corner, count)};
  auto look = [&](int kh, int kw) INLINED {
    Pair x = Block<T>::template load<Full>(image + ((ih + kh) * w + iw + kw) * channels + c, count), v = shift;
    add_product(v, x, scale);
    keep(best.value.a, best.tap.a, best.x.a, v.a, x.a, float(kh * kernel + kw));
    keep(best.value.b, best.tap.b, best.x.b, v.b, x.b, float(kh * kernel + kw));
  };
  if constexpr (Kernel > 0) {
    unroll<0, Kernel * Kernel>([&](auto i) INLINED { look(i / Kernel, i % Kernel); });
    return best;
  }
  for (int kh = std::max<int>(0, -ih); kh < std::min<int>(kernel, h - ih); kh++)
    for (int kw = std::max<int>(0, -iw); kw < std::min<int>(kernel, w - iw); kw++) look(kh, kw);
  return best;
}

constexpr int64_t kMostSide = 1024;  // of a window: its places are counted in fp32

struct Pool {
  int64_t n, c, h, w, oh, ow, top, left;
  int kernel, stride;

  // Of the window whose corner is (ih, iw).
  template <typename T, bool Full>
  INLINE Best best(const T* image, int64_t channel, int count, int64_t ih, int64_t iw, const Pair& scale, const Pair& shift) const {
    if (kernel == 3 && ih >= 0 && iw >= 0 && ih + 3 <= h && iw + 3 <= w)
      return best_of<T, Full, 3>(image, channel, count, c, h, w, ih, iw, 3, scale, shift);
    return best_of<T, Full, 0>(image, channel, count, c, h, w, ih, iw, kernel, scale, shift);
  }
};

Pool pool_of(const Tensor& x, const Tensor& scale, const Tensor& shift, int64_t kernel, int64_t stride, at::IntArrayRef border) {
  check_maps(x);
  per_channel(scale, x.size(1));
  per_channel(shift, x.size(1));
  TORCH_CHECK(kernel > 0 && kernel <= kMostSide && stride > 0, "a kernel of 1 to ", kMostSide,
              " and a positive stride expected, got ", kernel, " and ", stride);
  for (int64_t side : border)
    TORCH_CHECK(side >= 0 && side < kernel, "borders from 0 to below the kernel's ", kernel, " expected, got ", border);
  Pool p{x.size(0), x.size(1), x.size(2), x.size(3), 0, 0, border[0], border[2], int(kernel), int(stride)};
  p.oh = (p.h + border[0] + border[1] - kernel) / stride + 1;
  p.ow = (p.w + border[2] + border[3] - kernel) / stride + 1;
  TORCH_CHECK(p.h > 0 && p.w > 0 && p.h + border[0] + border[1] >= kernel && p.w + border[2] + border[3] >= kernel,
              "maps (N, C, H, W) that a window of ", kernel, " fits into expected, got ", x.sizes());
  return p;
}

// Max pooling of scale * x + shift; what lies outside never wins.
Tensor pool_forward(const Tensor& x_, const Tensor& scale_, const Tensor& shift_, int64_t kernel, int64_t stride,
                    at::IntArrayRef border) {
  Pool p = pool_of(x_, scale_, shift_, kernel, stride, border);
  Tensor x = nhwc(x_), scale_f = floats(scale_), shift_f = floats(shift_);
  Tensor y = at::empty({p.n, p.c, p.oh, p.ow}, x.options().memory_format(at::MemoryFormat::ChannelsLast));
  by_type(x, [&](auto type) {
    using T = decltype(type);
    auto scale = packed_vector<T>(scale_f);
    auto shift = packed_vector<T>(shift_f);
    const T* xp = x.const_data_ptr<T>();
    T* yp = y.mutable_data_ptr<T>();
    at::parallel_for(0, p.n * p.oh, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; i++)
        for (int64_t ow = 0; ow < p.ow; ow++)
          each_block(p.c, [&](int64_t block, int64_t c, int count, auto full) {
            constexpr bool kFull = decltype(full)::value;
            int64_t ih = i % p.oh * p.stride - p.top, iw = ow * p.stride - p.left;
            Best best = p.best<T, kFull>(xp + i / p.oh * p.h * p.w * p.c, c, count, ih, iw, packed(scale.data() + block * kBlock),
                                         packed(shift.data() + block * kBlock));
            Block<T>::template store<kFull>(yp + (i * p.ow + ow) * p.c + c, best.value, count, false);
          });
    });
  });
  return y;
}

// The backward pass of one image. The winners are found again rather than kept: an index of them would be as large as the
// output. Gradients gather in fp32 in a ring of the input rows that the current windows reach.
template <typename T>
struct PoolBackward {
  const Pool& p;
  const float *scale, *shift;  // packed
  bool streamed;
  int64_t padded = blocks_of(p.c) * kBlock;
  std::vector<float> ring = std::vector<float>(p.kernel * p.w * padded, 0.f);
  std::vector<float> row_sums = std::vector<float>(2 * padded, 0.f);  // of one row, packed: [block][for scale, for shift]

  float* row(int64_t ih) { return ring.data() + (ih + p.kernel) % p.kernel * p.w * padded; }

  void flush(int64_t ih, T* out_image) {
    if (ih < 0 || ih >= p.h) return;
    float* from = row(ih);
    for (int64_t iw = 0; iw < p.w; iw++)
      each_block(p.c, [&](int64_t block, int64_t c, int count, auto full) {
        float* place = from + iw * padded + block * kBlock;
        Block<T>::template store<decltype(full)::value>(out_image + (ih * p.w + iw) * p.c + c, packed(place), count, streamed);
        pack(place, zero());
      });
  }

  template <bool Full>
  INLINE void window(const T* image, const T* g, int64_t ih, int64_t iw, int64_t block, int64_t c, int count) {
    Pair a = packed(scale + block * kBlock);
    Best best = p.best<T, Full>(image, c, count, ih, iw, a, packed(shift + block * kBlock));
    Pair gradient = Block<T>::template load<Full>(g + c, count);
    pack_sum(row_sums.data() + 2 * block * kBlock, gradient * best.x);
    pack_sum(row_sums.data() + (2 * block + 1) * kBlock, gradient);
    gradient = gradient * a;
    for (int kh = std::max<int>(0, -ih); kh < std::min<int>(p.kernel, p.h - ih); kh++)
      for (int kw = std::max<int>(0, -iw); kw < std::min<int>(p.kernel, p.w - iw); kw++) {
        float *place = row(ih + kh) + (iw + kw) * padded + block * kBlock, number = float(kh * p.kernel + kw);
        Pair sum = packed(place);
        pack(place, {add_to_winner(sum.a, gradient.a, best.tap.a, number), add_to_winner(sum.b, gradient.b, best.tap.b, number)});
      }
  }

  // g, image and out of one image; sums: [block][for scale, for shift], packed.
  void run(const T* g, const T* image, T* out, std::vector<double>& sums) {
    int64_t flushed = -p.top;
    for (int64_t oh = 0; oh < p.oh; oh++) {
      int64_t ih = oh * p.stride - p.top;
      for (; flushed < ih; flushed++) flush(flushed, out);
      for (int64_t ow = 0; ow < p.ow; ow++)
        each_block(p.c, [&](int64_t block, int64_t c, int count, auto full) {
          window<decltype(full)::value>(image, g + (oh * p.ow + ow) * p.c, ih, ow * p.stride - p.left, block, c, count);
        });
      for (size_t j = 0; j < row_sums.size(); j++) sums[j] += row_sums[j];
      std::fill(row_sums.begin(), row_sums.end(), 0.f);
    }
    for (; flushed < p.h; flushed++) flush(flushed, out);
  }
};

// -> gradients of x, scale (fp32) and shift (fp32).
std::tuple<Tensor, Tensor, Tensor> pool_backward(const Tensor& g_, const Tensor& x_, const Tensor& scale_, const Tensor& shift_,
                                                 int64_t kernel, int64_t stride, at::IntArrayRef border) {
  Pool p = pool_of(x_, scale_, shift_, kernel, stride, border);
  TORCH_CHECK(g_.sizes() == at::IntArrayRef({p.n, p.c, p.oh, p.ow}) && g_.scalar_type() == x_.scalar_type(),
              "a gradient like the pooled maps expected, got ", g_.sizes(), " of ", g_.scalar_type());
  Tensor x = nhwc(x_), g = nhwc(g_), scale_f = floats(scale_), shift_f = floats(shift_), dx = at::empty_like(x);
  Tensor dscale = vector_like(x, p.c), dshift = vector_like(x, p.c);
  by_type(x, [&](auto type) {
    using T = decltype(type);
    auto scale = packed_vector<T>(scale_f), shift = packed_vector<T>(shift_f);
    const T *xp = x.const_data_ptr<T>(), *gp = g.const_data_ptr<T>();
    T* out = dx.mutable_data_ptr<T>();
    bool streamed = stream(out, dx.numel(), p.c);
    std::vector<std::vector<double>> parts(std::max<int64_t>(1, p.n), std::vector<double>(2 * blocks_of(p.c) * kBlock, 0.));
    at::parallel_for(0, p.n, 1, [&](int64_t begin, int64_t end) {
      PoolBackward<T> one{p, scale.data(), shift.data(), streamed};
      for (int64_t n = begin; n < end; n++)
        one.run(gp + n * p.oh * p.ow * p.c, xp + n * p.h * p.w * p.c, out + n * p.h * p.w * p.c, parts[n]);
      drain(streamed);
    });
    for (int64_t n = 1; n < p.n; n++)
      for (size_t j = 0; j < parts[0].size(); j++) parts[0][j] += parts[n][j];
    auto sums = unwoven_sums<2, T>(parts[0]);
    write_sums(sums[0], dscale);
    write_sums(sums[1], dshift);
  });
  return {dx, dscale, dshift};
}

}  // namespace
}  // namespace separable

TORCH_LIBRARY_FRAGMENT(separable_cpu, m) {
  m.def("pool_forward(Tensor x, Tensor scale, Tensor shift, int kernel, int stride, int[4] border) -> Tensor");
  m.def(
      "pool_backward(Tensor g, Tensor x, Tensor scale, Tensor shift, int kernel, int stride, int[4] border) "
      "-> (Tensor, Tensor, Tensor)");
}

TORCH_LIBRARY_IMPL(separable_cpu, CPU, m) {
  m.impl("pool_forward", separable::pool_forward);
  m.impl("pool_backward", separable::pool_backward);
}
