// cli/exchange_transcripts.h -- datasets of transcripts from and to what others write.
//
// Threads: calls block.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "base/result.h"

namespace verge::cli {

enum class TranscriptFormat : std::uint8_t { json_lines, librispeech, common_voice, rttm };
inline constexpr std::string_view kTranscriptFormats[] = {"jsonl", "librispeech", "common-voice", "rttm"};

struct ImportRequest {
  std::filesystem::path source;  ///< A list, or for librispeech the folder of the corpus.
  std::filesystem::path target;  ///< The dataset; made when it is not there.
  std::string format = "auto";   ///< By the source's ending when auto: .jsonl, .tsv, .rttm, a folder.
  std::string language = "en", licence;
};
struct ImportOutcome {
  TranscriptFormat format = TranscriptFormat::json_lines;
  std::size_t clips = 0, known = 0;  ///< Brought (of RTTM: whose speaker was set); there before.
  double seconds = 0;
};
/// Copies each recording and its text into the dataset; again, it goes on. RTTM sets the speakers of clips that are
/// there, by the turn that overlaps each most. Errors: invalid_argument with file and line, not_found naming a
/// recording.
Result<ImportOutcome> import_transcripts(const ImportRequest& request);

struct ExportRequest {
  std::filesystem::path source;  ///< The dataset.
  std::filesystem::path target;  ///< A folder that is not there yet, or empty.
  std::string format = "jsonl";
  std::string split;           ///< Only these clips; empty: all.
  bool only_reviewed = false;  ///< Only what a person has accepted.
};
/// Returns how many clips were written. Errors: conflict when the target has something in it, not_found when no clip
/// fits.
Result<std::size_t> export_transcripts(const ExportRequest& request);

}  // namespace verge::cli
