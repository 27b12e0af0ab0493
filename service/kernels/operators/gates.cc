// Attention over feature maps, X (N, C, H, W): gates per channel, per position, or both.
#include <optional>
#include <utility>

#include "cpu/instruction_set.h"
#include "operators/cpu_kernels.h"
#include "operators/feature_map.h"

namespace fovea {
namespace {

/// What the gate of a channel is made from: nothing (there is none), the mean of its plane, a convolution across the
/// means of all channels, or dense layers over the means, or means and maxima.
enum class Channels { kNone, kMean, kConvolution, kMlpOfMean, kMlpOfMeanAndMax };

/// What distinguishes the gated operators.
struct Gates {
  Channels channel;
  bool position;
  bool residual;
};

template <class T>
Bottleneck<T> DenseLayers(const Call& call, int64_t channels, const GateForm& form) {
  const Input<T> w1 = call.In<T>(1), b1 = call.In<T>(2), w2 = call.In<T>(3), b2 = call.In<T>(4);
  RequireShape("W1", w1.shape, {-1, channels});
  const int64_t hidden = w1.shape[0];
  if (b1.data != nullptr) RequireShape("B1", b1.shape, {hidden});
  RequireShape("W2", w2.shape, {channels, hidden});
  if (b2.data != nullptr) RequireShape("B2", b2.shape, {channels});
  return {w1.data, b1.data, w2.data, b2.data, channels, hidden, form};
}

template <class T>
ChannelLine<T> LineOfChannels(const Call& call, int64_t channels) {
  const Input<T> w = call.In<T>(1);
  RequireShape("W", w.shape, {1, 1, -1});
  if (w.shape[2] % 2 == 0) throw Refusal("W is " + ToText(w.shape) + ", expected a kernel of odd size");
  return {w.data, w.shape[2], channels};
}

template <class T>
PositionGate<T> Convolution(const Call& call, size_t index, const Shape& x) {
  const Input<T> w = call.In<T>(index);
  RequireShape("W", w.shape, {1, 2, -1, -1});
  if (w.shape[2] != w.shape[3] || w.shape[2] % 2 == 0) {
    throw Refusal("W is " + ToText(w.shape) + ", expected a square kernel of odd size");
  }
  return {w.data, w.shape[2], x[2], x[3]};
}

/// The gates of one call, with the memory that one image needs.
template <class T>
struct Plan {
  int64_t channels = 0, pixels = 0;
  std::optional<Bottleneck<T>> layers;
  std::optional<ChannelLine<T>> line;
  std::optional<PositionGate<T>> convolution;

  int64_t hidden() const { return layers ? 2 * layers->hidden : 0; }  // of the means, and of the maxima
  int64_t convolution_scratch() const { return convolution ? Maps<T>().position_gate_scratch(*convolution) : 0; }
  int64_t floats() const {
    return 3 * channels + hidden() + (convolution ? 3 * pixels : 0) + convolution_scratch();
  }
};

/// One image's stretch of the scratch memory.
template <class T>
struct Workspace {
  float *mean, *max, *gate, *hidden, *channel_mean, *channel_max, *map, *convolution;

  Workspace(const Plan<T>& plan, float* memory) {
    const auto take = [&memory](int64_t floats) { return std::exchange(memory, memory + floats); };
    mean = take(plan.channels);
    max = take(plan.channels);
    gate = take(plan.channels);
    hidden = take(plan.hidden());
    const int64_t pixels = plan.convolution ? plan.pixels : 0;
    channel_mean = take(pixels);
    channel_max = take(pixels);
    map = take(pixels);
    convolution = take(plan.convolution_scratch());
  }
};

/// One image: where it is read and written. Null: not there, or not wanted.
template <class T>
struct Image {
  const T *x, *r;
  T *y, *gate, *map;
};

/// An attribute, or what it is where the node does not have it.
template <class Value>
Value AttributeOr(const Info& info, const char* name, const Value& otherwise) {
  try {
    return info.GetAttribute<Value>(name);
  } catch (const Ort::Exception&) {
    return otherwise;
  }
}

/// Activation and gate of squeeze-and-excitation: ReLU and a sigmoid, unless the node says otherwise.
GateForm FormOf(const Info& info) {
  static const std::pair<const char*, Activation> kNames[] = {
      {"relu", Activation::kRelu}, {"silu", Activation::kSilu}, {"hard_swish", Activation::kHardSwish}};
  const std::string name = AttributeOr<std::string>(info, "activation", "relu");
  for (const auto& [known, activation] : kNames) {
    if (name == known) return {activation, AttributeOr(info, "slope", 0.0f)};
  }
  throw Refusal("activation is " + name + ", expected relu, silu or hard_swish");
}

template <class T, class GatesType>
class GatedAttention : public Kernel {
 public:
  explicit GatedAttention(const Info& info) {
    if constexpr (kGates.channel == Channels::kMlpOfMean) form_ = FormOf(info);
  }

  void Compute(const Call& call) const override {
    const Input<T> x = FeatureMap<T>(call, 0);
    const int64_t images = x.shape[0];
    const Plan<T> plan = PlanFor(call, x.shape);
    const T* r = kGates.residual ? Residual<T>(call, kInputs - 1, x.shape) : nullptr;
    T* y = call.Out<T>(0, x.shape);
    T* gate = kGates.channel == Channels::kNone ? nullptr : call.Out<T>(1, {images, plan.channels});
    T* map = kGates.position ? call.Out<T>(kOutputs - 1, {images, 1, x.shape[2], x.shape[3]}) : nullptr;
    call.ForEntries(images, plan.floats(), [&](int64_t n, float* memory, const auto& split) {
      const int64_t at = n * plan.channels * plan.pixels;
      const Image<T> image{x.data + at, From(r, at), y + at, From(gate, n * plan.channels), From(map, n * plan.pixels)};
      Attend(plan, image, memory, split);
    });
  }

