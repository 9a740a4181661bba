// Batch normalisation and the activation behind it as passes over memory: the affine map and the activation in one, and their
// backward pass in two (the sums that batch normalisation needs, then the gradient), with nothing kept but the input.
#include <torch/library.h>

#include "checks.h"
#include "pixels.h"

namespace separable {
namespace {

enum Kind { kNone, kRelu, kRelu6, kSilu, kHardSwish };

Vec clamped(const Vec& x, float least, float most) { return at::vec::minimum(at::vec::maximum(x, Vec(least)), Vec(most)); }
Vec sigmoid(const Vec& x) { return Vec(1.f) / (Vec(1.f) + x.neg().exp_u20()); }

template <Kind kind>
INLINE Vec value(const Vec& u) {
  if constexpr (kind == kRelu) return relu(u);
  if constexpr (kind == kRelu6) return clamped(u, 0.f, 6.f);
  if constexpr (kind == kSilu) return u * sigmoid(u);
  if constexpr (kind == kHardSwish) return u * clamped(u + Vec(3.f), 0.f, 6.f) * Vec(1.f / 6.f);
  return u;
}

// gradient times the activation's slope at u; at the corners and at NaN as torch has them.
template <Kind kind>
INLINE Vec through(const Vec& gradient, const Vec& u) {
  Vec none(0.f);
  if constexpr (kind == kRelu) return through_relu(gradient, u);
  if constexpr (kind == kRelu6) return Vec::blendv(gradient, none, (u <= none) | (u >= Vec(6.f)));
  if constexpr (kind == kSilu) {
    Vec s = sigmoid(u);
    return gradient * s * at::vec::fmadd(u, Vec(1.f) - s, Vec(1.f));
  }
  if constexpr (kind == kHardSwish) {
    Vec sloped = gradient * at::vec::fmadd(u, Vec(1.f / 3.f), Vec(0.5f));
    return Vec::blendv(Vec::blendv(sloped, gradient, u >= Vec(3.f)), none, u <= Vec(-3.f));
  }
  return gradient;
}

template <Kind kind>
INLINE Pair through(const Pair& gradient, const Pair& z, const Pair& scale, const Pair& shift) {
  return {through<kind>(gradient.a, at::vec::fmadd(z.a, scale.a, shift.a)),
          through<kind>(gradient.b, at::vec::fmadd(z.b, scale.b, shift.b))};
}

template <typename Fn>
void by_kind(int64_t act, Fn&& fn) {
  if (act == kNone) return fn(std::integral_constant<Kind, kNone>{});
  if (act == kRelu) return fn(std::integral_constant<Kind, kRelu>{});
  if (act == kRelu6) return fn(std::integral_constant<Kind, kRelu6>{});
  if (act == kSilu) return fn(std::integral_constant<Kind, kSilu>{});
  TORCH_CHECK(act == kHardSwish, "no activation has the number ", act);
  fn(std::integral_constant<Kind, kHardSwish>{});
}

void check_affine(const Tensor& g, const Tensor& z, const Tensor& scale, const Tensor& shift) {
  same_maps(z, g);
  per_channel(scale, z.size(1));
  per_channel(shift, z.size(1));
}

// act(scale * z + shift), channels_last.
Tensor affine_act_forward(const Tensor& z_, const Tensor& scale_, const Tensor& shift_, int64_t act) {
  check_affine(z_, z_, scale_, shift_);
  Tensor z = nhwc(z_), scale_f = floats(scale_), shift_f = floats(shift_), y = at::empty_like(z);
  int64_t channels = z.size(1);
  by_type(z, [&](auto type) {
    using T = decltype(type);
    auto scale = packed_vector<T>(scale_f), shift = packed_vector<T>(shift_f);
    const T* zp = z.const_data_ptr<T>();
    T* yp = y.mutable_data_ptr<T>();
    bool streamed = stream(yp, z.numel(), channels);
    by_kind(act, [&](auto kind) {
      constexpr Kind kKind = decltype(kind)::value;
      all_pixels(pixels_of(z), channels, streamed, [&](int64_t at, int64_t block, int count, auto full) {
        constexpr bool kFull = decltype(full)::value;
        Pair u = packed(shift.data() + block * kBlock);
        add_product(u, Block<T>::template load<kFull>(zp + at, count), packed(scale.data() + block * kBlock));
        Block<T>::template store<kFull>(yp + at, {value<kKind>(u.a), value<kKind>(u.b)}, count, streamed);
      });
    });
  });
  return y;
}

// Sums over (N, H, W) of g' = g * act'(scale * z + shift) and of g' * (z - origin), per channel, fp32. origin: (C,), or none
// for 0; by the mean, as batch normalisation wants it, nothing is left to subtract that would cancel.
std::tuple<Tensor, Tensor> affine_act_sums(const Tensor& g_, const Tensor& z_, const Tensor& scale_, const Tensor& shift_,
                                           int64_t act, const MaybeTensor& origin_) {
  check_affine(g_, z_, scale_, shift_);
  int64_t channels = z_.size(1);
  Tensor g = nhwc(g_), z = nhwc(z_), scale_f = floats(scale_), shift_f = floats(shift_), origin_f = given_or_zeros(origin_, z);
  Tensor of_g = vector_like(z, channels), of_both = vector_like(z, channels);
  by_type(z, [&](auto type) {
    using T = decltype(type);
    auto scale = packed_vector<T>(scale_f), shift = packed_vector<T>(shift_f), origin = packed_vector<T>(origin_f);
    const T *gp = g.const_data_ptr<T>(), *zp = z.const_data_ptr<T>();
    by_kind(act, [&](auto kind) {
      constexpr Kind kKind = decltype(kind)::value;
      auto sums = pixel_sums<2, T>(pixels_of(z), channels, [&](int64_t at, int64_t n, int64_t block, int count, auto full, auto& sum) {
        constexpr bool kFull = decltype(full)::value;
        Pair a = packed(scale.data() + block * kBlock), b = packed(shift.data() + block * kBlock);
        Pair from = packed(origin.data() + block * kBlock);
        for (int64_t i = 0; i < n; i++, at += channels) {
          prefetch(gp, at + kPixels * channels);
          prefetch(zp, at + kPixels * channels);
          Pair x = Block<T>::template load<kFull>(zp + at, count);
          Pair gradient = through<kKind>(Block<T>::template load<kFull>(gp + at, count), x, a, b);
          sum[0] = sum[0] + gradient;
          add_product(sum[1], gradient, x - from);
        }
      });
      write_sums(sums[0], of_g);
      write_sums(sums[1], of_both);
    });
  });
  return {of_g, of_both};
}

// a * g' + b * z + c, per channel, with g' as above: the gradient of z, batch statistics included by a, b and c.
Tensor affine_act_backward(const Tensor& g_, const Tensor& z_, const Tensor& scale_, const Tensor& shift_, int64_t act,
                           const Tensor& a_, const Tensor& b_, const Tensor& c_) {
  check_affine(g_, z_, scale_, shift_);
  for (const Tensor* values : {&a_, &b_, &c_}) per_channel(*values, z_.size(1));
  Tensor g = nhwc(g_), z = nhwc(z_), dz = at::empty_like(z);
  Tensor given[5] = {floats(scale_), floats(shift_), floats(a_), floats(b_), floats(c_)};
  int64_t channels = z.size(1);
  by_type(z, [&](auto type) {
    using T = decltype(type);
    std::vector<float> values[5];
    for (int k = 0; k < 5; k++) values[k] = packed_vector<T>(given[k]);
    const T *gp = g.const_data_ptr<T>(), *zp = z.const_data_ptr<T>();
    T* out = dz.mutable_data_ptr<T>();
    bool streamed = stream(out, z.numel(), channels);
    by_kind(act, [&](auto kind) {
      constexpr Kind kKind = decltype(kind)::value;
      all_pixels(pixels_of(z), channels, streamed, [&](int64_t at, int64_t block, int count, auto full) {
        constexpr bool kFull = decltype(full)::value;
        Pair v[5];
        unroll<0, 5>([&](auto k) INLINED { v[k] = packed(values[k].data() + block * kBlock); });
        prefetch(gp, at + kNear);
        Pair x = Block<T>::template load<kFull>(zp + at, count), sum = v[4];
        add_product(sum, x, v[3]);
        add_product(sum, through<kKind>(Block<T>::template load<kFull>(gp + at, count), x, v[0], v[1]), v[2]);
        Block<T>::template store<kFull>(out + at, sum, count, streamed);
      });
    });
  });
  return dz;
}

}  // namespace
}  // namespace separable

TORCH_LIBRARY_FRAGMENT(separable_cpu, m) {
  m.def("affine_act_forward(Tensor z, Tensor scale, Tensor shift, int act) -> Tensor");
  m.def("affine_act_sums(Tensor g, Tensor z, Tensor scale, Tensor shift, int act, Tensor? origin=None) -> (Tensor, Tensor)");
  m.def(
      "affine_act_backward(Tensor g, Tensor z, Tensor scale, Tensor shift, int act, Tensor a, Tensor b, Tensor c) -> Tensor");
}

TORCH_LIBRARY_IMPL(separable_cpu, CPU, m) {
  m.impl("affine_act_forward", separable::affine_act_forward);
  m.impl("affine_act_sums", separable::affine_act_sums);
  m.impl("affine_act_backward", separable::affine_act_backward);
}
