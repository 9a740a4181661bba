// The two ways to multiply and add: fp32 vectors, one row of the map at a time; and pairs of bf16 from two rows, which one
// instruction multiplies and adds in fp32.
//
// Rows of input are prepared once into units: one row or a pair of rows, converted, through batch normalisation and ReLU,
// [block][column][kBlock] with zeros where the padding is. A block's columns then lie together, whatever the number of
// channels, and the kernels know no edges.
#pragma once

#include <cstring>

#include "blocks.h"

namespace separable {

struct Plain {
  using Reg = Vec;
  static constexpr int kRows = 1;                                              // rows of input in a unit
  static constexpr int units(int kernel) { return kernel; }                    // under one kernel
  static constexpr int rows_out(int) { return 1; }                             // rows of output in a step, by stride
  static constexpr int units_per_step(int stride) { return stride; }           // new in each step
  static INLINE Reg load(const float* p) { return Vec::loadu(p); }
  static INLINE void add(Vec& sum, const Reg& x, const Reg& y) { sum = at::vec::fmadd(x, y, sum); }
  // Row k of the rows that the units hold; with Pairs, the pair of rows k and k + 1.
  template <int k>
  static INLINE Reg row(const float* const* units, int64_t at) { return load(units[k] + at); }
};

#ifdef HAS_BF16_PAIRS
struct Pairs {
  using Reg = __m512i;
  static constexpr int kRows = 2;
  static constexpr int units(int kernel) { return (kernel + 1) / 2; }
  static constexpr int rows_out(int stride) { return stride == 1 ? 2 : 1; }
  static constexpr int units_per_step(int) { return 1; }
  static INLINE Reg load(const float* p) { return _mm512_load_si512(p); }
  static INLINE void add(Vec& sum, const Reg& x, const Reg& y) { sum = _mm512_dpbf16_ps(sum, (__m512bh)x, (__m512bh)y); }
  template <int k>
  static INLINE Reg row(const float* const* units, int64_t at) {
    if constexpr (k % 2 == 0) return load(units[k / 2] + at);
    Reg above = _mm512_srli_epi32(load(units[k / 2] + at), 16), below = _mm512_slli_epi32(load(units[k / 2 + 1] + at), 16);
    return _mm512_or_si512(above, below);
  }
};
#endif

template <typename T>
struct EngineOf {
  using Type = Plain;
};
#ifdef HAS_BF16_PAIRS
template <>
struct EngineOf<at::BFloat16> {
  using Type = Pairs;
};
#endif

// Floats on a cache line's border.
class Aligned {
 public:
  explicit Aligned(int64_t numbers) : lines_((numbers + 15) / 16) {}
  float* data() { return lines_.data()->numbers; }
  const float* data() const { return lines_.data()->numbers; }

 private:
  struct alignas(64) Line {
    float numbers[16] = {};
  };
  std::vector<Line> lines_;
};

// A word of the weights: one number, or the upper halves of two, which are bf16 already.
template <typename E>
INLINE float tap_word(float one, float two) {
  if constexpr (E::kRows == 1) return one;
  uint32_t words[2];
  std::memcpy(words, &one, sizeof one);
  std::memcpy(words + 1, &two, sizeof two);
  uint32_t pair = words[0] >> 16 | (words[1] & 0xffff0000u);
  float out;
  std::memcpy(&out, &pair, sizeof out);
  return out;
}

// Weights (C, K, K), rounded to the maps' type, as the kernels want them: [block][unit][row of output][column of the
// kernel][kBlock].
template <typename T, typename E>
Aligned packed_taps(const float* weight, int64_t channels, int kernel, int stride, bool flipped) {
  int units = E::units(kernel), rows = E::rows_out(stride), taps = kernel * kernel, place[kBlock];
  for (int j = 0; j < kBlock; j++) place[Block<T>::channel(j)] = j;
  Aligned out(blocks_of(channels) * units * rows * kernel * kBlock);
  std::vector<float> turned((taps + 1) * kBlock, 0.f);  // [tap][kBlock] of one block, zeros behind the last
  auto tap = [&](int kh, int kw) {
    bool none = kh < 0 || kh >= kernel;
    return turned.data() + (none ? taps : flipped ? taps - 1 - kh * kernel - kw : kh * kernel + kw) * kBlock;
  };
  float* to = out.data();
  for (int64_t b = 0; b < blocks_of(channels); b++) {
    int64_t count = std::min<int64_t>(kBlock, channels - b * kBlock);
    if (count < kBlock) std::fill(turned.begin(), turned.end(), 0.f);
    for (int64_t c = 0; c < count; c++)
      for (int t = 0; t < taps; t++) turned[t * kBlock + place[c]] = weight[(b * kBlock + c) * taps + t];
    for (int u = 0; u < units; u++)
      for (int r = 0; r < rows; r++)
        for (int kw = 0; kw < kernel; kw++, to += kBlock) {
          const float *one = tap(E::kRows * u - r, kw), *two = tap(E::kRows * u + 1 - r, kw);
          for (int j = 0; j < kBlock; j++) to[j] = tap_word<E>(one[j], two[j]);
        }
  }
  return out;
}

}  // namespace separable
