// What surrounds a 3x3 convolution of a map of twice the side, every pixel of it four times over.
//
// Such a convolution is one of 2x2 over the small map (N, C, H, W), padded by one pixel: at each of its (H + 1) x (W + 1) corners
// it gives the four pixels of the large map around that corner, O channels for each, upper left first. Those that lie outside of
// the large map are computed and never read; their gradient is zero. Here are batch normalisation and ReLU from such corners
// (N, 4 O, H + 1, W + 1) to the map (N, O, 2 H, 2 W), the sum of that map and a small one, and both backward.
#include <torch/library.h>

#include <cmath>

#include "doubled.h"

namespace separable {
namespace {

Sides sides_of_corners(const Tensor& corners) {
  check_maps(corners);
  TORCH_CHECK(corners.size(1) % 4 == 0 && corners.size(2) > 1 && corners.size(3) > 1,
              "corners (N, 4 O, H + 1, W + 1) expected, got ", corners.sizes());
  return {corners.size(0), corners.size(1) / 4, corners.size(2) - 1, corners.size(3) - 1};
}

void check_large(const Tensor& g, const Tensor& corners, const Sides& s) {
  TORCH_CHECK(g.sizes() == at::IntArrayRef({s.n, s.o, 2 * s.h, 2 * s.w}) && g.scalar_type() == corners.scalar_type(),
              "a gradient of the large map expected, got ", g.sizes(), " of ", g.scalar_type());
}

// Mean and biased variance of each of the O channels over the large map, fp32.
std::tuple<Tensor, Tensor> corner_moments(const Tensor& corners_) {
  Sides sides = sides_of_corners(corners_);
  Tensor corners = nhwc(corners_), mean = vector_like(corners, sides.o), variance = vector_like(corners, sides.o);
  double pixels = double(sides.rows() * sides.width());
  by_type(corners, [&](auto type) {
    using T = decltype(type);
    const T* from = corners.const_data_ptr<T>();
    // Sums are of distances from one row's mean, so that a mean far from zero costs no digits.
    auto sums_about = [&](const std::vector<float>& origins, int64_t rows) {
      return row_sums<2, T>(rows, sides.width(), sides.o,
                            [&](int64_t i, int64_t first, int64_t last, int64_t block, int64_t c, int count, auto full, auto& sum) {
                              Pair origin = packed(origins.data() + block * kBlock);
                              const T* row = from + sides.corner_row_of(i) + c;
                              for (int64_t s = first + 1; s <= last; s++) {
                                Pair d = Block<T>::template load<decltype(full)::value>(row + sides.corner(s), count) - origin;
                                sum[0] = sum[0] + d;
                                add_product(sum[1], d, d);
                              }
                            });
    };
    std::vector<float> origins(blocks_of(sides.o) * kBlock, 0.f), first(sides.o);
    auto near = sums_about(origins, std::min<int64_t>(1, sides.rows()));
    for (int64_t c = 0; c < sides.o; c++) {
      float one = float(near[0][c] / double(sides.width()));
      first[c] = std::isfinite(one) ? one : 0.f;
    }
    origins = packed_rows<T>(first.data(), 1, 0, 1, sides.o);
    auto sums = sums_about(origins, sides.rows());
    for (int64_t c = 0; c < sides.o; c++) {
      double s = sums[0][c] / pixels, v = sums[1][c] / pixels - s * s;
      mean.mutable_data_ptr<float>()[c] = float(double(first[c]) + s);
      variance.mutable_data_ptr<float>()[c] = float(v < 0. ? 0. : v);  // NaN stays NaN
    }
  });
  return {mean, variance};
}

// scale * corners + shift, and ReLU -> the large map.
Tensor corner_forward(const Tensor& corners_, const Tensor& scale, const Tensor& shift, bool relu) {
  Sides sides = sides_of_corners(corners_);
  for (const Tensor* values : {&scale, &shift}) per_channel(*values, sides.o);
  Tensor corners = nhwc(corners_), y = new_maps(corners, sides.n, sides.o, 2 * sides.h, 2 * sides.w);
  by_type_and_relu(corners, scale, shift, relu, [&](auto type, auto act) {
    using T = decltype(type);
    const T* from = corners.const_data_ptr<T>();
    T* to = y.mutable_data_ptr<T>();
    at::parallel_for(0, sides.rows(), 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; i++)
        each_block(sides.o, [&](int64_t block, int64_t c, int count, auto full) {
          constexpr bool kFull = decltype(full)::value;
          auto here = act.at(block);
          const T* row = from + sides.corner_row_of(i) + c;
          T* out = to + sides.row(i) + c;
          for (int64_t s = 1; s <= sides.width(); s++, out += sides.o)
            Block<T>::template store<kFull>(out, here(Block<T>::template load<kFull>(row + sides.corner(s), count)), count, false);
        });
    });
  });
  return y;
}

