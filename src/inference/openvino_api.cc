#include "inference/openvino_api.h"

#include <algorithm>
#include <dlfcn.h>
#include <fmt/format.h>
#include <mutex>

#include "inference/library_places.h"

namespace verge::inference::openvino {
namespace {

class Binder {
 public:
  explicit Binder(void* library) : library_(library) {}

  template <class Function>
  void bind(Function& function, const char* name) {
    function = reinterpret_cast<Function>(dlsym(library_, name));
    if (function == nullptr && missing_.empty()) missing_ = name;
  }
  const std::string& missing() const { return missing_; }

 private:
  void* library_;
  std::string missing_;
};

Result<Api> bind(void* library) {
  Binder binder(library);
  Api api;
#define VERGE_BIND(name) binder.bind(api.name, "ov_" #name)
  VERGE_BIND(get_openvino_version);
  VERGE_BIND(version_free);
  VERGE_BIND(get_last_err_msg);
  VERGE_BIND(get_error_info);
  VERGE_BIND(free);
  VERGE_BIND(core_create);
  VERGE_BIND(core_free);
  VERGE_BIND(core_get_available_devices);
  VERGE_BIND(available_devices_free);
  VERGE_BIND(core_read_model);
  VERGE_BIND(core_read_model_from_memory_buffer);
  VERGE_BIND(core_compile_model);
  VERGE_BIND(model_free);
  VERGE_BIND(model_inputs_size);
  VERGE_BIND(model_outputs_size);
  VERGE_BIND(model_const_input_by_index);
  VERGE_BIND(model_const_output_by_index);
  VERGE_BIND(port_get_any_name);
  VERGE_BIND(port_get_element_type);
  VERGE_BIND(port_get_partial_shape);
  VERGE_BIND(partial_shape_free);
  VERGE_BIND(output_const_port_free);
  VERGE_BIND(compiled_model_free);
  VERGE_BIND(compiled_model_create_infer_request);
  VERGE_BIND(compiled_model_get_property);
  VERGE_BIND(infer_request_free);
  VERGE_BIND(infer_request_set_input_tensor_by_index);
  VERGE_BIND(infer_request_get_output_tensor_by_index);
  VERGE_BIND(infer_request_infer);
  VERGE_BIND(tensor_create_from_host_ptr);
  VERGE_BIND(tensor_get_shape);
  VERGE_BIND(tensor_get_byte_size);
  VERGE_BIND(tensor_data);
  VERGE_BIND(tensor_free);
  VERGE_BIND(shape_free);
#undef VERGE_BIND
  if (binder.missing().empty()) return api;
  return Error{ErrorCode::corrupt,
               fmt::format("open OpenVINO: the library has no {}; wanted is release {}", binder.missing(), kRelease)};
}

/// "2026.4.1" of "2026.4.1-22345-abcdef".
Result<std::string> version_of(const Api& api) {
  Version version;
  if (api.get_openvino_version(&version) != 0) return Error{ErrorCode::corrupt, "open OpenVINO: it tells no version"};
  std::string build = version.build == nullptr ? "" : version.build;
  api.version_free(&version);
  build.resize(std::min(build.find('-'), build.size()));
  if (build == kRelease || build.starts_with(std::string(kRelease) + ".")) return build;
  return Error{ErrorCode::corrupt,
               fmt::format("open OpenVINO: this is release {}, wanted {}; install that one", build, kRelease)};
}

Result<Runtime> open() {
  VERGE_TRY(
      void* library,
      open_library({.product = fmt::format("OpenVINO {}", kRelease), .file = kLibrary, .variable = "VERGE_OPENVINO"}));
  Runtime runtime;
  VERGE_TRY(runtime.api, bind(library));
  VERGE_TRY(runtime.version, version_of(runtime.api));
  if (runtime.api.core_create(&runtime.core) != 0) {
    const char* reason = runtime.api.get_last_err_msg();
    return Error{ErrorCode::internal,
                 fmt::format("start OpenVINO {}: {}", runtime.version, reason == nullptr ? "no reason given" : reason)};
  }
  return runtime;
}

}  // namespace

Result<const Runtime*> open_openvino() {
  static std::mutex mutex;
  static const Runtime* opened = nullptr;
  const std::lock_guard lock(mutex);
  if (opened == nullptr) {
    VERGE_TRY(Runtime fresh, open());
    opened = new Runtime(std::move(fresh));
  }
  return opened;
}

}  // namespace verge::inference::openvino
