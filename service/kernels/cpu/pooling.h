// Pooling of feature maps, over the pixels of a plane and over the channels of a position.
#ifndef FOVEA_CPU_POOLING_H_
#define FOVEA_CPU_POOLING_H_

#include "cpu/simd.h"

namespace fovea {
namespace FOVEA_ISA {

constexpr float kLowest = -__builtin_inff();

/// Of pixels summed in one go: longer sums of floats round too much where a plane's mean is far from zero.
constexpr int64_t kStretch = 4096;

/// The sum of term(i, chain, lanes) over `count` elements from `begin`; lanes beyond a Part must be 0 there. Four
/// chains (0 to 3) at once hide the latency of an addition: 4 cycles, on 2 ports.
template <class Term>
inline float SumOfStretch(int64_t begin, int64_t count, const Term& term) {
  Vec sums[4] = {};
  const int64_t end = begin + count;
  int64_t i = begin;
  for (; i + 4 * kLanes <= end; i += 4 * kLanes) {
    FOVEA_UNROLLED for (int chain = 0; chain < 4; ++chain) sums[chain] += term(i + chain * kLanes, chain, Full{});
  }
  for (; i + kLanes <= end; i += kLanes) sums[0] += term(i, 0, Full{});
  if (i < end) sums[1] += term(i, 1, Part{end - i});
  return SumOf((sums[0] + sums[1]) + (sums[2] + sums[3]));
}

template <class Term>
inline float SumOfPlane(int64_t pixels, const Term& term) {
  double total = 0.0;
  for (int64_t begin = 0; begin < pixels; begin += kStretch) {
    total += SumOfStretch(begin, pixels - begin < kStretch ? pixels - begin : kStretch, term);
  }
  return static_cast<float>(total);
}

template <class T>
inline float PlaneMean(const T* x, int64_t pixels) {
  const auto pixel = [&](int64_t i, int, auto lanes) { return Load(x + i, lanes); };
  return SumOfPlane(pixels, pixel) / static_cast<float>(pixels);
}

template <class T>
inline void PlaneMeanAndMax(const T* x, int64_t pixels, float* mean, float* max) {
  Vec largest[4] = {All(kLowest), All(kLowest), All(kLowest), All(kLowest)};
  const auto pixel = [&](int64_t i, int chain, auto lanes) {
    const Vec v = Load(x + i, lanes);
    largest[chain] = Max(largest[chain], FirstLanes(v, lanes, kLowest));
    return v;
  };
  *mean = SumOfPlane(pixels, pixel) / static_cast<float>(pixels);
  *max = MaxOf(Max(Max(largest[0], largest[1]), Max(largest[2], largest[3])));
}

template <class T>
void Pool(const T* x, int64_t planes, int64_t pixels, float* mean, float* max) {
  for (int64_t plane = 0; plane < planes; ++plane, x += pixels) {
    if (max == nullptr) {
      mean[plane] = PlaneMean(x, pixels);
    } else {
      PlaneMeanAndMax(x, pixels, mean + plane, max + plane);
    }
  }
}

/// Folds `kCount` channels into the running sum and maximum of pixels [begin, end); channel 0 begins them.
template <int kCount, class T>
inline void FoldChannels(const ChannelPooling<T>& job, int64_t channel, int64_t begin, int64_t end) {
  const int64_t pixels = job.pixels;
  const T* x = job.x + channel * pixels;
  float *sum = job.mean, *max = job.max;
  const bool first = channel == 0;
  Vec gates[kCount];
  for (int c = 0; c < kCount; ++c) gates[c] = All(job.gate == nullptr ? 1.0f : job.gate[channel + c]);
  ForVectors(end - begin, [&](int64_t i, auto lanes) {
    const int64_t at = begin + i;
    Vec total = first ? Vec{} : Load(sum + at, lanes);
    Vec largest = first ? All(kLowest) : Load(max + at, lanes);
    for (int c = 0; c < kCount; ++c) {
      const Vec v = Load(x + c * pixels + at, lanes) * gates[c];
      total += v;
      largest = Max(largest, v);
    }
    Store(sum + at, total, lanes);
    Store(max + at, largest, lanes);
  });
}

template <class T>
void PoolChannels(const ChannelPooling<T>& job, int64_t begin, int64_t end) {
  constexpr int kAtOnce = 8;  // sum and maximum are stored once for 8 channels, not for each
  int64_t c = 0;
  for (; c + kAtOnce <= job.channels; c += kAtOnce) FoldChannels<kAtOnce>(job, c, begin, end);
  for (; c < job.channels; ++c) FoldChannels<1>(job, c, begin, end);
  float* mean = job.mean;
  const float share = 1.0f / static_cast<float>(job.channels);
  ForVectors(end - begin, [&](int64_t i, auto lanes) {
    Store(mean + begin + i, Load(mean + begin + i, lanes) * share, lanes);
  });
}

}  // namespace FOVEA_ISA
}  // namespace fovea

#endif  // FOVEA_CPU_POOLING_H_
