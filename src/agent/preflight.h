// agent/preflight.h -- what has to be right on this machine before an agent can work.
//
// Threads: blocking; call before the agent starts.
#pragma once

#include <string>
#include <vector>

#include "agent/engine/container_engine.h"
#include "agent/settings.h"
#include "base/time.h"

namespace verge::agent {

struct CheckResult {
  enum class Verdict : std::uint8_t { good, warning, bad };
  std::string name;
  Verdict verdict = Verdict::good;
  std::string text;  ///< What was found and, unless good, what to do.
};

/// Engine, disk, network, ports, clock, hub. Bad ones keep an agent from working; warnings take something away.
std::vector<CheckResult> run_checks(ContainerEngine& engine, const Settings& settings, const Clock& clock);

/// The interface whose route overlaps `subnet`, other than the module network's own; empty: none.
/// routes: the text of /proc/net/route; addresses in hexadecimal, little-endian.
std::string overlapping_interface(std::string_view routes, std::string_view subnet);

}  // namespace verge::agent
