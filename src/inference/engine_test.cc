// What every engine must do alike: ONNX Runtime always, OpenVINO where its library is.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <thread>

#include "base/disk.h"
#include "inference/openvino_cache_for_tests.h"
#include "inference/session.h"

namespace verge::inference {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

const char* const kFree = "src/inference/data/tiny_free.onnx";
const char* const kFixed = "src/inference/data/tiny_fixed.onnx";

struct Engine {
  const char* name;
  const char* words;  ///< Session::engine()
  Result<std::unique_ptr<Session>> (*load)(const std::filesystem::path&, const SessionOptions&, std::string);
  Result<std::unique_ptr<Session>> (*load_bytes)(std::string_view, const SessionOptions&);
  Result<std::string> (*version)();
  bool may_be_absent;
};

const Engine kOnnxRuntime{"OnnxRuntime",   "onnxruntime 1.28.0 cpu", load_onnx,
                          load_onnx_bytes, onnx_runtime_version,     false};
const Engine kOpenVino{"OpenVino", "openvino 2026.4.1 cpu", load_openvino, load_openvino_bytes, openvino_version, true};

class Engines : public ::testing::TestWithParam<Engine> {
 protected:
  void SetUp() override {
    find_openvino_for_tests();
    const auto version = engine().version();
    if (!version && engine().may_be_absent && version.error().code == ErrorCode::unavailable)
      GTEST_SKIP() << "NOT TESTED, its library is not here (tools/fetch.sh openvino): " << version.error().message;
    ASSERT_TRUE(version) << version.error().message;
  }
  const Engine& engine() const { return GetParam(); }
  std::unique_ptr<Session> load(const char* path, const SessionOptions& options = {}) const {
    auto session = engine().load(path, options, {});
    EXPECT_TRUE(session) << session.error().message;
    return session ? std::move(*session) : nullptr;
  }
};

INSTANTIATE_TEST_SUITE_P(Every, Engines, ::testing::Values(kOnnxRuntime, kOpenVino),
                         [](const auto& row) { return row.param.name; });

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

TEST_P(Engines, DescribeAModel) {
  const auto session = load(kFree);
  ASSERT_EQ(session->inputs().size(), 1U);
  EXPECT_EQ(session->inputs()[0].name, "x");
  EXPECT_EQ(session->inputs()[0].type, DataType::float32);
  EXPECT_EQ(to_text(session->inputs()[0].shape), "[?,4]");
  ASSERT_EQ(session->outputs().size(), 2U);
  EXPECT_EQ(session->outputs()[0].name, "y");
  EXPECT_EQ(session->outputs()[1].name, "best");
  EXPECT_EQ(session->outputs()[1].type, DataType::int64);
  EXPECT_EQ(session->engine(), engine().words);
  EXPECT_THAT(session->model_digest(), StartsWith("sha256:"));
}

TEST_P(Engines, RunFixedAndFreeShapes) {
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

TEST_P(Engines, AnswerOnlyWhatIsWantedInItsOrder) {
  const auto session = load(kFree);
  for (const std::int64_t count : {3, 1, 3}) {
    const Tensor x = rows(count);
    const NamedTensor inputs[] = {{"x", &x}};
    const std::string_view wanted[] = {"best", "y"};
    auto outputs = session->run(inputs, wanted);
    ASSERT_TRUE(outputs) << outputs.error().message;
    EXPECT_EQ((*outputs)[0].shape(), Shape({count}));
    EXPECT_EQ((*outputs)[1].shape(), Shape({count, 3}));
    expect_row((*outputs)[1].values<float>().last(3));
  }
}

TEST_P(Engines, ReadTheSameModelFromMemory) {
  const auto bytes = read_file(kFixed);
  ASSERT_TRUE(bytes);
  auto session = engine().load_bytes(*bytes, {});
  ASSERT_TRUE(session) << session.error().message;
  EXPECT_EQ((*session)->model_digest(), load(kFixed)->model_digest());
  const Tensor x = rows(1);
  const NamedTensor inputs[] = {{"x", &x}};
  auto outputs = (*session)->run(inputs);
  ASSERT_TRUE(outputs) << outputs.error().message;
  expect_row((*outputs)[0].values<float>());
}

TEST_P(Engines, SayWhatTheModelWants) {
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

TEST_P(Engines, RefuseWhatIsNoModel) {
  auto missing = engine().load("/nonexistent/door.onnx", {}, {});
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, ErrorCode::not_found);
  EXPECT_THAT(missing.error().message, HasSubstr("door.onnx"));
  auto garbage = engine().load_bytes("this is no protobuf", {});
  ASSERT_FALSE(garbage);
  EXPECT_EQ(garbage.error().code, ErrorCode::corrupt);
  const auto bytes = read_file(kFixed);
  ASSERT_TRUE(bytes);
  auto cut = engine().load_bytes(std::string_view(*bytes).substr(0, bytes->size() / 2), {});
  EXPECT_FALSE(cut);
  EXPECT_FALSE(engine().load(kFixed, {.threads = 0}, {}));
  EXPECT_FALSE(engine().load(kFixed, {.threads = 257}, {}));
}

TEST_P(Engines, TellAnUnknownDeviceFromOneThatIsNotHere) {
  const auto unknown = engine().load(kFixed, {.threads = 1, .device = "abacus"}, {});
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().code, ErrorCode::invalid_argument);
  EXPECT_THAT(unknown.error().message, HasSubstr("no device \"abacus\"; use cpu"));
  // The pinned ONNX Runtime is the one for CPUs, and OpenVINO has no CUDA at all.
  const auto absent = engine().load(kFixed, {.threads = 1, .device = "cuda"}, {});
  ASSERT_FALSE(absent);
  EXPECT_EQ(absent.error().code, ErrorCode::unavailable) << absent.error().message;
}

TEST_P(Engines, ServeSeveralThreadsByOneSession) {
  const auto session = load(kFree);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      const Tensor x = rows(t + 1);
      const NamedTensor inputs[] = {{"x", &x}};
      for (int i = 0; i < 100; ++i) {
        auto outputs = session->run(inputs);
        ASSERT_TRUE(outputs);
        ASSERT_EQ((*outputs)[0].shape(), Shape({t + 1, 3}));
        expect_row((*outputs)[0].values<float>());
      }
    });
  }
  for (auto& thread : threads) thread.join();
}

}  // namespace
}  // namespace verge::inference
