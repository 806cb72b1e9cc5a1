#include "base/metrics.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <limits>
#include <mutex>
#include <unistd.h>
#include <variant>

#include "base/assert.h"
#include "base/time.h"

namespace verge {
namespace {

constexpr std::size_t kSeriesMax = 10'000;

/// Ten steps for a factor of 1000 (the R10 preferred numbers, ISO 3), two times over.
constexpr std::array<double, 21> kBorders_s{
    0.0001, 0.0002, 0.0004, 0.0008, 0.0016, 0.00315, 0.0063, 0.0125, 0.025, 0.05,  //
    0.1,    0.2,    0.4,    0.8,    1.6,    3.15,    6.3,    12.5,   25,    50,   100};
constexpr std::size_t kBucketCount = kBorders_s.size() + 1;

std::string escaped(std::string_view text, bool is_label) {
  std::string out;
  for (const char c : text) {
    if (c == '\\') {
      out += "\\\\";
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '"' && is_label) {
      out += "\\\"";
    } else {
      out += c;
    }
  }
  return out;
}

/// `a="1",b="2"` without braces, so that a histogram can add its border.
std::string label_text(const MetricLabels& labels) {
  std::string text;
  for (const auto& [name, value] : labels) {
    if (!text.empty()) text += ',';
    text += fmt::format("{}=\"{}\"", name, escaped(value, true));
  }
  return text;
}

std::string number_text(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "+Inf" : "-Inf";
  return fmt::format("{}", value);
}

void append_sample(std::string& out, std::string_view name, std::string_view labels, std::string_view value) {
  out += name;
  if (!labels.empty()) out += fmt::format("{{{}}}", labels);
  out += ' ';
  out += value;
  out += '\n';
}

void append_series(std::string& out, const std::string& name, const std::string& labels, const Counter& counter) {
  append_sample(out, name, labels, std::to_string(counter.value()));
}
void append_series(std::string& out, const std::string& name, const std::string& labels, const Gauge& gauge) {
  append_sample(out, name, labels, number_text(gauge.value()));
}
void append_series(std::string& out, const std::string& name, const std::string& labels, const Histogram& histogram) {
  const std::string before = labels.empty() ? "" : labels + ",";
  std::uint64_t count = 0;
  for (const auto& [border_s, cumulative] : histogram.buckets()) {
    append_sample(out, name + "_bucket", fmt::format("{}le=\"{}\"", before, number_text(border_s)),
                  std::to_string(cumulative));
    count = cumulative;
  }
  append_sample(out, name + "_sum", labels, number_text(histogram.sum_s()));
  append_sample(out, name + "_count", labels, std::to_string(count));  // of the same moment as the buckets
}

template <class Metric>
constexpr std::string_view type_name() {
  if constexpr (std::is_same_v<Metric, Counter>) return "counter";
  if constexpr (std::is_same_v<Metric, Gauge>) return "gauge";
  return "histogram";
}

using Series = std::variant<std::unique_ptr<Counter>, std::unique_ptr<Gauge>, std::unique_ptr<Histogram>>;

struct Family {
  std::string help;
  std::string_view type;
  std::map<std::string, Series> series;  // by label text
};

void append_head(std::string& out, std::string_view name, std::string_view help, std::string_view type) {
  out += fmt::format("# HELP {} {}\n# TYPE {} {}\n", name, escaped(help, false), name, type);
}

void append_own(std::string& out, std::string_view name, std::string_view help, std::string_view type, double value) {
  append_head(out, name, help, type);
  append_sample(out, name, "", number_text(value));
}

/// Fields of /proc/self/stat behind the program's name; index 0 is field 3 (state).
std::vector<std::string> own_stat_fields() {
  std::ifstream file("/proc/self/stat");
  std::string text;
  std::getline(file, text);
  std::vector<std::string> fields;
  const auto name_end = text.rfind(')');
  if (name_end == std::string::npos) return fields;
  std::string field;
  for (const char c : text.substr(name_end + 1)) {
    if (c != ' ') {
      field += c;
    } else if (!field.empty()) {
      fields.push_back(std::exchange(field, {}));
    }
  }
  if (!field.empty()) fields.push_back(field);
  return fields;
}

double count_open_files() {
  std::error_code error;
  double count = 0;
  for (std::filesystem::directory_iterator at("/proc/self/fd", error), end; !error && at != end; at.increment(error)) {
    ++count;
  }
  return count;
}

void append_process(std::string& out) {
  const auto fields = own_stat_fields();
  if (fields.size() < 22) return;
  const auto number = [&](std::size_t stat_field) { return std::strtod(fields[stat_field - 3].c_str(), nullptr); };
  const auto ticks = static_cast<double>(::sysconf(_SC_CLK_TCK));
  const auto page = static_cast<double>(::sysconf(_SC_PAGESIZE));
  const double boot_s = double(system_clock().now_us() - system_clock().monotonic_us()) / 1e6;
  append_own(out, "process_cpu_seconds_total", "User and system time.", "counter", (number(14) + number(15)) / ticks);
  append_own(out, "process_open_fds", "Open file descriptors.", "gauge", count_open_files());
  append_own(out, "process_resident_memory_bytes", "Resident memory.", "gauge", number(24) * page);
  append_own(out, "process_start_time_seconds", "Start since the Unix epoch.", "gauge", boot_s + number(22) / ticks);
  append_own(out, "process_threads", "Threads.", "gauge", number(20));
}

}  // namespace

Histogram::Histogram() : counts_(std::make_unique<std::atomic<std::uint64_t>[]>(kBucketCount)) {}

void Histogram::observe_s(double seconds) {
  const auto border = std::lower_bound(kBorders_s.begin(), kBorders_s.end(), seconds);
  counts_[static_cast<std::size_t>(border - kBorders_s.begin())].fetch_add(1, std::memory_order_relaxed);
  count_.fetch_add(1, std::memory_order_relaxed);
  double sum = sum_s_.load(std::memory_order_relaxed);
  while (!sum_s_.compare_exchange_weak(sum, sum + seconds, std::memory_order_relaxed)) {
  }
}

std::vector<std::pair<double, std::uint64_t>> Histogram::buckets() const {
  std::vector<std::pair<double, std::uint64_t>> buckets;
  std::uint64_t cumulative = 0;
  for (std::size_t i = 0; i < kBucketCount; ++i) {
    cumulative += counts_[i].load(std::memory_order_relaxed);
    buckets.emplace_back(i < kBorders_s.size() ? kBorders_s[i] : std::numeric_limits<double>::infinity(), cumulative);
  }
  return buckets;
}

double Histogram::quantile_s(double quantile) const {
  const auto all = buckets();
  const std::uint64_t total = all.back().second;
  if (total == 0) return 0;
  const double wanted = std::clamp(quantile, 0.0, 1.0) * double(total);
  for (const auto& [border_s, cumulative] : all) {
    if (cumulative > 0 && double(cumulative) >= wanted) return border_s;
  }
  return all.back().first;
}

struct Metrics::Impl {
  mutable std::mutex mutex;
  std::map<std::string, Family, std::less<>> families;
  std::size_t series_count = 0;

