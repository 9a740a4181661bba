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
    auto act_at = act.at(block);
    Pair scale_sum = zero(), shift_sum = zero();
    for (int t = 0; t < columns; t++, at += channels) {
      Pair gradient = packed(gradients + t * kBlock);
      if constexpr (ActT::kAny) {
        Pair x = Block<T>::template load<Full>(maps.x + at, count);
        gradient = act_at.masked(gradient, x);
        if constexpr (ActT::kAffine) {
          add_product(scale_sum, gradient, x);
          shift_sum = shift_sum + gradient;
          gradient = gradient * act_at.scale;
        }
      }
      if (maps.other != nullptr) gradient = gradient + Block<T>::template load<Full>(maps.other + at, count);
      Block<T>::template store<Full>(maps.dx + at, gradient, count, streamed);
    }
    if constexpr (ActT::kAffine) {
      pack_sum(sums.scale.data() + block * kBlock, scale_sum);
      pack_sum(sums.shift.data() + block * kBlock, shift_sum);
    }
  }
};

// The part of `total` that is `thread`'s of `threads`.
inline std::pair<int64_t, int64_t> share(int64_t total, int64_t thread, int64_t threads) {
  return {total * thread / threads, total * (thread + 1) / threads};
}

}  // namespace separable
