#include "cli/solution.h"

#include <algorithm>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <initializer_list>

#include "audio/simulated/machines.h"
#include "base/disk.h"

namespace verge::cli {
namespace {

constexpr std::size_t kTextBytesMax = 4U << 20U;
constexpr std::string_view kCachePrefix = "cache:";
constexpr std::string_view kImageOpen = "${image:";

bool is_name(std::string_view text) {
  return !text.empty() && text.size() <= 63 && text.front() != '-' && text.front() != '.' && text.front() != '_' &&
         std::all_of(text.begin(), text.end(), [](char letter) {
           return (letter >= 'a' && letter <= 'z') || (letter >= '0' && letter <= '9') || letter == '-' ||
                  letter == '.' || letter == '_';
         });
}

Result<Json> read_json(const std::filesystem::path& file) {
  VERGE_TRY(const auto text, read_file(file, kTextBytesMax));
  auto json = parse_json(text);
  if (!json) return std::move(json).error().within("read " + file.string());
  return json;
}

/// Reads one solution.json; every error names the place in it.
class Reader {
 public:
  Reader(std::filesystem::path folder, std::filesystem::path cache)
      : folder_(std::move(folder)), cache_(std::move(cache)) {}

  Result<Solution> read() const {
    const auto file = folder_ / "solution.json";
    VERGE_TRY(const auto json, read_json(file));
    VERGE_CHECK(check_members(json, "", {"name", "models", "images", "manifest"}));
    Solution solution;
    solution.folder = folder_;
    VERGE_TRY(solution.name, text_member(json, "", "name"));
    if (!is_name(solution.name))
      return mistake("/name", "must be lower-case letters, digits, '-', '.' and '_', beginning with a letter or digit");
    VERGE_TRY(const auto models, object_member(json, "", "models"));
    for (const auto& [name, recipe] : models.items()) {
      VERGE_TRY(auto model, model_from(name, recipe));
      solution.models.push_back(std::move(model));
    }
    VERGE_TRY(const auto images, object_member(json, "", "images"));
    for (const auto& [name, recipe] : images.items()) {
      VERGE_TRY(auto image, image_from(name, recipe, models));
      solution.images.push_back(std::move(image));
    }
    VERGE_TRY(const auto manifest, text_member(json, "", "manifest"));
    VERGE_TRY(const auto manifest_file, existing("/manifest", manifest));
    VERGE_TRY(solution.manifest, read_json(manifest_file));
    return solution;
  }

 private:
  Error mistake(std::string_view place, std::string_view what) const {
    return {ErrorCode::invalid_argument,
            fmt::format("{}: {}: {}", (folder_ / "solution.json").string(), place.empty() ? "/" : place, what)};
  }

  Status check_members(const Json& json, const std::string& place,
                       std::initializer_list<std::string_view> allowed) const {
    if (!json.is_object()) return mistake(place, "must be an object");
    for (const auto& [key, value] : json.items()) {
      if (std::find(allowed.begin(), allowed.end(), key) != allowed.end()) continue;
      return mistake(place + "/" + key, fmt::format("is not known; allowed here: {}", fmt::join(allowed, ", ")));
    }
    return Done{};
  }

  Result<std::string> text_member(const Json& json, const std::string& place, std::string_view key) const {
    const Json* value = find_member(json, {key});
    if (value != nullptr && value->is_string() && !value->get_ref<const std::string&>().empty())
      return value->get<std::string>();
    return mistake(fmt::format("{}/{}", place, key), "must be a text");
  }

  Result<Json> object_member(const Json& json, const std::string& place, std::string_view key) const {
    const Json* value = find_member(json, {key});
    if (value == nullptr) return Json(Json::object());
    if (!value->is_object()) return mistake(fmt::format("{}/{}", place, key), "must be an object");
    return *value;
  }

  /// The path that a text means; it must be there.
  Result<std::filesystem::path> existing(const std::string& place, const std::string& text) const {
    const bool is_cached = text.starts_with(kCachePrefix);
    const std::filesystem::path relative(is_cached ? text.substr(kCachePrefix.size()) : text);
    if (relative.empty() || relative.is_absolute())
      return mistake(place, fmt::format("\"{}\" must be a relative path", text));
    auto path = (is_cached ? cache_ : folder_) / relative;
    if (std::filesystem::exists(path)) return path;
    return Error{ErrorCode::not_found,
                 fmt::format("{}: {}: {} is not there{}", (folder_ / "solution.json").string(), place, path.string(),
                             is_cached ? "; fetch it with tools/fetch.sh, or set VERGE_CACHE" : "")};
  }

  Result<ModelRecipe> model_from(const std::string& name, const Json& json) const {
    const auto place = "/models/" + name;
    VERGE_CHECK(check_members(json, place, {"catalogue", "import", "copy", "train"}));
    if (!is_name(name)) return mistake(place, "a model's name has lower-case letters, digits, '-', '.' and '_'");
    if (json.size() != 1) return mistake(place, "must say one of catalogue, import, copy, train");
    ModelRecipe recipe;
    recipe.name = name;
    recipe.original = json;
    const auto& kind = json.begin().key();
    const auto& body = json.begin().value();
    const auto below = place + "/" + kind;
    if (kind == "catalogue") return catalogue_from(std::move(recipe), body, below);
    if (kind == "import") return import_from(std::move(recipe), body, below);
    if (kind == "copy") return copy_from(std::move(recipe), body, below);
    return train_from(std::move(recipe), body, below);
  }

