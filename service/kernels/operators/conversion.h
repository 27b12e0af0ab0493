// Between an operator's element type and the floats that attention over sequences is computed in.
#ifndef FOVEA_OPERATORS_CONVERSION_H_
#define FOVEA_OPERATORS_CONVERSION_H_

#include "operators/kernel.h"

namespace fovea {

template <class T>
constexpr bool kIsFloat = std::is_same_v<T, float>;

/// An input in float: as it is, or widened into memory of its own.
template <class T>
class InFloat {
 public:
  template <class Split>
  InFloat(const Input<T>& input, const Split& split) : shape(input.shape) {
    if constexpr (kIsFloat<T>) {
      data_ = input.data;
    } else if (input.data != nullptr) {
      const int64_t n = Elements(input.shape);
      widened_ = std::make_unique<Scratch>(n);
      split(n, kLeastElements, [&](int64_t begin, int64_t end) noexcept {
        Sequences().widen(input.data + begin, end - begin, widened_->get() + begin);
      });
      data_ = widened_->get();
    }
  }
  const float* data() const { return data_; }

  const Shape shape;

 private:
  const float* data_ = nullptr;
  std::unique_ptr<Scratch> widened_;
};

/// Where float results go: straight to an output, or to scratch memory from which `Deliver` narrows them.
template <class T>
struct Target {
  T* output;      ///< null: not wanted
  float* memory;  ///< as many floats, where `output` cannot take them

  float* floats() const {
    if constexpr (kIsFloat<T>) {
      return output != nullptr ? output : memory;
    } else {
      return memory;
    }
  }
  void Deliver(int64_t n) const {
    if constexpr (!kIsFloat<T>) {
      if (output != nullptr) Sequences().narrow(memory, n, output);
    }
  }
};

}  // namespace fovea

#endif  // FOVEA_OPERATORS_CONVERSION_H_
