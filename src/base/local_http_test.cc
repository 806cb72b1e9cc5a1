#include "base/local_http.h"

#include <gmock/gmock.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <thread>
#include <unistd.h>

#include "base/bytes.h"
#include "base/http_answer.h"
#include "base/http_site_for_tests.h"
#include "base/temporary_folder.h"

namespace verge {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;

class LocalHttp : public testing::Test {
 protected:
  void serve(HttpServer::Handlers handlers) {
    site_ = std::make_unique<ServedSite>(std::move(handlers));
    ASSERT_TRUE(site_->on_server([&](HttpServer& server) { return bool(server.listen_unix(socket_, 0600)); }));
  }
  HttpCall call(std::string method, std::string target, std::string body = {}) const {
    HttpCall call;
    call.method = std::move(method);
    call.url = "http://workload" + target;
    call.body = std::move(body);
    call.unix_socket = socket_;
    return call;
  }

  const TemporaryFolder folder_;
  const std::filesystem::path socket_ = folder_.path() / "s";
  std::unique_ptr<ServedSite> site_;
};

TEST_F(LocalHttp, MeansTheSameAsFetch) {
  serve({.request = answer_echo});
  for (const std::string method : {"GET", "POST", "PUT", "DELETE"}) {
    auto request = call(method, "/a%2Fb?x=1", "abc");
    request.headers.set("X-Test", "v");
    const auto ours = fetch_local(request);
    const auto theirs = fetch(request);
    ASSERT_TRUE(ours) << ours.error().message;
    ASSERT_TRUE(theirs) << theirs.error().message;
    EXPECT_EQ(ours->body, theirs->body);
    EXPECT_EQ(ours->status, 200);
    EXPECT_EQ(ours->headers.get("content-type"), "application/json; charset=utf-8");
  }
  EXPECT_EQ(fetch_local(call("HEAD", "/"))->body, "");
}

TEST_F(LocalHttp, TakesLargeAnswersUpToTheBound) {
  const std::string content = random_bytes(3'000'000);
  serve({.request = [&](const HttpRequest&, const Respond& respond) { respond(text_response(content)); }});
  EXPECT_TRUE(fetch_local(call("GET", "/"))->body == content);
  auto bounded = call("GET", "/");
  bounded.body_bytes_max = 1000;
  EXPECT_EQ(fetch_local(bounded).error().code, ErrorCode::limit);
}

TEST_F(LocalHttp, SendsLargeBodies) {
  serve({.request = answer_echo});
  const auto response = fetch_local(call("POST", "/", std::string(900'000, 'x')));
  ASSERT_TRUE(response) << response.error().message;
  EXPECT_THAT(response->body, HasSubstr("\"body_bytes\":900000"));
}

TEST_F(LocalHttp, SaysWhatIsWrong) {
  EXPECT_EQ(fetch_local(call("GET", "/")).error().code, ErrorCode::unavailable);
  std::vector<Respond> never;
  serve({.request = [&](const HttpRequest&, Respond respond) { never.push_back(std::move(respond)); }});
  auto slow = call("GET", "/slow?secret=1");
  slow.timeout = milliseconds(80);
  const auto late = fetch_local(slow);
  EXPECT_EQ(late.error().code, ErrorCode::timeout);
  EXPECT_THAT(late.error().message, HasSubstr("GET http://workload/slow: "));
  auto plain = call("GET", "/");
  plain.unix_socket.clear();
  EXPECT_EQ(fetch_local(plain).error().code, ErrorCode::invalid_argument);
  for (const auto* url : {"https://x/", "http://x", "http://x/a b"}) {
    auto bad = call("GET", "/");
    bad.url = url;
    EXPECT_EQ(fetch_local(bad).error().code, ErrorCode::invalid_argument) << url;
  }
  auto deep = call("GET", "/");
  deep.unix_socket = "/" + std::string(200, 'x');
  EXPECT_EQ(fetch_local(deep).error().code, ErrorCode::invalid_argument);
}

struct AnswerBytes {
  const char* what;
  std::string bytes;
  std::optional<ErrorCode> error;
  int status = 0;
  std::string body = {};
};

TEST(HttpAnswer, ReadsAnyCut) {
  const AnswerBytes rows[] = {
      {"counted", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcd", {}, 200, "abc"},
      {"empty", "HTTP/1.1 404 Not Found\r\ncontent-length:0\r\n\r\n", {}, 404, ""},
      {"no body by its status", "HTTP/1.1 204 No Content\r\n\r\n", {}, 204, ""},
      {"until the end", "HTTP/1.0 200 OK\r\n\r\nabc", {}, 200, "abc"},
      {"chunked",
       "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n",
       {},
       200,
       "abc"},
      {"after an interim one",
       "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 1\r\n\r\nx",
       {},
       201,
       "x"},
      {"no HTTP", "SSH-2.0\r\n\r\n", ErrorCode::corrupt},
      {"a status that is none", "HTTP/1.1 abc x\r\n\r\n", ErrorCode::corrupt},
      {"a length that is none", "HTTP/1.1 200 OK\r\nContent-Length: 3x\r\n\r\nabc", ErrorCode::corrupt},
      {"a field without a name", "HTTP/1.1 200 OK\r\n: 3\r\n\r\n", ErrorCode::corrupt},
      {"an unknown encoding", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", ErrorCode::corrupt},
      {"chunks that are none", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz", ErrorCode::corrupt},
      {"too early an end", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab", ErrorCode::unavailable},
      {"an end in the head", "HTTP/1.1 200 OK\r\nConte", ErrorCode::unavailable},
      {"a long head", "HTTP/1.1 200 OK\r\nA: " + std::string(5000, 'a') + "\r\n\r\n", ErrorCode::limit},
      {"interim answers for ever",
       "HTTP/1.1 100 Continue\r\nA: " + std::string(2000, 'a') +
           "\r\n\r\nHTTP/1.1 100 Continue\r\nA: " + std::string(3000, 'a') + "\r\n\r\n",
       ErrorCode::limit},
      {"a long body", "HTTP/1.1 200 OK\r\n\r\n" + std::string(101, 'a'), ErrorCode::limit},
  };
  for (const auto& row : rows) {
    for (const std::size_t piece : {1U, 2U, 7U, 100'000U}) {
      SCOPED_TRACE(std::string(row.what) + " in pieces of " + std::to_string(piece));
      HttpAnswerReader reader({.head_bytes_max = 4096, .body_bytes_max = 100}, false);
      Status status = Done{};
      for (std::size_t at = 0; status && at < row.bytes.size(); at += piece)
        status = reader.put(std::string_view(row.bytes).substr(at, piece));
      if (status) status = reader.end();
      ASSERT_EQ(bool(status), !row.error.has_value()) << (status ? "" : status.error().message);
      if (row.error) {
        EXPECT_EQ(status.error().code, *row.error);
        continue;
      }
      EXPECT_EQ(reader.response().status, row.status);
      EXPECT_EQ(reader.response().body, row.body);
    }
  }
}

}  // namespace
}  // namespace verge
