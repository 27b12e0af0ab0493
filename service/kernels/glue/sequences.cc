// Attention over sequences: score functions over queries, keys and values, and external attention over two memories.
//
// A block of query rows is scored against all keys, normalised and applied to the values before the next block: only
// (block, keys) scores are ever held, never (queries, keys, features).
#include "glue/kernel.h"

namespace fovea {
namespace {

constexpr int64_t kBlockQueries = 48;  // a multiple of the 4 or 6 rows that the maths takes at once
constexpr int64_t kMostLanes = 32;     // blocks that may be in work at once, each with scratch memory of its own
constexpr int64_t kLeastTokens = 64;   // of a job

const SequenceMaths& Sequences() { return BestMaths().sequences; }

template <class T>
constexpr bool kIsFloat = std::is_same_v<T, float>;

/// An input in float: as it is, or widened into memory of its own.
template <class T>
class InFloat {
 public:
  explicit InFloat(const Input<T>& input) : shape(input.shape) {
    if constexpr (kIsFloat<T>) {
      data_ = input.data;
    } else if (input.data != nullptr) {
      const int64_t n = Elements(input.shape);
      widened_ = std::make_unique<Scratch>(n);
      Sequences().widen(input.data, n, widened_->get());
      data_ = widened_->get();
    }
  }
  const float* data() const { return data_; }

  const Shape shape;

 private:
  static int64_t Elements(const Shape& shape) {
    int64_t product = 1;
    for (const int64_t size : shape) product *= size;
    return product;
  }

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

enum class Score { kAdditive, kDistance, kDot, kBilinear };

struct Sizes {
  int64_t batch, queries, keys, depth, width;  ///< depth: what queries and keys are compared on; width: of a value
};

template <class T, Score kScore>
class ScoreAttention : public Kernel {
 public:
  static constexpr bool kOwnInput = kScore == Score::kAdditive || kScore == Score::kBilinear;
  static constexpr size_t kInputs = kOwnInput ? 4 : 3;

  explicit ScoreAttention(const Info& info) {
    if constexpr (kScore != Score::kAdditive) scale_ = info.GetAttribute<float>("scale");
  }

  void Compute(const Call& call) const override {
    const InFloat<T> q(call.In<T>(0)), k(call.In<T>(1)), v(call.In<T>(2));
    const InFloat<T> own(kOwnInput ? call.In<T>(3) : Input<T>{});
    const Sizes sizes = Checked(q.shape, k.shape, v.shape, own.shape);
    const Input<bool> mask = call.In<bool>(kInputs);
    if (mask.data != nullptr) RequireShape("mask", mask.shape, {sizes.batch, sizes.queries, sizes.keys});
    T* y = call.Out<T>(0, {sizes.batch, sizes.queries, sizes.width});
    T* p = call.Out<T>(1, {sizes.batch, sizes.queries, sizes.keys});

    const Scratch keys(sizes.batch * sizes.depth * sizes.keys);
    const Scratch queries(kOwnInput ? sizes.batch * sizes.queries * sizes.depth : 0);
    const std::unique_ptr<bool[]> exponential(new bool[static_cast<size_t>(sizes.batch)]());
    call.Split(sizes.batch, 1, [&](int64_t begin, int64_t end) noexcept {
      for (int64_t b = begin; b < end; ++b) {
        float* keys_of_b = keys.get() + b * sizes.depth * sizes.keys;
        Sequences().transpose(k.data() + b * sizes.keys * sizes.depth, sizes.keys, sizes.depth, keys_of_b);
        float* queries_of_b = queries.get() + (kOwnInput ? b * sizes.queries * sizes.depth : 0);
        const float* q_of_b = q.data() + b * sizes.queries * q.shape[2];
        exponential[b] = Prepare(sizes, q_of_b, own, queries_of_b, keys_of_b);
      }
    });
    const float* compared = kOwnInput ? queries.get() : q.data();
    const auto* allowed = reinterpret_cast<const uint8_t*>(mask.data);
    RunBlocks(call, sizes, [&](int64_t b, int64_t first, int64_t rows, float* memory) noexcept {
      const int64_t row = b * sizes.queries + first;
      const Target<T> probabilities{p == nullptr ? nullptr : p + row * sizes.keys, memory};
      const ScoreBlock block{compared + row * sizes.depth,
                             keys.get() + b * sizes.depth * sizes.keys,
                             own.data(),
                             probabilities.floats(),
                             rows,
                             sizes.keys,
                             sizes.depth,
                             scale_};
      Compare(block, exponential[b]);
      Sequences().softmax_rows(block.scores, allowed == nullptr ? nullptr : allowed + row * sizes.keys, rows,
                               sizes.keys);
      const Target<T> values{y + row * sizes.width, memory + rows * sizes.keys};
      Sequences().multiply(block.scores, v.data() + b * sizes.keys * sizes.width, values.floats(), rows, sizes.keys,
                           sizes.width, 1.0f);
      probabilities.Deliver(rows * sizes.keys);
      values.Deliver(rows * sizes.width);
    });
  }

