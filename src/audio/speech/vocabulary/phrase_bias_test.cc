#include "audio/speech/vocabulary/phrase_bias.h"

#include <gtest/gtest.h>

namespace verge::audio {
namespace {

PhraseBias bias_of(std::vector<std::string> phrases) {
  auto bias = PhraseBias::make(phrases, 1.0);
  EXPECT_TRUE(bias) << bias.error().message;
  return bias ? *std::move(bias) : PhraseBias();
}

/// What a text earns in all, given as the pieces in which a recogniser writes it.
double earned(const PhraseBias& bias, const std::vector<std::string>& pieces) {
  PhraseBias::State state;
  double sum = 0;
  for (const auto& piece : pieces) sum += bias.add(piece, state);
  return sum + bias.finish(state);
}

TEST(PhraseBias, EarnsForWholePhrasesOnly) {
  const auto bias = bias_of({"line three", "stop", "line"});
  struct Row {
    const char* name;
    std::vector<std::string> pieces;
    double earned;
  };
  const Row rows[] = {
      {"a phrase", {" Line", " three"}, 9},
      {"in pieces that end anywhere", {" Li", "ne th", "ree."}, 9},
      {"a word within a longer phrase", {" Line", " four"}, 4},
      {"punctuation between does not matter", {" Line,", " three!"}, 9},
      {"begun and left", {" sto", "ry"}, 0},
      {"a word that only begins like it", {" stop", "ping"}, 0},
      {"only at the beginning of a word", {" nonstop"}, 0},
      {"two in a row", {" stop", " line"}, 8},
      {"cut off at the end", {" line", " thr"}, 4},
      {"nothing", {}, 0},
  };
  for (const auto& row : rows) EXPECT_DOUBLE_EQ(earned(bias, row.pieces), row.earned) << row.name;
}

TEST(PhraseBias, EmptyEarnsNothing) { EXPECT_EQ(earned(PhraseBias(), {" stop"}), 0); }

TEST(PhraseBias, RefusesWhatIsNoPhrase) {
  const std::vector<std::string> none{"..."}, good{"stop"};
  EXPECT_EQ(PhraseBias::make(none, 1).error().code, ErrorCode::invalid_argument);
  EXPECT_EQ(PhraseBias::make(good, -1).error().code, ErrorCode::invalid_argument);
  EXPECT_EQ(PhraseBias::make(std::vector<std::string>(PhraseBias::kPhrasesMax + 1, "stop"), 1).error().code,
            ErrorCode::limit);
}

TEST(PlainWords, AreWhatCounts) { EXPECT_EQ(plain_words(" Don't stop -- Line 3!"), "dont stop line 3"); }

}  // namespace
}  // namespace verge::audio
