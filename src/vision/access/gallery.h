// vision/access/gallery.h -- the people who may come in, kept on the device, each sealed with a key of his own.
//
// A folder holds a record for each person (AES-256-GCM), a keyring beside it the keys; neither says anything without
// the other, not even a name. Enrolling is done when record and key are on stable storage; removing when the key is
// overwritten and the record is gone, after which the record cannot be read, wherever a copy of it is found. A power
// cut leaves a person whole or not there, and a removal that had begun is finished at the next opening.
//
// Bytes: docs/formats/gallery.md. Threads: call from anywhere; enrol and remove wait for the disk.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/disk.h"
#include "vision/access/keyring.h"
#include "vision/access/pair_counter.h"
#include "vision/access/person.h"

namespace verge::vision {

class Gallery {
 public:
  static constexpr std::size_t kPeopleMax = 5'000;  ///< With 8 looks of 1,024 numbers each: 164 MB of memory.
  static constexpr std::size_t kRecordBytesMax = 256U << 10U;

  struct Place {
    std::filesystem::path folder;   ///< Made when it is not there, for this user only.
    std::filesystem::path keyring;  ///< Empty: the folder's name with ".keys" behind it.
  };
  /// Errors: corrupt, naming the file, for a record that is damaged, has no key or was put under another name, and for
  /// a keyring without its records; limit; those of the disk.
  static Result<std::unique_ptr<Gallery>> open(Disk& disk, const Place& place);

  using People = std::vector<Person>;
  /// Everybody by name. A list that was handed out does not change.
  std::shared_ptr<const People> people() const;
  /// The person gets id and returns with it.
  /// same_from  whoever of the others is so alike to the middle of his looks, as a door would compare them, is taken
  /// for the same person under another name; nothing: nobody is (twins). Errors: conflict when the name is taken, or
  /// the face is enrolled under another; invalid_argument (check_person), also for looks of another size or model than
  /// those of the others; limit; those of the disk.
  Result<Person> enrol(Person person, std::optional<double> same_from = std::nullopt);
  /// The list that follows no longer holds him; his embeddings are overwritten in memory when the last list that does
  /// goes. Errors: not_found; those of the disk, after which he no longer comes in but may not be gone yet, and nothing
  /// can be changed until the gallery is opened anew: remove him again then.
  Status remove(const std::string& name);

  /// How alike its people are.
  PairCounter& pair_counter() { return pair_counter_; }
  const Place& place() const { return place_; }

 private:
  Gallery(Disk& disk, Place place, Keyring keyring)
      : disk_(disk), place_(std::move(place)), keyring_(std::move(keyring)) {}

  Status finish_removals();
  Status read_all();
  Result<Person> read_record(const std::string& name) const;
  Status write_record(const Person& person);
  Status check_newcomer(const Person& person) const;
  Status check_other_face(const Person& person, double same_from) const;
  Status remove_record(const std::string& id);
  bool undo_enrolment(const std::string& id);
  Status check_usable() const;
  void publish(People people);
  std::filesystem::path record_path(const std::string& id) const;
  std::filesystem::path unfinished_path(const std::string& id) const;

  Disk& disk_;
  Place place_;
  mutable std::mutex mutex_;  ///< Of what follows.
  Keyring keyring_;
  bool is_broken_ = false;  ///< The disk failed while it was changed.
  std::shared_ptr<const People> people_ = std::make_shared<const People>();
  PairCounter pair_counter_;
};

}  // namespace verge::vision
