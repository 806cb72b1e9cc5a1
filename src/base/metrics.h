// base/metrics.h -- counters, gauges and histograms in the Prometheus text format.
//
//   auto& sent = metrics.counter("verge_messages_sent_total", "Messages acknowledged upstream.", {{"route", "up"}});
//   sent.add();
// Threads: use from anywhere; make metrics once and keep the reference (it lives as long as the registry).
// Bound: 10,000 series; more share one series with label overflow="true".
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace verge {

using MetricLabels = std::map<std::string, std::string>;

class Counter {
 public:
  void add(std::uint64_t count = 1) { value_.fetch_add(count, std::memory_order_relaxed); }
  std::uint64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

class Gauge {
 public:
  void set(double value) { value_.store(value, std::memory_order_relaxed); }
  double value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<double> value_{0};
};

/// Fixed buckets in seconds, 0.1 ms to 100 s, ten per three decades.
class Histogram {
 public:
  Histogram();
  void observe_s(double seconds);
  /// The bucket border at or above the quantile, 0..1; 0 without observations.
  double quantile_s(double quantile) const;
  std::uint64_t count() const { return count_.load(std::memory_order_relaxed); }
  double sum_s() const { return sum_s_.load(std::memory_order_relaxed); }
  /// {upper border in seconds, cumulative count}; the last border is infinity.
  std::vector<std::pair<double, std::uint64_t>> buckets() const;

 private:
  std::unique_ptr<std::atomic<std::uint64_t>[]> counts_;
  std::atomic<std::uint64_t> count_{0};
  std::atomic<double> sum_s_{0};
};

class Metrics {
 public:
  Metrics();
  ~Metrics();
  Counter& counter(std::string_view name, std::string_view help, const MetricLabels& labels = {});
  Gauge& gauge(std::string_view name, std::string_view help, const MetricLabels& labels = {});
  Histogram& histogram(std::string_view name, std::string_view help, const MetricLabels& labels = {});
  /// The text exposition format, version 0.0.4, plus process_resident_memory_bytes and friends.
  std::string to_text() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace verge
