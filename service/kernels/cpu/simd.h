// A vector of floats and what kernels do with it, for the instruction set that this file is compiled for.
//
// Arithmetic is the compiler's own (GCC and Clang vector types); what has no operator is a function here. The last
// elements of a row are loaded and stored as a Part: lanes beyond its count are neither read nor written.
// Everything lives in a namespace named after the instruction set, and nothing here uses templates of the standard
// library: the linker would keep one copy of those, perhaps the one that this processor cannot run.
#ifndef FOVEA_CPU_SIMD_H_
#define FOVEA_CPU_SIMD_H_

#include <cstdint>
#include <cstring>

#if defined(__AVX2__)
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"  // GCC 12 warns of its own header's undefined vectors
#pragma GCC diagnostic ignored "-Wuninitialized"
#endif
#include <immintrin.h>
#endif

#include "cpu/maths.h"

namespace fovea {
namespace FOVEA_ISA {

#if defined(__AVX512F__)
constexpr int64_t kLanes = 16;
#elif defined(__AVX2__)
constexpr int64_t kLanes = 8;
#else
constexpr int64_t kLanes = 4;
#endif

typedef float Vec __attribute__((vector_size(kLanes * 4)));
typedef int32_t IntVec __attribute__((vector_size(kLanes * 4)));

/// All lanes.
struct Full {};

/// The first `count` lanes, 0 < count < kLanes.
struct Part {
  int64_t count;
};

// Adding to a vector of zeros would be an addition indeed: -0 + 0 is 0.
#if defined(__AVX512F__)
inline Vec All(float value) { return _mm512_set1_ps(value); }
#elif defined(__AVX2__)
inline Vec All(float value) { return _mm256_set1_ps(value); }
#else
inline Vec All(float value) { return Vec{value, value, value, value}; }
#endif

// Loads and stores ------------------------------------------------------------------------------------------------

inline Vec Load(const float* p, Full) {
  Vec v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

inline void Store(float* p, Vec v, Full) { std::memcpy(p, &v, sizeof v); }

#if defined(__AVX512F__)

inline __mmask16 Mask(Part part) { return static_cast<__mmask16>((1u << part.count) - 1u); }
inline Vec Load(const float* p, Part part) { return _mm512_maskz_loadu_ps(Mask(part), p); }
inline void Store(float* p, Vec v, Part part) { _mm512_mask_storeu_ps(p, Mask(part), v); }
inline Vec Load(const Half* p, Full) {
  return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
}
inline Vec Load(const Half* p, Part part) { return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(Mask(part), p)); }
inline void Store(Half* p, Vec v, Full) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT));
}
inline void Store(Half* p, Vec v, Part part) {
  _mm256_mask_storeu_epi16(p, Mask(part), _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT));
}
inline Vec FirstLanes(Vec v, Part part, float rest) { return _mm512_mask_mov_ps(All(rest), Mask(part), v); }

#elif defined(__AVX2__)

inline __m256i Mask(Part part) {
  alignas(32) static constexpr int32_t kBits[16] = {-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0};
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(kBits + 8 - part.count));
}
inline Vec Load(const float* p, Part part) { return _mm256_maskload_ps(p, Mask(part)); }
inline void Store(float* p, Vec v, Part part) { _mm256_maskstore_ps(p, Mask(part), v); }
inline Vec Load(const Half* p, Full) { return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))); }
inline Vec Load(const Half* p, Part part) {
  Half lanes[kLanes] = {};
  for (int64_t i = 0; i < part.count; ++i) lanes[i] = p[i];
  return Load(lanes, Full{});
}
inline void Store(Half* p, Vec v, Full) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm256_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT));
}
inline void Store(Half* p, Vec v, Part part) {
  Half lanes[kLanes];
  Store(lanes, v, Full{});
  for (int64_t i = 0; i < part.count; ++i) p[i] = lanes[i];
}
inline Vec FirstLanes(Vec v, Part part, float rest) {
  return _mm256_blendv_ps(All(rest), v, _mm256_castsi256_ps(Mask(part)));
}

#else

