#include "operators/kernel.h"

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

void RequireShape(const char* name, const Shape& shape, const Shape& expected) {
  bool fits = shape.size() == expected.size();
  for (size_t i = 0; fits && i < shape.size(); ++i) fits = expected[i] == -1 || shape[i] == expected[i];
  if (!fits) throw Refusal(std::string(name) + " is " + ToText(shape) + ", expected " + ToText(expected));
}

}  // namespace fovea