  Result<ModelRecipe> catalogue_from(ModelRecipe recipe, const Json& body, const std::string& place) const {
    VERGE_CHECK(check_members(body, place, {"name", "files"}));
    recipe.kind = ModelRecipe::Kind::catalogue;
    VERGE_TRY(recipe.catalogue_name, text_member(body, place, "name"));
    VERGE_TRY(const auto files, text_member(body, place, "files"));
    VERGE_TRY(auto folder, existing(place + "/files", files));
    recipe.files = {std::move(folder)};
    return recipe;
  }

  Result<ModelRecipe> import_from(ModelRecipe recipe, const Json& body, const std::string& place) const {
    VERGE_CHECK(check_members(body, place, {"from", "card"}));
    recipe.kind = ModelRecipe::Kind::import;
    VERGE_TRY(const auto from, text_member(body, place, "from"));
    VERGE_TRY(auto file, existing(place + "/from", from));
    recipe.files = {std::move(file)};
    const Json* card = find_member(body, {"card"});
    if (card == nullptr) return recipe;
    if (card->is_string()) {
      VERGE_TRY(const auto card_file, existing(place + "/card", card->get<std::string>()));
      VERGE_TRY(recipe.card, read_json(card_file));
    } else {
      recipe.card = *card;
    }
    if (!recipe.card.is_object()) return mistake(place + "/card", "must be an object or a file that holds one");
    return recipe;
  }

  Result<ModelRecipe> copy_from(ModelRecipe recipe, const Json& body, const std::string& place) const {
    recipe.kind = ModelRecipe::Kind::copy;
    if (!body.is_array() || body.empty()) return mistake(place, "must be a list of files");
    for (const auto& entry : body) {
      if (!entry.is_string()) return mistake(place, "must be a list of files");
      VERGE_TRY(auto file, existing(place, entry.get<std::string>()));
      recipe.files.push_back(std::move(file));
    }
    return recipe;
  }

