// vision/teach/taught_files.h -- what every teaching task reads and leaves behind: pictures that may be broken, a
// model's folder.
//
// Threads: one.
#pragma once

#include <algorithm>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "models/model_card.h"
#include "models/onnx_graph.h"
#include "vision/teach/teach.h"

namespace verge::vision {

struct ReadPicture {
  std::shared_ptr<const pipeline::Frame> frame;  ///< Null when the file is broken.
  std::string passed_over;                       ///< Then: "7.jpg was passed over: it is no JPEG".
};
/// Errors: unavailable (nothing can be read here).
Result<ReadPicture> read_picture(const TeachRequest& request, const std::filesystem::path& file);

/// `count` of the elements, evenly; all when there are no more.
template <class T>
void thin_out(std::vector<T>& elements, std::size_t count) {
  const std::size_t all = elements.size();
  for (std::size_t i = 0; i < count && count < all; ++i) elements[i] = std::move(elements[i * all / count]);
  elements.resize(std::min(count, all));
}

/// Removes what an earlier run left, so that its model is not taken for this one's.
void forget_model(const TeachRequest& request);
/// model.onnx and card.json, which gets the digest and the model's name. Errors: those of the disk.
Status write_model(const TeachRequest& request, const models::OnnxModel& model, models::ModelCard card);

}  // namespace verge::vision
