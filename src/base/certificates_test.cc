#include "base/certificates.h"

#include <ctime>
#include <gtest/gtest.h>

#include "base/disk.h"
#include "base/process.h"
#include "base/temporary_folder.h"

namespace verge {
namespace {

/// What the openssl program (a reader that is not ours) prints about a certificate.
std::string openssl(const std::filesystem::path& folder, std::vector<std::string> arguments) {
  ProcessOptions options;
  options.arguments = std::move(arguments);
  options.arguments.insert(options.arguments.begin(), "openssl");
  options.folder = folder;
  const auto result = run_process(options, std::chrono::seconds(60));
  return result ? result->output : "";
}

TEST(Certificates, ChainVerifiesAndCarriesItsNames) {
  const TemporaryFolder folder;
  if (openssl(folder.path(), {"version"}).empty()) GTEST_SKIP() << "no openssl program";
  const auto root = *make_authority("root");
  const auto middle = *make_certificate(root, {.common_name = "middle", .days = 100, .is_authority = true});
  const auto leaf = *make_certificate(middle, {.common_name = "leaf, Inc.",
                                               .dns_names = {"a.test", "x,DNS:evil.test"},
                                               .ip_addresses = {"10.0.0.7", "::1"},
                                               .days = 10,
                                               .for_client = true});
  for (const auto& [name, pem] : {std::pair("root.pem", root.certificate_pem),
                                  {"middle.pem", middle.certificate_pem},
                                  {"leaf.pem", leaf.certificate_pem},
                                  {"leaf.key", leaf.key_pem}}) {
    ASSERT_TRUE(write_file(folder.path() / name, pem));
  }
  const auto verdict =
      openssl(folder.path(), {"verify", "-x509_strict", "-CAfile", "root.pem", "-untrusted", "middle.pem", "leaf.pem"});
  EXPECT_EQ(verdict, "leaf.pem: OK\n");
  const auto text = openssl(folder.path(), {"x509", "-in", "leaf.pem", "-noout", "-text"});
  for (const auto* part :
       {"CN = \"leaf, Inc.\"", "DNS:a.test", "IP Address:10.0.0.7", "IP Address:0:0:0:0:0:0:0:1", "CA:FALSE",
        "TLS Web Client Authentication", "TLS Web Server Authentication", "NIST CURVE: P-256"}) {
    EXPECT_NE(text.find(part), std::string::npos) << part << "\n" << text;
  }
  const auto fingerprint = openssl(folder.path(), {"x509", "-in", "leaf.pem", "-noout", "-fingerprint", "-sha256"});
  std::string ours = *certificate_thumbprint(leaf.certificate_pem);
  std::string theirs = fingerprint.substr(fingerprint.find('=') + 1);
  std::erase_if(theirs, [](char c) { return c == ':' || c == '\n'; });
  for (char& c : theirs) c = static_cast<char>(std::tolower(c));
  EXPECT_EQ(ours, theirs);
}

TEST(Certificates, EndsWhenTold) {
  const auto made = *make_authority("short", 2);
  const auto end = *certificate_end_s(made.certificate_pem);
  EXPECT_NEAR(double(end), double(std::time(nullptr)) + 2 * 86'400 - 3'600, 30);
  const auto far = *make_authority("long", 36'500);
  EXPECT_GT(*certificate_end_s(far.certificate_pem), 4'000'000'000);
}

TEST(Certificates, KeysAndSerialsDiffer) {
  const auto first = *make_authority("same");
  const auto second = *make_authority("same");
  EXPECT_NE(first.key_pem, second.key_pem);
  EXPECT_NE(*certificate_thumbprint(first.certificate_pem), *certificate_thumbprint(second.certificate_pem));
  EXPECT_TRUE(first.key_pem.starts_with("-----BEGIN PRIVATE KEY-----"));
}

TEST(Certificates, Errors) {
  const auto root = *make_authority("root");
  const auto other = *make_authority("other");
  const CertificateRequest request{.common_name = "x"};
  EXPECT_EQ(make_certificate({"", root.certificate_pem}, request).error().code, ErrorCode::corrupt);
  EXPECT_EQ(make_certificate({root.key_pem, "junk"}, request).error().code, ErrorCode::corrupt);
  EXPECT_EQ(make_certificate({other.key_pem, root.certificate_pem}, request).error().code, ErrorCode::corrupt);
  EXPECT_EQ(make_certificate(root, {.common_name = ""}).error().code, ErrorCode::invalid_argument);
  EXPECT_EQ(make_certificate(root, {.common_name = std::string(65, 'x')}).error().code, ErrorCode::invalid_argument);
  EXPECT_EQ(make_certificate(root, {.common_name = "x", .ip_addresses = {"10.0.0"}}).error().code,
            ErrorCode::invalid_argument);
  EXPECT_EQ(make_certificate(root, {.common_name = "x", .days = 0}).error().code, ErrorCode::invalid_argument);
  EXPECT_EQ(certificate_end_s("").error().code, ErrorCode::corrupt);
  EXPECT_EQ(certificate_thumbprint("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").error().code,
            ErrorCode::corrupt);
}

}  // namespace
}  // namespace verge
