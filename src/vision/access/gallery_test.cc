#include "vision/access/gallery.h"

#include <cstring>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/bytes.h"
#include "base/crypto.h"
#include "base/temporary_folder.h"
#include "vision/access/test_people.h"

namespace verge::vision {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::person;
namespace fs = std::filesystem;

std::vector<std::string> names(const Gallery& gallery) {
  std::vector<std::string> all;
  for (const Person& each : *gallery.people()) all.push_back(each.name);
  return all;
}

std::unique_ptr<Gallery> opened(Disk& disk, const fs::path& folder) {
  auto gallery = Gallery::open(disk, {folder, {}});
  EXPECT_TRUE(gallery) << gallery.error().message;
  return gallery ? *std::move(gallery) : nullptr;
}

fs::path only_record(const fs::path& folder) {
  for (const auto& entry : fs::directory_iterator(folder)) return entry.path();
  return {};
}

class AccessGallery : public ::testing::Test {
 protected:
  TemporaryFolder temporary_;
  const fs::path folder_ = temporary_.path() / "people";
  const fs::path keys_ = temporary_.path() / "people.keys";
};

TEST_F(AccessGallery, KeepsPeople) {
  {
    const auto gallery = opened(system_disk(), folder_);
    ASSERT_TRUE(gallery->enrol(person("Grace", 2)));
    ASSERT_TRUE(gallery->enrol(person("Ada", 1)));
    EXPECT_THAT(names(*gallery), ElementsAre("Ada", "Grace"));
  }
  const auto again = opened(system_disk(), folder_);
  EXPECT_THAT(names(*again), ElementsAre("Ada", "Grace"));
  EXPECT_EQ(again->people()->at(0).looks, person("Ada", 1).looks);
  using fs::perms;
  EXPECT_EQ(fs::status(keys_).permissions(), perms::owner_read | perms::owner_write);
  EXPECT_EQ(fs::status(folder_).permissions(), perms::owner_all);
}

TEST_F(AccessGallery, NeitherNamesNorNumbersLieOpen) {
  const Person ada = person("Ada Lovelace", 1);
  ASSERT_TRUE(opened(system_disk(), folder_)->enrol(ada));
  const std::string bytes = *read_file(only_record(folder_)) + *read_file(keys_);
  EXPECT_EQ(bytes.find("Ada"), std::string::npos);
  EXPECT_EQ(bytes.find("sha256"), std::string::npos);
  const std::string_view number(reinterpret_cast<const char*>(ada.looks[0].data()), 8);
  EXPECT_EQ(bytes.find(number), std::string::npos);
}

/// The record as docs/formats/gallery.md has it, read without the gallery's code.
TEST_F(AccessGallery, BytesAreThoseOfTheFormat) {
  const auto gallery = opened(system_disk(), folder_);
  const Person ada = *gallery->enrol(person("Ada", 1, 1));
  const std::string record = *read_file(folder_ / (ada.id + ".person"));
  const std::string id = *from_hex(ada.id);
  ASSERT_EQ(record.substr(0, 26), "VERGEFACE\x01" + id);
  const std::string keys = *read_file(keys_);
  ASSERT_EQ(keys.size(), 128U);
  EXPECT_EQ(keys.substr(0, 64), "VERGEKEY\x01" + std::string(55, '\0'));
  EXPECT_EQ(keys.substr(64, 16), id);
  const std::uint32_t sum = crc32c(std::string_view(keys).substr(64, 48));
  EXPECT_EQ(keys.substr(112, 4), std::string_view(reinterpret_cast<const char*>(&sum), 4));
  EXPECT_EQ(keys.substr(116), std::string(12, '\0'));
  const auto text = open_sealed(keys.substr(80, 32), record.substr(26), record.substr(0, 26));
  ASSERT_TRUE(text);
  EXPECT_EQ(text->substr(4, static_cast<unsigned char>((*text)[0])),
            R"({"enrolled_us":1700000000000000,"looks":1,"model":"sha256:model","name":"Ada","numbers":32,"when":""})");
  float first = 0;
  std::memcpy(&first, text->data() + text->size() - 32 * sizeof(float), sizeof(float));
  EXPECT_EQ(first, ada.looks[0][0]);
}

TEST_F(AccessGallery, WhoIsRemovedCannotBeReadAgain) {
  const auto gallery = opened(system_disk(), folder_);
  const Person ada = *gallery->enrol(person("Ada", 1));
  ASSERT_TRUE(gallery->enrol(person("Grace", 2)));
  const std::string name = ada.id + ".person";
  const std::string record = *read_file(folder_ / name), keys = *read_file(keys_);
  ASSERT_TRUE(gallery->remove("Ada"));
  EXPECT_THAT(names(*gallery), ElementsAre("Grace"));
  EXPECT_FALSE(fs::exists(folder_ / name));
  const std::string key = keys.substr(80, 32);
  EXPECT_EQ(read_file(keys_)->find(key), std::string::npos);
  EXPECT_EQ(gallery->remove("Ada").error().code, ErrorCode::not_found);
  // The old record is found again, in a backup or on the bare disk: it says nothing, and it is not taken.
  ASSERT_TRUE(write_file(folder_ / name, record));
  const auto refused = Gallery::open(system_disk(), {folder_, {}});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::corrupt);
  EXPECT_THAT(refused.error().message, HasSubstr("has no key for it"));
}

