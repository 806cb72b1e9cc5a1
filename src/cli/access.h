// cli/access.h -- the people of a gallery on this machine: enrolled from pictures, listed, removed, judged.
//
// The gallery is locked meanwhile; one that a running module has is changed by that module's methods (docs/access.md).
// Threads: calls block (a second and more).
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "cli/home.h"

namespace verge::cli {

struct AccessRequest {
  std::filesystem::path gallery, keyring;  ///< keyring: empty for the one beside the gallery.
  std::string name, when;
  std::vector<std::filesystem::path> pictures;               ///< Files, and folders of them.
  std::string detector = "blazeface", embedder = "faceres";  ///< Names of the catalogue, or model folders.
  double threshold = 0.65;                                   ///< From here on a face is the same person's.
  bool may_be_alike = false;                                 ///< Enrols a face that is so like somebody else's.
  std::optional<double> false_accept;
};

/// {"name", "looks", "pictures", "good", "problems"}. tell  gets a line for each picture.
/// Errors: those of vision::Enrolment and vision::Gallery; not_found for pictures and models.
Result<Json> enrol_person(const AccessRequest& request, const Home& home,
                          const std::function<void(const std::string& line)>& tell);
/// [{"name", "looks", "enrolled", "when", "model"}]
Result<Json> list_people(const AccessRequest& request);
/// {"removed": name}
Result<Json> remove_person(const AccessRequest& request);
/// What vision::to_json of false_accept.h says, for the wished rate or the given threshold.
/// Errors: invalid_argument when the people do not support the promise.
Result<Json> check_people(const AccessRequest& request);

}  // namespace verge::cli
