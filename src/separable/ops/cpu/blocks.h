// What all kernels share: blocks of channels in registers, and per-channel parameters packed into such blocks.
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

// The processor's instructions, and torch's vectors of the same width: it can be told to use narrower ones.
#if defined(CPU_CAPABILITY_AVX512) && defined(__AVX512BF16__) && defined(__AVX512BW__)
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
// For the lambdas of loops over registers: one that a compiler leaves a function of its own keeps the sums in memory, at half the
// speed.
#define INLINED __attribute__((always_inline))

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

// NaN stays NaN.
INLINE Vec relu(const Vec& x) {
#ifdef HAS_BF16_PAIRS
  return _mm512_max_ps(_mm512_setzero_ps(), x);  // the second where one is NaN, which takes at::vec::maximum four instructions
#else
  return at::vec::maximum(x, Vec(0.f));
#endif
}

// The gradient where ReLU's input y lets it through: also where that is NaN.
INLINE Vec through_relu(const Vec& gradient, const Vec& y) {
#ifdef HAS_BF16_PAIRS
  return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(y, _mm512_setzero_ps(), _CMP_NLE_UQ), gradient);
#else
  return Vec::blendv(gradient, Vec(0.f), y <= Vec(0.f));
#endif
}

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
#ifdef HAS_BF16_PAIRS
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
// 32 bf16 woven with zeros below them, which is fp32. The weave stays within lanes of 8 numbers: the first four of each lane
// are in one vector, the last four in the other.
template <>
struct Block<at::BFloat16> {
  static constexpr int channel(int place) { return place % kLanes / 4 * 8 + place % 4 + place / kLanes * 4; }
  template <bool Full>
  static INLINE Pair load(const at::BFloat16* p, int count) {
    __m512i v = Full ? _mm512_loadu_si512(p) : _mm512_maskz_loadu_epi16((1ULL << count) - 1, p);
    __m512i zeros = _mm512_setzero_si512();
    return {Vec(_mm512_castsi512_ps(_mm512_unpacklo_epi16(zeros, v))), Vec(_mm512_castsi512_ps(_mm512_unpackhi_epi16(zeros, v)))};
  }
  static INLINE __m512i unwoven(const Pair& v) {  // rounded to nearest, in the order of memory
    const __m512i order = _mm512_set_epi64(7, 3, 6, 2, 5, 1, 4, 0);
    return _mm512_permutexvar_epi64(order, (__m512i)_mm512_cvtne2ps_pbh(v.b, v.a));
  }
  template <bool Full>
  static INLINE void store(at::BFloat16* p, const Pair& v, int count, bool streamed) {
    __m512i r = unwoven(v);
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

// The address of number `ahead` of a map, as a number: a pointer past the map's end may not even be made.
template <typename T>
INLINE uintptr_t ahead_of(const T* p, int64_t ahead) {
  return reinterpret_cast<uintptr_t>(p) + uintptr_t(ahead) * sizeof(T);
}

template <typename T>
INLINE void prefetch(const T* p, int64_t ahead = 0) {
  uintptr_t place = ahead_of(p, ahead);
  __builtin_prefetch(reinterpret_cast<const void*>(place));
  if constexpr (sizeof(T) * kBlock > 64) __builtin_prefetch(reinterpret_cast<const void*>(place + 64));
}

inline int64_t blocks_of(int64_t channels) { return (channels + kBlock - 1) / kBlock; }

// Per-channel values (`rows` of them, row-major over C) as whole blocks: [block][row][kBlock], zeros behind the last channel.
template <typename T>
std::vector<float> packed_rows(const float* values, int64_t rows, int64_t row_stride, int64_t channel_stride, int64_t channels) {
  int64_t blocks = blocks_of(channels);
  std::vector<float> out(blocks * rows * kBlock, 0.f);
  for (int64_t b = 0; b < blocks; b++)
    for (int64_t r = 0; r < rows; r++)
      for (int j = 0; j < kBlock; j++) {
        int64_t c = b * kBlock + Block<T>::channel(j);
        if (c < channels) out[(b * rows + r) * kBlock + j] = values[r * row_stride + c * channel_stride];
      }
  return out;
}

// One value per channel.
template <typename T>
std::vector<float> packed_vector(const Tensor& values) {
  return packed_rows<T>(values.const_data_ptr<float>(), 1, 0, 1, values.numel());
}

template <typename T>
void unpack_rows(const float* packed_values, float* values, int64_t rows, int64_t row_stride, int64_t channel_stride,
                 int64_t channels) {
  int64_t blocks = blocks_of(channels);
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

// Whether a result of so many numbers is to be written past the cache.
template <typename T>
bool stream(const T* out, int64_t numbers, int64_t channels) {
  return numbers * int64_t(sizeof(T)) >= kStreamed && channels % kBlock == 0 && reinterpret_cast<uintptr_t>(out) % 64 == 0;
}

// At the end of a thread's work: what it wrote past the cache is there before others hear that it is done.
inline void drain(bool streamed) {
#ifdef HAS_BF16_PAIRS
  if (streamed) _mm_sfence();
#endif
}

// Calls fn(T{}) for the tensor's type.
template <typename Fn>
void by_type(const Tensor& x, Fn&& fn) {
  if (x.scalar_type() == at::kFloat) return fn(float{});
  if (x.scalar_type() == at::kBFloat16) return fn(at::BFloat16{});
  TORCH_CHECK(x.scalar_type() == at::kHalf, "fp32, bf16 or fp16 expected, got ", x.scalar_type());
  fn(at::Half{});
}

// Likewise, for kernels without fp16: whoever calls them converts it to fp32.
template <typename Fn>
void by_type_but_half(const Tensor& x, Fn&& fn) {
  if (x.scalar_type() == at::kFloat) return fn(float{});
  TORCH_CHECK(x.scalar_type() == at::kBFloat16, "fp32, bf16 or fp16 expected, got ", x.scalar_type());
  fn(at::BFloat16{});
}

inline Tensor floats(const Tensor& t) { return t.to(at::kFloat).contiguous(); }

inline Tensor nhwc(const Tensor& x) { return x.contiguous(at::MemoryFormat::ChannelsLast); }

// An fp32 vector of `numbers`, beside the maps of `like`.
inline Tensor vector_like(const Tensor& like, int64_t numbers) {
  return at::empty({numbers}, like.options().dtype(at::kFloat).memory_format(at::MemoryFormat::Contiguous));
}

}  // namespace separable
