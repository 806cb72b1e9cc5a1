// vision/teach/anomaly.h -- teaches what is normal from good pictures alone; what is far from it is an anomaly.
//
// The picture is seen at its own size by one run of a convolutional trunk, which equals overlapping crops without their
// seams. Each cell of 8 x 8 pixels is described by the trunk and by tone (anomaly_graph.h) and compared with good ones:
// with those of any place, or, when camera and part stand still, with those of its own place (patch_bank.h). Which way
// is taken is decided on the good pictures themselves: pretended defects are put into some of them
// (pretend_defects.h), and a picture is never compared with itself. Where the good pictures show one part that lies
// differently in each, laying them over one of them first (part_aligner.h, part_reference.h) is tried in the same way.
// The threshold follows from the good pictures' own scores and a promised share of false alarms. Source: Roth et al.
// 2022 (PatchCore), Defard et al. 2021 (PaDiM); threshold: Gumbel 1958 for maxima, training/tail.h from 100 pictures
// on. Threads: pure functions; they compute with `threads` threads of their own.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "models/model_card.h"
#include "models/onnx_graph.h"
#include "pipeline/packet.h"

namespace verge::vision {

/// Whether pictures are laid over a good one before they are compared.
enum class AlignParts : std::uint8_t {
  automatic,  ///< When that clearly improves matters on the good pictures.
  on,
  off
};
inline constexpr std::array<std::string_view, 3> kAlignParts{"auto", "on", "off"};  ///< In the order of AlignParts.

struct AnomalyOptions {
  double false_alarms = 0.01;    ///< Promised share of good pictures, 0.0001..0.2.
  int pixels_max = 1'000'000;    ///< Larger pictures are made smaller, 4,096..4,000,000.
  std::size_t bank_rows = 2000;  ///< Patches kept for comparing with any place, 64..16,384.
  std::uint64_t seed = 1;
  int threads = 1;  ///< 1..64
  AlignParts align = AlignParts::automatic;
};

/// One way of comparing: 0 not used, else its place in the list of ways.
enum class Comparing : std::uint8_t { everywhere, at_its_place };

struct AnomalyFindings {
  std::size_t pictures = 0, rows = 0, columns = 0;
  Comparing comparing = Comparing::everywhere;
  bool uses_trunk = true, uses_tone = true;
  bool is_aligned = false;
  std::string alignment;           ///< Why pictures are laid over a good one, or why not; a sentence.
  std::size_t not_found = 0;       ///< Good pictures that do not lie over that one, and are compared as they lie.
  double separated = 0;            ///< Pretended defects above good pictures, 0.5 (not at all)..1: area under ROC.
  std::vector<float> good_scores;  ///< Per good picture, by a bank without it; 1 is the threshold.
  std::vector<float> good_maps;    ///< [pictures, rows, columns], the same where it lies in each picture.
  double false_alarms = 0;         ///< As promised.
  bool is_extrapolated = false;    ///< Fewer pictures than 1 / false_alarms: the promise rests on the fitted tail.
  std::vector<std::string> ways;   ///< "compared at its place, trunk and tone: 0.98", for the report.
};

struct TaughtAnomaly {
  models::OnnxModel model;
  models::ModelCard card;  ///< Without the digest, which save_taught() knows.
  AnomalyFindings findings;
};

/// network, network_card  a catalogue detector whose trunk has stride 8
/// good  pictures of good parts, all of one kind; at least 8
/// progress  may be empty; called with 0..1; false ends teaching with the error `timeout`
/// Errors: invalid_argument (too few pictures, options, no trunk, align on and nothing to lay over), timeout, those of
/// the engine.
Result<TaughtAnomaly> teach_anomaly(const models::OnnxModel& network, const models::ModelCard& network_card,
                                    std::span<const std::shared_ptr<const pipeline::Frame>> good,
                                    const AnomalyOptions& options, const std::function<bool(double)>& progress = {});

/// The value that maxima of good pictures exceed with this probability. scores: at least 8 finite numbers.
double anomaly_threshold(std::span<const float> scores, double probability);

}  // namespace verge::vision
