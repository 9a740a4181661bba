// A map of twice the side, every pixel of a small one four times over, and the corners of the small one: see corners.cpp.
#pragma once

#include "checks.h"
#include "pixels.h"
#include "prologue.h"

namespace separable {

// Sizes of the small map, and of one pixel of the large one.
struct Sides {
  int64_t n, o, h, w;
  int64_t rows() const { return n * 2 * h; }
  int64_t width() const { return 2 * w; }
  // The first number of the large map's row.
  int64_t row(int64_t i) const { return i * width() * o; }
  // Where the corners hold row r of image n, both counted from one row above the first.
  int64_t corner_row(int64_t image, int64_t r) const { return ((image * (h + 1) + r / 2) * (w + 1) * 4 + r % 2 * 2) * o; }
  // Where in such a row they hold pixel s, counted from one before the first.
  int64_t corner(int64_t s) const { return ((s >> 1) * 4 + (s & 1)) * o; }
  int64_t corner_row_of(int64_t i) const { return corner_row(i / (2 * h), i % (2 * h) + 1); }
};

inline Tensor new_maps(const Tensor& like, int64_t n, int64_t c, int64_t h, int64_t w) {
  return at::empty({n, c, h, w}, like.options().memory_format(at::MemoryFormat::ChannelsLast));
}

// Sums over rows of `width` pixels of `Rows` numbers per channel, in fp64: fn(row, first, last, block, c, count, Full, sums)
// adds pixels [first, last) of a row to `sums`. In fp32 within a chunk; the threads' parts are added in order.
template <int Rows, typename T, typename Fn>
std::array<std::vector<double>, Rows> row_sums(int64_t rows, int64_t width, int64_t channels, Fn&& fn) {
  int64_t threads = std::max(1, at::get_num_threads()), padded = blocks_of(channels) * kBlock;
  std::vector<std::vector<double>> parts(threads, std::vector<double>(Rows * padded, 0.));
  at::parallel_for(0, threads, 1, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; t++)
      for (int64_t i = rows * t / threads; i < rows * (t + 1) / threads; i++)
        for (int64_t first = 0; first < width; first += kChunk)
          each_block(channels, [&](int64_t block, int64_t c, int count, auto full) {
            std::array<Pair, Rows> sums;
            sums.fill(zero());
            fn(i, first, std::min(width, first + kChunk), block, c, count, full, sums);
            float place[kBlock];
            for (int r = 0; r < Rows; r++) {
              pack(place, sums[r]);
              double* to = parts[t].data() + (block * Rows + r) * kBlock;
              for (int j = 0; j < kBlock; j++) to[j] += place[j];
            }
          });
  });
  for (int64_t t = 1; t < threads; t++)
    for (size_t j = 0; j < parts[0].size(); j++) parts[0][j] += parts[t][j];
  return unwoven_sums<Rows, T>(parts[0]);
}

// fn(type, act) for the maps' type and relu(scale x + shift), or without ReLU.
template <typename Fn>
void by_type_and_relu(const Tensor& x, const Tensor& scale_, const Tensor& shift_, bool relu, Fn&& fn) {
  Prologue prologue(scale_, shift_, relu);
  by_type(x, [&](auto type) {
    auto scale = packed_vector<decltype(type)>(prologue.scale), shift = packed_vector<decltype(type)>(prologue.shift);
    if (relu) fn(type, Act<true, true>{scale.data(), shift.data()});
    else fn(type, Act<true, false>{scale.data(), shift.data()});
  });
}

}  // namespace separable
