#include "cli/run_app.h"

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <gmock/gmock.h>

#include "base/disk.h"
#include "base/json.h"
#include "base/process.h"
#include "base/temporary_folder.h"

namespace verge::cli {
namespace {

using testing::AllOf;
using testing::HasSubstr;

/// The whole command line without its main().
class CommandLineTest : public testing::Test {
 protected:
  CommandLineTest() {
    context_.home = Home{folder_.path()};
    add_global_options(app_, context_);
    add_machine_commands(app_, context_);
    add_fleet_commands(app_, context_);
    add_message_commands(app_, context_);
    add_evidence_commands(app_, context_);
    add_model_commands(app_, context_);
    add_package_commands(app_, context_);
    add_access_commands(app_, context_);
  }
  int run(std::vector<const char*> words) {
    words.insert(words.begin(), "verge");
    testing::internal::CaptureStdout();
    testing::internal::CaptureStderr();
    const int code = run_app(app_, context_, static_cast<int>(words.size()), words.data());
    output_ = testing::internal::GetCapturedStdout();
    errors_ = testing::internal::GetCapturedStderr();
    return code;
  }

  TemporaryFolder folder_;
  Context context_;
  CLI::App app_{"verge", "verge"};
  std::string output_, errors_;
};

TEST_F(CommandLineTest, SuggestsTheNearestCommand) {
  struct Row {
    std::vector<std::string> words;
    const char* nearest;
  };
  for (const Row& row : {Row{{"staus"}, "status"}, Row{{"deivce", "list"}, "device"}, Row{{"device", "lst"}, "list"},
                         Row{{"deploy"}, "deployment"}, Row{{"device", "list"}, ""}, Row{{"xyzzy"}, ""},
                         Row{{"-o", "json", "dwn"}, "down"}, Row{{"u"}, "up"}}) {
    EXPECT_EQ(nearest_command(app_, row.words), row.nearest) << row.words.front();
  }
}

TEST_F(CommandLineTest, AnUnknownCommandIsExitCodeTwo) {
  EXPECT_EQ(run({"staus"}), 2);
  EXPECT_EQ(errors_, "verge: there is no command \"staus\"; did you mean \"status\"?\n");
}

TEST_F(CommandLineTest, AnUnknownOptionAloneIsNamed) {
  EXPECT_EQ(run({"--frobnicate"}), 2);
  EXPECT_THAT(errors_, HasSubstr("\"--frobnicate\""));
  EXPECT_EQ(run({}), 2);
  EXPECT_THAT(errors_, HasSubstr("--help"));
}

TEST_F(CommandLineTest, AMissingArgumentIsExitCodeTwo) {
  EXPECT_EQ(run({"join", "https://hub:8443"}), 2);
  EXPECT_THAT(errors_, HasSubstr("token"));
}

TEST_F(CommandLineTest, WithoutAHubTheNextStepIsSaid) {
  EXPECT_EQ(run({"device", "list"}), 3);
  EXPECT_THAT(errors_, HasSubstr("verge up"));
}

TEST_F(CommandLineTest, ErrorsAreJsonWhenAskedFor) {
  EXPECT_EQ(run({"device", "list", "-o", "json"}), 3);
  const auto error = parse_json(errors_);
  ASSERT_TRUE(error) << errors_;
  EXPECT_EQ(error->at("error").at("code"), "not_found");
}

TEST_F(CommandLineTest, StatusOfNothingSaysHowToBegin) {
  EXPECT_EQ(run({"status"}), 0);
  EXPECT_THAT(output_, HasSubstr("verge up"));
}

TEST_F(CommandLineTest, StatusAsJson) {
  EXPECT_EQ(run({"status", "-o", "json"}), 0);
  const auto status = parse_json(output_);
  ASSERT_TRUE(status) << output_;
  EXPECT_EQ(status->at("home"), folder_.path().string());
}

TEST_F(CommandLineTest, ABrokenSolutionStartsNothing) {
  ASSERT_TRUE(write_file(folder_.path() / "solution.json", R"({"name": "Door"})"));
  EXPECT_EQ(run({"up", "--solution", folder_.path().c_str()}), 2);
  EXPECT_THAT(errors_, HasSubstr("/name"));
  EXPECT_FALSE(std::filesystem::exists(folder_.path() / "machine.json"));
}

TEST_F(CommandLineTest, EveryCommandShowsAnExample) {
  for (const auto* command : app_.get_subcommands([](const CLI::App*) { return true; })) {
    EXPECT_THAT(command->get_footer(), HasSubstr("verge " + command->get_name())) << command->get_name();
  }
}

TEST_F(CommandLineTest, HelpHidesWhatIsNotForPeople) {
  EXPECT_EQ(run({"--help"}), 0);
  EXPECT_THAT(output_, HasSubstr("check"));
  EXPECT_THAT(output_, testing::Not(HasSubstr("supervise")));
}

TEST_F(CommandLineTest, CompletionIsSoundBashAndKnowsTheCommands) {
  EXPECT_EQ(run({"completion"}), 0);
  const auto file = folder_.path() / "completion.bash";
  ASSERT_TRUE(write_file(file, output_));
  const auto syntax = run_process({.arguments = {"bash", "-n", file.string()}}, std::chrono::seconds(60));
  ASSERT_TRUE(syntax);
  EXPECT_EQ(syntax->exit_code, 0) << syntax->output;
  const auto words =
      run_process({.arguments = {"bash", "-c",
                                 "source " + file.string() +
                                     "; COMP_WORDS=(verge de); COMP_CWORD=1; _verge; echo \"${COMPREPLY[@]}\""}},
                  std::chrono::seconds(60));
  ASSERT_TRUE(words);
  EXPECT_EQ(words->output, "deployment device\n");
}

TEST_F(CommandLineTest, AFileThatIsNotThereIsExitCodeThree) {
  for (const std::vector<const char*>& words : {std::vector<const char*>{"run", "/nowhere/door.yaml"},
                                                {"train", "telemetry", "/nowhere/pump.csv", "--out", "m"},
                                                {"model", "import", "/nowhere/door.onnx", "--out", "m"},
                                                {"model", "inspect", "/nowhere"},
                                                {"up", "--solution", "/nowhere"},
                                                {"check", "--truth", "/nowhere"}}) {
    EXPECT_EQ(run(words), 3) << words.front();
    EXPECT_THAT(errors_, HasSubstr("/nowhere")) << words.front();
  }
}

TEST_F(CommandLineTest, APathThatCannotBeLookedAtIsAMistake) {
  const std::string name(300, 'x');
  EXPECT_EQ(run({"access", "list", "--gallery", name.c_str()}), 2);
  EXPECT_THAT(errors_, AllOf(HasSubstr(name), HasSubstr("give another path")));
}

TEST_F(CommandLineTest, PackagedFilesMustBeThere) {
  const auto pipeline = folder_.path() / "door.yaml";
  ASSERT_TRUE(write_file(pipeline, "version: 1\n"));
  EXPECT_EQ(run({"package", pipeline.c_str(), "--name", "a/b:1", "--file", "x=/nowhere/x"}), 3);
  EXPECT_THAT(errors_, HasSubstr("/nowhere/x"));
}

TEST_F(CommandLineTest, TrainingOnNothingSaysWhy) {
  struct Row {
    const char* name;
    std::string text;
    const char* because;
  };
  std::string constant = "time,a,b\n";
  for (int row = 0; row < 600; ++row) constant += fmt::format("{},3,7\n", 1'700'000'000 + row);
  for (const Row& row :
       {Row{"one row", "time,a\n2026-01-01T00:00:00Z,1\n", "there is only one row"},
        Row{"empty", "", "there are no rows"}, Row{"only a header", "time,a,b\n", "there are no rows"},
        Row{"binary",
            std::string("\x7f"
                        "ELF\0\0\1\2\n\0\3",
                        11),
            "is not a text table"},
        Row{"no time", "a,b\n1,2\n3,4\n", "no column holds a time"},
        Row{"text only", "time,state\n2026-01-01T00:00:00Z,on\n2026-01-01T00:00:01Z,off\n", "no column with numbers"},
        Row{"constant", constant, "no sensor changes"},
        Row{"one name twice", "time,a,a\n2026-01-01T00:00:00Z,1,2\n", "two columns are called"}}) {
    SCOPED_TRACE(row.name);
    const auto table = folder_.path() / "table.csv";
    ASSERT_TRUE(write_file(table, row.text));
    EXPECT_EQ(run({"train", "telemetry", table.c_str(), "--out", (folder_.path() / "model").c_str()}), 2);
    EXPECT_THAT(errors_, HasSubstr("I cannot learn this, because"));
    EXPECT_THAT(errors_, HasSubstr(row.because));
  }
}

}  // namespace
}  // namespace verge::cli
