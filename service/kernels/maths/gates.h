// The gates of feature maps: per channel (two dense layers), per position (a convolution), and what is done with them.
#ifndef FOVEA_MATHS_GATES_H_
#define FOVEA_MATHS_GATES_H_

#include "maths/simd.h"

namespace fovea {
namespace FOVEA_ISA {

template <class T>
inline float Dot(const T* a, const float* b, int64_t n) {
  Vec sums[2] = {};
  int64_t i = 0;
  for (; i + 2 * kLanes <= n; i += 2 * kLanes) {
    sums[0] += Load(a + i, Full{}) * Load(b + i, Full{});
    sums[1] += Load(a + i + kLanes, Full{}) * Load(b + i + kLanes, Full{});
  }
  ForVectors(n - i, [&](int64_t j, auto lanes) { sums[0] += Load(a + i + j, lanes) * Load(b + i + j, lanes); });
  return SumOf(sums[0] + sums[1]);
}

inline float Relu(float value) { return value < 0.0f ? 0.0f : value; }

inline void SigmoidInPlace(float* values, int64_t n) {
  ForVectors(n, [&](int64_t i, auto lanes) { Store(values + i, Sigmoid(Load(values + i, lanes)), lanes); });
}

/// The second layer is linear: both pooled vectors pass it as one sum, and its bias counts once for each.
template <class T>
void ChannelGate(const Bottleneck<T>& layer, const float* mean, const float* max, float* hidden, float* gate) {
  for (int64_t j = 0; j < layer.hidden; ++j) {
    const T* row = layer.w1 + j * layer.channels;
    const float bias = ToFloat(layer.b1[j]);
    hidden[j] = Relu(bias + Dot(row, mean, layer.channels));
    if (max != nullptr) hidden[j] += Relu(bias + Dot(row, max, layer.channels));
  }
  const float times = max == nullptr ? 1.0f : 2.0f;
  for (int64_t c = 0; c < layer.channels; ++c) {
    gate[c] = times * ToFloat(layer.b2[c]) + Dot(layer.w2 + c * layer.hidden, hidden, layer.hidden);
  }
  SigmoidInPlace(gate, layer.channels);
}

inline void GateDirectly(const float* mean, int64_t channels, float* gate) {
  ForVectors(channels, [&](int64_t i, auto lanes) { Store(gate + i, Sigmoid(Load(mean + i, lanes)), lanes); });
}

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

/// A stretch of one row of the map: where its window begins in the padded planes, and where it goes.
struct RowOfMap {
  const float *in, *w;
  int64_t size;
  float* out;
};

/// `kVecs` vectors side by side: their sums hide one another's latency.
template <int kVecs, class Lanes>
inline void ConvolveRow(const Padded& padded, const RowOfMap& row, Lanes last) {
  Vec sums[kVecs] = {};
  const float* w = row.w;
  for (int64_t plane = 0; plane < 2; ++plane) {
    for (int64_t i = 0; i < row.size; ++i) {
      const float* in = row.in + plane * padded.size() + i * padded.row;
      for (int64_t j = 0; j < row.size; ++j) {
        const Vec weight = All(*w++);
        for (int k = 0; k < kVecs; ++k) sums[k] += weight * Load(in + j + k * kLanes, Full{});
      }
    }
  }
  for (int k = 0; k + 1 < kVecs; ++k) Store(row.out + k * kLanes, Sigmoid(sums[k]), Full{});
  Store(row.out + (kVecs - 1) * kLanes, Sigmoid(sums[kVecs - 1]), last);
}

template <class Lanes>
inline void ConvolveVectors(const Padded& padded, const RowOfMap& row, int64_t vectors, Lanes last) {
  switch (vectors) {
    case 1: return ConvolveRow<1>(padded, row, last);
    case 2: return ConvolveRow<2>(padded, row, last);
    case 3: return ConvolveRow<3>(padded, row, last);
    default: return ConvolveRow<4>(padded, row, last);
  }
}

template <class T>
void GatePositions(const PositionGate<T>& gate, const float* mean, const float* max, float* scratch, float* map) {
  const Padded padded(gate);
  Pad(padded, mean, gate.height, gate.width, scratch);
  Pad(padded, max, gate.height, gate.width, scratch + padded.size());
  float* w = scratch + 2 * padded.size();
  for (int64_t i = 0; i < 2 * gate.size * gate.size; ++i) w[i] = ToFloat(gate.w[i]);
  for (int64_t h = 0; h < gate.height; ++h) {
    for (int64_t at = 0; at < gate.width; at += 4 * kLanes) {
      const RowOfMap row{scratch + h * padded.row + at, w, gate.size, map + h * gate.width + at};
      const int64_t left = gate.width - at, rest = left % kLanes;
      if (left >= 4 * kLanes || rest == 0) {
        ConvolveVectors(padded, row, left / kLanes, Full{});
      } else {
        ConvolveVectors(padded, row, left / kLanes + 1, Part{rest});
      }
    }
  }
}

template <bool kMap, bool kResidual, class T>
inline void WeighPlanes(const Weighing<T>& job) {
  for (int64_t plane = 0; plane < job.planes; ++plane) {
    const int64_t first = plane * job.pixels;
    const Vec gate = All(job.gate == nullptr ? 1.0f : job.gate[plane]);
    ForVectors(job.pixels, [&](int64_t i, auto lanes) {
      Vec v = Load(job.x + first + i, lanes) * gate;
      if constexpr (kMap) v *= Load(job.map + i, lanes);
      if constexpr (kResidual) v = Max(Vec{}, v + Load(job.r + first + i, lanes));
      Store(job.y + first + i, v, lanes);
    });
  }
}

template <class T>
void Weigh(const Weighing<T>& job) {
  if (job.map == nullptr) {
    job.r == nullptr ? WeighPlanes<false, false>(job) : WeighPlanes<false, true>(job);
  } else {
    job.r == nullptr ? WeighPlanes<true, false>(job) : WeighPlanes<true, true>(job);
  }
}

}  // namespace FOVEA_ISA
}  // namespace fovea

#endif  // FOVEA_MATHS_GATES_H_
