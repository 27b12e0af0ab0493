// What an operator's kernel sees of ONNX Runtime: tensors as pointers and shapes, settings, and the session's threads.
//
// Kernels refuse by throwing Refusal; `../library.cc` turns it, and anything else that is thrown, into a status.
#ifndef FOVEA_OPERATORS_KERNEL_H_
#define FOVEA_OPERATORS_KERNEL_H_

#include <algorithm>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

#define ORT_API_MANUAL_INIT
#include <onnxruntime_cxx_api.h>
#undef ORT_API_MANUAL_INIT

#include "cpu/instruction_set.h"
#include "cpu/maths.h"

namespace fovea {

using Shape = std::vector<int64_t>;

/// "[8, 64, 56, 56]"
std::string ToText(const Shape& shape);

/// A request that an operator cannot meet; the text is what the user reads.
class Refusal : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Refuses unless `shape` is what `expected` says, where -1 stands for any size: "W1 is [4, 60], expected [-1, 64]".
void RequireShape(const char* name, const Shape& shape, const Shape& expected);

/// Of a job: some 5 µs of work, against 1 µs to hand it to another thread.
constexpr int64_t kLeastElements = 16 * 1024;

/// Of a job that multiplies rows by a matrix.
constexpr int64_t kLeastRows = 64;

/// Of a job that multiplies, at some 50 multiplications a nanosecond.
constexpr int64_t kLeastMultiplications = 256 * 1024;

/// The product of all sizes.
int64_t Elements(const Shape& shape);

/// An input. `data` is null where an optional input was not given.
template <class T>
struct Input {
  const T* data = nullptr;
  Shape shape;
};

/// Memory for a kernel's own use, not initialised.
class Scratch {
 public:
  explicit Scratch(int64_t floats) : memory_(new float[static_cast<size_t>(floats)]) {}
  float* get() const { return memory_.get(); }

 private:
  std::unique_ptr<float[]> memory_;
};

/// At least `floats` of memory, the calling thread's until it ends, which its next job gets again; null where there is
/// none to be had. Fresh memory costs a short job 3 µs, and is not in the cache.
float* ThreadMemory(int64_t floats) noexcept;

/// How work(begin, end) gets over [0, count): all of it here and now. See Call::Split for the other way.
constexpr auto kAlone = [](int64_t count, int64_t, const auto& work) { work(int64_t{0}, count); };

/// One execution of one node.
class Call {
 public:
  explicit Call(OrtKernelContext* context) : context_(context), inputs_(context_.GetInputCount()) {}

  template <class T>
  Input<T> In(size_t index) const {
    if (index >= inputs_) return {};
    const Ort::ConstValue value = context_.GetInput(index);
    if (static_cast<const OrtValue*>(value) == nullptr) return {};
    return {static_cast<const T*>(value.GetTensorRawData()), value.GetTensorTypeAndShapeInfo().GetShape()};
  }

  /// Where an output goes; null where nobody wants it.
  template <class T>
  T* Out(size_t index, const Shape& shape) const {
    Ort::UnownedValue value = context_.GetOutput(index, shape);
    return static_cast<OrtValue*>(value) == nullptr ? nullptr : static_cast<T*>(value.GetTensorMutableRawData());
  }

  /// work(begin, end) over [0, count) in ranges of at least `least`, on the session's threads. `work` may not throw.
  template <class Work>
  void Split(int64_t count, int64_t least, const Work& work) const {
    static_assert(std::is_nothrow_invocable_v<Work, int64_t, int64_t>, "an exception may not leave a thread");
    const int64_t jobs = std::clamp<int64_t>(count / std::max<int64_t>(least, 1), 1, kMostJobs);
    if (jobs == 1) return work(int64_t{0}, count);
    const Share<Work> share{&work, count, jobs};
    context_.ParallelFor(
        [](void* data, size_t job) {
          const auto& part = *static_cast<const Share<Work>*>(data);
          const auto index = static_cast<int64_t>(job);
          (*part.work)(part.count * index / part.jobs, part.count * (index + 1) / part.jobs);
        },
        static_cast<size_t>(jobs), 0, const_cast<Share<Work>*>(&share));
  }

  /// `Split` as a value, to be handed on: the other way is kAlone.
  auto Shared() const {
    return [this](int64_t count, int64_t least, const auto& work) { this->Split(count, least, work); };
  }

  /// attend(i, memory, split) for every entry of a batch, with `floats` of scratch memory. Many entries are shared out
  /// whole: each is read from memory once and then from the cache, and `split` runs its work at once. Of few, `split`
  /// shares out the parts.
  template <class Attend>
  void ForEntries(int64_t entries, int64_t floats, const Attend& attend) const {
    if (entries >= kMany) return ForWholeEntries(entries, floats, attend);
    const Scratch scratch(floats);
    for (int64_t i = 0; i < entries; ++i) attend(i, scratch.get(), Shared());
  }

  /// How many of an entry's `parts` may be in work at once, each with scratch memory of its own.
  static int64_t PartsAtOnce(int64_t entries, int64_t parts) { return entries >= kMany ? 1 : std::min(parts, kLanes); }

 private:
  static constexpr int64_t kMostJobs = 256;  // enough for any number of cores to share evenly
  static constexpr int64_t kLanes = 32;      // what needs memory of its own: evenly enough, and bounded in large batches
  static constexpr int64_t kMany = 8;

  template <class Attend>
  void ForWholeEntries(int64_t entries, int64_t floats, const Attend& attend) const {
    const int64_t lanes = std::min(entries, kLanes);
    const Scratch scratch(lanes * floats);
    Split(lanes, 1, [&](int64_t begin, int64_t end) noexcept {
      float* memory = scratch.get() + begin * floats;
      for (int64_t i = entries * begin / lanes; i < entries * end / lanes; ++i) attend(i, memory, kAlone);
    });
  }

  template <class Work>
  struct Share {
    const Work* work;
    int64_t count, jobs;
  };

  Ort::KernelContext context_;
  size_t inputs_;
};

/// A node's settings, known when its session is opened.
using Info = Ort::ConstKernelInfo;

/// One node's kernel: made once, run by one thread at a time or by several.
class Kernel {
 public:
  virtual ~Kernel() = default;
  virtual void Compute(const Call& call) const = 0;
};

using MakeKernel = std::unique_ptr<Kernel> (*)(const Info&);

/// What makes an operator's kernel on one device, by element type; null where there is none. Give both: a node whose
/// operator has a kernel for the other type only cannot be loaded beside it, and would not run from its body.
struct Kernels {
  MakeKernel float32 = nullptr;
  MakeKernel float16 = nullptr;
};

template <class KernelType>
std::unique_ptr<Kernel> Make(const Info& info) {
  return std::make_unique<KernelType>(info);
}

}  // namespace fovea

#endif  // FOVEA_OPERATORS_KERNEL_H_
