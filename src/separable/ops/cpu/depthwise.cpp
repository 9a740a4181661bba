// Depthwise convolution and the passes around it, on a CPU, channels_last.
//
// A depthwise convolution does 9 multiply-adds for each number it reads, so its limit is the memory. What these kernels do
// about it: every number is loaded once per row of output and used for all its taps from registers; the next columns are
// prefetched (a processor's own prefetchers give up on the stride between pixels); results too large for the cache are
// written around it; and batch normalisation with ReLU before the convolution, the two sums of its backward pass, and the
// weight gradient happen while the numbers are there.
#include <torch/library.h>

#include "prologue.h"

namespace separable {
namespace {

struct Shape {
  int64_t n, h, w, c, oh, ow, kh, kw, stride_h, stride_w, top, left, dilation_h, dilation_w;
  bool dense() const { return stride_h == 1 && stride_w == 1 && dilation_h == 1 && dilation_w == 1; }
};

// Outputs [ow, ow + TW) of one row and one block of channels, stride 1: `rows` are the K input rows, null outside.
template <typename T, int K, int TW, bool Edge, bool Full, typename ActAt>
INLINE void dense_tile(const T* const* rows, const float* weight, int64_t channels, int64_t width, int64_t first, int64_t c,
                       int count, const ActAt& act, Pair (&sum)[TW]) {
  for (int kh = 0; kh < K; kh++) {
    const T* row = rows[kh];
    if (row == nullptr) continue;
    row += first * channels + c;
    Pair taps[K];  // in registers
    unroll<0, K>([&](auto k) { taps[k] = packed(weight + (kh * K + k) * kBlock); });
    unroll<0, TW + K - 1>([&](auto t) {
      if (Edge && (first + t < 0 || first + t >= width)) return;
      if (!Edge && kh == K - 1) prefetch(row + (t + kAhead) * channels);
      Pair x = act(Block<T>::template load<Full>(row + t * channels, count));
      unroll<0, K>([&](auto k) {
        if constexpr (t - k >= 0 && t - k < TW) add_product(sum[t - k], x, taps[k]);
      });
    });
  }
}

// One row of a stride-1 correlation; finish(pair, column, block, c, count, Full) takes each result.
template <typename T, int K, typename ActT, typename Finish>
void dense_row(const T* const* rows, const float* weight, const float* bias, int64_t channels, int64_t width, int64_t out_width,
               int64_t left, const ActT& act, Finish&& finish) {
  constexpr int TW = K == 3 ? 6 : 4;
  auto run = [&](int64_t ow, auto columns, auto edge) {
    each_block(channels, [&](int64_t block, int64_t c, int count, auto full) {
      constexpr int kColumns = decltype(columns)::value;
      constexpr bool kFull = decltype(full)::value;
      Pair sum[kColumns];
      Pair start = bias ? packed(bias + block * kBlock) : zero();
      unroll<0, kColumns>([&](auto t) { sum[t] = start; });
      dense_tile<T, K, kColumns, decltype(edge)::value, kFull>(rows, weight + block * K * K * kBlock, channels, width, ow - left,
                                                               c, count, act.at(block), sum);
      finish.template tile<kColumns, kFull>(sum, ow, block, c, count);
    });
  };
  int64_t ow = 0, inner_end = std::min(out_width, width - K + 1 + left);  // columns whose taps all lie inside
  for (; ow < std::min(left, out_width); ow++) run(ow, std::integral_constant<int, 1>{}, std::true_type{});
  for (; ow + TW <= inner_end; ow += TW) run(ow, std::integral_constant<int, TW>{}, std::false_type{});
  for (; ow + 2 <= inner_end; ow += 2) run(ow, std::integral_constant<int, 2>{}, std::false_type{});
  for (; ow < out_width; ow++) run(ow, std::integral_constant<int, 1>{}, std::true_type{});
}

template <typename T>
struct Write {
  T* row;
  int64_t channels;
  bool streamed;
  template <int TW, bool Full>
  INLINE void tile(Pair (&sum)[TW], int64_t column, int64_t, int64_t c, int count) const {
    unroll<0, TW>([&](auto t) { Block<T>::template store<Full>(row + (column + t) * channels + c, sum[t], count, streamed); });
  }
};

template <typename T, int K, typename ActT>
void forward_dense(const T* x, const float* weight, const float* bias, T* y, const Shape& s, const ActT& act) {
  bool streamed = stream(y, s.n * s.oh * s.ow * s.c, s.c);
  at::parallel_for(0, s.n * s.oh, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++) {
      int64_t n = i / s.oh, oh = i % s.oh;
      const T* rows[K];
      for (int k = 0; k < K; k++) {
        int64_t ih = oh + k - s.top;
        rows[k] = ih < 0 || ih >= s.h ? nullptr : x + (n * s.h + ih) * s.w * s.c;
      }
      Write<T> write{y + i * s.ow * s.c, s.c, streamed};
      dense_row<T, K>(rows, weight, bias, s.c, s.w, s.ow, s.left, act, write);
    }
  });
}

