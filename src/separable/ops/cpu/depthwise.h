// The forward pass by rows: for the operator, and for whoever wants a few rows at a time in a buffer.
#pragma once

#include "depthwise_shape.h"
#include "depthwise_tiles.h"
#include "depthwise_units.h"

namespace separable {

constexpr int64_t kRing = int64_t{32} << 10;  // bytes of prepared rows that a thread keeps, in its first-level cache
constexpr int64_t kLeastBlocks = 4;            // of channels at a time: fewer are too small a piece of memory

// fn of the kernel's side.
template <typename Fn>
void by_side(const Shape& s, Fn&& fn) {
  if (s.kh == 3) return fn(std::integral_constant<int, 3>{});
  if (s.kh == 5) return fn(std::integral_constant<int, 5>{});
  fn(std::integral_constant<int, 7>{});
}

// Columns that a unit must have for `out` columns of output in whole tiles.
inline int64_t tiled_columns(int64_t out, int64_t kernel, int64_t stride) {
  return ((out + kTileColumns - 1) / kTileColumns * kTileColumns - 1) * stride + kernel;
}

// Blocks of channels whose `units` fit the ring.
inline int64_t ring_blocks(int64_t channels, int64_t units, int64_t columns) {
  int64_t fitting = std::max<int64_t>(kLeastBlocks, kRing / (units * columns * kBlock * int64_t(sizeof(float))));
  int64_t rounds = (blocks_of(channels) + fitting - 1) / fitting;
  return (blocks_of(channels) + rounds - 1) / rounds;
}

// All output columns of one step: finish(sums, row of the step, column, columns, block), sums [column][kBlock]; before each
// tile, ahead(column, columns, block) may fetch what the next step will read.
template <typename E, int K, int S, typename Finish, typename Ahead>
void run_step(const float* const* units, int64_t unit_columns, int64_t out_width, int64_t first, int64_t last, const float* taps,
              const float* bias, Finish&& finish, Ahead&& ahead) {
  constexpr int kUnits = E::units(K), kRows = E::rows_out(S), kHalf = kTileColumns / 2;
  alignas(64) float out[kRows * kTileColumns * kBlock];
  for (int64_t column = 0; column < out_width; column += kTileColumns)
    for (int64_t block = first; block < last; block++) {
      const float* of_block[kUnits];
      for (int u = 0; u < kUnits; u++) of_block[u] = units[u] ? units[u] + (block - first) * unit_columns * kBlock : nullptr;
      const float* block_taps = taps + block * kUnits * kRows * K * kBlock;
      const float* block_bias = bias ? bias + block * kBlock : nullptr;
      int columns = int(std::min<int64_t>(kTileColumns, out_width - column));
      bool half = columns <= kHalf;
      ahead(column, columns, block);
      half ? tile<E, K, S, kHalf>(of_block, column, block_taps, block_bias, out)
           : tile<E, K, S, kTileColumns>(of_block, column, block_taps, block_bias, out);
      for (int r = 0; r < kRows; r++) finish(out + r * (half ? kHalf : kTileColumns) * kBlock, r, column, columns, block);
    }
}

// What all threads share: the weights and the prologue, packed.
template <typename T>
struct DepthwiseForward {
  using E = typename EngineOf<T>::Type;

  // weight (C, 1, K, K) in fp32, contiguous; bias may be undefined. shape.tiled() must hold.
  DepthwiseForward(const Shape& shape, const Tensor& weight, const Tensor& bias, const Prologue& prologue)
      : s(shape),
        taps(packed_taps<T, E>(weight.const_data_ptr<float>(), s.c, int(s.kh), int(s.stride_h), false)),
        affine(prologue.affine),
        relu(prologue.relu) {
    if (bias.defined()) bias_values = packed_vector<T>(floats(bias));
    if (affine) scale = packed_vector<T>(prologue.scale), shift = packed_vector<T>(prologue.shift);
  }

  Shape s;
  Aligned taps;
  bool affine, relu;
  std::vector<float> bias_values, scale, shift;

  // One thread's: it keeps the input rows that the next call can use again.
  class Rows {
   public:
    explicit Rows(const DepthwiseForward& plan)
        : plan_(plan),
          units_(E::units(int(plan.s.kh))),
          columns_(tiled_columns(plan.s.ow, plan.s.kw, plan.s.stride_w)),
          most_(ring_blocks(plan.s.c, units_, columns_)),
          ring_({plan.s.h, plan.s.w, plan.s.c, plan.s.top, plan.s.left}, units_, columns_, most_) {}

    // Output rows [begin, end) of image n of x (N, H, W, C) to `out`, (end - begin, OW, C). Rows are made
    // `rows_at_a_time` at a time, beginning with a multiple of it; streamed: past the cache.
    void write(const T* x, int64_t n, int64_t begin, int64_t end, T* out, bool streamed = false) {
      by_side(plan_.s, [&](auto k) {
        constexpr int K = decltype(k)::value;
        for (int64_t first = 0; first < blocks_of(plan_.s.c); first += most_)
          plan_.s.stride_h == 1 ? run<K, 1>(x, n, begin, end, out, streamed, first)
                                : run<K, 2>(x, n, begin, end, out, streamed, first);
      });
    }

   private:
    template <int K, int S>
    void run(const T* x, int64_t n, int64_t begin, int64_t end, T* out, bool streamed, int64_t first) {
      constexpr int kRows = E::rows_out(S), kUnits = E::units(K);
      const Shape& s = plan_.s;
      int64_t last = std::min(first + most_, blocks_of(s.c));
      const T* image = x + n * s.h * s.w * s.c;
      AnyAct act{plan_.affine, plan_.relu, plan_.scale.data(), plan_.shift.data()};
      for (int64_t step = begin / kRows; step * kRows < end; step++) {
        const float* units[kUnits];
        for (int u = 0; u < kUnits; u++)
          units[u] = ring_.unit(image, n, step * E::units_per_step(S) + u, first, last, act);
        auto finish = [&](const float* sums, int r, int64_t column, int columns, int64_t block) {
          int64_t row = step * kRows + r - begin;
          if (row < 0 || row >= end - begin) return;
          T* place = out + (row * s.ow + column) * s.c + block * kBlock;
          int64_t count = std::min<int64_t>(kBlock, s.c - block * kBlock);
          for (int t = 0; t < columns; t++, place += s.c)
            count == kBlock ? Block<T>::template store<true>(place, packed(sums + t * kBlock), kBlock, streamed)
                            : Block<T>::template store<false>(place, packed(sums + t * kBlock), int(count), false);
        };
        auto ahead = [&](int64_t column, int columns, int64_t block) {
          for (int u = 0; u < E::units_per_step(S); u++)
            ring_.prefetch_ahead(image, step * E::units_per_step(S) + kUnits + u, block, column, columns, s.ow);
        };
        run_step<E, K, S>(units, ring_.columns(), s.ow, first, last, plan_.taps.data(),
                          plan_.bias_values.empty() ? nullptr : plan_.bias_values.data(), finish, ahead);
      }
    }

    const DepthwiseForward& plan_;
    int64_t units_, columns_, most_;
    Ring<T> ring_;
  };
};

}  // namespace separable
