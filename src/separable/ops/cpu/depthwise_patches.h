// Both gradients of 3x3 and stride 1 in bf16, for wide maps: a few columns of one block of channels are woven from the rows that
// two rows of gradients need, and all is computed from these patches while they lie in the first cache.
#pragma once

#include "depthwise_dense.h"
#include "depthwise_tiles.h"
#include "depthwise_units.h"

namespace separable {

#ifdef HAS_BF16_PAIRS

constexpr int kPatchColumns = kTileColumns + 2;

struct Patch {
  alignas(64) float words[kPatchColumns * kBlock];
};

// Rows `one` and `two` (null: zeros) of one block of channels, `columns` columns from `first` on, zeros outside of the map.
// Fetch: what a later patch reads is fetched.
template <typename T, bool Full, bool Fetch, typename ActT>
void weave_patch(const T* one, const T* two, const Shape& s, int64_t width, int64_t first, int columns, int count,
                 const typename ActT::At& act, Patch& out) {
  int begin = int(std::clamp<int64_t>(-first, 0, columns)), end = int(std::clamp<int64_t>(width - first, begin, columns));
  for (int t = 0; t < begin; t++) pack(out.words + t * kBlock, zero());
  for (int t = end; t < columns; t++) pack(out.words + t * kBlock, zero());
  for (int t = begin; t < end; t++) {
    int64_t at = (first + t) * s.c;
    if constexpr (Fetch) {
      prefetch(one, at + kAhead * s.c);
      prefetch(two, at + kAhead * s.c);
    }
    const T *x = one ? one + at : nullptr, *y = two ? two + at : nullptr;
    prepare_column<T, Pairs, Full, ActT::kAny>(x, y, count, act, out.words + t * kBlock);
  }
}

template <typename T, bool Fetch, typename ActT>
INLINE void weave_patch(const T* one, const T* two, const Shape& s, int64_t width, int64_t first, int columns, int64_t block,
                        const ActT& act, Patch& out) {
  int64_t count = std::min<int64_t>(kBlock, s.c - block * kBlock);
  if (one) one += block * kBlock;
  if (two) two += block * kBlock;
  auto channels = act.at(block);
  count == kBlock ? weave_patch<T, true, Fetch, ActT>(one, two, s, width, first, columns, kBlock, channels, out)
                  : weave_patch<T, false, Fetch, ActT>(one, two, s, width, first, columns, int(count), channels, out);
}

// The products of an x patch with three of g, one row of the kernel each, added to sums [row][column of the kernel][kBlock].
template <int Columns>
void patch_weights(const Patch (&g)[3], const Patch& x, float* sums) {
  for (int half = 0; half < kBlock; half += kLanes) {
    Vec sum[3][3];
    __m512i of_x[Columns];
    unroll<0, 9>([&](auto i) INLINED { sum[i / 3][i % 3] = Vec::loadu(sums + i * kBlock + half); });
    unroll<0, Columns>([&](auto t) INLINED { of_x[t] = Pairs::load(x.words + t * kBlock + half); });
    unroll<0, Columns + 2>([&](auto t) INLINED {
      unroll<0, 3>([&](auto r) INLINED {
        __m512i of_g = Pairs::load(g[r].words + t * kBlock + half);
        unroll<0, 3>([&](auto k) INLINED {
          if constexpr (t >= k && t - k < Columns) Pairs::add(sum[r][k], of_x[t - k], of_g);
        });
      });
    });
    unroll<0, 9>([&](auto i) INLINED { sum[i / 3][i % 3].store(sums + i * kBlock + half); });
  }
}

// fn(first column, number of them, that number rounded up to what a kernel takes) for tiles of columns.
template <typename Fn>
INLINE void each_tile(int64_t width, Fn&& fn) {
  for (int64_t column = 0; column < width;) {
    int64_t left = width - column;
    if (left > 6) fn(column, int(std::min<int64_t>(left, 8)), std::integral_constant<int, 8>{}), column += 8;
    else if (left > 4) fn(column, int(left), std::integral_constant<int, 6>{}), column += 6;
    else if (left > 2) fn(column, int(left), std::integral_constant<int, 4>{}), column += 4;
    else fn(column, int(left), std::integral_constant<int, 2>{}), column += 2;
  }
}

// One thread's part: steps of two rows.
template <typename T, typename ActT>
struct PatchBackward {
  const Maps<T>& maps;
  const Shape& s;
  const ActT& act;
  const Aligned& taps;
  Sums& sums;

  void run(int64_t begin, int64_t end) const {
    for (int64_t i = begin; i < end; i++) {
      int64_t n = i / steps(s), row = i % steps(s) * 2;
      const T *image = maps.g + n * s.oh * s.ow * s.c, *of_x[2], *of_g[4];
      rows_from(maps.x + n * s.h * s.w * s.c, row, s.h, s.w * s.c, of_x);
      rows_from(image, row - 2 + s.top, s.oh, s.ow * s.c, of_g);
      each_tile(s.w, [&](int64_t column, int columns, auto most) {
        for (int64_t block = 0; block < blocks_of(s.c); block++)
          tile_of<decltype(most)::value>(of_x, of_g, n, row, column, columns, block);
      });
    }
    drain(maps.streamed);
  }

  static int64_t steps(const Shape& s) { return (s.h + 1) / 2; }

 private:
  template <int Columns>
  void tile_of(const T* const* of_x, const T* const* of_g, int64_t n, int64_t row, int64_t column, int columns,
               int64_t block) const {
    Act<false, false> none{nullptr, nullptr};
    Patch g[3], x;
    int64_t first = column - 2 + s.left;
    weave_patch<T, false>(of_g[0], of_g[1], s, s.ow, first, Columns + 2, block, none, g[0]);
    weave_patch<T, false>(of_g[1], of_g[2], s, s.ow, first, Columns + 2, block, none, g[1]);
    weave_patch<T, true>(of_g[2], of_g[3], s, s.ow, first, Columns + 2, block, none, g[2]);
    weave_patch<T, true>(of_x[0], of_x[1], s, s.w, column, Columns, block, act, x);
    patch_weights<Columns>(g, x, sums.weight.data() + block * 9 * kBlock);
    if (maps.dx == nullptr) return;
    alignas(64) float out[2 * Columns * kBlock];
    const float* units[2] = {g[0].words, g[2].words};
    tile<Pairs, 3, 1, Columns>(units, 0, taps.data() + block * 12 * kBlock, nullptr, out);
    WriteGradient<T, ActT> write{maps, s.c, maps.streamed, act, sums};
    for (int64_t r = 0; r < std::min<int64_t>(2, s.h - row); r++)
      write(out + r * Columns * kBlock, (n * s.h + row + r) * s.w * s.c, column, columns, block);
  }
};

// Adds to `parts`, one for each thread; their weight gradients are turned round.
template <typename T, typename ActT>
void backward_patches(const Maps<T>& maps, const float* weight, const Shape& s, const ActT& act, std::vector<Sums>& parts) {
  Aligned taps = packed_taps<T, Pairs>(weight, s.c, 3, 1, true);
  int64_t threads = int64_t(parts.size());
  at::parallel_for(0, threads, 1, [&](int64_t first, int64_t last) {
    for (int64_t t = first; t < last; t++) {
      using Part = PatchBackward<T, ActT>;
      auto [begin, end] = share(s.n * Part::steps(s), t, threads);
      Part{maps, s, act, taps, parts[t]}.run(begin, end);
    }
  });
}
#endif

}  // namespace separable
