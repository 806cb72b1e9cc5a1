#include "connectors/line_sinks.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fmt/format.h>

#include "base/json.h"
#include "connectors/event_stamp.h"

namespace verge::connectors {
namespace {

using pipeline::Context;
using pipeline::Packet;
using pipeline::Sink;

const Clock& clock_of(const Context& context) { return context.clock == nullptr ? system_clock() : *context.clock; }

class LineSink final : public Sink {
 public:
  /// An empty path is standard output.
  LineSink(std::filesystem::path path, const Context& context)
      : path_(std::move(path)), stamp_(context.device, context.module, clock_of(context)) {}
  ~LineSink() override {
    if (file_ != nullptr && file_ != stdout) std::fclose(file_);
  }

  Status open() override {
    file_ = path_.empty() ? stdout : std::fopen(path_.c_str(), "ae");
    if (file_ != nullptr) return Done{};
    return Error{ErrorCode::unavailable, fmt::format("open {} for events: {}", path_.string(), std::strerror(errno))};
  }

  Status write(const Packet& packet) override {
    const auto given = pipeline::payload_as<contract::Event>(packet);
    if (!given) return Done{};
    contract::Event event = *given;
    stamp_.stamp(event);
    const std::string line = to_text(contract::to_json(event)) + "\n";
    if (std::fwrite(line.data(), 1, line.size(), file_) == line.size() && std::fflush(file_) == 0) return Done{};
    return Error{ErrorCode::unavailable, fmt::format("write an event to {}: {}", path_.string(), std::strerror(errno))};
  }

 private:
  std::filesystem::path path_;
  EventStamp stamp_;
  std::FILE* file_ = nullptr;
};

}  // namespace

pipeline::Kind<Sink> stdout_kind() {
  return {.name = "stdout",
          .where = "connectors/line_sinks.h",
          .summary = "Prints events, one JSON object per line.",
          .options = {},
          .make = [](const Json&, const Context& context) -> Result<std::unique_ptr<Sink>> {
            return std::unique_ptr<Sink>(std::make_unique<LineSink>("", context));
          }};
}

pipeline::Kind<Sink> file_kind() {
  return {.name = "file",
          .where = "connectors/line_sinks.h",
          .summary = "Appends events to a file, one JSON object per line.",
          .options = {{"path", "path", "The file, relative to the pipeline file.", nullptr, true}},
          .make = [](const Json& options, const Context& context) -> Result<std::unique_ptr<Sink>> {
            return std::unique_ptr<Sink>(
                std::make_unique<LineSink>(context.folder / options["path"].get<std::string>(), context));
          }};
}

}  // namespace verge::connectors
