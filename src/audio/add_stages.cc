#include "audio/add_stages.h"

#include "audio/conditioning/add_stages.h"
#include "audio/live/live_sound.h"
#include "audio/recording/recording_source.h"
#include "audio/simulated/machine_source.h"
#include "audio/sound/add_stages.h"
#include "audio/speech/add_stages.h"

namespace verge::audio {
namespace {

pipeline::OptionInfo option(std::string name, std::string type, std::string summary, Json fallback,
                            bool is_required = false) {
  return {std::move(name), std::move(type), std::move(summary), std::move(fallback), is_required};
}

Result<std::unique_ptr<pipeline::Source>> make_recording(const Json& options, const pipeline::Context& context) {
  RecordingOptions recording;
  for (const auto& file : options.value("files", Json::array())) {
    if (!file.is_string()) return Error{ErrorCode::invalid_argument, "recording: files must be a list of file names"};
    recording.files.push_back(context.folder / file.get<std::string>());
  }
  VERGE_TRY(recording.pause_s, number_member(options, "pause_s", recording.pause_s));
  VERGE_TRY(recording.loop, bool_member(options, "loop", recording.loop));
  VERGE_TRY(recording.is_paced, bool_member(options, "paced", recording.is_paced));
  return make_recording_source(std::move(recording), context);
}

}  // namespace

void add_stages(pipeline::Catalog& catalog) {
  catalog.add(pipeline::Kind<pipeline::Source>{
      .name = "recording",
      .where = "audio/recording/recording_source.h",
      .summary = "Plays sound files at their own pace, as a microphone would deliver them.",
      .options = {option("files", "list", "Sound files (WAV, FLAC, MP3, Opus), played in this order", nullptr, true),
                  option("pause_s", "number", "Silence after each file, seconds, 0..60", 2.0),
                  option("loop", "flag", "Begin again after the last file", true),
                  option("paced", "flag", "At the sound's own pace; false: as fast as the pipeline takes it", true)},
      .make = make_recording});
  add_speech_stages(catalog);
  add_simulated_stages(catalog);
  add_sound_stages(catalog);
  add_conditioning_stages(catalog);
  catalog.add_live_renderer(render_sound);
}

}  // namespace verge::audio
