#include "vision/access/gallery.h"

#include <algorithm>
#include <fmt/format.h>
#include <set>

#include "base/bytes.h"
#include "base/crypto.h"
#include "vision/access/matching.h"

namespace verge::vision {
namespace {

using std::filesystem::path;

// A record: magic, version, id; then what is sealed, bound to those.
constexpr std::string_view kRecordMagic = "VERGEFACE";
constexpr char kRecordVersion = 1;
constexpr std::string_view kRecordEnding = ".person";
constexpr std::string_view kRecordUnfinished = ".unfinished";
constexpr std::size_t kRecordHeaderBytes = kRecordMagic.size() + 1 + Keyring::kIdBytes;

std::string record_header(std::string_view raw_id) {
  std::string bytes(kRecordMagic);
  bytes += kRecordVersion;
  bytes += raw_id;
  return bytes;
}

/// Numbers of a face are overwritten when nobody holds them any more.
std::shared_ptr<const Gallery::People> kept(Gallery::People people) {
  return {new Gallery::People(std::move(people)), [](const Gallery::People* gone) {
            auto* mine = const_cast<Gallery::People*>(gone);  // Made above, and nobody else has it.
            for (Person& person : *mine) {
              for (Embedding& look : person.looks) {
                volatile float* numbers = look.data();
                for (std::size_t i = 0; i < look.size(); ++i) numbers[i] = 0;
              }
            }
            delete mine;
          }};
}

Error refused(const path& file, std::string_view why) {
  return {ErrorCode::corrupt, fmt::format("read the gallery's record \"{}\": {}", file.string(), why)};
}

}  // namespace

Result<std::unique_ptr<Gallery>> Gallery::open(Disk& disk, const Place& place) {
  Place whole = place;
  if (whole.keyring.empty()) whole.keyring = whole.folder.string() + ".keys";
  std::error_code ignored;
  std::filesystem::create_directories(whole.folder, ignored);  // What really is wrong is told by the disk.
  std::filesystem::permissions(whole.folder, std::filesystem::perms::owner_all, ignored);
  VERGE_TRY(Keyring keyring, Keyring::open(disk, whole.keyring, kPeopleMax));
  auto gallery = std::unique_ptr<Gallery>(new Gallery(disk, std::move(whole), std::move(keyring)));
  VERGE_CHECK(gallery->finish_removals());
  VERGE_CHECK(gallery->read_all());
  return gallery;
}

std::filesystem::path Gallery::record_path(const std::string& id) const {
  return place_.folder / fmt::format("{}{}", id, kRecordEnding);
}

std::filesystem::path Gallery::unfinished_path(const std::string& id) const {
  return record_path(id).string() + std::string(kRecordUnfinished);
}

Status Gallery::finish_removals() {
  for (const std::string& id : keyring_.erased()) VERGE_CHECK(remove_record(id));
  return Done{};
}

Status Gallery::read_all() {
  VERGE_TRY(const std::vector<std::string> names, disk_.list(place_.folder));
  People people;
  std::set<std::string> found;
  for (const std::string& name : names) {
    if (name.ends_with(kRecordUnfinished)) {
      VERGE_CHECK(disk_.remove(place_.folder / name));
      continue;
    }
    if (!name.ends_with(kRecordEnding)) continue;
    VERGE_TRY(Person person, read_record(name));
    const auto is_same = [&](const Person& other) { return other.name == person.name; };
    if (std::ranges::any_of(people, is_same)) return refused(place_.folder / name, "another record has the same name");
    found.insert(person.id);
    people.push_back(std::move(person));
  }
  // A key was made, and the power failed before its record: it seals nothing.
  for (const std::string& id : keyring_.ids()) {
    if (found.contains(id)) continue;
    VERGE_CHECK(keyring_.erase_key(id));
    VERGE_CHECK(keyring_.forget(id));
  }
  publish(std::move(people));
  return Done{};
}

Result<Person> Gallery::read_record(const std::string& name) const {
  const path file = place_.folder / name;
  const std::string id = name.substr(0, name.size() - kRecordEnding.size());
  const auto raw_id = from_hex(id);
  if (!raw_id || raw_id->size() != Keyring::kIdBytes) return refused(file, "its name is none that a gallery gives");
  VERGE_TRY(const auto opened, disk_.open(file, false));
  VERGE_TRY(const std::uint64_t size, opened->size_bytes());
  if (size > kRecordBytesMax) return refused(file, fmt::format("it has {} bytes, a record has less", size));
  VERGE_TRY(const std::string bytes, opened->read_at(0, static_cast<std::size_t>(size)));
  if (!bytes.starts_with(kRecordMagic)) return refused(file, "it is no record of a gallery; move it elsewhere");
  if (bytes.size() < kRecordHeaderBytes || bytes[kRecordMagic.size()] != kRecordVersion) {
    return refused(file, "it is cut off, or of a version that this program does not know");
  }
  const std::string header = record_header(*raw_id);
  if (!bytes.starts_with(header)) return refused(file, "it was given another's name");
  const std::string* key = keyring_.find(id);
  if (key == nullptr) {
    return refused(file,
                   fmt::format("\"{}\" has no key for it: gallery and keyring belong together; put both back from "
                               "the same time, or remove the record",
                               place_.keyring.string()));
  }
  auto record = open_sealed(*key, std::string_view(bytes).substr(kRecordHeaderBytes), header);
  if (!record) return refused(file, record.error().message);
  auto person = person_of_record(*record);
  wipe(*record);
  if (!person) return refused(file, person.error().message);
  person->id = id;
  return person;
}

std::shared_ptr<const Gallery::People> Gallery::people() const {
  const std::lock_guard lock(mutex_);
  return people_;
}

Status Gallery::check_newcomer(const Person& person) const {
  VERGE_CHECK(check_person(person));
  if (people_->size() >= kPeopleMax) {
    return Error{ErrorCode::limit, fmt::format("the gallery has {} people, as many as it may have", kPeopleMax)};
  }
  for (const Person& other : *people_) {
    if (other.name == person.name) {
      return Error{ErrorCode::conflict,
                   fmt::format("\"{}\" is enrolled already; remove him first, or take another name", person.name)};
    }
    if (other.model != person.model) {
      return Error{
          ErrorCode::invalid_argument,
          fmt::format("the gallery's people were described by model {}, \"{}\" by {}: they cannot be compared; "
                      "use that model, or enrol everybody anew",
                      other.model, person.name, person.model)};
    }
    if (other.looks.front().size() != person.looks.front().size()) {
      return Error{ErrorCode::invalid_argument,
                   fmt::format("the gallery's looks have {} numbers, those of \"{}\" {}", other.looks.front().size(),
                               person.name, person.looks.front().size())};
    }
  }
  return Done{};
}

/// A name is a label, a face is who he is: enrolled under two names he would be `unsure` under both.
Status Gallery::check_other_face(const Person& person, double same_from) const {
  const Match found = match(*people_, middle_of(person.looks), {.threshold = same_from, .margin = 0});
  if (found.kind != MatchKind::known) return Done{};
  return Error{
      ErrorCode::conflict,
      fmt::format("this face is enrolled already as \"{}\": {:.3f} alike, from {:.3f} on it is the same person; "
                  "remove \"{}\" first, or, if they are two people, enrol with `also`: where the door cannot "
                  "tell them apart it will let in neither",
                  found.best->name, found.best_similarity, same_from, found.best->name)};
}

Result<Person> Gallery::enrol(Person person, std::optional<double> same_from) {
  const std::lock_guard lock(mutex_);
  Status sound = check_newcomer(person);
  if (sound && same_from) sound = check_other_face(person, *same_from);
  if (!sound) return sound.error().within(fmt::format("enrol \"{}\"", person.name));
  VERGE_CHECK(check_usable());
  auto id = keyring_.add();
  if (!id) {
    is_broken_ = id.error().code != ErrorCode::limit;
    return std::move(id).error();
  }
  person.id = *std::move(id);
  if (const Status written = write_record(person); !written) {
    is_broken_ = !undo_enrolment(person.id);
    return written.error().within(fmt::format("enrol \"{}\"", person.name));
  }
  People people = *people_;
  people.push_back(person);
  publish(std::move(people));
  return person;
}

/// Whatever of the record is there goes, and its key; what fails is finished at the next opening.
bool Gallery::undo_enrolment(const std::string& id) {
  if (!keyring_.erase_key(id)) return false;
  const Status removed = disk_.remove(unfinished_path(id));
  return (removed || removed.error().code == ErrorCode::not_found) && remove_record(id);
}

Status Gallery::check_usable() const {
  if (!is_broken_) return Done{};
  return Error{
      ErrorCode::unavailable,
      fmt::format("change the gallery \"{}\": its disk failed before, so nobody knows what it holds; check the "
                  "disk and start the program again",
                  place_.folder.string())};
}

Status Gallery::write_record(const Person& person) {
  VERGE_TRY(const std::string raw_id, from_hex(person.id));
  const std::string header = record_header(raw_id);
  std::string record = to_record(person);
  const std::string bytes = header + seal(*keyring_.find(person.id), record, header);
  wipe(record);
  const path file = record_path(person.id);
  const path unfinished = unfinished_path(person.id);
  VERGE_TRY(const auto opened, disk_.open(unfinished, true));
  VERGE_CHECK(opened->truncate(0));
  VERGE_CHECK(opened->write_at(0, bytes));
  VERGE_CHECK(opened->sync());
  VERGE_CHECK(disk_.rename(unfinished, file));
  return disk_.sync_folder(place_.folder);
}

Status Gallery::remove(const std::string& name) {
  const std::lock_guard lock(mutex_);
  VERGE_CHECK(check_usable());
  const auto at = std::ranges::find(*people_, name, &Person::name);
  if (at == people_->end()) {
    return Error{ErrorCode::not_found, fmt::format("remove \"{}\": nobody of that name is enrolled", name)};
  }
  const std::string id = at->id;
  People people = *people_;
  std::erase_if(people, [&](const Person& person) { return person.id == id; });
  publish(std::move(people));  // First: whatever the disk does, he does not come in any more.
  Status removed = keyring_.erase_key(id);
  if (removed) removed = remove_record(id);
  is_broken_ = !removed;
  return removed;
}

Status Gallery::remove_record(const std::string& id) {
  const Status removed = disk_.remove(record_path(id));
  if (!removed && removed.error().code != ErrorCode::not_found) return removed;
  VERGE_CHECK(disk_.sync_folder(place_.folder));
  return keyring_.forget(id);
}

void Gallery::publish(People people) {
  std::ranges::sort(people, {}, &Person::name);
  people_ = kept(std::move(people));
}

}  // namespace verge::vision
