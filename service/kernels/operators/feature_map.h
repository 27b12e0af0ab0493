// What the operators on feature maps, X (N, C, H, W), have in common.
#ifndef FOVEA_OPERATORS_FEATURE_MAP_H_
#define FOVEA_OPERATORS_FEATURE_MAP_H_

#include "operators/kernel.h"

namespace fovea {

template <class T>
Input<T> FeatureMap(const Call& call, size_t index) {
  Input<T> x = call.In<T>(index);
  RequireShape("X", x.shape, {-1, -1, -1, -1});
  if (x.shape[1] == 0) throw Refusal("X is " + ToText(x.shape) + ", expected at least one channel");
  return x;
}

/// The last input of an `…AddRelu` form.
template <class T>
const T* Residual(const Call& call, size_t index, const Shape& shape) {
  const Input<T> r = call.In<T>(index);
  RequireShape("R", r.shape, shape);
  return r.data;
}

/// Where a stretch of a tensor that may not be there begins.
template <class T>
T* From(T* data, int64_t at) {
  return data == nullptr ? nullptr : data + at;
}

/// Floats as the operator's element type.
template <class T>
void Write(const float* from, int64_t n, T* to) {
  if constexpr (std::is_same_v<T, float>) {
    std::copy_n(from, n, to);
  } else {
    Sequences().narrow(from, n, to);
  }
}

/// Planes of a job that has about kLeastElements of work, at `cost` of a plain pass over a pixel.
inline int64_t LeastPlanes(int64_t pixels, int64_t cost = 1) {
  return kLeastElements / cost / std::max<int64_t>(pixels, 1) + 1;
}

}  // namespace fovea

#endif  // FOVEA_OPERATORS_FEATURE_MAP_H_
