// What a backward pass adds up, and what it does to each gradient of the convolution's input on the way out.
#pragma once

#include "prologue.h"

namespace separable {

// What a thread adds up during a backward pass, packed: weight gradient, and the sums for scale and shift.
struct Sums {
  std::vector<float> weight, scale, shift;
  Sums(int64_t taps, int64_t channels)
      : weight(taps * blocks_of(channels) * kBlock), scale(blocks_of(channels) * kBlock), shift(scale.size()) {}
  void operator+=(const Sums& other) {
    for (size_t j = 0; j < weight.size(); j++) weight[j] += other.weight[j];
    for (size_t j = 0; j < scale.size(); j++) scale[j] += other.scale[j], shift[j] += other.shift[j];
  }
};

// The maps of a backward pass, N, H, W, C; dx null where it is not wanted, other (a further gradient of x) where there is none.
template <typename T>
struct Maps {
  const T *g, *x, *other;
  T* dx;
  bool streamed;  // dx is written past the cache
};

// Turns the gradient of the convolution's input into that of x, through ReLU and scale, adds up scale's and shift's, and writes
// it: `columns` columns of a row that begins at the number `row` of the maps, sums [column][kBlock].
template <typename T, typename ActT>
struct WriteGradient {
  const Maps<T>& maps;
  int64_t channels;
  bool streamed;
  const ActT& act;
  Sums& sums;

  INLINE void operator()(const float* gradients, int64_t row, int64_t column, int columns, int64_t block) const {
    int64_t at = row + column * channels + block * kBlock, count = std::min<int64_t>(kBlock, channels - block * kBlock);
    count == kBlock ? write<true>(gradients, at, columns, block, kBlock) : write<false>(gradients, at, columns, block, int(count));
  }

  template <bool Full>
  INLINE void write(const float* gradients, int64_t at, int columns, int64_t block, int count) const {
    Summing summing{act.at(block)};
    for (int t = 0; t < columns; t++, at += channels) pixel<Full>(packed(gradients + t * kBlock), at, count, summing);
    add(summing, block);
  }

  // The block's scale and shift, and what a few pixels add to their gradients.
  struct Summing {
    typename ActT::At act;
    Pair scale = zero(), shift = zero();
  };

  template <bool Full>
  INLINE void pixel(Pair gradient, int64_t at, int count, Summing& summing) const {
    if constexpr (ActT::kAny) {
      Pair x = Block<T>::template load<Full>(maps.x + at, count);
      gradient = summing.act.masked(gradient, x);
      if constexpr (ActT::kAffine) {
        add_product(summing.scale, gradient, x);
        summing.shift = summing.shift + gradient;
        gradient = gradient * summing.act.scale;
      }
    }
    if (maps.other != nullptr) gradient = gradient + Block<T>::template load<Full>(maps.other + at, count);
    Block<T>::template store<Full>(maps.dx + at, gradient, count, streamed);
  }

  INLINE void add(const Summing& summing, int64_t block) const {
    if constexpr (ActT::kAffine) {
      pack_sum(sums.scale.data() + block * kBlock, summing.scale);
      pack_sum(sums.shift.data() + block * kBlock, summing.shift);
    }
  }
};

// The part of `total` that is `thread`'s of `threads`.
inline std::pair<int64_t, int64_t> share(int64_t total, int64_t thread, int64_t threads) {
  return {total * thread / threads, total * (thread + 1) / threads};
}

}  // namespace separable
