// 3x3 and stride 1 straight from memory: each row of output reads its three rows of input, by tiles of columns, next columns
// fetched ahead. Faster than preparing rows (depthwise_units.h) where a row is used by one pass only.
#pragma once

#include "depthwise_gradient.h"
#include "depthwise_shape.h"

namespace separable {

// What one input row, from its column `first` on, adds to TW outputs.
template <typename T, int K, int TW, bool Edge, bool Full, bool Fetch, typename ActAt>
INLINE void dense_taps(const T* row, const float* weight, int64_t channels, int64_t width, int64_t first, int count,
                       const ActAt& act, Pair (&sum)[TW]) {
  row += first * channels;
  Pair taps[K];  // in registers
  unroll<0, K>([&](auto k) INLINED { taps[k] = packed(weight + k * kBlock); });
  unroll<0, TW + K - 1>([&](auto t) INLINED {
    if (Edge && (first + t < 0 || first + t >= width)) return;
    if constexpr (Fetch) prefetch(row, (t + kAhead) * channels);
    Pair x = act(Block<T>::template load<Full>(row + t * channels, count));
    unroll<0, K>([&](auto k) INLINED {
      if constexpr (t - k >= 0 && t - k < TW) add_product(sum[t - k], x, taps[k]);
    });
  });
}

// Outputs [ow, ow + TW) of one row and one block of channels, stride 1: `rows` are the K input rows; unless `Whole`, null
// outside.
template <typename T, int K, int TW, bool Edge, bool Whole, bool Full, typename ActAt>
INLINE void dense_tile(const T* const* rows, const float* weight, int64_t channels, int64_t width, int64_t first, int64_t c,
                       int count, const ActAt& act, Pair (&sum)[TW]) {
  unroll<0, K>([&](auto kh) INLINED {
    if (!Whole && rows[kh] == nullptr) return;
    dense_taps<T, K, TW, Edge, Full, !Edge && kh == K - 1>(rows[kh] + c, weight + kh * K * kBlock, channels, width, first, count,
                                                           act, sum);
  });
}

// One row of a stride-1 correlation; finish.tile(sums, column, block, c, count) takes each tile of results.
template <typename T, int K, typename ActT, typename Finish>
void dense_row(const T* const* rows, const float* weight, const float* bias, int64_t channels, int64_t width, int64_t out_width,
               int64_t left, const ActT& act, const Finish& finish) {
  constexpr int TW = 6;
  auto run = [&](int64_t ow, auto columns, auto edge, auto whole) {
    each_block(channels, [&](int64_t block, int64_t c, int count, auto full) {
      constexpr int kColumns = decltype(columns)::value;
      constexpr bool kFull = decltype(full)::value;
      Pair sum[kColumns];
      Pair start = bias ? packed(bias + block * kBlock) : zero();
      unroll<0, kColumns>([&](auto t) INLINED { sum[t] = start; });
      dense_tile<T, K, kColumns, decltype(edge)::value, decltype(whole)::value, kFull>(
          rows, weight + block * K * K * kBlock, channels, width, ow - left, c, count, act.at(block), sum);
      finish.template tile<kColumns, kFull>(sum, ow, block, c, count);
    });
  };
  std::integral_constant<int, 1> one;
  std::integral_constant<int, 2> two;
  std::true_type yes;
  std::false_type no;
  bool whole = std::all_of(rows, rows + K, [](const T* row) { return row != nullptr; });
  int64_t ow = 0, inner_end = std::min(out_width, width - K + 1 + left);  // columns whose taps all lie inside
  for (; ow < std::min(left, out_width); ow++) run(ow, one, yes, no);
  for (; whole && ow + TW <= inner_end; ow += TW) run(ow, std::integral_constant<int, TW>{}, no, yes);
  for (; ow + 2 <= inner_end; ow += 2) run(ow, two, no, no);
  for (; ow < out_width; ow++) run(ow, one, yes, no);
}

template <typename T>
struct Write {
  T* row;
  int64_t channels;
  bool streamed;
  template <int TW, bool Full>
  INLINE void tile(Pair (&sum)[TW], int64_t column, int64_t, int64_t c, int count) const {
    unroll<0, TW>([&](auto t) INLINED {
      Block<T>::template store<Full>(row + (column + t) * channels + c, sum[t], count, streamed);
    });
  }
};

template <typename T, typename ActT>
struct WriteDense {
  const WriteGradient<T, ActT>& write;
  int64_t row;
  template <int TW, bool Full>
  INLINE void tile(Pair (&sum)[TW], int64_t column, int64_t block, int64_t, int count) const {
    typename WriteGradient<T, ActT>::Summing summing{write.act.at(block)};
    int64_t at = row + column * write.channels + block * kBlock;
    unroll<0, TW>([&](auto t) INLINED {
      int64_t soon = at + (t + kAhead) * write.channels;
      if constexpr (ActT::kAny) prefetch(write.maps.x, soon);
      if (write.maps.other != nullptr) prefetch(write.maps.other, soon);
      write.template pixel<Full>(sum[t], at + t * write.channels, count, summing);
    });
    write.add(summing, block);
  }
};

// The K rows of an image of `h` rows from `first` on, null outside.
template <typename T, int K>
INLINE void rows_from(const T* image, int64_t first, int64_t h, int64_t row_numbers, const T* (&rows)[K]) {
  for (int k = 0; k < K; k++) rows[k] = first + k < 0 || first + k >= h ? nullptr : image + (first + k) * row_numbers;
}

template <typename T, int K, typename ActT>
void forward_dense(const T* x, const float* weight, const float* bias, T* y, const Shape& s, const ActT& act) {
  bool streamed = stream(y, s.n * s.oh * s.ow * s.c, s.c);
  at::parallel_for(0, s.n * s.oh, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++) {
      const T* rows[K];
      rows_from<T, K>(x + i / s.oh * s.h * s.w * s.c, i % s.oh - s.top, s.h, s.w * s.c, rows);
      dense_row<T, K>(rows, weight, bias, s.c, s.w, s.ow, s.left, act, Write<T>{y + i * s.ow * s.c, s.c, streamed});
    }
    drain(streamed);
  });
}

// The gradient of the input; `flipped`: the kernel turned round. Adds the sums for scale and shift to `parts`.
template <typename T, int K, typename ActT>
void backward_dense(const Maps<T>& maps, const float* flipped, const Shape& s, const ActT& act, std::vector<Sums>& parts) {
  int64_t threads = int64_t(parts.size());
  at::parallel_for(0, threads, 1, [&](int64_t first, int64_t last) {
    for (int64_t t = first; t < last; t++) {
      WriteGradient<T, ActT> write{maps, s.c, maps.streamed, act, parts[t]};
      auto [begin, end] = share(s.n * s.h, t, threads);
      for (int64_t i = begin; i < end; i++) {
        const T* rows[K];
        rows_from<T, K>(maps.g + i / s.h * s.oh * s.ow * s.c, i % s.h + s.top - (K - 1), s.oh, s.ow * s.c, rows);
        dense_row<T, K>(rows, flipped, nullptr, s.c, s.ow, s.w, K - 1 - s.left, Act<false, false>{nullptr, nullptr},
                        WriteDense<T, ActT>{write, i * s.w * s.c});
      }
    }
    drain(maps.streamed);
  });
}

}  // namespace separable
