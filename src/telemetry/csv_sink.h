// telemetry/csv_sink.h -- sink `csv`: writes sensor rows into a CSV file, for training.
#pragma once

#include <filesystem>
#include <memory>

#include "pipeline/stage.h"

namespace verge::telemetry {

/// The file is replaced; a row limit of 20,000,000 bounds it. Columns are those of the first row; the file appears when
/// the sink closes.
Result<std::unique_ptr<pipeline::Sink>> make_csv_sink(std::filesystem::path path);

}  // namespace verge::telemetry
