// Hard attention: each query reads one value, that of the largest score or of a drawn key.
#include "operators/cpu_kernels.h"

namespace fovea {
namespace {

template <class T>
const ChoiceMaths<T>& Choices() {
  if constexpr (std::is_same_v<T, float>) {
    return BestMaths().float_choices;
  } else {
    return BestMaths().half_choices;
  }
}

/// One call: scores (batch, queries, keys), values (batch, keys, width); `mask`, `seeds` and `index` may be null.
template <class T>
struct Choosing {
  const T *scores, *values;
  const uint8_t* mask;
  const int64_t* seeds;
  T* y;
  int64_t* index;
  int64_t queries, keys, width;

  void Choose(int64_t row) const noexcept {
    const T* own = scores + row * keys;
    const uint8_t* allowed = mask == nullptr ? nullptr : mask + row * keys;
    const int64_t entry = row / queries;
    const int64_t chosen = seeds == nullptr
                               ? Choices<T>().largest(own, allowed, keys)
                               : Choices<T>().drawn(own, allowed, keys, seeds[entry], row % queries);
    T* to = y + row * width;
    if (chosen < 0) {
      std::fill_n(to, width, T{});
    } else {
      std::copy_n(values + (entry * keys + chosen) * width, width, to);
    }
    if (index != nullptr) index[row] = chosen;
  }
};

template <class T, bool kDraws>
class HardAttention : public Kernel {
 public:
  explicit HardAttention(const Info&) {}

  void Compute(const Call& call) const override {
    const Input<T> scores = call.In<T>(0), values = call.In<T>(1);
    const Input<int64_t> seeds = kDraws ? call.In<int64_t>(2) : Input<int64_t>{};
    const Input<bool> mask = call.In<bool>(kDraws ? 3 : 2);
    const Shape &all = scores.shape, &v = values.shape;
    RequireShape("Scores", all, {-1, -1, -1});
    RequireShape("V", v, {all[0], all[2], -1});
    if (kDraws) RequireShape("seed", seeds.shape, {all[0]});
    if (mask.data != nullptr) RequireShape("mask", mask.shape, all);
    T* y = call.Out<T>(0, {all[0], all[1], v[2]});
    int64_t* index = call.Out<int64_t>(1, {all[0], all[1]});
    const Choosing<T> choosing{scores.data, values.data, reinterpret_cast<const uint8_t*>(mask.data),
                               seeds.data,  y,           index,
                               all[1],      all[2],      v[2]};
    const int64_t least = std::max<int64_t>(kLeastElements / ((kDraws ? 16 : 1) * all[2] + v[2] + 1), 1);
    call.Split(all[0] * all[1], least, [&](int64_t begin, int64_t end) noexcept {
      for (int64_t row = begin; row < end; ++row) choosing.Choose(row);
    });
  }
};

}  // namespace

namespace cpu {

Kernels HardArgmaxAttention() { return {Make<HardAttention<float, false>>, Make<HardAttention<Half, false>>}; }
Kernels HardSampleAttention() { return {Make<HardAttention<float, true>>, Make<HardAttention<Half, true>>}; }

}  // namespace cpu
}  // namespace fovea
