// Compiled once for each instruction set, with -DFOVEA_ISA=portable, avx2 or avx512.
#include "cpu/maths.h"

#include "cpu/choices.h"
#include "cpu/convolution.h"
#include "cpu/gates.h"
#include "cpu/lines.h"
#include "cpu/multi_head.h"
#include "cpu/pooling.h"
#include "cpu/saliency.h"
#include "cpu/sequences.h"
#include "cpu/simam.h"
#include "cpu/simd.h"

namespace fovea {
namespace FOVEA_ISA {

template <class T>
constexpr FeatureMapMaths<T> Maps() {
  return {Pool<T>,          ChannelGate<T>,         Sigmoids,         GateAcross<T>,
          PoolChannels<T>,  PositionGateScratch<T>, GatePositions<T>, Weigh<T>,
          Simam<T>,         Pass<T>,                PassMaxima<T>,    PoolLines<T>,
          HardSwishes,      SigmoidsOfRows,         WeighLines<T>};
}

const Maths kMaths = {
    Maps<float>(),
    Maps<Half>(),
    {Multiply, Transpose, DistanceScores, ExponentialsFit, Exponentials, AdditiveScores, AdditiveScoresOfExponentials,
     SoftmaxRows, NormaliseTwice, HeadScratch, AttendHead, Widen, Narrow},
    {Largest<float>, Drawn<float>},
    {Largest<Half>, Drawn<Half>},
};

}  // namespace FOVEA_ISA
}  // namespace fovea
