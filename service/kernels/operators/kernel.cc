#include "operators/kernel.h"

#include <new>

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

float* ThreadMemory(int64_t floats) noexcept {
  thread_local std::unique_ptr<float[]> memory;
  thread_local int64_t size = 0;
  if (floats > size) {
    memory.reset(new (std::nothrow) float[static_cast<size_t>(floats)]);
    size = memory != nullptr ? floats : 0;
  }
  return memory.get();
}

void RequireShape(const char* name, const Shape& shape, const Shape& expected) {
  bool fits = shape.size() == expected.size();
  for (size_t i = 0; fits && i < shape.size(); ++i) fits = expected[i] == -1 || shape[i] == expected[i];
  if (!fits) throw Refusal(std::string(name) + " is " + ToText(shape) + ", expected " + ToText(expected));
}

}  // namespace fovea
