// Passes over the pixels of maps, N, H, W, C in memory. What writes a map goes through memory in its own order; what adds up
// takes a few pixels of one block of channels at a time, so that its sums need not come from memory for each.
#pragma once

#include <array>

#include "blocks.h"

namespace separable {

constexpr int64_t kPixels = 8;   // pixels whose sums stay in registers
constexpr int64_t kChunk = 128;  // pixels between two visits to the fp64 sums
constexpr int64_t kNear = 1024;  // numbers to prefetch ahead of a pass in the order of memory

// fn(index of the first number, pixels, block, count, Full) for every `Pixels` pixels of [begin, end) and block of channels.
template <int64_t Pixels, typename Fn>
INLINE void each_pixels(int64_t begin, int64_t end, int64_t channels, Fn&& fn) {
  for (int64_t p = begin; p < end; p += Pixels)
    each_block(channels, [&](int64_t block, int64_t c, int count, auto full) {
      fn(p * channels + c, std::min(Pixels, end - p), block, count, full);
    });
}

// fn(index, block, count, Full) for every pixel and block of channels, by all threads; streamed: it writes past the cache.
template <typename Fn>
void all_pixels(int64_t pixels, int64_t channels, bool streamed, Fn&& fn) {
  at::parallel_for(0, (pixels + kChunk - 1) / kChunk, 1, [&](int64_t begin, int64_t end) {
    each_pixels<1>(begin * kChunk, std::min(pixels, end * kChunk), channels,
                   [&](int64_t at, int64_t, int64_t block, int count, auto full) { fn(at, block, count, full); });
    drain(streamed);
  });
}

// Packed sums, [block][row][kBlock], as one vector per row in the order of channels.
template <int Rows, typename T>
std::array<std::vector<double>, Rows> unwoven_sums(const std::vector<double>& sums) {
  std::array<std::vector<double>, Rows> out;
  out.fill(std::vector<double>(sums.size() / Rows));
  for (size_t j = 0; j < sums.size(); j++) {
    size_t row = j / kBlock;
    out[row % Rows][row / Rows * kBlock + Block<T>::channel(int(j % kBlock))] = sums[j];
  }
  return out;
}

// Sums over all pixels of `Rows` numbers per channel, in fp64: fn(at, pixels, block, count, Full, sums) adds to `sums`. In
// fp32 within a chunk; the threads' parts are added in order.
template <int Rows, typename T, typename Fn>
std::array<std::vector<double>, Rows> pixel_sums(int64_t pixels, int64_t channels, Fn&& fn) {
  int64_t threads = std::max(1, at::get_num_threads()), padded = blocks_of(channels) * kBlock;
  std::vector<std::vector<double>> parts(threads, std::vector<double>(Rows * padded, 0.));
  at::parallel_for(0, threads, 1, [&](int64_t first, int64_t last) {
    std::vector<float> chunk(Rows * padded);
    for (int64_t t = first; t < last; t++)
      for (int64_t p = pixels * t / threads, end = pixels * (t + 1) / threads; p < end; p += kChunk) {
        std::fill(chunk.begin(), chunk.end(), 0.f);
        each_pixels<kPixels>(p, std::min(p + kChunk, end), channels, [&](int64_t at, int64_t n, int64_t block, int count, auto full) {
          std::array<Pair, Rows> sums;
          sums.fill(zero());
          fn(at, n, block, count, full, sums);
          for (int r = 0; r < Rows; r++) pack_sum(chunk.data() + (block * Rows + r) * kBlock, sums[r]);
        });
        for (size_t j = 0; j < chunk.size(); j++) parts[t][j] += chunk[j];
      }
  });
  for (int64_t t = 1; t < threads; t++)
    for (size_t j = 0; j < parts[0].size(); j++) parts[0][j] += parts[t][j];
  return unwoven_sums<Rows, T>(parts[0]);
}

// Such a sum as a tensor.
inline void write_sums(const std::vector<double>& sums, Tensor& out) {
  for (int64_t c = 0; c < out.numel(); c++) out.mutable_data_ptr<float>()[c] = float(sums[c]);
}

}  // namespace separable
