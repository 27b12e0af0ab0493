// Hard attention: of each row of scores one key, the largest or a drawn one.
#ifndef FOVEA_CPU_CHOICES_H_
#define FOVEA_CPU_CHOICES_H_

#include "cpu/simd.h"

namespace fovea {
namespace FOVEA_ISA {

typedef uint32_t BitVec __attribute__((vector_size(kLanes * 4)));
typedef uint32_t HalfBitVec __attribute__((vector_size(kLanes * 2)));
typedef float HalfVec __attribute__((vector_size(kLanes * 2)));
typedef double Wide __attribute__((vector_size(kLanes * 4)));
typedef int64_t WideInt __attribute__((vector_size(kLanes * 4)));

template <class Bits>
inline Bits Mixed(Bits x) {
  x ^= x >> 16;
  x *= 0x7feb352du;
  x ^= x >> 15;
  x *= 0x846ca68bu;
  return x ^ (x >> 16);
}

constexpr uint32_t kGolden = 0x9e3779b9u;

/// What the draws of a query start from.
inline uint32_t QueryState(int64_t seed, int64_t query) {
  const auto bits = static_cast<uint64_t>(seed);
  const uint32_t low = static_cast<uint32_t>(bits), high = static_cast<uint32_t>(bits >> 32);
  const uint32_t row = Mixed(low + Mixed(high + kGolden));
  return Mixed(row + kGolden * static_cast<uint32_t>(query + 1));
}

/// ln v to the last bit for v > 0 that is not subnormal: v = 2^e (1 + f) with 1 + f around 1, s = f / (2 + f), and
/// ln(1 + f) = f - f²/2 + s (f²/2 + 2/3 s² + 2/5 s⁴ + ...): f is exact, and what is rounded is small beside it.
inline Wide Log(Wide v) {
  WideInt bits;
  std::memcpy(&bits, &v, sizeof bits);
  constexpr int64_t kRootOfHalf = 0x3fe6a09e667f3bcd;
  const WideInt exponent = (bits - kRootOfHalf) >> 52;
  bits -= exponent << 52;
  Wide f;
  std::memcpy(&f, &bits, sizeof f);
  f -= 1.0;
  const Wide s = f / (2.0 + f), square = s * s;  // square <= 0.0295
  Wide series = square * (2.0 / 21.0) + 2.0 / 19.0;
  series = series * square + 2.0 / 17.0;
  series = series * square + 2.0 / 15.0;
  series = series * square + 2.0 / 13.0;
  series = series * square + 2.0 / 11.0;
  series = series * square + 2.0 / 9.0;
  series = series * square + 2.0 / 7.0;
  series = series * square + 2.0 / 5.0;
  series = (series * square + 2.0 / 3.0) * square;
  const Wide half_square = 0.5 * f * f;
  const Wide whole = __builtin_convertvector(exponent, Wide);  // times ln 2, of which the first part is exact
  const Wide rest = s * (half_square + series) + whole * 0x1.ef35793c76730p-45;
  return whole * 0x1.62e42fefa3800p-1 - ((half_square - rest) - f);
}

/// -log(-log u) of 22 bits.
inline HalfVec Gumbel(HalfBitVec bits) {
  const Wide uniform = (__builtin_convertvector(bits, Wide) + 0.5) * 0x1p-22;
  return __builtin_convertvector(-Log(-Log(uniform)), HalfVec);
}

/// Noise of the keys from `first` on.
inline Vec Noise(uint32_t state, int64_t first) {
  BitVec places;
  for (int64_t i = 0; i < kLanes; ++i) places[i] = static_cast<uint32_t>(first + i + 1);
  const BitVec bits = Mixed(places * kGolden + state) >> 10;
  HalfBitVec halves[2];
  std::memcpy(halves, &bits, sizeof bits);
  const HalfVec noise[2] = {Gumbel(halves[0]), Gumbel(halves[1])};
  Vec all;
  std::memcpy(&all, noise, sizeof all);
  return all;
}

/// All bits of the lanes whose byte is not 0.
inline IntVec Opened(const uint8_t* mask, int64_t count) {
  typedef uint8_t Bytes __attribute__((vector_size(kLanes)));
  Bytes bytes{};
  std::memcpy(&bytes, mask, static_cast<size_t>(count));
  return __builtin_convertvector(bytes, IntVec) != 0;
}

inline int64_t Count(Full) { return kLanes; }
inline int64_t Count(Part part) { return part.count; }

/// The first key of the largest score above -infinity; -1 where there is none. A NaN counts as infinity.
template <class T, class Noisy>
inline int64_t Chosen(const T* scores, const uint8_t* mask, int64_t keys, Noisy noisy) {
  constexpr float kNothing = -__builtin_inff();
  Vec best = All(kNothing);
  IntVec places{};
  places -= 1;
  IntVec here;
  for (int64_t i = 0; i < kLanes; ++i) here[i] = static_cast<int32_t>(i);
  ForVectors(keys, [&](int64_t j, auto lanes) {
    Vec score = FirstLanes(noisy(Load(scores + j, lanes), j), lanes, kNothing);
    score = score == score ? score : All(__builtin_inff());
    if (mask != nullptr) score = Opened(mask + j, Count(lanes)) ? score : All(kNothing);
    const IntVec better = score > best;
    best = better ? score : best;
    places = better ? here + static_cast<int32_t>(j) : places;
  });
  int64_t chosen = -1;
  float most = kNothing;
  for (int64_t i = 0; i < kLanes; ++i) {
    if (best[i] > most || (best[i] == most && places[i] >= 0 && places[i] < chosen)) {
      most = best[i];
      chosen = places[i];
    }
  }
  return chosen;
}

template <class T>
inline int64_t Largest(const T* scores, const uint8_t* mask, int64_t keys) {
  return Chosen(scores, mask, keys, [](Vec score, int64_t) { return score; });
}

template <class T>
inline int64_t Drawn(const T* scores, const uint8_t* mask, int64_t keys, int64_t seed, int64_t query) {
  const uint32_t state = QueryState(seed, query);
  return Chosen(scores, mask, keys, [&](Vec score, int64_t j) { return score + Noise(state, j); });
}

}  // namespace FOVEA_ISA
}  // namespace fovea

#endif  // FOVEA_CPU_CHOICES_H_
