// External attention: tokens against two learned memories, of keys and of values.
#include "operators/conversion.h"
#include "operators/cpu_kernels.h"

namespace fovea {
namespace {

template <class T>
class ExternalAttention : public Kernel {
 public:
  explicit ExternalAttention(const Info& info) : epsilon_(info.GetAttribute<float>("epsilon")) {
    int constant = 0;
    const Ort::ConstValue keys = info.GetTensorConstantInput(1, &constant);
    if (constant == 0) return;
    const Shape shape = keys.GetTensorTypeAndShapeInfo().GetShape();
    if (shape.size() != 2) return;  // Compute refuses it
    constant_keys_ = Transposed({static_cast<const T*>(keys.GetTensorRawData()), shape}, kAlone);
  }

  void Compute(const Call& call) const override {
    const auto split = call.Shared();
    const Input<T> x_in = call.In<T>(0), keys_in = call.In<T>(1), values_in = call.In<T>(2);
    const Sizes sizes = Checked(x_in.shape, keys_in.shape, values_in.shape);
    T* y = call.Out<T>(0, x_in.shape);
    T* a = call.Out<T>(1, {sizes.batch, sizes.tokens, sizes.slots});
    if (sizes.tokens == 0) return;
    const InFloat<T> x(x_in, split), values(values_in, split);
    const auto own_keys = constant_keys_ ? nullptr : Transposed(keys_in, split);
    const float* keys = (constant_keys_ ? constant_keys_ : own_keys)->get();
    call.ForEntries(sizes.batch, sizes.floats(), [&](int64_t b, float* memory, const auto& share) {
      const Target<T> map{a == nullptr ? nullptr : a + b * sizes.map(), memory + 2 * sizes.slots};
      const Target<T> out{y + b * sizes.out(), memory + 2 * sizes.slots + sizes.map()};
      Attend(sizes, {x.data() + b * sizes.out(), keys, values.data(), map.floats(), out.floats(), memory}, share);
      map.Deliver(sizes.map());
      out.Deliver(sizes.out());
    });
  }

 private:
  struct Sizes {
    int64_t batch, tokens, width, slots;

    int64_t map() const { return tokens * slots; }
    int64_t out() const { return tokens * width; }
    int64_t floats() const { return 2 * slots + map() + (kIsFloat<T> ? 0 : out()); }
  };

  /// One entry of the batch: x (tokens, width) -> map (tokens, slots) -> out (tokens, width).
  struct Entry {
    const float *x, *keys, *values;
    float *map, *out;
    float* scratch;  ///< 2 · slots
  };

  static Sizes Checked(const Shape& x, const Shape& keys, const Shape& values) {
    RequireShape("X", x, {-1, -1, -1});
    RequireShape("Mk", keys, {-1, x[2]});
    RequireShape("Mv", values, {keys[0], x[2]});
    return {x[0], x[1], x[2], keys[0]};
  }

  template <class Split>
  void Attend(const Sizes& sizes, const Entry& entry, const Split& split) const {
    const auto multiply = [&](const float* rows, const float* by, float* to, int64_t depth, int64_t columns) {
      split(sizes.tokens, kLeastRows, [&](int64_t begin, int64_t end) noexcept {
        Sequences().multiply({rows + begin * depth, by, to + begin * columns, end - begin, depth, columns, 1.0f});
      });
    };
    multiply(entry.x, entry.keys, entry.map, sizes.width, sizes.slots);
    Sequences().normalise_twice(entry.map, sizes.tokens, sizes.slots, epsilon_, entry.scratch);
    multiply(entry.map, entry.values, entry.out, sizes.slots, sizes.width);
  }

  template <class Split>
  static std::unique_ptr<const Scratch> Transposed(const Input<T>& given, const Split& split) {
    const InFloat<T> keys(given, split);
    auto to = std::make_unique<const Scratch>(Elements(given.shape));
    Sequences().transpose(keys.data(), keys.shape[0], keys.shape[1], to->get());
    return to;
  }

  float epsilon_;
  std::unique_ptr<const Scratch> constant_keys_;  ///< (width, slots), where the memory is a constant of the graph
};

}  // namespace

Kernels cpu::ExternalAttention() { return {Make<fovea::ExternalAttention<float>>, Make<fovea::ExternalAttention<Half>>}; }

}  // namespace fovea
