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

// Weights (C, K, K) as the kernels want them: [block][unit][row of output][column of the kernel][kBlock].
template <typename T, typename E>
Aligned packed_taps(const float* weight, int64_t channels, int kernel, int stride, bool flipped) {
  int units = E::units(kernel), rows = E::rows_out(stride), taps = kernel * kernel;
  Aligned out(blocks_of(channels) * units * rows * kernel * kBlock);
  auto tap = [&](int64_t c, int kh, int kw) {
    return kh < 0 || kh >= kernel ? 0.f : weight[c * taps + (flipped ? taps - 1 - kh * kernel - kw : kh * kernel + kw)];
  };
  float* place = out.data();
  for (int64_t b = 0; b < blocks_of(channels); b++)
    for (int u = 0; u < units; u++)
      for (int r = 0; r < rows; r++)
        for (int kw = 0; kw < kernel; kw++)
          for (int j = 0; j < kBlock; j++, place++) {
            int64_t c = b * kBlock + Block<T>::channel(j);
            if (c >= channels) continue;
            if constexpr (E::kRows == 1) {
              *place = tap(c, u, kw);
            } else {
              at::BFloat16 pair[2] = {tap(c, 2 * u - r, kw), tap(c, 2 * u + 1 - r, kw)};
              std::memcpy(place, pair, sizeof pair);
            }
          }
  return out;
}

}  // namespace separable
