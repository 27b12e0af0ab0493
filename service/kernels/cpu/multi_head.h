// Attention of one block of queries, key block by key block, with a softmax that is corrected as larger scores come
// (Milakov and Gimelshein 2018, Dao et al. 2022): no more scores are held than those of one block of keys.
//
// Scores lie the other way round, (keys, queries): queries are lanes, so that maxima and sums run down the columns,
// and neither keys nor values have to be brought into another order. They are logarithms to base 2.
#ifndef FOVEA_CPU_MULTI_HEAD_H_
#define FOVEA_CPU_MULTI_HEAD_H_

#include "cpu/head_masks.h"
#include "cpu/maths.h"
#include "cpu/sequences.h"
#include "cpu/simd.h"
#include "cpu/tiles.h"

namespace fovea {
namespace FOVEA_ISA {

/// Where a query's largest score begins. It is finite: what is subtracted from -infinity gives no NaN.
constexpr float kLeastPeak = -3.4028235e38f;

/// Where things lie in a block's scratch memory.
struct HeadMemory {
  float *peaks, *totals;  ///< (kScoreStep): of each query's scores so far the largest, and the sum of the weights
  float* factors;         ///< (kScoreStep): what the latest keys have made of earlier weights
  float* queries;         ///< (depth, kScoreStep)
  float* scores;          ///< (kHeadKeys, kScoreStep), then the weights
  float* bias;            ///< kBiasFloats

