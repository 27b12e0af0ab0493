// The gate of positions: a convolution over two pooled planes, then a sigmoid.
#ifndef FOVEA_CPU_CONVOLUTION_H_
#define FOVEA_CPU_CONVOLUTION_H_

#include "cpu/simd.h"

namespace fovea {
namespace FOVEA_ISA {

/// A padded plane has a border of zeros and room for a whole vector at the end of each row.
struct Padded {
  int64_t border, row, rows;

  template <class T>
  explicit Padded(const PositionGate<T>& gate)
      : border(gate.size / 2), row(gate.width + 2 * border + kLanes), rows(gate.height + 2 * border) {}

  int64_t size() const { return row * rows; }
};

template <class T>
int64_t PositionGateScratch(const PositionGate<T>& gate) {
  return 2 * Padded(gate).size() + 2 * gate.size * gate.size;
}

inline void Pad(const Padded& padded, const float* plane, int64_t height, int64_t width, float* to) {
  std::memset(to, 0, sizeof(float) * static_cast<size_t>(padded.size()));
  for (int64_t h = 0; h < height; ++h) {
    std::memcpy(to + (h + padded.border) * padded.row + padded.border, plane + h * width,
                sizeof(float) * static_cast<size_t>(width));
  }
}

/// A stretch of one row of the map, or of two: where its window begins in the padded planes, and where it goes.
struct Window {
  const float *in, *w;
  int64_t size;
  float* out;
  int64_t out_step;
};

/// Adds one row of the window to the sums of the upper row of the map, of the lower one, or of both.
template <bool kUpper, bool kLower, int kVecs>
inline void AddTaps(const float* in, const float* upper, const float* lower, int64_t size, Vec (&sums)[2][kVecs]) {
  for (int64_t j = 0; j < size; ++j) {
    FOVEA_UNROLLED for (int k = 0; k < kVecs; ++k) {
      Vec v = Load(in + j + k * kLanes, Full{});
      if constexpr (kUpper && kLower) InRegister(v);
      if constexpr (kUpper) sums[0][k] += upper[j] * v;
      if constexpr (kLower) sums[1][k] += lower[j] * v;
    }
  }
}

template <int kVecs, class Lanes>
inline void StoreGates(const Vec (&sums)[kVecs], float* out, Lanes last) {
  for (int k = 0; k + 1 < kVecs; ++k) Store(out + k * kLanes, Sigmoid(sums[k]), Full{});
  Store(out + (kVecs - 1) * kLanes, Sigmoid(sums[kVecs - 1]), last);
}

/// One row of the map or two at once, `kVecs` vectors wide. Loads at odd places cost two, as they cross cache lines:
/// two rows of the map share those of the window's rows that both see.
template <bool kTwoRows, int kVecs, class Lanes>
inline void Convolve(const Padded& padded, const Window& window, Lanes last) {
  Vec sums[2][kVecs] = {};
  const int64_t size = window.size;
  for (int64_t plane = 0; plane < 2; ++plane) {
    const float* in = window.in + plane * padded.size();
    const float* w = window.w + plane * size * size;
    AddTaps<true, false>(in, w, w, size, sums);
    for (int64_t i = 1; i < size; ++i) {
      const float* row = w + i * size;
      AddTaps<true, kTwoRows>(in + i * padded.row, row, row - size, size, sums);
    }
    if constexpr (kTwoRows) AddTaps<false, true>(in + size * padded.row, w, w + (size - 1) * size, size, sums);
  }
  StoreGates(sums[0], window.out, last);
  if constexpr (kTwoRows) StoreGates(sums[1], window.out + window.out_step, last);
}

template <bool kTwoRows, class Lanes>
inline void ConvolveVectors(const Padded& padded, const Window& window, int64_t vectors, Lanes last) {
  switch (vectors) {
    case 1: return Convolve<kTwoRows, 1>(padded, window, last);
    case 2: return Convolve<kTwoRows, 2>(padded, window, last);
    case 3: return Convolve<kTwoRows, 3>(padded, window, last);
    default: return Convolve<kTwoRows, 4>(padded, window, last);
  }
}

template <bool kTwoRows>
inline void ConvolveRows(const Padded& padded, Window window, int64_t width) {
  for (int64_t left = width; left > 0; left -= 4 * kLanes) {
    if (left >= 4 * kLanes || left % kLanes == 0) {
      ConvolveVectors<kTwoRows>(padded, window, left / kLanes, Full{});
    } else {
      ConvolveVectors<kTwoRows>(padded, window, left / kLanes + 1, Part{left % kLanes});
    }
    window.in += 4 * kLanes;
    window.out += 4 * kLanes;
  }
}

template <class T>
void GatePositions(const PositionGate<T>& gate, const float* mean, const float* max, float* scratch, float* map) {
  const Padded padded(gate);
  Pad(padded, mean, gate.height, gate.width, scratch);
  Pad(padded, max, gate.height, gate.width, scratch + padded.size());
  float* w = scratch + 2 * padded.size();
  for (int64_t i = 0; i < 2 * gate.size * gate.size; ++i) w[i] = ToFloat(gate.w[i]);
  const auto window = [&](int64_t h) -> Window {
    return {scratch + h * padded.row, w, gate.size, map + h * gate.width, gate.width};
  };
  int64_t h = 0;
  for (; h + 2 <= gate.height; h += 2) ConvolveRows<true>(padded, window(h), gate.width);
  if (h < gate.height) ConvolveRows<false>(padded, window(h), gate.width);
}

}  // namespace FOVEA_ISA
}  // namespace fovea

#endif  // FOVEA_CPU_CONVOLUTION_H_
