// Attention by a score function over queries, keys and values.
//
// A block of query rows is scored against all keys, normalised and applied to the values before the next block: only
// (block, keys) scores are ever held, never (queries, keys, features).
#include "operators/conversion.h"
#include "operators/cpu_kernels.h"

namespace fovea {
namespace {

constexpr int64_t kBlockQueries = 48;  // a multiple of the 4 or 6 rows that the maths takes at once

enum class Score { kAdditive, kDistance, kDot, kBilinear };

/// Additive scores have a vector of their own, bilinear ones a matrix.
template <Score kScore>
constexpr bool kOwnInput = kScore == Score::kAdditive || kScore == Score::kBilinear;

struct Sizes {
  int64_t batch, queries, keys;
  int64_t given;  ///< size of a query as it comes in
  int64_t depth;  ///< what queries and keys are compared on
  int64_t width;  ///< of a value

  int64_t blocks() const { return (queries + kBlockQueries - 1) / kBlockQueries; }
  int64_t block_floats() const { return std::min(kBlockQueries, queries) * (keys + width); }
};

/// One call: whole tensors; `own`, `mask` and `p` may be null.
template <class T>
struct Problem {
  Sizes sizes;
  const float *q, *k, *v, *own;
  const uint8_t* mask;
  T *y, *p;
  float scale;
};

/// One entry of the batch: its keys and queries made ready once, then block by block.
template <class T, Score kScore>
class Entry {
 public:
  static int64_t Floats(const Sizes& sizes) {
    return sizes.depth * (sizes.keys + (kOwnInput<kScore> ? sizes.queries : 0));
  }

  Entry(const Problem<T>& problem, int64_t index, float* memory)
      : problem_(problem), sizes_(problem.sizes), index_(index), keys_(memory),
        queries_(memory + sizes_.depth * sizes_.keys) {}

  template <class Split>
  void Prepare(const Split& split) {
    Sequences().transpose(problem_.k + index_ * sizes_.keys * sizes_.depth, sizes_.keys, sizes_.depth, keys_);
    if constexpr (kScore == Score::kBilinear) {
      split(sizes_.queries, kLeastRows, [&](int64_t begin, int64_t end) noexcept {
        Sequences().multiply({given_queries() + begin * sizes_.given, problem_.own, queries_ + begin * sizes_.depth,
                              end - begin, sizes_.given, sizes_.depth, 1.0f});
      });
    } else if constexpr (kScore == Score::kAdditive) {
      const int64_t queries = sizes_.queries * sizes_.depth, all = queries + sizes_.keys * sizes_.depth;
      std::copy_n(given_queries(), queries, queries_);
      exponential_ = Sequences().exponentials_fit(keys_, all);  // queries follow keys
      if (!exponential_) return;
      split(all, kLeastElements / 8, [&](int64_t begin, int64_t end) noexcept {
        Sequences().exponentials(keys_ + begin, end - begin);
      });
    }
  }

  /// Attends with query rows [first, first + rows); `memory` is scratch of sizes.block_floats().
  void Attend(int64_t first, int64_t rows, float* memory) const {
    const int64_t row = index_ * sizes_.queries + first;
    const Target<T> probabilities{problem_.p == nullptr ? nullptr : problem_.p + row * sizes_.keys, memory};
    const Target<T> values{problem_.y + row * sizes_.width, memory + rows * sizes_.keys};
    float* scores = probabilities.floats();
    Compare({(kOwnInput<kScore> ? queries_ : given_queries()) + first * sizes_.depth, keys_, problem_.own, scores, rows,
             sizes_.keys, sizes_.depth, problem_.scale});
    const uint8_t* mask = problem_.mask == nullptr ? nullptr : problem_.mask + row * sizes_.keys;
    Sequences().softmax_rows(scores, mask, rows, sizes_.keys);
    Sequences().multiply({scores, problem_.v + index_ * sizes_.keys * sizes_.width, values.floats(), rows, sizes_.keys,
                          sizes_.width, 1.0f});
    probabilities.Deliver(rows * sizes_.keys);
    values.Deliver(rows * sizes_.width);
  }

 private:
  const float* given_queries() const { return problem_.q + index_ * sizes_.queries * sizes_.given; }

