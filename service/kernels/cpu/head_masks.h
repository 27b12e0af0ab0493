// Which keys a query of a HeadBlock may attend: by position (causality, window), by a mask, by a bias of -infinity.
#ifndef FOVEA_CPU_HEAD_MASKS_H_
#define FOVEA_CPU_HEAD_MASKS_H_

#include "cpu/maths.h"
#include "cpu/sequences.h"
#include "cpu/simd.h"

namespace fovea {
namespace FOVEA_ISA {

/// From a key's scores to the next key's, whatever the number of queries.
constexpr int64_t kScoreStep = kHeadQueries;

/// Most keys whose scores are held at once; a multiple of the rows of a tile.
constexpr int64_t kHeadKeys = 120;

/// Scratch memory of `AddMasks`: one number for each score, by query and by key.
constexpr int64_t kBiasFloats = 2 * kHeadKeys * kScoreStep;

/// The score of a key that may not be attended.
constexpr float kClosed = -__builtin_inff();

/// [begin, end)
struct Range {
  int64_t begin, end;

  int64_t size() const { return end - begin; }
  Range Within(Range outer) const {
    const int64_t first = begin < outer.begin ? outer.begin : begin > outer.end ? outer.end : begin;
    return {first, end < first ? first : end > outer.end ? outer.end : end};
  }
};

/// Keys that causality and the window open to some of the block's queries [begin, end).
inline Range KeysOf(const HeadBlock& block, Range queries) {
  const int64_t first = block.first + queries.begin, last = block.first + queries.end - 1;
  const int64_t reach = block.causal ? 0 : block.window > 0 ? block.window : block.keys;
  return Range{block.window > 0 ? first - block.window : 0, last + reach + 1}.Within({0, block.keys});
}

/// The block's queries that causality and the window open to some of the keys.
inline Range QueriesOf(const HeadBlock& block, Range keys) {
  const int64_t window = block.window > 0 ? block.window : block.first + block.queries + block.keys;
  const int64_t behind = block.causal ? 0 : window;
  return Range{keys.begin - behind - block.first, keys.end + window - block.first}.Within({0, block.queries});
}

/// Closes what causality and the window close.
inline void RestrictByPosition(const HeadBlock& block, Range keys, float* scores) {
  const Range of_first = KeysOf(block, {0, 1}), of_last = KeysOf(block, {block.queries - 1, block.queries});
  if (of_last.begin <= keys.begin && of_first.end >= keys.end) return;
  const auto most = static_cast<int32_t>(block.window > 0 ? block.window : block.keys + block.queries + block.first);
  const int32_t ahead = block.causal ? 0 : most;
  for (int64_t k = keys.begin; k < keys.end; ++k, scores += kScoreStep) {
    IntVec place = Places() + static_cast<int32_t>(block.first - k);  // query - key
    for (int64_t q = 0; q < block.queries; q += kLanes, place += static_cast<int32_t>(kLanes)) {
      const Vec score = Load(scores + q, Full{});
      Store(scores + q, (place >= -ahead) & (place <= most) ? score : All(kClosed), Full{});
    }
  }
}

/// Whether all of n bytes are zero.
inline bool AllClosed(const uint8_t* allowed, int64_t n) {
  int64_t i = 0;
  for (; i + 8 <= n; i += 8) {
    uint64_t eight;
    std::memcpy(&eight, allowed + i, sizeof eight);
    if (eight != 0) return false;
  }
  for (; i < n; ++i) {
    if (allowed[i] != 0) return false;
  }
  return true;
}

inline bool AllClosed(const float* bias, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    if (bias[i] != kClosed) return false;
  }
  return true;
}

/// Whether the mask closes all of these keys to every query of the block.
template <class Number>
inline bool ClosesAll(const HeadMask<Number>& mask, int64_t queries, Range keys) {
  if (mask.data == nullptr) return false;
  for (int64_t q = 0; q < (mask.query_step == 0 ? 1 : queries); ++q) {
    const Number* numbers = mask.data + q * mask.query_step + keys.begin * mask.key_step;
    if (!AllClosed(numbers, mask.key_step == 0 ? 1 : keys.size())) return false;
  }
  return true;
}

inline bool ClosesAll(const HeadBlock& block, Range keys) {
  return ClosesAll(block.mask, block.queries, keys) || ClosesAll(block.bias, block.queries, keys);
}

/// Finite, however low, and with some room for a score: a query all of whose keys have it attends to all of them.
constexpr float kLowestBias = -1.6e38f;

/// What is added to the scores of query q: mask and bias as one number a key, in logarithms to base 2.
inline void BiasOf(const HeadBlock& block, int64_t q, Range keys, float* to) {
  const int64_t n = keys.size();
  const auto &[bias, bias_query, bias_key] = block.bias;
  const auto &[mask, mask_query, mask_key] = block.mask;
  for (int64_t i = 0; i < n; ++i) {
    const float given = bias == nullptr ? 0.0f : bias[q * bias_query + (keys.begin + i) * bias_key];
    to[i] = given < kLowestBias && given != kClosed ? kLowestBias * kLog2E : given * kLog2E;
  }
  if (mask == nullptr) return;
  for (int64_t i = 0; i < n; ++i) {
    to[i] = mask[q * mask_query + (keys.begin + i) * mask_key] != 0 ? to[i] : kClosed;
  }
}

/// A key's scores with one number for all queries added.
inline void AddBias(float* scores, float bias, int64_t queries) {
  if (bias == 0.0f) return;
  for (int64_t q = 0; q < queries; q += kLanes) {
    Store(scores + q, bias == kClosed ? All(kClosed) : Load(scores + q, Full{}) + bias, Full{});
  }
}

/// A key's scores with one number for each query added.
inline void AddBias(float* scores, const float* bias, int64_t queries) {
  for (int64_t q = 0; q < queries; q += kLanes) {
    const Vec added = Load(bias + q, Full{});
    Store(scores + q, added == All(kClosed) ? added : Load(scores + q, Full{}) + added, Full{});
  }
}

/// Adds mask and bias. A closed key's score is -infinity, whatever it was: NaN too.
inline void AddMasks(const HeadBlock& block, Range keys, float* scores, float* memory) {
  if (block.mask.data == nullptr && block.bias.data == nullptr) return;
  if (block.mask.query_step == 0 && block.bias.query_step == 0) {
    BiasOf(block, 0, keys, memory);
    for (int64_t k = 0; k < keys.size(); ++k) AddBias(scores + k * kScoreStep, memory[k], block.queries);
    return;
  }
  float* by_key = memory + kHeadKeys * kScoreStep;
  for (int64_t q = 0; q < block.queries; ++q) BiasOf(block, q, keys, memory + q * kHeadKeys);
  TransposeBetween({memory, kHeadKeys, by_key, kScoreStep}, block.queries, keys.size());
  for (int64_t k = 0; k < keys.size(); ++k) AddBias(scores + k * kScoreStep, by_key + k * kScoreStep, block.queries);
}

}  // namespace FOVEA_ISA
}  // namespace fovea

#endif  // FOVEA_CPU_HEAD_MASKS_H_
