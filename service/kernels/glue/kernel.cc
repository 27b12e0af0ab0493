#include "glue/kernel.h"

#if !defined(FOVEA_ONLY_PORTABLE)
#include <cpuid.h>
#endif

#include <cstdlib>
#include <cstring>

namespace fovea {

std::string ToText(const Shape& shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i) text += (i == 0 ? "" : ", ") + std::to_string(shape[i]);
  return text + "]";
}

int64_t Elements(const Shape& shape) {
  int64_t product = 1;
  for (const int64_t size : shape) product *= size;
  return product;
}

void RequireShape(const char* name, const Shape& shape, const Shape& expected) {
  bool fits = shape.size() == expected.size();
  for (size_t i = 0; fits && i < shape.size(); ++i) fits = expected[i] == -1 || shape[i] == expected[i];
  if (!fits) throw Refusal(std::string(name) + " is " + ToText(shape) + ", expected " + ToText(expected));
}

namespace {

struct InstructionSet {
  const char* name;
  const Maths* maths;
  bool supported;
};

#if !defined(FOVEA_ONLY_PORTABLE)
/// The bit of F16C, which Clang's __builtin_cpu_supports does not know by name.
bool ConvertsHalves() {
  unsigned int a = 0, b = 0, c = 0, d = 0;
  return __get_cpuid(1, &a, &b, &c, &d) != 0 && (c & bit_F16C) != 0;
}
#endif

std::vector<InstructionSet> InstructionSets() {
  std::vector<InstructionSet> sets;
#if !defined(FOVEA_ONLY_PORTABLE)
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && ConvertsHalves();
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  sets.push_back({"avx512", &avx512::kMaths, avx512});
  sets.push_back({"avx2", &avx2::kMaths, avx2});
#endif
  sets.push_back({"portable", &portable::kMaths, true});
  return sets;
}

/// A set that this processor lacks, or an unknown name, is passed over: the answer is right with any set.
const Maths& Chosen() {
  const char* wanted = std::getenv("FOVEA_KERNELS_ISA");
  const std::vector<InstructionSet> sets = InstructionSets();
  for (const InstructionSet& set : sets) {
    if (wanted != nullptr && set.supported && std::strcmp(wanted, set.name) == 0) return *set.maths;
  }
  for (const InstructionSet& set : sets) {
    if (set.supported) return *set.maths;
  }
  return portable::kMaths;
}

}  // namespace

const Maths& BestMaths() {
  static const Maths& chosen = Chosen();
  return chosen;
}

}  // namespace fovea
