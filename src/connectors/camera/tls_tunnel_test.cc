// A camera's place is taken by a TLS server that echoes; FFmpeg's by a plain client.
#include "connectors/camera/tls_tunnel.h"

#include <charconv>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/certificates.h"
#include "base/loop_for_tests.h"
#include "connectors/secret_url.h"

namespace verge::connectors {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

struct TestCertificates {
  KeyAndCertificate house = make_authority("house").value(), other = make_authority("other").value();

  static const TestCertificates& get() {
    static const TestCertificates made;
    return made;
  }
  KeyAndCertificate of(const std::string& address) const {
    CertificateRequest request;
    request.common_name = "camera";
    request.ip_addresses = {address};
    return make_certificate(house, request).value();
  }
};

/// Sends back what comes, over TLS.
class EchoCamera {
 public:
  explicit EchoCamera(const KeyAndCertificate& own) {
    TlsOptions tls;
    tls.certificate_chain_pem = own.certificate_pem;
    tls.key_pem = own.key_pem;
    ListenOptions listen;
    listen.tls = TlsContext::make_server(tls).value();
    thread_.on_loop([&] {
      auto listening = listen_tcp(thread_.loop(), listen, [this](ConnectionPointer connection) {
        Connection* const raw = connection.get();
        connections_.push_back(std::move(connection));
        raw->start({[this, raw](std::string_view bytes) {
                      received_ += bytes.size();
                      raw->send(bytes);
                    },
                    [](const Error&) {}});
      });
      listener_ = *std::move(listening);
    });
  }
  ~EchoCamera() {
    thread_.on_loop([this] {
      listener_.reset();
      connections_.clear();
    });
  }
  std::string url(const std::string& scheme = "rtsps") const {
    return scheme + "://me:secret@127.0.0.1:" + std::to_string(listener_->port()) + "/door?x=1";
  }
  std::size_t received() {
    return thread_.on_loop([this] { return received_; });
  }

 private:
  std::unique_ptr<Listener> listener_;
  std::vector<ConnectionPointer> connections_;
  std::size_t received_ = 0;
  LoopThread thread_;
};

/// What comes back of `text` before the connection ends or all of it is there.
std::string said_through(const TlsTunnel& tunnel, const std::string& text) {
  const std::string url = tunnel.url();
  const std::string_view place = split_url(url).rest;
  ConnectOptions options;
  options.host = "127.0.0.1";
  const auto digits = place.substr(place.find(':') + 1);
  std::from_chars(digits.data(), digits.data() + digits.size(), options.port);
  Loop loop;
  std::string back;
  ConnectionPointer connection;
  bool has_ended = false;
  connect_tcp(loop, options, [&](Result<ConnectionPointer> made) {
    if (!made) {
      has_ended = true;
      return;
    }
    connection = *std::move(made);
    connection->start({[&](std::string_view bytes) { back += bytes; }, [&](const Error&) { has_ended = true; }});
    connection->send(text);
  });
  EXPECT_TRUE(run_until(loop, [&] { return has_ended || back.size() >= text.size(); }));
  connection.reset();
  return back;
}

CameraTrust by_authority(const KeyAndCertificate& authority) { return {authority.certificate_pem, "", false}; }

TEST(TlsTunnel, CarriesWhatATrustedCameraSays) {
  const auto own = TestCertificates::get().of("127.0.0.1");
  EchoCamera camera(own);
  const std::string long_text(3U << 20U, 'x');  // Over every bound on what waits.
  for (const CameraTrust& trust :
       {by_authority(TestCertificates::get().house),
        CameraTrust{"", certificate_thumbprint(own.certificate_pem).value(), false}, CameraTrust{"", "", true}}) {
    const auto tunnel = TlsTunnel::open(camera.url(), trust);
    ASSERT_TRUE(tunnel) << tunnel.error().message;
    EXPECT_EQ(said_through(**tunnel, "hello"), "hello");
    EXPECT_EQ(said_through(**tunnel, long_text).size(), long_text.size());
    EXPECT_TRUE((*tunnel)->state());
  }
}

TEST(TlsTunnel, SaysNothingToWhomItDoesNotTrust) {
  const auto own = TestCertificates::get().of("127.0.0.1"), elsewhere = TestCertificates::get().of("127.0.0.9");
  const std::string fingerprint = certificate_thumbprint(own.certificate_pem).value();
  EchoCamera camera(own), moved(elsewhere);
  struct Row {
    const char* what;
    EchoCamera* camera;
    CameraTrust trust;
    std::string words;
  };
  const std::vector<Row> rows = {
      {"another authority", &camera, by_authority(TestCertificates::get().other), "sha256:" + fingerprint},
      {"the system's", &camera, {}, "insecure: true"},
      {"another host", &moved, by_authority(TestCertificates::get().house), "mismatch"},
      {"another certificate", &moved, {"", fingerprint, false}, "another than the one asked for"}};
  for (const Row& row : rows) {
    const auto tunnel = TlsTunnel::open(row.camera->url(), row.trust);
    ASSERT_TRUE(tunnel);
    EXPECT_EQ(said_through(**tunnel, "secret"), "") << row.what;
    EXPECT_EQ(row.camera->received(), 0U) << row.what;
    const Status state = (*tunnel)->state();
    ASSERT_FALSE(state) << row.what;
    EXPECT_EQ(state.error().code, ErrorCode::invalid_argument) << row.what;
    EXPECT_THAT(state.error().message, AllOf(HasSubstr(row.words), Not(HasSubstr("secret")))) << row.what;
  }
}

TEST(TlsTunnel, ACameraThatIsNotThereIsNoRefusal) {
  const auto tunnel = TlsTunnel::open("rtsps://127.0.0.1:9/1", {});  // Port 9: nobody listens.
  ASSERT_TRUE(tunnel);
  EXPECT_EQ(said_through(**tunnel, "x"), "");
  EXPECT_EQ((*tunnel)->state().error().code, ErrorCode::unavailable);
}

TEST(TlsTunnel, KeepsTheRestOfTheUrl) {
  const auto tunnel = TlsTunnel::open("https://me:p%40ss@192.0.2.7/a/b?c=d", {});
  ASSERT_TRUE(tunnel);
  EXPECT_THAT((*tunnel)->url(), AllOf(HasSubstr("http://me:p%40ss@127.0.0.1:"), HasSubstr("/a/b?c=d")));
  EXPECT_EQ((*tunnel)->host(), "192.0.2.7:443");
  EXPECT_EQ((*TlsTunnel::open("rtsps://[fe80::1]/x", {}))->host(), "[fe80::1]:322");
  EXPECT_FALSE(TlsTunnel::open("rtsps://a:0/x", {}));
  EXPECT_FALSE(TlsTunnel::open("rtsps:///x", {}));
}

TEST(CameraTrust, ReadsFingerprints) {
  const std::string digits(64, 'a');
  EXPECT_EQ(read_fingerprint("sha256:" + digits).value(), digits);
  EXPECT_EQ(read_fingerprint(std::string(64, 'A')).value(), digits);
  std::string with_colons = "AA";
  for (int i = 1; i < 32; ++i) with_colons += ":AA";
  EXPECT_EQ(read_fingerprint("sha256:" + with_colons).value(), digits);
  for (const char* bad : {"", "sha256:", "sha1:aaaa", "sha256:zz"}) EXPECT_FALSE(read_fingerprint(bad)) << bad;
}

}  // namespace
}  // namespace verge::connectors
