// Depthwise, pointwise and the moments of their result, and both gradients of a pointwise product behind batch normalisation.
//
// Some images at a time, so that the depthwise result and its gradient are still in the last cache when they are read, and
// take no memory to speak of. The product's own gradient (what arrives, and what comes back through the moments) is made a
// block of pixels at a time, packed for the weight's gradient and multiplied for the input's, and never leaves the caches.
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/ops/zeros.h>
#include <torch/library.h>

#include "depthwise_whole.h"
#include "product_rows.h"
#include "product_sums.h"

namespace separable {
namespace {

// Larger gradients, of which each thread keeps one, pass through the cache once a block: then separate passes are faster.
constexpr int64_t kMostWeights = int64_t{1} << 20;
constexpr int64_t kLeastPixels = 512;  // a thread
constexpr int64_t kPieceBytes = int64_t{3} << 20;  // a thread, of a depthwise result that waits for the product

// What stands in front of the product: depthwise with a border that keeps the side. The weight has the maps' type: each piece
// need not round it again.
struct Front {
  const MaybeTensor &scale, &shift;
  bool relu;
  const Tensor& weight;
  std::array<int64_t, 2> one{1, 1};
  std::array<int64_t, 4> border{side(), side(), side(), side()};

  int64_t side() const { return weight.size(2) / 2; }
  Tensor forward(const Tensor& x) const { return depthwise_forward(x, weight, {}, scale, shift, relu, one, border, one); }
  DepthwiseGradients backward(const Tensor& dx, const Tensor& dh, const Tensor& x, const MaybeTensor& other) const {
    return depthwise_backward_into(dx, dh, x, weight, scale, shift, relu, one, border, one, other, true, true);
  }
};

// Rows of pixels of a map in channels_last.
Tensor rows_of(const Tensor& x) { return x.permute({0, 2, 3, 1}).reshape({-1, x.size(1)}); }

// fn(first image, images) for pieces of x.
template <typename Fn>
void each_piece(const Tensor& x, Fn&& fn) {
  int64_t images = x.size(0), bytes = x.numel() / images * x.element_size();
  int64_t most = std::max<int64_t>(1, kPieceBytes * at::get_num_threads() / bytes);
  int64_t pieces = (images + most - 1) / most;
  for (int64_t p = 0; p < pieces; p++) fn(images * p / pieces, images * (p + 1) / pieces - images * p / pieces);
}

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
    Wanted::Span of_dz{dz ? dz + top * channels : nullptr, dz ? bytes : 0}, of_h{h, bytes / channels * rights};
    return {{{z + top * channels, bytes}, of_dz, of_h}};
  }
};

template <typename T>
int64_t block_pixels(int64_t lefts, int64_t rights) {
  int64_t each = int64_t(sizeof(T)) * (lefts + std::min(lefts, kWide) * kSlot / kTile + rights + rights);
  return std::clamp<int64_t>(kBlockBytes / each / (2 * kTile), 4, kDeep<T> / (2 * kTile)) * 2 * kTile;
}

// Both gradients, some pixels after the other.
template <typename T>
class ProductBackward {
 public:
  ProductBackward(const MaybeTensor& dz, const Tensor& z, const Tensor& slope, const Tensor& offset, const Tensor& weight)
      : lefts_(weight.size(0)),
        rights_(weight.size(1)),
        block_(block_pixels<T>(lefts_, rights_)),
        arriving_{dz ? dz->const_data_ptr<T>() : nullptr, z.const_data_ptr<T>(), lefts_, packed_vector<T>(floats(slope)),
                  packed_vector<T>(floats(offset))},
        packed_(weight.const_data_ptr<T>(), lefts_, rights_, weight.stride(0), weight.stride(1)) {
    for (int t = 0; t < std::max(1, at::get_num_threads()); t++) {
      sums_.push_back(at::zeros(weight.sizes(), weight.options().dtype(at::kFloat)));
      parts_.push_back(Gradient<T>{lefts_, rights_, 0, lefts_, block_, sums_[t].template mutable_data_ptr<float>()});
    }
  }

  // Pixels [first, first + pixels) of the maps; h and dh are theirs.
  void add(int64_t first, int64_t pixels, const T* h, const Out<T>& dh) {
    int64_t threads = parts_.size();
    at::parallel_for(0, threads, 1, [&](int64_t begin, int64_t end) {
      Words room(block_ * lefts_ / kPerWord<T> + kSlot);
      T* rows = reinterpret_cast<T*>(room.data);
      for (int64_t t = begin; t < end; t++)
        for (int64_t top = pixels * t / threads, last = pixels * (t + 1) / threads; top < last; top += block_) {
          int64_t count = std::min(block_, last - top), next = top + count, after = std::min(block_, last - next);
          arriving_.write(first + top, count, rows);
          multiply_rows<T>(rows, packed_, lefts_, 0, count, dh.from(top), nullptr);
          parts_[t].add(rows, h + top * rights_, count, arriving_.wanted(first + next, after, h + next * rights_, rights_));
        }
    });
  }

