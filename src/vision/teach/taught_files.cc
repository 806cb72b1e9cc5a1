#include "vision/teach/taught_files.h"

#include <fmt/format.h>

#include "base/crypto.h"
#include "base/disk.h"

namespace verge::vision {

Result<ReadPicture> read_picture(const TeachRequest& request, const std::filesystem::path& file) {
  auto frame = request.read(file);
  if (frame) return ReadPicture{*std::move(frame), {}};
  if (frame.error().code == ErrorCode::unavailable) return frame.error();
  return ReadPicture{nullptr, fmt::format("{} was passed over: {}", file.filename().string(), frame.error().message)};
}

void forget_model(const TeachRequest& request) {
  for (const char* file : {"card.json", "model.onnx"}) {
    std::error_code ignored;  // None may be there from before.
    std::filesystem::remove(request.target / file, ignored);
  }
}

Status write_model(const TeachRequest& request, const models::OnnxModel& model, models::ModelCard card) {
  const std::string bytes = models::to_bytes(model);
  card.digest = sha256_digest(bytes);
  card.name =
      request.name.empty() ? std::filesystem::weakly_canonical(request.target).filename().string() : request.name;
  VERGE_CHECK(write_file(request.target / "model.onnx", bytes));
  return write_file(request.target / "card.json", to_pretty_text(models::to_json(card)) + "\n");
}

}  // namespace verge::vision
