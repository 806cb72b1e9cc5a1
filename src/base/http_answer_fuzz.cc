// An HTTP answer in arbitrary pieces: no crash, no bound passed, the same result however it is cut.
#include "base/assert.h"
#include "base/http_answer.h"

namespace {

struct Outcome {
  bool is_good = true, is_done = false;
  verge::HttpResponse response;
};

Outcome read_in_pieces(std::string_view bytes, std::size_t piece_bytes) {
  verge::HttpAnswerReader reader({.head_bytes_max = 4096, .body_bytes_max = 8192}, false);
  Outcome outcome;
  for (std::size_t at = 0; outcome.is_good && at < bytes.size(); at += piece_bytes) {
    outcome.is_good = bool(reader.put(bytes.substr(at, piece_bytes)));
  }
  if (outcome.is_good) outcome.is_good = bool(reader.end());
  outcome.is_done = reader.is_done();
  outcome.response = std::move(reader.response());
  return outcome;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const auto whole = read_in_pieces(bytes, size + 1);
  const auto cut = read_in_pieces(bytes, 3);
  VERGE_ASSERT(whole.response.body.size() <= 8192);
  VERGE_ASSERT(whole.is_good == cut.is_good && whole.is_done == cut.is_done);
  if (whole.is_good) VERGE_ASSERT(whole.response.body == cut.response.body);
  return 0;
}
