// connectors/camera/picture_folder.h -- a folder of JPEG and PNG pictures, played in the order of their names.
//
// With `pace` and a rate they come at that rate, as from a live camera; else as fast as they are taken, with times that
// are 1 / fps apart (1 s without a rate). With `loop` they begin again; Frame::take counts the rounds. The folder is
// read at the beginning of each round. A broken picture is passed over, counted, and named in the log. Threads: as
// pipeline::Source.
#pragma once

#include <filesystem>
#include <memory>

#include "connectors/camera/camera_counters.h"
#include "connectors/camera/picture_decoder.h"
#include "pipeline/stage.h"

namespace verge::connectors {

struct PictureFolderOptions {
  std::filesystem::path path;
  double fps = 0;  ///< Pictures per second; every picture of the folder is shown.
  bool loop = false;
  bool pace = true;
};

/// The folder's .jpg, .jpeg and .png files in the order of their names. Errors: not_found (no folder, no pictures).
Result<std::vector<std::filesystem::path>> pictures_in(const std::filesystem::path& folder);

/// One JPEG or PNG file, decoded as pipelines do it. Errors: not_found, corrupt, limit (more than 128 MiB), unavailable
/// (FFmpeg is not there).
Result<std::shared_ptr<pipeline::Frame>> read_picture_file(const std::filesystem::path& file);

std::unique_ptr<pipeline::Source> make_picture_folder(PictureFolderOptions options, const pipeline::Context& context);

}  // namespace verge::connectors
