// The registry of kernels: operator x device x element type.
//
// Registration, the tally and the list that callers ask for read these tables and keep none of their own.
#ifndef FOVEA_REGISTRY_H_
#define FOVEA_REGISTRY_H_

#include <vector>

#include "operators/kernel.h"

namespace fovea {

/// One operator, and its kernels by device, empty where it runs from its body there. Inputs and outputs have a letter
/// each: 'T' is of the element type, 't' too, but may be left out, 'i' is int64, 'm' a boolean mask, which may be left
/// out. Outputs after the first may all be left out.
struct Operator {
  const char* name;
  const char* inputs;
  const char* outputs;
  bool in_place;  ///< Y may take the memory of X
  Kernels cpu{};
  Kernels cuda{};
};

/// A device: as a session's entry `fovea.device` names it, and ONNX Runtime's provider for it.
struct Device {
  const char* name;
  const char* provider;
  Kernels Operator::*kernels;
};

/// An element type, by the protocol's name and ONNX Runtime's.
struct Element {
  const char* name;
  ONNXTensorElementDataType type;
  MakeKernel Kernels::*make;
};

/// Every operator that has a kernel; its place is its number in the tally.
const std::vector<Operator>& Operators();

const std::vector<Device>& Devices();
const std::vector<Element>& Elements();

/// What makes an operator's kernel; null where there is none for this device and element type.
inline MakeKernel KernelOf(const Operator& op, const Device& device, const Element& element) {
  return op.*(device.kernels).*(element.make);
}

}  // namespace fovea

#endif  // FOVEA_REGISTRY_H_
