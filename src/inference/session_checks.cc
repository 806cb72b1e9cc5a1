#include "inference/session_checks.h"

#include <fmt/format.h>

#include "base/crypto.h"

namespace verge::inference {
namespace {

std::string describe(const std::vector<TensorInfo>& tensors) {
  std::string text;
  for (const TensorInfo& tensor : tensors) {
    if (!text.empty()) text += ", ";
    text += fmt::format("\"{}\" {} {}", tensor.name, name_of(tensor.type), to_text(tensor.shape));
  }
  return text;
}

bool fits(const Shape& wanted, const Shape& given) {
  if (wanted.size() != given.size()) return false;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    if (wanted[i] >= 0 && wanted[i] != given[i]) return false;
  }
  return true;
}

Status check_input(const std::vector<TensorInfo>& wanted, const NamedTensor& given) {
  for (const TensorInfo& info : wanted) {
    if (info.name != given.name) continue;
    VERGE_ASSERT(given.tensor != nullptr);
    if (info.type != given.tensor->type()) {
      return Error{ErrorCode::invalid_argument,
                   fmt::format("run the model: input \"{}\" is {}, the caller gives {}; convert the values", info.name,
                               name_of(info.type), name_of(given.tensor->type()))};
    }
    if (!fits(info.shape, given.tensor->shape())) {
      return Error{ErrorCode::invalid_argument,
                   fmt::format("run the model: input \"{}\" is {}, the caller gives {}; make the shapes equal",
                               info.name, to_text(info.shape), to_text(given.tensor->shape()))};
    }
    return Done{};
  }
  return Error{ErrorCode::invalid_argument,
               fmt::format("run the model: it has no input \"{}\"; it has {}", given.name, describe(wanted))};
}

}  // namespace

Status check_inputs(const std::vector<TensorInfo>& wanted, std::span<const NamedTensor> given) {
  if (given.size() != wanted.size()) {
    return Error{ErrorCode::invalid_argument,
                 fmt::format("run the model: it has {} inputs, the caller gives {}", wanted.size(), given.size())};
  }
  for (const NamedTensor& input : given) VERGE_CHECK(check_input(wanted, input));
  return Done{};
}

Status check_threads(const SessionOptions& options, std::string_view doing) {
  if (options.threads >= 1 && options.threads <= 256) return Done{};
  return Error{ErrorCode::invalid_argument, fmt::format("{}: {} threads; give 1 to 256", doing, options.threads)};
}

Status complete_digest(std::string& digest, const std::filesystem::path& path, const std::string& doing) {
  if (!digest.empty()) return Done{};
  auto computed = sha256_digest_of_file(path);
  if (!computed) return std::move(computed).error().within(doing);
  digest = *std::move(computed);
  return Done{};
}

Error no_whole_model(std::string_view doing, std::string_view engine, std::string_view reason) {
  return {ErrorCode::corrupt,
          fmt::format("{}: this is no whole ONNX model for {}; make or fetch it again ({})", doing, engine, reason)};
}

Result<std::vector<std::size_t>> find_outputs(const std::vector<TensorInfo>& outputs,
                                              std::span<const std::string_view> wanted) {
  std::vector<std::size_t> found;
  if (wanted.empty()) {
    for (std::size_t i = 0; i < outputs.size(); ++i) found.push_back(i);
    return found;
  }
  for (const std::string_view name : wanted) {
    std::size_t at = 0;
    while (at < outputs.size() && outputs[at].name != name) ++at;
    if (at == outputs.size()) {
      return Error{ErrorCode::invalid_argument,
                   fmt::format("run the model: it has no output \"{}\"; it has {}", name, describe(outputs))};
    }
    found.push_back(at);
  }
  return found;
}

Status Session::run_into(std::span<const NamedTensor> inputs, std::span<const NamedTarget> outputs) {
  std::vector<std::string_view> wanted;
  for (const NamedTarget& output : outputs) wanted.push_back(output.name);
  VERGE_TRY(auto found, run(inputs, wanted));
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    if (found[i].shape() != outputs[i].tensor->shape() || found[i].type() != outputs[i].tensor->type()) {
      return Error{ErrorCode::internal, fmt::format("run the model: output \"{}\" is {}, wanted {}", outputs[i].name,
                                                    to_text(found[i].shape()), to_text(outputs[i].tensor->shape()))};
    }
    *outputs[i].tensor = std::move(found[i]);
  }
  return Done{};
}

}  // namespace verge::inference
