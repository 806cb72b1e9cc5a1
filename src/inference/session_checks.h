// inference/session_checks.h -- what every engine checks before it runs; engines only.
//
// Threads: pure functions.
#pragma once

#include <filesystem>

#include "inference/session.h"

namespace verge::inference {

/// Errors: invalid_argument when they are more or fewer, or the model has no such input, or another type or shape; the
/// message says what it wants.
Status check_inputs(const std::vector<TensorInfo>& wanted, std::span<const NamedTensor> given);

/// Errors: invalid_argument.
Status check_threads(const SessionOptions& options, std::string_view doing);

/// Makes an empty digest the file's. Errors: as sha256_digest_of_file() has them, within `doing`.
Status complete_digest(std::string& digest, const std::filesystem::path& path, const std::string& doing);

/// What is said of bytes that `engine` cannot read; `reason` is the engine's own.
Error no_whole_model(std::string_view doing, std::string_view engine, std::string_view reason);

/// Places of the wanted outputs in the model's list; all when `wanted` is empty. Errors: invalid_argument.
Result<std::vector<std::size_t>> find_outputs(const std::vector<TensorInfo>& outputs,
                                              std::span<const std::string_view> wanted);

}  // namespace verge::inference
