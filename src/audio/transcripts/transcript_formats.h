// audio/transcripts/transcript_formats.h -- what others write transcripts in, as text: JSON lines, LibriSpeech, Common
// Voice, RTTM.
//
// Sources: Panayotov et al. 2015 (LibriSpeech: SPEAKER-CHAPTER.trans.txt); the data sets of Mozilla Common Voice (TSV
// with client_id, path, sentence); NIST RT-09 evaluation plan, appendix A (RTTM). Every error says file and line.
// Bounds: a line has at most 1 MiB, a text 1,000,000 lines. Threads: pure functions.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "audio/transcripts/clip.h"

namespace verge::audio {

/// A recording as another format names it; `file` is relative to the folder of the list, with or without an ending.
struct ForeignClip {
  std::string file;
  Clip clip;  ///< Text and labels; media, digest and duration are still empty.
};

/// One JSON object a line with the file as `media`, `audio_filepath`, `audio` or `path`, and `text` (or `sentence`);
/// further members as in docs/formats/dataset.md.
Result<std::vector<ForeignClip>> parse_json_lines(std::string_view text, std::string_view name);
/// "84-121123-0000 GO DO YOU HEAR"; the speaker is the number before the first dash.
Result<std::vector<ForeignClip>> parse_librispeech(std::string_view text, std::string_view name);
/// With a first line that names the columns; client_id becomes the speaker. Files lie in clips/.
Result<std::vector<ForeignClip>> parse_common_voice(std::string_view text, std::string_view name);

/// Somebody speaks.
struct SpeakerTurn {
  std::string file;  ///< Name of the recording, without ending.
  double begin_s = 0, duration_s = 0;
  std::string speaker;
};
/// Lines SPEAKER; others of the format are passed over.
Result<std::vector<SpeakerTurn>> parse_rttm(std::string_view text, std::string_view name);

/// Words in upper case without punctuation, as LibriSpeech writes them.
std::string to_librispeech_text(std::string_view text);
/// One row, without line break; a file name of media/ without that folder.
std::string common_voice_heading();
std::string to_common_voice(const Clip& clip, std::string_view file, std::string_view language);
/// "SPEAKER file 1 begin duration <NA> <NA> speaker <NA> <NA>"; blanks in names become _.
std::string to_rttm(const SpeakerTurn& turn);

}  // namespace verge::audio
