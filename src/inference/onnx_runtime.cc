// The only file that sees ONNX Runtime. The library is opened at run time; its exceptions end here.
#define ORT_API_MANUAL_INIT
#include <algorithm>
#include <cstdlib>
#include <dlfcn.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <malloc.h>
#include <mutex>
#include <onnxruntime_cxx_api.h>

#include "base/crypto.h"
#include "base/kernel.h"
#include "base/log.h"
#include "inference/library_places.h"
#include "inference/session.h"
#include "inference/session_checks.h"

namespace verge::inference {
namespace {

constexpr std::string_view kVersion = "1.28.0";

/// The opened library and its environment; lives until the program ends, because the library's own threads and
/// allocators do not survive dlclose.
struct Runtime {
  std::string version;
  std::unique_ptr<Ort::Env> environment;
};

void ORT_API_CALL take_log_line(void*, OrtLoggingLevel level, const char*, const char*, const char*,
                                const char* message) {
  log_line(level >= ORT_LOGGING_LEVEL_ERROR ? LogLevel::warning : LogLevel::debug, "onnxruntime", message);
}

Result<Runtime> open_runtime() {
  // Harmless for the pinned version; later ones would otherwise write files and open sockets.
  setenv("ORT_DISABLE_TELEMETRY", "1", 1);
  VERGE_TRY(void* library, open_library({.product = fmt::format("ONNX Runtime {}", kVersion),
                                         .file = "libonnxruntime.so.1",
                                         .variable = "VERGE_ONNXRUNTIME"}));
  using GetBase = const OrtApiBase* (*)();
  const auto get_base = reinterpret_cast<GetBase>(dlsym(library, "OrtGetApiBase"));
  if (get_base == nullptr) {
    return Error{ErrorCode::corrupt, "open ONNX Runtime: the library has no OrtGetApiBase; is it another library?"};
  }
  const std::string version = get_base()->GetVersionString();
  const OrtApi* api = get_base()->GetApi(ORT_API_VERSION);
  if (version != kVersion || api == nullptr) {
    return Error{ErrorCode::corrupt,
                 fmt::format("open ONNX Runtime: this is version {}, wanted {}; install that one", version, kVersion)};
  }
  Ort::InitApi(api);
  try {
    auto environment =
        std::make_unique<Ort::Env>(ORT_LOGGING_LEVEL_WARNING, "verge", take_log_line, static_cast<void*>(nullptr));
    environment->DisableTelemetryEvents();
    return Runtime{version, std::move(environment)};
  } catch (const std::exception& error) {
    return Error{ErrorCode::internal, fmt::format("start ONNX Runtime {}: {}", version, error.what())};
  }
}

/// Opened by the first caller. A failure is not remembered, so that a later call finds a library installed meanwhile.
Result<Runtime*> runtime() {
  static std::mutex mutex;
  static Runtime* opened = nullptr;
  const std::lock_guard lock(mutex);
  if (opened == nullptr) {
    VERGE_TRY(Runtime fresh, open_runtime());
    opened = new Runtime(std::move(fresh));
  }
  return opened;
}

std::optional<DataType> data_type_of(ONNXTensorElementDataType type) {
  switch (type) {
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT:
      return DataType::float32;
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16:
      return DataType::float16;
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8:
      return DataType::uint8;
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_INT8:
      return DataType::int8;
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32:
      return DataType::int32;
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64:
      return DataType::int64;
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_BOOL:
      return DataType::boolean;
    default:
      return std::nullopt;
  }
}

ONNXTensorElementDataType element_type_of(DataType type) {
  switch (type) {
    case DataType::float32:
      return ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT;
    case DataType::float16:
      return ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16;
    case DataType::uint8:
      return ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8;
    case DataType::int8:
      return ONNX_TENSOR_ELEMENT_DATA_TYPE_INT8;
    case DataType::int32:
      return ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32;
    case DataType::int64:
      return ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64;
    case DataType::boolean:
      return ONNX_TENSOR_ELEMENT_DATA_TYPE_BOOL;
  }
  return ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED;
}

bool has_free_dimension(const Shape& shape) {
  for (const std::int64_t size : shape) {
    if (size < 0) return true;
  }
  return false;
}

class OnnxSession final : public Session {
 public:
  /// engine  "onnxruntime 1.28.0 cpu"
  OnnxSession(Ort::Session session, std::string engine, std::string digest)
      : session_(std::move(session)), engine_(std::move(engine)), digest_(std::move(digest)) {}

  /// Reads names, types and shapes. Errors: invalid_argument for a type we do not know.
  Status describe() {
    Ort::AllocatorWithDefaultOptions allocator;
    for (std::size_t i = 0; i < session_.GetInputCount(); ++i) {
      VERGE_CHECK(add(inputs_, session_.GetInputNameAllocated(i, allocator).get(), session_.GetInputTypeInfo(i)));
    }
    for (std::size_t i = 0; i < session_.GetOutputCount(); ++i) {
      VERGE_CHECK(add(outputs_, session_.GetOutputNameAllocated(i, allocator).get(), session_.GetOutputTypeInfo(i)));
    }
    return Done{};
  }

