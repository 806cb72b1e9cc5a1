// vision/pictures.h -- sink `pictures`: keeps pictures as JPEG files, sorted into folders by label, to teach from.
//
//   sinks:
//     - pictures: {folder: recorded, of: zones, label: "{stream}", every_s: 5, pictures_max: 200}
//
// FOLDER/LABEL/20261130T152232.123456Z-STREAM-ZONE.jpg: whole pictures, the part of each object, or the bounding part
// of each zone as `classify` looks at it, at the size at which they were captured. They sort by time; a file is written
// beside its name, synced and renamed. Two ways to get them: by themselves every `every_s` (if `when` holds), or when
// somebody stands there and asks for it by the method
//
//   save {"label": "empty", "count": 20, "every_s": 0.5, "only": "shelf_2", "stream": "shop"}
//
// which is answered at once; without a label it tells how far it is, with count 0 it ends. Pictures are bounded by
// number and bytes over the whole folder, counting what earlier starts left; then no more are kept, none is removed.
// People are hidden as the pipeline's privacy says (blur.h). Where nobody looks for people the whole picture would be
// averaged, from which nothing can be learned: that is an error, and `privacy: {blur: none}` says that there are none.
// Nothing here leaves the device.
// Threads: as pipeline::Sink; the method from the control thread.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/guarded.h"
#include "expression/condition.h"
#include "pipeline/stage.h"
#include "vision/logic/rule_facts.h"
#include "vision/picture/crop.h"

namespace verge::vision {

struct PicturesOptions {
  enum class Of : std::uint8_t { picture, objects, zones };
  static constexpr int kQuality = 95;           ///< JPEG; what is learned must not be its artefacts.
  static constexpr int kOrderMax = 1000;        ///< Pictures that one call of `save` can ask for.
  static constexpr std::size_t kPartsMax = 50;  ///< Objects or zones kept of one picture.

  std::filesystem::path folder{};
  Of of = Of::picture;
  std::vector<std::string> labels{};  ///< Only objects called so; empty for all.
  std::vector<std::string> zones{};   ///< Only these zones; empty for all.
  double margin = 0.1;                ///< Around an object, as classify's.
  double every_s = 1;                 ///< 0..86400; 0: only when asked for.
  std::string label{};                ///< The folder of what comes by itself; "{stream}" stands for the stream.
  std::size_t pictures_max = 1000;    ///< 1..100,000
  std::uint64_t bytes_max = 500'000'000;
  std::optional<expression::Condition> when{};  ///< About the scene; for what comes by itself.
};

/// The core without a pipeline. Threads: as the sink.
class PictureCollector {
 public:
  PictureCollector(PicturesOptions options, pipeline::Blur blur);
  /// Counts what is there. Errors: unavailable.
  Status open();
  /// Keeps what is due. Errors: invalid_argument (a zone that is not there, nobody looks for people), those of the
  /// disk.
  Status take(const std::string& stream, Moment moment, const pipeline::Scene& scene);
  /// The method `save`.
  pipeline::MethodReply save(const Json& parameters);
  bool is_full() const;

 private:
  /// What somebody asked for.
  struct Order {
    std::string label, only, stream;
    double every_s = 1;
    int left = 0, kept = 0;
    std::optional<std::int64_t> last_us;
  };
  struct State {
    Order order;
    std::size_t pictures = 0;
    std::uint64_t bytes = 0;
  };
  /// A part of a picture and what its file is called after.
  struct Part {
    pipeline::Frame frame;
    std::string name;
  };

  Result<Order> read_order(const Json& parameters) const;
  Json told(const State& state) const;
  Result<std::vector<Part>> parts_of(const pipeline::Scene& scene) const;
  bool is_due(const std::string& stream, Moment moment, const pipeline::Scene& scene);
  Status keep(const Part& part, const std::string& stream, const std::string& label, Moment moment);

  const PicturesOptions options_;
  const pipeline::Blur blur_;
  std::vector<std::string> zones_of_when_;
  Guarded<State> state_;
  std::map<std::string, std::int64_t> last_us_;  ///< By stream; of what comes by itself.
  std::map<std::string, RuleFacts> facts_;       ///< By stream.
};

pipeline::Kind<pipeline::Sink> pictures_kind();

}  // namespace verge::vision
