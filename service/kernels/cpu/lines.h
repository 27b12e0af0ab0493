// Rows and columns of planes: their means, and what gates of them do to a feature map.
#ifndef FOVEA_CPU_LINES_H_
#define FOVEA_CPU_LINES_H_

#include "cpu/gates.h"
#include "cpu/pooling.h"
#include "cpu/saliency.h"
#include "cpu/simd.h"

namespace fovea {
namespace FOVEA_ISA {

/// The sums of the columns grow in `columns` while the rows are summed.
template <class T>
inline void PoolLinesOfPlane(const T* x, int64_t height, int64_t width, float* rows, float* columns) {
  for (int64_t i = 0; i < width; ++i) columns[i] = 0.0f;
  for (int64_t h = 0; h < height; ++h, x += width) {
    rows[h] = PlaneMean(x, width);
    ForVectors(width, [&](int64_t i, auto lanes) {
      Store(columns + i, Load(columns + i, lanes) + Load(x + i, lanes), lanes);
    });
  }
  const float share = 1.0f / static_cast<float>(height);
  ForVectors(width, [&](int64_t i, auto lanes) { Store(columns + i, Load(columns + i, lanes) * share, lanes); });
}

template <class T>
void PoolLines(const LinePooling<T>& job) {
  for (int64_t plane = 0; plane < job.planes; ++plane) {
    PoolLinesOfPlane(job.x + plane * job.height * job.width, job.height, job.width, job.rows + plane * job.height,
                     job.columns + plane * job.width);
  }
}

inline void HardSwishes(const float* bias, int64_t rows, int64_t count, float* values) {
  for (int64_t row = 0; row < rows; ++row, values += count) {
    ForVectors(count, [&](int64_t i, auto lanes) {
      Store(values + i, HardSwish(Load(values + i, lanes) + bias[row]), lanes);
    });
  }
}

inline void SigmoidsOfRows(const float* bias, int64_t rows, int64_t count, float* values) {
  for (int64_t row = 0; row < rows; ++row, values += count) {
    ForVectors(count, [&](int64_t i, auto lanes) {
      Store(values + i, Sigmoid(Load(values + i, lanes) + bias[row]), lanes);
    });
  }
}

template <bool kResidual, class T>
inline void WeighLinesOf(const LineWeighing<T>& job) {
  int64_t at = 0;
  for (int64_t plane = 0; plane < job.planes; ++plane) {
    const float* columns = job.columns + plane * job.width;
    for (int64_t h = 0; h < job.height; ++h, at += job.width) {
      const float row = job.rows[plane * job.height + h];
      ForVectors(job.width, [&](int64_t i, auto lanes) {
        const Vec product = Load(job.x + at + i, lanes) * row * Load(columns + i, lanes);
        Finish<kResidual>(product, job.r, job.y, at + i, lanes);
      });
    }
  }
}

template <class T>
void WeighLines(const LineWeighing<T>& job) {
  job.r == nullptr ? WeighLinesOf<false>(job) : WeighLinesOf<true>(job);
}

}  // namespace FOVEA_ISA
}  // namespace fovea

#endif  // FOVEA_CPU_LINES_H_
