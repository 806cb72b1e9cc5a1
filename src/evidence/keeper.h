// evidence/keeper.h -- where the stages of one pipeline leave pictures and order clips.
//
// A picture is stored before its event goes, so what an event names is there. A clip takes until its last second was
// filmed: its order gets an id at once, which the event bears as extension.clip; when the clip is stored (or cannot
// be), an event "evidence.stored" ("evidence.failed") with the same id follows. Nothing here stops a pipeline: what
// cannot be kept is an error that the event tells. Threads: any.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "base/loop.h"
#include "contract/event.h"
#include "evidence/store.h"

namespace verge::evidence {

struct KeeperOptions {
  std::filesystem::path folder;
  double days = 30;
  std::uint64_t bytes_max = 1'000'000'000;
  double ring_s = 0;  ///< Of every camera, for clips by method; what stages ask for comes by itself.
  std::string blur;   ///< The pipeline's policy, "people", "faces" or "none".
};

struct ClipOrder {
  std::string id;             ///< Set by Keeper::order_clip.
  contract::Event about;      ///< Becomes the event that follows: stream, rule, track, time are its cause's.
  std::int64_t from_us = 0;   ///< Monotonic; the clip begins at the key frame before.
  std::int64_t until_us = 0;  ///< Monotonic.
};

/// A camera that can make clips.
class ClipMaker {
 public:
  virtual ~ClipMaker() = default;
  /// Returns at once. Errors: limit (too many at a time), unavailable (nothing to make it of).
  virtual Status order(ClipOrder order) = 0;
};

/// How far a clip is.
struct ClipState {
  bool is_done = false;
  std::optional<StoredFile> file{};
  std::string error{};
};

class Keeper {
 public:
  static constexpr std::size_t kClipStatesMax = 64;

  Keeper(KeeperOptions options, Disk& disk, const Clock& clock, Metrics& metrics);
  ~Keeper();
  Keeper(const Keeper&) = delete;
  Keeper& operator=(const Keeper&) = delete;

  const KeeperOptions& options() const { return options_; }
  /// The files, read at the first call that succeeds. The folder is made, for this program's user only, when something
  /// is kept. Errors: of the disk.
  Result<Store*> store();
  /// A shelf for one camera's recording. Errors: of the disk.
  Status add_shelf(const Shelf& shelf);
  Result<StoredFile> keep(std::string_view shelf, Label label, std::string_view bytes);
  /// For what is written piece by piece. Errors: as Store::begin; what opening the folder gave.
  Result<std::unique_ptr<Store::Draft>> begin(std::string_view shelf, Label label);

  /// A stage says, when it is made, how long before its events clips will begin; cameras ask when they open.
  void want_ring(const std::string& stream, double seconds);
  double ring_s(const std::string& stream) const;
  /// The maker lives until detach().
  void attach(const std::string& stream, ClipMaker& maker);
  void detach(const std::string& stream);
  /// The clip's id. Errors: not_found (no camera of this name makes clips), those of ClipMaker::order.
  Result<std::string> order_clip(const std::string& stream, ClipOrder order);
  void note_clip(const std::string& id, const Result<StoredFile>& outcome);
  std::optional<ClipState> clip_state(const std::string& id) const;

  /// One thread for what blocks: writing clips, reading files. Errors: limit.
  Status submit(std::function<void()> job) { return workers_.submit(std::move(job)); }

 private:
  Error refusal(Error error);
  Result<StoredFile> try_to_keep(std::string_view shelf, Label label, std::string_view bytes);

  const KeeperOptions options_;
  Counter& kept_;
  Counter& refused_;
  Store store_;
  mutable std::mutex mutex_;  ///< Of what follows.
  bool is_open_ = false;
  std::map<std::string, double> rings_;
  std::map<std::string, ClipMaker*> makers_;
  std::map<std::string, ClipState> clips_;
  std::deque<std::string> clip_ids_;  ///< Oldest first.
  Workers workers_{1, 64};            ///< Last: ends before what its jobs use.
};

}  // namespace verge::evidence
