#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <thread>

#include "base/disk.h"
#include "inference/session.h"

namespace verge::inference {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

const char* const kFree = "src/inference/data/tiny_free.onnx";
const char* const kFixed = "src/inference/data/tiny_fixed.onnx";

std::unique_ptr<Session> load(const char* path, const SessionOptions& options = {}) {
  auto session = load_onnx(path, options);
  EXPECT_TRUE(session) << session.error().message;
  return session ? std::move(*session) : nullptr;
}

Tensor rows(std::int64_t count) {
  Tensor tensor(DataType::float32, {count, 4});
  auto values = tensor.values<float>();
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i % 4 + 1);
  return tensor;
}

void expect_row(std::span<const float> y) {
  // (1 2 3 4) times the matrix 0..11 plus (0.5, 0, -0.5).
  EXPECT_FLOAT_EQ(y[0], 60.5F);
  EXPECT_FLOAT_EQ(y[1], 70.0F);
  EXPECT_FLOAT_EQ(y[2], 79.5F);
}

TEST(OnnxRuntime, IsThePinnedVersion) {
  auto version = onnx_runtime_version();
  ASSERT_TRUE(version) << version.error().message;
  EXPECT_EQ(*version, "1.28.0");
}

TEST(OnnxRuntime, DescribesAModel) {
  const auto session = load(kFree);
  ASSERT_EQ(session->inputs().size(), 1U);
  EXPECT_EQ(session->inputs()[0].name, "x");
  EXPECT_EQ(session->inputs()[0].type, DataType::float32);
  EXPECT_EQ(to_text(session->inputs()[0].shape), "[?,4]");
  ASSERT_EQ(session->outputs().size(), 2U);
  EXPECT_EQ(session->outputs()[1].type, DataType::int64);
  EXPECT_EQ(session->engine(), "onnxruntime 1.28.0 cpu");
  EXPECT_THAT(session->model_digest(), StartsWith("sha256:"));
}

TEST(OnnxRuntime, RunsFixedAndFreeShapes) {
  for (const char* path : {kFixed, kFree}) {
    const auto session = load(path);
    const Tensor x = rows(1);
    const NamedTensor inputs[] = {{"x", &x}};
    auto outputs = session->run(inputs);
    ASSERT_TRUE(outputs) << outputs.error().message;
    ASSERT_EQ(outputs->size(), 2U);
    expect_row((*outputs)[0].values<float>());
    EXPECT_EQ((*outputs)[1].values<std::int64_t>()[0], 2);
  }
}

TEST(OnnxRuntime, AnswersOnlyWhatIsWantedInItsOrder) {
  const auto session = load(kFree);
  const Tensor x = rows(3);
  const NamedTensor inputs[] = {{"x", &x}};
  const std::string_view wanted[] = {"best", "y"};
  auto outputs = session->run(inputs, wanted);
  ASSERT_TRUE(outputs) << outputs.error().message;
  EXPECT_EQ(to_text((*outputs)[0].shape()), "[3]");
  EXPECT_EQ(to_text((*outputs)[1].shape()), "[3,3]");
  expect_row((*outputs)[1].values<float>().subspan(6));
}

TEST(OnnxRuntime, BytesInMemoryAreTheSameModel) {
  const auto bytes = read_file(kFixed);
  ASSERT_TRUE(bytes);
  auto session = load_onnx_bytes(*bytes);
  ASSERT_TRUE(session) << session.error().message;
  EXPECT_EQ((*session)->model_digest(), load(kFixed)->model_digest());
}

TEST(OnnxRuntime, SaysWhatTheModelWants) {
  const auto session = load(kFixed);
  const Tensor good = rows(1);
  const Tensor two = rows(2);
  const Tensor whole(DataType::int32, {1, 4});
  const struct {
    const char* name;
    std::vector<NamedTensor> inputs;
    std::vector<std::string_view> wanted;
    const char* message;
  } cases[] = {
      {"another name", {{"z", &good}}, {}, "no input \"z\"; it has \"x\" float32 [1,4]"},
      {"another shape", {{"x", &two}}, {}, "input \"x\" is [1,4], the caller gives [2,4]"},
      {"another type", {{"x", &whole}}, {}, "input \"x\" is float32, the caller gives int32"},
      {"too few", {}, {}, "it has 1 inputs, the caller gives 0"},
      {"unknown output", {{"x", &good}}, {"q"}, "no output \"q\""},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.name);
    auto outputs = session->run(c.inputs, c.wanted);
    ASSERT_FALSE(outputs);
    EXPECT_EQ(outputs.error().code, ErrorCode::invalid_argument);
    EXPECT_THAT(outputs.error().message, HasSubstr(c.message));
  }
}

TEST(OnnxRuntime, RefusesWhatIsNoModel) {
  auto missing = load_onnx("/nonexistent/door.onnx");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, ErrorCode::not_found);
  EXPECT_THAT(missing.error().message, HasSubstr("door.onnx"));
  auto garbage = load_onnx_bytes("this is no protobuf");
  ASSERT_FALSE(garbage);
  EXPECT_EQ(garbage.error().code, ErrorCode::corrupt);
  const auto bytes = read_file(kFixed);
  ASSERT_TRUE(bytes);
  auto cut = load_onnx_bytes(std::string_view(*bytes).substr(0, bytes->size() / 2));
  EXPECT_FALSE(cut);
  EXPECT_FALSE(load_onnx(kFixed, {.threads = 0}));
  EXPECT_FALSE(load_onnx(kFixed, {.threads = 1, .device = "abacus"}));
}

TEST(OnnxRuntime, ASessionServesSeveralThreads) {
  const auto session = load(kFree);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      const Tensor x = rows(t + 1);
      const NamedTensor inputs[] = {{"x", &x}};
      for (int i = 0; i < 200; ++i) {
        auto outputs = session->run(inputs);
        ASSERT_TRUE(outputs);
        expect_row((*outputs)[0].values<float>());
      }
    });
  }
  for (auto& thread : threads) thread.join();
}

}  // namespace
}  // namespace verge::inference
