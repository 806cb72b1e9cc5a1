#include "training/logistic.h"

#include <cmath>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "training/validation.h"

namespace verge::training {
namespace {

/// Sum of twelve uniform numbers: near enough to a normal one.
double bell(SeededNumbers& numbers) {
  double sum = -6;
  for (int i = 0; i < 12; ++i) sum += numbers.part();
  return sum;
}

struct LogisticSet {
  Rows rows;
  std::vector<int> labels;
};
/// Class c is shifted by `apart` along feature c.
LogisticSet make_set(std::size_t count, std::size_t features, int classes, double apart, std::uint64_t seed) {
  LogisticSet set;
  set.rows.columns = features;
  SeededNumbers numbers(seed);
  for (std::size_t at = 0; at < count; ++at) {
    const int label = static_cast<int>(at) % classes;
    std::vector<float> row;
    for (std::size_t feature = 0; feature < features; ++feature)
      row.push_back(static_cast<float>(bell(numbers) + (feature == static_cast<std::size_t>(label) ? apart : 0)));
    set.rows.add(row);
    set.labels.push_back(label);
  }
  return set;
}

double share_right(const LogisticModel& model, const LogisticSet& set) {
  std::size_t right = 0;
  for (std::size_t at = 0; at < set.labels.size(); ++at) {
    const auto logits = model.logits(set.rows.row(at));
    right += std::ranges::max_element(logits) - logits.begin() == set.labels[at] ? 1U : 0U;
  }
  return static_cast<double>(right) / static_cast<double>(set.labels.size());
}

/// The gradient of the stated loss, by the definition, must vanish at the answer.
TEST(Logistic, TheAnswerIsTheLeastOfTheStatedLoss) {
  for (const std::size_t features : {3U, 60U}) {  // More rows than features, and fewer.
    auto set = make_set(40, features, 3, 1.5, 5);
    const double penalties[] = {0.1};
    const auto models = fit_logistic(set.rows, set.labels, 3, penalties, {.tolerance = 1e-8, .iterations_max = 1000});
    ASSERT_TRUE(models) << models.error().message;
    const LogisticModel& model = models->front();
    std::vector<double> mean(features), spread(features);
    for (std::size_t f = 0; f < features; ++f) {
      for (std::size_t at = 0; at < 40; ++at) mean[f] += static_cast<double>(set.rows.row(at)[f]) / 40;
      for (std::size_t at = 0; at < 40; ++at) {
        const double off = static_cast<double>(set.rows.row(at)[f]) - mean[f];
        spread[f] += off * off / 40;
      }
      spread[f] = std::sqrt(spread[f]);
    }
    std::vector<double> members(3);
    for (const int label : set.labels) members[static_cast<std::size_t>(label)] += 1;
    for (std::size_t c = 0; c < 3; ++c) {
      for (std::size_t f = 0; f < features; ++f) {
        double slope = 0.1 * model.weights[c * features + f] * spread[f];
        for (std::size_t at = 0; at < 40; ++at) {
          const auto truth = static_cast<std::size_t>(set.labels[at]);
          const double wrong = soft_max(model.logits(set.rows.row(at)))[c] - (truth == c ? 1 : 0);
          slope += wrong * (static_cast<double>(set.rows.row(at)[f]) - mean[f]) / spread[f] / (members[truth] * 3);
        }
        EXPECT_NEAR(slope, 0, 1e-6) << features << " features, class " << c << ", feature " << f;
      }
    }
  }
}

TEST(Logistic, FindsWhatIsThereAndAPenaltyHoldsItBack) {
  const auto taught = make_set(60, 80, 4, 4, 1), unseen = make_set(400, 80, 4, 4, 2);
  const double penalties[] = {100, 1, 0.01};
  const auto models = fit_logistic(taught.rows, taught.labels, 4, penalties);
  ASSERT_TRUE(models);
  ASSERT_EQ(models->size(), 3U);
  EXPECT_GT(share_right((*models)[1], unseen), 0.7);
  EXPECT_EQ(share_right((*models)[2], taught), 1);
  double size[3] = {};
  for (std::size_t at = 0; at < 3; ++at)
    for (const double weight : (*models)[at].weights) size[at] += weight * weight;
  EXPECT_LT(size[0], size[1]);
  EXPECT_LT(size[1], size[2]);
  const auto again = fit_logistic(taught.rows, taught.labels, 4, penalties);
  EXPECT_EQ((*models)[2].weights, (*again)[2].weights);
}

TEST(Logistic, AConstantFeatureAndRareClassesDoNoHarm) {
  auto set = make_set(50, 4, 2, 4, 3);
  for (std::size_t at = 0; at < 50; ++at) set.rows.values[at * 4 + 3] = 12;
  // 25 against 3: the rare class still weighs the same.
  LogisticSet rare;
  rare.rows.columns = 4;
  int kept = 0;
  for (std::size_t at = 0; at < 50; ++at) {
    if (set.labels[at] == 1 && ++kept > 3) continue;
    rare.rows.add(set.rows.row(at));
    rare.labels.push_back(set.labels[at]);
  }
  const double penalties[] = {0.1};
  const auto model = fit_logistic(rare.rows, rare.labels, 2, penalties);
  ASSERT_TRUE(model);
  EXPECT_EQ(model->front().weights[3], 0);
  EXPECT_GT(share_right(model->front(), set), 0.9);
}

TEST(Logistic, RefusesWhatCannotBeFitted) {
  auto set = make_set(10, 2, 2, 1, 1);
  const double one[] = {1.0}, none[] = {0.0};
  const auto message = [](const auto& result) { return result ? std::string() : result.error().message; };
  EXPECT_THAT(message(fit_logistic(set.rows, set.labels, 3, one)), testing::HasSubstr("class 2 has no row"));
  EXPECT_THAT(message(fit_logistic(set.rows, set.labels, 1, one)), testing::HasSubstr("1 classes"));
  EXPECT_THAT(message(fit_logistic(set.rows, set.labels, 2, none)), testing::HasSubstr("penalty 0"));
  EXPECT_THAT(message(fit_logistic(set.rows, std::span(set.labels).first(9), 2, one)),
              testing::HasSubstr("20 numbers in rows of 2 for 9 labels"));
  set.rows.values[3] = std::nanf("");
  EXPECT_THAT(message(fit_logistic(set.rows, set.labels, 2, one)), testing::HasSubstr("not finite"));
}

}  // namespace
}  // namespace verge::training