// Sums over the large map of g' = g where ReLU lets it through, and of g' * (corners - origin), fp32.
std::tuple<Tensor, Tensor> corner_sums(const Tensor& g_, const Tensor& corners_, const Tensor& scale, const Tensor& shift, bool relu,
                                       const MaybeTensor& origin_) {
  Sides sides = sides_of_corners(corners_);
  check_large(g_, corners_, sides);
  for (const Tensor* values : {&scale, &shift}) per_channel(*values, sides.o);
  per_channel(origin_, sides.o);
  Tensor g = nhwc(g_), corners = nhwc(corners_), of_g = vector_like(g, sides.o), of_both = vector_like(g, sides.o);
  Tensor origin_f = given_or_zeros(origin_, g);
  by_type_and_relu(corners, scale, shift, relu, [&](auto type, auto act) {
    using T = decltype(type);
    auto origin = packed_vector<T>(origin_f);
    const T *from = corners.const_data_ptr<T>(), *gp = g.const_data_ptr<T>();
    auto sums = row_sums<2, T>(
        sides.rows(), sides.width(), sides.o,
        [&](int64_t i, int64_t first, int64_t last, int64_t block, int64_t c, int count, auto full, auto& sum) {
          constexpr bool kFull = decltype(full)::value;
          auto here = act.at(block);
          Pair about = packed(origin.data() + block * kBlock);
          const T *row = from + sides.corner_row_of(i) + c, *gradient = gp + sides.row(i) + first * sides.o + c;
          for (int64_t s = first + 1; s <= last; s++, gradient += sides.o) {
            Pair x = Block<T>::template load<kFull>(row + sides.corner(s), count);
            Pair one = here.masked(Block<T>::template load<kFull>(gradient, count), x);
            sum[0] = sum[0] + one;
            add_product(sum[1], one, x - about);
          }
        });
    write_sums(sums[0], of_g);
    write_sums(sums[1], of_both);
  });
  return {of_g, of_both};
}

// a * g' + b * corners + c, per channel, with g' as above: the gradient of the corners; zero outside of the large map.
Tensor corner_backward(const Tensor& g_, const Tensor& corners_, const Tensor& scale, const Tensor& shift, bool relu,
                       const Tensor& a_, const Tensor& b_, const Tensor& c_) {
  Sides sides = sides_of_corners(corners_);
  check_large(g_, corners_, sides);
  for (const Tensor* values : {&scale, &shift, &a_, &b_, &c_}) per_channel(*values, sides.o);
  Tensor g = nhwc(g_), corners = nhwc(corners_), out = at::empty_like(corners);
  Tensor given[3] = {floats(a_), floats(b_), floats(c_)};
  by_type_and_relu(corners, scale, shift, relu, [&](auto type, auto act) {
    using T = decltype(type);
    std::vector<float> values[3];
    for (int k = 0; k < 3; k++) values[k] = packed_vector<T>(given[k]);
    const T *from = corners.const_data_ptr<T>(), *gp = g.const_data_ptr<T>();
    T* to = out.mutable_data_ptr<T>();
    int64_t around = 2 * sides.h + 2, width = sides.width();
    at::parallel_for(0, sides.n * around, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; i++)
        each_block(sides.o, [&](int64_t block, int64_t c, int count, auto full) {
          constexpr bool kFull = decltype(full)::value;
          auto here = act.at(block);
          Pair v[3];
          unroll<0, 3>([&](auto k) INLINED { v[k] = packed(values[k].data() + block * kBlock); });
          int64_t r = i % around, start = sides.corner_row(i / around, r) + c;
          bool inside = r > 0 && r < around - 1;
          auto put = [&](int64_t s, const Pair& value) INLINED {
            Block<T>::template store<kFull>(to + start + sides.corner(s), value, count, false);
          };
          put(0, zero());
          put(width + 1, zero());
          const T* gradient = gp + (inside ? sides.row(i / around * 2 * sides.h + r - 1) + c : 0);
          for (int64_t s = 1; s <= width; s++) {
            if (!inside) {
              put(s, zero());
              continue;
            }
            Pair x = Block<T>::template load<kFull>(from + start + sides.corner(s), count), sum = v[2];
            add_product(sum, x, v[1]);
            add_product(sum, here.masked(Block<T>::template load<kFull>(gradient + (s - 1) * sides.o, count), x), v[0]);
            put(s, sum);
          }
        });
    });
  });
  return out;
}

}  // namespace
}  // namespace separable

TORCH_LIBRARY_FRAGMENT(separable_cpu, m) {
  m.def("corner_moments(Tensor corners) -> (Tensor, Tensor)");
  m.def("corner_forward(Tensor corners, Tensor scale, Tensor shift, bool relu) -> Tensor");
  m.def("corner_sums(Tensor g, Tensor corners, Tensor scale, Tensor shift, bool relu, Tensor? origin) -> (Tensor, Tensor)");
  m.def(
      "corner_backward(Tensor g, Tensor corners, Tensor scale, Tensor shift, bool relu, Tensor a, Tensor b, Tensor c) -> Tensor");
}

TORCH_LIBRARY_IMPL(separable_cpu, CPU, m) {
  m.impl("corner_moments", separable::corner_moments);
  m.impl("corner_forward", separable::corner_forward);
  m.impl("corner_sums", separable::corner_sums);
  m.impl("corner_backward", separable::corner_backward);
}
