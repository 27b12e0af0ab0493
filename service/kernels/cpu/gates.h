// The gates of channels, from two dense layers, and what gates of channels and positions do to a feature map.
#ifndef FOVEA_CPU_GATES_H_
#define FOVEA_CPU_GATES_H_

#include "cpu/simd.h"

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

/// to[i] = sigmoid(from[i]); `to` may be `from`.
inline void Sigmoids(const float* from, int64_t n, float* to) {
  ForVectors(n, [&](int64_t i, auto lanes) { Store(to + i, Sigmoid(Load(from + i, lanes)), lanes); });
}

/// min(max(slope · v + 1/2, 0), 1)
inline Vec HardSigmoid(Vec v, float slope) { return Min(All(1.0f), Max(Vec{}, v * slope + 0.5f)); }
inline Vec HardSwish(Vec v) { return v * HardSigmoid(v, 1.0f / 6.0f); }

/// values = activation(values), in place.
inline void Activate(Activation activation, float* values, int64_t n) {
  ForVectors(n, [&](int64_t i, auto lanes) {
    const Vec v = Load(values + i, lanes);
    const Vec active = activation == Activation::kRelu   ? Max(Vec{}, v)
                       : activation == Activation::kSilu ? v * Sigmoid(v)
                                                         : HardSwish(v);
    Store(values + i, active, lanes);
  });
}

/// hidden = activation(w1 pooled + b1)
template <class T>
inline void Squeeze(const Bottleneck<T>& layer, const float* pooled, float* hidden) {
  for (int64_t j = 0; j < layer.hidden; ++j) {
    const float bias = layer.b1 == nullptr ? 0.0f : ToFloat(layer.b1[j]);
    hidden[j] = bias + Dot(layer.w1 + j * layer.channels, pooled, layer.channels);
  }
  Activate(layer.form.activation, hidden, layer.hidden);
}

/// The second layer is linear: both pooled vectors pass it as one sum, and its bias counts once for each. `hidden` has
/// room for both, `max` may be null.
template <class T>
void ChannelGate(const Bottleneck<T>& layer, const float* mean, const float* max, float* hidden, float* gate) {
  Squeeze(layer, mean, hidden);
  if (max != nullptr) {
    float* of_max = hidden + layer.hidden;
    Squeeze(layer, max, of_max);
    for (int64_t j = 0; j < layer.hidden; ++j) hidden[j] += of_max[j];
  }
  const float times = max == nullptr ? 1.0f : 2.0f;
  for (int64_t c = 0; c < layer.channels; ++c) {
    const float bias = layer.b2 == nullptr ? 0.0f : times * ToFloat(layer.b2[c]);
    gate[c] = bias + Dot(layer.w2 + c * layer.hidden, hidden, layer.hidden);
  }
  if (layer.form.slope <= 0.0f) return Sigmoids(gate, layer.channels, gate);
  ForVectors(layer.channels, [&](int64_t i, auto lanes) {
    Store(gate + i, HardSigmoid(Load(gate + i, lanes), layer.form.slope), lanes);
  });
}

/// One tap of the convolution at a time, over all channels that have a neighbour there.
template <class T>
void GateAcross(const ChannelLine<T>& line, const float* mean, float* gate) {
  for (int64_t c = 0; c < line.channels; ++c) gate[c] = 0.0f;
  for (int64_t tap = 0; tap < line.size; ++tap) {
    const int64_t shift = tap - line.size / 2;
    const int64_t begin = shift < 0 ? -shift : 0, end = shift > 0 ? line.channels - shift : line.channels;
    const float weight = ToFloat(line.w[tap]);
    ForVectors(end - begin, [&](int64_t i, auto lanes) {
      float* at = gate + begin + i;
      Store(at, Load(at, lanes) + weight * Load(mean + begin + shift + i, lanes), lanes);
    });
  }
  Sigmoids(gate, line.channels, gate);
}

/// `kPlanes` planes from `plane` on, side by side: the map is loaded once for all of them.
template <int kPlanes, bool kMap, bool kResidual, class T>
inline void WeighPlanes(const Weighing<T>& job, int64_t plane) {
  const int64_t first = plane * job.pixels;
  Vec gates[kPlanes];
  for (int p = 0; p < kPlanes; ++p) gates[p] = All(job.gate == nullptr ? 1.0f : job.gate[plane + p]);
  ForVectors(job.pixels, [&](int64_t i, auto lanes) {
    const Vec map = kMap ? Load(job.map + i, lanes) : Vec{};
    FOVEA_UNROLLED for (int p = 0; p < kPlanes; ++p) {
      const int64_t at = first + p * job.pixels + i;
      Vec v = Load(job.x + at, lanes) * gates[p];
      if constexpr (kMap) v *= map;
      if constexpr (kResidual) v = Max(Vec{}, v + Load(job.r + at, lanes));
      Store(job.y + at, v, lanes);
    }
  });
}

template <bool kMap, bool kResidual, class T>
inline void WeighAll(const Weighing<T>& job) {
  constexpr int kAtOnce = kMap ? 4 : 1;
  int64_t plane = 0;
  for (; plane + kAtOnce <= job.planes; plane += kAtOnce) WeighPlanes<kAtOnce, kMap, kResidual>(job, plane);
  for (; plane < job.planes; ++plane) WeighPlanes<1, kMap, kResidual>(job, plane);
}

template <class T>
void Weigh(const Weighing<T>& job) {
  if (job.map == nullptr) {
    job.r == nullptr ? WeighAll<false, false>(job) : WeighAll<false, true>(job);
  } else {
    job.r == nullptr ? WeighAll<true, false>(job) : WeighAll<true, true>(job);
  }
}

}  // namespace FOVEA_ISA
}  // namespace fovea

#endif  // FOVEA_CPU_GATES_H_
