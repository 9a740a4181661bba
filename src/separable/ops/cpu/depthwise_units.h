// Preparing rows of a map into units (see depthwise_engines.h), and the ring that keeps the last few of them.
#pragma once

#include "depthwise_engines.h"
#include "prologue.h"

namespace separable {

// A map in memory as the kernels see it: `top` rows and `left` columns of zeros around it, and `stride - 1` zeros between
// its rows and columns (the gradient of a strided convolution).
struct View {
  int64_t h, w, c, top, left, stride_h = 1, stride_w = 1;
  // Row of the map at `row` of the view; negative where it is zeros.
  int64_t map_row(int64_t row) const {
    row -= top;
    return row < 0 || row % stride_h != 0 || row / stride_h >= h ? -1 : row / stride_h;
  }
};

template <typename T, bool Full, typename At>
INLINE Pair load_act(const T* p, int count, const At& act) {
  return act(Block<T>::template load<Full>(p, count));
}

#ifdef HAS_BF16_PAIRS
// A block of channels of two pixels (null: zeros), through batch normalisation and ReLU, woven into pairs.
template <typename T, bool Full, bool Acts, typename At>
INLINE void woven(const T* first, const T* second, int count, const At& act, __m512i& low, __m512i& high) {
  if constexpr (Acts) {
    const __m512i weave = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6, 21, 5, 20, 4,
                                           19, 3, 18, 2, 17, 1, 16, 0);
    Pair x = first ? load_act<T, Full>(first, count, act) : zero(), y = second ? load_act<T, Full>(second, count, act) : zero();
    low = _mm512_permutexvar_epi16(weave, (__m512i)_mm512_cvtne2ps_pbh(y.a, x.a));
    high = _mm512_permutexvar_epi16(weave, (__m512i)_mm512_cvtne2ps_pbh(y.b, x.b));
  } else {
    auto load = [&](const T* p) INLINED {
      if (p == nullptr) return _mm512_setzero_si512();
      return Full ? _mm512_loadu_si512(p) : _mm512_maskz_loadu_epi16((1u << count) - 1, p);
    };
    __m512i x = load(first), y = load(second);
    low = _mm512_unpacklo_epi16(x, y), high = _mm512_unpackhi_epi16(x, y);
  }
}
#endif

// One column of a unit and block of channels, from one or two rows (null: zeros).
template <typename T, typename E, bool Full, bool Acts, typename At>
INLINE void prepare_column(const T* first, const T* second, int count, const At& act, float* place) {
  if constexpr (E::kRows == 1) {
    pack(place, load_act<T, Full>(first, count, act));
  } else {
#ifdef HAS_BF16_PAIRS
    __m512i low, high;
    woven<T, Full, Acts>(first, second, count, act, low, high);
    _mm512_store_si512(place, low);
    _mm512_store_si512(place + kLanes, high);
#endif
  }
}

// A ring of `slots` units over blocks of channels. Zeros around the rows are there from the start and stay.
template <typename T>
class Ring {
 public:
  using E = typename EngineOf<T>::Type;

  Ring(const View& view, int64_t slots, int64_t columns, int64_t most_blocks)
      : view_(view), columns_(columns | 1), unit_(most_blocks * columns_ * kBlock), memory_(slots * unit_), held_(slots) {}

  int64_t columns() const { return columns_; }

  // The unit of rows [number * kRows, ...) of the view of image n, for blocks [first, last); null where it is all zeros.
  const float* unit(const T* image, int64_t n, int64_t number, int64_t first, int64_t last, const AnyAct& act) {
    Held& held = held_[number % int64_t(held_.size())];
    float* place = memory_.data() + number % int64_t(held_.size()) * unit_;
    Held wanted{n, number, first, true};
    if (held.n == wanted.n && held.number == number && held.first == first) return held.filled ? place : nullptr;
    const T* rows[2] = {nullptr, nullptr};
    for (int r = 0; r < E::kRows; r++) {
      int64_t row = view_.map_row(number * E::kRows + r);
      if (row >= 0) rows[r] = image + row * view_.w * view_.c;
    }
    wanted.filled = rows[0] || rows[1];
    held = wanted;
    if (!wanted.filled) return nullptr;
    by_act(act.affine, act.relu, act.scale, act.shift, [&](auto known) { fill(rows[0], rows[1], place, first, last, known); });
    return place;
  }

  // Tells the memory that the unit after those is wanted soon: the part that `part` of `parts` columns of a block stand for.
  void prefetch_ahead(const T* image, int64_t number, int64_t block, int64_t part, int64_t columns, int64_t parts) const {
    for (int r = 0; r < E::kRows; r++) {
      int64_t row = view_.map_row(number * E::kRows + r), last = std::min(parts, part + columns) * view_.w / parts;
      if (row < 0) continue;
      const T* place = image + row * view_.w * view_.c + block * kBlock;
      for (int64_t w = part * view_.w / parts; w < last; w++) prefetch(place, w * view_.c);
    }
  }

  // Where a block's first column of a unit is in the map, row r of it; `otherwise` where there is none.
  const T* source(const T* image, int64_t number, int r, int64_t block, const T* otherwise) const {
    int64_t row = view_.map_row(number * E::kRows + r);
    return row < 0 ? otherwise : image + row * view_.w * view_.c + block * kBlock;
  }

 private:
  struct Held {
    int64_t n = -1, number = -1, first = -1;
    bool filled = false;
  };

  template <typename ActT>
  void fill(const T* one, const T* two, float* place, int64_t first, int64_t last, const ActT& act) {
    int64_t begin = view_.left < 0 ? (-view_.left + view_.stride_w - 1) / view_.stride_w : 0;
    int64_t end = std::min(view_.w, (columns_ - view_.left + view_.stride_w - 1) / view_.stride_w);
    for (int64_t w = begin; w < end; w++)
      for (int64_t block = first; block < last; block++) {
        int64_t at = w * view_.c + block * kBlock;
        const T *x = one ? one + at : nullptr, *y = two ? two + at : nullptr;
        float* column = place + ((block - first) * columns_ + view_.left + w * view_.stride_w) * kBlock;
        int64_t count = std::min<int64_t>(kBlock, view_.c - block * kBlock);
        count == kBlock ? prepare_column<T, E, true, ActT::kAny>(x, y, kBlock, act.at(block), column)
                        : prepare_column<T, E, false, ActT::kAny>(x, y, int(count), act.at(block), column);
      }
  }

  View view_;
  int64_t columns_, unit_;
  Aligned memory_;
  std::vector<Held> held_;
};

}  // namespace separable
