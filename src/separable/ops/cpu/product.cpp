// Dense products of rows of pixels by a pointwise weight, and the weight's gradient: fp32 and bf16 with AVX-512, where the
// processor has it, and otherwise torch's own.
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/zeros.h>
#include <torch/library.h>

#include "product_rows.h"
#include "product_sums.h"

namespace separable {
namespace {

#ifdef HAS_PRODUCTS

constexpr int64_t kPartBytes = int64_t{64} << 20;  // of partial weight gradients, all threads together
constexpr int64_t kPartPixels = 1024;             // of fewer, adding up the parts costs more than they save

// Threads share the pixels, each with sums of its own, as long as these fit; further threads share the left columns.
template <typename T>
void gradient_into(const Tensor& left, const Tensor& right, Tensor& out) {
  int64_t pixels = left.size(0), lefts = left.size(1), rights = right.size(1), threads = std::max(1, at::get_num_threads());
  int64_t parts = std::clamp<int64_t>(std::min(kPartBytes / (lefts * rights * 4), pixels / kPartPixels), 1, threads);
  int64_t shares = std::min(threads / parts, (lefts + kTile - 1) / kTile);
  std::vector<Tensor> sums{out};
  for (int64_t p = 1; p < parts; p++) sums.push_back(at::empty_like(out));
  at::parallel_for(0, parts * shares, 1, [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; i++) {
      int64_t p = i / shares, s = i % shares, begin = pixels * p / parts, end = pixels * (p + 1) / parts;
      const T *a = left.const_data_ptr<T>(), *b = right.const_data_ptr<T>();
      Gradient<T> one{lefts, rights, lefts * s / shares, lefts * (s + 1) / shares, kDeep<T>, sums[p].mutable_data_ptr<float>()};
      for (int64_t top = begin; top < end; top += kDeep<T>) {
        int64_t next = top + kDeep<T>, pixels = std::min(kDeep<T>, end - next);
        Wanted wanted{};
        int64_t bytes = pixels * int64_t(sizeof(T));
        if (pixels > 0) wanted = {{{b + next * rights, bytes * rights}, {a + next * lefts, bytes * lefts}}};
        one.add(a + top * lefts, b + top * rights, std::min(kDeep<T>, end - top), wanted);
      }
    }
  });
  for (int64_t p = 1; p < parts; p++) out.add_(sums[p]);
}
#endif

}  // namespace

bool fits(const Tensor& left, bool whole_words) {
#ifdef HAS_PRODUCTS
  if (left.scalar_type() == at::kFloat) return true;
  return left.scalar_type() == at::kBFloat16 && (!whole_words || left.size(1) % 2 == 0);
#else
  return false;
#endif
}

namespace {

// left times right, transposed, by torch. Its own fp32 products ask MKL, which takes half the width of the registers on
// processors not Intel's, so oneDNN is asked.
Tensor product_elsewhere(const Tensor& left, const Tensor& right) {
  auto onednn = c10::Dispatcher::singleton().findSchema({"mkldnn::_linear_pointwise", ""});
  if (left.scalar_type() != at::kFloat || left.numel() == 0 || right.numel() == 0 || !onednn) return at::linear(left, right);
  using Linear = Tensor(const Tensor&, const Tensor&, const MaybeTensor&, c10::string_view, c10::List<std::optional<at::Scalar>>,
                        std::optional<c10::string_view>);
  return onednn->typed<Linear>().call(left, right, std::nullopt, "none", c10::List<std::optional<at::Scalar>>(), "");
}

WithMoments with_moments(const Tensor& y, bool wanted) {
  Tensor none = at::empty({0}, y.options().dtype(at::kFloat));
  if (!wanted) return {y, none, none.clone()};
  using Moments = std::tuple<Tensor, Tensor>(const Tensor&);
  static auto moments = c10::Dispatcher::singleton().findSchemaOrThrow("separable_cpu::channel_moments", "").typed<Moments>();
  auto [mean, variance] = moments.call(y.view({y.size(0), y.size(1), 1, 1}));
  return {y, mean, variance};
}

}  // namespace

// left (M, K) times right (N, K), transposed -> (M, N) in their type; mean and biased variance of its columns, fp32, where
// `moments`, else empty. They are of the numbers stored.
WithMoments product(const Tensor& left_, const Tensor& right_, bool moments) {
  check_rows(left_);
  check_rows(right_);
  Tensor left = left_.contiguous(), right = right_.to(left_.scalar_type());
  TORCH_CHECK(left.size(1) == right.size(1), "rows of one length expected, got ", left.size(1), " and ", right.size(1));
  if (!fits(left, true) || left.numel() == 0 || right.numel() == 0) return with_moments(product_elsewhere(left, right), moments);
  int64_t columns = right.size(0);
  Tensor y = at::empty({left.size(0), columns}, left.options());
  Tensor mean = at::empty({moments ? columns : 0}, left.options().dtype(at::kFloat)), variance = at::empty_like(mean);
#ifdef HAS_PRODUCTS
  if (right.stride(0) != 1 && right.stride(1) != 1) right = right.contiguous();
  auto run = [&](auto type) {
    using T = decltype(type);
    Product<T> product(right, moments);
    product.add(left.const_data_ptr<T>(), left.size(0), Out<T>(y));
    if (moments) product.moments(mean, variance);
  };
  if (left.scalar_type() == at::kFloat) run(float{});
  else run(at::BFloat16{});
#endif
  return {y, mean, variance};
}

// left (M, O), right (M, C) -> left transposed times right, (O, C) in fp32: a weight's gradient.
Tensor product_over_rows(const Tensor& left_, const Tensor& right_) {
  check_rows(left_);
  check_rows(right_);
  Tensor left = left_.contiguous(), right = right_.to(left_.scalar_type()).contiguous();
  TORCH_CHECK(left.size(0) == right.size(0), "as many rows expected, got ", left.size(0), " and ", right.size(0));
  if (!fits(left, false) || left.numel() == 0 || right.numel() == 0) {
    // oneDNN copies both to transpose them, and its product is faster with few rows.
    if (left.scalar_type() == at::kFloat && left.size(1) > right.size(1))
      return product_elsewhere(right.t(), left.t()).t().contiguous();
    return product_elsewhere(left.t(), right.t()).to(at::kFloat);
  }
  Tensor out = at::empty({left.size(1), right.size(1)}, left.options().dtype(at::kFloat));
#ifdef HAS_PRODUCTS
  if (left.scalar_type() == at::kFloat) gradient_into<float>(left, right, out);
  else gradient_into<at::BFloat16>(left, right, out);
#endif
  return out;
}

}  // namespace separable

TORCH_LIBRARY_FRAGMENT(separable_cpu, m) {
  m.def("product(Tensor left, Tensor right, bool moments) -> (Tensor, Tensor, Tensor)");
  m.def("product_over_rows(Tensor left, Tensor right) -> Tensor");
}

TORCH_LIBRARY_IMPL(separable_cpu, CPU, m) {
  m.impl("product", separable::product);
  m.impl("product_over_rows", separable::product_over_rows);
}
