#include "vision/pictures.h"

#include <algorithm>
#include <cctype>
#include <fmt/format.h>
#include <utility>

#include "base/bytes.h"
#include "base/disk.h"
#include "base/json.h"
#include "base/log.h"
#include "pipeline/option_checks.h"
#include "vision/live.h"
#include "vision/recognition/model_stage.h"

namespace verge::vision {
namespace {

using Of = PicturesOptions::Of;
using pipeline::MethodReply;
using pipeline::Scene;

constexpr std::string_view kStreamWord = "{stream}";
constexpr double kMegabyte = 1e6;

/// A folder's name that teaching takes as a label and that leads nowhere else.
bool is_folder_label(std::string_view text) {
  const auto is_sound = [](char letter) {
    return std::isalnum(static_cast<unsigned char>(letter)) != 0 || letter == ' ' || letter == '-' || letter == '_' ||
           letter == '.';
  };
  return !text.empty() && text.size() <= 63 && std::isalnum(static_cast<unsigned char>(text.front())) != 0 &&
         text.back() != ' ' && std::ranges::all_of(text, is_sound);
}

Error label_mistake(std::string_view label) {
  return Error{ErrorCode::invalid_argument,
               fmt::format("label \"{}\": give up to 63 letters, digits, blanks, '-', '_' and '.', beginning with a "
                           "letter or digit: it becomes a folder",
                           label)};
}

/// "2026-11-30T15:22:32.123456Z" without what file names should not have: 20261130T152232.123456Z
std::string time_name(std::int64_t captured_us) {
  std::string text = to_iso8601(captured_us);
  std::erase_if(text, [](char letter) { return letter == '-' || letter == ':'; });
  return text;
}

double seconds_between(std::int64_t from_us, std::int64_t to_us) { return static_cast<double>(to_us - from_us) / 1e6; }

std::string with_stream(std::string label, const std::string& stream) {
  if (const auto at = label.find(kStreamWord); at != std::string::npos)
    label.replace(at, kStreamWord.size(), percent_encode(stream));
  return label;
}

Json save_description(const PicturesOptions& options) {
  return {{"title", "Save pictures to teach from"},
          {"parameters",
           {{{"name", "label"}, {"type", "text"}, {"default", ""}},
            {{"name", "count"}, {"type", "integer"}, {"default", 20}, {"min", 0}, {"max", PicturesOptions::kOrderMax}},
            {{"name", "every_s"}, {"type", "number"}, {"default", 1}, {"min", 0}, {"max", 3600}},
            {{"name", "only"}, {"title", options.of == Of::zones ? "zone" : "only"}, {"type", "text"}, {"default", ""}},
            {{"name", "stream"}, {"type", "text"}, {"default", ""}}}}};
}

class PicturesSink final : public pipeline::Sink {
 public:
  PicturesSink(PicturesOptions options, const pipeline::Context& context)
      : folder_(options.folder), collector_(std::move(options), context.privacy.blur) {
    if (context.add_method) context.add_method("save", [this](const Json& asked) { return collector_.save(asked); });
  }

  Status open() override { return collector_.open(); }

  Status write(const pipeline::Packet& packet) override {
    const auto scene = pipeline::payload_as<Scene>(packet);
    if (!scene || !scene->frame) return Done{};
    VERGE_CHECK(collector_.take(packet.stream ? *packet.stream : std::string(),
                                {packet.captured_us, packet.monotonic_us}, *scene));
    if (collector_.is_full() && !std::exchange(is_told_, true))
      log_info("pictures", fmt::format("{} holds what it may; no more pictures are kept", folder_.string()));
    return Done{};
  }

