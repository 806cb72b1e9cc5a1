#include "cli/evidence.h"

#include <fmt/format.h>
#include <fstream>

#include "base/bytes.h"
#include "base/crypto.h"
#include "base/json.h"

namespace verge::cli {
namespace {

constexpr std::uint64_t kEvidenceBytesMax = 1ULL << 30U;

Result<Json> ask_module(const HubClient& hub, const std::string& device, const std::string& module,
                        const Json& parameters) {
  VERGE_TRY(const Json reply, hub.call_method(device, module, "evidence", parameters));
  const auto status = reply.value("status", 0);
  const Json payload = reply.value("payload", Json::object());
  if (status == 200 && payload.is_object()) return payload;
  const ErrorCode code = status == 404   ? ErrorCode::not_found
                         : status == 403 ? ErrorCode::conflict
                         : status == 400 ? ErrorCode::invalid_argument
                                         : ErrorCode::unavailable;
  std::string words = payload.is_object() ? payload.value("message", std::string()) : std::string();
  if (words.empty()) words = fmt::format("the module answered with status {}", status);
  return Error{code, std::move(words)};
}

Result<std::string> whole_digest(const std::string& given) {
  std::string digest = given.starts_with("sha256:") ? given : "sha256:" + given;
  const bool fits = digest.size() == 71 && digest.find_first_not_of("0123456789abcdef", 7) == std::string::npos;
  if (fits) return digest;
  return Error{ErrorCode::invalid_argument,
               fmt::format("\"{}\" is no digest; give the 64 digits that verge evidence list shows", given)};
}

Error cannot_write(const std::filesystem::path& file) {
  return Error{ErrorCode::unavailable,
               fmt::format("write \"{}\": the folder must be there and have room", file.string())};
}

}  // namespace

Result<std::uint64_t> fetch_evidence(const HubClient& hub, const EvidenceRequest& request,
                                     const std::function<void(std::uint64_t done, std::uint64_t all)>& progress) {
  VERGE_TRY(const std::string digest, whole_digest(request.digest));
  const std::filesystem::path fresh = request.file.string() + ".part";
  std::ofstream out;
  Sha256 hash;
  std::uint64_t done = 0;
  for (std::uint64_t all = 1; done < all;) {
    VERGE_TRY(const Json piece,
              ask_module(hub, request.device, request.module, {{"digest", digest}, {"offset", done}}));
    VERGE_TRY(const std::string data, string_member(piece, "data"));
    VERGE_TRY(const std::string bytes, from_base64(data));
    VERGE_TRY(const std::int64_t size, integer_member(piece, "bytes"));
    all = static_cast<std::uint64_t>(std::max<std::int64_t>(0, size));
    if (all > kEvidenceBytesMax) return Error{ErrorCode::limit, fmt::format("{} bytes are more than 1 GiB", all)};
    if (bytes.empty() && done < all) return Error{ErrorCode::corrupt, "the module sent an empty piece"};
    if (!out.is_open()) out.open(fresh, std::ios::binary | std::ios::trunc);
    out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    if (!out) return cannot_write(fresh);
    hash.add(bytes);
    done += bytes.size();
    if (progress) progress(done, all);
  }
  out.close();
  std::error_code problem;
  if (const std::string found = hash.digest(); !out || found != digest) {
    std::filesystem::remove(fresh, problem);
    if (!out) return cannot_write(fresh);
    return Error{ErrorCode::corrupt, fmt::format("evidence {}: what came has the digest {}", digest, found)};
  }
  std::filesystem::rename(fresh, request.file, problem);
  if (problem) return cannot_write(request.file);
  return done;
}

Result<Json> list_evidence(const HubClient& hub, const std::string& device, const std::string& module) {
  return ask_module(hub, device, module, Json::object());
}

}  // namespace verge::cli
