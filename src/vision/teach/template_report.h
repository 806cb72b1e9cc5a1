// vision/teach/template_report.h -- what a person should know of a template that was just taught, as one HTML page.
//
// Threads: pure functions.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "vision/teach/defect_filter.h"

namespace verge::vision {

/// A picture that was looked at.
struct LookedPicture {
  std::string name;
  bool is_good = false;  ///< From the folder of good parts: judged by a template without itself.
  bool has_boxes = false;
  Alignment alignment;
  TemplateExample example;
  bool is_marked = false;      ///< Something of it is told, by a filter and threshold that do not know it.
  double threshold = 0;        ///< Of this picture.
  std::vector<double> scores;  ///< Per candidate, by a filter that does not know the picture.
};

/// What report and terminal are made from.
struct TemplateStory {
  std::string title;
  std::vector<LookedPicture> pictures;      ///< Those that could be laid over the template.
  std::vector<std::string> not_registered;  ///< Names.
  std::size_t good_count = 0;               ///< That the template is made of.
  std::optional<JudgedTemplate> judged;     ///< Nothing: there were no boxes.
  double score_min = 0;
  int margin = 8;
  TemplateOptions options;
  double cost_miss = 1, cost_false_alarm = 1;
  std::vector<std::string> notes;
  std::optional<std::string> refusal;  ///< Why nothing was learned.
  /// The picture, laid over the template, in grey; nothing when it cannot be had.
  std::function<std::optional<GreyPicture>(std::size_t picture)> over;
  std::shared_ptr<const TemplateInspector> inspector;
};

struct MarkedShare {
  int marked = 0, of = 0;
};
/// Whole pictures of good parts (or not), of which something is told.
MarkedShare marked_share(const TemplateStory& story, bool is_good);

/// One sentence: learned or not, and how well.
std::string template_verdict(const TemplateStory& story);
/// What is taken for granted, in sentences.
std::vector<std::string> template_assumptions(const TemplateStory& story);
/// What more pictures would help, the most useful first; never empty.
std::vector<std::string> photograph_next(const TemplateStory& story);
std::string template_report(const TemplateStory& story);

}  // namespace verge::vision
