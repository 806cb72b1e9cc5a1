// audio/speech/voice_network.h -- Silero's network laid out for many streams at once.
//
// The published graph decides at run time what is known before (a dozen Ifs), and its convolutions look at one stream
// after the other. The same weights in a plain graph: frames and taps gathered, everything a matrix product with the
// streams as rows. Differences to the published graph are those of rounding. Source: Silero VAD 6, 16 kHz, and
// Hochreiter and Schmidhuber 1997 for the cell. Threads: pure function.
#pragma once

#include "base/result.h"
#include "models/onnx_graph.h"

namespace verge::audio {

/// Input "input" [batch, 64 + 512] and "state" [2, batch, 128]; outputs "output" [batch, 1], "stateN" [2, batch, 128].
/// Errors: invalid_argument when the published graph has not the weights of this network.
Result<models::OnnxModel> plain_voice_network(const models::OnnxModel& published);

}  // namespace verge::audio
