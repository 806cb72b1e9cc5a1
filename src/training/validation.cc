#include "training/validation.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <map>

#include "base/assert.h"

namespace verge::training {
namespace {

constexpr double kNormal95 = 1.959963984540054;

/// Mean cross-entropy with classes weighing the same.
double cross_entropy(std::span<const double> logits, std::span<const int> labels, std::size_t classes,
                     const std::vector<double>& weights, double temperature) {
  double loss = 0;
  for (std::size_t item = 0; item < labels.size(); ++item) {
    const auto row = logits.subspan(item * classes, classes);
    const double most = *std::ranges::max_element(row);
    double sum = 0;
    for (const double logit : row) sum += std::exp((logit - most) / temperature);
    const auto truth = static_cast<std::size_t>(labels[item]);
    loss += weights[truth] * (std::log(sum) - (row[truth] - most) / temperature);
  }
  return loss;
}

}  // namespace

std::uint64_t SeededNumbers::next() {
  state_ += 0x9E3779B97F4A7C15ULL;
  std::uint64_t mixed = state_;
  mixed = (mixed ^ (mixed >> 30U)) * 0xBF58476D1CE4E5B9ULL;
  mixed = (mixed ^ (mixed >> 27U)) * 0x94D049BB133111EBULL;
  return mixed ^ (mixed >> 31U);
}

// The remainder prefers small numbers by count / 2^64: nothing for our counts.
std::size_t SeededNumbers::below(std::size_t count) { return static_cast<std::size_t>(next() % count); }

double SeededNumbers::part() { return static_cast<double>(next() >> 11U) * 0x1.0p-53; }

std::vector<int> assign_folds(std::span<const int> labels, std::span<const int> groups, int folds, std::uint64_t seed) {
  VERGE_ASSERT(labels.size() == groups.size() && folds > 0);
  std::map<int, std::size_t> sizes;  // Of each group.
  std::map<int, std::vector<int>> of_label;
  for (std::size_t item = 0; item < labels.size(); ++item)
    if (sizes[groups[item]]++ == 0) of_label[labels[item]].push_back(groups[item]);
  SeededNumbers numbers(seed);
  std::map<int, int> fold_of;
  for (auto& [label, members] : of_label) {
    for (std::size_t at = members.size(); at > 1; --at) std::swap(members[at - 1], members[numbers.below(at)]);
    // The largest first, each to the fold that has the least of this label.
    std::ranges::stable_sort(members, std::greater<>(), [&](int group) { return sizes[group]; });
    std::vector<std::size_t> filled(static_cast<std::size_t>(folds));
    const auto first = numbers.below(filled.size());
    for (const int group : members) {
      std::size_t best = first;
      for (std::size_t step = 1; step < filled.size(); ++step) {
        const std::size_t fold = (first + step) % filled.size();
        if (filled[fold] < filled[best]) best = fold;
      }
      filled[best] += sizes[group];
      fold_of[group] = static_cast<int>(best);
    }
  }
  std::vector<int> assigned;
  for (const int group : groups) assigned.push_back(fold_of[group]);
  return assigned;
}

Interval share_interval(double hits, double count) {
  if (!(count > 0)) return {};
  const double share = hits / count, square = kNormal95 * kNormal95;
  const double middle = (share + square / (2 * count)) / (1 + square / count);
  const double reach =
      kNormal95 / (1 + square / count) * std::sqrt(share * (1 - share) / count + square / (4 * count * count));
  return {std::max(0.0, std::min(share, middle - reach)), std::min(1.0, std::max(share, middle + reach))};
}

Confusion::Confusion(int class_count)
    : classes(class_count),
      counts(static_cast<std::size_t>(class_count) * static_cast<std::size_t>(class_count)),
      independent(static_cast<std::size_t>(class_count), std::numeric_limits<double>::infinity()) {}

int Confusion::total(int truth) const {
  int sum = 0;
  for (int said = 0; said < classes; ++said) sum += at(truth, said);
  return sum;
}

double Confusion::recall(int truth) const { return static_cast<double>(at(truth, truth)) / total(truth); }

double Confusion::precision(int said) const {
  double all = 0;
  for (int truth = 0; truth < classes; ++truth)
    if (total(truth) > 0) all += static_cast<double>(at(truth, said)) / total(truth);
  return recall(said) / all;
}

double Confusion::balanced_accuracy() const {
  double sum = 0;
  int with_items = 0;
  for (int truth = 0; truth < classes; ++truth) {
    if (total(truth) == 0) continue;
    sum += recall(truth);
    ++with_items;
  }
  return with_items == 0 ? std::numeric_limits<double>::quiet_NaN() : sum / with_items;
}

Interval Confusion::balanced_interval() const {
  double below = 0, above = 0;
  int with_items = 0;
  for (int truth = 0; truth < classes; ++truth) {
    if (total(truth) == 0) continue;
    const double count = std::min<double>(total(truth), independent[static_cast<std::size_t>(truth)]);
    const double share = recall(truth);
    const Interval own = share_interval(share * count, count);
    below += (share - own.low) * (share - own.low);
    above += (own.high - share) * (own.high - share);
    ++with_items;
  }
  if (with_items == 0) return {};
  const double middle = balanced_accuracy();
  return {std::max(0.0, middle - std::sqrt(below) / with_items), std::min(1.0, middle + std::sqrt(above) / with_items)};
}

double fit_temperature(std::span<const double> logits, std::span<const int> labels, int classes) {
  const auto width = static_cast<std::size_t>(classes);
  std::vector<double> weights(width);
  for (const int label : labels) weights[static_cast<std::size_t>(label)] += 1;
  for (double& weight : weights) weight = weight > 0 ? 1 / weight : 0;
  // Golden section over the logarithm: the loss has one valley in 1 / temperature.
  const double golden = (std::sqrt(5.0) - 1) / 2;
  double low = std::log(0.05), high = std::log(20.0);
  const auto loss = [&](double at) { return cross_entropy(logits, labels, width, weights, std::exp(at)); };
  double left = high - golden * (high - low), right = low + golden * (high - low);
  double left_loss = loss(left), right_loss = loss(right);
  while (high - low > 1e-4) {
    if (left_loss < right_loss) {
      high = right;
      right = left;
      right_loss = left_loss;
      left = high - golden * (high - low);
      left_loss = loss(left);
    } else {
      low = left;
      left = right;
      left_loss = right_loss;
      right = low + golden * (high - low);
      right_loss = loss(right);
    }
  }
  return std::exp((low + high) / 2);
}

std::vector<ReliabilityBin> reliability(std::span<const double> probabilities, std::span<const int> labels,
                                        int classes) {
  constexpr std::size_t kBins = 10;
  std::vector<ReliabilityBin> bins(kBins);
  for (std::size_t at = 0; at < kBins; ++at) {
    bins[at].from = static_cast<double>(at) / kBins;
    bins[at].to = static_cast<double>(at + 1) / kBins;
  }
  const auto width = static_cast<std::size_t>(classes);
  for (std::size_t item = 0; item < labels.size(); ++item) {
    const auto row = probabilities.subspan(item * width, width);
    const auto best = std::ranges::max_element(row);
    ReliabilityBin& bin = bins[std::min(kBins - 1, static_cast<std::size_t>(*best * kBins))];
    bin.said += *best;
    ++bin.count;
    bin.right += best - row.begin() == labels[item] ? 1 : 0;
  }
  for (auto& bin : bins) bin.said = bin.count > 0 ? bin.said / bin.count : 0;
  return bins;
}

double cost_threshold(double miss, double false_alarm) { return false_alarm / (miss + false_alarm); }

}  // namespace verge::training