 private:
  static Sizes Checked(const Shape& q, const Shape& k, const Shape& v, const Shape& own) {
    RequireShape("Q", q, {-1, -1, -1});
    RequireShape("K", k, {q[0], -1, kScore == Score::kBilinear ? -1 : q[2]});
    RequireShape("V", v, {q[0], k[1], -1});
    if (kScore == Score::kAdditive) RequireShape("v", own, {q[2]});
    if (kScore == Score::kBilinear) RequireShape("W", own, {q[2], k[2]});
    return {q[0], q[1], k[1], k[2], v[2]};
  }

  /// What is done once for a batch entry's queries and transposed keys; true where additive scores run on exponentials.
  static bool Prepare(const Sizes& sizes, const float* q, const InFloat<T>& own, float* queries, float* keys) {
    if constexpr (kScore == Score::kBilinear) {
      Sequences().multiply(q, own.data(), queries, sizes.queries, own.shape[0], sizes.depth, 1.0f);
    }
    if constexpr (kScore == Score::kAdditive) {
      const int64_t query_floats = sizes.queries * sizes.depth, key_floats = sizes.keys * sizes.depth;
      std::copy_n(q, query_floats, queries);
      if (Sequences().exponentials_fit(queries, query_floats) && Sequences().exponentials_fit(keys, key_floats)) {
        Sequences().exponentials(queries, query_floats);
        Sequences().exponentials(keys, key_floats);
        return true;
      }
    }
    return false;
  }

  static void Compare(const ScoreBlock& block, bool exponential) {
    if constexpr (kScore == Score::kAdditive) {
      const SequenceMaths& maths = Sequences();
      exponential ? maths.additive_scores_of_exponentials(block) : maths.additive_scores(block);
    } else if constexpr (kScore == Score::kDistance) {
      Sequences().distance_scores(block);
    } else {
      Sequences().multiply(block.q, block.keys, block.scores, block.queries, block.depth, block.keys_count,
                           block.scale);
    }
  }

  /// work(batch entry, first query, queries, memory for their scores and values), for every block.
  template <class Work>
  static void RunBlocks(const Call& call, const Sizes& sizes, const Work& work) {
    const int64_t per_entry = (sizes.queries + kBlockQueries - 1) / kBlockQueries;
    const int64_t blocks = sizes.batch * per_entry, lanes = std::min(blocks, kMostLanes);
    if (blocks == 0) return;
    const int64_t floats = std::min(kBlockQueries, sizes.queries) * (sizes.keys + sizes.width);
    const Scratch scratch(lanes * floats);
    call.Split(lanes, 1, [&](int64_t begin, int64_t end) noexcept {
      for (int64_t block = blocks * begin / lanes; block < blocks * end / lanes; ++block) {
        const int64_t first = block % per_entry * kBlockQueries;
        work(block / per_entry, first, std::min(kBlockQueries, sizes.queries - first), scratch.get() + begin * floats);
      }
    });
  }

