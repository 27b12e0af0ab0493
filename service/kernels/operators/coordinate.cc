// Coordinate attention over feature maps, X (N, C, H, W): a gate for every row and every column of each channel.
#include <utility>

#include "cpu/instruction_set.h"
#include "operators/conversion.h"
#include "operators/cpu_kernels.h"
#include "operators/feature_map.h"

namespace fovea {
namespace {

struct Sizes {
  int64_t images, channels, height, width, hidden;

  int64_t pixels() const { return height * width; }
  int64_t lines() const { return height + width; }
};

/// One image's stretch of the scratch memory: means and gates (channels, ·), the hidden units (hidden, ·).
struct Workspace {
  float *rows, *columns, *hidden;

  Workspace(const Sizes& sizes, float* memory) {
    const auto take = [&memory](int64_t floats) { return std::exchange(memory, memory + floats); };
    rows = take(sizes.channels * sizes.height);
    columns = take(sizes.channels * sizes.width);
    hidden = take(sizes.hidden * std::max(sizes.height, sizes.width));
  }
  static int64_t Floats(const Sizes& sizes) {
    return sizes.channels * sizes.lines() + sizes.hidden * std::max(sizes.height, sizes.width);
  }
};

/// A layer that all lines share: weights (out, in), bias (out).
template <class T>
struct Layer {
  InFloat<T> weights, bias;
};

template <class T, bool kResidual>
class CoordinateAttention : public Kernel {
 public:
  explicit CoordinateAttention(const Info&) {}

  void Compute(const Call& call) const override {
    const Input<T> x = FeatureMap<T>(call, 0);
    const Layer<T> squeeze = In(call, 1), to_rows = In(call, 3), to_columns = In(call, 5);
    const Sizes sizes = Checked(x.shape, squeeze, to_rows, to_columns);
    const T* r = kResidual ? Residual<T>(call, 7, x.shape) : nullptr;
    T* y = call.Out<T>(0, x.shape);
    T* rows = call.Out<T>(1, {sizes.images, sizes.channels, sizes.height});
    T* columns = call.Out<T>(2, {sizes.images, sizes.channels, sizes.width});
    if (sizes.pixels() == 0) return;
    call.ForEntries(sizes.images, Workspace::Floats(sizes), [&](int64_t n, float* memory, const auto& split) {
      const Workspace work(sizes, memory);
      const T* image = x.data + n * sizes.channels * sizes.pixels();
      split(sizes.channels, LeastPlanes(sizes.pixels()), [&](int64_t begin, int64_t end) noexcept {
        Maps<T>().pool_lines({image + begin * sizes.pixels(), work.rows + begin * sizes.height,
                              work.columns + begin * sizes.width, end - begin, sizes.height, sizes.width});
      });
      Gate(sizes, squeeze, to_rows, work.rows, sizes.height, work.hidden);
      Gate(sizes, squeeze, to_columns, work.columns, sizes.width, work.hidden);
      if (rows != nullptr) Write(work.rows, sizes.channels * sizes.height, rows + n * sizes.channels * sizes.height);
      if (columns != nullptr) Write(work.columns, sizes.channels * sizes.width, columns + n * sizes.channels * sizes.width);
      split(sizes.channels, LeastPlanes(sizes.pixels()), [&](int64_t begin, int64_t end) noexcept {
        const int64_t at = n * sizes.channels * sizes.pixels() + begin * sizes.pixels();
        Maps<T>().weigh_lines({x.data + at, From(r, at), y + at, work.rows + begin * sizes.height,
                               work.columns + begin * sizes.width, end - begin, sizes.height, sizes.width});
      });
    });
  }

 private:
  static Layer<T> In(const Call& call, size_t index) {
    return {{call.In<T>(index), kAlone}, {call.In<T>(index + 1), kAlone}};
  }

  static Sizes Checked(const Shape& x, const Layer<T>& squeeze, const Layer<T>& rows, const Layer<T>& columns) {
    RequireShape("W1", squeeze.weights.shape, {-1, x[1]});
    const int64_t hidden = squeeze.weights.shape[0];
    RequireShape("B1", squeeze.bias.shape, {hidden});
    RequireShape("Wr", rows.weights.shape, {x[1], hidden});
    RequireShape("Br", rows.bias.shape, {x[1]});
    RequireShape("Wc", columns.weights.shape, {x[1], hidden});
    RequireShape("Bc", columns.bias.shape, {x[1]});
    return {x[0], x[1], x[2], x[3], hidden};
  }

  /// The means of `count` lines, (channels, count), become their gates in place.
  static void Gate(const Sizes& sizes, const Layer<T>& squeeze, const Layer<T>& layer, float* lines, int64_t count,
                   float* hidden) {
    Sequences().multiply({squeeze.weights.data(), lines, hidden, sizes.hidden, sizes.channels, count, 1.0f});
    Maps<T>().hard_swishes(squeeze.bias.data(), sizes.hidden, count, hidden);
    Sequences().multiply({layer.weights.data(), hidden, lines, sizes.channels, sizes.hidden, count, 1.0f});
    Maps<T>().sigmoids(layer.bias.data(), sizes.channels, count, lines);
  }
};

template <bool kResidual>
Kernels Of() {
  return {Make<CoordinateAttention<float, kResidual>>, Make<CoordinateAttention<Half, kResidual>>};
}

}  // namespace

Kernels cpu::CoordinateAttention() { return Of<false>(); }
Kernels cpu::CoordinateAttentionAddRelu() { return Of<true>(); }

}  // namespace fovea
