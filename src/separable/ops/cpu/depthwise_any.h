// Any stride, dilation and kernel, plainly: what the kernels of depthwise_tiles.h do not take.
#pragma once

#include "depthwise.h"
#include "depthwise_gradient.h"

namespace separable {

template <typename T, typename ActT>
void forward_any(const T* x, const float* weight, const float* bias, T* y, const Shape& s, const ActT& act) {
  constexpr int TW = 4;
  at::parallel_for(0, s.n * s.oh, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++) {
      int64_t n = i / s.oh, oh = i % s.oh;
      for (int64_t ow = 0; ow < s.ow; ow += TW) {
        int64_t columns = std::min<int64_t>(TW, s.ow - ow);
        each_block(s.c, [&](int64_t block, int64_t c, int count, auto full) {
          constexpr bool kFull = decltype(full)::value;
          auto act_at = act.at(block);
          Pair sum[TW];
          for (auto& one : sum) one = bias ? packed(bias + block * kBlock) : zero();
          for (int64_t kh = 0; kh < s.kh; kh++) {
            int64_t ih = oh * s.stride_h + kh * s.dilation_h - s.top;
            if (ih < 0 || ih >= s.h) continue;
            const T* row = x + (n * s.h + ih) * s.w * s.c + c;
            for (int64_t kw = 0; kw < s.kw; kw++) {
              Pair tap = packed(weight + ((block * s.kh + kh) * s.kw + kw) * kBlock);
              unroll<0, TW>([&](auto t) INLINED {
                int64_t iw = (ow + t) * s.stride_w + kw * s.dilation_w - s.left;
                if (t < columns && iw >= 0 && iw < s.w)
                  add_product(sum[t], act_at(Block<T>::template load<kFull>(row + iw * s.c, count)), tap);
              });
            }
          }
          unroll<0, TW>([&](auto t) INLINED {
            if (t < columns) Block<T>::template store<kFull>(y + (i * s.ow + ow + t) * s.c + c, sum[t], count, false);
          });
        });
      }
    }
  });
}

// Adds to `parts`, one for each thread.
template <typename T, typename ActT>
void backward_any(const Maps<T>& maps, const float* weight, const Shape& s, const ActT& act, bool need_weight,
                  std::vector<Sums>& parts) {
  auto row_of = [&](int64_t n, int64_t ih, Sums& sums, int64_t block, int64_t c, int count, auto full) {
    constexpr bool kFull = decltype(full)::value;
    auto act_at = act.at(block);
    const float* taps = weight + block * s.kh * s.kw * kBlock;
    int64_t row = (n * s.h + ih) * s.w * s.c;
    WriteGradient<T, ActT> write{maps, s.c, false, act, sums};
    for (int64_t iw = 0; iw < s.w; iw++) {
      Pair sum = zero(), activated = act_at(Block<T>::template load<kFull>(maps.x + row + iw * s.c + c, count));
      for (int64_t kh = 0; kh < s.kh; kh++) {  // the outputs that read pixel (ih, iw)
        int64_t oh = ih + s.top - kh * s.dilation_h;
        if (oh < 0 || oh % s.stride_h != 0 || oh / s.stride_h >= s.oh) continue;
        for (int64_t kw = 0; kw < s.kw; kw++) {
          int64_t ow = iw + s.left - kw * s.dilation_w, tap = kh * s.kw + kw;
          if (ow < 0 || ow % s.stride_w != 0 || ow / s.stride_w >= s.ow) continue;
          const T* place = maps.g + ((n * s.oh + oh / s.stride_h) * s.ow + ow / s.stride_w) * s.c + c;
          Pair gradient = Block<T>::template load<kFull>(place, count);
          add_product(sum, gradient, packed(taps + tap * kBlock));
          if (need_weight) pack_sum(sums.weight.data() + (block * s.kh * s.kw + tap) * kBlock, gradient * activated);
        }
      }
      float packed_sum[kBlock];
      pack(packed_sum, sum);
      if (maps.dx != nullptr) write(packed_sum, row, iw, 1, block);
    }
  };
  int64_t threads = int64_t(parts.size());
  at::parallel_for(0, threads, 1, [&](int64_t first, int64_t last) {
    for (int64_t t = first; t < last; t++) {
      auto [begin, end] = share(s.n * s.h, t, threads);
      for (int64_t i = begin; i < end; i++)
        each_block(s.c, [&](int64_t block, int64_t c, int count, auto full) { row_of(i / s.h, i % s.h, parts[t], block, c, count, full); });
    }
  });
}

}  // namespace separable
