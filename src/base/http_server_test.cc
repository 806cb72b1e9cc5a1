#include "base/http_server.h"

#include <atomic>
#include <gmock/gmock.h>

#include "base/bytes.h"
#include "base/disk.h"
#include "base/http_site_for_tests.h"
#include "base/temporary_folder.h"

namespace verge {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;
using testing::Not;

/// Sends raw bytes and collects the answer, for what no well-behaved client does.
class RawClient {
 public:
  RawClient(Loop& loop, std::uint16_t port) : loop_(loop) {
    connect_tcp(loop, {.host = "127.0.0.1", .port = port}, [this](Result<ConnectionPointer> made) {
      connection_ = *made;
      connection_->start(
          {[this](std::string_view bytes) { heard_.append(bytes); }, [this](const Error&) { is_closed_ = true; }});
    });
    EXPECT_TRUE(run_until(loop, [&] { return connection_ != nullptr; }));
  }
  void send(std::string_view bytes) { connection_->send(bytes); }
  bool hears(std::string_view text) {
    return run_until(loop_, [&] { return heard_.find(text) != std::string::npos; });
  }
  bool is_closed() {
    return run_until(loop_, [&] { return is_closed_; });
  }
  const std::string& heard() const { return heard_; }
  void abort() { connection_->abort(); }

