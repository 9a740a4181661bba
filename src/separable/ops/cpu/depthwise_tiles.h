// The inner loops: a tile of output columns from the units under it, and the weight gradient of one step.
#pragma once

#include "depthwise_engines.h"

namespace separable {

constexpr int kTileColumns = 8;  // columns of output whose sums stay in registers

// `Columns` columns of output from `first` on, one block of channels: out [row][column][kBlock]. units: where the block's columns
// begin, null for zeros. taps: the block's, see packed_taps. bias: the block's, or null.
template <typename E, int K, int S, int Columns>
void tile(const float* const* units, int64_t first, const float* taps, const float* bias, float* out) {
  constexpr int kUnits = E::units(K), kRows = E::rows_out(S);
  for (int half = 0; half < kBlock; half += kLanes) {
    Vec sum[kRows][Columns], start = bias ? Vec::loadu(bias + half) : Vec(0.f);
    unroll<0, kRows>([&](auto r) INLINED { unroll<0, Columns>([&](auto t) INLINED { sum[r][t] = start; }); });
    for (int u = 0; u < kUnits; u++) {
      if (units[u] == nullptr) continue;
      const float *row = units[u] + first * S * kBlock + half, *tap_row = taps + u * kRows * K * kBlock + half;
      typename E::Reg tap[kRows][K];
      unroll<0, kRows>([&](auto r) INLINED {
        unroll<0, K>([&](auto k) INLINED { tap[r][k] = E::load(tap_row + (r * K + k) * kBlock); });
      });
      unroll<0, (Columns - 1) * S + K>([&](auto t) INLINED {
        auto x = E::load(row + t * kBlock);
        unroll<0, K>([&](auto k) INLINED {
          if constexpr (t >= k && (t - k) % S == 0 && (t - k) / S < Columns)
            unroll<0, kRows>([&](auto r) INLINED { E::add(sum[r][(t - k) / S], x, tap[r][k]); });
        });
      });
    }
    unroll<0, kRows>([&](auto r) INLINED {
      unroll<0, Columns>([&](auto t) INLINED { sum[r][t].store(out + (r * Columns + t) * kBlock + half); });
    });
  }
}

// Four places, and the bytes between their columns, that the next step will read.
struct Soon {
  const char* places[4];
  int64_t stride;
};

// The products of x's rows of a step, windows of K columns, with rows [First, First + Count) of g's units, added to sums
// [row][column of the kernel][kBlock], one block. x has K - 1 zeros on either side; `columns` of g meet it.
template <typename E, int K, int First, int Count>
void weight_rows(const float* const* units, const float* x, int64_t columns, float* sums, const Soon& soon) {
  for (int half = 0; half < kBlock; half += kLanes) {
    Vec sum[Count][K];
    typename E::Reg window[K];
    unroll<0, Count>([&](auto r) INLINED { unroll<0, K>([&](auto k) INLINED { sum[r][k] = Vec(0.f); }); });
    unroll<0, K - 1>([&](auto k) INLINED { window[k] = E::load(x + (K - 2 - k) * kBlock + half); });
    for (int64_t c = 0; c < columns; c++) {
      unroll<0, K - 1>([&](auto k) INLINED { window[K - 1 - k] = window[K - 2 - k]; });
      window[0] = E::load(x + (c + K - 1) * kBlock + half);
      if constexpr (First == 0) {
        __builtin_prefetch(soon.places[half ? 2 : 0] + c * soon.stride);
        __builtin_prefetch(soon.places[half ? 3 : 1] + c * soon.stride);
      }
      unroll<0, Count>([&](auto r) INLINED {
        auto g = E::template row<First + r>(units, c * kBlock + half);
        unroll<0, K>([&](auto k) INLINED { E::add(sum[r][k], window[k], g); });
      });
    }
    unroll<0, Count>([&](auto r) INLINED {
      unroll<0, K>([&](auto k) INLINED {
        float* place = sums + ((First + r) * K + k) * kBlock + half;
        (Vec::loadu(place) + sum[r][k]).store(place);
      });
    });
  }
}

// All K rows, as many at a time as registers hold.
template <typename E, int K, int First = 0>
void weight_step(const float* const* units, const float* x, int64_t columns, float* sums, const Soon& soon) {
  constexpr int kCount = std::min(K - First, K == 3 ? 3 : 2);
  weight_rows<E, K, First, kCount>(units, x, columns, sums, soon);
  if constexpr (First + kCount < K) weight_step<E, K, First + kCount>(units, x, columns, sums, soon);
}

}  // namespace separable
