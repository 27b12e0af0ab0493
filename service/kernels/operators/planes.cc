// Attention over feature maps that weighs every number by itself: SimAM, gates, and maxima of windows.
#include "cpu/instruction_set.h"
#include "operators/cpu_kernels.h"
#include "operators/feature_map.h"

namespace fovea {
namespace {

template <class T, bool kResidual>
class Simam : public Kernel {
 public:
  explicit Simam(const Info& info) : lambda_(info.GetAttribute<float>("lambda")) {}

  void Compute(const Call& call) const override {
    const Input<T> x = FeatureMap<T>(call, 0);
    const T* r = kResidual ? Residual<T>(call, 1, x.shape) : nullptr;
    T* y = call.Out<T>(0, x.shape);
    T* weights = call.Out<T>(1, x.shape);
    const int64_t planes = x.shape[0] * x.shape[1], pixels = x.shape[2] * x.shape[3];
    if (planes == 0 || pixels == 0) return;
    call.Split(planes, LeastPlanes(pixels, 4), [&](int64_t begin, int64_t end) noexcept {
      const int64_t at = begin * pixels;
      Maps<T>().simam({x.data + at, From(r, at), y + at, From(weights, at), end - begin, pixels, lambda_});
    });
  }

 private:
  float lambda_;
};

/// Of any rank: every number has a score of its own.
template <class T, bool kResidual>
class Gate : public Kernel {
 public:
  explicit Gate(const Info&) {}

  void Compute(const Call& call) const override {
    const Input<T> x = call.In<T>(0), scores = call.In<T>(1);
    RequireShape("S", scores.shape, x.shape);
    const T* r = kResidual ? Residual<T>(call, 2, x.shape) : nullptr;
    T* y = call.Out<T>(0, x.shape);
    T* gate = call.Out<T>(1, x.shape);
    call.Split(Elements(x.shape), kLeastElements / 2, [&](int64_t begin, int64_t end) noexcept {
      Maps<T>().pass({x.data + begin, scores.data + begin, From(r, begin), y + begin, From(gate, begin), end - begin});
    });
  }
};

template <class T, bool kResidual>
class MaxPoolAttention : public Kernel {
 public:
  explicit MaxPoolAttention(const Info& info) : size_(info.GetAttribute<int64_t>("size")) {
    if (size_ < 1) throw Refusal("size is " + std::to_string(size_) + ", expected at least 1");
  }

  void Compute(const Call& call) const override {
    const Input<T> x = FeatureMap<T>(call, 0);
    const T* r = kResidual ? Residual<T>(call, 1, x.shape) : nullptr;
    T* y = call.Out<T>(0, x.shape);
    T* mask = call.Out<T>(1, x.shape);
    const int64_t height = x.shape[2], width = x.shape[3], pixels = height * width;
    if (pixels == 0) return;
    call.ForEntries(x.shape[0] * x.shape[1], width, [&](int64_t plane, float* memory, const auto&) {
      const int64_t at = plane * pixels;
      Maps<T>().pass_maxima({x.data + at, From(r, at), y + at, From(mask, at), height, width, size_}, memory);
    });
  }

 private:
  int64_t size_;
};

template <template <class, bool> class KernelType, bool kResidual>
Kernels Of() {
  return {Make<KernelType<float, kResidual>>, Make<KernelType<Half, kResidual>>};
}

}  // namespace

namespace cpu {

Kernels Simam() { return Of<fovea::Simam, false>(); }
Kernels SimamAddRelu() { return Of<fovea::Simam, true>(); }
Kernels Gate() { return Of<fovea::Gate, false>(); }
Kernels GateAddRelu() { return Of<fovea::Gate, true>(); }
Kernels MaxPoolAttention() { return Of<fovea::MaxPoolAttention, false>(); }
Kernels MaxPoolAttentionAddRelu() { return Of<fovea::MaxPoolAttention, true>(); }

}  // namespace cpu
}  // namespace fovea