// Any stride, dilation and kernel.
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
              unroll<0, TW>([&](auto t) {
                int64_t iw = (ow + t) * s.stride_w + kw * s.dilation_w - s.left;
                if (t < columns && iw >= 0 && iw < s.w)
                  add_product(sum[t], act_at(Block<T>::template load<kFull>(row + iw * s.c, count)), tap);
              });
            }
          }
          unroll<0, TW>([&](auto t) {
            if (t < columns) Block<T>::template store<kFull>(y + (i * s.ow + ow + t) * s.c + c, sum[t], count, false);
          });
        });
      }
    }
  });
}

// What a thread adds up during a backward pass, packed: weight gradient, and the sums for scale and shift.
struct Sums {
  std::vector<float> weight, scale, shift;
};

// Turns the gradient of the convolution's input into that of x: through ReLU and scale, adding up scale's and shift's.
template <typename T, typename ActT, bool Affine>
struct WriteGradient {
  T* row;
  const T* x_row;  // null where nothing stands in front of the convolution
  const T* other_row;  // a further gradient of x, or null
  int64_t channels;
  bool streamed;
  const ActT& act;
  Sums& sums;
  template <int TW, bool Full>
  INLINE void tile(Pair (&sum)[TW], int64_t column, int64_t block, int64_t c, int count) const {
    auto act_at = act.at(block);
    Pair scale_sum = zero(), shift_sum = zero();
    unroll<0, TW>([&](auto t) {
      int64_t at = (column + t) * channels + c;
      Pair gradient = sum[t];
      if (x_row != nullptr) {
        Pair x = Block<T>::template load<Full>(x_row + at, count);
        gradient = act_at.masked(gradient, x);
        if constexpr (Affine) {
          add_product(scale_sum, gradient, x);
          shift_sum = shift_sum + gradient;
          gradient = gradient * act_at.scale;
        }
      }
      if (other_row != nullptr) gradient = gradient + Block<T>::template load<Full>(other_row + at, count);
      Block<T>::template store<Full>(row + at, gradient, count, streamed);
    });
    if constexpr (Affine) {
      pack_sum(sums.scale.data() + block * kBlock, scale_sum);
      pack_sum(sums.shift.data() + block * kBlock, shift_sum);
    }
  }
};

// Weight gradient of one row of x, stride 1: a window of K columns of x slides along the K rows of g below it.
template <typename T, int K, int Rows, bool Full, typename ActAt>
INLINE void weight_row(const T* x_row, const T* const* g_rows, float* sums, const Shape& s, int64_t c, int count,
                       const ActAt& act) {
  Pair sum[Rows][K], window[K];
  unroll<0, Rows>([&](auto r) { unroll<0, K>([&](auto k) { sum[r][k] = zero(); }); });
  auto column = [&](int64_t w) {
    return w < 0 || w >= s.w ? zero() : act(Block<T>::template load<Full>(x_row + w * s.c + c, count));
  };
  unroll<0, K - 1>([&](auto k) { window[k + 1] = column(k - s.left); });
  for (int64_t j = 0; j < s.ow; j++) {
    unroll<0, K - 1>([&](auto k) { window[k] = window[k + 1]; });
    window[K - 1] = column(j + K - 1 - s.left);
    unroll<0, Rows>([&](auto r) {
      if (g_rows[r] == nullptr) return;
      Pair g = Block<T>::template load<Full>(g_rows[r] + j * s.c + c, count);
      unroll<0, K>([&](auto k) { add_product(sum[r][k], window[k], g); });
    });
  }
  unroll<0, Rows>([&](auto r) { unroll<0, K>([&](auto k) { pack_sum(sums + (r * K + k) * kBlock, sum[r][k]); }); });
}

