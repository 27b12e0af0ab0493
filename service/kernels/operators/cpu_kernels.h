// The kernels of the CPU, as registry.cc lists them. Each is defined in the file that is named above it.
#ifndef FOVEA_OPERATORS_CPU_KERNELS_H_
#define FOVEA_OPERATORS_CPU_KERNELS_H_

#include "operators/kernel.h"

namespace fovea {
namespace cpu {

// gates.cc
Kernels SqueezeExcitation();
Kernels SqueezeExcitationAddRelu();
Kernels SqueezeGate();
Kernels SqueezeGateAddRelu();
Kernels SpatialAttention();
Kernels SpatialAttentionAddRelu();
Kernels Cbam();
Kernels CbamAddRelu();
Kernels EfficientChannelAttention();
Kernels EfficientChannelAttentionAddRelu();

// coordinate.cc
Kernels CoordinateAttention();
Kernels CoordinateAttentionAddRelu();

// planes.cc
Kernels Simam();
Kernels SimamAddRelu();
Kernels Gate();
Kernels GateAddRelu();
Kernels MaxPoolAttention();
Kernels MaxPoolAttentionAddRelu();

// scores.cc
Kernels AdditiveAttention();
Kernels DistanceAttention();
Kernels DotAttention();
Kernels BilinearAttention();

// multi_head.cc
Kernels MultiHeadAttention();

// hard.cc
Kernels HardArgmaxAttention();
Kernels HardSampleAttention();

// external.cc
Kernels ExternalAttention();

}  // namespace cpu
}  // namespace fovea

#endif  // FOVEA_OPERATORS_CPU_KERNELS_H_