  template <class Metric>
  Metric& find_or_make(std::string_view name, std::string_view help, const MetricLabels& labels) {
    const std::lock_guard lock(mutex);
    auto family = families.find(name);
    if (family == families.end()) {
      family = families.emplace(std::string(name), Family{std::string(help), type_name<Metric>(), {}}).first;
    }
    VERGE_ASSERT(family->second.type == type_name<Metric>());  // one name, one type
    auto& series = family->second.series;
    auto found = series.find(label_text(labels));
    if (found == series.end()) {
      const std::string text = series_count < kSeriesMax ? label_text(labels) : "overflow=\"true\"";
      auto [made, is_new] = series.try_emplace(text, std::make_unique<Metric>());
      series_count += is_new ? 1 : 0;
      found = made;
    }
    return *std::get<std::unique_ptr<Metric>>(found->second);
  }
};

Metrics::Metrics() : impl_(std::make_unique<Impl>()) {}
Metrics::~Metrics() = default;

Counter& Metrics::counter(std::string_view name, std::string_view help, const MetricLabels& labels) {
  return impl_->find_or_make<Counter>(name, help, labels);
}
Gauge& Metrics::gauge(std::string_view name, std::string_view help, const MetricLabels& labels) {
  return impl_->find_or_make<Gauge>(name, help, labels);
}
Histogram& Metrics::histogram(std::string_view name, std::string_view help, const MetricLabels& labels) {
  return impl_->find_or_make<Histogram>(name, help, labels);
}

std::string Metrics::to_text() const {
  std::string out;
  const std::lock_guard lock(impl_->mutex);
  for (const auto& [name, family] : impl_->families) {
    append_head(out, name, family.help, family.type);
    for (const auto& [labels, series] : family.series) {
      std::visit([&, &family_name = name,
                  &text = labels](const auto& metric) { append_series(out, family_name, text, *metric); },
                 series);
    }
  }
  append_process(out);
  return out;
}

}  // namespace verge