template <typename T, int K, bool Affine, typename ActT>
void backward_dense(const T* g, const T* x, const T* other, const float* flipped, T* dx, const Shape& s, const ActT& act, bool masks,
                    bool need_weight, std::vector<Sums>& parts) {
  bool streamed = dx != nullptr && stream(dx, s.n * s.h * s.w * s.c, s.c);
  Act<false, false> plain{nullptr, nullptr};
  int64_t threads = int64_t(parts.size()), rows_in_all = s.n * s.h;
  at::parallel_for(0, threads, 1, [&](int64_t first, int64_t last) {
    for (int64_t t = first; t < last; t++)
      for (int64_t i = rows_in_all * t / threads; i < rows_in_all * (t + 1) / threads; i++) {
        int64_t n = i / s.h, ih = i % s.h;
        const T* rows[K];  // rows[k] meets the weights' row K - 1 - k
        for (int k = 0; k < K; k++) {
          int64_t oh = ih + s.top - (K - 1 - k);
          rows[k] = oh < 0 || oh >= s.oh ? nullptr : g + (n * s.oh + oh) * s.ow * s.c;
        }
        const T* x_row = x + i * s.w * s.c;
        if (dx != nullptr) {
          WriteGradient<T, ActT, Affine> write{dx + i * s.w * s.c, masks ? x_row : nullptr,
                                               other ? other + i * s.w * s.c : nullptr, s.c, streamed, act, parts[t]};
          dense_row<T, K>(rows, flipped, nullptr, s.c, s.ow, s.w, K - 1 - s.left, plain, write);
        }
        if (!need_weight) continue;
        const T* below[K];
        for (int k = 0; k < K; k++) below[k] = rows[K - 1 - k];
        each_block(s.c, [&](int64_t block, int64_t c, int count, auto full) {
          constexpr bool kFull = decltype(full)::value;
          float* sums = parts[t].weight.data() + block * K * K * kBlock;
          if constexpr (K == 3) {
            weight_row<T, K, K, kFull>(x_row, below, sums, s, c, count, act.at(block));
          } else {
            for (int k = 0; k < K; k++)
              if (below[k]) weight_row<T, K, 1, kFull>(x_row, below + k, sums + k * K * kBlock, s, c, count, act.at(block));
          }
        });
      }
  });
}

template <typename T, bool Affine, typename ActT>
void backward_any(const T* g, const T* x, const T* other, const float* weight, T* dx, const Shape& s, const ActT& act, bool masks,
                  bool need_weight, std::vector<Sums>& parts) {
  int64_t threads = int64_t(parts.size()), rows_in_all = s.n * s.h;
  at::parallel_for(0, threads, 1, [&](int64_t first, int64_t last) {
    for (int64_t t = first; t < last; t++)
      for (int64_t i = rows_in_all * t / threads; i < rows_in_all * (t + 1) / threads; i++) {
        int64_t n = i / s.h, ih = i % s.h;
        const T* x_row = x + i * s.w * s.c;
        each_block(s.c, [&](int64_t block, int64_t c, int count, auto full) {
          constexpr bool kFull = decltype(full)::value;
          auto act_at = act.at(block);
          float* sums = parts[t].weight.data() + block * s.kh * s.kw * kBlock;
          auto each_tap = [&](int64_t iw, auto&& fn) {  // the outputs that read pixel (ih, iw)
            for (int64_t kh = 0; kh < s.kh; kh++) {
              int64_t oh = ih + s.top - kh * s.dilation_h;
              if (oh < 0 || oh % s.stride_h != 0 || oh / s.stride_h >= s.oh) continue;
              const T* row = g + (n * s.oh + oh / s.stride_h) * s.ow * s.c + c;
              for (int64_t kw = 0; kw < s.kw; kw++) {
                int64_t ow = iw + s.left - kw * s.dilation_w;
                if (ow < 0 || ow % s.stride_w != 0 || ow / s.stride_w >= s.ow) continue;
                fn(kh * s.kw + kw, Block<T>::template load<kFull>(row + ow / s.stride_w * s.c, count));
              }
            }
          };
          const float* taps = weight + block * s.kh * s.kw * kBlock;
          WriteGradient<T, ActT, Affine> write{dx ? dx + i * s.w * s.c : nullptr, masks ? x_row : nullptr,
                                               other ? other + i * s.w * s.c : nullptr, s.c, false, act, parts[t]};
          for (int64_t iw = 0; iw < s.w; iw++) {
            Pair sum[1] = {zero()};
            Pair activated = act_at(Block<T>::template load<kFull>(x_row + iw * s.c + c, count));
            each_tap(iw, [&](int64_t tap, const Pair& gradient) {
              add_product(sum[0], gradient, packed(taps + tap * kBlock));
              if (need_weight) pack_sum(sums + tap * kBlock, gradient * activated);
            });
            if (dx != nullptr) write.template tile<1, kFull>(sum, iw, block, c, count);
          }
        });
      }
  });
}