  const std::vector<TensorInfo>& inputs() const override { return inputs_; }
  const std::vector<TensorInfo>& outputs() const override { return outputs_; }
  std::string engine() const override { return engine_; }
  std::string model_digest() const override { return digest_; }

  Result<std::vector<Tensor>> run(std::span<const NamedTensor> inputs,
                                  std::span<const std::string_view> wanted) override {
    VERGE_CHECK(check_inputs(inputs_, inputs));
    VERGE_TRY(const std::vector<std::size_t> places, find_outputs(outputs_, wanted));
    try {
      return run_checked(inputs, places);
    } catch (const std::exception& error) {
      return Error{ErrorCode::internal, fmt::format("run the model: {}", error.what())};
    }
  }

  Status run_into(std::span<const NamedTensor> inputs, std::span<const NamedTarget> outputs) override {
    VERGE_CHECK(check_inputs(inputs_, inputs));
    try {
      const auto memory = Ort::MemoryInfo::CreateCpu(OrtDeviceAllocator, OrtMemTypeDefault);
      RunArguments in, out;
      for (const NamedTensor& input : inputs) in.add(input.name, view_of(memory, *input.tensor));
      for (const NamedTarget& output : outputs) out.add(output.name, view_of(memory, *output.tensor));
      session_.Run(Ort::RunOptions{nullptr}, in.names(), in.values.data(), in.values.size(), out.names(),
                   out.values.data(), out.values.size());
      return Done{};
    } catch (const std::exception& error) {
      return Error{ErrorCode::internal, fmt::format("run the model: {}", error.what())};
    }
  }

 private:
  /// What the library's call wants: names with a final zero, which a string_view lacks, and values.
  struct RunArguments {
    std::vector<std::string> texts;
    std::vector<const char*> pointers;
    std::vector<Ort::Value> values;
    void add(std::string_view name, Ort::Value value) {
      texts.emplace_back(name);
      values.push_back(std::move(value));
    }
    const char* const* names() {
      for (const auto& text : texts) pointers.push_back(text.c_str());
      return pointers.data();
    }
  };

  static Status add(std::vector<TensorInfo>& list, std::string name, const Ort::TypeInfo& type) {
    if (type.GetONNXType() != ONNX_TYPE_TENSOR) {
      return Error{ErrorCode::invalid_argument,
                   fmt::format("\"{}\" is not a tensor; only tensors are supported", name)};
    }
    const auto tensor = type.GetTensorTypeAndShapeInfo();
    const auto known = data_type_of(tensor.GetElementType());
    if (!known) {
      return Error{ErrorCode::invalid_argument, fmt::format("\"{}\" has element type {}, which is not supported", name,
                                                            static_cast<int>(tensor.GetElementType()))};
    }
    list.push_back({std::move(name), *known, tensor.GetShape()});
    return Done{};
  }

  static Ort::Value view_of(const Ort::MemoryInfo& memory, const Tensor& tensor) {
    // The runtime does not write to inputs; its interface only lacks const.
    return Ort::Value::CreateTensor(memory, const_cast<void*>(tensor.data()), tensor.byte_count(),
                                    tensor.shape().data(), tensor.shape().size(), element_type_of(tensor.type()));
  }

  Result<std::vector<Tensor>> run_checked(std::span<const NamedTensor> inputs, const std::vector<std::size_t>& places) {
    const auto memory = Ort::MemoryInfo::CreateCpu(OrtDeviceAllocator, OrtMemTypeDefault);
    std::vector<std::string> names;  // string_view has no final zero
    std::vector<const char*> input_names;
    std::vector<Ort::Value> input_values;
    names.reserve(inputs.size());
    for (const NamedTensor& input : inputs) {
      names.emplace_back(input.name);
      input_names.push_back(names.back().c_str());
      input_values.push_back(view_of(memory, *input.tensor));
    }
    // Outputs of known shape are written straight into our tensors; the others are copied afterwards.
    std::vector<Tensor> outputs(places.size());
    std::vector<const char*> output_names;
    std::vector<Ort::Value> output_values;
    for (std::size_t i = 0; i < places.size(); ++i) {
      const TensorInfo& info = outputs_[places[i]];
      output_names.push_back(info.name.c_str());
      if (has_free_dimension(info.shape)) {
        output_values.emplace_back(nullptr);
      } else {
        outputs[i] = Tensor(info.type, info.shape);
        output_values.push_back(view_of(memory, outputs[i]));
      }
    }
    session_.Run(Ort::RunOptions{nullptr}, input_names.data(), input_values.data(), input_values.size(),
                 output_names.data(), output_values.data(), output_values.size());
    for (std::size_t i = 0; i < places.size(); ++i) {
      const TensorInfo& info = outputs_[places[i]];
      if (!has_free_dimension(info.shape)) continue;
      outputs[i] = Tensor(info.type, output_values[i].GetTensorTypeAndShapeInfo().GetShape());
      const auto* bytes = static_cast<const unsigned char*>(output_values[i].GetTensorRawData());
      std::copy_n(bytes, outputs[i].byte_count(), static_cast<unsigned char*>(outputs[i].data()));
    }
    return outputs;
  }

