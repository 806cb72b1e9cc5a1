#include "base/http_client.h"

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <curl/curl.h>
#include <fmt/format.h>
#include <memory>
#include <mutex>

#include "base/bytes.h"

namespace verge {
namespace {

using std::chrono::steady_clock;

constexpr std::size_t kHeaderBytesMax = 256U << 10U;
constexpr long kRedirectsMax = 5;
constexpr auto kCancelPoll = std::chrono::milliseconds(500);

/// What the library's call-backs fill while one call runs.
struct Exchange {
  const HttpCall* call = nullptr;
  CURL* handle = nullptr;
  HttpResponse response;
  std::size_t header_bytes = 0;
  steady_clock::time_point next_poll = steady_clock::now();
  bool is_too_large = false;
  bool is_ended_by_sink = false;
  bool is_cancelled = false;
};

bool is_success(CURL* handle) {
  long status = 0;
  curl_easy_getinfo(handle, CURLINFO_RESPONSE_CODE, &status);
  return status >= 200 && status < 300;
}

/// Anything but `size` ends the call; the reason is in the exchange.
std::size_t take_body(char* bytes, std::size_t, std::size_t size, void* user) {
  auto& exchange = *static_cast<Exchange*>(user);
  if (exchange.call->sink && is_success(exchange.handle)) {
    if (exchange.call->sink({bytes, size})) return size;
    exchange.is_ended_by_sink = true;
    return 0;
  }
  if (exchange.response.body.size() + size > exchange.call->body_bytes_max) {
    exchange.is_too_large = true;
    return 0;
  }
  exchange.response.body.append(bytes, size);
  return size;
}

std::size_t take_header(char* bytes, std::size_t, std::size_t size, void* user) {
  auto& exchange = *static_cast<Exchange*>(user);
  const std::string_view line(bytes, size);
  exchange.header_bytes += size;
  if (exchange.header_bytes > kHeaderBytesMax) {
    exchange.is_too_large = true;
    return 0;
  }
  if (line.starts_with("HTTP/")) {  // a new head: what came before was "100 Continue" or a redirect
    exchange.response.headers = {};
    exchange.response.body.clear();
  } else if (const auto colon = line.find(':'); colon != std::string_view::npos) {
    exchange.response.headers.add(line.substr(0, colon), trimmed(line.substr(colon + 1)));
  }
  return size;
}

int watch(void* user, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  auto& exchange = *static_cast<Exchange*>(user);
  if (!exchange.call->is_cancelled || steady_clock::now() < exchange.next_poll) return 0;
  exchange.next_poll = steady_clock::now() + kCancelPoll;
  exchange.is_cancelled = exchange.call->is_cancelled();
  return exchange.is_cancelled ? 1 : 0;
}

std::size_t read_file_piece(char* target, std::size_t, std::size_t size, void* user) {
  auto* file = static_cast<std::FILE*>(user);
  const std::size_t got = std::fread(target, 1, size, file);
  return std::ferror(file) != 0 ? CURL_READFUNC_ABORT : got;
}

/// Needed when the server asks for the body again (a redirect, or a connection that was stale).
int seek_file(void* user, curl_off_t offset, int origin) {
  return std::fseek(static_cast<std::FILE*>(user), static_cast<long>(offset), origin) == 0 ? CURL_SEEKFUNC_OK
                                                                                           : CURL_SEEKFUNC_FAIL;
}

class HeaderList {
 public:
  ~HeaderList() { curl_slist_free_all(list_); }
  HeaderList() = default;
  HeaderList(const HeaderList&) = delete;
  HeaderList& operator=(const HeaderList&) = delete;
  void add(const std::string& line) { list_ = curl_slist_append(list_, line.c_str()); }
  curl_slist* get() const { return list_; }

