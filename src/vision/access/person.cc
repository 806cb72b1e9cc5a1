#include "vision/access/person.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <fmt/format.h>

#include "base/json.h"
#include "vision/access/admission.h"

namespace verge::vision {
namespace {

static_assert(std::endian::native == std::endian::little, "records are little-endian");

constexpr std::size_t kWordsLengthBytes = sizeof(std::uint32_t);

Error mistake(std::string message) { return {ErrorCode::invalid_argument, std::move(message)}; }
Error broken(std::string_view what) {
  return {ErrorCode::corrupt, fmt::format("read the record of a person: {}", what)};
}

bool is_unit(const Embedding& look) {
  double squares = 0;
  for (const float number : look) squares += static_cast<double>(number) * static_cast<double>(number);
  return std::abs(squares - 1) < 1e-3;  // Not a number is not near 1 either.
}

/// Printable on one line: events, tables and file names of others show it.
Status check_name(const std::string& name) {
  if (name.empty() || name.size() > Person::kNameBytesMax) {
    return mistake(fmt::format("a person's name has {} bytes; give 1 to {}", name.size(), Person::kNameBytesMax));
  }
  const auto is_control = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; };
  if (std::ranges::any_of(name, is_control)) return mistake("a person's name holds a control character; leave it out");
  if (name.front() == ' ' || name.back() == ' ') return mistake("a person's name begins or ends with a blank");
  // What is no UTF-8 would come back from JSON as another text.
  if (const auto again = parse_json(to_text(Json(name))); !again || *again != Json(name)) {
    return mistake("a person's name is not UTF-8");
  }
  return Done{};
}

Status check_looks(const std::vector<Embedding>& looks) {
  if (looks.empty() || looks.size() > Person::kLooksMax) {
    return mistake(fmt::format("a person has {} looks; give 1 to {}", looks.size(), Person::kLooksMax));
  }
  for (const Embedding& look : looks) {
    if (look.empty() || look.size() > Person::kNumbersMax || look.size() != looks.front().size()) {
      return mistake(fmt::format("a look has {} numbers, the first one {}; they must be equal, 1 to {}", look.size(),
                                 looks.front().size(), Person::kNumbersMax));
    }
    if (!is_unit(look)) return mistake("a look is not of unit length");
  }
  return Done{};
}

void append(std::string& bytes, const void* from, std::size_t count) {
  bytes.append(static_cast<const char*>(from), count);
}

/// The record's words without its numbers.
struct Words {
  Person person;
  std::size_t looks = 0, numbers = 0;
};

Result<Words> record_words(std::string_view text) {
  VERGE_TRY(const Json json, parse_json(text, 4));
  Words words;
  VERGE_TRY(words.person.name, string_member(json, "name"));
  VERGE_TRY(words.person.model, string_member(json, "model"));
  VERGE_TRY(words.person.when, string_member(json, "when"));
  VERGE_TRY(words.person.enrolled_us, integer_member(json, "enrolled_us"));
  VERGE_TRY(const std::int64_t looks, integer_member(json, "looks"));
  VERGE_TRY(const std::int64_t numbers, integer_member(json, "numbers"));
  if (looks < 1 || looks > static_cast<std::int64_t>(Person::kLooksMax) || numbers < 1 ||
      numbers > static_cast<std::int64_t>(Person::kNumbersMax)) {
    return broken(fmt::format("it says {} looks of {} numbers", looks, numbers));
  }
  words.looks = static_cast<std::size_t>(looks);
  words.numbers = static_cast<std::size_t>(numbers);
  return words;
}

}  // namespace

Status check_person(const Person& person) {
  VERGE_CHECK(check_name(person.name));
  if (person.model.empty() || person.model.size() > 200) return mistake("a person's looks bear no model's digest");
  if (person.when.size() > Person::kWhenBytesMax) {
    return mistake(fmt::format("a schedule has {} bytes; give up to {}", person.when.size(), Person::kWhenBytesMax));
  }
  VERGE_CHECK(Admission::read(person.when));
  return check_looks(person.looks);
}

std::string to_record(const Person& person) {
  const std::string words = to_text(Json{{"name", person.name},
                                         {"enrolled_us", person.enrolled_us},
                                         {"model", person.model},
                                         {"when", person.when},
                                         {"looks", person.looks.size()},
                                         {"numbers", person.looks.front().size()}});
  const auto length = static_cast<std::uint32_t>(words.size());
  std::string record;
  append(record, &length, kWordsLengthBytes);
  record += words;
  for (const Embedding& look : person.looks) append(record, look.data(), look.size() * sizeof(float));
  return record;
}

Result<Person> person_of_record(std::string_view record) {
  std::uint32_t length = 0;
  if (record.size() < kWordsLengthBytes) return broken("it is too short");
  std::memcpy(&length, record.data(), kWordsLengthBytes);
  record.remove_prefix(kWordsLengthBytes);
  if (length > record.size()) return broken("it is cut off");
  auto words = record_words(record.substr(0, length));
  if (!words) return broken(words.error().message);
  record.remove_prefix(length);
  const std::size_t look_bytes = words->numbers * sizeof(float);
  if (record.size() != words->looks * look_bytes) {
    return broken(fmt::format("{} bytes of numbers are {}", words->looks * look_bytes, record.size()));
  }
  Person person = std::move(words->person);
  for (std::size_t at = 0; at < words->looks; ++at) {
    Embedding look(words->numbers);
    std::memcpy(look.data(), record.data() + at * look_bytes, look_bytes);
    person.looks.push_back(std::move(look));
  }
  if (const Status sound = check_person(person); !sound) return broken(sound.error().message);
  return person;
}

}  // namespace verge::vision
