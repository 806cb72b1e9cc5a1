// A multipart stream in arbitrary pieces: no crash, the same parts however it is cut.
#include "base/assert.h"
#include "connectors/camera/multipart_reader.h"

namespace {

struct Parts {
  std::string all;
  bool is_good = true;
};

Parts read_in_pieces(std::string_view type, std::string_view bytes, std::size_t piece_bytes) {
  verge::connectors::MultipartReader reader(type);
  Parts parts;
  for (std::size_t at = 0; parts.is_good && at < bytes.size(); at += piece_bytes) {
    parts.is_good = bool(reader.put(bytes.substr(at, piece_bytes), [&](std::string_view part) -> verge::Status {
      parts.all.append(part).push_back('|');
      return verge::Done{};
    }));
  }
  return parts;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const auto line = input.find('\n');
  const std::string_view type = input.substr(0, line);
  const std::string_view bytes = line == std::string_view::npos ? std::string_view() : input.substr(line + 1);
  const auto whole = read_in_pieces(type, bytes, size + 1);
  const auto cut = read_in_pieces(type, bytes, 3);
  VERGE_ASSERT(whole.is_good == cut.is_good);
  if (whole.is_good) VERGE_ASSERT(whole.all == cut.all);
  return 0;
}