 private:
  const std::filesystem::path folder_;
  PictureCollector collector_;
  bool is_told_ = false;
};

Result<std::unique_ptr<pipeline::Sink>> make_pictures(const Json& given, const pipeline::Context& context) {
  VERGE_CHECK(pipeline::check_word(given, "of", {"picture", "objects", "zones"}));
  VERGE_CHECK(pipeline::check_range(given, "margin", 0, 2));
  VERGE_CHECK(pipeline::check_range(given, "every_s", 0, 86'400));
  VERGE_CHECK(pipeline::check_range(given, "pictures_max", 1, 100'000));
  VERGE_CHECK(pipeline::check_range(given, "megabytes", 1, 1'000'000));
  PicturesOptions options;
  options.folder = context.folder / given["folder"].get<std::string>();
  options.of = given["of"] == "picture" ? Of::picture : given["of"] == "objects" ? Of::objects : Of::zones;
  VERGE_TRY(options.labels, words_of(given, "labels"));
  VERGE_TRY(options.zones, words_of(given, "zones"));
  options.margin = given["margin"].get<double>();
  options.every_s = given["every_s"].get<double>();
  options.pictures_max = given["pictures_max"].get<std::size_t>();
  options.bytes_max = static_cast<std::uint64_t>(given["megabytes"].get<double>() * kMegabyte);
  options.label = given["label"].get<std::string>();
  if (!options.label.empty() && !is_folder_label(with_stream(options.label, "a"))) return label_mistake(options.label);
  if (const auto when = given["when"].get<std::string>(); !when.empty()) {
    VERGE_TRY(options.when, expression::Condition::parse(when));
    VERGE_CHECK(check_names(*options.when, false));
  }
  return std::unique_ptr<pipeline::Sink>(std::make_unique<PicturesSink>(std::move(options), context));
}

}  // namespace

PictureCollector::PictureCollector(PicturesOptions options, pipeline::Blur blur)
    : options_(std::move(options)), blur_(blur) {
  if (!options_.when) return;
  for (const auto& [what, name] : asked_in(*options_.when)) {
    if (what == "zone") zones_of_when_.push_back(name);
  }
}

Status PictureCollector::open() {
  State state;
  std::error_code problem;
  if (!std::filesystem::exists(options_.folder, problem)) return Done{};
  for (std::filesystem::recursive_directory_iterator entry(options_.folder, problem), end; !problem && entry != end;
       entry.increment(problem)) {
    // Somebody may take pictures away meanwhile, and a link may lead nowhere.
    std::error_code is_gone;
    if (!entry->is_regular_file(is_gone) || entry->path().extension() != ".jpg") continue;
    const auto bytes = entry->file_size(is_gone);
    if (is_gone) continue;
    ++state.pictures;
    state.bytes += bytes;
  }
  if (problem)
    return Error{ErrorCode::unavailable,
                 fmt::format("read folder {}: {}", options_.folder.string(), problem.message())};
  state_.with([&](State& own) { own = state; });
  return Done{};
}

bool PictureCollector::is_full() const {
  return state_.with(
      [&](const State& state) { return state.pictures >= options_.pictures_max || state.bytes >= options_.bytes_max; });
}

Status PictureCollector::take(const std::string& stream, Moment moment, const Scene& scene) {
  const auto order = state_.with([&](State& state) -> std::optional<Order> {
    Order& asked = state.order;
    const bool is_meant = asked.left > 0 && (asked.stream.empty() || asked.stream == stream);
    if (!is_meant || (asked.last_us && seconds_between(*asked.last_us, moment.monotonic_us) < asked.every_s)) return {};
    asked.last_us = moment.monotonic_us;
    return asked;
  });
  if (!zones_of_when_.empty()) VERGE_CHECK(check_zones(zones_of(scene), zones_of_when_, "pictures"));
  const bool is_by_itself = is_due(stream, moment, scene);
  if (!order && !is_by_itself) return Done{};
  VERGE_TRY(const auto parts, parts_of(scene));
  int left = order ? order->left : 0;
  for (const Part& part : parts) {
    if (is_by_itself) VERGE_CHECK(keep(part, stream, with_stream(options_.label, stream), moment));
    const bool is_wanted = order && (order->only.empty() || order->only == part.name);
    if (!is_wanted || left == 0 || is_full()) continue;
    VERGE_CHECK(keep(part, stream, order->label, moment));
    --left;
    state_.with([](State& state) {
      --state.order.left;
      ++state.order.kept;
    });
  }
  return Done{};
}

bool PictureCollector::is_due(const std::string& stream, Moment moment, const Scene& scene) {
  if (options_.every_s <= 0) return false;
  if (options_.when) {
    RuleFacts& facts = facts_[stream];
    facts.update(scene, moment);
    if (!options_.when->is_true(RuleScope(facts, nullptr))) return false;
  }
  const auto last = last_us_.find(stream);
  if (last != last_us_.end() && seconds_between(last->second, moment.monotonic_us) < options_.every_s) return false;
  last_us_[stream] = moment.monotonic_us;
  return true;
}

Result<std::vector<PictureCollector::Part>> PictureCollector::parts_of(const Scene& scene) const {
  const Hiding hiding = hiding_of(scene.people, blur_);
  if (hiding.is_whole) {
    return Error{
        ErrorCode::invalid_argument,
        "pictures: no stage looks for people, so the whole picture would be averaged; put detect before it, or "
        "say privacy: {blur: none} if this camera never sees people"};
  }
  const pipeline::Frame frame = hidden(*scene.frame, hiding);
  std::vector<Part> parts;
  const auto add = [&](std::optional<Crop> part, const std::string& name) {
    if (part && parts.size() < PicturesOptions::kPartsMax) parts.push_back({std::move(part->frame), name});
  };
  if (options_.of == Of::picture) parts.push_back({frame, ""});
  if (options_.of == Of::zones) {
    VERGE_CHECK(check_zones(zones_of(scene), options_.zones, "pictures"));
    for (const pipeline::Shape& shape : scene.shapes) {
      if (is_wanted(shape, options_.zones)) add(crop(frame, shape), shape.name);
    }
  }
  if (options_.of == Of::objects) {
    for (const pipeline::Object& object : scene.objects) {
      if (is_wanted(object, options_.labels)) add(crop(frame, object.box, options_.margin), object.label);
    }
  }
  return parts;
}

Status PictureCollector::keep(const Part& part, const std::string& stream, const std::string& label, Moment moment) {
  if (is_full()) return Done{};
  VERGE_TRY(const std::string jpeg, to_jpeg(part.frame, part.frame.width, PicturesOptions::kQuality));
  const auto folder = label.empty() ? options_.folder : options_.folder / label;
  std::error_code problem;
  std::filesystem::create_directories(folder, problem);
  if (problem)
    return Error{ErrorCode::unavailable, fmt::format("make folder {}: {}", folder.string(), problem.message())};
  std::string name = fmt::format("{}-{}", time_name(moment.captured_us), percent_encode(stream));
  if (!part.name.empty()) name += "-" + percent_encode(part.name);
  // Two objects of one picture may have the same label.
  auto file = folder / (name + ".jpg");
  for (std::size_t twin = 2; std::filesystem::exists(file, problem) && twin <= PicturesOptions::kPartsMax; ++twin)
    file = folder / fmt::format("{}-{}.jpg", name, twin);
  VERGE_CHECK(write_file(file, jpeg));
  state_.with([&](State& state) {
    ++state.pictures;
    state.bytes += jpeg.size();
  });
  return Done{};
}

Result<PictureCollector::Order> PictureCollector::read_order(const Json& parameters) const {
  Order order;
  VERGE_TRY(order.label, string_member(parameters, "label", ""));
  VERGE_TRY(order.only, string_member(parameters, "only", ""));
  VERGE_TRY(order.stream, string_member(parameters, "stream", ""));
  VERGE_TRY(order.every_s, number_member(parameters, "every_s", order.every_s));
  VERGE_TRY(const auto count, integer_member(parameters, "count", 20));
  if (!is_folder_label(order.label)) return label_mistake(order.label);
  if (!(order.every_s >= 0 && order.every_s <= 3600))
    return Error{ErrorCode::invalid_argument, fmt::format("every_s is {:g}; give 0 to 3600", order.every_s)};
  if (count < 0 || count > PicturesOptions::kOrderMax)
    return Error{ErrorCode::invalid_argument,
                 fmt::format("count is {}; give 0 to {}", count, PicturesOptions::kOrderMax)};
  order.left = static_cast<int>(count);
  return order;
}

Json PictureCollector::told(const State& state) const {
  return {{"label", state.order.label}, {"kept", state.order.kept},
          {"left", state.order.left},   {"folder", options_.folder.string()},
          {"pictures", state.pictures}, {"pictures_max", options_.pictures_max},
          {"bytes", state.bytes},       {"bytes_max", options_.bytes_max}};
}

MethodReply PictureCollector::save(const Json& parameters) {
  if (parameters.value("describe", false)) return {200, save_description(options_)};
  if (parameters.contains("label")) {
    auto order = read_order(parameters);
    if (!order) return {http_status_of(order.error().code), {{"message", order.error().message}}};
    if (order->left > 0 && is_full())
      return {http_status_of(ErrorCode::limit),
              {{"message", fmt::format("{} holds what it may; take pictures away, or raise pictures_max or megabytes",
                                       options_.folder.string())}}};
    state_.with([&](State& state) { state.order = *std::move(order); });
  }
  return {200, state_.with([&](const State& state) { return told(state); })};
}

pipeline::Kind<pipeline::Sink> pictures_kind() {
  const PicturesOptions fallback;
  return {
      .name = "pictures",
      .where = "vision/pictures.h",
      .summary = "Keeps pictures as JPEG files in folders by label, to teach from; method save.",
      .options =
          {{"folder", "path", "Where they go, relative to the pipeline file.", nullptr, true},
           {"of", "text", "picture: all of it; objects or zones: each one's part of it.", "picture"},
           {"labels", "list", "Only objects called so, [person]; empty for all.", Json::array()},
           {"zones", "list", "Only these zones; empty for all.", Json::array()},
           {"margin", "number", "Kept around an object, in parts of its size on each side, 0..2.", fallback.margin},
           {"every_s", "number", "One so often by itself, seconds, 0..86400; 0: only when method save asks.",
            fallback.every_s},
           {"when", "text", "And only while this condition about the scene holds, as in rules; empty: always.", ""},
           {"label", "text", "Folder of those that come by themselves; {stream} stands for the stream.", ""},
           {"pictures_max", "integer", "Files in the folder, 1..100000; then no more are kept.", fallback.pictures_max},
           {"megabytes", "number", "The same for their size, 1..1000000.",
            static_cast<double>(fallback.bytes_max) / kMegabyte}},
      .make = make_pictures};
}

}  // namespace verge::vision
