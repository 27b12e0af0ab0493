// The maths of this processor.
#ifndef FOVEA_CPU_INSTRUCTION_SET_H_
#define FOVEA_CPU_INSTRUCTION_SET_H_

#include <type_traits>

#include "cpu/maths.h"

namespace fovea {

/// The functions of the best instruction set of this processor, or of the one that FOVEA_KERNELS_ISA names.
const Maths& BestMaths();

template <class T>
const FeatureMapMaths<T>& Maps() {
  if constexpr (std::is_same_v<T, float>) {
    return BestMaths().float_maps;
  } else {
    return BestMaths().half_maps;
  }
}

inline const SequenceMaths& Sequences() { return BestMaths().sequences; }

}  // namespace fovea

#endif  // FOVEA_CPU_INSTRUCTION_SET_H_
