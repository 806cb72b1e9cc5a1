#include "inference/open_session.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/crypto.h"
#include "base/disk.h"
#include "base/json.h"
#include "inference/openvino_cache_for_tests.h"

namespace verge::inference {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

const char* const kModel = "src/inference/data/tiny_fixed.onnx";

Result<OpenedSession> open(const EngineWish& wish) {
  const auto digest = sha256_digest_of_file(kModel);
  return open_session(kModel, digest ? *digest : "", wish);
}

TEST(OpenSession, WithoutAWishIsOnnxRuntimeOnTheCpuUnlessAnotherIsClearlyFaster) {
  const auto opened = open({});
  ASSERT_TRUE(opened) << opened.error().message;
  EXPECT_FALSE(opened->fell_back);
  // Where OpenVINO is here, either may win this tiny model; the reason then says so with numbers.
  const std::string engine = opened->session->engine();
  if (engine != "onnxruntime 1.28.0 cpu") {
    EXPECT_THAT(opened->reason, HasSubstr("is faster than onnxruntime 1.28.0 cpu"));
  }
}

TEST(OpenSession, TheSameWishSharesASessionAsLongAsSomebodyHasIt) {
  const EngineWish wish{.engine = "onnxruntime", .device = "cpu"};
  auto first = open(wish);
  auto second = open(wish);
  ASSERT_TRUE(first && second);
  EXPECT_EQ(first->session, second->session);
  EngineWish other = wish;
  other.threads = 2;
  EXPECT_NE(open(other)->session, first->session);
  const std::weak_ptr<Session> watched = first->session;
  first = Error{ErrorCode::internal, ""};
  second = Error{ErrorCode::internal, ""};
  EXPECT_TRUE(watched.expired());
}

TEST(OpenSession, WhatIsNotHereIsAnErrorOrAReportedFallback) {
  // The pinned ONNX Runtime is the one for CPUs.
  EngineWish wish{.engine = "onnxruntime", .device = "cuda"};
  const auto refused = open(wish);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::unavailable);
  EXPECT_THAT(refused.error().message, HasSubstr("without CUDAExecutionProvider, which device \"cuda\" needs"));
  wish.may_fall_back = true;
  const auto fallen = open(wish);
  ASSERT_TRUE(fallen) << fallen.error().message;
  EXPECT_TRUE(fallen->fell_back);
  EXPECT_EQ(fallen->session->engine(), "onnxruntime 1.28.0 cpu");
  EXPECT_THAT(fallen->reason, HasSubstr("CUDAExecutionProvider"));
  wish = {.engine = "onnxruntime", .device = "auto"};
  EXPECT_FALSE(open(wish)->fell_back);
}

TEST(OpenSession, AnEngineThatIsNotHereFallsBackToo) {
  setenv("VERGE_OPENVINO", "/nowhere/libopenvino_c.so", 1);
  EngineWish wish{.engine = "openvino", .device = "cpu"};
  const auto refused = open(wish);
  if (refused) GTEST_SKIP() << "OpenVINO is open in this process already";
  EXPECT_EQ(refused.error().code, ErrorCode::unavailable);
  EXPECT_THAT(refused.error().message, HasSubstr("/nowhere/libopenvino_c.so"));
  wish.may_fall_back = true;
  const auto fallen = open(wish);
  ASSERT_TRUE(fallen) << fallen.error().message;
  EXPECT_TRUE(fallen->fell_back);
  EXPECT_THAT(fallen->reason, HasSubstr("open OpenVINO 2026.4: not found"));
  EXPECT_THAT(fallen->reason, ::testing::Not(HasSubstr("\n")));
  unsetenv("VERGE_OPENVINO");
}

TEST(OpenSession, RefusesUnknownWords) {
  EXPECT_THAT(open({.engine = "abacus"}).error().message, HasSubstr("engine \"abacus\" is unknown; use auto,"));
  EXPECT_THAT(open({.device = "abacus"}).error().message, HasSubstr("device \"abacus\" is unknown; use auto, cpu"));
  // A mistake in the model is none of the engine's, and no reason to fall back.
  EXPECT_EQ(open_session("/nowhere.onnx", "", {.may_fall_back = true}).error().code, ErrorCode::not_found);
}

TEST(OpenSession, ATrialIsMadeOnceAndRemembered) {
  if (!find_openvino_for_tests()) GTEST_SKIP() << "NOT TESTED, OpenVINO is not here: tools/fetch.sh openvino";
  const std::string memory = ::testing::TempDir() + "/trials.json";
  std::filesystem::remove(memory);
  const EngineWish wish{.device = "cpu", .memory = memory};
  std::string reason;
  {
    const auto opened = open(wish);
    ASSERT_TRUE(opened) << opened.error().message;
    reason = opened->reason;
  }
  EXPECT_THAT(reason, HasSubstr("openvino 2026.4.1 cpu"));
  EXPECT_THAT(reason, HasSubstr("ms a run beside"));
  auto kept = parse_json(*read_file(memory));
  ASSERT_TRUE(kept);
  ASSERT_EQ(kept->size(), 1U);
  EXPECT_THAT(kept->begin().key(), HasSubstr("onnxruntime 1.28.0, openvino 2026.4.1"));
  kept->begin().value()["reason"] = "remembered";
  ASSERT_TRUE(write_file(memory, verge::to_text(*kept)));
  EXPECT_EQ(open(wish)->reason, "remembered");
  // What cannot be read costs a trial, no more.
  ASSERT_TRUE(write_file(memory, "[1, 2"));
  EXPECT_THAT(open(wish)->reason, HasSubstr("ms a run beside"));
}

}  // namespace
}  // namespace verge::inference
