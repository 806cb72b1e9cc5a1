#include "pipeline/yaml.h"

#include <charconv>
#include <cmath>
#include <fmt/format.h>
#include <optional>
#include <sstream>
#include <vector>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include "pipeline/pipeline_file.h"

namespace verge::pipeline {
namespace {

constexpr std::size_t kTextBytesMax = 1U << 20U;
constexpr int kDepthMax = 64;
constexpr std::size_t kValuesMax = 100'000;

Error mistake(std::string_view file, const YAML::Mark& mark, std::string_view message) {
  return Error{ErrorCode::invalid_argument, fmt::format("{}:{}:{}: {}", file, mark.line + 1, mark.column + 1, message)};
}

bool all_digits(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

std::optional<std::int64_t> whole_number_in(std::string_view text, int base = 10) {
  std::int64_t number = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), number, base);
  if (failure != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

std::optional<double> number_in(std::string_view text) {
  double number = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (failure != std::errc() || end != text.data() + text.size() || !std::isfinite(number)) return std::nullopt;
  return number;
}

/// An integer of the core schema; beyond 64 bits it is read as a floating-point number instead.
std::optional<Json> integer_of(std::string_view text) {
  if (text.starts_with("0x")) {
    if (auto number = whole_number_in(text.substr(2), 16); number && text[2] != '-') return Json(*number);
    return std::nullopt;
  }
  if (text.starts_with("0o")) {
    if (auto number = whole_number_in(text.substr(2), 8); number && text[2] != '-') return Json(*number);
    return std::nullopt;
  }
  const bool has_sign = text.starts_with('-') || text.starts_with('+');
  if (!all_digits(has_sign ? text.substr(1) : text)) return std::nullopt;
  if (auto number = whole_number_in(text.starts_with('+') ? text.substr(1) : text)) return Json(*number);
  return std::nullopt;
}

/// [-+]? ( \. digits | digits ( \. digits* )? ) ( [eE] [-+]? digits )?
bool looks_like_float(std::string_view text) {
  if (text.starts_with('-') || text.starts_with('+')) text.remove_prefix(1);
  if (const auto exponent = text.find_first_of("eE"); exponent != std::string_view::npos) {
    std::string_view power = text.substr(exponent + 1);
    if (power.starts_with('-') || power.starts_with('+')) power.remove_prefix(1);
    if (!all_digits(power)) return false;
    text = text.substr(0, exponent);
  }
  const auto point = text.find('.');
  if (point == std::string_view::npos) return all_digits(text);
  const std::string_view whole = text.substr(0, point);
  const std::string_view part = text.substr(point + 1);
  return (all_digits(whole) && (part.empty() || all_digits(part))) || (whole.empty() && all_digits(part));
}

Json plain_scalar(const std::string& text) {
  if (text.empty() || text == "~" || text == "null" || text == "Null" || text == "NULL") return nullptr;
  if (text == "true" || text == "True" || text == "TRUE") return true;
  if (text == "false" || text == "False" || text == "FALSE") return false;
  if (auto integer = integer_of(text)) return *integer;
  if (looks_like_float(text)) {
    const std::string_view digits = text.starts_with('+') ? std::string_view(text).substr(1) : text;
    if (auto number = number_in(digits)) return *number;
  }
  return text;
}

class Converter {
 public:
  Converter(std::string_view file, YamlDocument& document) : file_(file), document_(document) {}

  Result<Json> convert(const YAML::Node& node, const std::string& pointer, int depth) {
    if (depth > kDepthMax) return mistake(file_, node.Mark(), "nested deeper than 64 levels; flatten it");
    if (++values_ > kValuesMax) return mistake(file_, node.Mark(), "more than 100000 values; make the file smaller");
    document_.places.try_emplace(pointer, Place{node.Mark().line + 1, node.Mark().column + 1});
    switch (node.Type()) {
      case YAML::NodeType::Scalar:
        return node.Tag() == "?" ? plain_scalar(node.Scalar()) : Json(node.Scalar());
      case YAML::NodeType::Sequence:
        return sequence(node, pointer, depth);
      case YAML::NodeType::Map:
        return map(node, pointer, depth);
      case YAML::NodeType::Null:
      case YAML::NodeType::Undefined:
        break;
    }
    return Json(nullptr);
  }

 private:
  Result<Json> sequence(const YAML::Node& node, const std::string& pointer, int depth) {
    Json array = Json::array();
    for (const YAML::Node& item : node) {
      VERGE_TRY(Json value, convert(item, fmt::format("{}/{}", pointer, array.size()), depth + 1));
      array.push_back(std::move(value));
    }
    return array;
  }

  Result<Json> map(const YAML::Node& node, const std::string& pointer, int depth) {
    Json object = Json::object();
    for (const auto& member : node) {
      if (!member.first.IsScalar()) return mistake(file_, member.first.Mark(), "a key must be a word");
      const std::string key = member.first.Scalar();
      if (object.contains(key)) {
        return mistake(file_, member.first.Mark(), fmt::format("key \"{}\" is given twice; keep one", key));
      }
      const std::string below = pointer + "/" + pointer_step(key);
      document_.places[below] = Place{member.first.Mark().line + 1, member.first.Mark().column + 1};
      VERGE_TRY(Json value, convert(member.second, below, depth + 1));
      object[key] = std::move(value);
    }
    return object;
  }

  std::string_view file_;
  YamlDocument& document_;
  std::size_t values_ = 0;
};

/// Where each document begins.
class DocumentMarks final : public YAML::EventHandler {
 public:
  std::vector<YAML::Mark> marks;

  void OnDocumentStart(const YAML::Mark& mark) override { marks.push_back(mark); }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark&, YAML::anchor_t) override {}
  void OnAlias(const YAML::Mark&, YAML::anchor_t) override {}
  void OnScalar(const YAML::Mark&, const std::string&, YAML::anchor_t, const std::string&) override {}
  void OnSequenceStart(const YAML::Mark&, const std::string&, YAML::anchor_t, YAML::EmitterStyle::value) override {}
  void OnSequenceEnd() override {}
  void OnMapStart(const YAML::Mark&, const std::string&, YAML::anchor_t, YAML::EmitterStyle::value) override {}
  void OnMapEnd() override {}
};

/// YAML::LoadAll would tell too, but with a text such as "!," it comes to no end.
std::optional<YAML::Mark> second_document_in(const std::string& text) {
  std::istringstream stream(text);
  YAML::Parser parser(stream);
  DocumentMarks documents;
  while (documents.marks.size() < 2 && parser.HandleNextDocument(documents)) {
  }
  if (documents.marks.size() < 2) return std::nullopt;
  return documents.marks[1];
}

}  // namespace

std::string pointer_step(std::string_view key) {
  std::string step;
  for (const char c : key) {
    if (c == '~') {
      step += "~0";
    } else if (c == '/') {
      step += "~1";
    } else {
      step += c;
    }
  }
  return step;
}

std::string YamlDocument::where(std::string_view pointer) const {
  for (;;) {
    if (const auto at = places.find(pointer); at != places.end()) {
      return fmt::format("{}:{}:{}", file_name, at->second.line, at->second.column);
    }
    const auto slash = pointer.rfind('/');
    if (slash == std::string_view::npos) return fmt::format("{}:1:1", file_name);
    pointer = pointer.substr(0, slash);
  }
}

Result<YamlDocument> read_yaml(std::string_view text, std::string_view file_name) {
  if (text.size() > kTextBytesMax) {
    return Error{ErrorCode::invalid_argument,
                 fmt::format("{}:1:1: {} bytes; at most {} are read", file_name, text.size(), kTextBytesMax)};
  }
  YamlDocument document;
  document.file_name = file_name;
  try {
    if (const auto second = second_document_in(std::string(text))) {
      return mistake(file_name, *second, "a second document begins; one file holds one");
    }
    const YAML::Node root = YAML::Load(std::string(text));
    if (root.IsNull() && root.Mark().is_null()) return document;  // Nothing but space and comments.
    Converter converter(file_name, document);
    VERGE_TRY(document.value, converter.convert(root, "", 0));
    return document;
  } catch (const YAML::Exception& error) {
    return mistake(file_name, error.mark.is_null() ? YAML::Mark{} : error.mark, error.msg);
  } catch (const std::exception& error) {
    return Error{ErrorCode::invalid_argument, fmt::format("{}:1:1: {}", file_name, error.what())};
  }
}

Result<Json> yaml_to_json(std::string_view text, std::string_view file_name) {
  VERGE_TRY(YamlDocument document, read_yaml(text, file_name));
  return std::move(document.value);
}

}  // namespace verge::pipeline