  float scale_ = 1.0f;
};

template <class T>
class ExternalAttention : public Kernel {
 public:
  explicit ExternalAttention(const Info& info) : epsilon_(info.GetAttribute<float>("epsilon")) {
    int constant = 0;
    const Ort::ConstValue keys = info.GetTensorConstantInput(1, &constant);
    if (constant == 0) return;
    const Shape shape = keys.GetTensorTypeAndShapeInfo().GetShape();
    if (shape.size() != 2) return;  // Compute refuses it
    constant_keys_ = Transposed(InFloat<T>({static_cast<const T*>(keys.GetTensorRawData()), shape}));
  }

  void Compute(const Call& call) const override {
    const Input<T> x_in = call.In<T>(0), keys_in = call.In<T>(1), values_in = call.In<T>(2);
    RequireShape("X", x_in.shape, {-1, -1, -1});
    const int64_t batch = x_in.shape[0], tokens = x_in.shape[1], width = x_in.shape[2];
    RequireShape("Mk", keys_in.shape, {-1, width});
    const int64_t slots = keys_in.shape[0];
    RequireShape("Mv", values_in.shape, {slots, width});
    T* y = call.Out<T>(0, x_in.shape);
    T* a = call.Out<T>(1, {batch, tokens, slots});
    if (batch == 0 || tokens == 0 || width == 0) return;

    const InFloat<T> x(x_in), values(values_in);
    const auto own_keys = constant_keys_ ? nullptr : Transposed(InFloat<T>(keys_in));
    const float* keys = (constant_keys_ ? constant_keys_ : own_keys)->get();
    const int64_t floats = 2 * slots + tokens * (slots + (kIsFloat<T> ? 0 : width));
    const Scratch scratch(batch * floats);
    const auto attend = [&](int64_t b, const auto& split) {
      float* memory = scratch.get() + b * floats;
      const float* rows = x.data() + b * tokens * width;
      const Target<T> map{a == nullptr ? nullptr : a + b * tokens * slots, memory + 2 * slots};
      const Target<T> out{y + b * tokens * width, memory + 2 * slots + tokens * slots};
      float *scores = map.floats(), *result = out.floats();
      split(tokens, kLeastTokens, [&](int64_t begin, int64_t end) noexcept {
        Sequences().multiply(rows + begin * width, keys, scores + begin * slots, end - begin, width, slots, 1.0f);
      });
      Sequences().normalise_twice(scores, tokens, slots, epsilon_, memory);
      split(tokens, kLeastTokens, [&](int64_t begin, int64_t end) noexcept {
        Sequences().multiply(scores + begin * slots, values.data(), result + begin * width, end - begin, slots, width,
                             1.0f);
      });
      map.Deliver(tokens * slots);
      out.Deliver(tokens * width);
    };
    call.ForEntries(batch, attend);
  }

 private:
  static std::shared_ptr<const Scratch> Transposed(const InFloat<T>& keys) {
    auto to = std::make_shared<const Scratch>(keys.shape[0] * keys.shape[1]);
    Sequences().transpose(keys.data(), keys.shape[0], keys.shape[1], to->get());
    return to;
  }

  float epsilon_;
  std::shared_ptr<const Scratch> constant_keys_;  ///< (width, slots), where the memory is a constant of the graph
};

template <Score kScore>
Operator Scored(const char* name) {
  using Float = ScoreAttention<float, kScore>;
  return {name, Float::kInputs, 2, true, false, Make<Float>, Make<ScoreAttention<Half, kScore>>};
}

}  // namespace

std::vector<Operator> SequenceOperators() {
  return {
      Scored<Score::kAdditive>("AdditiveAttention"),
      Scored<Score::kDistance>("DistanceAttention"),
      Scored<Score::kDot>("DotAttention"),
      Scored<Score::kBilinear>("BilinearAttention"),
      {"ExternalAttention", 3, 2, false, false, Make<ExternalAttention<float>>, Make<ExternalAttention<Half>>},
  };
}

}  // namespace fovea
