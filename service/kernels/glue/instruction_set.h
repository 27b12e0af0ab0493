// The maths of this processor.
#ifndef FOVEA_GLUE_INSTRUCTION_SET_H_
#define FOVEA_GLUE_INSTRUCTION_SET_H_

#include <type_traits>

#include "maths/kernels.h"

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

#endif  // FOVEA_GLUE_INSTRUCTION_SET_H_
