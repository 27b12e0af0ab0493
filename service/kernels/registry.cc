// The tables. A new operator is a line; a kernel for the GPU goes into the line's last column.
#include "registry.h"

#include "operators/cpu_kernels.h"

namespace fovea {

// Kept for good, like everything that a thread may still use while the process exits.

const std::vector<Operator>& Operators() {
  static const auto& all = *new std::vector<Operator>{
      // name, inputs, outputs, masked, in place, kernels on the CPU, kernels on CUDA, seeded, choosing, biased
      {"SqueezeExcitation", 5, 2, false, true, cpu::SqueezeExcitation(), {}},
      {"SqueezeExcitationAddRelu", 6, 2, false, true, cpu::SqueezeExcitationAddRelu(), {}},
      {"SqueezeGate", 1, 2, false, true, cpu::SqueezeGate(), {}},
      {"SqueezeGateAddRelu", 2, 2, false, true, cpu::SqueezeGateAddRelu(), {}},
      {"SpatialAttention", 2, 2, false, true, cpu::SpatialAttention(), {}},
      {"SpatialAttentionAddRelu", 3, 2, false, true, cpu::SpatialAttentionAddRelu(), {}},
      {"CBAM", 6, 3, false, true, cpu::Cbam(), {}},
      {"CBAMAddRelu", 7, 3, false, true, cpu::CbamAddRelu(), {}},
      {"SimAM", 1, 2, false, true, cpu::Simam(), {}},
      {"SimAMAddRelu", 2, 2, false, true, cpu::SimamAddRelu(), {}},
      {"AdditiveAttention", 4, 2, true, false, cpu::AdditiveAttention(), {}},
      {"DistanceAttention", 3, 2, true, false, cpu::DistanceAttention(), {}},
      {"DotAttention", 3, 2, true, false, cpu::DotAttention(), {}},
      {"BilinearAttention", 4, 2, true, false, cpu::BilinearAttention(), {}},
      {"HardArgmaxAttention", 2, 2, true, false, cpu::HardArgmaxAttention(), {}, false, true},
      {"HardSampleAttention", 2, 2, true, false, cpu::HardSampleAttention(), {}, true, true},
      {"MultiHeadAttention", 3, 2, true, false, cpu::MultiHeadAttention(), {}, false, false, true},
      {"ExternalAttention", 3, 2, false, false, cpu::ExternalAttention(), {}},
  };
  return all;
}

const std::vector<Device>& Devices() {
  static const auto& all = *new std::vector<Device>{
      {"cpu", "CPUExecutionProvider", &Operator::cpu},
      {"cuda", "CUDAExecutionProvider", &Operator::cuda},
  };
  return all;
}

const std::vector<Element>& Elements() {
  static const auto& all = *new std::vector<Element>{
      {"FP32", ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, &Kernels::float32},
      {"FP16", ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16, &Kernels::float16},
  };
  return all;
}

}  // namespace fovea
