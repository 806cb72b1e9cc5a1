#include "models/model_card.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <fmt/format.h>
#include <set>

#include "base/crypto.h"
#include "base/disk.h"

namespace verge::models {
namespace fs = std::filesystem;
namespace {

using inference::DataType;
using inference::TensorInfo;

constexpr std::size_t card_bytes_max = 4U << 20U;
constexpr std::size_t labels_max = 100'000;

template <class T>
struct Word {
  std::string_view text;
  T value;
};
constexpr std::array<Word<DataType>, 7> type_words{{{"float32", DataType::float32},
                                                    {"float16", DataType::float16},
                                                    {"uint8", DataType::uint8},
                                                    {"int8", DataType::int8},
                                                    {"int32", DataType::int32},
                                                    {"int64", DataType::int64},
                                                    {"boolean", DataType::boolean}}};
constexpr std::array<Word<ColourOrder>, 3> colour_words{
    {{"rgb", ColourOrder::rgb}, {"bgr", ColourOrder::bgr}, {"grey", ColourOrder::grey}}};
constexpr std::array<Word<PictureFit>, 3> fit_words{{{"letterbox", PictureFit::letterbox},
                                                     {"letterbox_top_left", PictureFit::letterbox_top_left},
                                                     {"stretch", PictureFit::stretch}}};
constexpr std::array<Word<bool>, 2> layout_words{{{"channels_first", true}, {"channels_last", false}}};

template <class Words, class T>
std::string word_of(const Words& words, T value) {
  for (const auto& word : words)
    if (word.value == value) return std::string(word.text);
  return {};
}

/// Reads one JSON object of a card; every mistake names its place, "/picture/mean".
class Reader {
 public:
  Reader(const Json& object, std::string card, std::string place = {})
      : object_(object), card_(std::move(card)), place_(std::move(place)) {}

  Error mistake(std::string_view key, std::string_view why) const {
    return {ErrorCode::invalid_argument, fmt::format("card \"{}\": {}/{} {}", card_, place_, key, why)};
  }

  const Json* find(std::string_view key) const {
    const auto found = object_.find(key);
    return found == object_.end() || found->is_null() ? nullptr : &*found;
  }

  Status allow_only(std::initializer_list<std::string_view> known) const {
    for (const auto& [key, value] : object_.items()) {
      if (std::find(known.begin(), known.end(), key) != known.end()) continue;
      return mistake(key, fmt::format("is not known; allowed here: {}", fmt::join(known, ", ")));
    }
    return Done{};
  }

  Result<std::string> text(std::string_view key, std::string fallback = {}) const {
    const auto* value = find(key);
    if (!value) return fallback;
    if (!value->is_string()) return mistake(key, "must be text");
    return value->get<std::string>();
  }

  Result<double> number(std::string_view key, double fallback) const {
    const auto* value = find(key);
    if (!value) return fallback;
    if (!value->is_number()) return mistake(key, "must be a number");
    return value->get<double>();
  }

  Result<int> whole(std::string_view key, int low, int high) const {
    const auto* value = find(key);
    if (!value || !value->is_number_integer() || value->get<std::int64_t>() < low || value->get<std::int64_t>() > high)
      return mistake(key, fmt::format("must be a whole number from {} to {}", low, high));
    return value->get<int>();
  }

  template <class T, std::size_t count>
  Result<T> word(std::string_view key, const std::array<Word<T>, count>& words, T fallback) const {
    const auto* value = find(key);
    if (!value) return fallback;
    std::string allowed;
    for (const auto& word : words) {
      if (value->is_string() && value->get_ref<const std::string&>() == word.text) return word.value;
      allowed += (allowed.empty() ? "" : ", ") + std::string(word.text);
    }
    return mistake(key, "must be one of: " + allowed);
  }

