// What the glue calls: tables of functions on plain pointers, one set for each instruction set.
//
// Tensors are contiguous, in row-major order. T is float or Half; whatever T is, sums and gates are computed in float.
// Nothing here allocates, throws or starts threads: the caller splits the work and brings the scratch memory.
#ifndef FOVEA_CPU_MATHS_H_
#define FOVEA_CPU_MATHS_H_

#include <cstdint>

namespace fovea {

/// IEEE 754 binary16.
struct Half {
  uint16_t bits;
};

enum class Activation { kRelu, kSilu, kHardSwish };

/// What stands between the dense layers of a channel gate, and what follows them: a sigmoid, or, where the slope is
/// above 0, a line of that slope through 1/2 between 0 and 1.
struct GateForm {
  Activation activation = Activation::kRelu;
  float slope = 0.0f;
};

/// The two dense layers of a channel gate: w1 (hidden, channels), b1 (hidden), w2 (channels, hidden), b2 (channels);
/// each bias may be null.
template <class T>
struct Bottleneck {
  const T *w1, *b1, *w2, *b2;
  int64_t channels, hidden;
  GateForm form;
};

/// The odd convolution across the channels of a channel gate: w (size).
template <class T>
struct ChannelLine {
  const T* w;
  int64_t size, channels;
};

/// y = x · sigmoid(scores), or relu of that plus r. `r` and `gate`, where the sigmoids go, may be null.
template <class T>
struct Passing {
  const T *x, *scores, *r;
  T *y, *gate;
  int64_t count;
};

/// One plane: y = x where x is the maximum of its window of size x size, 0 elsewhere, or relu of that plus r. `r` and
/// `mask`, of zeros and ones, may be null.
template <class T>
struct PlaneOfWindows {
  const T *x, *r;
  T *y, *mask;
  int64_t height, width, size;
};

/// The means of the rows, (planes, height), and of the columns, (planes, width), of some planes.
template <class T>
struct LinePooling {
  const T* x;
  float *rows, *columns;
  int64_t planes, height, width;
};

/// y = x · rows · columns, or relu of that plus r, which may be null; the gates are as LinePooling has its means.
template <class T>
struct LineWeighing {
  const T *x, *r;
  T* y;
  const float *rows, *columns;
  int64_t planes, height, width;
};

/// y = x · gate · map, or relu of that plus r, for `planes` planes. `gate`: one number per plane; `map`: one per pixel;
/// either may be null, and so may `r`.
template <class T>
struct Weighing {
  const T *x, *r;
  const float *gate, *map;
  T* y;
  int64_t planes, pixels;
};

/// One job of SimAM: `planes` planes of `pixels`. `r` null: no residual sum and no ReLU; `weights` null: not wanted.
template <class T>
struct SimamPlanes {
  const T *x, *r;
  T *y, *weights;
  int64_t planes, pixels;
  float lambda;
};

/// Mean and maximum over the channels of x · gate at every pixel; `gate` may be null, channels > 0.
template <class T>
struct ChannelPooling {
  const T* x;
  const float* gate;
  float *mean, *max;
  int64_t channels, pixels;
};

/// The square, odd convolution of a spatial gate over one image: w (1, 2, size, size).
template <class T>
struct PositionGate {
  const T* w;
  int64_t size, height, width;
};

/// Attention over feature maps.
template <class T>
struct FeatureMapMaths {
  /// Mean, and where `max` is not null the maximum, of every plane.
  void (*pool)(const T* x, int64_t planes, int64_t pixels, float* mean, float* max);
  /// gate = the layer's form of mlp(mean) [+ mlp(max)]; `hidden` is scratch of 2 · layer.hidden floats, `max` may be null.
  void (*gate)(const Bottleneck<T>& layer, const float* mean, const float* max, float* hidden, float* gate);
  /// gate = sigmoid(mean).
  void (*gate_directly)(const float* mean, int64_t channels, float* gate);
  /// gate = sigmoid(convolution of the means), zero beyond the first and the last channel.
  void (*gate_across)(const ChannelLine<T>& line, const float* mean, float* gate);
  /// Of pixels [begin, end).
  void (*pool_channels)(const ChannelPooling<T>& job, int64_t begin, int64_t end);
  /// Floats of scratch that `position_gate` needs.
  int64_t (*position_gate_scratch)(const PositionGate<T>& gate);
  /// map = sigmoid(convolution of the two pooled planes), zero beyond the border.
  void (*position_gate)(const PositionGate<T>& gate, const float* mean, const float* max, float* scratch, float* map);
  void (*weigh)(const Weighing<T>& job);
  void (*simam)(const SimamPlanes<T>& job);
  void (*pass)(const Passing<T>& job);
  /// `best`: scratch of `width` floats.
  void (*pass_maxima)(const PlaneOfWindows<T>& plane, float* best);
  void (*pool_lines)(const LinePooling<T>& job);
  /// values (rows, count) = hard_swish(values + the row's bias), in place.
  void (*hard_swishes)(const float* bias, int64_t rows, int64_t count, float* values);
  /// The same with a sigmoid.
  void (*sigmoids)(const float* bias, int64_t rows, int64_t count, float* values);
  void (*weigh_lines)(const LineWeighing<T>& job);
};

/// c = scale · a b; a (rows, depth), b (depth, columns).
struct MatrixProduct {
  const float *a, *b;
  float* c;
  int64_t rows, depth, columns;
  float scale;
};

/// One block of query rows against all keys of its batch entry: scores (queries, keys).
struct ScoreBlock {
  const float* q;  ///< (queries, depth)
  const float* k;  ///< (depth, keys): transposed
  const float* v;  ///< additive: (depth)
  float* scores;
  int64_t queries, keys, depth;
  float scale;
};

/// Most queries of a HeadBlock.
constexpr int64_t kHeadQueries = 64;

/// What the queries of a HeadBlock may attend, and what is added to their scores; either may be null. Number (i, j), of
/// query i of the block and key j, stands at i · query_step + j · key_step; a step of 0 is an axis of one number.
template <class Number>
struct HeadMask {
  const Number* data;
  int64_t query_step, key_step;
};

/// At most kHeadQueries queries of one head against all its keys.
struct HeadBlock {
  const float* q;  ///< (queries, depth)
  const float* k;  ///< (keys, depth)
  const float* v;  ///< (keys, width)
  float* y;        ///< (queries, width)
  float* p;        ///< (queries, keys), or null
  HeadMask<uint8_t> mask;
  HeadMask<float> bias;
  int64_t first;  ///< of the queries: its place among all
  int64_t queries, keys, depth, width;
  float scale;
  bool causal;     ///< key j is open to query i where j <= i
  int64_t window;  ///< if above 0, where |i - j| <= window
  float* scratch;  ///< head_scratch(depth) floats
};

/// Attention over sequences, all in float; `widen` and `narrow` take Half in and out.
struct SequenceMaths {
  void (*multiply)(const MatrixProduct& job);
  /// to (columns, rows) = from (rows, columns), transposed.
  void (*transpose)(const float* from, int64_t rows, int64_t columns, float* to);
  /// -scale · the squared distance of every query to every key.
  void (*distance_scores)(const ScoreBlock& block);
  /// Whether every one of n values is small enough for `additive_scores` on exponentials.
  bool (*exponentials_fit)(const float* values, int64_t n);
  /// values = exp(2 · values), in place.
  void (*exponentials)(float* values, int64_t n);
  /// v · tanh(q + k), of the values themselves, or of their `exponentials` (one tanh then costs no exponential).
  void (*additive_scores)(const ScoreBlock& block);
  void (*additive_scores_of_exponentials)(const ScoreBlock& block);
  /// Rows of scores become probabilities, in place; `mask` (rows, keys) of bytes 0 or 1, or null for all 1. A row that
  /// is all masked becomes zeros.
  void (*softmax_rows)(float* scores, const uint8_t* mask, int64_t rows, int64_t keys);
  /// (tokens, slots): softmax down every column, then every row divided by epsilon + its sum. `scratch`: 2 · slots.
  void (*normalise_twice)(float* scores, int64_t tokens, int64_t slots, float epsilon, float* scratch);
  int64_t (*head_scratch)(int64_t depth);
  /// y = softmax(scale · q kᵀ + bias over the open keys) v, p the softmax; zeros for a query that no key is open to.
  void (*attend_head)(const HeadBlock& block);
  void (*widen)(const Half* from, int64_t n, float* to);
  void (*narrow)(const float* from, int64_t n, Half* to);
};

/// Hard attention: the key that one row of scores chooses; -1 where none is open. `mask` of bytes 0 or 1, or null.
template <class T>
struct ChoiceMaths {
  int64_t (*largest)(const T* scores, const uint8_t* mask, int64_t keys);
  /// From the softmax of the scores, by the seed of the row and the place of the query in it.
  int64_t (*drawn)(const T* scores, const uint8_t* mask, int64_t keys, int64_t seed, int64_t query);
};

/// Everything, for one instruction set.
struct Maths {
  FeatureMapMaths<float> float_maps;
  FeatureMapMaths<Half> half_maps;
  SequenceMaths sequences;
  ChoiceMaths<float> float_choices;
  ChoiceMaths<Half> half_choices;
};

#if !defined(FOVEA_ONLY_PORTABLE)
namespace avx2 {
extern const Maths kMaths;
}
namespace avx512 {
extern const Maths kMaths;
}
#endif
namespace portable {
extern const Maths kMaths;
}

}  // namespace fovea

#endif  // FOVEA_CPU_MATHS_H_
