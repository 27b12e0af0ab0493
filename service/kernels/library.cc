// The library as ONNX Runtime and the server see it: the registry's kernels, their registration, and the tally of time.
#include <cstdio>
#include <cstring>
#include <map>
#include <new>
#include <stdexcept>

#include "cpu/instruction_set.h"
#include "operators/kernel.h"
#include "registry.h"
#include "tally.h"

namespace fovea {
namespace {

OrtStatusPtr Failed(OrtErrorCode code, const char* name, const char* what) noexcept {
  char text[1024];
  std::snprintf(text, sizeof text, "ai.fovea::%s: %s", name, what);
  return Ort::GetApi().CreateStatus(code, text);
}

/// Runs `work`; what it throws becomes a status that names the operator.
template <class Work>
OrtStatusPtr Guarded(const char* name, const Work& work) noexcept {
  try {
    work();
    return nullptr;
  } catch (const Refusal& refusal) {
    return Failed(ORT_INVALID_ARGUMENT, name, refusal.what());
  } catch (const Ort::Exception& error) {
    return Failed(error.GetOrtErrorCode(), name, error.what());
  } catch (const std::exception& error) {
    return Failed(ORT_FAIL, name, error.what());
  } catch (...) {
    return Failed(ORT_FAIL, name, "it failed");
  }
}

struct RunningKernel {
  const char* name;
  size_t index;
  std::unique_ptr<Kernel> kernel;

  OrtStatusPtr ComputeV2(OrtKernelContext* context) const noexcept {
    const Timed timed(index);
    return Guarded(name, [&] { kernel->Compute(Call(context)); });
  }
};

/// One kernel of the registry, as ONNX Runtime asks for it.
class CustomOp : public Ort::CustomOpBase<CustomOp, RunningKernel, true> {
 public:
  CustomOp(size_t index, const Device& device, const Element& element)
      : index_(index), device_(device), element_(element) {
    if (op().in_place) {
      GetMayInplace = [](int** inputs, int** outputs) -> size_t {
        *inputs = new (std::nothrow) int(0);
        *outputs = new (std::nothrow) int(0);
        return *inputs != nullptr && *outputs != nullptr ? 1 : 0;
      };
      ReleaseMayInplace = [](int* inputs, int* outputs) {
        delete inputs;
        delete outputs;
      };
    }
  }

  const char* GetName() const { return op().name; }
  const char* GetExecutionProviderType() const { return device_.provider; }
  size_t GetInputTypeCount() const { return std::strlen(op().inputs); }
  ONNXTensorElementDataType GetInputType(size_t index) const { return TypeOf(op().inputs[index]); }
  OrtCustomOpInputOutputCharacteristic GetInputCharacteristic(size_t index) const {
    const char letter = op().inputs[index];
    return letter == 'T' || letter == 'i' ? INPUT_OUTPUT_REQUIRED : INPUT_OUTPUT_OPTIONAL;
  }
  size_t GetOutputTypeCount() const { return std::strlen(op().outputs); }
  ONNXTensorElementDataType GetOutputType(size_t index) const { return TypeOf(op().outputs[index]); }
  OrtCustomOpInputOutputCharacteristic GetOutputCharacteristic(size_t index) const {
    return index == 0 ? INPUT_OUTPUT_REQUIRED : INPUT_OUTPUT_OPTIONAL;
  }

  OrtStatusPtr CreateKernelV2(const OrtApi&, const OrtKernelInfo* info, void** kernel) const noexcept {
    return Guarded(op().name, [&] {
      *kernel = new RunningKernel{op().name, index_, KernelOf(op(), device_, element_)(Info(info))};
    });
  }

 private:
  const Operator& op() const { return Operators()[index_]; }
  ONNXTensorElementDataType TypeOf(char letter) const {
    return letter == 'm'   ? ONNX_TENSOR_ELEMENT_DATA_TYPE_BOOL
           : letter == 'i' ? ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64
                           : element_.type;
  }

  size_t index_;
  const Device& device_;
  const Element& element_;
};

/// visit(index of the operator, device, element) for every kernel of the registry.
template <class Visit>
void ForEachKernel(const Visit& visit) {
  for (const Device& device : Devices()) {
    for (size_t i = 0; i < Operators().size(); ++i) {
      for (const Element& element : Elements()) {
        if (KernelOf(Operators()[i], device, element) != nullptr) visit(i, device, element);
      }
    }
  }
}

/// Device's name -> its kernels, made once; sessions share them.
const std::map<std::string, Ort::CustomOpDomain>& Domains() {
  static const auto& domains = *[] {
    if (Operators().size() > kMostOperators) throw std::length_error("more operators than the tally has room for");
    auto made = std::make_unique<std::map<std::string, Ort::CustomOpDomain>>();
    ForEachKernel([&](size_t index, const Device& device, const Element& element) {
      made->try_emplace(device.name, "ai.fovea").first->second.Add(new CustomOp(index, device, element));
    });
    return made.release();
  }();
  return domains;
}

/// Whose kernels a session wants; other devices' nodes run from their bodies.
constexpr char kDeviceEntry[] = "fovea.device";

}  // namespace

/// One operator's entry of the tally, for callers in C.
struct FoveaTally {
  const char* op;
  int64_t nanoseconds, calls;
};

/// One kernel: names of its operator, its device and its element type.
struct FoveaKernel {
  const char *op, *device, *element;
};

}  // namespace fovea

#define FOVEA_EXPORT extern "C" __attribute__((visibility("default")))

/// Registers the kernels of the session's device: the entry `fovea.device`, the CPU where there is none.
FOVEA_EXPORT OrtStatus* ORT_API_CALL RegisterCustomOps(OrtSessionOptions* options, const OrtApiBase* base) {
  const OrtApi* api = base->GetApi(ORT_API_VERSION);
  if (api == nullptr) {
    return base->GetApi(1)->CreateStatus(ORT_FAIL, "the kernels were built for a newer ONNX Runtime than this one");
  }
  static const bool once = (Ort::InitApi(api), true);
  (void)once;
  return fovea::Guarded("RegisterCustomOps", [&] {
    fovea::BestMaths();  // chosen now, by the environment of the moment, rather than in the first run
    Ort::UnownedSessionOptions session(options);
    const auto kernels = fovea::Domains().find(session.GetConfigEntryOrDefault(fovea::kDeviceEntry, "cpu"));
    if (kernels != fovea::Domains().end()) session.Add(kernels->second);
  });
}

/// Writes what the calling thread spent in each operator since it last asked, at most `capacity` entries; how many.
FOVEA_EXPORT size_t FoveaReadTally(fovea::FoveaTally* entries, size_t capacity) noexcept {
  size_t written = 0;
  for (size_t i = 0; i < fovea::kMostOperators && written < capacity; ++i) {
    if (fovea::tally[i].calls == 0) continue;
    entries[written++] = {fovea::Operators()[i].name, fovea::tally[i].nanoseconds, fovea::tally[i].calls};
    fovea::tally[i] = {};
  }
  return written;
}

/// Writes every kernel that there is, at most `capacity` entries; how many there are.
FOVEA_EXPORT size_t FoveaListKernels(fovea::FoveaKernel* entries, size_t capacity) noexcept {
  size_t count = 0;
  fovea::ForEachKernel([&](size_t index, const fovea::Device& device, const fovea::Element& element) {
    if (count < capacity) entries[count] = {fovea::Operators()[index].name, device.name, element.name};
    ++count;
  });
  return count;
}
