#include "base/http_client.h"

#include <atomic>
#include <gmock/gmock.h>

#include "base/bytes.h"
#include "base/certificates.h"
#include "base/http_site_for_tests.h"
#include "base/temporary_folder.h"

namespace verge {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;

TEST(HttpClient, MethodsHeadersBodies) {
  ServedSite site({.request = answer_echo});
  HttpHeaders headers;
  headers.set("X-Test", "v");
  for (const std::string method : {"GET", "POST", "PUT", "PATCH", "DELETE"}) {
    const auto response = fetch({.method = method, .url = site.url("/a%2Fb?x=1"), .headers = headers, .body = "abc"});
    ASSERT_TRUE(response) << response.error().message;
    const Json seen = *parse_json(response->body);
    EXPECT_EQ(seen["method"], method);
    EXPECT_EQ(seen["segments"], Json::array({"a/b"}));
    EXPECT_EQ(seen["query"]["x"], "1");
    EXPECT_EQ(seen["header"], "v");
    EXPECT_EQ(seen["body_bytes"], 3);
    EXPECT_EQ(response->headers.get("content-type"), "application/json; charset=utf-8");
  }
  const auto head = fetch({.method = "HEAD", .url = site.url("/")});
  EXPECT_EQ(head->status, 200);
  EXPECT_EQ(head->body, "");
  EXPECT_EQ((*parse_json(fetch({.method = "POST", .url = site.url("/")})->body))["body_bytes"], 0);
}

TEST(HttpClient, UploadsAndDownloadsFiles) {
  const TemporaryFolder folder;
  const auto path = folder.path() / "big";
  const std::string content = random_bytes(9'000'000);
  ASSERT_TRUE(write_file(path, content));
  HttpServer::Handlers handlers;
  handlers.request = [&](const HttpRequest& request, const Respond& respond) {
    if (request.method == "GET") {
      HttpResponse response;
      response.file = path;
      return respond(std::move(response));
    }
    respond(text_response(read_file(request.body_file).value() == content ? "same" : "different"));
  };
  handlers.plan_body = [&](const HttpRequest&) { return BodyPlan{1U << 30U, folder.path()}; };
  ServedSite site(std::move(handlers));
  EXPECT_EQ(fetch({.method = "PUT", .url = site.url("/"), .upload_file = path})->body, "same");
  EXPECT_EQ(fetch({.method = "PUT", .url = site.url("/"), .upload_file = folder.path() / "absent"}).error().code,
            ErrorCode::not_found);
  EXPECT_TRUE(fetch({.url = site.url("/")})->body == content);
  std::string heard;
  const auto sink = [&](std::string_view piece) {
    heard += piece;
    return heard.size() < 1'000'000;
  };
  const auto partial = fetch({.url = site.url("/"), .sink = sink});
  ASSERT_TRUE(partial);
  EXPECT_EQ(partial->status, 200);
  EXPECT_TRUE(content.starts_with(heard) && heard.size() >= 1'000'000 && heard.size() < content.size());
  EXPECT_EQ(fetch({.url = site.url("/"), .body_bytes_max = 1000}).error().code, ErrorCode::limit);
}

TEST(HttpClient, SinkGetsOnlySuccesses) {
  ServedSite site({.request = [](const HttpRequest&, const Respond& respond) { respond(text_response("no", 404)); }});
  bool is_called = false;
  const auto response = fetch({.url = site.url("/"), .sink = [&](std::string_view) { return is_called = true; }});
  EXPECT_FALSE(is_called);
  EXPECT_EQ(response->body, "no");
}

TEST(HttpClient, Redirects) {
  ServedSite site({.request = [](const HttpRequest& request, const Respond& respond) {
    HttpResponse response = text_response("at " + request.path);
    if (request.path == "/old") {
      response.status = 307;
      response.headers.set("Location", "/new");
    }
    respond(std::move(response));
  }});
  EXPECT_EQ(fetch({.url = site.url("/old")})->status, 307);
  EXPECT_EQ(fetch({.url = site.url("/old"), .follow_redirects = true})->body, "at /new");
}

TEST(HttpClient, Tls) {
  const auto authority = *make_authority("test");
  const auto made = *make_certificate(authority, {.common_name = "x", .ip_addresses = {"127.0.0.1"}});
  const auto stranger = *make_authority("stranger");
  ServedSite site({.request = [](const HttpRequest& request, const Respond& respond) {
    respond(json_response({{"tls", request.is_tls}, {"thumbprint", request.peer.certificate_thumbprint}}));
  }});
  const auto port = site.on_server([&](HttpServer& server) {
    return *server.listen({.tls = *TlsContext::make_server({.certificate_chain_pem = made.certificate_pem,
                                                            .key_pem = made.key_pem,
                                                            .request_client_certificate = true})});
  });
  const std::string url = "https://127.0.0.1:" + std::to_string(port) + "/";
  EXPECT_EQ(fetch({.url = url, .trust_pem = authority.certificate_pem})->body, R"({"thumbprint":"","tls":true})");
  const auto with_certificate = fetch({.url = url,
                                       .trust_pem = authority.certificate_pem,
                                       .certificate_pem = stranger.certificate_pem,
                                       .key_pem = stranger.key_pem});
  ASSERT_TRUE(with_certificate) << with_certificate.error().message;
  EXPECT_THAT(with_certificate->body, HasSubstr(*certificate_thumbprint(stranger.certificate_pem)));
  const auto refused = fetch({.url = url, .trust_pem = stranger.certificate_pem});
  EXPECT_EQ(refused.error().code, ErrorCode::unavailable);
  EXPECT_THAT(refused.error().message, HasSubstr("127.0.0.1"));
  const auto wrong_name =
      fetch({.url = "https://localhost:" + std::to_string(port), .trust_pem = authority.certificate_pem});
  EXPECT_EQ(wrong_name.error().code, ErrorCode::unavailable);
}

TEST(HttpClient, UnixSockets) {
  const TemporaryFolder folder;
  const auto path = folder.path() / "engine.sock";
  ServedSite site({.request = answer_echo});
  ASSERT_TRUE(site.on_server([&](HttpServer& server) { return bool(server.listen_unix(path, 0600)); }));
  const auto response = fetch({.url = "http://engine/v1.41/info", .unix_socket = path});
  ASSERT_TRUE(response) << response.error().message;
  const Json seen = *parse_json(response->body);
  EXPECT_EQ(seen["path"], "/v1.41/info");
  EXPECT_EQ(seen["peer"], "unix");
  EXPECT_EQ(fetch({.url = "http://engine/", .unix_socket = folder.path() / "absent"}).error().code,
            ErrorCode::unavailable);
}

TEST(HttpClient, TimeoutsAndCancelling) {
  std::vector<Respond> never;
  ServedSite site({.request = [&](const HttpRequest&, Respond respond) { never.push_back(std::move(respond)); }});
  EXPECT_EQ(fetch({.url = site.url("/"), .timeout = milliseconds(80)}).error().code, ErrorCode::timeout);
  std::atomic<int> polls = 0;
  const auto cancelled =
      fetch({.url = site.url("/"), .timeout = milliseconds(0), .is_cancelled = [&] { return ++polls > 1; }});
  EXPECT_EQ(cancelled.error().code, ErrorCode::unavailable);
  EXPECT_THAT(cancelled.error().message, HasSubstr("cancelled"));
}

TEST(HttpClient, BadAddresses) {
  EXPECT_EQ(fetch({.url = "ftp://127.0.0.1/"}).error().code, ErrorCode::invalid_argument);
  EXPECT_EQ(fetch({.url = "http://127.0.0.1:99999/"}).error().code, ErrorCode::invalid_argument);
  EXPECT_EQ(fetch({.url = "http://127.0.0.1:1/"}).error().code, ErrorCode::unavailable);
}

struct AnswerRow {
  int status;
  std::string body;
  ErrorCode code;
  std::string words;
};

TEST(RequireSuccess, UsesTheServersWords) {
  const AnswerRow rows[] = {
      {404, R"({"Message":"no device"})", ErrorCode::not_found, "no device"},
      {409, R"({"message":"name in use"})", ErrorCode::conflict, "name in use"},
      {412, R"({"errors":[{"code":"X","message":"digest"}]})", ErrorCode::conflict, "digest"},
      {401, R"({"error":{"message":"token"}})", ErrorCode::invalid_argument, "token"},
      {500, "plain words\n", ErrorCode::unavailable, "plain words"},
      {503, "", ErrorCode::unavailable, "503"},
      {429, "", ErrorCode::limit, "Too Many Requests"},
      {504, "[]", ErrorCode::timeout, "[]"},
      {422, "{}", ErrorCode::corrupt, "{}"},
      {302, "", ErrorCode::unavailable, "Found"},
  };
  for (const auto& row : rows) {
    HttpResponse response;
    response.status = row.status;
    response.body = row.body;
    const auto result = require_success(response, "create x");
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, row.code) << row.status;
    EXPECT_THAT(result.error().message, HasSubstr(row.words));
    EXPECT_THAT(result.error().message, testing::StartsWith("create x: "));
  }
  EXPECT_TRUE(require_success(HttpResponse{.status = 204}, "x"));
  HttpResponse long_answer{.status = 400, .body = std::string(9000, 'z')};
  EXPECT_LT(require_success(long_answer, "x").error().message.size(), 600U);
  EXPECT_EQ(require_success(Error{ErrorCode::timeout, "late"}, "x").error().message, "x: late");
}

TEST(HttpServer, RespondFromAnotherThreadAndOnlyOnce) {
  Workers workers(2, 100);
  ServedSite site({.request = [&](const HttpRequest&, const Respond& respond) {
    EXPECT_TRUE(workers.submit([respond] {
      respond(text_response("first"));
      respond(text_response("second"));
    }));
  }});
  for (int i = 0; i < 20; ++i) EXPECT_EQ(fetch({.url = site.url("/")})->body, "first");
}

}  // namespace
}  // namespace verge
