// Attention over sequences: scores, softmax, and the double normalisation of external attention.
#ifndef FOVEA_CPU_SEQUENCES_H_
#define FOVEA_CPU_SEQUENCES_H_

#include "cpu/contraction.h"
#include "cpu/pooling.h"
#include "cpu/simd.h"

namespace fovea {
namespace FOVEA_ISA {

struct Product {
  static constexpr int64_t kDepthAtOnce = 128;
  float scale;
  Vec Added(Vec sum, Vec a, Vec b, int64_t) const { return sum + a * b; }
  Vec Finished(Vec sum) const { return sum * scale; }
};

/// Differences first: norms and a product would cancel where a query is close to a key.
struct SquaredDistance {
  static constexpr int64_t kDepthAtOnce = 32;
  float scale;
  Vec Added(Vec sum, Vec a, Vec b, int64_t) const {
    const Vec difference = a - b;
    return sum + difference * difference;
  }
  Vec Finished(Vec sum) const { return sum * -scale; }
};

struct AdditiveTerm {
  static constexpr int64_t kDepthAtOnce = 32;
  const float* v;
  Vec Added(Vec sum, Vec a, Vec b, int64_t k) const { return sum + v[k] * Tanh(a + b); }
  Vec Finished(Vec sum) const { return sum; }
};

/// tanh(q + k) = 1 - 2 / (1 + exp(2q) exp(2k)): with a and b the two exponentials, one product and one reciprocal. The
/// halves are summed as they are: twice the sum of 1 / (1 + ab), taken from the sum of v, would cancel.
struct AdditiveTermOfExponentials {
  static constexpr int64_t kDepthAtOnce = 32;
  const float* v;
  Vec Added(Vec sum, Vec a, Vec b, int64_t k) const { return sum + v[k] * (0.5f - Reciprocal(1.0f + a * b)); }
  Vec Finished(Vec sum) const { return 2.0f * sum; }
};

inline Contraction Scores(const ScoreBlock& block) {
  return {block.q, block.k, block.scores, block.queries, block.depth, block.keys};
}

inline void Multiply(const MatrixProduct& job) {
  Contract({job.a, job.b, job.c, job.rows, job.depth, job.columns}, Product{job.scale});
}

inline void DistanceScores(const ScoreBlock& block) { Contract(Scores(block), SquaredDistance{block.scale}); }

inline void AdditiveScores(const ScoreBlock& block) { Contract(Scores(block), AdditiveTerm{block.v}); }

inline void AdditiveScoresOfExponentials(const ScoreBlock& block) {
  Contract(Scores(block), AdditiveTermOfExponentials{block.v});
}

/// exp(2 · 20) squared is 6e34: the product of two exponentials neither overflows nor vanishes.
constexpr float kLargestForExponentials = 20.0f;

inline bool ExponentialsFit(const float* values, int64_t n) {
  Vec largest{};
  ForVectors(n, [&](int64_t i, auto lanes) {
    const Vec v = Load(values + i, lanes);
    largest = Max(Max(v, -v), largest);
  });
  return MaxOf(largest) <= kLargestForExponentials;
}

inline void Exponentials(float* values, int64_t n) {
  ForVectors(n, [&](int64_t i, auto lanes) { Store(values + i, PreciseExp(2.0f * Load(values + i, lanes)), lanes); });
}

typedef float Quad __attribute__((vector_size(16)));

/// Four rows of four, `step_from` apart, become four columns.
inline void TransposeQuads(const float* from, int64_t step_from, float* to, int64_t step_to) {
  Quad rows[4];
  for (int i = 0; i < 4; ++i) std::memcpy(&rows[i], from + i * step_from, sizeof(Quad));
  const Quad low01 = __builtin_shufflevector(rows[0], rows[1], 0, 4, 1, 5);
  const Quad low23 = __builtin_shufflevector(rows[2], rows[3], 0, 4, 1, 5);
  const Quad high01 = __builtin_shufflevector(rows[0], rows[1], 2, 6, 3, 7);
  const Quad high23 = __builtin_shufflevector(rows[2], rows[3], 2, 6, 3, 7);
  const Quad columns[4] = {
      __builtin_shufflevector(low01, low23, 0, 1, 4, 5), __builtin_shufflevector(low01, low23, 2, 3, 6, 7),
      __builtin_shufflevector(high01, high23, 0, 1, 4, 5), __builtin_shufflevector(high01, high23, 2, 3, 6, 7)};
  for (int i = 0; i < 4; ++i) std::memcpy(to + i * step_to, &columns[i], sizeof(Quad));
}

/// Two matrices: how far apart their rows are.
struct Transposition {
  const float* from;
  int64_t from_step;
  float* to;
  int64_t to_step;
};

/// to (columns, rows) = from (rows, columns), transposed. Sixteen rows at a time, so that whole cache lines are written.
inline void TransposeBetween(const Transposition& job, int64_t rows, int64_t columns) {
  const auto& [from, from_step, to, to_step] = job;
  const int64_t whole_rows = rows / 4 * 4, whole_columns = columns / 4 * 4;
  for (int64_t i0 = 0; i0 < whole_rows; i0 += 16) {
    const int64_t i1 = i0 + 16 < whole_rows ? i0 + 16 : whole_rows;
    for (int64_t j = 0; j < whole_columns; j += 4) {
      for (int64_t i = i0; i < i1; i += 4) {
        TransposeQuads(from + i * from_step + j, from_step, to + j * to_step + i, to_step);
      }
    }
  }
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t j = i < whole_rows ? whole_columns : 0; j < columns; ++j) to[j * to_step + i] = from[i * from_step + j];
  }
}

