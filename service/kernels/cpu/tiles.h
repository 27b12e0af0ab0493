// Products of small matrices, a tile of the result in registers at a time: what attention over blocks is made of.
#ifndef FOVEA_CPU_TILES_H_
#define FOVEA_CPU_TILES_H_

#include "cpu/simd.h"

namespace fovea {
namespace FOVEA_ISA {

// Rows and vectors of a tile: as many sums as registers hold beside `kTileVecs` of b and one of a.
#if defined(__AVX512F__)
constexpr int kTileRows = 6, kTileVecs = 4;  // 24 + 5 of 32 registers
#elif defined(__AVX2__)
constexpr int kTileRows = 6, kTileVecs = 2;  // 12 + 3 of 16
#else
constexpr int kTileRows = 4, kTileVecs = 2;
#endif

/// A number that is known when the code is compiled.
template <int kCount>
struct Fixed {
  constexpr operator int() const { return kCount; }
};

/// body(number of rows, first row) for n rows, as many as a tile has at a time.
template <class Body>
inline void ForRows(int64_t n, const Body& body) {
  int64_t row = 0;
  for (; row + kTileRows <= n; row += kTileRows) body(Fixed<kTileRows>{}, row);
  if constexpr (kTileRows > 4) {
    for (; row + 4 <= n; row += 4) body(Fixed<4>{}, row);
  }
  for (; row + 2 <= n; row += 2) body(Fixed<2>{}, row);
  if (row < n) body(Fixed<1>{}, row);
}

/// body(number of vectors), of which there are 1 to kMost.
template <int kMost, class Body>
inline void WithCount(int64_t vecs, const Body& body) {
  if constexpr (kMost > 1) {
    if (vecs < kMost) return WithCount<kMost - 1>(vecs, body);
  }
  body(Fixed<kMost>{});
}

/// body(number of vectors, first one) for vectors [begin, end), as many as a tile has at a time.
template <class Body>
inline void ForVecs(int64_t begin, int64_t end, const Body& body) {
  for (; begin < end; begin += kTileVecs) {
    const int64_t vecs = end - begin < kTileVecs ? end - begin : kTileVecs;
    WithCount<kTileVecs>(vecs, [&](auto count) { body(count, begin); });
  }
}

/// body(number of vectors, first column, lanes of the last vector) for n columns.
template <class Body>
inline void ForColumns(int64_t n, const Body& body) {
  const int64_t whole = n / kLanes;
  ForVecs(0, whole, [&](auto vecs, int64_t vec) { body(vecs, vec * kLanes, Full{}); });
  if (n % kLanes != 0) body(Fixed<1>{}, whole * kLanes, Part{n % kLanes});
}

/// body(r, v, where in c, lanes) for every vector of a tile.
template <int kRows, int kVecs, class Lanes, class Body>
inline void ForTile(float* c, int64_t step, Lanes last, const Body& body) {
  FOVEA_UNROLLED for (int r = 0; r < kRows; ++r, c += step) {
    FOVEA_UNROLLED for (int v = 0; v + 1 < kVecs; ++v) body(r, v, c + v * kLanes, Full{});
    body(r, kVecs - 1, c + (kVecs - 1) * kLanes, last);
  }
}

/// a, read one number at a time: row r, place k. One of the two steps is 1.
struct RowMajor {
  const float* data;
  int64_t row_step;
  float At(int64_t r, int64_t k) const { return data[r * row_step + k]; }
};
template <int64_t kStep>
struct ColumnMajor {
  const float* data;
  float At(int64_t r, int64_t k) const { return data[k * kStep + r]; }
};

/// sums[r][v] += Σ_k a[r][k] b[k][v] for k in [0, depth); `last`: the lanes of b's last vector.
template <int kRows, int kVecs, class A, class Lanes>
inline void AddProducts(Vec (&sums)[kRows][kVecs], const A& a, const float* b, int64_t b_step, int64_t depth,
                        Lanes last) {
  for (int64_t k = 0; k < depth; ++k, b += b_step) {
    Vec of_b[kVecs];
    FOVEA_UNROLLED for (int v = 0; v + 1 < kVecs; ++v) of_b[v] = Load(b + v * kLanes, Full{});
    of_b[kVecs - 1] = Load(b + (kVecs - 1) * kLanes, last);
    FOVEA_UNROLLED for (int r = 0; r < kRows; ++r) {
      const Vec of_a = All(a.At(r, k));
      FOVEA_UNROLLED for (int v = 0; v < kVecs; ++v) sums[r][v] += of_a * of_b[v];
    }
  }
}

}  // namespace FOVEA_ISA
}  // namespace fovea

#endif  // FOVEA_CPU_TILES_H_
