// Durable records per second of the append log, beside the disk's own time for one sync.
//
//   storage_append_log_bench [folder on the disk to measure]
//
// Each producer is a thread that keeps `window` records of 256 bytes unacknowledged. Every record is synced before it
// is acknowledged.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <fmt/core.h>
#include <mutex>
#include <thread>
#include <vector>

#include "base/bytes.h"
#include "base/disk.h"
#include "base/log.h"
#include "storage/append_log.h"

namespace {

using namespace verge;
using namespace verge::storage;
using SteadyClock = std::chrono::steady_clock;

constexpr std::size_t kRecordBytes = 256;
constexpr auto kDuration = std::chrono::seconds(2);

double seconds_since(SteadyClock::time_point start) {
  return std::chrono::duration<double>(SteadyClock::now() - start).count();
}

double quantile(std::vector<double>& values, double part) {
  std::sort(values.begin(), values.end());
  return values.empty() ? 0 : values[static_cast<std::size_t>(part * static_cast<double>(values.size() - 1))];
}

/// A producer's unacknowledged records.
class Window {
 public:
  explicit Window(int free) : free_(free) {}
  void take() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return free_ > 0; });
    --free_;
  }
  void give_back() {
    const std::lock_guard lock(mutex_);
    if (++free_ == 1) changed_.notify_one();
  }
  void wait_until_free(int count) {
    std::unique_lock lock(mutex_);
    while (free_ < count) changed_.wait_for(lock, std::chrono::milliseconds(1));
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int free_;
};

void measure_disk(const std::filesystem::path& folder, std::size_t bytes) {
  auto file = system_disk().open(folder / "raw", true);
  if (!file) return log_error("bench", file.error());
  const std::string block(bytes, 'x');
  std::vector<double> durations_s;
  for (std::uint64_t i = 0; i < 1000; ++i) {
    const auto start = SteadyClock::now();
    if (!(*file)->write_at(i * bytes, block) || !(*file)->sync()) return;
    durations_s.push_back(seconds_since(start));
  }
  const double p50 = quantile(durations_s, .5), p99 = quantile(durations_s, .99);
  fmt::print("raw append + fdatasync of {:>6} B: p50 {:.3f} ms  p99 {:.3f} ms\n", bytes, p50 * 1e3, p99 * 1e3);
}

struct Outcome {
  double records_per_s = 0;
  AppendLog::Figures figures;
  double latency_p50_ms = 0, latency_p99_ms = 0;
};

void produce(AppendLog& log, std::uint32_t partition, int window_size, std::atomic<bool>& is_over,
             std::atomic<std::uint64_t>& durable, std::vector<double>& latencies_s) {
  const std::string record(kRecordBytes, 'r');
  Window window(window_size);
  while (!is_over) {
    window.take();
    const auto start = SteadyClock::now();
    log.append(partition, record, [&, start](const Result<std::uint64_t>& offset) {
      if (offset) durable.fetch_add(1, std::memory_order_relaxed);
      latencies_s.push_back(seconds_since(start));
      window.give_back();
    });
  }
  window.wait_until_free(window_size);
}

Outcome measure(const std::filesystem::path& folder, std::uint32_t producers, int window, std::uint32_t partitions,
                std::uint32_t ahead_bytes) {
  Outcome outcome;
  auto log = AppendLog::open(system_disk(), system_clock(), folder / "log",
                             {.partitions = partitions, .ahead_bytes = ahead_bytes});
  if (!log) {
    log_error("bench", log.error());
    return outcome;
  }
  std::atomic<bool> is_over{false};
  std::atomic<std::uint64_t> durable{0};
  std::vector<std::vector<double>> latencies_s(producers);
  std::vector<std::thread> threads;
  const auto start = SteadyClock::now();
  for (std::uint32_t i = 0; i < producers; ++i) {
    threads.emplace_back([&, i] { produce(**log, i % partitions, window, is_over, durable, latencies_s[i]); });
  }
  std::this_thread::sleep_for(kDuration);
  is_over = true;
  for (std::thread& thread : threads) thread.join();
  outcome.records_per_s = static_cast<double>(durable) / seconds_since(start);
  outcome.figures = (*log)->figures();
  std::vector<double> all_s;
  for (const auto& own : latencies_s) all_s.insert(all_s.end(), own.begin(), own.end());
  outcome.latency_p50_ms = quantile(all_s, .5) * 1e3;
  outcome.latency_p99_ms = quantile(all_s, .99) * 1e3;
  return outcome;
}

}  // namespace

int main(int argument_count, char** arguments) {
  const std::filesystem::path base =
      argument_count > 1 ? std::filesystem::path(arguments[1]) : std::filesystem::temp_directory_path();
  const auto folder = base / ("verge-bench-" + to_hex(random_bytes(6)));
  std::filesystem::create_directories(folder);
  for (const std::size_t bytes :
       {std::size_t{256}, std::size_t{5'600}, std::size_t{64U << 10U}, std::size_t{300'000}}) {
    measure_disk(folder, bytes);
  }
  fmt::print("{:>9} {:>7} {:>10} {:>9} {:>13} {:>12} {:>10} {:>10}\n", "producers", "window", "partitions", "ahead KiB",
             "records/s", "records/sync", "p50 ms", "p99 ms");
  struct Setting {
    std::uint32_t partitions, ahead_bytes;
  };
  for (const auto [partitions, ahead_bytes] :
       {Setting{1, 0}, Setting{1, 256U << 10U}, Setting{1, 1U << 20U}, Setting{1, 4U << 20U}, Setting{4, 1U << 20U}}) {
    for (const std::uint32_t producers : {1U, 10U, 50U}) {
      for (const int window : {20, 64}) {
        std::filesystem::remove_all(folder / "log");
        const Outcome outcome = measure(folder, producers, window, partitions, ahead_bytes);
        const auto syncs = static_cast<double>(std::max<std::uint64_t>(outcome.figures.syncs, 1));
        fmt::print("{:>9} {:>7} {:>10} {:>9} {:>13.0f} {:>12.1f} {:>10.3f} {:>10.3f}\n", producers, window, partitions,
                   ahead_bytes >> 10U, outcome.records_per_s, static_cast<double>(outcome.figures.records) / syncs,
                   outcome.latency_p50_ms, outcome.latency_p99_ms);
      }
    }
  }
  std::filesystem::remove_all(folder);
  return 0;
}
