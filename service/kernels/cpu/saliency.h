// Bottom-up attention: gates whose scores are given, and maxima of windows.
#ifndef FOVEA_CPU_SALIENCY_H_
#define FOVEA_CPU_SALIENCY_H_

#include "cpu/simd.h"

namespace fovea {
namespace FOVEA_ISA {

/// y[at] = the product, or relu of it plus r[at].
template <bool kResidual, class T, class Lanes>
inline void Finish(Vec product, const T* r, T* y, int64_t at, Lanes lanes) {
  if constexpr (kResidual) product = Max(Vec{}, product + Load(r + at, lanes));
  Store(y + at, product, lanes);
}

template <bool kResidual, bool kGate, class T>
inline void PassAll(const Passing<T>& job) {
  ForVectors(job.count, [&](int64_t i, auto lanes) {
    const Vec gate = Sigmoid(Load(job.scores + i, lanes));
    const Vec x = Load(job.x + i, lanes);
    if constexpr (kGate) Store(job.gate + i, gate, lanes);
    Finish<kResidual>(x * gate, job.r, job.y, i, lanes);
  });
}

template <class T>
void Pass(const Passing<T>& job) {
  if (job.gate == nullptr) {
    job.r == nullptr ? PassAll<false, false>(job) : PassAll<true, false>(job);
  } else {
    job.r == nullptr ? PassAll<false, true>(job) : PassAll<true, true>(job);
  }
}

/// NaN as infinity: whatever it is compared with, and in whatever order, it is a maximum.
inline Vec Ordered(Vec x) { return x == x ? x : All(__builtin_inff()); }

/// best[i] = the maximum of the window that column i of these lines is in.
template <class T>
inline void MaximaOfBand(const T* x, int64_t lines, int64_t width, int64_t size, float* best) {
  ForVectors(width, [&](int64_t i, auto lanes) {
    Vec largest = Ordered(Load(x + i, lanes));
    for (int64_t line = 1; line < lines; ++line) largest = Max(largest, Ordered(Load(x + line * width + i, lanes)));
    Store(best + i, largest, lanes);
  });
  for (int64_t begin = 0; begin < width; begin += size) {
    const int64_t end = begin + size < width ? begin + size : width;
    float largest = best[begin];
    for (int64_t i = begin + 1; i < end; ++i) largest = best[i] > largest ? best[i] : largest;
    for (int64_t i = begin; i < end; ++i) best[i] = largest;
  }
}

template <bool kResidual, bool kMask, class T>
inline void PassMaximaOf(const PlaneOfWindows<T>& plane, float* best) {
  for (int64_t h = 0; h < plane.height; h += plane.size) {
    const int64_t lines = h + plane.size < plane.height ? plane.size : plane.height - h;
    MaximaOfBand(plane.x + h * plane.width, lines, plane.width, plane.size, best);
    for (int64_t line = h; line < h + lines; ++line) {
      ForVectors(plane.width, [&](int64_t i, auto lanes) {
        const int64_t at = line * plane.width + i;
        const Vec x = Load(plane.x + at, lanes);
        const auto passes = Ordered(x) == Load(best + i, lanes);
        if constexpr (kMask) Store(plane.mask + at, passes ? All(1.0f) : Vec{}, lanes);
        Finish<kResidual>(passes ? x : Vec{}, plane.r, plane.y, at, lanes);
      });
    }
  }
}

template <class T>
void PassMaxima(const PlaneOfWindows<T>& plane, float* best) {
  if (plane.mask == nullptr) {
    plane.r == nullptr ? PassMaximaOf<false, false>(plane, best) : PassMaximaOf<true, false>(plane, best);
  } else {
    plane.r == nullptr ? PassMaximaOf<false, true>(plane, best) : PassMaximaOf<true, true>(plane, best);
  }
}

}  // namespace FOVEA_ISA
}  // namespace fovea

#endif  // FOVEA_CPU_SALIENCY_H_
