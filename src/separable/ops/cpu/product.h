// The dense product's innermost part: a tile of R rows by two vectors of columns kept in registers.
//
// fp32 goes through fused multiply-adds, bf16 through vdpbf16ps, which multiplies pairs along the summed axis and adds in
// fp32 (denormal numbers count as zero there). Both read 32-bit words: one fp32, or two bf16 that are neighbours along
// the summed axis. The left operand's words are broadcast from where they lie, the right one's come from packed panels.
#pragma once

#include "checks.h"

namespace separable {

// Whether `left` can be multiplied by the kernels here; `whole_words`: along its rows, not along its columns.
bool fits(const Tensor& left, bool whole_words);
using WithMoments = std::tuple<Tensor, Tensor, Tensor>;
WithMoments product(const Tensor& left, const Tensor& right, bool moments);
Tensor product_over_rows(const Tensor& left, const Tensor& right);

}  // namespace separable

#if defined(CPU_CAPABILITY_AVX512) && defined(HAS_BF16_PAIRS)
#define HAS_PRODUCTS 1

namespace separable {

using Word = uint32_t;
using Anywhere = float __attribute__((may_alias, aligned(2)));  // a word where bf16 lie, at any of them
constexpr int kTile = 14;         // rows: 28 sums, two vectors of the right operand and a broadcast word fill 32 registers
constexpr int kPanel = 32;        // columns
constexpr int64_t kSlot = 16;     // words of a line

template <typename T>
constexpr int kPerWord = sizeof(Word) / sizeof(T);

struct Left {  // word (row, k) at row * row_step + k * step
  const Word* first;
  int64_t row_step, step;
};


template <typename T>
INLINE __m512 times_added(__m512 a, __m512 b, __m512 sum) {
  if constexpr (std::is_same_v<T, float>) return _mm512_fmadd_ps(a, b, sum);
  return _mm512_dpbf16_ps(sum, (__m512bh)a, (__m512bh)b);
}

// sum[r] += left row r times the panel, over `steps` words; Along: the left operand's words follow each other along k,
// otherwise along the rows. Meanwhile the lines from `ahead` on come from memory, one each step: for rows read where they
// lie that is one tile's worth.
template <typename T, int R, bool Along>
INLINE void multiply(const Left& left, const Word* panel, int64_t steps, __m512 (&sum)[R][2], const Word* ahead) {
  const int64_t row = Along ? left.row_step : 1, next = Along ? 1 : left.step;
  const Word* a[(R + 2) / 3];  // three rows share a pointer: so few stay in registers
#pragma GCC unroll 14
  for (int i = 0; i < (R + 2) / 3; i++) a[i] = left.first + 3 * i * row;
  for (int64_t k = 0; k < steps; k++) {
    __m512 b0 = _mm512_loadu_ps(panel), b1 = _mm512_loadu_ps(panel + kLanes);
    panel += kPanel;
    __builtin_prefetch(ahead + k * kSlot, 0, 2);
#pragma GCC unroll 14
    for (int r = 0; r < R; r++) {
      __m512 word = _mm512_set1_ps(*reinterpret_cast<const Anywhere*>(a[r / 3] + r % 3 * row));
      sum[r][0] = times_added<T>(word, b0, sum[r][0]);
      sum[r][1] = times_added<T>(word, b1, sum[r][1]);
    }
#pragma GCC unroll 14
    for (int i = 0; i < (R + 2) / 3; i++) a[i] += next;
  }
}

// Words at a multiple of 64 bytes, so that no vector of them lies in two lines.
struct Words {
  Tensor kept;
  Word* data = nullptr;
  explicit Words(int64_t count) : kept(at::empty({count}, at::kInt)) {
    data = reinterpret_cast<Word*>(kept.mutable_data_ptr<int>());
  }
};

INLINE uint16_t low(int64_t count) { return count >= 16 ? 0xffff : count <= 0 ? 0 : uint16_t((1u << count) - 1); }

// A word for each of `count` columns (16 at most, zeros behind them): fp32 as it is; bf16 with that of the next row, zeros
// where there is none.
template <typename T>
INLINE void weave(const T* row, const T* next, int64_t count, Word* to) {
  const uint16_t mask = low(count);
  if constexpr (std::is_same_v<T, float>) {
    _mm512_storeu_ps(to, _mm512_maskz_loadu_ps(mask, row));
  } else {
    __m512i even = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, row));
    __m512i odd = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(next ? mask : 0, next));
    _mm512_storeu_si512(to, _mm512_or_si512(even, _mm512_slli_epi32(odd, 16)));
  }
}

