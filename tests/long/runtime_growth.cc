// tests/long/runtime_growth.cc -- how much a process grows from loading, unloading and running models.
//
//   runtime_growth MODEL.onnx [--shape INPUT=1,576]… [--whole 1] [--loads 500] [--runs 100000]
//
// Prints memory, descriptors and threads along the way, the growth of anonymous memory after warm-up by least squares
// (PSS also moves when other programs that share the library come and go), and ends with "N passed, N failed". A
// model's free sizes must be given with --shape; its inputs are zeros, or what --whole says for whole numbers (a sample
// rate, say).
#include <algorithm>
#include <charconv>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "inference/session.h"

namespace verge::inference {
namespace {

constexpr int kSteps = 20;            // Samples of each part.
constexpr double kLoadKibMax = 4;     // Per load and unload, after warm-up.
constexpr double kRunsKibMax = 1024;  // Over all runs, after warm-up.
constexpr double kWarmUpShare = 0.2;  // Of each part; allocators find their level meanwhile.
constexpr int kSpanRuns = 100;        // Runs between two looks at the clock.

struct Order {
  std::filesystem::path model;
  std::map<std::string, Shape, std::less<>> shapes;
  int loads = 500;
  int runs = 100'000;
  std::int64_t whole = 1;
};

struct Sample {
  int count = 0;
  double pss_kib = 0, anonymous_kib = 0;
  int descriptors = 0, threads = 0;
};

int entries_of(const char* folder) {
  int count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) count += entry.path().empty() ? 0 : 1;
  return count;
}

Sample sample_at(int count) {
  Sample sample;
  sample.count = count;
  std::ifstream file("/proc/self/smaps_rollup");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("Pss:")) sample.pss_kib = std::strtod(line.c_str() + 4, nullptr);
    if (line.starts_with("Pss_Anon:")) sample.anonymous_kib = std::strtod(line.c_str() + 9, nullptr);
  }
  sample.descriptors = entries_of("/proc/self/fd") - 1;  // Without the one that reads the folder.
  sample.threads = entries_of("/proc/self/task");
  return sample;
}

struct Slope {
  double per_count = 0;
  double uncertainty = 0;  ///< Twice the standard error.
};

/// Least squares over the samples after warm-up.
Slope slope_of(const std::vector<Sample>& samples) {
  const auto first = static_cast<std::size_t>(kWarmUpShare * static_cast<double>(samples.size()));
  const auto count = static_cast<double>(samples.size() - first);
  double mean_x = 0;
  double mean_y = 0;
  for (std::size_t at = first; at < samples.size(); ++at) {
    mean_x += samples[at].count / count;
    mean_y += samples[at].anonymous_kib / count;
  }
  double xx = 0;
  double xy = 0;
  for (std::size_t at = first; at < samples.size(); ++at) {
    xx += (samples[at].count - mean_x) * (samples[at].count - mean_x);
    xy += (samples[at].count - mean_x) * (samples[at].anonymous_kib - mean_y);
  }
  Slope slope;
  if (xx <= 0) return slope;
  slope.per_count = xy / xx;
  double rest = 0;
  for (std::size_t at = first; at < samples.size(); ++at) {
    const double off = samples[at].anonymous_kib - mean_y - slope.per_count * (samples[at].count - mean_x);
    rest += off * off;
  }
  slope.uncertainty = 2 * std::sqrt(rest / std::max(1.0, count - 2) / xx);
  return slope;
}

bool is_level(const std::vector<Sample>& samples, int Sample::*what) {
  const auto first = static_cast<std::ptrdiff_t>(kWarmUpShare * static_cast<double>(samples.size()));
  return std::all_of(samples.begin() + first, samples.end(),
                     [&](const Sample& sample) { return sample.*what == samples.back().*what; });
}

void print_samples(const char* what, const std::vector<Sample>& samples) {
  std::printf("\n%10s %14s %10s %12s %8s\n", what, "anonymous KiB", "PSS KiB", "descriptors", "threads");
  for (const auto& sample : samples)
    std::printf("%10d %14.0f %10.0f %12d %8d\n", sample.count, sample.anonymous_kib, sample.pss_kib, sample.descriptors,
                sample.threads);
}

Result<std::vector<Tensor>> make_inputs(const Session& session, const Order& order) {
  std::vector<Tensor> tensors;
  for (const auto& info : session.inputs()) {
    Shape shape = info.shape;
    if (const auto given = order.shapes.find(info.name); given != order.shapes.end()) shape = given->second;
    if (std::any_of(shape.begin(), shape.end(), [](auto size) { return size < 0; })) {
      return Error{ErrorCode::invalid_argument, "input \"" + info.name + "\" is " + to_text(shape) +
                                                    "; give its sizes with --shape " + info.name + "=…"};
    }
    Tensor tensor(info.type, shape);
    if (info.type == DataType::int64) std::ranges::fill(tensor.values<std::int64_t>(), order.whole);
    tensors.push_back(std::move(tensor));
  }
  return tensors;
}

Status run_once(Session& session, const std::vector<Tensor>& tensors) {
  std::vector<NamedTensor> inputs;
  for (std::size_t at = 0; at < tensors.size(); ++at) inputs.push_back({session.inputs()[at].name, &tensors[at]});
  auto outputs = session.run(inputs);
  if (!outputs) return std::move(outputs).error();
  return Done{};
}

