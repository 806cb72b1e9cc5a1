#include "cli/runtime_layers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/disk.h"
#include "base/temporary_folder.h"

namespace verge::cli {
namespace {

TEST(CheckPipeline, GivesTheProgramsWordsAndTheirMeaning) {
  const struct {
    const char *name, *script;
    bool is_sound;
    ErrorCode code;
    const char* message;
  } cases[] = {
      {"sound", "echo \"$3: sound\"", true, ErrorCode::internal, ""},
      {"a typo", "echo \"judge: $3:4:5: there is no stage\" >&2; exit 2", false, ErrorCode::invalid_argument,
       "door.yaml:4:5: there is no stage"},
      {"missing", "echo 'judge: read \"door.yaml\": No such file or directory' >&2; exit 3", false,
       ErrorCode::not_found, "read \"door.yaml\": No such file or directory"},
      {"killed", "kill -9 $$", false, ErrorCode::internal, "judge ended with code 137 when it read door.yaml"},
  };
  const TemporaryFolder folder;
  const auto program = folder.path() / "judge";
  for (const auto& c : cases) {
    SCOPED_TRACE(c.name);
    ASSERT_TRUE(write_file(program, std::string("#!/bin/sh\n") + c.script + "\n", 0755));
    const auto checked = check_pipeline(program, "door.yaml");
    ASSERT_EQ(static_cast<bool>(checked), c.is_sound);
    if (checked) continue;
    EXPECT_EQ(checked.error().code, c.code);
    EXPECT_THAT(checked.error().message, testing::HasSubstr(c.message));
    EXPECT_EQ(checked.error().message.find("judge: "), std::string::npos) << "the program's name is not what matters";
  }
  EXPECT_EQ(check_pipeline("/nowhere/judge", "door.yaml").error().code, ErrorCode::not_found);
}

}  // namespace
}  // namespace verge::cli