 private:
  curl_slist* list_ = nullptr;
};

void fill_headers(HeaderList& list, const HttpCall& call) {
  for (const auto& [name, value] : call.headers.all()) {
    list.add(value.empty() ? name + ";" : fmt::format("{}: {}", name, value));
  }
  // The library's own additions: a guessed content type is worse than none, and waiting for "100
  // Continue" pays only for long bodies.
  if (!call.headers.has("Content-Type")) list.add("Content-Type:");
  if (!call.headers.has("Expect") && call.upload_file.empty()) list.add("Expect:");
}

curl_blob blob_of(const std::string& text) { return {const_cast<char*>(text.data()), text.size(), CURL_BLOB_NOCOPY}; }

void set_tls(CURL* handle, const HttpCall& call) {
  if (!call.trust_pem.empty()) {
    auto blob = blob_of(call.trust_pem);
    curl_easy_setopt(handle, CURLOPT_CAINFO_BLOB, &blob);
  }
  if (call.certificate_pem.empty() || call.key_pem.empty()) return;
  auto certificate = blob_of(call.certificate_pem);
  auto key = blob_of(call.key_pem);
  curl_easy_setopt(handle, CURLOPT_SSLCERT_BLOB, &certificate);
  curl_easy_setopt(handle, CURLOPT_SSLCERTTYPE, "PEM");
  curl_easy_setopt(handle, CURLOPT_SSLKEY_BLOB, &key);
  curl_easy_setopt(handle, CURLOPT_SSLKEYTYPE, "PEM");
}

/// A proxy from the environment is for the world outside this machine.
bool is_on_this_machine(const HttpCall& call) {
  if (!call.unix_socket.empty()) return true;
  const auto start = call.url.find("://");
  const std::string_view host = std::string_view(call.url).substr(start == std::string::npos ? 0 : start + 3);
  return host.starts_with("127.") || host.starts_with("localhost") || host.starts_with("[::1]");
}

void set_transport(CURL* handle, const HttpCall& call) {
  curl_easy_setopt(handle, CURLOPT_URL, call.url.c_str());
  curl_easy_setopt(handle, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(handle, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
  curl_easy_setopt(handle, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(handle, CURLOPT_TCP_NODELAY, 1L);
  curl_easy_setopt(handle, CURLOPT_TIMEOUT_MS, static_cast<long>(call.timeout.count()));
  curl_easy_setopt(handle, CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(call.connect_timeout.count()));
  if (!call.unix_socket.empty()) curl_easy_setopt(handle, CURLOPT_UNIX_SOCKET_PATH, call.unix_socket.c_str());
  if (is_on_this_machine(call)) curl_easy_setopt(handle, CURLOPT_NOPROXY, "*");
  if (call.follow_redirects) {
    curl_easy_setopt(handle, CURLOPT_FOLLOWLOCATION, 1L);
    curl_easy_setopt(handle, CURLOPT_MAXREDIRS, kRedirectsMax);
    curl_easy_setopt(handle, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
  }
}

void set_body(CURL* handle, const HttpCall& call, std::FILE* upload) {
  if (upload != nullptr) {
    std::error_code ignored;
    const auto size = std::filesystem::file_size(call.upload_file, ignored);
    curl_easy_setopt(handle, CURLOPT_UPLOAD, 1L);
    curl_easy_setopt(handle, CURLOPT_READFUNCTION, &read_file_piece);
    curl_easy_setopt(handle, CURLOPT_READDATA, upload);
    curl_easy_setopt(handle, CURLOPT_SEEKFUNCTION, &seek_file);
    curl_easy_setopt(handle, CURLOPT_SEEKDATA, upload);
    curl_easy_setopt(handle, CURLOPT_INFILESIZE_LARGE, static_cast<curl_off_t>(size));
    curl_easy_setopt(handle, CURLOPT_UPLOAD_BUFFERSIZE, 512L * 1024);
  } else if (!call.body.empty() || call.method == "POST" || call.method == "PUT" || call.method == "PATCH") {
    curl_easy_setopt(handle, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(call.body.size()));
    curl_easy_setopt(handle, CURLOPT_POSTFIELDS, call.body.data());
  }
  if (call.method == "HEAD") {
    curl_easy_setopt(handle, CURLOPT_NOBODY, 1L);
  } else if (call.method != "GET" || !call.body.empty() || upload != nullptr) {
    curl_easy_setopt(handle, CURLOPT_CUSTOMREQUEST, call.method.c_str());
  }
}

void set_callbacks(CURL* handle, Exchange& exchange) {
  curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, &take_body);
  curl_easy_setopt(handle, CURLOPT_WRITEDATA, &exchange);
  curl_easy_setopt(handle, CURLOPT_HEADERFUNCTION, &take_header);
  curl_easy_setopt(handle, CURLOPT_HEADERDATA, &exchange);
  curl_easy_setopt(handle, CURLOPT_XFERINFOFUNCTION, &watch);
  curl_easy_setopt(handle, CURLOPT_XFERINFODATA, &exchange);
  curl_easy_setopt(handle, CURLOPT_NOPROGRESS, 0L);
}

Error call_error(const Exchange& exchange, CURLcode code, const char* details) {
  const HttpCall& call = *exchange.call;
  const std::string doing = fmt::format("{} {}", call.method, call.url.substr(0, call.url.find('?')));
  const std::string reason = *details != 0 ? details : curl_easy_strerror(code);
  if (exchange.is_cancelled) return {ErrorCode::unavailable, doing + ": cancelled"};
  if (exchange.is_too_large) {
    return {ErrorCode::limit, fmt::format("{}: the answer is larger than {} bytes", doing, call.body_bytes_max)};
  }
  switch (code) {
    case CURLE_OPERATION_TIMEDOUT:
      return {ErrorCode::timeout, fmt::format("{}: {}", doing, reason)};
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CACERT_BADFILE:
      return {ErrorCode::invalid_argument, fmt::format("{}: {}", doing, reason)};
    default:
      return {ErrorCode::unavailable, fmt::format("{}: {}", doing, reason)};
  }
}

void start_library_once() {
  static std::once_flag once;
  std::call_once(once, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });
}

}  // namespace

Result<HttpResponse> fetch(const HttpCall& call) {
  start_library_once();
  const std::unique_ptr<CURL, void (*)(CURL*)> handle(curl_easy_init(), &curl_easy_cleanup);
  VERGE_ASSERT(handle != nullptr);
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> upload(nullptr, &std::fclose);
  if (!call.upload_file.empty()) {
    upload.reset(std::fopen(call.upload_file.c_str(), "rbe"));
    if (upload == nullptr) {
      return Error{errno == ENOENT ? ErrorCode::not_found : ErrorCode::unavailable,
                   fmt::format("upload \"{}\": {}", call.upload_file.string(), std::strerror(errno))};
    }
  }
  Exchange exchange;
  exchange.call = &call;
  exchange.handle = handle.get();
  HeaderList headers;
  fill_headers(headers, call);
  std::array<char, CURL_ERROR_SIZE> details{};
  set_transport(handle.get(), call);
  set_tls(handle.get(), call);
  set_body(handle.get(), call, upload.get());
  set_callbacks(handle.get(), exchange);
  curl_easy_setopt(handle.get(), CURLOPT_HTTPHEADER, headers.get());
  curl_easy_setopt(handle.get(), CURLOPT_ERRORBUFFER, details.data());

  const CURLcode code = curl_easy_perform(handle.get());
  if (code != CURLE_OK && !exchange.is_ended_by_sink) return call_error(exchange, code, details.data());
  long status = 0;
  curl_easy_getinfo(handle.get(), CURLINFO_RESPONSE_CODE, &status);
  exchange.response.status = static_cast<int>(status);
  return std::move(exchange.response);
}

}  // namespace verge
