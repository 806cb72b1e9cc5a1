// OpenVINO behind Session. Its exceptions end in its C interface; what it owns is freed here.
#include <algorithm>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <mutex>

#include "base/crypto.h"
#include "inference/openvino_api.h"
#include "inference/session.h"
#include "inference/session_checks.h"

namespace verge::inference {
namespace {

using openvino::Api;
using OpenVino = openvino::Runtime;

/// Frees what the library gave.
template <class T>
using Owned = std::unique_ptr<T, void (*)(T*)>;

std::optional<DataType> data_type_of(openvino::Element element) {
  switch (element) {
    case openvino::kFloat32:
      return DataType::float32;
    case openvino::kFloat16:
      return DataType::float16;
    case openvino::kUint8:
      return DataType::uint8;
    case openvino::kInt8:
      return DataType::int8;
    case openvino::kInt32:
      return DataType::int32;
    case openvino::kInt64:
      return DataType::int64;
    case openvino::kBoolean:
      return DataType::boolean;
  }
  return std::nullopt;
}

openvino::Element element_of(DataType type) {
  switch (type) {
    case DataType::float32:
      return openvino::kFloat32;
    case DataType::float16:
      return openvino::kFloat16;
    case DataType::uint8:
      return openvino::kUint8;
    case DataType::int8:
      return openvino::kInt8;
    case DataType::int32:
      return openvino::kInt32;
    case DataType::int64:
      return openvino::kInt64;
    case DataType::boolean:
      return openvino::kBoolean;
  }
  return openvino::kFloat32;
}

/// The engine's words, in one line.
std::string openvino_reason(const Api& api, openvino::Status status) {
  const char* said = api.get_last_err_msg();
  if (said == nullptr || *said == '\0') said = api.get_error_info(status);
  std::string reason = said == nullptr ? fmt::format("status {}", status) : said;
  std::ranges::replace(reason, '\n', ' ');
  while (!reason.empty() && reason.back() == ' ') reason.pop_back();
  return reason;
}

Status succeed(const Api& api, openvino::Status status, ErrorCode code, std::string_view doing) {
  if (status == 0) return Done{};
  return Error{code, fmt::format("{}: {}", doing, openvino_reason(api, status))};
}

Shape whole_shape_of(const openvino::PartialShape& partial) {
  Shape shape;
  for (std::int64_t i = 0; i < partial.rank.most; ++i) {
    const openvino::Dimension& size = partial.dimensions[i];
    shape.push_back(size.least == size.most ? size.most : -1);
  }
  return shape;
}

class OpenVinoSession final : public Session {
 public:
  OpenVinoSession(const OpenVino& runtime, std::string device, std::string digest)
      : runtime_(runtime), api_(runtime.api), device_(std::move(device)), digest_(std::move(digest)) {}

  /// Reads names, types and shapes, then compiles. Errors: invalid_argument (a type that is not supported), corrupt.
  Status open(const openvino::Model& model, const std::string& device_name, int threads) {
    VERGE_CHECK(describe(model, inputs_, api_.model_inputs_size, api_.model_const_input_by_index));
    VERGE_CHECK(describe(model, outputs_, api_.model_outputs_size, api_.model_const_output_by_index));
    openvino::Compiled* compiled = nullptr;
    const std::string thread_text = std::to_string(threads);
    // f32: what the engine may round by itself (bf16, f16 where the processor has it) changes answers; 8 bits are in
    // the model, not here. One stream with its own threads: run() calls one after another, like the other engine.
    const auto status = device_ == "cpu"
                            ? api_.core_compile_model(runtime_.core, &model, device_name.c_str(), 10, &compiled,
                                                      "INFERENCE_NUM_THREADS", thread_text.c_str(), "NUM_STREAMS", "1",
                                                      "ENABLE_CPU_PINNING", "NO", "INFERENCE_PRECISION_HINT", "f32",
                                                      "PERFORMANCE_HINT", "LATENCY")
                            : api_.core_compile_model(runtime_.core, &model, device_name.c_str(), 2, &compiled,
                                                      "PERFORMANCE_HINT", "LATENCY");
    VERGE_CHECK(succeed(api_, status, ErrorCode::corrupt, fmt::format("compile for {}", device_name)));
    compiled_ = {compiled, api_.compiled_model_free};
    return Done{};
  }

  const std::vector<TensorInfo>& inputs() const override { return inputs_; }
  const std::vector<TensorInfo>& outputs() const override { return outputs_; }
  std::string engine() const override { return fmt::format("openvino {} {}", runtime_.version, device_); }
  std::string model_digest() const override { return digest_; }

