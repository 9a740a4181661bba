// A product's rows: left rows where they lie, times a packed right operand, and moments of the columns while they are there.
#pragma once

#include "product.h"

#ifdef HAS_PRODUCTS

namespace separable {

constexpr int64_t kLeftBytes = int64_t{256} << 10;  // of left rows that meet one panel after the other: a part of L2
constexpr int64_t kMostTiles = 32;                  // of such rows: their sums are fp32

// Sums of one thread over `rows`, of distances from the mean of the first few: a mean far from zero
// costs no digits.
struct ColumnSums {
  explicit ColumnSums(int64_t padded) : origin(padded), sum(padded), squares(padded) {}
  int64_t rows = 0;
  std::vector<float> origin;
  std::vector<double> sum, squares;
};

template <typename T>
struct Out {
  T* values;
  int64_t columns;
  bool streamed;
  explicit Out(Tensor& rows)
      : values(rows.mutable_data_ptr<T>()), columns(rows.size(1)), streamed(stream(values, rows.numel(), columns)) {}
  Out(T* values, int64_t columns) : values(values), columns(columns), streamed(false) {}
  Out from(int64_t row) const {
    Out later = *this;
    later.values += row * columns;
    return later;
  }
  // Stores row r of a tile, and turns its sums into the numbers stored.
  INLINE void store(int64_t row, int64_t first, uint32_t mask, __m512 (&v)[2]) const {
    T* to = values + row * columns + first;
    if constexpr (std::is_same_v<T, float>) {
      if (streamed) {
        _mm512_stream_ps(to, v[0]);
        _mm512_stream_ps(to + kLanes, v[1]);
      } else {
        _mm512_mask_storeu_ps(to, uint16_t(mask), v[0]);
        _mm512_mask_storeu_ps(to + kLanes, uint16_t(mask >> 16), v[1]);
      }
    } else {
      __m512i both = (__m512i)_mm512_cvtne2ps_pbh(v[1], v[0]);
      if (streamed) _mm512_stream_si512((__m512i*)to, both);
      else _mm512_mask_storeu_epi16(to, mask, both);
      v[0] = (__m512)_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm512_castsi512_si256(both)), 16);
      v[1] = (__m512)_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm512_extracti64x4_epi64(both, 1)), 16);
    }
  }
};

// Columns of one panel of a block of rows: sums of distances from `origin`, fp32.
struct PanelSums {
  __m512 origin[2], sum[2], squares[2];
  bool fresh;
};

// The mean of a tile's rows; 0 where it is not finite.
template <int R>
INLINE __m512 near(const __m512 (&rows)[R][2], int half) {
  __m512 sum = rows[0][half];
#pragma GCC unroll 14
  for (int r = 1; r < R; r++) sum = _mm512_add_ps(sum, rows[r][half]);
  __m512 finite = _mm512_sub_ps(sum, sum);  // 0, or NaN
  return _mm512_maskz_mul_ps(_mm512_cmp_ps_mask(finite, finite, _CMP_ORD_Q), sum, _mm512_set1_ps(1.f / R));
}

template <typename T, int R>
void forward_tile(const Left& left, const Word* panel, int64_t steps, int64_t row, int64_t first, uint32_t mask,
                  const Out<T>& out, PanelSums* sums) {
  __m512 sum[R][2];
#pragma GCC unroll 14
  for (int r = 0; r < R; r++) sum[r][0] = sum[r][1] = _mm512_setzero_ps();
  multiply<T, R, true>(left, panel, steps, sum, left.first + kTile * steps);
#pragma GCC unroll 14
  for (int r = 0; r < R; r++) out.store(row + r, first, mask, sum[r]);
  if (sums == nullptr) return;
#pragma GCC unroll 2
  for (int i = 0; i < 2; i++) {
    if (sums->fresh) sums->origin[i] = near<R>(sum, i);
    __m512 origin = sums->origin[i], all = _mm512_setzero_ps(), squares = _mm512_setzero_ps();
#pragma GCC unroll 14
    for (int r = 0; r < R; r++) {
      __m512 d = _mm512_sub_ps(sum[r][i], origin);
      all = _mm512_add_ps(all, d);
      squares = _mm512_fmadd_ps(d, d, squares);
    }
    sums->sum[i] = _mm512_add_ps(sums->sum[i], all);
    sums->squares[i] = _mm512_add_ps(sums->squares[i], squares);
  }
  sums->fresh = false;
}