  explicit HeadMemory(const HeadBlock& block)
      : peaks(block.scratch), totals(peaks + kScoreStep), factors(totals + kScoreStep), queries(factors + kScoreStep),
        scores(queries + block.depth * kScoreStep), bias(scores + kHeadKeys * kScoreStep) {}
};

inline int64_t HeadScratch(int64_t depth) { return kScoreStep * (3 + depth + kHeadKeys) + kBiasFloats; }

/// Some of a head's keys, and whether they are the first or the last ones that are looked at.
struct KeyBlock {
  Range keys;
  bool first, last;
};

inline void Fill(float* to, int64_t n, float value) {
  for (int64_t i = 0; i < n; ++i) to[i] = value;
}

inline int64_t WholeVectors(int64_t n) { return (n + kLanes - 1) / kLanes; }

/// Queries, times scale, become columns; lanes behind the last query are zeros.
inline void LayOutQueries(const HeadBlock& block, const HeadMemory& memory) {
  const int64_t lanes = WholeVectors(block.queries) * kLanes;
  if (lanes != block.queries) Fill(memory.queries, block.depth * kScoreStep, 0.0f);
  TransposeBetween({block.q, block.depth, memory.queries, kScoreStep}, block.queries, block.depth);
  for (int64_t i = 0; i < block.depth; ++i) {
    float* row = memory.queries + i * kScoreStep;
    for (int64_t q = 0; q < lanes; q += kLanes) Store(row + q, Load(row + q, Full{}) * (block.scale * kLog2E), Full{});
  }
}

/// The scores of `kRows` keys and `kVecs` vectors of queries.
template <int kRows, int kVecs>
inline void ScoreTile(const HeadBlock& block, int64_t key, const float* queries, float* scores) {
  Vec sums[kRows][kVecs] = {};
  AddProducts(sums, RowMajor{block.k + key * block.depth, block.depth}, queries, kScoreStep, block.depth, Full{});
  ForTile<kRows, kVecs>(scores, kScoreStep, Full{}, [&](int r, int v, float* at, auto) { Store(at, sums[r][v], Full{}); });
}

/// What is soon read for the first time, or written: 8 % of the time of a batch that does not fit into the cache.
inline void FetchAhead(const HeadBlock& block, const KeyBlock& part, int64_t row, int64_t rows) {
  const int64_t key = part.keys.begin + row;
  Prefetch(block.k + (key + 2 * kTileRows) * block.depth, rows * block.depth);
  Prefetch(block.v + key * block.width, rows * block.width);
  if (part.first && row < block.queries) PrefetchToWrite(block.y + row * block.width, rows * block.width);
}

/// scores = keys · queries, of those vectors of queries that some key of a tile may be open to.
inline void ScoreKeys(const HeadBlock& block, const HeadMemory& memory, const KeyBlock& part) {
  ForRows(part.keys.size(), [&](auto rows, int64_t row) {
    FetchAhead(block, part, row, rows);
    const int64_t key = part.keys.begin + row;
    const Range open = QueriesOf(block, {key, key + rows});
    ForVecs(open.begin / kLanes, WholeVectors(open.end), [&](auto vecs, int64_t vec) {
      ScoreTile<rows, vecs>(block, key, memory.queries + vec * kLanes, memory.scores + row * kScoreStep + vec * kLanes);
    });
  });
}

/// 2^t for t <= 0, to 1e-7 of itself; 0 where that would be a subnormal number.
inline Vec PowerOf2(Vec t) {
  constexpr float kLeast = -126.0f;
  return t < kLeast ? Vec{} : Exp2Within(Max(All(kLeast), t));
}

/// Scores of `kVecs` vectors of queries, from `query` on, become the weights 2^(score - peak).
template <int kVecs>
inline void WeighKeys(const HeadMemory& memory, int64_t keys, int64_t query) {
  float* scores = memory.scores + query;
  Vec before[kVecs], peaks[kVecs], totals[kVecs];
  for (int v = 0; v < kVecs; ++v) peaks[v] = before[v] = Load(memory.peaks + query + v * kLanes, Full{});
  for (int64_t k = 0; k < keys; ++k) {
    FOVEA_UNROLLED for (int v = 0; v < kVecs; ++v) {
      peaks[v] = Max(peaks[v], Load(scores + k * kScoreStep + v * kLanes, Full{}));
    }
  }
  for (int v = 0; v < kVecs; ++v) {
    const Vec factor = PowerOf2(before[v] - peaks[v]);
    totals[v] = Load(memory.totals + query + v * kLanes, Full{}) * factor;
    Store(memory.factors + query + v * kLanes, factor, Full{});
    Store(memory.peaks + query + v * kLanes, peaks[v], Full{});
  }
  for (int64_t k = 0; k < keys; ++k) {
    FOVEA_UNROLLED for (int v = 0; v < kVecs; ++v) {
      float* at = scores + k * kScoreStep + v * kLanes;
      const Vec weight = PowerOf2(Load(at, Full{}) - peaks[v]);
      totals[v] += weight;
      Store(at, weight, Full{});
    }
  }
  for (int v = 0; v < kVecs; ++v) Store(memory.totals + query + v * kLanes, totals[v], Full{});
}

/// Weights (keys, queries) from one query on, and the values of the same keys, from one column on. Before they are
/// added, what is in y is multiplied by its row's factor (null: there is nothing yet), and at last by its share.
struct WeighedValues {
  const float *weights, *values;
  int64_t keys, width;
  const float *factors, *shares;
};

template <int kRows, int kVecs, class Lanes>
inline void AddValueTile(const WeighedValues& job, float* y, Lanes last) {
  Vec sums[kRows][kVecs] = {};
  const auto for_each = [&](const auto& body) { ForTile<kRows, kVecs>(y, job.width, last, body); };
  if (job.factors != nullptr) {
    for_each([&](int r, int v, float* at, auto lanes) { sums[r][v] = Load(at, lanes) * job.factors[r]; });
  }
  AddProducts(sums, ColumnMajor<kScoreStep>{job.weights}, job.values, job.width, job.keys, last);
  if (job.shares != nullptr) for_each([&](int r, int v, float*, auto) { sums[r][v] *= job.shares[r]; });
  for_each([&](int r, int v, float* at, auto lanes) { Store(at, sums[r][v], lanes); });
}

/// y = y · factors + weights · values; after the last keys, divided by the totals.
inline void AddValues(const HeadBlock& block, const HeadMemory& memory, const KeyBlock& part) {
  ForRows(block.queries, [&](auto rows, int64_t row) {
    if (part.last) Prefetch(block.q + (block.queries + row) * block.depth, rows * block.depth);  // of the next block
    const Range open = KeysOf(block, {row, row + rows}).Within(part.keys);
    const float* weights = memory.scores + (open.begin - part.keys.begin) * kScoreStep + row;
    const float* factors = part.first ? nullptr : memory.factors + row;
    const float* shares = part.last ? memory.totals + row : nullptr;
    ForColumns(block.width, [&](auto vecs, int64_t column, auto last) {
      const float* values = block.v + open.begin * block.width + column;
      AddValueTile<rows, vecs>({weights, values, open.size(), block.width, factors, shares},
                               block.y + row * block.width + column, last);
    });
  });
}

/// Totals become the shares by which weights are multiplied: 0 where nothing was weighed.
inline void TotalsToShares(const HeadBlock& block, const HeadMemory& memory) {
  for (int64_t q = 0; q < block.queries; ++q) {
    float& total = memory.totals[q];
    total = total == 0.0f ? 0.0f : 1.0f / total;
  }
}

/// Rows of p are scores so far.
inline void FinishMap(const HeadBlock& block, const HeadMemory& memory) {
  for (int64_t q = 0; q < block.queries; ++q) {
    float* p = block.p + q * block.keys;
    const float peak = memory.peaks[q], share = memory.totals[q];
    ForVectors(block.keys, [&](int64_t k, auto lanes) {
      Store(p + k, PowerOf2(Load(p + k, lanes) - peak) * share, lanes);
    });
  }
}

inline void AttendKeys(const HeadBlock& block, const HeadMemory& memory, const KeyBlock& part) {
  const Range keys = part.keys;
  ScoreKeys(block, memory, part);
  AddMasks(block, keys, memory.scores, memory.bias);
  RestrictByPosition(block, keys, memory.scores);
  if (block.p != nullptr) {
    TransposeBetween({memory.scores, kScoreStep, block.p + keys.begin, block.keys}, keys.size(), block.queries);
  }
  ForVecs(0, WholeVectors(block.queries),
          [&](auto vecs, int64_t vec) { WeighKeys<vecs>(memory, keys.size(), vec * kLanes); });
  if (part.last) TotalsToShares(block, memory);
  AddValues(block, memory, part);
}

/// `all` in blocks of the same size, without a small one at the end, and of whole tiles.
class KeyBlocks {
 public:
  explicit KeyBlocks(Range all) : all_(all) {
    const int64_t most = (all.size() + kHeadKeys - 1) / kHeadKeys, tiles = (all.size() + kTileRows - 1) / kTileRows;
    if (most > 0) step_ = (tiles + most - 1) / most * kTileRows;
  }
  int64_t count() const { return (all_.size() + step_ - 1) / step_; }
  Range operator[](int64_t index) const {
    const int64_t begin = all_.begin + index * step_;
    return Range{begin, begin + step_}.Within(all_);
  }

 private:
  Range all_;
  int64_t step_ = 1;
};

inline void AttendHead(const HeadBlock& block) {
  const HeadMemory memory(block);
  Fill(memory.peaks, kScoreStep, kLeastPeak);
  Fill(memory.totals, kScoreStep, 0.0f);
  if (block.p != nullptr) Fill(block.p, block.queries * block.keys, kClosed);
  LayOutQueries(block, memory);
  const KeyBlocks blocks(KeysOf(block, {0, block.queries}));
  int64_t last = blocks.count() - 1;
  while (last >= 0 && ClosesAll(block, blocks[last])) --last;
  if (last < 0) Fill(block.y, block.queries * block.width, 0.0f);
  bool first = true;
  for (int64_t i = 0; i <= last; ++i) {
    if (ClosesAll(block, blocks[i])) continue;
    AttendKeys(block, memory, {blocks[i], first, i == last});
    first = false;
  }
  if (block.p != nullptr) FinishMap(block, memory);
}

}  // namespace FOVEA_ISA
}  // namespace fovea

#endif  // FOVEA_CPU_MULTI_HEAD_H_
