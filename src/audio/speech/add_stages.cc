#include "audio/speech/add_stages.h"

#include "audio/live/sound_wish.h"
#include "audio/speech/speech_stage.h"
#include "audio/speech/voice_stage.h"

namespace verge::audio {
namespace {

pipeline::OptionInfo speech_option(std::string name, std::string type, std::string summary, Json fallback,
                                   bool is_required = false) {
  return {std::move(name), std::move(type), std::move(summary), std::move(fallback), is_required};
}

Result<std::unique_ptr<pipeline::Stage>> make_voice(const Json& options, const pipeline::Context& context,
                                                    VoiceBatches& batches) {
  VoiceStageOptions voice;
  VERGE_TRY(const auto model, string_member(options, "model"));
  voice.model = model;
  VERGE_TRY(const double begin, number_member(options, "begin", voice.segments.begin_probability));
  VERGE_TRY(const double end, number_member(options, "end", voice.segments.end_probability));
  voice.segments.begin_probability = static_cast<float>(begin);
  voice.segments.end_probability = static_cast<float>(end);
  VERGE_TRY(voice.segments.join_s, number_member(options, "join_s", voice.segments.join_s));
  VERGE_TRY(voice.segments.length_s_max, number_member(options, "length_s_max", voice.segments.length_s_max));
  VERGE_TRY(const double target, number_member(options, "target_db", voice.level.target_db));
  voice.level.target_db = static_cast<float>(target);
  if (begin <= end || begin >= 1 || end <= 0) {
    return Error{ErrorCode::invalid_argument, "voice: 0 < end < begin < 1 must hold"};
  }
  if (voice.segments.length_s_max < 2 || voice.segments.length_s_max > 30) {
    return Error{ErrorCode::invalid_argument, "voice: length_s_max must be 2..30"};
  }
  return make_voice_stage(std::move(voice), context, batches);
}

constexpr double kPhraseWeight = 0.2;
constexpr int kPhraseBeam = 4;

/// Null when there are none.
Result<std::shared_ptr<const PhraseBias>> read_phrases(const Json& list, double weight) {
  std::vector<std::string> phrases;
  for (const auto& phrase : list) {
    if (!phrase.is_string()) return Error{ErrorCode::invalid_argument, "speech: phrases must be a list of texts"};
    phrases.push_back(phrase.get<std::string>());
  }
  if (phrases.empty()) return std::shared_ptr<const PhraseBias>();
  VERGE_TRY(auto bias, PhraseBias::make(phrases, weight));
  return std::shared_ptr<const PhraseBias>(std::make_shared<PhraseBias>(std::move(bias)));
}

Result<std::unique_ptr<pipeline::Stage>> make_speech(const Json& options, const pipeline::Context& context) {
  SpeechStageOptions speech;
  VERGE_TRY(const auto model, string_member(options, "model"));
  speech.model = model;
  VERGE_TRY(const auto corrections, string_member(options, "corrections"));
  speech.corrections = corrections;
  VERGE_TRY(speech.sound, SoundWish::read(options, context));
  VERGE_TRY(const double weight, number_member(options, "phrase_weight", kPhraseWeight));
  const Json phrases = options.value("phrases", Json::array());
  VERGE_TRY(speech.recognizer.phrases, read_phrases(phrases, weight));
  VERGE_TRY(const double beam, number_member(options, "beam", 0));
  const int beam_without_wish = speech.recognizer.phrases ? kPhraseBeam : 1;
  speech.recognizer.beam = beam == 0 ? beam_without_wish : static_cast<int>(beam);
  return make_speech_stage(std::move(speech), context);
}

}  // namespace

void add_speech_stages(pipeline::Catalog& catalog) {
  const auto batches = std::make_shared<VoiceBatches>();
  catalog.add(pipeline::Kind<pipeline::Stage>{
      .name = "voice",
      .where = "audio/speech/voice_stage.h",
      .summary = "Finds speech: raises the level, marks each block, cuts utterances.",
      .options = {speech_option("model", "path", "Silero VAD model, ONNX", nullptr, true),
                  speech_option("begin", "number", "Speech begins at this probability, 0..1", 0.5),
                  speech_option("end", "number", "Speech ends below this probability, 0..1, less than begin", 0.35),
                  speech_option("join_s", "number",
                                "Pauses up to this stay inside an utterance, seconds; delays every result by as much",
                                0.6),
                  speech_option("length_s_max", "number", "Longer utterances are cut, seconds, 2..30", 12.0),
                  speech_option("target_db", "number", "Level of speech before detection, dB relative to full scale",
                                -23.0)},
      .make = [batches](const Json& options, const pipeline::Context& context) {
        return make_voice(options, context, *batches);
      }});
  catalog.add(pipeline::Kind<pipeline::Stage>{
      .name = "speech",
      .where = "audio/speech/speech_stage.h",
      .summary = "Turns utterances into text (Moonshine); one event speech.final each.",
      .options = SoundWish::added_to(
          {speech_option("model", "path", "Folder with encoder.onnx, decoder.onnx, tokenizer.json", nullptr, true),
           speech_option("corrections", "path",
                         "Folder that verge data report wrote: corrects what was corrected before", ""),
           speech_option("phrases", "list", "Words and phrases that are said here: preferred where they fit",
                         Json::array()),
           speech_option("phrase_weight", "number",
                         "How much a phrase is preferred, per letter, natural logarithm, 0..5", kPhraseWeight),
           speech_option("beam", "integer", "Texts followed at once, 1..16; each costs time; 0: 4 with phrases, else 1",
                         0)}),
      .make = make_speech});
}

}  // namespace verge::audio