inline float Widened(Half half) {
  const uint32_t sign = static_cast<uint32_t>(half.bits & 0x8000u) << 16, rest = half.bits & 0x7fffu;
  uint32_t bits;
  if (rest >= 0x7c00u) {  // infinity, NaN
    bits = 0x7f800000u | (rest << 13);
  } else if (rest >= 0x0400u) {
    bits = (rest + 0x1c000u) << 13;
  } else {  // subnormal: exact as an integer times 2^-24
    const float value = static_cast<float>(rest) * 0x1p-24f;
    std::memcpy(&bits, &value, 4);
  }
  bits |= sign;
  float value;
  std::memcpy(&value, &bits, 4);
  return value;
}

inline Half Narrowed(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, 4);
  const uint32_t sign = (bits >> 16) & 0x8000u, rest = bits & 0x7fffffffu;
  uint32_t half;
  if (rest > 0x7f800000u) {
    half = 0x7e00u;
  } else if (rest >= 0x477ff000u) {  // rounds to 65536 or more
    half = 0x7c00u;
  } else if (rest < 0x38800000u) {  // subnormal: adding 1/2 leaves the rounded multiple of 2^-24 in the low bits
    float magnitude;
    std::memcpy(&magnitude, &rest, 4);
    magnitude += 0.5f;
    uint32_t shifted;
    std::memcpy(&shifted, &magnitude, 4);
    half = shifted - 0x3f000000u;
  } else {
    half = (rest - 0x38000000u + 0xfffu + ((rest >> 13) & 1u)) >> 13;
  }
  return Half{static_cast<uint16_t>(sign | half)};
}

inline Vec Load(const float* p, Part part) {
  Vec v{};
  for (int64_t i = 0; i < part.count; ++i) v[i] = p[i];
  return v;
}
inline void Store(float* p, Vec v, Part part) {
  for (int64_t i = 0; i < part.count; ++i) p[i] = v[i];
}
inline Vec Load(const Half* p, Part part) {
  Vec v{};
  for (int64_t i = 0; i < part.count; ++i) v[i] = Widened(p[i]);
  return v;
}
inline Vec Load(const Half* p, Full) { return Load(p, Part{kLanes}); }
inline void Store(Half* p, Vec v, Part part) {
  for (int64_t i = 0; i < part.count; ++i) p[i] = Narrowed(v[i]);
}
inline void Store(Half* p, Vec v, Full) { Store(p, v, Part{kLanes}); }
inline Vec FirstLanes(Vec v, Part part, float rest) {
  for (int64_t i = part.count; i < kLanes; ++i) v[i] = rest;
  return v;
}

#endif

inline Vec FirstLanes(Vec v, Full, float) { return v; }

inline float ToFloat(float value) { return value; }
inline float ToFloat(Half value) { return Load(&value, Part{1})[0]; }

// Arithmetic without an operator ------------------------------------------------------------------------------------

