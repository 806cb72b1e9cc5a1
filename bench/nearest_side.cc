// bench/nearest_side.cc -- our side of the benchmark of nearest neighbours: waits for a command, works, prints the
// seconds (wall and processor) and the sum of the rows that it found, by which both sides are compared.
//
//   verge-bench-nearest --bank FILE --queries FILE [--dimensions 384] [--threads 1]
//
// Commands on the standard input, each with how often all queries are asked; one JSON line answers each:
//   exact N   the default: a first pass in integers of 16 or 8 bits, on principal axes where they tell enough
//   float N   a first pass in float32, on all coordinates
#include <CLI/CLI.hpp>
#include <chrono>
#include <cstring>
#include <ctime>
#include <fmt/format.h>
#include <iostream>
#include <sstream>

#include "base/disk.h"
#include "base/json.h"
#include "training/nearest.h"

namespace verge::bench {
namespace {

using SteadyClock = std::chrono::steady_clock;
using training::NearestBank;

Result<std::vector<float>> read_floats(const std::string& file) {
  VERGE_TRY(const std::string bytes, read_file(file));
  std::vector<float> numbers(bytes.size() / sizeof(float));
  std::memcpy(numbers.data(), bytes.data(), numbers.size() * sizeof(float));
  return numbers;
}

double processor_s() {
  timespec time{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

struct Settings {
  std::string bank, queries;
  std::size_t dimensions = 384;
  int threads = 1;
};

Status serve(const Settings& settings) {
  VERGE_TRY(const std::vector<float> rows, read_floats(settings.bank));
  VERGE_TRY(const std::vector<float> queries, read_floats(settings.queries));
  VERGE_TRY(const NearestBank exact, NearestBank::make(rows, settings.dimensions));
  VERGE_TRY(
      const NearestBank floats,
      NearestBank::make(rows, settings.dimensions, {.first_pass = training::FirstPass::float32, .uses_axes = false}));
  std::vector<training::Neighbour> found(queries.size() / settings.dimensions);
  std::cout << to_text(
                   Json{{"ready", fmt::format("verge, {} numbers compared in {}", exact.compared(),
                                              exact.first_pass() == training::FirstPass::int8 ? "8 bits" : "16 bits")}})
            << std::endl;
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream words(line);
    std::string work;
    std::size_t count = 0;
    words >> work >> count;
    const NearestBank& bank = work == "float" ? floats : exact;
    std::uint64_t sum = 0;
    const double processor_begun = processor_s();
    const auto begun = SteadyClock::now();
    for (std::size_t i = 0; i < count; ++i) {
      VERGE_CHECK(bank.find(queries, 1, settings.threads, found));
      for (const training::Neighbour& neighbour : found) sum += neighbour.row;
    }
    const double seconds = std::chrono::duration<double>(SteadyClock::now() - begun).count();
    std::cout << to_text(Json{{"seconds", seconds}, {"processor_s", processor_s() - processor_begun}, {"objects", sum}})
              << std::endl;
  }
  return Done{};
}

int main_of(int count, char** words) {
  Settings settings;
  CLI::App app{"Our side of the benchmark of nearest neighbours.", "verge-bench-nearest"};
  app.add_option("--bank", settings.bank, "Little-endian floats, row by row")->required();
  app.add_option("--queries", settings.queries, "The same")->required();
  app.add_option("--dimensions", settings.dimensions, "Numbers of a row")->check(CLI::Range(1, 4096));
  app.add_option("--threads", settings.threads)->check(CLI::Range(1, 64));
  CLI11_PARSE(app, count, words);
  const Status served = serve(settings);
  if (served) return 0;
  std::cerr << "verge-bench-nearest: " << served.error().message << '\n';
  return exit_code_of(served.error().code);
}

}  // namespace
}  // namespace verge::bench

int main(int count, char** words) { return verge::bench::main_of(count, words); }
