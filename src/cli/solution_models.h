// cli/solution_models.h -- makes a solution's models once and keeps them by what they were made from.
//
// Threads: calls block (seconds to minutes for a recording).
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <string>

#include "base/result.h"
#include "cli/home.h"
#include "cli/solution.h"

namespace verge::cli {

using Progress = std::function<void(const std::string& line)>;

/// How many made models are kept; the least recently used go first.
inline constexpr std::size_t kMadeModelsMax = 32;

/// Model folders by name, below home.models()/made. A model is made again when its recipe, a file it reads, or this
/// program changed. Errors: those of import and training with the model's name; nothing half-made is left.
Result<std::map<std::string, std::filesystem::path>> make_models(const Solution& solution, const Home& home,
                                                                 const Progress& progress);

/// Runs a pipeline that ends by itself and returns the one CSV file that it wrote. `work` is the folder it runs in: the
/// pipeline is copied there, so that nothing is written beside the original. Errors: the pipeline's own words, timeout
/// after ten minutes.
Result<std::filesystem::path> record_table(const std::filesystem::path& pipeline, const std::filesystem::path& work);
/// The same for the one folder of pictures that it wrote (sink `pictures`).
Result<std::filesystem::path> record_pictures(const std::filesystem::path& pipeline, const std::filesystem::path& work);

}  // namespace verge::cli
