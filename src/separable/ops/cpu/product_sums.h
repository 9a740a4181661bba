// A product summed over pixels: both operands are packed a block of pixels at a time, which stays in the cache, while the
// next block's come from memory.
#pragma once

#include "product.h"

#ifdef HAS_PRODUCTS

namespace separable {

template <typename T>
constexpr int64_t kDeep = sizeof(T) == 2 ? 384 : 256;  // pixels of a block
constexpr int64_t kWide = 448;                         // left columns of a block

// Memory that is wanted next: fetched a tile's steps of lines at a time.
struct Wanted {
  struct Span {
    const void* from;
    int64_t bytes;
  };
  Span spans[3];
  const Word* at(int64_t number, int64_t bytes) const {
    for (const Span& span : spans) {
      int64_t pieces = (span.bytes + bytes - 1) / bytes;
      if (number < pieces) return reinterpret_cast<const Word*>(static_cast<const char*>(span.from) + number * bytes);
      number -= pieces;
    }
    return static_cast<const Word*>(spans[0].from);
  }
};

// One part of a weight gradient: left columns [begin, end) and all right ones, summed over some pixels.
template <typename T>
struct Gradient {
  int64_t lefts, rights, begin, end, deep;  // deep: the most pixels of a block
  float* sums;                              // (lefts, rights)
  bool fresh = true;
  // A line more than they need, so that they are not all in the same places of the cache.
  int64_t most_steps = (deep + kPerWord<T> - 1) / kPerWord<T>;
  int64_t tile_words = most_steps * kSlot + kSlot, panel_words = most_steps * kPanel + kSlot;
  Words packed_left{((std::min(kWide, end - begin) + kTile - 1) / kTile + 1) * tile_words};
  Words packed_right{(rights + kPanel - 1) / kPanel * panel_words};

  // Adds up a block of pixels, rows of (lefts) and of (rights).
  void add(const T* left, const T* right, int64_t pixels, const Wanted& wanted) {
    each_pair(right, rights, pixels, [&](const T* row, const T* next, int64_t k) {
      for (int64_t c = 0; c < rights; c += kPanel)
        for (int64_t half = 0; half < kPanel; half += kSlot)
          weave(row + c + half, next ? next + c + half : nullptr, rights - c - half,
                packed_right.data + c / kPanel * panel_words + k * kPanel + half);
    });
    int64_t number = 0;
    for (int64_t o = begin; o < end; o += kWide) add_columns(left, pixels, o, std::min(end, o + kWide), wanted, number);
    fresh = false;
  }

  // fn(row, the next or null, k word)
  template <typename Fn>
  static void each_pair(const T* row, int64_t step, int64_t rows, Fn&& fn) {
    for (int64_t k = 0; k < rows; k += kPerWord<T>, row += kPerWord<T> * step)
      fn(row, k + 1 < rows ? row + step : nullptr, k / kPerWord<T>);
  }

  void add_columns(const T* left, int64_t pixels, int64_t first, int64_t last, const Wanted& wanted, int64_t& number) {
    int64_t steps = (pixels + kPerWord<T> - 1) / kPerWord<T>, tiles = (last - first + kTile - 1) / kTile;
    int edge[kWide / kTile + 2];
    for (int64_t i = 0; i <= tiles; i++) edge[i] = int(first + (last - first) * i / tiles);
    each_pair(left, lefts, pixels, [&](const T* row, const T* next, int64_t k) {
      for (int64_t i = 0; i < tiles; i++)
        weave(row + edge[i], next ? next + edge[i] : nullptr, edge[i + 1] - edge[i],
              packed_left.data + i * tile_words + k * kSlot);
    });
    for (int64_t c = 0; c < rights; c += kPanel)
      for (int64_t i = 0; i < tiles; i++) {
        Left rows{packed_left.data + i * tile_words, 1, kSlot};
        by_rows(edge[i + 1] - edge[i], [&](auto r) {
          tile<decltype(r)::value>(rows, packed_right.data + c / kPanel * panel_words, steps, sums + edge[i] * rights + c,
                                   rights - c, wanted.at(number++, steps * 64));
        });
      }
  }

  template <int R>
  void tile(const Left& rows, const Word* panel, int64_t steps, float* to, int64_t columns, const Word* ahead) {
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