  void Compare(const ScoreBlock& block) const {
    const SequenceMaths& maths = Sequences();
    if constexpr (kScore == Score::kAdditive) {
      exponential_ ? maths.additive_scores_of_exponentials(block) : maths.additive_scores(block);
    } else if constexpr (kScore == Score::kDistance) {
      maths.distance_scores(block);
    } else {
      maths.multiply({block.q, block.k, block.scores, block.queries, block.depth, block.keys, block.scale});
    }
  }

  const Problem<T>& problem_;
  const Sizes& sizes_;
  int64_t index_;
  float *keys_, *queries_;
  bool exponential_ = false;
};

template <class T, Score kScore>
class ScoreAttention : public Kernel {
 public:
  static constexpr size_t kInputs = kOwnInput<kScore> ? 4 : 3;

  explicit ScoreAttention(const Info& info) {
    if constexpr (kScore != Score::kAdditive) scale_ = info.GetAttribute<float>("scale");
  }

  void Compute(const Call& call) const override {
    const auto split = call.Shared();
    const InFloat<T> q(call.In<T>(0), split), k(call.In<T>(1), split), v(call.In<T>(2), split);
    const InFloat<T> own(kOwnInput<kScore> ? call.In<T>(3) : Input<T>{}, split);
    const Sizes sizes = Checked(q.shape, k.shape, v.shape, own.shape);
    const Input<bool> mask = call.In<bool>(kInputs);
    if (mask.data != nullptr) RequireShape("mask", mask.shape, {sizes.batch, sizes.queries, sizes.keys});
    T* y = call.Out<T>(0, {sizes.batch, sizes.queries, sizes.width});
    T* p = call.Out<T>(1, {sizes.batch, sizes.queries, sizes.keys});
    const auto* allowed = reinterpret_cast<const uint8_t*>(mask.data);
    Run(call, {sizes, q.data(), k.data(), v.data(), own.data(), allowed, y, p, scale_});
  }

 private:
  static Sizes Checked(const Shape& q, const Shape& k, const Shape& v, const Shape& own) {
    RequireShape("Q", q, {-1, -1, -1});
    RequireShape("K", k, {q[0], -1, kScore == Score::kBilinear ? -1 : q[2]});
    RequireShape("V", v, {q[0], k[1], -1});
    if (kScore == Score::kAdditive) RequireShape("v", own, {q[2]});
    if (kScore == Score::kBilinear) RequireShape("W", own, {q[2], k[2]});
    return {q[0], q[1], k[1], q[2], k[2], v[2]};
  }

  /// Blocks of an entry share its keys; `lanes` of them are in work at once.
  static void Run(const Call& call, const Problem<T>& problem) {
    const Sizes& sizes = problem.sizes;
    const int64_t blocks = sizes.blocks(), lanes = Call::PartsAtOnce(sizes.batch, blocks);
    const int64_t prepared = Entry<T, kScore>::Floats(sizes), per_block = sizes.block_floats();
    if (blocks == 0) return;
    call.ForEntries(sizes.batch, prepared + lanes * per_block, [&](int64_t index, float* memory, const auto& split) {
      Entry<T, kScore> entry(problem, index, memory);
      entry.Prepare(split);
      split(lanes, 1, [&](int64_t begin, int64_t end) noexcept {
        float* block_memory = memory + prepared + begin * per_block;
        for (int64_t block = blocks * begin / lanes; block < blocks * end / lanes; ++block) {
          const int64_t first = block * kBlockQueries;
          entry.Attend(first, std::min(kBlockQueries, sizes.queries - first), block_memory);
        }
      });
    });
  }

  float scale_ = 1.0f;
};

template <Score kScore>
Kernels Scored() {
  return {Make<ScoreAttention<float, kScore>>, Make<ScoreAttention<Half, kScore>>};
}

}  // namespace

namespace cpu {

Kernels AdditiveAttention() { return Scored<Score::kAdditive>(); }
Kernels DistanceAttention() { return Scored<Score::kDistance>(); }
Kernels DotAttention() { return Scored<Score::kDot>(); }
Kernels BilinearAttention() { return Scored<Score::kBilinear>(); }

}  // namespace cpu
}  // namespace fovea
