#include "cli/microphone.h"

#include <cmath>
#include <fmt/format.h>

#include "base/json.h"
#include "cli/output.h"

namespace verge::cli {
namespace {

std::string address_of(const connectors::CardName& card) { return "alsa:" + card.name; }

/// To so many parts of one; -0 becomes 0.
double rounded(double number, double parts) { return std::round(number * parts) / parts + 0.0; }

}  // namespace

std::string microphones_as_table(const std::vector<connectors::CardName>& cards) {
  if (cards.empty()) return "ALSA knows no microphone.\n";
  std::vector<std::vector<std::string>> rows;
  for (const auto& card : cards) rows.push_back({address_of(card), card.description});
  return to_table({"ADDRESS", "DESCRIPTION"}, rows);
}

Json microphones_as_json(const std::vector<connectors::CardName>& cards) {
  Json all = Json::array();
  for (const auto& card : cards) all.push_back({{"address", address_of(card)}, {"description", card.description}});
  return all;
}

std::string microphone_report_as_text(const std::string& shown, const connectors::MicrophoneReport& report) {
  const auto& figures = report.figures;
  const auto verdict = connectors::judge_sound(figures);
  return fmt::format(
      "microphone    {}\nsound         {}, {} Hz\nheard         {:.1f} s, the first sample after {:.1f} s\n"
      "level         {:.0f} dB; loud parts {:.0f} dB, noise floor {:.0f} dB, peak {:.0f} dB of full scale\n"
      "clipped       {:.3f} %\nlost          {} samples, {} broken packets\nverdict       {}. {}\n",
      shown, report.note, report.rate_hz, report.seconds, report.first_sample_s, figures.level_db, figures.loud_db,
      figures.floor_db, figures.peak_db, figures.clipped_share * 100, report.missing, report.broken,
      connectors::name_of(verdict), connectors::advice_for(verdict));
}

Json microphone_report_as_json(const std::string& shown, const connectors::MicrophoneReport& report) {
  const auto& figures = report.figures;
  const auto verdict = connectors::judge_sound(figures);
  return {{"microphone", shown},
          {"sound", report.note},
          {"rate_hz", report.rate_hz},
          {"seconds", rounded(report.seconds, 100)},
          {"first_sample_s", rounded(report.first_sample_s, 100)},
          {"level_db", rounded(figures.level_db, 10)},
          {"loud_db", rounded(figures.loud_db, 10)},
          {"floor_db", rounded(figures.floor_db, 10)},
          {"peak_db", rounded(figures.peak_db, 10)},
          {"offset", rounded(figures.offset, 1e5)},
          {"clipped_share", rounded(figures.clipped_share, 1e6)},
          {"missing", report.missing},
          {"broken", report.broken},
          {"verdict", std::string(connectors::name_of(verdict))},
          {"advice", std::string(connectors::advice_for(verdict))}};
}

}  // namespace verge::cli
