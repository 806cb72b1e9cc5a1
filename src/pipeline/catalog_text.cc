#include "pipeline/catalog_text.h"

#include <fmt/format.h>

namespace verge::pipeline {
namespace {

std::string fallback_text(const OptionInfo& option) {
  if (option.is_required) return "required";
  return option.fallback.is_null() ? "none" : to_text(option.fallback);
}

std::string option_line(const OptionInfo& option) {
  return fmt::format("    {:<16} {:<8} {} (default: {})\n", option.name, option.type, option.summary,
                     fallback_text(option));
}

std::string option_row(const OptionInfo& option) {
  return fmt::format("| `{}` | {} | `{}` | {} |\n", option.name, option.type, fallback_text(option), option.summary);
}

template <class Part>
std::string kind_as_text(const Kind<Part>& kind) {
  std::string text = fmt::format("  {:<18} {} [{}]\n", kind.name, kind.summary, kind.where);
  for (const OptionInfo& option : kind.options) text += option_line(option);
  return text;
}

template <class Part>
std::string kind_as_markdown(const Kind<Part>& kind) {
  std::string text = fmt::format("### {}\n\n{} (`src/{}`)\n\n", kind.name, kind.summary, kind.where);
  if (kind.options.empty()) return text + "No options.\n\n";
  text += "| option | type | default | meaning |\n|---|---|---|---|\n";
  for (const OptionInfo& option : kind.options) text += option_row(option);
  return text + "\n";
}

/// `sections` prints each heading, `kinds` each kind.
template <class Heading, class Print>
std::string print_all(const Catalog& catalog, Heading heading, Print print) {
  std::string text = heading("Sources");
  for (const std::string& name : catalog.source_names()) text += print(*catalog.find_source(name));
  text += heading("Stages");
  for (const std::string& name : catalog.stage_names()) {
    const auto* stage = catalog.find_stage(name);
    text += stage != nullptr ? print(*stage) : print(*catalog.find_shared(name));
  }
  text += heading("Sinks");
  for (const std::string& name : catalog.sink_names()) text += print(*catalog.find_sink(name));
  return text;
}

}  // namespace

std::string catalog_as_text(const Catalog& catalog) {
  return print_all(
      catalog, [](std::string_view title) { return fmt::format("{}:\n", title); },
      [](const auto& kind) { return kind_as_text(kind); });
}

std::string catalog_as_markdown(const Catalog& catalog) {
  return print_all(
      catalog, [](std::string_view title) { return fmt::format("## {}\n\n", title); },
      [](const auto& kind) { return kind_as_markdown(kind); });
}

}  // namespace verge::pipeline