// Rows [begin, end) of the product, a cached block of left rows at a time; `kept` takes the columns' sums, or is null.
template <typename T>
void multiply_rows(const T* left, const PackedRight<T>& right, int64_t depth, int64_t begin, int64_t end, const Out<T>& out,
                   ColumnSums* kept) {
  int64_t steps = right.steps, block = std::clamp<int64_t>(kLeftBytes / (kTile * depth * sizeof(T)), 1, kMostTiles) * kTile;
  for (int64_t top = begin; top < end; top += block) {
    for (int64_t first = 0; first < out.columns; first += kPanel) {
      uint32_t mask = out.columns - first >= kPanel ? ~0u : (1u << (out.columns - first)) - 1;
      const Word* panel = right.panel(first);
      PanelSums sums{};
      if (kept) {
        sums.fresh = kept->rows == 0;
        for (int i = 0; i < 2; i++) sums.origin[i] = _mm512_loadu_ps(&kept->origin[first + i * kLanes]);
      }
      for (int64_t row = top; row < std::min(end, top + block); row += kTile) {
        Left rows{reinterpret_cast<const Word*>(left + row * depth), steps, 1};
        by_rows(std::min<int64_t>(kTile, std::min(end, top + block) - row), [&](auto r) {
          forward_tile<T, decltype(r)::value>(rows, panel, steps, row, first, mask, out, kept ? &sums : nullptr);
        });
      }
      if (!kept) continue;
      float place[3][kPanel];
      for (int i = 0; i < 2; i++) {
        _mm512_storeu_ps(place[0] + i * kLanes, sums.origin[i]);
        _mm512_storeu_ps(place[1] + i * kLanes, sums.sum[i]);
        _mm512_storeu_ps(place[2] + i * kLanes, sums.squares[i]);
      }
      for (int j = 0; j < kPanel; j++) {
        kept->origin[first + j] = place[0][j];
        kept->sum[first + j] += place[1][j];
        kept->squares[first + j] += place[2][j];
      }
    }
    if (kept) kept->rows += std::min(block, end - top);
  }
  drain(out.streamed);
}

// The threads' sums as mean and biased variance, by Chan's rule, in order.
inline void moments_of(const std::vector<ColumnSums>& parts, Tensor& mean, Tensor& variance) {
  for (int64_t c = 0; c < mean.numel(); c++) {
    double n = 0, m = 0, q = 0;
    for (const ColumnSums& part : parts) {
      double more = double(part.rows);
      if (more == 0) continue;
      double offset = part.sum[c] / more, distance = part.origin[c] + offset - m;
      q += part.squares[c] - part.sum[c] * offset + distance * distance * n * more / (n + more);
      m += distance * more / (n + more);
      n += more;
    }
    mean.mutable_data_ptr<float>()[c] = float(m);
    variance.mutable_data_ptr<float>()[c] = float(q < 0. ? 0. : q / n);  // NaN stays NaN
  }
}

// left times right, transposed, some rows of left after the other; and moments of the product's columns, if they are wanted.
template <typename T>
class Product {
 public:
  Product(const Tensor& right, bool moments)
      : depth_(right.size(1)), packed_(right.const_data_ptr<T>(), depth_, right.size(0), right.stride(1), right.stride(0)) {
    int64_t padded = (right.size(0) + kPanel - 1) / kPanel * kPanel;
    if (moments) sums_.assign(std::max(1, at::get_num_threads()), ColumnSums(padded));
  }

  void add(const T* left, int64_t rows, const Out<T>& out) {
    int64_t threads = std::max(1, at::get_num_threads());
    at::parallel_for(0, threads, 1, [&](int64_t first, int64_t last) {
      for (int64_t t = first; t < last; t++)
        multiply_rows<T>(left, packed_, depth_, rows * t / threads, rows * (t + 1) / threads, out,
                         sums_.empty() ? nullptr : &sums_[t]);
    });
  }

  void moments(Tensor& mean, Tensor& variance) const { moments_of(sums_, mean, variance); }

 private:
  int64_t depth_;
  PackedRight<T> packed_;
  std::vector<ColumnSums> sums_;
};

}  // namespace separable
#endif
