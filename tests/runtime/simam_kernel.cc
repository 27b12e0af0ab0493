// A library of one kernel, ai.fovea::SimAM for float on the CPU. -DWRONG leaves out the 0.5, -DSLOW takes its time,
// -DOTHER has a kernel of another name, -DCRASH ends the process, -DCRASH_ON_LOAD does so before anything is called,
// -DHANG never ends, -DTALLY keeps a tally in which each row takes a millisecond.
#include <chrono>
#include <cmath>
#include <cstdlib>

#include <unistd.h>

#define ORT_API_MANUAL_INIT
#include <onnxruntime_cxx_api.h>
#undef ORT_API_MANUAL_INIT

namespace {

#ifdef CRASH_ON_LOAD
const int never = (std::abort(), 0);
#endif

thread_local int64_t rows_run = 0;

#ifdef WRONG
constexpr float kOffset = 0.0f;
#else
constexpr float kOffset = 0.5f;
#endif

void SimamPlane(const float* x, int64_t pixels, float lambda, float* y, float* weights) {
  float mean = 0.0f, total = 0.0f;
  for (int64_t i = 0; i < pixels; ++i) mean += x[i];
  mean /= static_cast<float>(pixels);
  for (int64_t i = 0; i < pixels; ++i) total += (x[i] - mean) * (x[i] - mean);
  const float scale = 1.0f / (4.0f * (total / static_cast<float>(pixels - 1) + lambda));
  for (int64_t i = 0; i < pixels; ++i) {
    const float gate = 1.0f / (1.0f + std::exp(-((x[i] - mean) * (x[i] - mean) * scale + kOffset)));
    y[i] = x[i] * gate;
    if (weights != nullptr) weights[i] = gate;
  }
}

struct Kernel {
  explicit Kernel(const OrtKernelInfo* info) : lambda(Ort::ConstKernelInfo(info).GetAttribute<float>("lambda")) {}

  void Compute(OrtKernelContext* raw) const {
    Ort::KernelContext context(raw);
    const auto input = context.GetInput(0);
    const auto shape = input.GetTensorTypeAndShapeInfo().GetShape();
    const int64_t pixels = shape[2] * shape[3];
    const float* x = input.GetTensorData<float>();
    float* y = context.GetOutput(0, shape).GetTensorMutableData<float>();
    auto map = context.GetOutput(1, shape);
    float* weights = static_cast<OrtValue*>(map) == nullptr ? nullptr : map.GetTensorMutableData<float>();
#ifdef CRASH
    std::abort();
#endif
#ifdef HANG
    for (;;) pause();
#endif
    rows_run += shape[0];
#ifdef SLOW
    const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(20);
    while (std::chrono::steady_clock::now() < end) {
    }
#endif
    for (int64_t plane = 0; plane < shape[0] * shape[1]; ++plane) {
      const int64_t at = plane * pixels;
      SimamPlane(x + at, pixels, lambda, y + at, weights == nullptr ? nullptr : weights + at);
    }
  }

  float lambda;
};

struct Op : Ort::CustomOpBase<Op, Kernel> {
  void* CreateKernel(const OrtApi&, const OrtKernelInfo* info) const { return new Kernel(info); }
#ifdef OTHER
  const char* GetName() const { return "Gate"; }
#else
  const char* GetName() const { return "SimAM"; }
#endif
  const char* GetExecutionProviderType() const { return "CPUExecutionProvider"; }
  size_t GetInputTypeCount() const { return 1; }
  ONNXTensorElementDataType GetInputType(size_t) const { return ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT; }
  size_t GetOutputTypeCount() const { return 2; }
  ONNXTensorElementDataType GetOutputType(size_t) const { return ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT; }
  OrtCustomOpInputOutputCharacteristic GetOutputCharacteristic(size_t index) const {
    return index == 0 ? INPUT_OUTPUT_REQUIRED : INPUT_OUTPUT_OPTIONAL;
  }
};

}  // namespace

extern "C" OrtStatus* ORT_API_CALL RegisterCustomOps(OrtSessionOptions* options, const OrtApiBase* base) {
  Ort::InitApi(base->GetApi(ORT_API_VERSION));
  static const Op op;
  static Ort::CustomOpDomain domain("ai.fovea");
  static const bool added = (domain.Add(&op), true);
  (void)added;
  Ort::UnownedSessionOptions(options).Add(domain);
  return nullptr;
}

#ifdef TALLY
struct FoveaTally {
  const char* op;
  int64_t nanoseconds, calls;
};

extern "C" size_t FoveaReadTally(FoveaTally* entries, size_t capacity) {
  if (rows_run == 0 || capacity == 0) return 0;
  entries[0] = {"SimAM", rows_run * 1000000, 1};
  rows_run = 0;
  return 1;
}
#endif