TEST_F(AccessGallery, RefusesWhatDoesNotFit) {
  const auto gallery = opened(system_disk(), folder_);
  ASSERT_TRUE(gallery->enrol(person("Ada", 1)));
  EXPECT_EQ(gallery->enrol(person("Ada", 2)).error().code, ErrorCode::conflict);
  Person other = person("Grace", 2);
  other.model = "sha256:another";
  const auto refused = gallery->enrol(other);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("described by model sha256:model, \"Grace\" by sha256:another"));
  other = person("Grace", 2);
  other.looks = {testing::face_of(2, 16)};
  EXPECT_FALSE(gallery->enrol(other));
  EXPECT_THAT(names(*gallery), ElementsAre("Ada"));
}

TEST_F(AccessGallery, RefusesDamagedAndForeignFiles) {
  const Person ada = *opened(system_disk(), folder_)->enrol(person("Ada", 1));
  const fs::path file = folder_ / (ada.id + ".person");
  const std::string whole = *read_file(file), keys = *read_file(keys_);
  const auto error_with = [&](const fs::path& path, const std::string& bytes) {
    EXPECT_TRUE(write_file(path, bytes));
    const auto opened = Gallery::open(system_disk(), {folder_, {}});
    EXPECT_FALSE(opened);
    EXPECT_TRUE(write_file(file, whole));
    EXPECT_TRUE(write_file(keys_, keys));
    if (path != file && path != keys_) fs::remove(path);
    return opened ? std::string() : opened.error().message;
  };
  std::string changed = whole;
  changed.back() = static_cast<char>(changed.back() ^ 1);
  EXPECT_THAT(error_with(file, changed), HasSubstr("the bytes were changed"));
  EXPECT_THAT(error_with(file, whole.substr(0, 20)), HasSubstr("cut off"));
  EXPECT_THAT(error_with(file, "a picture"), HasSubstr("no record of a gallery"));
  EXPECT_THAT(error_with(folder_ / (std::string(32, 'a') + ".person"), whole), HasSubstr("another's name"));
  EXPECT_THAT(error_with(folder_ / "ada.person", whole), HasSubstr("none that a gallery gives"));
  EXPECT_THAT(error_with(keys_, std::string(200, 'x')), HasSubstr("it is none"));
  changed = keys;
  changed[90] = static_cast<char>(changed[90] ^ 1);
  EXPECT_THAT(error_with(keys_, changed), HasSubstr("slot 1 is damaged"));
  EXPECT_THAT(error_with(keys_, std::string((Gallery::kPeopleMax + 3) * 64, 'x')), HasSubstr("more than 5000"));
  EXPECT_TRUE(Gallery::open(system_disk(), {folder_, {}}));
}

