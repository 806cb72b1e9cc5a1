// The model's probabilities are probabilities, its file comes back, and it prefers what was said before.
#include "audio/transcripts/word_model.h"

#include <cmath>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace verge::audio {
namespace {

const std::vector<std::string> kNotes{"line three stop",       "line three start",        "line two stop",
                                      "gate one open",         "gate two open",           "gate two shut",
                                      "line three stop now",   "open gate one",           "stop line two please",
                                      "the press is too loud", "the press on line three", "line three is too loud"};

WordModel model_of_notes(int order = 3) { return *WordModel::learn(kNotes, order); }

/// Over every known word, the end and all that is unknown.
double sum_after(const WordModel& model, const std::vector<std::string>& before) {
  double sum = WordModel::kUnknownWords * std::exp(model.log_probability_of(before, "never-seen"));
  for (const char* word : {"line", "three", "stop", "start", "two", "gate", "one", "open", "shut", "now", "please",
                           "the", "press", "is", "too", "loud", "on", "</s>"})
    sum += std::exp(model.log_probability_of(before, word));
  return sum;
}

TEST(WordModel, ProbabilitiesAfterAnyHistorySumToOne) {
  for (int order = 1; order <= 3; ++order) {
    const auto model = model_of_notes(order);
    // The known words that are counted as unknown, too, are a third of a thousandth.
    for (const std::vector<std::string>& before : std::initializer_list<std::vector<std::string>>{
             {}, {"line"}, {"line", "three"}, {"<s>"}, {"<s>", "line"}, {"never"}, {"never", "line"}, {"gate", "loud"}})
      EXPECT_NEAR(sum_after(model, before), 1, 1e-3) << order << " " << testing::PrintToString(before);
  }
}

TEST(WordModel, PrefersWhatWasSaid) {
  const auto model = model_of_notes();
  EXPECT_GT(model.log_probability("line three stop"), model.log_probability("line free stop"));
  EXPECT_GT(model.log_probability("gate two stop"), model.log_probability("two stop gate"));
  EXPECT_LT(model.perplexity(kNotes), 12);
  EXPECT_GT(model.perplexity(std::vector<std::string>{"colourless green ideas"}), 1000);
}

TEST(WordModel, RescoresWithinWhatWasHeard) {
  const auto model = model_of_notes();
  const std::vector<Alternative> heard{{"line free stop", -1.0}, {"line three stop", -1.6}, {"lime tree", -6.0}};
  EXPECT_EQ(rescore(heard, model, 0), 0U);
  EXPECT_EQ(rescore(heard, model, 0.3), 1U);
  EXPECT_EQ(rescore({}, model, 1), 0U);
}

TEST(WordModel, ComesBackFromItsFile) {
  const auto model = model_of_notes();
  const auto again = WordModel::from_arpa(model.to_arpa(), "notes.arpa");
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(again->order(), 3);
  for (const char* text : {"line three stop", "gate one loud", "never heard of", ""})
    EXPECT_NEAR(again->log_probability(text), model.log_probability(text), 1e-4) << text;
  EXPECT_EQ(again->to_arpa(), WordModel::from_arpa(again->to_arpa(), "x")->to_arpa());
}

TEST(WordModel, SaysWhereAFileIsWrong) {
  const std::pair<const char*, const char*> rows[] = {
      {"", "no whole ARPA model"},
      {"\\data\\\nngram 1=1\n\\2-grams:\n", "x:3: \\1-grams:"},
      {"\\data\\\n\\1-grams:\n-1 a b c\n\\end\\\n", "x:3: a line must be"},
      {"\\data\\\n\\1-grams:\n0.5 a\n\\end\\\n", "x:3: a line must be"},
      {"\\data\\\n\\1-grams:\n-1 a\n\\2-grams:\n-1 a b\n\\end\\\n", "\"b\" is not among"},
      {"\\data\\\n\\1-grams:\n-1 a\n", "without \\end\\"},
  };
  for (const auto& [text, expected] : rows) {
    const auto model = WordModel::from_arpa(text, "x");
    ASSERT_FALSE(model) << text;
    EXPECT_THAT(model.error().message, testing::HasSubstr(expected)) << text;
  }
  EXPECT_FALSE(WordModel::learn(std::vector<std::string>{"", "..."}));
}

}  // namespace
}  // namespace verge::audio
