// Compiled once for each instruction set, with -DFOVEA_ISA=portable, avx2 or avx512.
#include "maths/kernels.h"

#include "maths/convolution.h"
#include "maths/gates.h"
#include "maths/pooling.h"
#include "maths/sequences.h"
#include "maths/simam.h"
#include "maths/simd.h"

namespace fovea {
namespace FOVEA_ISA {

template <class T>
constexpr FeatureMapMaths<T> Maps() {
  return {Pool<T>,  ChannelGate<T>, Sigmoids, PoolChannels<T>, PositionGateScratch<T>, GatePositions<T>,
          Weigh<T>, Simam<T>};
}

const Maths kMaths = {
    Maps<float>(),
    Maps<Half>(),
    {Multiply, Transpose, DistanceScores, ExponentialsFit, Exponentials, AdditiveScores, AdditiveScoresOfExponentials,
     SoftmaxRows, NormaliseTwice, Widen, Narrow},
};

}  // namespace FOVEA_ISA
}  // namespace fovea
