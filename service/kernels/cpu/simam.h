// SimAM (Yang et al. 2021): y = x · sigmoid(d / (4 (Σd / n + λ)) + 1/2), d = (x - mean)², n = pixels - 1, at least 1.
#ifndef FOVEA_CPU_SIMAM_H_
#define FOVEA_CPU_SIMAM_H_

#include "cpu/pooling.h"
#include "cpu/simd.h"

namespace fovea {
namespace FOVEA_ISA {

template <class T>
inline float SumOfSquares(const T* x, int64_t pixels, float mean) {
  return SumOfPlane(pixels, [&](int64_t i, int, auto lanes) {
    const Vec d = FirstLanes(Load(x + i, lanes) - mean, lanes, 0.0f);
    return d * d;
  });
}

/// Three passes over a plane, which mostly stays in the first-level cache (56·56 floats are 12.5 KB).
template <bool kResidual, bool kWeights, class T>
inline void SimamPlane(const SimamPlanes<T>& job, int64_t first) {
  const T* x = job.x + first;
  const float mean = PlaneMean(x, job.pixels);
  const int64_t others = job.pixels > 1 ? job.pixels - 1 : 1;
  const float variance = SumOfSquares(x, job.pixels, mean) / static_cast<float>(others);
  // sigmoid(e) = 1 / (1 + 2^(-e log2 e)): the factor of the exponent is folded into the two numbers of the plane.
  const float sharpness = -kLog2E / (4.0f * (variance + job.lambda));
  ForVectors(job.pixels, [&](int64_t i, auto lanes) {
    const Vec v = Load(x + i, lanes);
    const Vec d = v - mean;
    const Vec weights = Reciprocal(1.0f + Exp2(d * d * sharpness + (-0.5f * kLog2E)));
    Vec y = v * weights;
    if constexpr (kResidual) y = Max(Vec{}, y + Load(job.r + first + i, lanes));
    Store(job.y + first + i, y, lanes);
    if constexpr (kWeights) Store(job.weights + first + i, weights, lanes);
  });
}

template <bool kResidual, bool kWeights, class T>
inline void SimamJob(const SimamPlanes<T>& job) {
  for (int64_t plane = 0; plane < job.planes; ++plane) SimamPlane<kResidual, kWeights>(job, plane * job.pixels);
}

template <class T>
void Simam(const SimamPlanes<T>& job) {
  if (job.weights == nullptr) {
    job.r == nullptr ? SimamJob<false, false>(job) : SimamJob<true, false>(job);
  } else {
    job.r == nullptr ? SimamJob<false, true>(job) : SimamJob<true, true>(job);
  }
}

}  // namespace FOVEA_ISA
}  // namespace fovea

#endif  // FOVEA_CPU_SIMAM_H_
