#include "cli/access.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/disk.h"
#include "base/temporary_folder.h"
#include "vision/access/galleries.h"
#include "vision/access/test_people.h"

namespace verge::cli {
namespace {

using ::testing::HasSubstr;

/// Enrolling needs models: tests/access.
class Access : public ::testing::Test {
 protected:
  void SetUp() override {
    request_.gallery = folder_.path() / "people";
    vision::Galleries galleries(system_disk());
    const auto gallery = galleries.open({request_.gallery, {}});
    ASSERT_TRUE(gallery);
    for (unsigned i = 1; i <= 4; ++i) {
      ASSERT_TRUE((*gallery)->enrol(vision::testing::person("p" + std::to_string(i), i)));
    }
  }
  TemporaryFolder folder_;
  AccessRequest request_;
};

TEST_F(Access, ListsAndRemoves) {
  EXPECT_EQ(list_people(request_)->size(), 4U);
  request_.name = "p2";
  EXPECT_EQ(*remove_person(request_), (Json{{"removed", "p2"}}));
  EXPECT_EQ(remove_person(request_).error().code, ErrorCode::not_found);
  EXPECT_EQ((*list_people(request_))[1]["name"], "p3");
}

TEST_F(Access, RefusesATighterPromise) {
  const auto loose = check_people(request_);
  ASSERT_TRUE(loose);
  EXPECT_EQ((*loose)["independent_pairs"], 2);
  EXPECT_NEAR((*loose)["false_accept_max"].get<double>(), 0.7764, 1e-4);
  request_.false_accept = 0.1;
  const auto refused = check_people(request_);
  ASSERT_FALSE(refused);
  EXPECT_EQ(exit_code_of(refused.error().code), 2);
  EXPECT_THAT(refused.error().message, HasSubstr("4 people give 2 independent pairs"));
  EXPECT_THAT(refused.error().message, HasSubstr("enrol 58 people"));
}

TEST_F(Access, AGalleryThatIsNotThereIsNotMade) {
  request_.gallery = folder_.path() / "nobody";
  EXPECT_EQ(list_people(request_).error().code, ErrorCode::not_found);
  EXPECT_FALSE(std::filesystem::exists(request_.gallery));
}

}  // namespace
}  // namespace verge::cli
