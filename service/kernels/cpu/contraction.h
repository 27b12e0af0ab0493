// Sums over a shared axis of two matrices, c[i][j] = Σ_k term(a[i][k], b[k][j]): products, squared distances, additive
// scores. A block of c is kept in registers while k runs; a is read one number at a time, b one vector at a time.
#ifndef FOVEA_CPU_CONTRACTION_H_
#define FOVEA_CPU_CONTRACTION_H_

#include "cpu/simd.h"

namespace fovea {
namespace FOVEA_ISA {

// Rows and vectors of a block: as many sums as registers hold beside `kVecs` of b and one of a.
#if defined(__AVX512F__)
constexpr int kBlockRows = 6, kBlockVecs = 4;  // 24 of 32 registers
#elif defined(__AVX2__)
constexpr int kBlockRows = 4, kBlockVecs = 2;  // 8 of 16: terms with an exponential need some too
#else
constexpr int kBlockRows = 4, kBlockVecs = 2;
#endif

/// a (rows, depth), b (depth, columns), c (rows, columns).
struct Contraction {
  const float *a, *b;
  float* c;
  int64_t rows, depth, columns;
};

/// A stretch of k: the first one sets c, later ones add to it, the last one finishes it.
struct Stretch {
  int64_t begin, end;
  bool first, last;
};

/// body(r, v, where in c, lanes) for every vector of a block.
template <int kRows, int kVecs, class Lanes, class Body>
inline void ForBlock(float* c, int64_t columns, Lanes last, Body body) {
  FOVEA_UNROLLED for (int r = 0; r < kRows; ++r, c += columns) {
    FOVEA_UNROLLED for (int v = 0; v + 1 < kVecs; ++v) body(r, v, c + v * kLanes, Full{});
    body(r, kVecs - 1, c + (kVecs - 1) * kLanes, last);
  }
}

template <int kRows, int kVecs, class Term, class Lanes>
inline void ContractBlock(const Contraction& job, const Stretch& stretch, int64_t row, int64_t column, const Term& term,
                          Lanes last) {
  Vec sums[kRows][kVecs] = {};
  const float* a = job.a + row * job.depth;
  const float* b = job.b + stretch.begin * job.columns + column;
  for (int64_t k = stretch.begin; k < stretch.end; ++k, b += job.columns) {
    Vec of_b[kVecs];
    for (int v = 0; v + 1 < kVecs; ++v) of_b[v] = Load(b + v * kLanes, Full{});
    of_b[kVecs - 1] = Load(b + (kVecs - 1) * kLanes, last);
    FOVEA_UNROLLED for (int r = 0; r < kRows; ++r) {
      const Vec of_a = All(a[r * job.depth + k]);
      FOVEA_UNROLLED for (int v = 0; v < kVecs; ++v) sums[r][v] = term.Added(sums[r][v], of_a, of_b[v], k);
    }
  }
  float* c = job.c + row * job.columns + column;
  const auto for_block = [&](const auto& body) { ForBlock<kRows, kVecs>(c, job.columns, last, body); };
  if (!stretch.first) for_block([&](int r, int v, float* at, auto lanes) { sums[r][v] += Load(at, lanes); });
  if (stretch.last) for_block([&](int r, int v, float*, auto) { sums[r][v] = term.Finished(sums[r][v]); });
  for_block([&](int r, int v, float* at, auto lanes) { Store(at, sums[r][v], lanes); });
}

template <int kVecs, class Term, class Lanes>
inline void ContractColumns(const Contraction& job, const Stretch& stretch, int64_t column, const Term& term,
                            Lanes last) {
  int64_t row = 0;
  for (; row + kBlockRows <= job.rows; row += kBlockRows) {
    ContractBlock<kBlockRows, kVecs>(job, stretch, row, column, term, last);
  }
  for (; row + 2 <= job.rows; row += 2) ContractBlock<2, kVecs>(job, stretch, row, column, term, last);
  if (row < job.rows) ContractBlock<1, kVecs>(job, stretch, row, column, term, last);
}

template <class Term>
inline void ContractStretch(const Contraction& job, const Stretch& stretch, const Term& term) {
  int64_t column = 0;
  for (; column + kBlockVecs * kLanes <= job.columns; column += kBlockVecs * kLanes) {
    ContractColumns<kBlockVecs>(job, stretch, column, term, Full{});
  }
  for (; column + kLanes <= job.columns; column += kLanes) ContractColumns<1>(job, stretch, column, term, Full{});
  if (column < job.columns) ContractColumns<1>(job, stretch, column, term, Part{job.columns - column});
}

/// At most Term::kDepthAtOnce of k is summed in one go, then added to what is in c: shorter sums round less.
template <class Term>
inline void Contract(const Contraction& job, const Term& term) {
  int64_t begin = 0;
  do {
    const int64_t end = begin + Term::kDepthAtOnce < job.depth ? begin + Term::kDepthAtOnce : job.depth;
    ContractStretch(job, {begin, end, begin == 0, end == job.depth}, term);
    begin = end;
  } while (begin < job.depth);
}

}  // namespace FOVEA_ISA
}  // namespace fovea

#endif  // FOVEA_CPU_CONTRACTION_H_
