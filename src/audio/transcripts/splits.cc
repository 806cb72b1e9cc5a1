#include "audio/transcripts/splits.h"

#include <algorithm>
#include <fmt/format.h>
#include <map>
#include <numeric>

#include "base/crypto.h"

namespace verge::audio {
namespace {

/// Union-find over the clips.
class Groups {
 public:
  explicit Groups(std::size_t count) : parent_(count) { std::iota(parent_.begin(), parent_.end(), std::size_t{0}); }
  std::size_t root(std::size_t at) {
    while (parent_[at] != at) at = parent_[at] = parent_[parent_[at]];
    return at;
  }
  void join(std::size_t a, std::size_t b) { parent_[root(a)] = root(b); }

 private:
  std::vector<std::size_t> parent_;
};

struct ClipGroup {
  std::vector<std::size_t> clips;
  double seconds = 0;
  std::string order;  ///< By the seed.
};

std::vector<ClipGroup> group_clips(const std::vector<Clip>& clips, const SplitOptions& options) {
  Groups groups(clips.size());
  std::map<std::string, std::size_t> first_with;
  const auto join_by = [&](char key, const std::string& value, std::size_t at) {
    if (value.empty()) return;
    const auto [found, is_new] = first_with.try_emplace(key + value, at);
    if (!is_new) groups.join(at, found->second);
  };
  for (std::size_t at = 0; at < clips.size(); ++at) {
    // Neighbours of one recording share its room, its noise and usually a speaker, even where nobody wrote that down.
    join_by('f', clips[at].source, at);
    if (options.by_speaker) join_by('s', clips[at].speaker, at);
    if (options.by_device) join_by('d', clips[at].device, at);
    if (options.by_room) join_by('r', clips[at].room, at);
  }
  std::map<std::size_t, ClipGroup> by_root;
  for (std::size_t at = 0; at < clips.size(); ++at) {
    auto& group = by_root[groups.root(at)];
    group.clips.push_back(at);
    group.seconds += clips[at].duration_s;
    const auto order = sha256(fmt::format("{} {}", options.seed, clips[at].media));
    if (group.order.empty() || order < group.order) group.order = order;
  }
  std::vector<ClipGroup> found;
  for (auto& [root, group] : by_root) found.push_back(std::move(group));
  std::ranges::sort(found, [](const ClipGroup& a, const ClipGroup& b) {
    return a.seconds != b.seconds ? a.seconds > b.seconds : a.order < b.order;
  });
  return found;
}

std::string keys_of(const SplitOptions& options) {
  std::string keys = "recording";
  if (options.by_speaker) keys += ", speaker";
  if (options.by_device) keys += ", device";
  if (options.by_room) keys += ", room";
  return keys;
}

}  // namespace

Result<std::vector<SplitPart>> split_clips(std::vector<Clip>& clips, const SplitOptions& options) {
  const double train_share = 1 - options.test_share - options.dev_share;
  if (!(options.test_share >= 0 && options.dev_share >= 0 && train_share >= 0.1)) {
    return Error{ErrorCode::invalid_argument,
                 fmt::format("split into test {:g} and dev {:g}: shares must be 0 or more and leave at least 0.1 for "
                             "training",
                             options.test_share, options.dev_share)};
  }
  std::vector<SplitPart> parts{{"train"}};
  std::vector<double> shares{train_share};
  if (options.dev_share > 0) parts.push_back({"dev"}), shares.push_back(options.dev_share);
  if (options.test_share > 0) parts.push_back({"test"}), shares.push_back(options.test_share);
  const auto groups = group_clips(clips, options);
  if (groups.size() < parts.size()) {
    return Error{ErrorCode::invalid_argument,
                 fmt::format("split {} clips into {} parts: by {} they are {} group(s), which must not be divided; "
                             "record more, label speakers in verge data review, or split by fewer keys",
                             clips.size(), parts.size(), keys_of(options), groups.size())};
  }
  double all_s = 0;
  for (const auto& group : groups) all_s += group.seconds;
  for (std::size_t at = 0; at < groups.size(); ++at) {
    const auto& group = groups[at];
    // The last groups go to parts that have none yet: each must have one.
    const auto empty_parts =
        static_cast<std::size_t>(std::ranges::count_if(parts, [](const SplitPart& part) { return part.groups == 0; }));
    const bool must_fill = groups.size() - at <= empty_parts;
    std::size_t best = parts.size();
    double most_missing = 0;
    for (std::size_t part = 0; part < parts.size(); ++part) {
      if (must_fill && parts[part].groups > 0) continue;
      const double missing = shares[part] * all_s - parts[part].seconds;
      if (best == parts.size() || missing > most_missing) best = part, most_missing = missing;
    }
    for (const auto clip : group.clips) clips[clip].split = parts[best].name;
    ++parts[best].groups;
    parts[best].clips += group.clips.size();
    parts[best].seconds += group.seconds;
  }
  return parts;
}

}  // namespace verge::audio
