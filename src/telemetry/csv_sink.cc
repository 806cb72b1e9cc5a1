#include "telemetry/csv_sink.h"

#include <fmt/format.h>

#include "base/disk.h"
#include "training/table.h"

namespace verge::telemetry {
namespace {

constexpr std::size_t kRowsMax = 20'000'000;

class CsvSink final : public pipeline::Sink {
 public:
  explicit CsvSink(std::filesystem::path path) : path_(std::move(path)) {}

  Status write(const pipeline::Packet& packet) override {
    const auto row = pipeline::payload_as<pipeline::SensorRow>(packet);
    if (!row) return Done{};
    if (table_.names.empty()) {
      table_.names = *row->channels;
      table_.columns.resize(table_.names.size());
    }
    if (row->values.size() != table_.names.size()) {
      return Error{ErrorCode::invalid_argument,
                   fmt::format("csv: a row has {} values, the first had {}", row->values.size(), table_.names.size())};
    }
    if (table_.row_count() >= kRowsMax)
      return Error{ErrorCode::limit, fmt::format("csv: {} holds {} rows already", path_.string(), kRowsMax)};
    table_.times_us.push_back(packet.captured_us);
    for (std::size_t column = 0; column < row->values.size(); ++column)
      table_.columns[column].push_back(row->values[column]);
    return Done{};
  }

  Status close() override { return write_file(path_, training::to_csv(table_)); }

 private:
  const std::filesystem::path path_;
  training::Table table_;
};

}  // namespace

Result<std::unique_ptr<pipeline::Sink>> make_csv_sink(std::filesystem::path path) {
  if (path.empty()) return Error{ErrorCode::invalid_argument, "csv: path must name a file"};
  return std::unique_ptr<pipeline::Sink>(new CsvSink(std::move(path)));
}

}  // namespace verge::telemetry
