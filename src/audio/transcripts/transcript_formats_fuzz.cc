// Whatever a list has in it: clips that are sound, or an error that says file and line. What we write, we read again.
#include <cmath>

#include "audio/transcripts/dataset.h"
#include "audio/transcripts/transcript_formats.h"
#include "audio/transcripts/word_model.h"
#include "base/assert.h"

using namespace verge;
using namespace verge::audio;

namespace {

template <class T>
void check_answer(const Result<std::vector<T>>& answer) {
  if (!answer) VERGE_ASSERT(answer.error().message.starts_with("list:"));
}

void check_labels(std::string_view text) {
  const auto clips = parse_labels(text, "list");
  check_answer(clips);
  if (!clips) return;
  const auto written = to_labels(*clips);
  const auto again = parse_labels(written, "list");
  VERGE_ASSERT(again && to_labels(*again) == written);
}

void check_rttm(std::string_view text) {
  const auto turns = parse_rttm(text, "list");
  check_answer(turns);
  if (!turns) return;
  for (const auto& turn : *turns) VERGE_ASSERT(parse_rttm(to_rttm(turn), "list"));
}

void check_arpa(std::string_view text) {
  const auto model = WordModel::from_arpa(text, "list");
  if (!model) {
    VERGE_ASSERT(model.error().message.starts_with("list:"));
    return;
  }
  VERGE_ASSERT(WordModel::from_arpa(model->to_arpa(), "list"));
  VERGE_ASSERT(!std::isnan(model->log_probability("one two three")));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0] % 6) {
    case 0:
      check_labels(text);
      break;
    case 1:
      check_answer(parse_json_lines(text, "list"));
      break;
    case 2:
      check_answer(parse_librispeech(text, "list"));
      break;
    case 3:
      check_answer(parse_common_voice(text, "list"));
      break;
    case 4:
      check_arpa(text);
      break;
    default:
      check_rttm(text);
  }
  return 0;
}