inline void Transpose(const float* from, int64_t rows, int64_t columns, float* to) {
  TransposeBetween({from, columns, to, rows}, rows, columns);
}

/// Scores of keys that may not be attended become the lowest; whether any may.
inline bool ForbidMasked(float* scores, const uint8_t* mask, int64_t keys) {
  bool any = false;
  for (int64_t j = 0; j < keys; ++j) {
    any = any || mask[j] != 0;
    scores[j] = mask[j] != 0 ? scores[j] : kLowest;
  }
  return any;
}

/// What is further below the peak would be a subnormal number, or none.
constexpr float kVanishing = -87.0f;

inline void SoftmaxRow(float* scores, int64_t keys) {
  Vec largest = All(kLowest);
  ForVectors(keys, [&](int64_t j, auto lanes) {
    largest = Max(largest, FirstLanes(Load(scores + j, lanes), lanes, kLowest));
  });
  const float peak = MaxOf(largest);
  Vec total{};
  ForVectors(keys, [&](int64_t j, auto lanes) {
    const Vec shifted = Load(scores + j, lanes) - peak;
    const Vec e = shifted < kVanishing ? Vec{} : Exp(shifted);
    total += FirstLanes(e, lanes, 0.0f);
    Store(scores + j, e, lanes);
  });
  const float share = 1.0f / SumOf(total);
  ForVectors(keys, [&](int64_t j, auto lanes) { Store(scores + j, Load(scores + j, lanes) * share, lanes); });
}

inline void SoftmaxRows(float* scores, const uint8_t* mask, int64_t rows, int64_t keys) {
  for (int64_t i = 0; i < rows; ++i, scores += keys) {
    if (mask == nullptr || ForbidMasked(scores, mask + i * keys, keys)) {
      SoftmaxRow(scores, keys);
    } else {
      std::memset(scores, 0, sizeof(float) * static_cast<size_t>(keys));
    }
  }
}

/// Down the columns: `peaks` becomes each one's maximum, then `totals` the sum of its exponentials.
inline void SoftmaxColumns(float* scores, int64_t tokens, int64_t slots, float* peaks, float* totals) {
  ForVectors(slots, [&](int64_t s, auto lanes) {
    Vec peak = All(kLowest), total{};
    for (int64_t t = 0; t < tokens; ++t) peak = Max(peak, Load(scores + t * slots + s, lanes));
    for (int64_t t = 0; t < tokens; ++t) {
      const Vec e = Exp(Load(scores + t * slots + s, lanes) - peak);
      total += e;
      Store(scores + t * slots + s, e, lanes);
    }
    Store(peaks + s, peak, lanes);
    Store(totals + s, 1.0f / total, lanes);
  });
}

inline void NormaliseTwice(float* scores, int64_t tokens, int64_t slots, float epsilon, float* scratch) {
  float* shares = scratch + slots;
  SoftmaxColumns(scores, tokens, slots, scratch, shares);
  for (int64_t t = 0; t < tokens; ++t) {
    float* row = scores + t * slots;
    Vec total{};
    ForVectors(slots, [&](int64_t s, auto lanes) {
      const Vec share = Load(row + s, lanes) * Load(shares + s, lanes);
      total += FirstLanes(share, lanes, 0.0f);
      Store(row + s, share, lanes);
    });
    const float factor = 1.0f / (epsilon + SumOf(total));
    ForVectors(slots, [&](int64_t s, auto lanes) { Store(row + s, Load(row + s, lanes) * factor, lanes); });
  }
}

inline void Widen(const Half* from, int64_t n, float* to) {
  ForVectors(n, [&](int64_t i, auto lanes) { Store(to + i, Load(from + i, lanes), lanes); });
}

inline void Narrow(const float* from, int64_t n, Half* to) {
  ForVectors(n, [&](int64_t i, auto lanes) { Store(to + i, Load(from + i, lanes), lanes); });
}

}  // namespace FOVEA_ISA
}  // namespace fovea

#endif  // FOVEA_CPU_SEQUENCES_H_
