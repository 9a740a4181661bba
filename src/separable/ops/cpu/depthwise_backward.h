// The backward pass: the gradient of the input is a correlation of the output's gradient with the kernel turned round, and of the
// same prepared rows, against those of the input, comes the weight gradient.
#pragma once

#include "depthwise.h"
#include "depthwise_gradient.h"

namespace separable {

// One thread's part: blocks of channels as many as the ring holds, steps [begin, end) of all images' rows.
template <typename T, int K, typename ActT>
class BackwardWorker {
 public:
  using E = typename EngineOf<T>::Type;
  static constexpr int kUnits = E::units(K), kRows = E::rows_out(1);

  BackwardWorker(const Maps<T>& maps, const Shape& s, const ActT& act, const Aligned& taps, bool need_weight, Sums& sums)
      : maps_(maps),
        s_(s),
        act_(act),
        taps_(taps),
        need_weight_(need_weight),
        sums_(sums),
        most_(ring_blocks(s.c, kUnits + need_weight, tiled_columns(s.w, K, 1))),
        g_ring_({s.oh, s.ow, s.c, K - 1 - s.top, K - 1 - s.left, s.stride_h, s.stride_w}, kUnits, tiled_columns(s.w, K, 1), most_),
        x_ring_({s.h, s.w, s.c, 0, K - 1}, 1, need_weight ? s.w + 2 * (K - 1) : 0, most_),
        zeros_((s.w + K - 1) * kBlock) {}

  static int64_t steps(const Shape& s) { return (s.h + kRows - 1) / kRows; }

  void run(int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end;) {
      int64_t n = i / steps(s_), next = std::min(end, (n + 1) * steps(s_));
      for (int64_t first = 0; first < blocks_of(s_.c); first += most_)
        for (int64_t k = i; k < next; k++) step(n, k - n * steps(s_), first, std::min(first + most_, blocks_of(s_.c)));
      i = next;
    }
    drain(maps_.streamed);
  }

 private:
  void step(int64_t n, int64_t number, int64_t first, int64_t last) {
    const float* units[kUnits];
    const T *image = maps_.g + n * s_.oh * s_.ow * s_.c, *x_image = maps_.x + n * s_.h * s_.w * s_.c;
    for (int u = 0; u < kUnits; u++)
      units[u] = g_ring_.unit(image, n, number + u, first, last, AnyAct{});
    if (maps_.dx != nullptr) {
      WriteGradient<T, ActT> write{maps_, s_.c, maps_.streamed, act_, sums_};
      run_step<E, K, 1>(units, g_ring_.columns(), s_.w, first, last, taps_.data(), nullptr,
                        [&](const float* gradients, int r, int64_t column, int columns, int64_t block) {
                          int64_t row = number * kRows + r;
                          if (row < s_.h) write(gradients, (n * s_.h + row) * s_.w * s_.c, column, columns, block);
                        },
                        [&](int64_t column, int columns, int64_t block) {
                          g_ring_.prefetch_ahead(image, number + kUnits, block, column, columns, s_.w);
                          if (need_weight_ || ActT::kAny) x_ring_.prefetch_ahead(x_image, number + 1, block, column, columns, s_.w);
                        });
    }
    if (!need_weight_) return;
    const float* x = x_ring_.unit(x_image, n, number, first, last, {ActT::kAffine, ActT::kRelu, act_.scale, act_.shift});
    for (int64_t block = first; block < last; block++) {
      const float* of_block[kUnits];
      for (int u = 0; u < kUnits; u++)
        of_block[u] = units[u] ? units[u] + (block - first) * g_ring_.columns() * kBlock : zeros_.data();
      weight_step<E, K>(of_block, x + (block - first) * x_ring_.columns() * kBlock, s_.w + K - 1,
                        sums_.weight.data() + block * K * K * kBlock, soon(image, x_image, number, block));
    }
  }

  Soon soon(const T* g_image, const T* x_image, int64_t number, int64_t block) const {
    auto place = [&](int which) {
      bool of_g = E::kRows == 2 ? which < 2 : which % 2 == 0;
      int row = E::kRows == 2 ? which % 2 : 0, line = sizeof(T) * kBlock > 64 ? which / 2 * 64 : 0;
      const T* p = of_g ? g_ring_.source(g_image, number + kUnits, row, block, x_image)
                        : x_ring_.source(x_image, number + 1, row, block, x_image);
      return reinterpret_cast<const char*>(p) + line;
    };
    return {{place(0), place(1), place(2), place(3)}, s_.c * int64_t(sizeof(T))};
  }

  const Maps<T>& maps_;
  const Shape& s_;
  const ActT& act_;
  const Aligned& taps_;
  bool need_weight_;
  Sums& sums_;
  int64_t most_;
  Ring<T> g_ring_, x_ring_;
  Aligned zeros_;
};

// Adds to `parts`, one for each thread; their weight gradients are turned round.
template <typename T, typename ActT>
void backward_tiled(const Maps<T>& maps, const float* weight, const Shape& s, const ActT& act, bool need_weight,
                    std::vector<Sums>& parts) {
  Aligned taps = packed_taps<T, typename EngineOf<T>::Type>(weight, s.c, int(s.kh), 1, true);
  int64_t threads = int64_t(parts.size());
  by_side(s, [&](auto k) {
    using Worker = BackwardWorker<T, decltype(k)::value, ActT>;
    at::parallel_for(0, threads, 1, [&](int64_t first, int64_t last) {
      for (int64_t t = first; t < last; t++) {
        auto [begin, end] = share(s.n * Worker::steps(s), t, threads);
        Worker(maps, s, act, taps, need_weight, parts[t]).run(begin, end);
      }
    });
  });
}

}  // namespace separable
