// Which instruction set's functions run here.
#if !defined(FOVEA_ONLY_PORTABLE)
#include <cpuid.h>
#endif

#include <cstdlib>
#include <cstring>
#include <vector>

#include "cpu/instruction_set.h"

namespace fovea {
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
