// The weight gradient of 3x3 and stride 1 in bf16, for wide maps, straight from memory: a window of three columns of x and all 9
// sums of a block of channels stay in registers, while two rows of x and the four rows of gradients that they meet go by.
#pragma once

#include "depthwise_dense.h"
#include "depthwise_units.h"

namespace separable {

#ifdef HAS_BF16_PAIRS

template <int Half>
INLINE __m512i weave(__m512i one, __m512i two) {
  return Half == 0 ? _mm512_unpacklo_epi16(one, two) : _mm512_unpackhi_epi16(one, two);
}

template <bool Full, typename T>
INLINE __m512i load_words(const T* p, int count) {
  return Full ? _mm512_loadu_si512(p) : _mm512_maskz_loadu_epi16((1u << count) - 1, p);
}

// Four rows of an image, from `first` on; `zeros` outside of it.
template <typename T>
INLINE void four_rows(const T* image, int64_t first, int64_t h, int64_t row_numbers, const Aligned& zeros, const T* (&rows)[4]) {
  rows_from<T, 4>(image, first, h, row_numbers, rows);
  for (const T*& row : rows)
    if (row == nullptr) row = reinterpret_cast<const T*>(zeros.data());
}

// Adds to sums [row][column of the kernel][kBlock] what `Columns` columns of g's view (two zeros before the first), from `first` on, add.
// x, g: their rows at the block's first channel; g none null. Edge: columns outside of the maps are zeros, and x's second row may be
// null.
template <int Columns, bool Edge, bool Full, typename T, typename ActT>
void window_tile(const T* const* x, const T* const* g, const Shape& s, int64_t first, int count, const typename ActT::At& act,
                 float* sums) {
  constexpr int kWords = 2;
  Vec sum[9][kWords];
  __m512i window[3][kWords];
  auto load_x = [&](int64_t column, __m512i(&to)[kWords]) INLINED {
    bool none = Edge && (column < 0 || column >= s.w);
    const T *one = none ? nullptr : x[0] + column * s.c, *two = none || x[1] == nullptr ? nullptr : x[1] + column * s.c;
    woven<T, Full, ActT::kAny>(one, two, count, act, to[0], to[1]);
  };
  unroll<0, 18>([&](auto i) INLINED { sum[i / 2][i % 2] = Vec::loadu(sums + i * kLanes); });
  load_x(first - 2, window[1]);
  load_x(first - 1, window[2]);
  for (int64_t t = first; t < first + Columns; t += 3)
    unroll<0, 3>([&](auto i) INLINED {
      int64_t of_g = t + i - 2 + s.left;
      load_x(t + i, window[i]);
      if (Edge && (of_g < 0 || of_g >= s.ow)) return;
      if constexpr (!Edge) {
        prefetch(x[0], (t + i + kAhead) * s.c);
        prefetch(x[1], (t + i + kAhead) * s.c);
        prefetch(g[2], (of_g + kAhead) * s.c);
        prefetch(g[3], (of_g + kAhead) * s.c);
      }
      __m512i row[4];
      unroll<0, 4>([&](auto r) INLINED { row[r] = load_words<Full>(g[r] + of_g * s.c, count); });
      unroll<0, 3>([&](auto r) INLINED {
        __m512i low = weave<0>(row[r], row[r + 1]), high = weave<1>(row[r], row[r + 1]);
        unroll<0, 3>([&](auto k) INLINED {  // the window's columns t, t - 1, t - 2
          constexpr int kPlace = (i + 3 - k) % 3;
          Pairs::add(sum[r * 3 + k][0], window[kPlace][0], low);
          Pairs::add(sum[r * 3 + k][1], window[kPlace][1], high);
        });
      });
    });
  unroll<0, 18>([&](auto i) INLINED { sum[i / 2][i % 2].store(sums + i * kLanes); });
}

// One thread's part: steps of two rows.
template <typename T, typename ActT>
struct WindowWeights {
  const Maps<T>& maps;
  const Shape& s;
  const ActT& act;
  const Aligned& zeros;
  Sums& sums;

  static int64_t steps(const Shape& s) { return (s.h + 1) / 2; }

  void run(int64_t begin, int64_t end) const {
    for (int64_t i = begin; i < end; i++) {
      int64_t n = i / steps(s), row = i % steps(s) * 2;
      const T *x[2], *g[4];
      rows_from(maps.x + n * s.h * s.w * s.c, row, s.h, s.w * s.c, x);
      four_rows(maps.g + n * s.oh * s.ow * s.c, row - 2 + s.top, s.oh, s.ow * s.c, zeros, g);
      weights(x, g);
    }
  }

 private:
  void weights(const T* const* x, const T* const* g) const {
    constexpr int kInner = 12, kEdge = 3;
    for (int64_t first = 0, step; first < s.w + 2; first += step) {
      bool inner = first >= 2 && first + kInner <= s.w && first - 2 + s.left >= 0 && first - 2 + s.left + kInner <= s.ow && x[1];
      step = inner ? kInner : kEdge;
      each_block(s.c, [&](int64_t block, int64_t c, int count, auto full) {
        constexpr bool kFull = decltype(full)::value;
        const T *of_x[2] = {x[0] + c, x[1] ? x[1] + c : nullptr}, *of_g[4] = {g[0] + c, g[1] + c, g[2] + c, g[3] + c};
        float* to = sums.weight.data() + block * 9 * kBlock;
        inner ? window_tile<kInner, false, kFull, T, ActT>(of_x, of_g, s, first, count, act.at(block), to)
              : window_tile<kEdge, true, kFull, T, ActT>(of_x, of_g, s, first, count, act.at(block), to);
      });
    }
  }
};

// The weight's gradient alone. Adds to `parts`, one for each thread; they are turned round.
template <typename T, typename ActT>
void backward_window(const Maps<T>& maps, const Shape& s, const ActT& act, std::vector<Sums>& parts) {
  Aligned zeros(s.ow * s.c);
  int64_t threads = int64_t(parts.size());
  at::parallel_for(0, threads, 1, [&](int64_t first, int64_t last) {
    for (int64_t t = first; t < last; t++) {
      using Part = WindowWeights<T, ActT>;
      auto [begin, end] = share(s.n * Part::steps(s), t, threads);
      Part{maps, s, act, zeros, parts[t]}.run(begin, end);
    }
  });
}
#endif

}  // namespace separable
