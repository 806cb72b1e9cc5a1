// inference/openvino_api.h -- the part of OpenVINO's C interface that we call, declared by us; engine only.
//
// Source: OpenVINO's documentation of its C interface. The numbers of element types and the layout of what is passed by
// value belong to the release named here; open_openvino() refuses every other one (docs/decisions/0008).
// Threads: the table is filled once; the library's functions may be called from any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "base/result.h"

namespace verge::inference::openvino {

/// Year and minor of the release; any patch of it fits.
inline constexpr const char* kRelease = "2026.4";
inline constexpr const char* kLibrary = "libopenvino_c.so.2641";

struct Core;
struct Model;
struct Compiled;
struct Request;
struct Value;  ///< A tensor.
struct Port;   ///< An input or output of a model.

using Status = std::int32_t;  ///< 0: good.

struct Version {
  const char* build = nullptr;  ///< "2026.4.1-…"
  const char* description = nullptr;
};
struct Dimension {
  std::int64_t least = 0, most = 0;  ///< Equal when it is fixed; most is -1 or less for any.
};
struct PartialShape {
  Dimension rank;
  Dimension* dimensions = nullptr;
};
struct WholeShape {
  std::int64_t rank = 0;
  std::int64_t* dimensions = nullptr;
};
struct Devices {
  char** names = nullptr;
  std::size_t count = 0;
};

enum Element : std::uint32_t {
  kBoolean = 1,
  kFloat16 = 3,
  kFloat32 = 4,
  kInt8 = 7,
  kInt32 = 9,
  kInt64 = 10,
  kUint8 = 16
};

/// The functions by their names without the prefix ov_.
struct Api {
  Status (*get_openvino_version)(Version*) = nullptr;
  void (*version_free)(Version*) = nullptr;
  const char* (*get_last_err_msg)() = nullptr;
  const char* (*get_error_info)(Status) = nullptr;
  void (*free)(const char*) = nullptr;

  Status (*core_create)(Core**) = nullptr;
  void (*core_free)(Core*) = nullptr;
  Status (*core_get_available_devices)(const Core*, Devices*) = nullptr;
  void (*available_devices_free)(Devices*) = nullptr;
  Status (*core_read_model)(const Core*, const char* path, const char* weights, Model**) = nullptr;
  Status (*core_read_model_from_memory_buffer)(const Core*, const char*, std::size_t, const Value* weights,
                                               Model**) = nullptr;
  /// `count` names and values follow, all const char*.
  Status (*core_compile_model)(const Core*, const Model*, const char* device, std::size_t count, Compiled**,
                               ...) = nullptr;

  void (*model_free)(Model*) = nullptr;
  Status (*model_inputs_size)(const Model*, std::size_t*) = nullptr;
  Status (*model_outputs_size)(const Model*, std::size_t*) = nullptr;
  Status (*model_const_input_by_index)(const Model*, std::size_t, Port**) = nullptr;
  Status (*model_const_output_by_index)(const Model*, std::size_t, Port**) = nullptr;
  Status (*port_get_any_name)(const Port*, char**) = nullptr;
  Status (*port_get_element_type)(const Port*, Element*) = nullptr;
  Status (*port_get_partial_shape)(const Port*, PartialShape*) = nullptr;
  void (*partial_shape_free)(PartialShape*) = nullptr;
  void (*output_const_port_free)(Port*) = nullptr;

  void (*compiled_model_free)(Compiled*) = nullptr;
  Status (*compiled_model_create_infer_request)(const Compiled*, Request**) = nullptr;
  Status (*compiled_model_get_property)(const Compiled*, const char* name, char** value) = nullptr;
  void (*infer_request_free)(Request*) = nullptr;
  Status (*infer_request_set_input_tensor_by_index)(Request*, std::size_t, const Value*) = nullptr;
  Status (*infer_request_get_output_tensor_by_index)(const Request*, std::size_t, Value**) = nullptr;
  Status (*infer_request_infer)(Request*) = nullptr;

  Status (*tensor_create_from_host_ptr)(Element, WholeShape, void*, Value**) = nullptr;
  Status (*tensor_get_shape)(const Value*, WholeShape*) = nullptr;
  Status (*tensor_get_byte_size)(const Value*, std::size_t*) = nullptr;
  Status (*tensor_data)(const Value*, void**) = nullptr;
  void (*tensor_free)(Value*) = nullptr;
  Status (*shape_free)(WholeShape*) = nullptr;
};

struct Runtime {
  Api api;
  std::string version;  ///< "2026.4.1"
  Core* core = nullptr;
};

/// Opened by the first caller, for the life of the process. A failure is not remembered. Errors: unavailable (the
/// message lists where it looked), corrupt (another release).
Result<const Runtime*> open_openvino();

}  // namespace verge::inference::openvino
