#include "base/log.h"

#include <gmock/gmock.h>
#include <thread>
#include <vector>

namespace verge {
namespace {

using testing::HasSubstr;
using testing::MatchesRegex;
using testing::Not;

template <class Act>
std::string captured(Act act) {
  testing::internal::CaptureStderr();
  act();
  return testing::internal::GetCapturedStderr();
}

TEST(Log, OneLineWithTimeLevelPartAndFields) {
  const auto text = captured([] { log_info("outbox", "opened", {{"messages", 12}, {"ok", true}, {"who", "a b"}}); });
  EXPECT_THAT(text, MatchesRegex("[-0-9]*T[:0-9]*\\.[0-9][0-9][0-9]Z info  outbox: opened messages=12 ok=true "
                                 "who=\"a b\"\n"));
}

TEST(Log, SecretsAreHidden) {
  const auto text = captured([] {
    log_info("x", "y", {{"key", "k1"}, {"token", "t1"}, {"password", "p1"}, {"signature", "s1"}, {"keys", "shown"}});
  });
  EXPECT_THAT(text, HasSubstr("key=*** token=*** password=*** signature=*** keys=shown"));
}

TEST(Log, LevelsBelowAreDropped) {
  set_log_level(LogLevel::warning);
  EXPECT_EQ(captured([] { log_info("x", "quiet"); }), "");
  EXPECT_THAT(captured([] { log_warning("x", "loud"); }), HasSubstr("warning x: loud"));
  EXPECT_THAT(captured([] { log_error("x", Error{ErrorCode::limit, "full"}); }), HasSubstr("error x: full"));
  set_log_level(LogLevel::debug);
  EXPECT_THAT(captured([] { log_debug("x", "detail"); }), HasSubstr("debug x: detail"));
  set_log_level(LogLevel::info);
}

TEST(Log, NothingBreaksTheLineOrFloodsIt) {
  const auto text = captured([] {
    log_info("x", "a\nb\x1b[31m", {{"v", "\"q\"\n"}, {"long", std::string(9000, 'z')}});
  });
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 1);
  EXPECT_THAT(text, HasSubstr("a\\nb\\x1b[31m v=\"\\\"q\\\"\\n\""));
  EXPECT_LT(text.size(), 5000U);
  EXPECT_THAT(text, Not(HasSubstr("\x1b")));
}

TEST(Log, LinesOfThreadsDoNotInterleave) {
  const auto text = captured([] {
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([] {
        for (int k = 0; k < 200; ++k) log_info("thread", "0123456789");
      });
    }
    for (auto& thread : threads) thread.join();
  });
  std::size_t lines = 0;
  for (std::size_t at = 0; at < text.size(); ++lines) {
    const auto end = text.find('\n', at);
    ASSERT_NE(end, std::string::npos);
    EXPECT_TRUE(text.substr(at, end - at).ends_with("info  thread: 0123456789"));
    at = end + 1;
  }
  EXPECT_EQ(lines, 800U);
}

}  // namespace
}  // namespace verge
