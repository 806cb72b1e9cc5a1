// The review page's server, asked as a browser would.
#include "cli/review_server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/bytes.h"
#include "base/http_client.h"
#include "base/json.h"
#include "base/loop_for_tests.h"
#include "base/temporary_folder.h"

namespace verge::cli {
namespace {

using testing::HasSubstr;

class Review : public ::testing::Test {
 protected:
  void SetUp() override {
    dataset_ = *audio::Dataset::create(folder_.path() / "d", {});
    audio::Clip sure, unsure;
    sure.media = "media/sure.flac";
    sure.text = sure.heard = "go on";
    sure.words = {{"go", 0.9}, {"on", 0.95}};
    unsure.media = "media/unsure.flac";
    unsure.text = unsure.heard = "line free stop";
    unsure.words = {{"line", 0.9}, {"free", 0.2}, {"stop", 0.8}};
    for (auto& clip : {sure, unsure}) {
      ASSERT_TRUE(dataset_->add_media(clip.media, "not really sound"));
      ASSERT_TRUE(dataset_->put(clip));
    }
    thread_.on_loop([&] {
      server_ = *ReviewServer::start(thread_.loop(), *dataset_, {{"review/index.html", "<p>page"}}, 0);
      return true;
    });
    address_ = server_->address();
    root_ = address_.substr(0, address_.find("/?"));
  }
  void TearDown() override {
    thread_.on_loop([&] {
      server_.reset();
      return true;
    });
  }

  HttpResponse ask(const std::string& method, const std::string& target, const std::string& body = "",
                   std::vector<std::pair<std::string, std::string>> headers = {}) {
    HttpCall call;
    call.method = method;
    call.url = root_ + target;
    call.body = body;
    if (!cookie_.empty()) call.headers.set("Cookie", cookie_);
    for (const auto& [name, value] : headers) call.headers.set(name, value);
    auto response = fetch(call);
    EXPECT_TRUE(response) << response.error().message;
    return response ? *response : HttpResponse{};
  }
  void log_in() {
    const auto response = ask("GET", address_.substr(root_.size()));
    ASSERT_EQ(response.status, 303);
    const std::string cookie(response.headers.get("Set-Cookie"));
    EXPECT_THAT(cookie, HasSubstr("HttpOnly; SameSite=Strict"));
    cookie_ = cookie.substr(0, cookie.find(';'));
  }
  HttpResponse put(const std::string& media, const Json& body) {
    return ask("PUT", "/api/clip?media=" + percent_encode(media), to_text(body), {{"X-Verge", "1"}});
  }

  TemporaryFolder folder_;
  std::unique_ptr<audio::Dataset> dataset_;
  LoopThread thread_;
  std::unique_ptr<ReviewServer> server_;
  std::string address_, root_, cookie_;
};

TEST_F(Review, OpensOnceWithItsToken) {
  EXPECT_EQ(ask("GET", "/").status, 401);
  EXPECT_EQ(ask("GET", "/api/clips").status, 401);
  EXPECT_EQ(ask("GET", "/?token=00").status, 401);
  log_in();
  EXPECT_THAT(ask("GET", "/").body, HasSubstr("page"));
  EXPECT_EQ(ask("GET", address_.substr(root_.size())).status, 303) << "a reload in the same browser";
  cookie_.clear();
  EXPECT_EQ(ask("GET", address_.substr(root_.size())).status, 401) << "the token was used";
}

TEST_F(Review, RefusesOtherHostsAndOtherSites) {
  log_in();
  EXPECT_EQ(ask("GET", "/api/clips", "", {{"Host", "evil.example"}}).status, 403);
  EXPECT_EQ(ask("PUT", "/api/clip?media=media%2Fsure.flac", R"({"text": "x", "revision": 1})").status, 403);
  EXPECT_EQ(ask("DELETE", "/api/clip").status, 405);
  EXPECT_EQ(ask("GET", "/api/sound?media=..%2F..%2Fetc%2Fpasswd").status, 404);
}

TEST_F(Review, ListsTheMostDoubtfulFirstAndPlaysIt) {
  log_in();
  const auto list = *parse_json(ask("GET", "/api/clips").body);
  ASSERT_EQ(list["clips"].size(), 2U);
  EXPECT_EQ(list["clips"][0]["media"], "media/unsure.flac");
  const auto sound = ask("GET", "/api/sound?media=media%2Funsure.flac");
  EXPECT_EQ(sound.body, "not really sound");
  EXPECT_EQ(sound.headers.get("Content-Type"), "audio/flac");
}

TEST_F(Review, ChangesAreOnDiskWhenAcknowledged) {
  log_in();
  const auto changed = put("media/unsure.flac", {{"text", "line three stop"}, {"reviewed", true}, {"revision", 1}});
  ASSERT_EQ(changed.status, 200) << changed.body;
  EXPECT_EQ((*parse_json(changed.body))["revision"], 2);
  const auto stored = audio::Dataset::open(folder_.path() / "d", audio::Dataset::Access::read);
  ASSERT_TRUE(stored);
  EXPECT_EQ((*stored)->find("media/unsure.flac")->text, "line three stop");
  EXPECT_EQ((*stored)->find("media/unsure.flac")->heard, "line free stop");
  EXPECT_EQ((*parse_json(ask("GET", "/api/clips").body))["clips"][1]["media"], "media/unsure.flac");
}

TEST_F(Review, TheSecondOfTwoTabsGetsWhatTheFirstWrote) {
  log_in();
  ASSERT_EQ(put("media/sure.flac", {{"text", "go home"}, {"revision", 1}}).status, 200);
  const auto second = put("media/sure.flac", {{"text", "go up"}, {"revision", 1}});
  ASSERT_EQ(second.status, 409);
  EXPECT_EQ((*parse_json(second.body))["clip"]["text"], "go home");
  EXPECT_EQ(dataset_->find("media/sure.flac")->text, "go home");
}

TEST_F(Review, SaysWhatIsWrongWithAChange) {
  log_in();
  EXPECT_EQ(put("media/none.flac", {{"revision", 1}}).status, 404);
  EXPECT_EQ(put("media/sure.flac", {{"text", 5}, {"revision", 1}}).status, 400);
  EXPECT_EQ(put("media/sure.flac", {{"text", "x"}}).status, 400);
  EXPECT_EQ(put("media/sure.flac", {{"text", "two\nlines"}, {"revision", 1}}).status, 400);
  EXPECT_EQ(put("media/sure.flac", {{"text", std::string(70'000, 'x')}, {"revision", 1}}).status, 413);
  EXPECT_EQ(dataset_->find("media/sure.flac")->revision, 1U);
}

}  // namespace
}  // namespace verge::cli