 private:
  Loop& loop_;
  ConnectionPointer connection_;
  std::string heard_;
  bool is_closed_ = false;
};

struct Site {
  explicit Site(HttpServer::Handlers handlers, HttpLimits limits = {}) : server(loop, std::move(handlers), limits) {
    port = *server.listen({});
  }
  explicit Site(std::function<void(HttpRequest, Respond)> handler, HttpLimits limits = {})
      : Site(HttpServer::Handlers{.request = std::move(handler)}, limits) {}
  Loop loop;
  HttpServer server;
  std::uint16_t port = 0;
};

std::size_t count_of(std::string_view text, std::string_view part) {
  std::size_t count = 0;
  for (auto at = text.find(part); at != std::string_view::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

TEST(HttpServer, PipelinedRequestsAreAnsweredInOrder) {
  std::vector<Respond> waiting;
  Site site([&](HttpRequest request, Respond respond) {
    if (request.path == "/slow") {
      waiting.push_back(std::move(respond));
    } else {
      respond(text_response("answer " + request.path));
    }
  });
  RawClient client(site.loop, site.port);
  client.send(
      "GET /slow HTTP/1.1\r\n\r\n"
      "POST /two HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc"
      "GET /three HTTP/1.1\r\n\r\n");
  ASSERT_TRUE(run_until(site.loop, [&] { return waiting.size() == 1; }));
  site.loop.run_for(milliseconds(5));
  EXPECT_EQ(client.heard(), "");
  waiting[0](text_response("answer /slow"));
  EXPECT_TRUE(client.hears("answer /three"));
  EXPECT_LT(client.heard().find("answer /slow"), client.heard().find("answer /two"));
  EXPECT_LT(client.heard().find("answer /two"), client.heard().find("answer /three"));
  EXPECT_EQ(count_of(client.heard(), "Connection: keep-alive"), 3U);
}

TEST(HttpServer, ThousandPipelinedRequestsDoNotRecurse) {
  int count = 0;
  Site site([&](const HttpRequest&, const Respond& respond) { respond(text_response(std::to_string(++count))); });
  RawClient client(site.loop, site.port);
  std::string requests;
  for (int i = 0; i < 20'000; ++i) requests += "GET / HTTP/1.1\r\n\r\n";
  client.send(requests);
  EXPECT_TRUE(client.hears("\r\n\r\n20000"));
}

TEST(HttpServer, RequestsInSingleBytes) {
  Site site(answer_echo);
  RawClient client(site.loop, site.port);
  for (const char c : std::string("POST /a?b=c HTTP/1.1\r\nX-Test: y\r\nContent-Length: 2\r\n\r\nhi")) {
    client.send({&c, 1});
    site.loop.run_for(milliseconds(0));
  }
  EXPECT_TRUE(client.hears("\"header\":\"y\""));
  EXPECT_THAT(client.heard(), HasSubstr("\"body_bytes\":2"));
}

TEST(HttpServer, KeepAliveAndClose) {
  Site site(answer_echo);
  RawClient by_request(site.loop, site.port);
  by_request.send("GET / HTTP/1.1\r\nConnection: close\r\n\r\n");
  EXPECT_TRUE(by_request.is_closed());
  EXPECT_THAT(by_request.heard(), HasSubstr("Connection: close"));
  RawClient old(site.loop, site.port);
  old.send("GET / HTTP/1.0\r\n\r\n");
  EXPECT_TRUE(old.is_closed());
  RawClient old_but_keeping(site.loop, site.port);
  old_but_keeping.send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  EXPECT_TRUE(old_but_keeping.hears("Connection: keep-alive"));
}

TEST(HttpServer, BodiesOverThePlanAre413) {
  HttpServer::Handlers handlers{.request = answer_echo};
  handlers.plan_body = [](const HttpRequest& head) {
    EXPECT_EQ(head.path, "/upload");
    return BodyPlan{.bytes_max = 10};
  };
  Site site(std::move(handlers));
  RawClient announced(site.loop, site.port);
  announced.send("POST /upload HTTP/1.1\r\nContent-Length: 11\r\n\r\n");
  EXPECT_TRUE(announced.hears("413 Content Too Large"));
  announced.send(std::string(1'000'000, 'x'));  // it may go on for a moment; the answer is not lost
  EXPECT_TRUE(announced.is_closed());
  RawClient chunked(site.loop, site.port);
  chunked.send("POST /upload HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nabcdef\r\n");
  site.loop.run_for(milliseconds(2));
  EXPECT_EQ(chunked.heard(), "");
  chunked.send("6\r\nabcdef\r\n");
  EXPECT_TRUE(chunked.hears("413 Content Too Large"));
  EXPECT_TRUE(chunked.is_closed());
  RawClient fits(site.loop, site.port);
  fits.send("POST /upload HTTP/1.1\r\nContent-Length: 10\r\n\r\n0123456789");
  EXPECT_TRUE(fits.hears("200 OK"));
}

TEST(HttpServer, GarbageIs400AndTooLongHeadsAre431) {
  Site site(answer_echo);
  for (const std::string& bad : {std::string("\x16\x03\x01\r\n\r\n"), std::string("GET /%zz HTTP/1.1\r\n\r\n"),
                                 std::string("GET noslash HTTP/1.1\r\n\r\n"), std::string("GET / HTTP/9.9\r\n\r\n")}) {
    RawClient client(site.loop, site.port);
    client.send(bad);
    EXPECT_TRUE(client.hears("HTTP/1.1 400 Bad Request")) << bad;
    EXPECT_TRUE(client.is_closed());
  }
  RawClient client(site.loop, site.port);
  client.send("GET / HTTP/1.1\r\nX: " + std::string(70'000, 'x') + "\r\n\r\n");
  EXPECT_TRUE(client.hears("HTTP/1.1 431 "));
}

TEST(HttpServer, ExpectContinueIsAnswered) {
  Site site(answer_echo);
  RawClient client(site.loop, site.port);
  client.send("POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
  EXPECT_TRUE(client.hears("HTTP/1.1 100 Continue\r\n\r\n"));
  client.send("ab");
  EXPECT_TRUE(client.hears("\"body_bytes\":2"));
}

TEST(HttpServer, BodiesAreSpooledAndTheFileGoesAway) {
  const TemporaryFolder folder;
  HttpServer::Handlers handlers;
  std::filesystem::path seen;
  Respond keep;
  handlers.request = [&](HttpRequest request, Respond respond) {
    seen = request.body_file;
    EXPECT_EQ(std::filesystem::file_size(seen), 3'000'000U);
    keep = std::move(respond);
  };
  handlers.plan_body = [&](const HttpRequest&) {
    return BodyPlan{.bytes_max = 1U << 30U, .spool_folder = folder.path() / "spool"};
  };
  Site site(std::move(handlers));
  RawClient client(site.loop, site.port);
  client.send("PUT / HTTP/1.1\r\nContent-Length: 3000000\r\n\r\n");
  client.send(random_bytes(3'000'000));
  ASSERT_TRUE(run_until(site.loop, [&] { return keep != nullptr; }));
  EXPECT_TRUE(std::filesystem::exists(seen));
  keep(text_response("stored"));
  EXPECT_TRUE(client.hears("stored"));
  keep = nullptr;
  EXPECT_FALSE(std::filesystem::exists(seen));
  // A client that leaves in the middle leaves nothing behind.
  RawClient quitter(site.loop, site.port);
  quitter.send("PUT / HTTP/1.1\r\nContent-Length: 3000000\r\n\r\nabc");
  ASSERT_TRUE(run_until(site.loop, [&] { return !system_disk().list(folder.path() / "spool")->empty(); }));
  quitter.abort();
  EXPECT_TRUE(run_until(site.loop, [&] { return system_disk().list(folder.path() / "spool")->empty(); }));
}

TEST(HttpServer, AFolderThatCannotTakeTheBodyIs507) {
  HttpServer::Handlers handlers{.request = answer_echo};
  handlers.plan_body = [](const HttpRequest&) { return BodyPlan{.spool_folder = "/proc/nowhere"}; };
  Site site(std::move(handlers));
  RawClient client(site.loop, site.port);
  client.send("PUT / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc");
  EXPECT_TRUE(client.hears("507 Insufficient Storage"));
}

struct RangeRow {
  std::string range;
  int status;
  std::string content_range, body;
};

TEST(HttpServer, FilesAndRanges) {
  const TemporaryFolder folder;
  const auto path = folder.path() / "f";
  ASSERT_TRUE(write_file(path, "0123456789"));
  Site site([&](const HttpRequest& request, const Respond& respond) {
    HttpResponse response;
    response.headers.set("ETag", "\"v1\"");
    response.file = request.path == "/absent" ? folder.path() / "absent" : path;
    respond(std::move(response));
  });
  const RangeRow rows[] = {
      {"", 200, "", "0123456789"},
      {"Range: bytes=2-4", 206, "bytes 2-4/10", "234"},
      {"Range: bytes=7-", 206, "bytes 7-9/10", "789"},
      {"Range: bytes=-3", 206, "bytes 7-9/10", "789"},
      {"Range: bytes=-99", 206, "bytes 0-9/10", "0123456789"},
      {"Range: bytes=8-99", 206, "bytes 8-9/10", "89"},
      {"Range: bytes=10-", 416, "bytes */10", ""},
      {"Range: bytes=-0", 416, "bytes */10", ""},
      {"Range: bytes=5-2", 200, "", "0123456789"},
      {"Range: bytes=1-2,4-5", 200, "", "0123456789"},
      {"Range: lines=1-2", 200, "", "0123456789"},
      {"Range: bytes=x-y", 200, "", "0123456789"},
      {"Range: bytes=2-4\r\nIf-Range: \"v1\"", 206, "bytes 2-4/10", "234"},
      {"Range: bytes=2-4\r\nIf-Range: \"v0\"", 200, "", "0123456789"},
  };
  for (const auto& row : rows) {
    RawClient client(site.loop, site.port);
    client.send("GET / HTTP/1.1\r\nConnection: close\r\n" + row.range + (row.range.empty() ? "\r\n" : "\r\n\r\n"));
    ASSERT_TRUE(client.is_closed()) << row.range;
    EXPECT_THAT(client.heard(), HasSubstr("HTTP/1.1 " + std::to_string(row.status) + " ")) << row.range;
    if (!row.content_range.empty()) {
      EXPECT_THAT(client.heard(), HasSubstr("Content-Range: " + row.content_range + "\r\n"));
    }
    EXPECT_TRUE(client.heard().ends_with("\r\n\r\n" + row.body)) << row.range << "\n" << client.heard();
    EXPECT_THAT(client.heard(), HasSubstr("Content-Length: " + std::to_string(row.body.size()) + "\r\n"));
  }
  RawClient head(site.loop, site.port);
  head.send("HEAD / HTTP/1.1\r\n\r\nGET /absent HTTP/1.1\r\n\r\n");
  EXPECT_TRUE(head.hears("404 Not Found"));
  EXPECT_THAT(head.heard(), HasSubstr("Content-Length: 10\r\n"));
  EXPECT_THAT(head.heard(), Not(HasSubstr("0123456789")));
}

TEST(HttpServer, StatusesWithoutABodyAndForgedHeaders) {
  Site site([](const HttpRequest& request, const Respond& respond) {
    HttpResponse response = text_response("never sent", request.path == "/304" ? 304 : 204);
    response.headers.set("X-Evil", "a\r\nSet-Cookie: b");
    respond(std::move(response));
  });
  RawClient client(site.loop, site.port);
  client.send("GET /204 HTTP/1.1\r\n\r\nGET /304 HTTP/1.1\r\nConnection: close\r\n\r\n");
  EXPECT_TRUE(client.is_closed());
  EXPECT_THAT(client.heard(), Not(HasSubstr("never sent")));
  EXPECT_THAT(client.heard(), Not(HasSubstr("Content-Length")));
  EXPECT_THAT(client.heard(), Not(HasSubstr("\r\nSet-Cookie")));
}

TEST(HttpServer, SlowClientsAndSlowHandlersAreCutOff) {
  std::vector<Respond> never;
  Site site([&](const HttpRequest&, Respond respond) { never.push_back(std::move(respond)); },
            {.idle = milliseconds(800),
             .request = milliseconds(800),
             .answer = milliseconds(800),
             .progress = milliseconds(800)});
  RawClient idle(site.loop, site.port);
  RawClient half_head(site.loop, site.port);
  half_head.send("GET / HTTP/1.1\r\n");  // At once: the idle ones are cut off, too.
  RawClient half_body(site.loop, site.port);
  half_body.send("POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nab");
  RawClient unanswered(site.loop, site.port);
  unanswered.send("GET / HTTP/1.1\r\n\r\n");
  EXPECT_TRUE(idle.is_closed());
  EXPECT_EQ(idle.heard(), "");
  EXPECT_TRUE(half_head.hears("408 Request Timeout"));
  EXPECT_TRUE(half_body.hears("408 Request Timeout"));
  EXPECT_TRUE(unanswered.is_closed());
  ASSERT_EQ(never.size(), 1U);
  never[0](text_response("too late"));
  site.loop.run_for(milliseconds(5));
  EXPECT_EQ(unanswered.heard(), "");
}

TEST(HttpServer, ClosingAnswersWhatIsUnderWay) {
  Respond waiting;
  Site site([&](const HttpRequest&, Respond respond) { waiting = std::move(respond); });
  RawClient idle(site.loop, site.port);
  RawClient busy(site.loop, site.port);
  busy.send("GET / HTTP/1.1\r\n\r\n");
  ASSERT_TRUE(run_until(site.loop, [&] { return waiting != nullptr; }));
  site.server.close();
  EXPECT_TRUE(idle.is_closed());
  waiting(text_response("bye"));
  EXPECT_TRUE(busy.is_closed());
  EXPECT_THAT(busy.heard(), HasSubstr("Connection: close"));
  EXPECT_THAT(busy.heard(), HasSubstr("bye"));
}

}  // namespace
}  // namespace verge
