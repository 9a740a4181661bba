// What all kernels share: blocks of channels in registers, packed parameters, batch normalisation and ReLU on the way in.
//
// Layout: N, H, W, C in memory. Channels go through registers in blocks of two float vectors; per-channel parameters are
// packed into such blocks beforehand. Sums are kept in fp32 or better and added up in a fixed order, so a result depends
// on the number of threads and on nothing else.
#pragma once

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/cpu/vec/functional.h>
#include <ATen/cpu/vec/vec.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>

#include <algorithm>
#include <optional>
#include <type_traits>
#include <vector>

#if defined(__AVX512BF16__) && defined(__AVX512BW__)
#include <immintrin.h>
#define HAS_BF16_PAIRS 1
#endif

namespace separable {

using at::Tensor;
using Vec = at::vec::Vectorized<float>;
using MaybeTensor = std::optional<Tensor>;

constexpr int kLanes = Vec::size();
constexpr int kBlock = 2 * kLanes;  // channels at a time
constexpr int64_t kAhead = 12;      // columns to prefetch ahead
constexpr int64_t kStreamed = int64_t{24} << 20;  // bytes from which a result is written past the cache

#define INLINE inline __attribute__((always_inline))

struct Pair {
  Vec a, b;
};

INLINE Pair zero() { return {Vec(0.f), Vec(0.f)}; }
INLINE void add_product(Pair& sum, const Pair& x, const Pair& y) {
  sum.a = at::vec::fmadd(x.a, y.a, sum.a);
  sum.b = at::vec::fmadd(x.b, y.b, sum.b);
}
INLINE Pair operator+(const Pair& x, const Pair& y) { return {x.a + y.a, x.b + y.b}; }
INLINE Pair operator-(const Pair& x, const Pair& y) { return {x.a - y.a, x.b - y.b}; }
INLINE Pair operator*(const Pair& x, const Pair& y) { return {x.a * y.a, x.b * y.b}; }

// Packed parameters: contiguous floats, always whole blocks.
INLINE Pair packed(const float* p) { return {Vec::loadu(p), Vec::loadu(p + kLanes)}; }
INLINE void pack(float* p, const Pair& v) {
  v.a.store(p);
  v.b.store(p + kLanes);
}
INLINE void pack_sum(float* p, const Pair& v) { pack(p, packed(p) + v); }

// One block of channels in memory, `count` of them when not Full.
template <typename T>
struct Block {
  using Stored = at::vec::Vectorized<T>;
  static constexpr int channel(int place) { return place; }  // which channel of the block a packed place holds
  template <bool Full>
  static INLINE Pair load(const T* p, int count) {
    auto [a, b] = at::vec::convert_to_float<T>(Full ? Stored::loadu(p) : Stored::loadu(p, count));
    return {a, b};
  }
  template <bool Full>
  static INLINE void store(T* p, const Pair& v, int count, bool) {
    Stored r = at::vec::convert_from_float<T>(v.a, v.b);
    Full ? r.store(p) : r.store(p, count);
  }
};

template <>
struct Block<float> {
  static constexpr int channel(int place) { return place; }
  template <bool Full>
  static INLINE Pair load(const float* p, int count) {
    if constexpr (Full) return {Vec::loadu(p), Vec::loadu(p + kLanes)};
    return {Vec::loadu(p, std::min(count, kLanes)), count > kLanes ? Vec::loadu(p + kLanes, count - kLanes) : Vec(0.f)};
  }
  template <bool Full>
  static INLINE void store(float* p, const Pair& v, int count, bool streamed) {
    if constexpr (Full) {
#if defined(__AVX512F__) && defined(HAS_BF16_PAIRS)
      if (streamed) {
        _mm512_stream_ps(p, v.a);
        _mm512_stream_ps(p + kLanes, v.b);
        return;
      }
#endif
      v.a.store(p);
      v.b.store(p + kLanes);
    } else {
      v.a.store(p, std::min(count, kLanes));
      if (count > kLanes) v.b.store(p + kLanes, count - kLanes);
    }
  }
};

#ifdef HAS_BF16_PAIRS
// 32 bf16 as 16 pairs: the even channels are the low halves shifted up, the odd ones the high halves, so neither needs a
// shuffle across the register.
template <>
struct Block<at::BFloat16> {
  static constexpr int channel(int place) { return place < kLanes ? 2 * place : 2 * (place - kLanes) + 1; }
  template <bool Full>
  static INLINE Pair load(const at::BFloat16* p, int count) {
    __m512i v = Full ? _mm512_loadu_si512(p) : _mm512_maskz_loadu_epi16((1ULL << count) - 1, p);
    return {Vec(_mm512_castsi512_ps(_mm512_slli_epi32(v, 16))),
            Vec(_mm512_castsi512_ps(_mm512_and_si512(v, _mm512_set1_epi32(int(0xffff0000)))))};
  }
  template <bool Full>
  static INLINE void store(at::BFloat16* p, const Pair& v, int count, bool streamed) {
    const __m512i weave = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6, 21, 5,
                                           20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    __m512i r = _mm512_permutexvar_epi16(weave, (__m512i)_mm512_cvtne2ps_pbh(v.b, v.a));
    if constexpr (!Full) {
      _mm512_mask_storeu_epi16(p, (1ULL << count) - 1, r);
    } else if (streamed) {
      _mm512_stream_si512((__m512i*)p, r);
    } else {
      _mm512_storeu_si512(p, r);
    }
  }
};
#endif

template <int I, int N, typename Fn>
INLINE void unroll(Fn&& fn) {
  if constexpr (I < N) {
    fn(std::integral_constant<int, I>{});
    unroll<I + 1, N>(fn);
  }
}

template <typename T>
INLINE void prefetch(const T* p) {
  __builtin_prefetch(p);
  if constexpr (sizeof(T) * kBlock > 64) __builtin_prefetch(reinterpret_cast<const char*>(p) + 64);
}

// Per-channel values (`rows` of them, row-major over C) as whole blocks: [block][row][kBlock], zeros behind the last channel.
template <typename T>
std::vector<float> packed_rows(const float* values, int64_t rows, int64_t row_stride, int64_t channel_stride, int64_t channels) {
  int64_t blocks = (channels + kBlock - 1) / kBlock;
  std::vector<float> out(blocks * rows * kBlock, 0.f);
  for (int64_t b = 0; b < blocks; b++)
    for (int64_t r = 0; r < rows; r++)
      for (int j = 0; j < kBlock; j++) {
        int64_t c = b * kBlock + Block<T>::channel(j);
        if (c < channels) out[(b * rows + r) * kBlock + j] = values[r * row_stride + c * channel_stride];
      }
  return out;
}

template <typename T>
void unpack_rows(const float* packed_values, float* values, int64_t rows, int64_t row_stride, int64_t channel_stride,
                 int64_t channels) {
  int64_t blocks = (channels + kBlock - 1) / kBlock;
  for (int64_t b = 0; b < blocks; b++)
    for (int64_t r = 0; r < rows; r++)
      for (int j = 0; j < kBlock; j++) {
        int64_t c = b * kBlock + Block<T>::channel(j);
        if (c < channels) values[r * row_stride + c * channel_stride] = packed_values[(b * rows + r) * kBlock + j];
      }
}

// fn(block number, first channel, count, Full) for each block of channels.
template <typename Fn>
INLINE void each_block(int64_t channels, Fn&& fn) {
  int64_t c = 0, b = 0;
  for (; c + kBlock <= channels; c += kBlock, b++) fn(b, c, kBlock, std::true_type{});
  if (c < channels) fn(b, c, int(channels - c), std::false_type{});
}

// What happens to a number between memory and convolution: nothing, or scale * x + shift, and ReLU.
template <bool Affine, bool Relu>
struct Act {
  const float* scale;  // packed, one row
  const float* shift;
  struct At {
    Pair scale, shift;
    INLINE Pair operator()(Pair x) const {
      if constexpr (Affine) x = {at::vec::fmadd(x.a, scale.a, shift.a), at::vec::fmadd(x.b, scale.b, shift.b)};
      if constexpr (Relu) x = {at::vec::maximum(x.a, Vec(0.f)), at::vec::maximum(x.b, Vec(0.f))};
      return x;
    }
    INLINE Pair masked(const Pair& gradient, const Pair& x) const {
      if constexpr (!Relu) return gradient;
      Pair y = x;
      if constexpr (Affine) y = {at::vec::fmadd(x.a, scale.a, shift.a), at::vec::fmadd(x.b, scale.b, shift.b)};
      return {Vec::blendv(Vec(0.f), gradient.a, y.a > Vec(0.f)), Vec::blendv(Vec(0.f), gradient.b, y.b > Vec(0.f))};
    }
  };
  INLINE At at(int64_t block) const {
    if constexpr (Affine) return {packed(scale + block * kBlock), packed(shift + block * kBlock)};
    return {zero(), zero()};
  }
};

template <typename T>
bool stream(const T* out, int64_t numbers, int64_t channels) {
  return numbers * int64_t(sizeof(T)) >= kStreamed && channels % kBlock == 0 && reinterpret_cast<uintptr_t>(out) % 64 == 0;
}

// Calls fn(T{}) for the tensor's type, and fn of an Act for the prologue.
template <typename Fn>
void by_type(const Tensor& x, Fn&& fn) {
  if (x.scalar_type() == at::kFloat) return fn(float{});
  if (x.scalar_type() == at::kBFloat16) return fn(at::BFloat16{});
  TORCH_CHECK(x.scalar_type() == at::kHalf, "fp32, bf16 or fp16 expected, got ", x.scalar_type());
  fn(at::Half{});
}

template <typename Fn>
void by_act(bool affine, bool relu, const float* scale, const float* shift, Fn&& fn) {
  if (affine && relu) return fn(Act<true, true>{scale, shift});
  if (affine) return fn(Act<true, false>{scale, shift});
  if (relu) return fn(Act<false, true>{nullptr, nullptr});
  fn(Act<false, false>{nullptr, nullptr});
}

inline Tensor floats(const Tensor& t) { return t.to(at::kFloat).contiguous(); }


inline Tensor nhwc(const Tensor& x) { return x.contiguous(at::MemoryFormat::ChannelsLast); }


struct Prologue {
  bool affine, relu;
  Tensor scale, shift;
  Prologue(const MaybeTensor& scale_, const MaybeTensor& shift_, bool relu_) : affine(scale_.has_value()), relu(relu_) {
    if (affine) scale = floats(*scale_), shift = floats(*shift_);
  }
  template <typename T, typename Fn>
  void with(int64_t channels, Fn&& fn) const {
    std::vector<float> a, b;
    if (affine) {
      a = packed_rows<T>(scale.const_data_ptr<float>(), 1, 0, 1, channels);
      b = packed_rows<T>(shift.const_data_ptr<float>(), 1, 0, 1, channels);
    }
    by_act(affine, relu, a.data(), b.data(), fn);
  }
};

}  // namespace separable