template <typename Fn>
void by_kernel(const Shape& s, Fn&& fn) {
  bool square = s.kh == s.kw && s.dense();
  if (square && s.kh == 3) return fn(std::integral_constant<int, 3>{});
  if (square && s.kh == 5) return fn(std::integral_constant<int, 5>{});
  if (square && s.kh == 7) return fn(std::integral_constant<int, 7>{});
  fn(std::integral_constant<int, 0>{});
}

Shape shape_of(const Tensor& x, const Tensor& weight, at::IntArrayRef stride, at::IntArrayRef border, at::IntArrayRef dilation) {
  Shape s{x.size(0), x.size(2), x.size(3), x.size(1), 0, 0, weight.size(2), weight.size(3), stride[0], stride[1], border[0],
          border[2], dilation[0], dilation[1]};
  s.oh = (s.h + border[0] + border[1] - s.dilation_h * (s.kh - 1) - 1) / s.stride_h + 1;
  s.ow = (s.w + border[2] + border[3] - s.dilation_w * (s.kw - 1) - 1) / s.stride_w + 1;
  return s;
}

// x (N, C, H, W), weight (C, 1, KH, KW), border (top, bottom, left, right) -> (N, C, OH, OW), channels_last.
Tensor depthwise_forward(const Tensor& x_, const Tensor& weight_, const MaybeTensor& bias_, const MaybeTensor& scale,
                         const MaybeTensor& shift, bool relu, at::IntArrayRef stride, at::IntArrayRef border,
                         at::IntArrayRef dilation) {
  Tensor x = nhwc(x_), weight = floats(weight_);
  Shape s = shape_of(x, weight, stride, border, dilation);
  Tensor y = at::empty({s.n, s.c, s.oh, s.ow}, x.options().memory_format(at::MemoryFormat::ChannelsLast));
  Prologue prologue(scale, shift, relu);
  by_type(x, [&](auto type) {
    using T = decltype(type);
    int64_t taps = s.kh * s.kw;
    auto w = packed_rows<T>(weight.const_data_ptr<float>(), taps, 1, taps, s.c);
    std::vector<float> bias;
    if (bias_) bias = packed_vector<T>(floats(*bias_));
    const float* b = bias_ ? bias.data() : nullptr;
    prologue.with<T>([&](auto act) {
      by_kernel(s, [&](auto k) {
        constexpr int K = decltype(k)::value;
        if constexpr (K > 0) {
          forward_dense<T, K>(x.const_data_ptr<T>(), w.data(), b, y.mutable_data_ptr<T>(), s, act);
        } else {
          forward_any<T>(x.const_data_ptr<T>(), w.data(), b, y.mutable_data_ptr<T>(), s, act);
        }
      });
    });
  });
  return y;
}