  static constexpr Gates kGates = GatesType::kGates;
  static constexpr bool kDense =
      kGates.channel == Channels::kMlpOfMean || kGates.channel == Channels::kMlpOfMeanAndMax;
  static constexpr bool kLine = kGates.channel == Channels::kConvolution;
  static constexpr size_t kInputs =
      1 + (kDense ? 4 : 0) + (kLine ? 1 : 0) + (kGates.position ? 1 : 0) + (kGates.residual ? 1 : 0);
  static constexpr size_t kOutputs = 1 + (kGates.channel != Channels::kNone ? 1 : 0) + (kGates.position ? 1 : 0);

 private:
  Plan<T> PlanFor(const Call& call, const Shape& x) const {
    Plan<T> plan{x[1], x[2] * x[3], {}, {}, {}};
    if (kDense) plan.layers = DenseLayers<T>(call, plan.channels, form_);
    if (kLine) plan.line = LineOfChannels<T>(call, plan.channels);
    if (kGates.position) plan.convolution = Convolution<T>(call, kDense ? 5 : 1, x);
    return plan;
  }

  template <class Split>
  static void Attend(const Plan<T>& plan, const Image<T>& image, float* memory, const Split& split) {
    const Workspace<T> work(plan, memory);
    const float* gate = GateChannels(plan, image, work, split);
    const float* map = GatePositions(plan, image, work, gate, split);
    split(plan.channels, LeastPlanes(plan.pixels), [&](int64_t begin, int64_t end) noexcept {
      const int64_t at = begin * plan.pixels;
      Maps<T>().weigh({image.x + at, From(image.r, at), From(gate, begin), map, image.y + at, end - begin, plan.pixels});
    });
  }

  template <class Split>
  static const float* GateChannels(const Plan<T>& plan, const Image<T>& image, const Workspace<T>& work,
                                   const Split& split) {
    if constexpr (kGates.channel == Channels::kNone) return nullptr;
    constexpr bool kMax = kGates.channel == Channels::kMlpOfMeanAndMax;
    split(plan.channels, LeastPlanes(plan.pixels), [&](int64_t begin, int64_t end) noexcept {
      Maps<T>().pool(image.x + begin * plan.pixels, end - begin, plan.pixels, work.mean + begin,
                     kMax ? work.max + begin : nullptr);
    });
    if constexpr (kDense) {
      Maps<T>().gate(*plan.layers, work.mean, kMax ? work.max : nullptr, work.hidden, work.gate);
    } else if constexpr (kLine) {
      Maps<T>().gate_across(*plan.line, work.mean, work.gate);
    } else {
      Maps<T>().gate_directly(work.mean, plan.channels, work.gate);
    }
    if (image.gate != nullptr) Write(work.gate, plan.channels, image.gate);
    return work.gate;
  }

  template <class Split>
  static const float* GatePositions(const Plan<T>& plan, const Image<T>& image, const Workspace<T>& work,
                                    const float* gate, const Split& split) {
    if constexpr (!kGates.position) return nullptr;
    const ChannelPooling<T> job{image.x, gate, work.channel_mean, work.channel_max, plan.channels, plan.pixels};
    split(plan.pixels, kLeastElements / plan.channels + 64,
          [&](int64_t begin, int64_t end) noexcept { Maps<T>().pool_channels(job, begin, end); });
    Maps<T>().position_gate(*plan.convolution, work.channel_mean, work.channel_max, work.convolution, work.map);
    if (image.map != nullptr) Write(work.map, plan.pixels, image.map);
    return work.map;
  }

  GateForm form_;
};

template <Channels kChannel, bool kPosition, bool kResidual>
struct With {
  static constexpr Gates kGates{kChannel, kPosition, kResidual};
};

template <Channels kChannel, bool kPosition, bool kResidual>
Kernels Gated() {
  using Gates = With<kChannel, kPosition, kResidual>;
  return {Make<GatedAttention<float, Gates>>, Make<GatedAttention<Half, Gates>>};
}

}  // namespace

namespace cpu {

Kernels SqueezeExcitation() { return Gated<Channels::kMlpOfMean, false, false>(); }
Kernels SqueezeExcitationAddRelu() { return Gated<Channels::kMlpOfMean, false, true>(); }
Kernels SqueezeGate() { return Gated<Channels::kMean, false, false>(); }
Kernels SqueezeGateAddRelu() { return Gated<Channels::kMean, false, true>(); }
Kernels SpatialAttention() { return Gated<Channels::kNone, true, false>(); }
Kernels SpatialAttentionAddRelu() { return Gated<Channels::kNone, true, true>(); }
Kernels Cbam() { return Gated<Channels::kMlpOfMeanAndMax, true, false>(); }
Kernels CbamAddRelu() { return Gated<Channels::kMlpOfMeanAndMax, true, true>(); }
Kernels EfficientChannelAttention() { return Gated<Channels::kConvolution, false, false>(); }
Kernels EfficientChannelAttentionAddRelu() { return Gated<Channels::kConvolution, false, true>(); }

}  // namespace cpu
}  // namespace fovea
