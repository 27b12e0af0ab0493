// The tables. A new operator is a line; a kernel for the GPU goes into the line's last column.
#include "registry.h"

#include "operators/cpu_kernels.h"

namespace fovea {

// Kept for good, like everything that a thread may still use while the process exits.

const std::vector<Operator>& Operators() {
  static const auto& all = *new std::vector<Operator>{
      // name, inputs, outputs, in place, kernels on the CPU, kernels on CUDA
      {"SqueezeExcitation", "TTtTt", "TT", true, cpu::SqueezeExcitation(), {}},
      {"SqueezeExcitationAddRelu", "TTtTtT", "TT", true, cpu::SqueezeExcitationAddRelu(), {}},
      {"SqueezeGate", "T", "TT", true, cpu::SqueezeGate(), {}},
      {"SqueezeGateAddRelu", "TT", "TT", true, cpu::SqueezeGateAddRelu(), {}},
      {"SpatialAttention", "TT", "TT", true, cpu::SpatialAttention(), {}},
      {"SpatialAttentionAddRelu", "TTT", "TT", true, cpu::SpatialAttentionAddRelu(), {}},
      {"CBAM", "TTTTTT", "TTT", true, cpu::Cbam(), {}},
      {"CBAMAddRelu", "TTTTTTT", "TTT", true, cpu::CbamAddRelu(), {}},
      {"SimAM", "T", "TT", true, cpu::Simam(), {}},
      {"SimAMAddRelu", "TT", "TT", true, cpu::SimamAddRelu(), {}},
      {"Gate", "TT", "TT", true, cpu::Gate(), {}},
      {"GateAddRelu", "TTT", "TT", true, cpu::GateAddRelu(), {}},
      {"MaxPoolAttention", "T", "TT", true, cpu::MaxPoolAttention(), {}},
      {"MaxPoolAttentionAddRelu", "TT", "TT", true, cpu::MaxPoolAttentionAddRelu(), {}},
      {"EfficientChannelAttention", "TT", "TT", true, cpu::EfficientChannelAttention(), {}},
      {"EfficientChannelAttentionAddRelu", "TTT", "TT", true, cpu::EfficientChannelAttentionAddRelu(), {}},
      {"CoordinateAttention", "TTTTTTT", "TTT", true, cpu::CoordinateAttention(), {}},
      {"CoordinateAttentionAddRelu", "TTTTTTTT", "TTT", true, cpu::CoordinateAttentionAddRelu(), {}},
      {"AdditiveAttention", "TTTTm", "TT", false, cpu::AdditiveAttention(), {}},
      {"DistanceAttention", "TTTm", "TT", false, cpu::DistanceAttention(), {}},
      {"DotAttention", "TTTm", "TT", false, cpu::DotAttention(), {}},
      {"BilinearAttention", "TTTTm", "TT", false, cpu::BilinearAttention(), {}},
      {"MultiHeadAttention", "TTTmt", "TT", false, cpu::MultiHeadAttention(), {}},
      {"HardArgmaxAttention", "TTm", "Ti", false, cpu::HardArgmaxAttention(), {}},
      {"HardSampleAttention", "TTim", "Ti", false, cpu::HardSampleAttention(), {}},
      {"ExternalAttention", "TTT", "TT", false, cpu::ExternalAttention(), {}},
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
