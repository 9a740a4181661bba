// The sum of a normalised map and one of half its side, and what comes back: the end of a residual block whose shortcut has not
// been brought to the block's side yet.
#include <torch/library.h>

#include "doubled.h"

namespace separable {
namespace {

Sides sides_of_large(const Tensor& large) {
  check_maps(large);
  TORCH_CHECK(large.size(2) % 2 == 0 && large.size(3) % 2 == 0, "maps of even sides expected, got ", large.sizes());
  return {large.size(0), large.size(1), large.size(2) / 2, large.size(3) / 2};
}

// scale * z + shift + small, every pixel of small four times over.
Tensor add_doubled(const Tensor& z_, const Tensor& scale_, const Tensor& shift_, const Tensor& small_) {
  Sides sides = sides_of_large(z_);
  for (const Tensor* values : {&scale_, &shift_}) per_channel(*values, sides.o);
  TORCH_CHECK(small_.sizes() == at::IntArrayRef({sides.n, sides.o, sides.h, sides.w}) && small_.scalar_type() == z_.scalar_type(),
              "a map of half the side expected, got ", small_.sizes(), " of ", small_.scalar_type());
  Tensor z = nhwc(z_), small = nhwc(small_), y = at::empty_like(z);
  by_type_and_relu(z, scale_, shift_, false, [&](auto type, auto act) {
    using T = decltype(type);
    const T *zp = z.const_data_ptr<T>(), *sp = small.const_data_ptr<T>();
    T* to = y.mutable_data_ptr<T>();
    at::parallel_for(0, sides.rows(), 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; i++)
        each_block(sides.o, [&](int64_t block, int64_t c, int count, auto full) {
          constexpr bool kFull = decltype(full)::value;
          auto here = act.at(block);
          int64_t at = sides.row(i) + c;
          const T* row = sp + i / 2 * sides.w * sides.o + c;
          for (int64_t s = 0; s < sides.w; s++, at += 2 * sides.o) {
            Pair both = Block<T>::template load<kFull>(row + s * sides.o, count);
            Pair left = here(Block<T>::template load<kFull>(zp + at, count));
            Pair right = here(Block<T>::template load<kFull>(zp + at + sides.o, count));
            Block<T>::template store<kFull>(to + at, left + both, count, false);
            Block<T>::template store<kFull>(to + at + sides.o, right + both, count, false);
          }
        });
    });
  });
  return y;
}

// Of g, a gradient of that sum: the sums of four that are small's, and sums of g and of g * (z - origin), fp32.
std::tuple<Tensor, Tensor, Tensor> add_doubled_backward(const Tensor& g_, const Tensor& z_, const MaybeTensor& origin_) {
  Sides sides = sides_of_large(z_);
  same_kind(z_, g_);
  per_channel(origin_, sides.o);
  Tensor g = nhwc(g_), z = nhwc(z_), small = new_maps(z, sides.n, sides.o, sides.h, sides.w);
  Tensor of_g = vector_like(z, sides.o), of_both = vector_like(z, sides.o), origin_f = given_or_zeros(origin_, z);
  by_type(z, [&](auto type) {
    using T = decltype(type);
    auto origin = packed_vector<T>(origin_f);
    const T *gp = g.const_data_ptr<T>(), *zp = z.const_data_ptr<T>();
    T* to = small.mutable_data_ptr<T>();
    auto sums = row_sums<2, T>(
        sides.n * sides.h, sides.w, sides.o,
        [&](int64_t i, int64_t first, int64_t last, int64_t block, int64_t c, int count, auto full, auto& sum) {
          constexpr bool kFull = decltype(full)::value;
          Pair about = packed(origin.data() + block * kBlock);
          const int64_t offsets[4] = {0, sides.o, sides.row(1), sides.row(1) + sides.o};
          for (int64_t s = first; s < last; s++) {
            int64_t at = sides.row(2 * i) + 2 * s * sides.o + c;
            Pair four = zero();
            unroll<0, 4>([&](auto k) INLINED {
              Pair one = Block<T>::template load<kFull>(gp + at + offsets[k], count);
              four = four + one;
              add_product(sum[1], one, Block<T>::template load<kFull>(zp + at + offsets[k], count) - about);
            });
            sum[0] = sum[0] + four;
            Block<T>::template store<kFull>(to + (i * sides.w + s) * sides.o + c, four, count, false);
          }
        });
    write_sums(sums[0], of_g);
    write_sums(sums[1], of_both);
  });
  return {small, of_g, of_both};
}

// g where x is above zero, plus other: what comes back to a map that ReLU and something else read.
Tensor relu_backward_add(const Tensor& g_, const Tensor& x_, const Tensor& other_) {
  same_maps(x_, g_);
  same_kind(x_, other_);
  Tensor g = nhwc(g_), x = nhwc(x_), other = nhwc(other_), out = at::empty_like(x);
  by_type(x, [&](auto type) {
    using T = decltype(type);
    const T *gp = g.const_data_ptr<T>(), *xp = x.const_data_ptr<T>(), *op = other.const_data_ptr<T>();
    T* to = out.mutable_data_ptr<T>();
    Act<false, true>::At here{zero(), zero()};
    all_pixels(pixels_of(x), x.size(1), false, [&](int64_t at, int64_t, int count, auto full) {
      constexpr bool kFull = decltype(full)::value;
      auto load = [&](const T* from) INLINED { return Block<T>::template load<kFull>(from + at, count); };
      Block<T>::template store<kFull>(to + at, here.masked(load(gp), load(xp)) + load(op), count, false);
    });
  });
  return out;
}

}  // namespace
}  // namespace separable

TORCH_LIBRARY_FRAGMENT(separable_cpu, m) {
  m.def("add_doubled(Tensor z, Tensor scale, Tensor shift, Tensor small) -> Tensor");
  m.def("add_doubled_backward(Tensor g, Tensor z, Tensor? origin) -> (Tensor, Tensor, Tensor)");
  m.def("relu_backward_add(Tensor g, Tensor x, Tensor other) -> Tensor");
}

TORCH_LIBRARY_IMPL(separable_cpu, CPU, m) {
  m.impl("add_doubled", separable::add_doubled);
  m.impl("add_doubled_backward", separable::add_doubled_backward);
  m.impl("relu_backward_add", separable::relu_backward_add);
}
