#include "audio/transcripts/clip.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>

namespace verge::audio {
namespace {

constexpr double kDurationMax_s = 3600;
constexpr double kBeginMax_s = 1e7;
constexpr std::size_t kMediaNameBytesMax = 400;

Error member_error(std::string_view member, std::string_view wanted) {
  return {ErrorCode::invalid_argument, fmt::format("\"{}\" must be {}", member, wanted)};
}

double rounded(double value, double steps) { return std::round(value * steps) / steps; }

Json words_to_json(const std::vector<SpokenWord>& words) {
  Json list = Json::array();
  for (const auto& word : words) {
    list.push_back({{"word", word.text},
                    {"confidence", rounded(word.confidence, 1e4)},
                    {"begin_s", rounded(word.begin_s, 1e3)},
                    {"end_s", rounded(word.end_s, 1e3)}});
  }
  return list;
}

Status read_text(const Json& json, std::string_view member, std::size_t bytes_max, std::string& target) {
  VERGE_TRY(target, string_member(json, member));
  if (target.size() > bytes_max) return member_error(member, fmt::format("at most {} bytes", bytes_max));
  // Labels are lines of other formats, too: a line break or a tab within would break them.
  for (const char letter : target) {
    if (static_cast<unsigned char>(letter) < 0x20) return member_error(member, "without line breaks and tabs");
  }
  return Done{};
}

Status read_number(const Json& json, std::string_view member, double low, double high, double& target) {
  VERGE_TRY(target, number_member(json, member));
  if (!(target >= low && target <= high)) return member_error(member, fmt::format("{:g} to {:g}", low, high));
  return Done{};
}

Result<SpokenWord> word_from_json(const Json& json) {
  if (!json.is_object()) return member_error("words", "a list of objects");
  SpokenWord word;
  VERGE_CHECK(read_text(json, "word", Clip::kNameBytesMax, word.text));
  VERGE_CHECK(read_number(json, "confidence", 0, 1, word.confidence));
  VERGE_CHECK(read_number(json, "begin_s", 0, kDurationMax_s, word.begin_s));
  VERGE_CHECK(read_number(json, "end_s", 0, kDurationMax_s, word.end_s));
  return word;
}

Status read_heard(const Json& json, Clip& clip) {
  VERGE_CHECK(read_text(json, "heard", Clip::kTextBytesMax, clip.heard));
  VERGE_CHECK(read_number(json, "confidence", 0, 1, clip.confidence));
  VERGE_CHECK(read_text(json, "model", Clip::kNameBytesMax, clip.model));
  const Json words = json.value("words", Json::array());
  if (!words.is_array() || words.size() > Clip::kWordsMax)
    return member_error("words", fmt::format("a list of at most {} words", Clip::kWordsMax));
  for (const auto& item : words) {
    VERGE_TRY(auto word, word_from_json(item));
    clip.words.push_back(std::move(word));
  }
  const Json others = json.value("alternatives", Json::array());
  if (!others.is_array() || others.size() > Clip::kAlternativesMax)
    return member_error("alternatives", fmt::format("a list of at most {} texts", Clip::kAlternativesMax));
  for (const auto& item : others) {
    if (!item.is_object()) return member_error("alternatives", "a list of {text, log_probability}");
    Alternative other;
    VERGE_CHECK(read_text(item, "text", Clip::kTextBytesMax, other.text));
    VERGE_CHECK(read_number(item, "log_probability", -1e6, 0, other.log_probability));
    clip.alternatives.push_back(std::move(other));
  }
  return Done{};
}

}  // namespace

bool is_media_name(std::string_view name) {
  if (!name.starts_with("media/") || name.size() > kMediaNameBytesMax) return false;
  for (std::string_view rest = name; !rest.empty();) {
    const auto step = rest.substr(0, rest.find('/'));
    if (step.empty() || step.front() == '.') return false;
    const bool is_plain = std::ranges::all_of(step, [](char letter) {
      return (letter >= 'a' && letter <= 'z') || (letter >= 'A' && letter <= 'Z') || (letter >= '0' && letter <= '9') ||
             letter == '.' || letter == '_' || letter == '-' || letter == ' ';
    });
    if (!is_plain) return false;
    rest.remove_prefix(step.size());
    if (rest.empty()) break;
    rest.remove_prefix(1);
    if (rest.empty()) return false;
  }
  return true;
}

double doubt_of(const Clip& clip) {
  if (clip.is_reviewed) return 0;
  double least = clip.words.empty() ? clip.confidence : 1;
  for (const auto& word : clip.words) least = std::min(least, word.confidence);
  return 1 - least;
}

Json to_json(const Clip& clip) {
  Json json{{"media", clip.media}, {"text", clip.text}, {"duration_s", rounded(clip.duration_s, 1e6)}};
  const auto set_text = [&](const char* member, const std::string& value) {
    if (!value.empty()) json[member] = value;
  };
  set_text("digest", clip.digest);
  set_text("heard", clip.heard);
  set_text("model", clip.model);
  set_text("speaker", clip.speaker);
  set_text("room", clip.room);
  set_text("device", clip.device);
  set_text("split", clip.split);
  set_text("source", clip.source);
  if (clip.is_reviewed) json["reviewed"] = true;
  if (clip.confidence > 0) json["confidence"] = rounded(clip.confidence, 1e4);
  if (!clip.words.empty()) json["words"] = words_to_json(clip.words);
  for (const auto& other : clip.alternatives)
    json["alternatives"].push_back({{"text", other.text}, {"log_probability", rounded(other.log_probability, 1e4)}});
  if (clip.begin_s > 0) json["begin_s"] = rounded(clip.begin_s, 1e6);
  if (clip.captured_us != 0) json["captured_us"] = clip.captured_us;
  if (clip.revision != 0) json["revision"] = clip.revision;
  return json;
}

Result<Clip> clip_from_json(const Json& json) {
  if (!json.is_object()) return Error{ErrorCode::invalid_argument, "a clip must be a JSON object"};
  Clip clip;
  VERGE_TRY(clip.media, string_member(json, "media"));
  if (!is_media_name(clip.media))
    return member_error("media", "a path of plain names below media/, like media/gate-0001.flac");
  VERGE_CHECK(read_text(json, "text", Clip::kTextBytesMax, clip.text));
  VERGE_CHECK(read_text(json, "digest", Clip::kNameBytesMax, clip.digest));
  VERGE_CHECK(read_text(json, "speaker", Clip::kNameBytesMax, clip.speaker));
  VERGE_CHECK(read_text(json, "room", Clip::kNameBytesMax, clip.room));
  VERGE_CHECK(read_text(json, "device", Clip::kNameBytesMax, clip.device));
  VERGE_CHECK(read_text(json, "split", Clip::kNameBytesMax, clip.split));
  VERGE_CHECK(read_text(json, "source", Clip::kNameBytesMax, clip.source));
  VERGE_CHECK(read_number(json, "duration_s", 0, kDurationMax_s, clip.duration_s));
  VERGE_CHECK(read_number(json, "begin_s", 0, kBeginMax_s, clip.begin_s));
  VERGE_TRY(clip.is_reviewed, bool_member(json, "reviewed"));
  VERGE_TRY(clip.captured_us, integer_member(json, "captured_us"));
  VERGE_TRY(const auto revision, integer_member(json, "revision"));
  if (revision < 0) return member_error("revision", "0 or more");
  clip.revision = static_cast<std::uint64_t>(revision);
  VERGE_CHECK(read_heard(json, clip));
  return clip;
}

}  // namespace verge::audio
