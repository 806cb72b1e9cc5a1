// vision/simulated/simulated_camera.h -- source `simulated_camera`: a painted scene instead of a camera, to try a
// pipeline without hardware, with faults to order and the truth of every picture.
//
//   sources:
//     shop: {kind: simulated_camera, scene: shelf, seed: 7, fps: 5}
//     line: {kind: simulated_camera, scene: workpiece, paced: false, pictures: 40, defects: 0, truth: truth.jsonl}
//
// Deterministic: equal options and faults give equal pictures. Not paced, pictures come as fast as they are taken, with
// times 1 / fps apart. Methods: `fault` (shelf_scene.h, workpiece_scene.h) answers what was done; `truth` tells what
// the newest picture shows. With `truth` in the file each picture's truth is a line {"stream", "picture",
// "captured_us", …} of that file, 200,000 at most. Threads: as pipeline::Source.
#pragma once

#include <filesystem>

#include "pipeline/stage.h"
#include "vision/simulated/shelf_scene.h"
#include "vision/simulated/workpiece_scene.h"

namespace verge::vision {

struct SimulatedCameraOptions {
  static constexpr int kSideMax = 1920;
  static constexpr std::uint64_t kTruthLinesMax = 200'000;

  bool is_shelf = true;  ///< Else the workpieces.
  std::uint64_t seed = 1;
  int width = 640, height = 480;  ///< Even; 160..1920 and 120..1920.
  double fps = 5;                 ///< 0.001..60
  bool is_paced = true;
  std::uint64_t pictures = 0;  ///< Then it ends; 0: never.
  simulated::Stock stock = simulated::Stock::changing;
  double defects = 0.1;  ///< Share of workpieces with a defect, 0..1.
  bool is_triggered = true;
  std::filesystem::path truth;  ///< Replaced; empty: none.
};

std::unique_ptr<pipeline::Source> make_simulated_camera(SimulatedCameraOptions options,
                                                        const pipeline::Context& context);
pipeline::Kind<pipeline::Source> simulated_camera_kind();

}  // namespace verge::vision