// The second operand comes out where either is NaN, as the instruction has it: Max(limit, x) keeps a NaN of x.
#if defined(__AVX512F__)
inline Vec Max(Vec a, Vec b) { return _mm512_max_ps(a, b); }
inline Vec Min(Vec a, Vec b) { return _mm512_min_ps(a, b); }
inline Vec Round(Vec v) { return _mm512_roundscale_ps(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
/// v · 2^n for whole n.
inline Vec TimesPowerOf2(Vec v, Vec n) { return _mm512_scalef_ps(v, n); }
/// 1 / v to the last bit or so for 2^-125 < |v| < 2^125: a division takes 10 cycles or more, this about 4.
inline Vec Reciprocal(Vec v) {
  const Vec guess = _mm512_rcp14_ps(v);
  return guess * (2.0f - v * guess);
}
inline float SumOf(Vec v) { return _mm512_reduce_add_ps(v); }
inline float MaxOf(Vec v) { return _mm512_reduce_max_ps(v); }
#else
#if defined(__AVX2__)
inline Vec Max(Vec a, Vec b) { return _mm256_max_ps(a, b); }
inline Vec Min(Vec a, Vec b) { return _mm256_min_ps(a, b); }
inline Vec Round(Vec v) { return _mm256_round_ps(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
#else
inline Vec Max(Vec a, Vec b) { return a > b ? a : b; }
inline Vec Min(Vec a, Vec b) { return a < b ? a : b; }
/// Nearest whole number, for |v| < 2^22.
inline Vec Round(Vec v) {
  const Vec magic = All(0x1.8p23f);
  return (v + magic) - magic;
}
#endif
/// v · 2^n for whole n from -126 to 127.
inline Vec TimesPowerOf2(Vec v, Vec n) {
  const IntVec bits = (__builtin_convertvector(n, IntVec) + 127) << 23;
  Vec power;
  std::memcpy(&power, &bits, sizeof power);
  return v * power;
}
inline Vec Reciprocal(Vec v) { return 1.0f / v; }
inline float SumOf(Vec v) {
  float sums[kLanes];
  Store(sums, v, Full{});
  for (int64_t half = kLanes / 2; half > 0; half /= 2)
    for (int64_t i = 0; i < half; ++i) sums[i] += sums[i + half];
  return sums[0];
}
inline float MaxOf(Vec v) {
  float largest = v[0];
  for (int64_t i = 1; i < kLanes; ++i) largest = v[i] > largest ? v[i] : largest;
  return largest;
}
#endif

/// Loads a vector that is used twice only once: GCC would read it from memory for each use.
inline void InRegister(Vec& v) {
#if defined(__AVX512F__)
  asm("" : "+v"(v));
#elif defined(__x86_64__)
  asm("" : "+x"(v));
#else
  (void)v;
#endif
}

/// Brings n numbers that are read, or written, soon into the cache; they may lie beyond the end of what there is.
inline void Prefetch(const float* p, int64_t n) {
  for (int64_t i = 0; i < n; i += 16) __builtin_prefetch(p + i);
}
inline void PrefetchToWrite(const float* p, int64_t n) {
  for (int64_t i = 0; i < n; i += 16) __builtin_prefetch(p + i, 1);
}

/// Before a short loop of fixed length: its array of vectors then stays in registers, and is not built in memory.
#if defined(__clang__)
#define FOVEA_UNROLLED _Pragma("unroll")
#else
#define FOVEA_UNROLLED _Pragma("GCC unroll 8")
#endif

// Loops -------------------------------------------------------------------------------------------------------------

/// Calls body(i, Full{}) for every whole vector of n elements, then body(i, Part{rest}) for what is left.
template <class Body>
inline void ForVectors(int64_t n, Body body) {
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) body(i, Full{});
  if (i < n) body(i, Part{n - i});
}

/// 0, 1, 2 ...
inline IntVec Places() {
  IntVec places;
  for (int64_t i = 0; i < kLanes; ++i) places[i] = static_cast<int32_t>(i);
  return places;
}

/// 2^t, to 1e-7 of itself, for t in [-126, 126].
inline Vec Exp2Within(Vec t) {
  const Vec whole = Round(t);
  const Vec f = t - whole;  // [-0.5, 0.5]; the polynomial's relative error is 7.5e-8 there
  Vec p = All(0.0013276471903871856f);
  p = p * f + 0.009675541363628044f;
  p = p * f + 0.055507132740314574f;
  p = p * f + 0.24022119723308313f;
  p = p * f + 0.6931469670642716f;
  p = p * f + 1.0000000716547885f;
  return TimesPowerOf2(p, whole);
}

/// 2^t for t in [-125, 125]; beyond that what it is there.
inline Vec Exp2(Vec t) { return Exp2Within(Min(All(125.0f), Max(All(-125.0f), t))); }

constexpr float kLog2E = 1.4426950408889634f;

/// e^v; its relative error grows by 1e-7 for every 1 of |v|, as the product is rounded.
inline Vec Exp(Vec v) { return Exp2(v * kLog2E); }

/// e^v to 2e-7 of itself for |v| up to 80: ln 2 in two parts keeps what the product would round away.
inline Vec PreciseExp(Vec v) {
  const Vec whole = Round(v * kLog2E);
  const Vec rest = (v - whole * 0.693359375f) + whole * 2.12194440e-4f;
  return TimesPowerOf2(Exp2(rest * kLog2E), whole);
}

inline Vec Sigmoid(Vec v) { return Reciprocal(1.0f + Exp2(v * -kLog2E)); }
inline Vec Tanh(Vec v) { return 1.0f - 2.0f * Reciprocal(1.0f + Exp2(v * (2.0f * kLog2E))); }

}  // namespace FOVEA_ISA
}  // namespace fovea

#endif  // FOVEA_CPU_SIMD_H_
