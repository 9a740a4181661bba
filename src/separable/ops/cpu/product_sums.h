// A product summed over pixels: both operands are packed a block of pixels at a time, which stays in the cache, while the
// next block's come from memory.
#pragma once

#include "product.h"

#ifdef HAS_PRODUCTS

namespace separable {

template <typename T>
constexpr int64_t kDeep = sizeof(T) == 2 ? 384 : 256;  // pixels of a block
constexpr int64_t kWide = 448;                         // left columns of a block

// One part of a weight gradient: left columns [begin, end) and all right ones, summed over some pixels.
template <typename T>
struct Gradient {
  const T *left, *right;
  int64_t lefts, rights, begin, end;
  float* sums;  // (lefts, rights)
  static constexpr int64_t kSteps = kDeep<T> / kPerWord<T>;
  // A line more than they need, so that they are not all in the same places of the cache.
  static constexpr int64_t kTileWords = kSteps * kSlot + kSlot, kPanelWords = kSteps * kPanel + kSlot;
  Words packed_left{((std::min(kWide, end - begin) + kTile - 1) / kTile + 1) * kTileWords};
  Words packed_right{(rights + kPanel - 1) / kPanel * kPanelWords};

  // Adds up kDeep pixels at most, from `top` on.
  void add(int64_t top, int64_t pixels, bool fresh) {
    each_pair(right + top * rights, rights, pixels, [&](const T* row, const T* next, int64_t k) {
      for (int64_t c = 0; c < rights; c += kPanel)
        for (int64_t half = 0; half < kPanel; half += kSlot)
          weave(row + c + half, next ? next + c + half : nullptr, rights - c - half,
                packed_right.data + c / kPanel * kPanelWords + k * kPanel + half);
    });
    for (int64_t o = begin; o < end; o += kWide) add_columns(top, pixels, o, std::min(end, o + kWide), fresh);
  }

  // fn(row, the next or null, k word)
  template <typename Fn>
  static void each_pair(const T* row, int64_t step, int64_t rows, Fn&& fn) {
    for (int64_t k = 0; k < rows; k += kPerWord<T>, row += kPerWord<T> * step)
      fn(row, k + 1 < rows ? row + step : nullptr, k / kPerWord<T>);
  }

  void add_columns(int64_t top, int64_t pixels, int64_t first, int64_t last, bool fresh) {
    int64_t steps = (pixels + kPerWord<T> - 1) / kPerWord<T>, tiles = (last - first + kTile - 1) / kTile;
    int edge[kWide / kTile + 2];
    for (int64_t i = 0; i <= tiles; i++) edge[i] = int(first + (last - first) * i / tiles);
    each_pair(left + top * lefts, lefts, pixels, [&](const T* row, const T* next, int64_t k) {
      for (int64_t i = 0; i < tiles; i++)
        weave(row + edge[i], next ? next + edge[i] : nullptr, edge[i + 1] - edge[i],
              packed_left.data + i * kTileWords + k * kSlot);
    });
    // The next block's pixels, a tile's steps of lines at a time: first the right operand's, then the left one's.
    auto ahead = [&](int64_t number) {
      const char* next = reinterpret_cast<const char*>(right + (top + kDeep<T>) * rights);
      int64_t bytes = steps * 64, before = (kDeep<T> * rights * int64_t(sizeof(T)) + bytes - 1) / bytes;
      if (number >= before) next = reinterpret_cast<const char*>(left + (top + kDeep<T>) * lefts), number -= before;
      return reinterpret_cast<const Word*>(next + number * bytes);
    };
    for (int64_t c = 0; c < rights; c += kPanel)
      for (int64_t i = 0; i < tiles; i++) {
        Left rows{packed_left.data + i * kTileWords, 1, kSlot};
        by_rows(edge[i + 1] - edge[i], [&](auto r) {
          tile<decltype(r)::value>(rows, packed_right.data + c / kPanel * kPanelWords, steps, sums + edge[i] * rights + c,
                                   rights - c, fresh, ahead(c / kPanel * tiles + i));
        });
      }
  }

  template <int R>
  void tile(const Left& rows, const Word* panel, int64_t steps, float* to, int64_t columns, bool fresh, const Word* ahead) {
    uint16_t masks[2] = {low(columns), low(columns - kLanes)};
    __m512 sum[R][2];
#pragma GCC unroll 14
    for (int r = 0; r < R; r++)
      for (int i = 0; i < 2; i++) {
        sum[r][i] = _mm512_setzero_ps();
        if (!fresh) __builtin_prefetch(to + r * rights + i * kLanes, 1);
      }
    multiply<T, R, false>(rows, panel, steps, sum, ahead);
#pragma GCC unroll 14
    for (int r = 0; r < R; r++)
      for (int i = 0; i < 2; i++) {
        float* place = to + r * rights + i * kLanes;
        if (!fresh) sum[r][i] = _mm512_add_ps(sum[r][i], _mm512_maskz_loadu_ps(masks[i], place));
        _mm512_mask_storeu_ps(place, masks[i], sum[r][i]);
      }
  }
};

}  // namespace separable
#endif
