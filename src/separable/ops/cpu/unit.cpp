// Both gradients of a pointwise product behind batch normalisation, a block of pixels at a time: the product's own gradient
// (what arrives, and what comes back through the moments) is made in the cache, packed for the weight's gradient and
// multiplied for the input's, and never goes to memory.
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/ops/zeros_like.h>
#include <torch/library.h>

#include "product_rows.h"
#include "product_sums.h"

namespace separable {
namespace {

// Larger gradients, of which each thread keeps one, pass through the cache once a block: then separate passes are faster.
constexpr int64_t kMostWeights = int64_t{1} << 20;
constexpr int64_t kLeastPixels = 512;  // a thread

#ifdef HAS_PRODUCTS

constexpr int64_t kBlockBytes = int64_t{768} << 10;  // of what a block of pixels keeps in L2
// dz + slope z + offset, for some pixels.
template <typename T>
struct Arriving {
  const T *dz, *z;  // dz may be null
  int64_t channels;
  std::vector<float> slope, offset;

  void write(int64_t top, int64_t pixels, T* out) const {
    for (int64_t p = 0; p < pixels; p++)
      each_block(channels, [&](int64_t block, int64_t c, int count, auto full) {
        constexpr bool kFull = decltype(full)::value;
        int64_t at = (top + p) * channels + c;
        Pair sum = packed(offset.data() + block * kBlock);
        if (dz != nullptr) sum = sum + Block<T>::template load<kFull>(dz + at, count);
        add_product(sum, Block<T>::template load<kFull>(z + at, count), packed(slope.data() + block * kBlock));
        Block<T>::template store<kFull>(out + p * channels + c, sum, count, false);
      });
  }

  Wanted wanted(int64_t top, int64_t pixels, const T* h, int64_t rights) const {
    int64_t bytes = pixels * channels * sizeof(T);
    Wanted::Span of_dz{dz ? dz + top * channels : nullptr, dz ? bytes : 0}, of_h{h + top * rights, bytes / channels * rights};
    return {{{z + top * channels, bytes}, of_dz, of_h}};
  }
};

template <typename T>
int64_t block_pixels(int64_t lefts, int64_t rights) {
  int64_t each = int64_t(sizeof(T)) * (lefts + std::min(lefts, kWide) * kSlot / kTile + rights + rights);
  return std::clamp<int64_t>(kBlockBytes / each / (2 * kTile), 4, kDeep<T> / (2 * kTile)) * 2 * kTile;
}

template <typename T>
void backward_into(const Arriving<T>& arriving, const Tensor& h, const Tensor& weight, Tensor& dh, Tensor& dweight) {
  int64_t pixels = h.size(0), lefts = weight.size(0), rights = weight.size(1), threads = std::max(1, at::get_num_threads());
  PackedRight<T> packed(weight.const_data_ptr<T>(), lefts, rights, weight.stride(0), weight.stride(1));
  T* dhp = dh.mutable_data_ptr<T>();
  const T* hp = h.const_data_ptr<T>();
  bool streamed = stream(dhp, dh.numel(), rights);
  int64_t block = block_pixels<T>(lefts, rights);
  std::vector<Tensor> sums{dweight};
  for (int64_t t = 1; t < threads; t++) sums.push_back(at::zeros_like(dweight));
  at::parallel_for(0, threads, 1, [&](int64_t first, int64_t last) {
    for (int64_t t = first; t < last; t++) {
      Gradient<T> gradient{lefts, rights, 0, lefts, block, sums[t].mutable_data_ptr<float>()};
      Words room(block * lefts / kPerWord<T> + kSlot);
      T* rows = reinterpret_cast<T*>(room.data);
      for (int64_t top = pixels * t / threads, end = pixels * (t + 1) / threads; top < end; top += block) {
        int64_t count = std::min(block, end - top), next = std::min(top + block, end), after = std::min(block, end - next);
        arriving.write(top, count, rows);
        multiply_rows<T>(rows, packed, lefts, 0, count, Out<T>{dhp + top * rights, rights, streamed}, nullptr);
        gradient.add(rows, hp + top * rights, count, arriving.wanted(next, after, hp, rights));
      }
    }
  });
  for (int64_t t = 1; t < threads; t++) dweight.add_(sums[t]);
}
#endif

std::tuple<Tensor, Tensor> backward_elsewhere(const MaybeTensor& dz, const Tensor& y, const Tensor& slope, const Tensor& offset,
                                              const Tensor& h, const Tensor& weight) {
  auto maps = [](const Tensor& rows) { return rows.view({rows.size(0), rows.size(1), 1, 1}); };
  using Combine = Tensor(const Tensor&, const MaybeTensor&, const MaybeTensor&, const MaybeTensor&);
  static auto combine = c10::Dispatcher::singleton().findSchemaOrThrow("separable_cpu::combine", "").typed<Combine>();
  Tensor rows = combine.call(maps(y), slope, offset, dz ? MaybeTensor(maps(*dz)) : std::nullopt).view(y.sizes());
  return {std::get<0>(product(rows, weight.t(), false)), product_over_rows(rows, h)};
}

// Of y = h (M, C) times weight (O, C), transposed, with moments: dz (M, O) or none is what arrives at y, and slope y + offset
// (O) what comes back through the moments -> gradients of h, in its type, and of the weight, fp32.
std::tuple<Tensor, Tensor> product_backward(const MaybeTensor& dz_, const Tensor& y_, const Tensor& slope, const Tensor& offset,
                                            const Tensor& h_, const Tensor& weight_) {
  Tensor y = y_.contiguous(), h = h_.contiguous(), weight = weight_.to(h.scalar_type()).contiguous();
  MaybeTensor dz = dz_ ? MaybeTensor(dz_->contiguous()) : std::nullopt;
  TORCH_CHECK(y.size(0) == h.size(0), "as many rows expected, got ", y.size(0), " and ", h.size(0));
  bool small = weight.numel() <= kMostWeights && y.size(0) >= kLeastPixels * (at::get_num_threads() - 1);
  if (!fits(y, true) || y.numel() == 0 || h.numel() == 0 || !small)
    return backward_elsewhere(dz, y, slope, offset, h, weight);
  Tensor dh = at::empty_like(h), dweight = at::empty(weight.sizes(), h.options().dtype(at::kFloat));
#ifdef HAS_PRODUCTS
  auto run = [&](auto type) {
    using T = decltype(type);
    Arriving<T> arriving{dz ? dz->const_data_ptr<T>() : nullptr, y.const_data_ptr<T>(), y.size(1),
                         packed_vector<T>(floats(slope)), packed_vector<T>(floats(offset))};
    backward_into<T>(arriving, h, weight, dh, dweight);
  };
  if (h.scalar_type() == at::kFloat) run(float{});
  else run(at::BFloat16{});
#endif
  return {dh, dweight};
}

}  // namespace
}  // namespace separable

TORCH_LIBRARY_FRAGMENT(separable_cpu, m) {
  m.def("product_backward(Tensor? dz, Tensor y, Tensor slope, Tensor offset, Tensor h, Tensor weight) -> (Tensor, Tensor)");
}

TORCH_LIBRARY_IMPL(separable_cpu, CPU, m) { m.impl("product_backward", separable::product_backward); }