  Result<std::vector<Tensor>> run(std::span<const NamedTensor> inputs,
                                  std::span<const std::string_view> wanted) override {
    VERGE_CHECK(check_inputs(inputs_, inputs));
    VERGE_TRY(const std::vector<std::size_t> places, find_outputs(outputs_, wanted));
    VERGE_TRY(Owned<openvino::Request> request, take_request());
    auto outputs = run_checked(*request, inputs, places);
    if (outputs) give_back(std::move(request));  // After an error its state is unknown.
    return outputs;
  }

 private:
  Status describe(const openvino::Model& model, std::vector<TensorInfo>& list,
                  openvino::Status (*size_of)(const openvino::Model*, std::size_t*),
                  openvino::Status (*port_at)(const openvino::Model*, std::size_t, openvino::Port**)) const {
    std::size_t count = 0;
    VERGE_CHECK(succeed(api_, size_of(&model, &count), ErrorCode::internal, "read the model"));
    for (std::size_t i = 0; i < count; ++i) {
      openvino::Port* found = nullptr;
      VERGE_CHECK(succeed(api_, port_at(&model, i, &found), ErrorCode::internal, "read the model"));
      const Owned<openvino::Port> port(found, api_.output_const_port_free);
      VERGE_TRY(TensorInfo info, describe(*port));
      list.push_back(std::move(info));
    }
    return Done{};
  }

  Result<TensorInfo> describe(const openvino::Port& port) const {
    char* name = nullptr;
    VERGE_CHECK(succeed(api_, api_.port_get_any_name(&port, &name), ErrorCode::invalid_argument, "read a name"));
    TensorInfo info{name, DataType::float32, {}};
    api_.free(name);
    openvino::Element element{};
    VERGE_CHECK(succeed(api_, api_.port_get_element_type(&port, &element), ErrorCode::internal, "read a type"));
    const auto known = data_type_of(element);
    if (!known) {
      return Error{ErrorCode::invalid_argument, fmt::format("\"{}\" has element type {}, which is not supported",
                                                            info.name, static_cast<std::uint32_t>(element))};
    }
    info.type = *known;
    openvino::PartialShape shape;
    VERGE_CHECK(succeed(api_, api_.port_get_partial_shape(&port, &shape), ErrorCode::internal, "read a shape"));
    info.shape = whole_shape_of(shape);
    api_.partial_shape_free(&shape);
    return info;
  }

  /// One request serves one run at a time; there are as many as runs were ever at the same time.
  Result<Owned<openvino::Request>> take_request() {
    {
      const std::lock_guard lock(mutex_);
      if (!free_.empty()) {
        auto request = std::move(free_.back());
        free_.pop_back();
        return request;
      }
    }
    openvino::Request* made = nullptr;
    VERGE_CHECK(succeed(api_, api_.compiled_model_create_infer_request(compiled_.get(), &made), ErrorCode::internal,
                        "run the model"));
    return Owned<openvino::Request>(made, api_.infer_request_free);
  }

  void give_back(Owned<openvino::Request> request) {
    const std::lock_guard lock(mutex_);
    free_.push_back(std::move(request));
  }

  std::size_t place_of(std::string_view name) const {
    std::size_t at = 0;
    while (inputs_[at].name != name) ++at;
    return at;
  }

  Result<std::vector<Tensor>> run_checked(openvino::Request& request, std::span<const NamedTensor> inputs,
                                          const std::vector<std::size_t>& places) {
    constexpr std::string_view doing = "run the model";
    std::vector<Owned<openvino::Value>> views;  // They must live until the run is over.
    for (const NamedTensor& input : inputs) {
      Shape shape = input.tensor->shape();
      openvino::Value* view = nullptr;
      // The engine does not write to inputs; its interface only lacks const.
      VERGE_CHECK(succeed(api_,
                          api_.tensor_create_from_host_ptr(element_of(input.tensor->type()),
                                                           {static_cast<std::int64_t>(shape.size()), shape.data()},
                                                           const_cast<void*>(input.tensor->data()), &view),
                          ErrorCode::internal, doing));
      views.emplace_back(view, api_.tensor_free);
      VERGE_CHECK(succeed(api_, api_.infer_request_set_input_tensor_by_index(&request, place_of(input.name), view),
                          ErrorCode::internal, doing));
    }
    VERGE_CHECK(succeed(api_, api_.infer_request_infer(&request), ErrorCode::internal, doing));
    std::vector<Tensor> outputs;
    for (const std::size_t place : places) {
      VERGE_TRY(auto output, copy_of(request, place));
      outputs.push_back(std::move(output));
    }
    return outputs;
  }