  Result<std::vector<float>> numbers(std::string_view key, std::size_t count, std::vector<float> fallback) const {
    const auto* value = find(key);
    if (!value) return fallback;
    const bool is_list = value->is_array() && value->size() == count &&
                         std::all_of(value->begin(), value->end(), [](const Json& item) { return item.is_number(); });
    if (!is_list) return mistake(key, fmt::format("must hold {} number{}", count, count == 1 ? "" : "s"));
    return value->get<std::vector<float>>();
  }

  Result<Json> object(std::string_view key) const {
    const auto* value = find(key);
    if (!value) return Json::object();
    if (!value->is_object()) return mistake(key, "must be an object");
    return *value;
  }

  std::string inner(std::string_view key) const { return fmt::format("{}/{}", place_, key); }
  const std::string& card() const { return card_; }

 private:
  const Json& object_;
  std::string card_, place_;
};

Result<CardTensor> read_tensor(const Reader& reader) {
  CardTensor tensor;
  VERGE_CHECK(reader.allow_only({"name", "type", "shape"}));
  VERGE_TRY(tensor.name, reader.text("name"));
  VERGE_TRY(tensor.type, reader.word("type", type_words, DataType::float32));
  const auto* shape = reader.find("shape");
  if (tensor.name.empty()) return reader.mistake("name", "is missing");
  if (!shape || !shape->is_array() || shape->size() > 16) return reader.mistake("shape", "must be a list of sizes");
  for (const auto& size : *shape) {
    if (!size.is_number_integer() || size.get<std::int64_t>() < -1)
      return reader.mistake("shape", "must hold whole numbers; -1 is a free size");
    tensor.shape.push_back(size.get<std::int64_t>());
  }
  return tensor;
}

Result<std::vector<CardTensor>> read_tensors(const Reader& reader, std::string_view key) {
  std::vector<CardTensor> tensors;
  const auto* list = reader.find(key);
  if (!list) return tensors;
  if (!list->is_array() || list->size() > 1'000) return reader.mistake(key, "must be a list");
  for (std::size_t i = 0; i < list->size(); ++i) {
    if (!(*list)[i].is_object()) return reader.mistake(key, "must hold objects");
    VERGE_TRY(auto tensor, read_tensor(Reader((*list)[i], reader.card(), fmt::format("{}/{}", reader.inner(key), i))));
    tensors.push_back(std::move(tensor));
  }
  return tensors;
}

Result<PictureInput> read_picture(const Reader& reader) {
  PictureInput picture;
  VERGE_CHECK(reader.allow_only({"width", "height", "colours", "layout", "mean", "deviation", "fit", "filling"}));
  VERGE_TRY(picture.width, reader.whole("width", 1, 8'192));
  VERGE_TRY(picture.height, reader.whole("height", 1, 8'192));
  VERGE_TRY(picture.colours, reader.word("colours", colour_words, ColourOrder::rgb));
  VERGE_TRY(picture.is_channels_first, reader.word("layout", layout_words, true));
  const std::size_t channels = picture.colours == ColourOrder::grey ? 1 : 3;
  VERGE_TRY(picture.mean, reader.numbers("mean", channels, std::vector<float>(channels, 0.F)));
  VERGE_TRY(picture.deviation, reader.numbers("deviation", channels, std::vector<float>(channels, 1.F)));
  if (std::any_of(picture.deviation.begin(), picture.deviation.end(), [](float d) { return !(std::abs(d) > 0); }))
    return reader.mistake("deviation", "must not hold 0: pixels are divided by it");
  VERGE_TRY(picture.fit, reader.word("fit", fit_words, PictureFit::letterbox));
  VERGE_TRY(const double filling, reader.number("filling", 0));
  if (!(filling >= 0 && filling <= 255)) return reader.mistake("filling", "must be 0 to 255");
  picture.filling = static_cast<float>(filling);
  return picture;
}

Status read_labels(const Reader& reader, ModelCard& card) {
  const auto* labels = reader.find("labels");
  if (!labels) return Done{};
  if (!labels->is_array() || labels->size() > labels_max) return reader.mistake("labels", "must be a list of texts");
  std::set<std::string> seen;
  for (const auto& label : *labels) {
    if (!label.is_string() || label.get_ref<const std::string&>().empty())
      return reader.mistake("labels", "must hold texts that are not empty");
    card.labels.push_back(label.get<std::string>());
    if (!seen.insert(card.labels.back()).second)
      return reader.mistake("labels", fmt::format("holds \"{}\" twice", card.labels.back()));
  }
  return Done{};
}

Status read_input(const Reader& reader, ModelCard& card) {
  if (reader.find("picture")) {
    VERGE_TRY(const auto object, reader.object("picture"));
    VERGE_TRY(card.picture, read_picture(Reader(object, reader.card(), reader.inner("picture"))));
  }
  if (reader.find("audio")) {
    VERGE_TRY(const auto object, reader.object("audio"));
    const Reader audio(object, reader.card(), reader.inner("audio"));
    VERGE_CHECK(audio.allow_only({"rate_hz"}));
    card.audio.emplace();
    VERGE_TRY(card.audio->rate_hz, audio.whole("rate_hz", 1'000, 384'000));
  }
  return Done{};
}

Status read_thresholds(const Reader& reader, ModelCard& card) {
  VERGE_TRY(const auto thresholds, reader.object("thresholds"));
  for (const auto& [name, value] : thresholds.items()) {
    if (!value.is_number()) return reader.mistake("thresholds/" + name, "must be a number");
    card.thresholds[name] = value.get<double>();
  }
  return Done{};
}

Status read_head(const Reader& reader, ModelCard& card) {
  VERGE_TRY(card.head, reader.object("head"));
  if (card.head.empty()) return Done{};
  const auto kind = card.head.find("kind");
  if (kind == card.head.end() || !kind->is_string() || kind->get_ref<const std::string&>().empty())
    return reader.mistake("head/kind", "must name how the outputs are read");
  return Done{};
}

Status check_words(const Reader& reader, const ModelCard& card) {
  static const std::set<std::string_view> families{"vision", "audio", "telemetry"};
  if (card.task.empty()) return reader.mistake("task", "is missing");
  if (!families.contains(card.family)) return reader.mistake("family", "must be one of: vision, audio, telemetry");
  if (card.file.empty() || card.file.find('/') != std::string::npos || card.file == "..")
    return reader.mistake("file", "must be the name of a file beside the card");
  if (!card.digest.empty() && (!card.digest.starts_with("sha256:") || card.digest.size() != 71))
    return reader.mistake("digest", "must be sha256: and 64 hex digits");
  if (!(card.tolerance >= 0) || !std::isfinite(card.tolerance)) return reader.mistake("tolerance", "must be 0 or more");
  return Done{};
}

Json tensors_json(const std::vector<CardTensor>& tensors) {
  Json list = Json::array();
  for (const auto& tensor : tensors)
    list.push_back({{"name", tensor.name}, {"type", word_of(type_words, tensor.type)}, {"shape", tensor.shape}});
  return list;
}

Json picture_json(const PictureInput& picture) {
  return {{"width", picture.width},
          {"height", picture.height},
          {"colours", word_of(colour_words, picture.colours)},
          {"layout", word_of(layout_words, picture.is_channels_first)},
          {"mean", picture.mean},
          {"deviation", picture.deviation},
          {"fit", word_of(fit_words, picture.fit)},
          {"filling", picture.filling}};
}

bool fits(const inference::Shape& found, const inference::Shape& said) {
  return std::equal(found.begin(), found.end(), said.begin(), said.end(),
                    [](auto a, auto b) { return a == b || a < 0 || b < 0; });
}

Error disagreement(std::string_view model, std::string_view what) {
  return {ErrorCode::invalid_argument, fmt::format("load model \"{}\": {}", model, what)};
}

Status compare(std::string_view model, std::string_view side, const std::vector<CardTensor>& said,
               const std::vector<TensorInfo>& found) {
  for (const auto& tensor : said) {
    const auto match =
        std::find_if(found.begin(), found.end(), [&](const auto& info) { return info.name == tensor.name; });
    if (match == found.end()) {
      std::string names;
      for (const auto& info : found) names += (names.empty() ? "" : ", ") + info.name;
      return disagreement(model, fmt::format("the card names {} \"{}\", the model has: {}", side, tensor.name, names));
    }
    if (!fits(match->shape, tensor.shape))
      return disagreement(model, fmt::format("{} \"{}\" is {}, the card says {}", side, tensor.name,
                                             inference::to_text(match->shape), inference::to_text(tensor.shape)));
    if (match->type != tensor.type)
      return disagreement(model, fmt::format("{} \"{}\" is {}, the card says {}", side, tensor.name,
                                             inference::name_of(match->type), inference::name_of(tensor.type)));
  }
  return Done{};
}

/// The picture the card describes must fit the input that takes pictures (the one with four dimensions).
Status compare_picture(const ModelCard& card, std::string_view model, const std::vector<TensorInfo>& inputs) {
  if (!card.picture) return Done{};
  const auto& picture = *card.picture;
  const std::int64_t channels = picture.colours == ColourOrder::grey ? 1 : 3;
  const auto input =
      std::find_if(inputs.begin(), inputs.end(), [](const auto& info) { return info.shape.size() == 4; });
  if (input == inputs.end())
    return disagreement(model, "the card describes a picture, but no input has four dimensions");
  const inference::Shape said = picture.is_channels_first
                                    ? inference::Shape{1, channels, picture.height, picture.width}
                                    : inference::Shape{1, picture.height, picture.width, channels};
  if (fits(input->shape, said)) return Done{};
  return disagreement(model, fmt::format("input \"{}\" is {}, the card's picture gives {}", input->name,
                                         inference::to_text(input->shape), inference::to_text(said)));
}

}  // namespace

std::string ModelCard::head_kind() const {
  const auto kind = head.find("kind");
  return kind != head.end() && kind->is_string() ? kind->get<std::string>() : std::string();
}

Json to_json(const ModelCard& card) {
  Json json{{"version", 1},
            {"name", card.name},
            {"task", card.task},
            {"family", card.family},
            {"file", card.file},
            {"digest", card.digest},
            {"inputs", tensors_json(card.inputs)},
            {"outputs", tensors_json(card.outputs)},
            {"licence", card.licence},
            {"source", card.source},
            {"metrics", card.metrics},
            {"tolerance", card.tolerance}};
  if (!card.labels.empty()) json["labels"] = card.labels;
  if (card.picture) json["picture"] = picture_json(*card.picture);
  if (card.audio) json["audio"] = {{"rate_hz", card.audio->rate_hz}};
  if (!card.head.empty()) json["head"] = card.head;
  if (!card.thresholds.empty()) json["thresholds"] = card.thresholds;
  return json;
}

Result<ModelCard> parse_card(std::string_view text) {
  auto json = parse_json(text);
  if (!json) return std::move(json).error().within("read the model card");
  if (!json->is_object()) return Error{ErrorCode::invalid_argument, "the model card must be a JSON object"};
  ModelCard card;
  VERGE_TRY(card.name, string_member(*json, "name"));
  const Reader reader(*json, card.name);
  VERGE_CHECK(
      reader.allow_only({"version", "name", "task", "family", "file", "digest", "inputs", "outputs", "labels",
                         "picture", "audio", "head", "thresholds", "licence", "source", "metrics", "tolerance"}));
  VERGE_TRY(const double version, reader.number("version", 1));
  if (version != 1) return reader.mistake("version", "must be 1; this program is too old for the card");
  VERGE_TRY(card.task, reader.text("task"));
  VERGE_TRY(card.family, reader.text("family"));
  VERGE_TRY(card.file, reader.text("file", "model.onnx"));
  VERGE_TRY(card.digest, reader.text("digest"));
  VERGE_TRY(card.inputs, read_tensors(reader, "inputs"));
  VERGE_TRY(card.outputs, read_tensors(reader, "outputs"));
  VERGE_CHECK(read_labels(reader, card));
  VERGE_CHECK(read_input(reader, card));
  VERGE_CHECK(read_head(reader, card));
  VERGE_CHECK(read_thresholds(reader, card));
  VERGE_TRY(card.licence, reader.text("licence"));
  VERGE_TRY(card.source, reader.object("source"));
  VERGE_TRY(card.metrics, reader.object("metrics"));
  VERGE_TRY(card.tolerance, reader.number("tolerance", 1e-4));
  VERGE_CHECK(check_words(reader, card));
  return card;
}

Result<ModelCard> load_card(const fs::path& path) {
  const auto doing = fmt::format("load card \"{}\"", path.string());
  auto text = read_file(path, card_bytes_max);
  if (!text) return std::move(text).error().within(doing);
  auto card = parse_card(*text);
  if (!card) return std::move(card).error().within(doing);
  return card;
}

Status check_card(const ModelCard& card, std::string_view model_name, const std::vector<TensorInfo>& inputs,
                  const std::vector<TensorInfo>& outputs) {
  VERGE_CHECK(compare(model_name, "input", card.inputs, inputs));
  VERGE_CHECK(compare(model_name, "output", card.outputs, outputs));
  return compare_picture(card, model_name, inputs);
}

namespace {

struct ModelFile {
  ModelCard card;
  fs::path file;
  std::string digest;
};

/// Before an engine sees the file: a damaged one is called so, whatever the engine would have made of it.
Result<ModelFile> find_model(const fs::path& folder) {
  std::error_code error;
  const bool is_card = folder.extension() == ".json";
  const auto card_path = is_card ? folder : folder / "card.json";
  if (!fs::exists(card_path, error))
    return Error{ErrorCode::not_found, fmt::format("load model \"{}\": there is no card.json; a model is a folder with "
                                                   "model.onnx and card.json",
                                                   folder.string())};
  ModelFile model;
  VERGE_TRY(model.card, load_card(card_path));
  model.file = card_path.parent_path() / model.card.file;
  if (!fs::exists(model.file, error))
    return Error{ErrorCode::not_found, fmt::format("load model \"{}\": the card names \"{}\", which is not there",
                                                   folder.string(), model.card.file)};
  VERGE_TRY(model.digest, sha256_digest_of_file(model.file));
  if (!model.card.digest.empty() && model.card.digest != model.digest)
    return Error{ErrorCode::corrupt,
                 fmt::format("load model \"{}\": the file is {}, the card was made for {}; import the "
                             "model again",
                             model.file.string(), model.digest, model.card.digest)};
  return model;
}

Status check_session(const ModelFile& found, const inference::Session& session) {
  return check_card(found.card, found.file.filename().string(), session.inputs(), session.outputs());
}

}  // namespace

Result<LoadedModel> open_model(const fs::path& folder, const inference::SessionOptions& options) {
  VERGE_TRY(auto found, find_model(folder));
  VERGE_TRY(auto session, inference::load_onnx(found.file, options, found.digest));
  VERGE_CHECK(check_session(found, *session));
  return LoadedModel{std::move(found.card), std::move(session)};
}

Result<ChosenModel> open_model(const fs::path& folder, inference::EngineWish wish) {
  VERGE_TRY(auto found, find_model(folder));
  wish.tolerance = found.card.tolerance;
  VERGE_TRY(auto opened, inference::open_session(found.file, found.digest, wish));
  VERGE_CHECK(check_session(found, *opened.session));
  return ChosenModel{{std::move(found.card), opened.session}, std::move(opened)};
}

}  // namespace verge::models
