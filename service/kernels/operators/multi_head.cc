// Attention of many heads: blocks of queries are shared out among threads, each with the keys of its head.
#include <atomic>
#include <new>

#include "operators/conversion.h"
#include "operators/cpu_kernels.h"

namespace fovea {
namespace {

/// Queries come in groups that fill a vector on any processor, blocks of them are alike.
constexpr int64_t kGroup = 16;

struct Sizes {
  int64_t batch, heads, queries, keys, depth, width;

  int64_t blocks() const { return (queries + kHeadQueries - 1) / kHeadQueries; }
  int64_t block_queries() const { return std::min(kHeadQueries, queries); }
  int64_t block_multiplications() const { return block_queries() * keys * (depth + width); }
  /// Of a head's blocks, where number `block` begins.
  int64_t FirstOf(int64_t block) const {
    return std::min((queries + kGroup - 1) / kGroup * block / blocks() * kGroup, queries);
  }
};

/// A mask or a bias over all heads, with the steps from row to row of the batch, and so on; 0 along an axis that it has
/// once for all.
template <class Number>
struct Broadcast {
  const Number* data = nullptr;
  int64_t row_step = 0, head_step = 0, query_step = 0, key_step = 0;

  HeadMask<Number> At(int64_t row, int64_t head, int64_t query) const {
    if (data == nullptr) return {};
    return {data + row * row_step + head * head_step + query * query_step, query_step, key_step};
  }
};

/// Refuses what does not broadcast to (batch, heads, queries, keys).
template <class Number>
Broadcast<Number> BroadcastTo(const Sizes& sizes, const char* name, const Number* data, const Shape& shape) {
  Broadcast<Number> result{data};
  if (data == nullptr) return result;
  const Shape full{sizes.batch, sizes.heads, sizes.queries, sizes.keys};
  int64_t* const steps[] = {&result.row_step, &result.head_step, &result.query_step, &result.key_step};
  int64_t step = 1;
  bool fits = shape.size() <= full.size();
  for (size_t i = 0; fits && i < shape.size(); ++i) {
    const int64_t size = shape[shape.size() - 1 - i];
    const size_t axis = full.size() - 1 - i;
    fits = size == 1 || size == full[axis];
    *steps[axis] = size == 1 ? 0 : step;
    step *= size;
  }
  if (!fits) throw Refusal(std::string(name) + " is " + ToText(shape) + ", expected it to broadcast to " + ToText(full));
  return result;
}

/// One call: whole tensors; `p` may be null.
template <class T>
struct Problem {
  Sizes sizes;
  const float *q, *k, *v;
  Broadcast<uint8_t> mask;
  Broadcast<float> bias;
  T *y, *p;
  float scale;
  bool causal;
  int64_t window;
};

template <class T>
class MultiHeadAttention : public Kernel {
 public:
  explicit MultiHeadAttention(const Info& info)
      : scale_(info.GetAttribute<float>("scale")), causal_(info.GetAttribute<int64_t>("causal") != 0),
        window_(info.GetAttribute<int64_t>("window")) {}

  void Compute(const Call& call) const override {
    const auto split = call.Shared();
    const InFloat<T> q(call.In<T>(0), split), k(call.In<T>(1), split), v(call.In<T>(2), split);
    const Sizes sizes = Checked(q.shape, k.shape, v.shape);
    const Input<bool> mask = call.In<bool>(3);
    const InFloat<T> bias(call.In<T>(4), split);
    T* y = call.Out<T>(0, {sizes.batch, sizes.heads, sizes.queries, sizes.width});
    T* p = call.Out<T>(1, {sizes.batch, sizes.heads, sizes.queries, sizes.keys});
    const auto allowed = BroadcastTo(sizes, "mask", reinterpret_cast<const uint8_t*>(mask.data), mask.shape);
    // A window of all keys is none; clamped, it can be added to a place.
    const int64_t window = window_ >= std::max(sizes.queries, sizes.keys) ? 0 : window_;
    Run(call, {sizes, q.data(), k.data(), v.data(), allowed, BroadcastTo(sizes, "bias", bias.data(), bias.shape), y, p,
               scale_, causal_, window});
  }

 private:
  static Sizes Checked(const Shape& q, const Shape& k, const Shape& v) {
    RequireShape("Q", q, {-1, -1, -1, -1});
    RequireShape("K", k, {q[0], q[1], -1, q[3]});
    RequireShape("V", v, {q[0], q[1], k[2], -1});
    return {q[0], q[1], q[2], k[2], q[3], v[3]};
  }

  static void Run(const Call& call, const Problem<T>& problem) {
    const Sizes& sizes = problem.sizes;
    const int64_t blocks = sizes.batch * sizes.heads * sizes.blocks();
    const int64_t floats = Sequences().head_scratch(sizes.depth) + Buffer(problem);
    std::atomic<bool> failed{false};
    call.Split(blocks, kLeastMultiplications / std::max<int64_t>(sizes.block_multiplications(), 1),
               [&](int64_t begin, int64_t end) noexcept {
                 float* memory = ThreadMemory(floats);
                 if (memory == nullptr) failed = true;
                 for (int64_t block = begin; memory != nullptr && block < end; ++block) Attend(problem, block, memory);
               });
    if (failed) throw std::bad_alloc();
  }

  /// Floats of a block's results, where the outputs cannot take them.
  static int64_t Buffer(const Problem<T>& problem) {
    const Sizes& sizes = problem.sizes;
    return kIsFloat<T> ? 0 : sizes.block_queries() * (sizes.width + (problem.p == nullptr ? 0 : sizes.keys));
  }

  static void Attend(const Problem<T>& problem, int64_t block, float* memory) {
    const Sizes& sizes = problem.sizes;
    const int64_t plane = block / sizes.blocks(), first = sizes.FirstOf(block % sizes.blocks());
    const int64_t queries = sizes.FirstOf(block % sizes.blocks() + 1) - first, begin = plane * sizes.queries + first;
    const int64_t row = plane / sizes.heads, head = plane % sizes.heads;
    float* results = memory + Sequences().head_scratch(sizes.depth);
    const Target<T> y{problem.y + begin * sizes.width, results};
    const Target<T> p{problem.p == nullptr ? nullptr : problem.p + begin * sizes.keys, results + queries * sizes.width};
    Sequences().attend_head({problem.q + begin * sizes.depth, problem.k + plane * sizes.keys * sizes.depth,
                             problem.v + plane * sizes.keys * sizes.width, y.floats(),
                             problem.p == nullptr ? nullptr : p.floats(), problem.mask.At(row, head, first),
                             problem.bias.At(row, head, first), first, queries, sizes.keys, sizes.depth,
                             sizes.width, problem.scale, problem.causal, problem.window, memory});
    y.Deliver(queries * sizes.width);
    p.Deliver(queries * sizes.keys);
  }

  float scale_;
  bool causal_;
  int64_t window_;
};

}  // namespace

Kernels cpu::MultiHeadAttention() {
  return {Make<fovea::MultiHeadAttention<float>>, Make<fovea::MultiHeadAttention<Half>>};
}

}  // namespace fovea
