// vision/access/galleries.h -- each gallery of a program once, however many doors use it, and of a machine by one
// program.
//
// A gallery is locked (FOLDER.lock) while anybody has it, so that no other program changes it behind this one's back.
// Threads: call from anywhere.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <mutex>

#include "vision/access/gallery.h"

namespace verge::vision {

class Galleries {
 public:
  explicit Galleries(Disk& disk) : disk_(disk) {}
  /// The gallery, opened when nobody has it yet. Errors: conflict when another program has it, or it is asked for with
  /// another keyring; those of Gallery::open.
  Result<std::shared_ptr<Gallery>> open(Gallery::Place place);

 private:
  Disk& disk_;
  std::mutex mutex_;
  std::map<std::filesystem::path, std::weak_ptr<Gallery>> opened_;  ///< By folder.
};

}  // namespace verge::vision