  Ort::Session session_;
  std::string engine_, digest_;
  std::vector<TensorInfo> inputs_, outputs_;
};

Ort::SessionOptions options_of(const SessionOptions& options) {
  Ort::SessionOptions result;
  result.SetIntraOpNumThreads(options.threads);
  result.SetInterOpNumThreads(1);
  result.SetExecutionMode(ORT_SEQUENTIAL);
  result.SetGraphOptimizationLevel(ORT_ENABLE_ALL);
  result.AddConfigEntry("session.intra_op.allow_spinning", "0");
  result.AddConfigEntry("session.inter_op.allow_spinning", "0");
  // 8-bit weights that would overflow on this processor are computed another way, slower and right. The library would
  // do so with VNNI as well, for nothing.
  if (kernel_level() < KernelLevel::avx512) result.AddConfigEntry("session.x64quantprecision", "1");
  return result;
}

/// What computes on the device; the CPU computes what it cannot. Errors: invalid_argument, unavailable: this library
/// was built without it.
Status append_provider(Ort::SessionOptions& settings, const std::string& device) {
  if (device == "cpu") return Done{};
  const bool is_known = device == "cuda" || device == "gpu" || device == "npu";
  if (!is_known) {
    return Error{ErrorCode::invalid_argument,
                 fmt::format("ONNX Runtime has no device \"{}\"; use cpu, cuda, gpu or npu", device)};
  }
  const std::string provider = device == "cuda" ? "CUDAExecutionProvider" : "OpenVINOExecutionProvider";
  const auto there = Ort::GetAvailableProviders();
  if (std::ranges::find(there, provider) == there.end()) {
    return Error{ErrorCode::unavailable,
                 fmt::format("this ONNX Runtime was built without {}, which device \"{}\" needs; it has {}", provider,
                             device, fmt::join(there, ", "))};
  }
  if (device == "cuda") {
    settings.AppendExecutionProvider_CUDA(OrtCUDAProviderOptions{});
  } else {
    settings.AppendExecutionProvider("OpenVINO", {{"device_type", device == "gpu" ? "GPU" : "NPU"}});
  }
  return Done{};
}

/// The engine's words may have several lines; a log line has one.
std::string one_line(std::string_view text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.remove_suffix(1);
  std::string line(text);
  std::replace(line.begin(), line.end(), '\n', ' ');
  return line;
}

/// Making a session takes about the model's size more than it needs afterwards; the heap would keep that.
void give_memory_back() {
#if defined(__GLIBC__)
  malloc_trim(0);
#endif
}

/// `open` makes the library's session from its options.
template <class Open>
Result<std::unique_ptr<Session>> load(const SessionOptions& options, const std::string& doing, std::string digest,
                                      Open open) {
  VERGE_CHECK(check_threads(options, doing));
  auto opened = runtime();
  if (!opened) return std::move(opened).error().within(doing);
  Ort::SessionOptions settings{nullptr};
  try {
    settings = options_of(options);
    if (auto appended = append_provider(settings, options.device); !appended) {
      return std::move(appended).error().within(doing);
    }
  } catch (const std::exception& error) {
    return Error{ErrorCode::unavailable,
                 fmt::format("{}: device \"{}\" does not start ({})", doing, options.device, one_line(error.what()))};
  }
  try {
    auto session = std::make_unique<OnnxSession>(open(*(*opened)->environment, settings),
                                                 fmt::format("onnxruntime {} {}", (*opened)->version, options.device),
                                                 std::move(digest));
    give_memory_back();
    if (auto described = session->describe(); !described) return std::move(described).error().within(doing);
    return std::unique_ptr<Session>(std::move(session));
  } catch (const std::exception& error) {
    return no_whole_model(doing, "ONNX Runtime " + (*opened)->version, one_line(error.what()));
  }
}

}  // namespace

Result<std::unique_ptr<Session>> load_onnx(const std::filesystem::path& path, const SessionOptions& options,
                                           std::string digest) {
  const std::string doing = fmt::format("load model {}", path.string());
  VERGE_CHECK(complete_digest(digest, path, doing));
  return load(options, doing, std::move(digest), [&](const Ort::Env& environment, const Ort::SessionOptions& settings) {
    return Ort::Session(environment, path.c_str(), settings);
  });
}

Result<std::unique_ptr<Session>> load_onnx_bytes(std::string_view bytes, const SessionOptions& options) {
  return load(options, "load model from memory", sha256_digest(bytes),
              [&](const Ort::Env& environment, const Ort::SessionOptions& settings) {
                return Ort::Session(environment, bytes.data(), bytes.size(), settings);
              });
}

Result<std::string> onnx_runtime_version() {
  VERGE_TRY(const Runtime* opened, runtime());
  return opened->version;
}

}  // namespace verge::inference