  Tensor weight() {
    for (size_t t = 1; t < sums_.size(); t++) sums_[0].add_(sums_[t]);
    return sums_[0];
  }

 private:
  int64_t lefts_, rights_, block_;
  Arriving<T> arriving_;
  PackedRight<T> packed_;
  std::vector<Tensor> sums_;
  std::vector<Gradient<T>> parts_;
};
#endif

// fn of a number of the type that products are computed in.
template <typename Fn>
void by_product_type(const Tensor& x, Fn&& fn) {
  x.scalar_type() == at::kFloat ? fn(float{}) : fn(at::BFloat16{});
}

// Whether both gradients are computed at once.
bool at_once(const Tensor& z, const Tensor& h, const Tensor& weight) {
  bool small = weight.numel() <= kMostWeights && z.size(0) >= kLeastPixels * (at::get_num_threads() - 1);
  return fits(z, true) && z.numel() > 0 && h.numel() > 0 && small;
}

std::tuple<Tensor, Tensor> backward_elsewhere(const MaybeTensor& dz, const Tensor& y, const Tensor& slope, const Tensor& offset,
                                              const Tensor& h, const Tensor& weight) {
  auto maps = [](const Tensor& rows) { return rows.view({rows.size(0), rows.size(1), 1, 1}); };
  using Combine = Tensor(const Tensor&, const MaybeTensor&, const MaybeTensor&, const MaybeTensor&);
  static auto combine = c10::Dispatcher::singleton().findSchemaOrThrow("separable_cpu::combine", "").typed<Combine>();
  Tensor rows = combine.call(maps(y), slope, offset, dz ? MaybeTensor(maps(*dz)) : std::nullopt).view(y.sizes());
  return {std::get<0>(product(rows, weight.t(), false)), product_over_rows(rows, h)};
}

// dz or none and z (M, O), two numbers for each of the columns, and the weight (O, C) of rows (M, C).
void check_product(const MaybeTensor& dz, const Tensor& z, const Tensor& slope, const Tensor& offset, const Tensor& weight,
                   int64_t rows, int64_t depth) {
  check_rows(z);
  check_rows(weight);
  if (dz) same_kind(z, *dz);
  TORCH_CHECK(z.size(0) == rows, "as many rows expected, got ", z.size(0), " and ", rows);
  per_channel(slope, z.size(1));
  per_channel(offset, z.size(1));
  TORCH_CHECK(weight.size(0) == z.size(1) && weight.size(1) == depth, "a weight of ", at::IntArrayRef({z.size(1), depth}),
              " expected, got ", weight.sizes());
}

// A unit's depthwise weight keeps the side, and its pointwise weight takes as many channels.
void check_unit(const Tensor& x, const Tensor& depthwise, const Tensor& pointwise) {
  check_maps(x);
  check_rows(pointwise);
  TORCH_CHECK(depthwise.dim() == 4 && depthwise.size(2) % 2 == 1 && depthwise.size(3) == depthwise.size(2),
              "a square depthwise kernel of odd side expected, got ", depthwise.sizes());
  TORCH_CHECK(pointwise.size(1) == x.size(1), "rows of one length expected, got ", x.size(1), " and ", pointwise.size(1));
}

// Of y = h (M, C) times weight (O, C), transposed, with moments: dz (M, O) or none is what arrives at y, and slope y + offset
// (O) what comes back through the moments -> gradients of h, in its type, and of the weight, fp32.
std::tuple<Tensor, Tensor> product_backward(const MaybeTensor& dz_, const Tensor& y_, const Tensor& slope, const Tensor& offset,
                                            const Tensor& h_, const Tensor& weight_) {
  check_rows(h_);
  check_product(dz_, y_, slope, offset, weight_, h_.size(0), h_.size(1));
  TORCH_CHECK(h_.scalar_type() == y_.scalar_type(), "two of one type expected, got ", y_.scalar_type(), " and ", h_.scalar_type());
  Tensor y = y_.contiguous(), h = h_.contiguous(), weight = weight_.to(h.scalar_type()).contiguous();
  MaybeTensor dz = dz_ ? MaybeTensor(dz_->contiguous()) : std::nullopt;
  if (!at_once(y, h, weight)) return backward_elsewhere(dz, y, slope, offset, h, weight);
  Tensor dh = at::empty_like(h), dweight;
#ifdef HAS_PRODUCTS
  by_product_type(h, [&](auto type) {
    using T = decltype(type);
    ProductBackward<T> both(dz, y, slope, offset, weight);
    both.add(0, h.size(0), h.const_data_ptr<T>(), Out<T>(dh));
    dweight = both.weight();
  });
#endif
  return {dh, dweight};
}

