// cli/transcript_report.h -- what corrections are worth: word errors on held-out clips before and after them.
//
// Threads: the call blocks.
#pragma once

#include <filesystem>

#include "base/json.h"
#include "base/result.h"

namespace verge::cli {

struct TranscriptReportRequest {
  std::filesystem::path dataset;
  std::filesystem::path target;  ///< Folder for report.html, report.json, phrases.txt, words.arpa, corrections.json.
  std::uint64_t seed = 1;
};

/// Learns from the reviewed clips of split train, measures on those of test, writes the files. What is written is what
/// was measured. Returns report.json: docs/transcripts.md. Errors: those of study_corrections and the disk.
Result<Json> report_transcripts(const TranscriptReportRequest& request);

}  // namespace verge::cli
