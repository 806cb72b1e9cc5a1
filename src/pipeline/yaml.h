// pipeline/yaml.h -- a YAML text as JSON, remembering where each value stood.
//
// Source: YAML 1.2 core schema for plain scalars. Not supported: merge keys, several documents, tags other than !!str.
// Bounds: 1 MiB of text, 64 levels, 100,000 values (aliases counted each time, so a small file cannot become a large
// one). Threads: pure function.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "base/json.h"
#include "base/result.h"

namespace verge::pipeline {

/// Both count from 1.
struct Place {
  int line = 1, column = 1;
};

struct YamlDocument {
  Json value;
  std::string file_name;
  std::map<std::string, Place, std::less<>>
      places;  ///< By JSON pointer (RFC 6901); a member's place is that of its key.

  /// "file:line:column" of the pointer, or of its nearest known parent.
  std::string where(std::string_view pointer) const;
};

/// Errors: invalid_argument "file:line:column: …".
Result<YamlDocument> read_yaml(std::string_view text, std::string_view file_name);

/// One step of a JSON pointer, with ~ and / escaped.
std::string pointer_step(std::string_view key);

}  // namespace verge::pipeline
