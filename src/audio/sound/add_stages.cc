#include "audio/sound/add_stages.h"

#include <fmt/format.h>

#include "audio/sound/sound_stage.h"

namespace verge::audio {
namespace {

/// A number of the options within a range. Errors: invalid_argument naming it.
Result<double> number_within(const Json& options, const char* key, double fallback, double low, double high) {
  VERGE_TRY(const double value, number_member(options, key, fallback));
  if (value >= low && value <= high) return value;
  return Error{ErrorCode::invalid_argument, fmt::format("sound: {} is {:g}; give {:g}..{:g}", key, value, low, high)};
}

Result<std::unique_ptr<pipeline::Stage>> make_sound(const Json& options, const pipeline::Context& context) {
  SoundStageOptions sound;
  VERGE_TRY(const auto model, string_member(options, "model"));
  sound.model = model;
  VERGE_TRY(sound.threshold, number_within(options, "threshold", sound.threshold, 0.1, 10));
  VERGE_TRY(sound.probability, number_within(options, "probability", sound.probability, 0.05, 1));
  VERGE_TRY(const double looks, number_within(options, "looks", sound.alarm.looks, 1, 60));
  sound.alarm.looks = static_cast<int>(looks);
  VERGE_TRY(sound.alarm.quiet_s, number_within(options, "quiet_s", sound.alarm.quiet_s, 0, 3600));
  VERGE_TRY(sound.drift_hours, number_within(options, "drift_hours", sound.drift_hours, 0.01, 1000));
  for (const auto& label : options.value("quiet", Json::array())) {
    if (!label.is_string()) return Error{ErrorCode::invalid_argument, "sound: quiet must be a list of labels"};
    sound.quiet.push_back(label.get<std::string>());
  }
  VERGE_TRY(sound.sound, SoundWish::read(options, context));
  return make_sound_stage(std::move(sound), context);
}

pipeline::OptionInfo sound_option(std::string name, std::string type, std::string summary, Json fallback,
                                  bool is_required = false) {
  return {std::move(name), std::move(type), std::move(summary), std::move(fallback), is_required};
}

}  // namespace

void add_sound_stages(pipeline::Catalog& catalog) {
  catalog.add(pipeline::Kind<pipeline::Stage>{
      .name = "sound",
      .where = "audio/sound/sound_stage.h",
      .summary = "Says when a place sounds other than it was taught, or which kind of sound it hears.",
      .options = SoundWish::added_to(
          {sound_option("model", "path", "Folder that verge train audio wrote", nullptr, true),
           sound_option("threshold", "number", "Model of normal sound: parts of the taught threshold, 0.1..10", 1.0),
           sound_option("probability", "number", "Model of kinds: said from this probability on, 0.05..1", 0.7),
           sound_option("quiet", "list", "Model of kinds: labels that are no event", Json::array()),
           sound_option("looks", "integer", "So many looks in a row, one each 0.5 s, begin an event, 1..60", 2),
           sound_option("quiet_s", "number", "An alarm ends after so much ordinary sound, seconds, 0..3600", 3.0),
           sound_option("drift_hours", "number",
                        "Model of normal sound: told when ordinary sound has moved for about so long, 0.01..1000",
                        6.0)}),
      .make = make_sound});
}

}  // namespace verge::audio