/// Loads, runs once and unloads, `loads` times.
Result<std::vector<Sample>> load_and_unload(const Order& order) {
  std::vector<Sample> samples;
  for (int cycle = 1; cycle <= order.loads; ++cycle) {
    {
      VERGE_TRY(const auto session, load_onnx(order.model));
      VERGE_TRY(const auto inputs, make_inputs(*session, order));
      VERGE_CHECK(run_once(*session, inputs));
    }
    if (cycle % std::max(1, order.loads / kSteps) == 0) samples.push_back(sample_at(cycle));
  }
  return samples;
}

Result<std::vector<Sample>> run_many(const Order& order) {
  VERGE_TRY(const auto session, load_onnx(order.model));
  VERGE_TRY(const auto inputs, make_inputs(*session, order));
  std::vector<Sample> samples;
  for (int done = 0; done < order.runs;) {
    for (int span = 0; span < kSpanRuns && done < order.runs; ++span, ++done) VERGE_CHECK(run_once(*session, inputs));
    if (done % std::max(kSpanRuns, order.runs / kSteps) == 0) samples.push_back(sample_at(done));
  }
  return samples;
}

class Verdicts {
 public:
  void add(bool is_good, const std::string& text) {
    std::printf("%s %s\n", is_good ? "ok     " : "FAILED ", text.c_str());
    (is_good ? passed_ : failed_) += 1;
  }
  int finish() const {
    std::printf("%d passed, %d failed\n", passed_, failed_);
    return failed_ == 0 ? 0 : 1;
  }

 private:
  int passed_ = 0, failed_ = 0;
};

std::string text_of(const char* form, double first, double second, double third) {
  char text[240];
  const int length = std::snprintf(text, sizeof text, form, first, second, third);
  return {text, static_cast<std::size_t>(std::clamp(length, 0, static_cast<int>(sizeof text) - 1))};
}

Result<Order> read_order(int count, char** words) {
  Order order;
  const auto number_of = [](std::string_view text, auto& value) {
    return std::from_chars(text.data(), text.data() + text.size(), value).ptr == text.data() + text.size();
  };
  for (int at = 1; at < count; ++at) {
    const std::string_view word = words[at];
    const std::string_view value = at + 1 < count ? words[at + 1] : "";
    if (word == "--loads" || word == "--runs") {
      int& target = word == "--loads" ? order.loads : order.runs;
      if (!number_of(value, target) || target < 10 * kSteps)
        return Error{ErrorCode::invalid_argument, std::string(word) + ": give a number of at least 200"};
      ++at;
    } else if (word == "--whole") {
      if (!number_of(value, order.whole)) return Error{ErrorCode::invalid_argument, "--whole: give a whole number"};
      ++at;
    } else if (word == "--shape") {
      const auto equals = value.find('=');
      Shape shape;
      for (std::size_t begin = equals + 1; equals != std::string_view::npos && begin < value.size();) {
        const auto end = std::min(value.find(',', begin), value.size());
        if (!number_of(value.substr(begin, end - begin), shape.emplace_back()) || shape.back() < 1)
          return Error{ErrorCode::invalid_argument, "--shape " + std::string(value) + ": give it as INPUT=1,576"};
        begin = end + 1;
      }
      if (shape.empty())
        return Error{ErrorCode::invalid_argument, "--shape " + std::string(value) + ": give it as INPUT=1,576"};
      order.shapes[std::string(value.substr(0, equals))] = shape;
      ++at;
    } else if (!word.starts_with("-") && order.model.empty()) {
      order.model = word;
    } else {
      return Error{ErrorCode::invalid_argument, "\"" + std::string(word) + "\" is unknown; see the top of the source"};
    }
  }
  if (order.model.empty()) return Error{ErrorCode::invalid_argument, "name an ONNX file"};
  return order;
}

Result<int> measure(const Order& order) {
  VERGE_TRY(const auto version, onnx_runtime_version());
  std::printf("ONNX Runtime %s, %s, on one thread\n", version.c_str(), order.model.c_str());
  Verdicts verdicts;

  const auto begin = std::chrono::steady_clock::now();
  const auto seconds = [&] { return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count(); };
  VERGE_TRY(const auto loads, load_and_unload(order));
  print_samples("loads", loads);
  const auto per_load = slope_of(loads);
  const double load_s = seconds();
  verdicts.add(per_load.per_count - per_load.uncertainty <= kLoadKibMax,
               text_of("each load and unload adds %.3f ± %.3f KiB (limit %.0f)", per_load.per_count,
                       per_load.uncertainty, kLoadKibMax));
  verdicts.add(is_level(loads, &Sample::descriptors) && is_level(loads, &Sample::threads),
               "descriptors and threads stay level over all loads");

  VERGE_TRY(const auto runs, run_many(order));
  print_samples("runs", runs);
  const auto per_run = slope_of(runs);
  verdicts.add((per_run.per_count - per_run.uncertainty) * order.runs <= kRunsKibMax,
               text_of("all runs together add %.1f ± %.1f KiB (limit %.0f)", per_run.per_count * order.runs,
                       per_run.uncertainty * order.runs, kRunsKibMax));
  verdicts.add(is_level(runs, &Sample::descriptors) && is_level(runs, &Sample::threads),
               "descriptors and threads stay level over all runs");
  std::printf("%d loads took %.1f s, %d runs %.1f s\n", order.loads, load_s, order.runs, seconds() - load_s);
  return verdicts.finish();
}

}  // namespace
}  // namespace verge::inference

int main(int count, char** words) {
  using namespace verge;
  auto order = inference::read_order(count, words);
  auto code = order ? inference::measure(*order) : Result<int>(order.error());
  if (code) return *code;
  std::fprintf(stderr, "runtime_growth: %s\n", code.error().message.c_str());
  return exit_code_of(code.error().code);
}
