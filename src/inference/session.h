// inference/session.h -- a loaded model, whatever engine runs it.
//
// Two engines, both opened at run time: ONNX Runtime 1.28.0 (docs/decisions/0002), whose threads never spin and which
// is always wanted, and OpenVINO 2026.4 (docs/decisions/0008), which may be absent. open_session.h chooses.
// Threads: a Session's run() may be called from several threads at once.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "inference/tensor.h"

namespace verge::inference {

struct TensorInfo {
  std::string name;
  DataType type = DataType::float32;
  Shape shape;  ///< -1 where the model leaves a dimension free.
};

struct SessionOptions {
  /// Of one run, 1..256. With 1 ONNX Runtime computes on the caller's thread; OpenVINO has one of its own.
  int threads = 1;
  /// "cpu"; what the library and the machine must have: "gpu", "npu", and with ONNX Runtime "cuda".
  std::string device = "cpu";
};

/// One named input of a run. The tensor must stay alive and unchanged during the call.
struct NamedTensor {
  std::string_view name;
  const Tensor* tensor = nullptr;
};

/// Where an output goes. Its type and shape must be what the run gives.
struct NamedTarget {
  std::string_view name;
  Tensor* tensor = nullptr;
};

class Session {
 public:
  virtual ~Session() = default;
  virtual const std::vector<TensorInfo>& inputs() const = 0;
  virtual const std::vector<TensorInfo>& outputs() const = 0;
  /// Runs once; returns the outputs in the order of `wanted` (all outputs when empty). Errors: invalid_argument
  /// (names, types, shapes: the message says what the model wants), internal (the engine's words).
  virtual Result<std::vector<Tensor>> run(std::span<const NamedTensor> inputs,
                                          std::span<const std::string_view> wanted = {}) = 0;
  /// The same, each output written where the caller wants it: nothing is allocated or copied where the engine can. An
  /// output may not lie on an input. Errors: those of run(); internal when an output has another shape than its target.
  virtual Status run_into(std::span<const NamedTensor> inputs, std::span<const NamedTarget> outputs);
  /// "onnxruntime 1.28.0 cpu"
  virtual std::string engine() const = 0;
  virtual std::string model_digest() const = 0;  ///< "sha256:…" of the file.
};

/// Finds the library: $VERGE_ONNXRUNTIME (a path), then libonnxruntime.so.1 beside the program, in ../lib, then the
/// system's search. Opened once per process. Errors: not_found (no file), unavailable (no library: the message lists
/// where it looked; no such device), corrupt (version; no whole model), invalid_argument (threads, an unknown device).
/// `digest` is that of the file where the caller knows it; otherwise the file is read for it.
Result<std::unique_ptr<Session>> load_onnx(const std::filesystem::path& path, const SessionOptions& options = {},
                                           std::string digest = {});
/// The same from bytes in memory.
Result<std::unique_ptr<Session>> load_onnx_bytes(std::string_view bytes, const SessionOptions& options = {});
/// "1.28.0", or why there is none.
Result<std::string> onnx_runtime_version();

/// The same with OpenVINO: $VERGE_OPENVINO, else libopenvino_c.so.2641 at the same places. Numbers are computed in
/// float32 (or what the model file says), whatever else the processor has.
Result<std::unique_ptr<Session>> load_openvino(const std::filesystem::path& path, const SessionOptions& options = {},
                                               std::string digest = {});
Result<std::unique_ptr<Session>> load_openvino_bytes(std::string_view bytes, const SessionOptions& options = {});
Result<std::string> openvino_version();

}  // namespace verge::inference