// z = pointwise (O, C) times depthwise(relu(scale x + shift)) as rows (M, O), and its moments.
WithMoments unit_forward(const Tensor& x_, const MaybeTensor& scale, const MaybeTensor& shift, bool relu, const Tensor& depthwise,
                         const Tensor& pointwise) {
  check_unit(x_, depthwise, pointwise);
  Tensor x = nhwc(x_), weight = pointwise.to(x.scalar_type()).contiguous();
  Tensor taps = depthwise.to(x.scalar_type());
  Front front{scale, shift, relu, taps};
  int64_t pixels = x.size(2) * x.size(3), columns = weight.size(0);
  if (!fits(rows_of(x), true) || x.numel() == 0 || columns == 0) return product(rows_of(front.forward(x)), weight, true);
  Tensor z = at::empty({x.size(0) * pixels, columns}, weight.options());
  Tensor mean = at::empty({columns}, weight.options().dtype(at::kFloat)), variance = at::empty_like(mean);
#ifdef HAS_PRODUCTS
  by_product_type(x, [&](auto type) {
    using T = decltype(type);
    Product<T> product(weight, true);
    Out<T> out(z);
    each_piece(x, [&](int64_t first, int64_t images) {
      Tensor h = front.forward(x.narrow(0, first, images));
      product.add(h.const_data_ptr<T>(), images * pixels, out.from(first * pixels));
    });
    product.moments(mean, variance);
  });
#endif
  return {z, mean, variance};
}

using UnitGradients = std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor>;

// As product_backward and depthwise_backward: gradients of x (plus `other`), depthwise, scale, shift and pointwise. dz and z
// are rows (M, O).
UnitGradients unit_backward(const MaybeTensor& dz_, const Tensor& z_, const Tensor& slope, const Tensor& offset, const Tensor& x_,
                            const MaybeTensor& scale, const MaybeTensor& shift, bool relu, const Tensor& depthwise,
                            const Tensor& pointwise, const MaybeTensor& other_) {
  check_unit(x_, depthwise, pointwise);
  check_product(dz_, z_, slope, offset, pointwise, pixels_of(x_), x_.size(1));
  TORCH_CHECK(z_.scalar_type() == x_.scalar_type(), "two of one type expected, got ", x_.scalar_type(), " and ", z_.scalar_type());
  if (other_) same_kind(x_, *other_);
  Tensor x = nhwc(x_), z = z_.contiguous(), weight = pointwise.to(x.scalar_type()).contiguous();
  MaybeTensor dz = dz_ ? MaybeTensor(dz_->contiguous()) : std::nullopt, other = other_ ? MaybeTensor(nhwc(*other_)) : std::nullopt;
  Tensor taps = depthwise.to(x.scalar_type());
  Front front{scale, shift, relu, taps};
  Tensor dx = at::empty_like(x);
  if (!at_once(z, x, weight)) {
    auto [dh, dweight] = product_backward(dz, z, slope, offset, rows_of(front.forward(x)), weight);
    Tensor maps = dh.view({x.size(0), x.size(2), x.size(3), x.size(1)}).permute({0, 3, 1, 2});
    return std::tuple_cat(front.backward(dx, maps, x, other), std::make_tuple(dweight));
  }
  UnitGradients out;
#ifdef HAS_PRODUCTS
  by_product_type(x, [&](auto type) {
    using T = decltype(type);
    ProductBackward<T> both(dz, z, slope, offset, weight);
    int64_t pixels = x.size(2) * x.size(3);
    auto some = [](const Tensor& maps, int64_t first, int64_t images) { return maps.narrow(0, first, images); };
    each_piece(x, [&](int64_t first, int64_t images) {
      Tensor piece = some(x, first, images), h = front.forward(piece), dh = at::empty_like(h);
      both.add(first * pixels, images * pixels, h.const_data_ptr<T>(), Out<T>(dh.mutable_data_ptr<T>(), x.size(1)));
      auto [_, dw, dscale, dshift] = front.backward(some(dx, first, images), dh, piece,
                                                    other ? MaybeTensor(some(*other, first, images)) : std::nullopt);
      if (first == 0) {
        out = {dx, dw, dscale, dshift, Tensor()};
      } else {
        std::get<1>(out).add_(dw);
        std::get<2>(out).add_(dscale);
        std::get<3>(out).add_(dshift);
      }
    });
    std::get<4>(out) = both.weight();
  });
#endif
  return out;
}

}  // namespace
}  // namespace separable

TORCH_LIBRARY_FRAGMENT(separable_cpu, m) {
  m.def("product_backward(Tensor? dz, Tensor y, Tensor slope, Tensor offset, Tensor h, Tensor weight) -> (Tensor, Tensor)");
  m.def(
      "unit_forward(Tensor x, Tensor? scale, Tensor? shift, bool relu, Tensor depthwise, Tensor pointwise) -> (Tensor, Tensor, "
      "Tensor)");
  m.def(
      "unit_backward(Tensor? dz, Tensor z, Tensor slope, Tensor offset, Tensor x, Tensor? scale, Tensor? shift, bool relu, "
      "Tensor depthwise, Tensor pointwise, Tensor? other) -> (Tensor, Tensor, Tensor, Tensor, Tensor)");
}

TORCH_LIBRARY_IMPL(separable_cpu, CPU, m) {
  m.impl("product_backward", separable::product_backward);
  m.impl("unit_forward", separable::unit_forward);
  m.impl("unit_backward", separable::unit_backward);
}
