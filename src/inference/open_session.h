// inference/open_session.h -- opens a model with the engine and on the device that were asked for, or with those that
// do best here, and says which and why.
//
// "auto" is ONNX Runtime on the CPU, unless another engine or device is here, gives the same numbers, and is more than
// a tenth faster in a trial of this model on this machine (a second at most, once per model and engine versions where a
// file remembers it). Sessions of one process are shared: who asks for the same model in the same way gets the same.
// Threads: use from anywhere; opening the same model at the same time opens it twice at worst.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "inference/session.h"

namespace verge::inference {

struct EngineWish {
  std::string engine = "auto";  ///< "auto", "onnxruntime", "openvino"
  std::string device = "auto";  ///< "auto", "cpu", "gpu", "npu", "cuda"
  int threads = 1;              ///< SessionOptions::threads
  /// What was asked for by name and is not here is replaced by ONNX Runtime on the CPU; else that is an error.
  bool may_fall_back = false;
  double tolerance = 1e-4;         ///< Largest difference of an output between engines that is still the same.
  std::filesystem::path memory{};  ///< File that keeps what trials found; empty: each process tries anew.
};

/// The trial of one engine beside ONNX Runtime on the CPU.
struct EngineTrial {
  std::string engine;           ///< Session::engine()
  double ms = 0, basis_ms = 0;  ///< Median of a run; of ONNX Runtime's in the same seconds.
  double difference = 0;        ///< Largest of any output.
};

struct OpenedSession {
  std::shared_ptr<Session> session;
  std::string reason;      ///< Why this one, when it is not simply what was asked for; a sentence without a full stop.
  bool fell_back = false;  ///< Asked for by name and not here.
};

/// Errors: invalid_argument (an unknown engine or device), those of load_onnx; without may_fall_back unavailable when
/// what was asked for is not here.
Result<OpenedSession> open_session(const std::filesystem::path& model, const std::string& digest,
                                   const EngineWish& wish);

}  // namespace verge::inference