// -> gradients of x (plus `other`), weight (fp32), scale and shift (fp32); those not asked for, or without meaning, are
// empty.
std::tuple<Tensor, Tensor, Tensor, Tensor> depthwise_backward(const Tensor& g_, const Tensor& x_, const Tensor& weight_,
                                                              const MaybeTensor& scale_, const MaybeTensor& shift_, bool relu,
                                                              at::IntArrayRef stride, at::IntArrayRef border,
                                                              at::IntArrayRef dilation, const MaybeTensor& other_,
                                                              bool need_input, bool need_weight) {
  Tensor x = nhwc(x_), g = nhwc(g_), weight = floats(weight_), other = other_ ? nhwc(*other_) : Tensor();
  Shape s = shape_of(x, weight, stride, border, dilation);
  auto fp32 = x.options().dtype(at::kFloat).memory_format(at::MemoryFormat::Contiguous);
  Prologue prologue(scale_, shift_, relu);
  Tensor dx = need_input ? at::empty_like(x) : at::empty({0}, x.options());
  Tensor dw = at::empty(need_weight ? weight.sizes() : at::IntArrayRef{0}, fp32);
  bool sums_wanted = prologue.affine && need_input;
  Tensor dscale = at::empty({sums_wanted ? s.c : 0}, fp32), dshift = at::empty_like(dscale);
  int64_t taps = s.kh * s.kw, padded = (s.c + kBlock - 1) / kBlock * kBlock;
  std::vector<Sums> parts(std::max(1, at::get_num_threads()));
  for (auto& part : parts) {
    part.weight.assign(need_weight ? taps * padded : 0, 0.f);
    part.scale.assign(padded, 0.f);
    part.shift.assign(padded, 0.f);
  }
  by_type(x, [&](auto type) {
    using T = decltype(type);
    auto w = packed_rows<T>(weight.const_data_ptr<float>(), taps, 1, taps, s.c);
    T* out = need_input ? dx.mutable_data_ptr<T>() : nullptr;
    bool masks = prologue.affine || relu;
    prologue.with<T>([&](auto act) {
      using ActT = decltype(act);
      constexpr bool kAffine = std::is_same_v<ActT, Act<true, true>> || std::is_same_v<ActT, Act<true, false>>;
      by_kernel(s, [&](auto k) {
        constexpr int K = decltype(k)::value;
        const T *gp = g.const_data_ptr<T>(), *xp = x.const_data_ptr<T>();
        const T* op = other_ ? other.const_data_ptr<T>() : nullptr;
        if constexpr (K > 0) {
          std::vector<float> flipped(w.size());
          for (int64_t b = 0; b < padded / kBlock; b++)
            for (int64_t t = 0; t < taps; t++)
              std::copy_n(&w[(b * taps + t) * kBlock], kBlock, &flipped[(b * taps + taps - 1 - t) * kBlock]);
          backward_dense<T, K, kAffine>(gp, xp, op, flipped.data(), out, s, act, masks, need_weight, parts);
        } else {
          backward_any<T, kAffine>(gp, xp, op, w.data(), out, s, act, masks, need_weight, parts);
        }
      });
    });
    for (size_t p = 1; p < parts.size(); p++) {
      for (size_t j = 0; j < parts[0].weight.size(); j++) parts[0].weight[j] += parts[p].weight[j];
      for (int64_t j = 0; j < padded; j++) {
        parts[0].scale[j] += parts[p].scale[j];
        parts[0].shift[j] += parts[p].shift[j];
      }
    }
    if (need_weight) unpack_rows<T>(parts[0].weight.data(), dw.mutable_data_ptr<float>(), taps, 1, taps, s.c);
    if (sums_wanted) {
      unpack_rows<T>(parts[0].scale.data(), dscale.mutable_data_ptr<float>(), 1, 0, 1, s.c);
      unpack_rows<T>(parts[0].shift.data(), dshift.mutable_data_ptr<float>(), 1, 0, 1, s.c);
    }
  });
  return {dx, dw, dscale, dshift};
}

}  // namespace
}  // namespace separable

TORCH_LIBRARY(separable_cpu, m) {
  m.def(
      "depthwise_forward(Tensor x, Tensor weight, Tensor? bias, Tensor? scale, Tensor? shift, bool relu, int[2] stride, "
      "int[4] border, int[2] dilation) -> Tensor");
  m.def(
      "depthwise_backward(Tensor g, Tensor x, Tensor weight, Tensor? scale, Tensor? shift, bool relu, int[2] stride, "
      "int[4] border, int[2] dilation, Tensor? other, bool need_input, bool need_weight) -> (Tensor, Tensor, Tensor, Tensor)");
}

TORCH_LIBRARY_IMPL(separable_cpu, CPU, m) {
  m.impl("depthwise_forward", separable::depthwise_forward);
  m.impl("depthwise_backward", separable::depthwise_backward);
}
