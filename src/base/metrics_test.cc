#include "base/metrics.h"

#include <cmath>
#include <gmock/gmock.h>
#include <thread>

namespace verge {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(Metrics, TextHasHelpTypeAndSeries) {
  Metrics metrics;
  metrics.counter("verge_sent_total", "Messages sent.", {{"route", "up"}}).add(3);
  metrics.counter("verge_sent_total", "Messages sent.", {{"route", "a\"b\\c\nd"}}).add();
  metrics.gauge("verge_depth", "Two\nlines \\ here.").set(1.5);
  const std::string text = metrics.to_text();
  EXPECT_THAT(text,
              HasSubstr("# HELP verge_depth Two\\nlines \\\\ here.\n# TYPE verge_depth gauge\nverge_depth 1.5\n"));
  EXPECT_THAT(text, HasSubstr("# TYPE verge_sent_total counter\n"));
  EXPECT_THAT(text, HasSubstr("verge_sent_total{route=\"up\"} 3\n"));
  EXPECT_THAT(text, HasSubstr("verge_sent_total{route=\"a\\\"b\\\\c\\nd\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("process_resident_memory_bytes "));
  EXPECT_THAT(text, HasSubstr("process_open_fds "));
}

TEST(Metrics, SameNameAndLabelsAreTheSameSeries) {
  Metrics metrics;
  auto& first = metrics.counter("a_total", "A.", {{"x", "1"}});
  first.add(2);
  EXPECT_EQ(&metrics.counter("a_total", "A.", {{"x", "1"}}), &first);
  EXPECT_NE(&metrics.counter("a_total", "A.", {{"x", "2"}}), &first);
}

TEST(Metrics, HistogramBucketsAreCumulative) {
  Metrics metrics;
  auto& histogram = metrics.histogram("h_seconds", "H.", {{"s", "x"}});
  for (const double s : {0.00005, 0.0001, 0.003, 0.003, 5.0, 1000.0}) histogram.observe_s(s);
  const std::string text = metrics.to_text();
  EXPECT_THAT(text, HasSubstr("h_seconds_bucket{s=\"x\",le=\"0.0001\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("h_seconds_bucket{s=\"x\",le=\"0.00315\"} 4\n"));
  EXPECT_THAT(text, HasSubstr("h_seconds_bucket{s=\"x\",le=\"100\"} 5\n"));
  EXPECT_THAT(text, HasSubstr("h_seconds_bucket{s=\"x\",le=\"+Inf\"} 6\n"));
  EXPECT_THAT(text, HasSubstr("h_seconds_count{s=\"x\"} 6\n"));
  EXPECT_DOUBLE_EQ(histogram.quantile_s(0.5), 0.00315);
  EXPECT_DOUBLE_EQ(histogram.quantile_s(0), 0.0001);
  EXPECT_TRUE(std::isinf(histogram.quantile_s(1)));
  EXPECT_EQ(histogram.buckets().size(), 22U);
  EXPECT_EQ(Histogram().quantile_s(0.5), 0);
}

TEST(Metrics, SeriesAreBounded) {
  Metrics metrics;
  for (int i = 0; i < 10'100; ++i) metrics.counter("many_total", "M.", {{"i", std::to_string(i)}}).add();
  metrics.gauge("late", "L.").set(4);
  const std::string text = metrics.to_text();
  EXPECT_THAT(text, HasSubstr("many_total{overflow=\"true\"} 100\n"));
  EXPECT_THAT(text, HasSubstr("late{overflow=\"true\"} 4\n"));
  EXPECT_THAT(text, Not(HasSubstr("i=\"10050\"")));
}

TEST(Metrics, CountsFromManyThreads) {
  Metrics metrics;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 10'000; ++i) {
        metrics.counter("c_total", "C.").add();
        metrics.histogram("d_seconds", "D.").observe_s(0.5);
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(metrics.counter("c_total", "C.").value(), 40'000U);
  EXPECT_EQ(metrics.histogram("d_seconds", "D.").count(), 40'000U);
  EXPECT_NEAR(metrics.histogram("d_seconds", "D.").sum_s(), 20'000, 1e-6);
}

TEST(MetricsDeathTest, OneNameOneType) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  Metrics metrics;
  metrics.counter("x", "X.");
  EXPECT_DEATH(metrics.gauge("x", "X."), "assertion failed");
}

}  // namespace
}  // namespace verge
