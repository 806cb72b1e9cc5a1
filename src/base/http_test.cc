#include "base/http.h"

#include <gtest/gtest.h>

#include "base/http_parser.h"
#include "base/json.h"

namespace verge {
namespace {

TEST(HttpHeaders, IgnoreCaseAndKeepOrder) {
  HttpHeaders headers;
  headers.add("Set-Cookie", "a");
  headers.add("set-cookie", "b");
  headers.set("Content-Type", "x");
  headers.set("content-type", "y");
  EXPECT_EQ(headers.get("SET-COOKIE"), "a");
  EXPECT_EQ(headers.get("Content-TYPE"), "y");
  EXPECT_TRUE(headers.has("content-type"));
  EXPECT_FALSE(headers.has("content"));
  EXPECT_EQ(headers.get("absent"), "");
  EXPECT_EQ(headers.all().size(), 3U);
}

using Segments = std::vector<std::string>;
using Query = std::map<std::string, std::string, std::less<>>;

struct TargetRow {
  std::string_view target, path;
  Segments segments;
  Query query;
};

TEST(Target, SplitsAndDecodes) {
  const TargetRow rows[] = {
      {"/", "/", {}, {}},
      {"/a/b%2Fc/", "/a/b%2Fc/", {"a", "b/c"}, {}},
      {"/a+b/%2B", "/a+b/%2B", {"a+b", "+"}, {}},
      {"/a//b", "/a//b", {"a", "b"}, {}},
      {"/x?a=1&b=%20c+d&&e&f=&=g&a=2", "/x", {"x"}, {{"a", "2"}, {"b", " c d"}, {"e", ""}, {"f", ""}, {"", "g"}}},
      {"/x?a=b=c?d", "/x", {"x"}, {{"a", "b=c?d"}}},
      {"/x?", "/x", {"x"}, {}},
      {"http://host:80/p?q=1", "/p", {"p"}, {{"q", "1"}}},
      {"https://host", "/", {}, {}},
      {"http://host?q", "/", {}, {{"q", ""}}},
      {"*", "*", {"*"}, {}},
  };
  for (const auto& row : rows) {
    HttpRequest request;
    request.query = {{"left", "over"}};
    ASSERT_TRUE(set_target(request, row.target)) << row.target;
    EXPECT_EQ(request.path, row.path) << row.target;
    EXPECT_EQ(request.segments(), row.segments) << row.target;
    EXPECT_EQ(request.query, row.query) << row.target;
  }
}

TEST(Target, RefusesWhatIsNone) {
  for (const std::string_view target :
       {"", "a", "host:80", "/%", "/%2", "/%zz", "/x?a=%g0", "/x?%", "/a b", "/a\r\nX: y", "ftp://x/"}) {
    HttpRequest request;
    const auto status = set_target(request, target);
    ASSERT_FALSE(status) << target;
    EXPECT_EQ(status.error().code, ErrorCode::invalid_argument);
  }
}

TEST(Responses, JsonAndText) {
  const auto json = json_response(Json{{"a", 1}}, 201);
  EXPECT_EQ(json.status, 201);
  EXPECT_EQ(json.body, "{\"a\":1}");
  EXPECT_EQ(json.headers.get("content-type"), "application/json; charset=utf-8");
  EXPECT_EQ(text_response("hi").body, "hi");
  EXPECT_EQ(reason_phrase(404), "Not Found");
  EXPECT_EQ(reason_phrase(299), "Status");
}

/// Feeds `text` in pieces of `step` bytes, as a connection would.
struct Parsed {
  HttpRequestParser::State state;
  std::string body, rest;
  int error_status;
};
Parsed parse(std::string_view text, std::size_t step) {
  std::string body;
  HttpRequestParser parser(1024, [&](std::string_view piece) {
    body += piece;
    return body.size() <= 100;
  });
  std::string input;
  while (!text.empty()) {
    const auto piece = text.substr(0, step);
    input += piece;
    text.remove_prefix(piece.size());
    for (std::size_t used = 1; used > 0 && !input.empty();) {
      used = parser.put(input);
      input.erase(0, used);
    }
  }
  return {parser.state(), body, input, parser.error_status()};
}

struct ParserRow {
  std::string text;
  HttpRequestParser::State state;
  std::string body, rest;
  int error_status;
};

TEST(Parser, AnySplitGivesTheSame) {
  using State = HttpRequestParser::State;
  const ParserRow rows[] = {
      {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", State::done, "", "", 0},
      {"GET / HTTP/1.1\r\n\r\nGET /2", State::done, "", "GET /2", 0},
      {"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhellorest", State::done, "hello", "rest", 0},
      {"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\nN", State::done,
       "abcde", "N", 0},
      {"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", State::done, "", "", 0},
      {"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: b\r\nC: d\r\n\r\nN", State::done, "", "N", 0},
      {"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n00a \r\n0123456789\r\n0;x\r\n\r\n", State::done,
       "0123456789", "", 0},
      {"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n", State::failed, "", "", 400},
      {"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\nX\n0\n\n", State::failed, "", "", 400},
      {"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n\r\n", State::failed, "", "", 400},
      {"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1000000000000000\r\n", State::failed, "", "", 400},
      {"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0;" + std::string(20'000, 'x'), State::failed, "", "",
       400},
      {"GET / HTTP/1.1\r\nHost", State::head, "", "", 0},
      {"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nhello", State::body, "hello", "", 0},
      {"GET / HTTP/1.1\r\nA: " + std::string(2000, 'x') + "\r\n\r\n", State::failed, "", "", 431},
      {"GET /%zz HTTP/1.1\r\n\r\n", State::failed, "", "", 400},
      {"GET / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", State::failed, "", "", 400},
      {"GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", State::failed, "", "", 400},
      {"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", State::failed, "", "", 400},
      {"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", State::failed, "", "", 400},
      {"POST / HTTP/1.1\r\nContent-Length: 101\r\n\r\n" + std::string(101, 'x'), State::failed, std::string(101, 'x'),
       "", 400},
      {"\x16\x03\x01 not http\r\n\r\n", State::failed, "", "", 400},
  };
  for (const auto& row : rows) {
    for (const std::size_t step : {std::size_t(1), std::size_t(3), std::size_t(7), row.text.size()}) {
      const auto got = parse(row.text, step);
      EXPECT_EQ(got.state, row.state) << row.text << " by " << step;
      EXPECT_EQ(got.error_status, row.error_status) << row.text << " by " << step;
      if (row.state == State::failed) continue;
      EXPECT_EQ(got.body, row.body) << row.text << " by " << step;
      if (row.state == State::done) {
        EXPECT_EQ(got.rest, row.rest) << row.text << " by " << step;
      }
    }
  }
}

}  // namespace
}  // namespace verge