// fn(R) for a constant R of 1 to kTile.
template <int R = kTile, typename Fn>
INLINE void by_rows(int64_t rows, Fn&& fn) {
  if constexpr (R == 1) return fn(std::integral_constant<int, 1>{});
  else return rows == R ? fn(std::integral_constant<int, R>{}) : by_rows<R - 1>(rows, fn);
}

// 16 lines of 16 words, transposed.
INLINE void transpose(__m512i (&r)[16]) {
  __m512i t[16];
#pragma GCC unroll 8
  for (int i = 0; i < 16; i += 2) {
    t[i] = _mm512_unpacklo_epi32(r[i], r[i + 1]);
    t[i + 1] = _mm512_unpackhi_epi32(r[i], r[i + 1]);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 16; i += 4) {
    r[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
    r[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
    r[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
    r[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
  }
#pragma GCC unroll 4
  for (int j = 0; j < 4; j++) {  // r[4 i + j] holds columns j, 4 + j, 8 + j and 12 + j of lines 4 i to 4 i + 3
    __m512i even_low = _mm512_shuffle_i32x4(r[j], r[4 + j], 0x88), even_high = _mm512_shuffle_i32x4(r[8 + j], r[12 + j], 0x88);
    __m512i odd_low = _mm512_shuffle_i32x4(r[j], r[4 + j], 0xdd), odd_high = _mm512_shuffle_i32x4(r[8 + j], r[12 + j], 0xdd);
    t[j] = _mm512_shuffle_i32x4(even_low, even_high, 0x88);
    t[8 + j] = _mm512_shuffle_i32x4(even_low, even_high, 0xdd);
    t[4 + j] = _mm512_shuffle_i32x4(odd_low, odd_high, 0x88);
    t[12 + j] = _mm512_shuffle_i32x4(odd_low, odd_high, 0xdd);
  }
#pragma GCC unroll 16
  for (int i = 0; i < 16; i++) r[i] = t[i];
}

// The right operand (columns n, summed axis k), packed: [panel][k word][32 columns], zeros behind the last column.
template <typename T>
struct PackedRight {
  int64_t steps, columns;
  Words words;
  const Word* panel(int64_t first) const { return words.data + first * steps; }

  // One of the steps is 1.
  PackedRight(const T* values, int64_t depth, int64_t columns, int64_t k_step, int64_t n_step)
      : steps(depth / kPerWord<T>), columns(columns), words((columns + kPanel - 1) / kPanel * steps * kPanel) {
    int64_t halves = (columns + kPanel - 1) / kPanel * 2;
    at::parallel_for(0, halves, std::max<int64_t>(1, 32768 / (steps * kSlot)), [&](int64_t begin, int64_t end) {
      for (int64_t half = begin; half < end; half++) {
        int64_t first = half * kSlot, count = columns - first;
        Word* to = words.data + half / 2 * kPanel * steps + half % 2 * kSlot;
        if (n_step == 1) {
          for (int64_t k = 0; k < steps; k++) {
            const T* row = values + first + k * kPerWord<T> * k_step;
            weave(row, row + k_step, count, to + k * kPanel);
          }
        } else {
          for (int64_t k = 0; k < steps; k += kSlot)
            turn(values + first * n_step + k * kPerWord<T>, n_step, steps - k, count, to + k * kPanel);
        }
      }
    });
  }

  // 16 words of each of 16 columns, `k` and `n` of them at most, from where columns are rows.
  static INLINE void turn(const T* from, int64_t n_step, int64_t k, int64_t n, Word* to) {
    __m512i lines[16];
#pragma GCC unroll 16
    for (int i = 0; i < 16; i++) lines[i] = _mm512_maskz_loadu_epi32(i < n ? low(k) : 0, from + (i < n ? i * n_step : 0));
    transpose(lines);
#pragma GCC unroll 16
    for (int i = 0; i < 16; i++)
      if (i < k) _mm512_storeu_si512(to + i * kPanel, lines[i]);
  }
};

}  // namespace separable
#endif