/// Power fails after an enrolment or a removal, or at its first sync: what was said to be done holds, a person is whole
/// or not there, and the gallery can be opened.
TEST_F(AccessGallery, SurvivesPowerCuts) {
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    FaultyDisk disk;
    auto gallery = opened(disk, "/a/people");
    ASSERT_TRUE(gallery->enrol(person("Ada", 1)));
    ASSERT_TRUE(gallery->enrol(person("Grace", 2)));
    const bool is_removal = seed % 2 == 0, is_whole = seed % 4 < 2;
    if (!is_whole) disk.fail_syncs(1);
    const bool is_done = is_removal ? bool(gallery->remove("Ada")) : bool(gallery->enrol(person("Edith", 3)));
    EXPECT_EQ(is_done, is_whole) << seed;
    gallery.reset();
    disk.lose_power(seed);
    const auto again = Gallery::open(disk, {"/a/people", {}});
    ASSERT_TRUE(again) << again.error().message << " seed " << seed;
    std::vector<std::string> expected{"Ada", "Grace"};
    if (is_done && is_removal) expected = {"Grace"};
    if (is_done && !is_removal) expected = {"Ada", "Edith", "Grace"};
    EXPECT_EQ(names(**again), expected) << seed;
  }
}

/// A disk that is full, or fails, leaves nobody half enrolled.
TEST_F(AccessGallery, WhatCannotBeWrittenLeavesNothing) {
  FaultyDisk disk;
  auto gallery = opened(disk, "/a/people");
  ASSERT_TRUE(gallery->enrol(person("Ada", 1)));
  disk.set_capacity_bytes(600);  // Room for a key, none for a record.
  const auto full = gallery->enrol(person("Grace", 2));
  ASSERT_FALSE(full);
  EXPECT_EQ(full.error().code, ErrorCode::limit);
  disk.set_capacity_bytes(1U << 20U);
  EXPECT_THAT(names(*gallery), ElementsAre("Ada"));
  ASSERT_TRUE(gallery->enrol(person("Grace", 2)));
  disk.fail_syncs(1);
  EXPECT_FALSE(gallery->remove("Ada"));
  EXPECT_THAT(names(*gallery), ElementsAre("Grace"));  // He does not come in any more, and
  EXPECT_EQ(gallery->enrol(person("Edith", 3)).error().code, ErrorCode::unavailable);
  gallery.reset();
  gallery = opened(disk, "/a/people");
  ASSERT_TRUE(gallery);
  static_cast<void>(gallery->remove("Ada"));
  EXPECT_THAT(names(*gallery), ElementsAre("Grace"));
}

/// The key was overwritten, and the power failed before the record was gone.
TEST_F(AccessGallery, FinishesARemoval) {
  const Person ada = *opened(system_disk(), folder_)->enrol(person("Ada", 1));
  auto keyring = Keyring::open(system_disk(), keys_, 10);
  ASSERT_TRUE(keyring->erase_key(ada.id));
  ASSERT_TRUE(fs::exists(only_record(folder_)));
  EXPECT_THAT(names(*opened(system_disk(), folder_)), ElementsAre());
  EXPECT_TRUE(fs::is_empty(folder_));
  EXPECT_EQ(*read_file(keys_), "VERGEKEY\x01" + std::string(119, '\0'));
}

TEST_F(AccessGallery, AKeyringHasABound) {
  auto keyring = Keyring::open(system_disk(), keys_, 2);
  ASSERT_TRUE(keyring);
  const auto first = keyring->add();
  ASSERT_TRUE(keyring->add());
  EXPECT_EQ(keyring->add().error().code, ErrorCode::limit);
  ASSERT_TRUE(keyring->erase_key(*first));
  EXPECT_EQ(keyring->find(*first), nullptr);
  EXPECT_EQ(keyring->add().error().code, ErrorCode::limit);  // Its record has not gone yet.
  ASSERT_TRUE(keyring->forget(*first));
  EXPECT_TRUE(keyring->add());
}

TEST_F(AccessGallery, AFaceIsTakenOnceUnlessItIsSaidThatTheyAreTwo) {
  const auto gallery = opened(system_disk(), folder_);
  ASSERT_TRUE(gallery->enrol(person("Ada", 1), 0.65));
  ASSERT_TRUE(gallery->enrol(person("Bob", 2), 0.65));
  const auto refused = gallery->enrol(person("Eve", 1), 0.65);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::conflict);
  EXPECT_THAT(refused.error().message, HasSubstr("enrol \"Eve\": this face is enrolled already as \"Ada\": 0.99"));
  EXPECT_THAT(refused.error().message, HasSubstr("from 0.650 on it is the same person; remove \"Ada\" first"));
  EXPECT_EQ(gallery->people()->size(), 2U);
  EXPECT_TRUE(gallery->enrol(person("Eve", 1)));
}

}  // namespace
}  // namespace verge::vision