  Result<Tensor> copy_of(const openvino::Request& request, std::size_t place) const {
    constexpr std::string_view doing = "read what the model gave";
    openvino::Value* found = nullptr;
    VERGE_CHECK(succeed(api_, api_.infer_request_get_output_tensor_by_index(&request, place, &found),
                        ErrorCode::internal, doing));
    const Owned<openvino::Value> value(found, api_.tensor_free);
    openvino::WholeShape shape;
    VERGE_CHECK(succeed(api_, api_.tensor_get_shape(value.get(), &shape), ErrorCode::internal, doing));
    Tensor output(outputs_[place].type, Shape(shape.dimensions, shape.dimensions + shape.rank));
    api_.shape_free(&shape);
    std::size_t bytes = 0;
    void* numbers = nullptr;
    VERGE_CHECK(succeed(api_, api_.tensor_get_byte_size(value.get(), &bytes), ErrorCode::internal, doing));
    if (bytes != output.byte_count()) {
      return Error{ErrorCode::internal, fmt::format("{}: {} bytes where {} belong", doing, bytes, output.byte_count())};
    }
    if (bytes == 0) return output;
    VERGE_CHECK(succeed(api_, api_.tensor_data(value.get(), &numbers), ErrorCode::internal, doing));
    std::copy_n(static_cast<const unsigned char*>(numbers), bytes, static_cast<unsigned char*>(output.data()));
    return output;
  }

  const OpenVino& runtime_;
  const Api& api_;
  const std::string device_, digest_;
  std::vector<TensorInfo> inputs_, outputs_;
  Owned<openvino::Compiled> compiled_{nullptr, [](openvino::Compiled*) {}};
  std::mutex mutex_;
  std::vector<Owned<openvino::Request>> free_;  ///< Freed before what they were made of.
};

Result<std::vector<std::string>> openvino_devices(const OpenVino& runtime) {
  openvino::Devices devices;
  VERGE_CHECK(succeed(runtime.api, runtime.api.core_get_available_devices(runtime.core, &devices), ErrorCode::internal,
                      "look for devices"));
  std::vector<std::string> names(devices.names, devices.names + devices.count);
  runtime.api.available_devices_free(&devices);
  return names;
}

/// The engine's name of a device: "GPU" of "gpu" when there is "GPU" or "GPU.0".
Result<std::string> device_name_of(const OpenVino& runtime, const std::string& device) {
  if (device != "cpu" && device != "gpu" && device != "npu") {
    return Error{device == "cuda" ? ErrorCode::unavailable : ErrorCode::invalid_argument,
                 fmt::format("OpenVINO has no device \"{}\"; use cpu, gpu or npu", device)};
  }
  std::string name = device;
  std::ranges::transform(name, name.begin(), [](char c) { return static_cast<char>(c - 'a' + 'A'); });
  VERGE_TRY(const auto there, openvino_devices(runtime));
  const bool is_there =
      std::ranges::any_of(there, [&](const auto& one) { return one == name || one.starts_with(name + "."); });
  if (is_there) return name;
  return Error{ErrorCode::unavailable,
               fmt::format("OpenVINO finds no {} here; there is {}", name, fmt::join(there, ", "))};
}

/// `read` gives the library's model.
template <class Read>
Result<std::unique_ptr<Session>> load_with_openvino(const SessionOptions& options, const std::string& doing,
                                                    std::string digest, Read read) {
  VERGE_CHECK(check_threads(options, doing));
  auto runtime = openvino::open_openvino();
  if (!runtime) return std::move(runtime).error().within(doing);
  const Api& api = (*runtime)->api;
  auto device = device_name_of(**runtime, options.device);
  if (!device) return std::move(device).error().within(doing);
  openvino::Model* made = nullptr;
  if (const auto status = read(**runtime, &made); status != 0) {
    return no_whole_model(doing, "OpenVINO " + (*runtime)->version, openvino_reason(api, status));
  }
  const Owned<openvino::Model> model(made, api.model_free);
  auto session = std::make_unique<OpenVinoSession>(**runtime, options.device, std::move(digest));
  if (auto opened = session->open(*model, *device, options.threads); !opened) {
    return std::move(opened).error().within(doing);
  }
  return std::unique_ptr<Session>(std::move(session));
}

}  // namespace

Result<std::unique_ptr<Session>> load_openvino(const std::filesystem::path& path, const SessionOptions& options,
                                               std::string digest) {
  const std::string doing = fmt::format("load model {}", path.string());
  VERGE_CHECK(complete_digest(digest, path, doing));
  return load_with_openvino(options, doing, std::move(digest), [&](const OpenVino& runtime, openvino::Model** model) {
    return runtime.api.core_read_model(runtime.core, path.c_str(), nullptr, model);
  });
}

Result<std::unique_ptr<Session>> load_openvino_bytes(std::string_view bytes, const SessionOptions& options) {
  return load_with_openvino(
      options, "load model from memory", sha256_digest(bytes), [&](const OpenVino& runtime, openvino::Model** model) {
        return runtime.api.core_read_model_from_memory_buffer(runtime.core, bytes.data(), bytes.size(), nullptr, model);
      });
}

Result<std::string> openvino_version() {
  VERGE_TRY(const OpenVino* opened, openvino::open_openvino());
  return opened->version;
}

}  // namespace verge::inference