  Result<ModelRecipe> train_from(ModelRecipe recipe, const Json& body, const std::string& place) const {
    recipe.kind = ModelRecipe::Kind::train;
    VERGE_TRY(const auto family, text_member(body, place, "family"));
    if (family == "vision") return lesson_from(std::move(recipe), body, place);
    if (family == "audio") return sound_from(std::move(recipe), body, place);
    if (family != "telemetry") {
      return mistake(place + "/family",
                     fmt::format("\"{}\" cannot be trained here; telemetry, vision and audio can", family));
    }
    VERGE_CHECK(check_members(body, place, {"family", "record", "false_alarms_per_week", "window_s"}));
    VERGE_CHECK(read_record(recipe, body, place));
    const auto false_alarms = number_member(body, "false_alarms_per_week", recipe.false_alarms_per_week);
    const auto window_s = number_member(body, "window_s", recipe.window_s);
    if (!false_alarms || !(*false_alarms >= 0.01 && *false_alarms <= 1000))
      return mistake(place + "/false_alarms_per_week", "must be 0.01..1000");
    if (!window_s || !(*window_s >= 2 && *window_s <= 86'400)) return mistake(place + "/window_s", "must be 2..86400");
    recipe.false_alarms_per_week = *false_alarms;
    recipe.window_s = *window_s;
    return recipe;
  }

  Result<ModelRecipe> sound_from(ModelRecipe recipe, const Json& body, const std::string& place) const {
    VERGE_CHECK(check_members(body, place, {"family", "folder", "simulated", "false_alarms_per_day", "seed"}));
    if (body.contains("folder") == body.contains("simulated"))
      return mistake(place, "must say one of folder (recordings that are there) and simulated (a list of sounds)");
    audio::TeachSoundRequest request;
    const auto false_alarms = number_member(body, "false_alarms_per_day", request.false_alarms_per_day);
    if (!false_alarms || !(*false_alarms >= 0.01 && *false_alarms <= 1000))
      return mistake(place + "/false_alarms_per_day", "must be 0.01..1000");
    const auto seed = number_member(body, "seed", 1.0);
    if (!seed || !(*seed >= 0 && *seed <= 1e9)) return mistake(place + "/seed", "must be 0..1000000000");
    request.false_alarms_per_day = *false_alarms;
    request.seed = static_cast<std::uint64_t>(*seed);
    if (body.contains("folder")) {
      VERGE_TRY(const auto folder, text_member(body, place, "folder"));
      VERGE_TRY(request.folder, existing(place + "/folder", folder));
      recipe.files = {request.folder};
    } else {
      const auto known = audio::simulated::machine_names();
      for (const auto& sound : body["simulated"]) {
        if (!sound.is_string() || std::ranges::find(known, sound.get<std::string>()) == known.end())
          return mistake(place + "/simulated", fmt::format("must be a list of {}", fmt::join(known, ", ")));
        recipe.simulated.push_back(sound.get<std::string>());
      }
      if (recipe.simulated.empty()) return mistake(place + "/simulated", "must name a sound");
    }
    recipe.sound = std::move(request);
    return recipe;
  }

  /// The pipeline that records what is learned from.
  Status read_record(ModelRecipe& recipe, const Json& body, const std::string& place) const {
    VERGE_TRY(const auto record, object_member(body, place, "record"));
    VERGE_CHECK(check_members(record, place + "/record", {"pipeline"}));
    VERGE_TRY(const auto pipeline, text_member(record, place + "/record", "pipeline"));
    VERGE_TRY(auto file, existing(place + "/record/pipeline", pipeline));
    recipe.files = {std::move(file)};
    recipe.is_recorded = true;
    return Done{};
  }

  Result<ModelRecipe> lesson_from(ModelRecipe recipe, const Json& body, const std::string& place) const {
    VisionLesson lesson;
    if (auto read = read_lesson(body, lesson); !read) return mistake(place, read.error().message);
    if (body.contains("folder") == body.contains("record"))
      return mistake(place, "must say one of folder (pictures that are there) and record (a pipeline that makes them)");
    if (body.contains("record")) {
      VERGE_CHECK(read_record(recipe, body, place));
    } else {
      VERGE_TRY(const auto folder, text_member(body, place, "folder"));
      VERGE_TRY(lesson.folder, existing(place + "/folder", folder));
      recipe.files = {lesson.folder};
    }
    lesson.name = recipe.name;
    recipe.lesson = std::move(lesson);
    return recipe;
  }

  Result<ImageRecipe> image_from(const std::string& name, const Json& json, const Json& models) const {
    const auto place = "/images/" + name;
    VERGE_CHECK(check_members(json, place, {"pipeline", "models", "files", "layers"}));
    if (!is_name(name)) return mistake(place, "an image's name has lower-case letters, digits, '-', '.' and '_'");
    ImageRecipe recipe;
    recipe.name = name;
    VERGE_TRY(const auto pipeline, text_member(json, place, "pipeline"));
    VERGE_TRY(recipe.pipeline, existing(place + "/pipeline", pipeline));
    VERGE_TRY(const auto used, object_member(json, place, "models"));
    for (const auto& [path, model] : used.items()) {
      if (!model.is_string() || !models.contains(model.get<std::string>())) {
        std::vector<std::string> known;
        for (const auto& [other, recipe_of_it] : models.items()) known.push_back(other);
        return mistake(place + "/models/" + path,
                       fmt::format("must name one of the models: {}", fmt::join(known, ", ")));
      }
      recipe.models[path] = model.get<std::string>();
    }
    VERGE_TRY(const auto files, object_member(json, place, "files"));
    for (const auto& [path, file] : files.items()) {
      if (!file.is_string()) return mistake(place + "/files/" + path, "must be a file");
      VERGE_TRY(recipe.files[path], existing(place + "/files/" + path, file.get<std::string>()));
    }
    const Json* layers = find_member(json, {"layers"});
    if (layers == nullptr) return recipe;
    if (!layers->is_array()) return mistake(place + "/layers", "must be a list: [\"media\"]");
    for (const auto& layer : *layers) {
      if (!layer.is_string()) return mistake(place + "/layers", "must be a list: [\"media\"]");
      recipe.layers.push_back(layer.get<std::string>());
    }
    return recipe;
  }

  const std::filesystem::path folder_, cache_;
};

Result<std::string> filled(const std::string& text, const std::map<std::string, std::string>& references) {
  std::string result;
  std::size_t at = 0;
  for (auto open = text.find(kImageOpen); open != std::string::npos; open = text.find(kImageOpen, at)) {
    const auto close = text.find('}', open);
    if (close == std::string::npos)
      return Error{ErrorCode::invalid_argument, fmt::format("fill the manifest: \"{}\" has no closing brace", text)};
    const auto name = text.substr(open + kImageOpen.size(), close - open - kImageOpen.size());
    const auto reference = references.find(name);
    if (reference == references.end()) {
      return Error{ErrorCode::invalid_argument,
                   fmt::format("fill the manifest: the solution has no image \"{}\"", name)};
    }
    result += text.substr(at, open - at) + reference->second;
    at = close + 1;
  }
  return result + text.substr(at);
}

Status fill(Json& value, const std::map<std::string, std::string>& references) {
  if (value.is_string()) {
    VERGE_TRY(auto text, filled(value.get<std::string>(), references));
    value = std::move(text);
  } else if (value.is_structured()) {
    for (auto& member : value) VERGE_CHECK(fill(member, references));
  }
  return Done{};
}

}  // namespace

Result<Solution> load_solution(const std::filesystem::path& folder, const std::filesystem::path& cache) {
  return Reader(folder, cache).read();
}

Result<Json> fill_manifest(const Json& manifest, const std::map<std::string, std::string>& references) {
  Json result = manifest;
  VERGE_CHECK(fill(result, references));
  return result;
}

}  // namespace verge::cli
