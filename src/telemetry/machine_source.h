// telemetry/machine_source.h -- source `machine`: the simulated pump as a stream of sensor rows.
//
// Methods: `fault {"kind", "seed", "amplitude"}` answers {"captured_us", "channel"}; `pace {"factor"}` (1..1000) lets
// simulated time run faster: captured_us then advances by the simulated time, so it runs ahead of the wall clock and
// stays ahead. Either answers its own description to {"describe": true}, from which a page can draw a form.
#pragma once

#include <cstdint>

#include "pipeline/stage.h"
#include "telemetry/machine_simulator.h"

namespace verge::telemetry {

struct MachineSourceOptions {
  SimulatorOptions simulator;
  bool is_paced = true;  ///< False: as fast as the pipeline takes it, for recording.
  double minutes = 0;    ///< Ends after so much simulated time; 0: never.
};
Result<std::unique_ptr<pipeline::Source>> make_machine_source(const MachineSourceOptions& options,
                                                              const pipeline::Context& context);

}  // namespace verge::telemetry
