#include "connectors/camera/onvif.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/bytes.h"

namespace verge::connectors::onvif {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

// The answers have the form of the specifications' examples; each uses other prefixes, as cameras do.

constexpr const char* kProbeMatch = R"(<?xml version="1.0" encoding="utf-8"?>
<SOAP-ENV:Envelope xmlns:SOAP-ENV="http://www.w3.org/2003/05/soap-envelope"
    xmlns:wsa="http://schemas.xmlsoap.org/ws/2004/08/addressing"
    xmlns:d="http://schemas.xmlsoap.org/ws/2005/04/discovery" xmlns:dn="http://www.onvif.org/ver10/network/wsdl">
 <SOAP-ENV:Header>
  <wsa:MessageID>uuid:9c1e0f3a-0000-1000-8000-001122334455</wsa:MessageID>
  <wsa:RelatesTo>urn:uuid:84ede3de-7dec-11d0-c360-f01234567890</wsa:RelatesTo>
 </SOAP-ENV:Header>
 <SOAP-ENV:Body><d:ProbeMatches><d:ProbeMatch>
  <wsa:EndpointReference><wsa:Address>urn:uuid:11223344-0000-1000-8000-001122334455</wsa:Address></wsa:EndpointReference>
  <d:Types>dn:NetworkVideoTransmitter tds:Device</d:Types>
  <d:Scopes>onvif://www.onvif.org/type/video_encoder onvif://www.onvif.org/name/Gate%20North
   onvif://www.onvif.org/hardware/X-100</d:Scopes>
  <d:XAddrs>http://192.0.2.7/onvif/device_service http://[fe80::1]/onvif/device_service ftp://192.0.2.7/</d:XAddrs>
  <d:MetadataVersion>1</d:MetadataVersion>
 </d:ProbeMatch></d:ProbeMatches></SOAP-ENV:Body>
</SOAP-ENV:Envelope>)";

constexpr const char* kCapabilities = R"(<env:Envelope xmlns:env="http://www.w3.org/2003/05/soap-envelope"
 xmlns:tds="http://www.onvif.org/ver10/device/wsdl" xmlns:tt="http://www.onvif.org/ver10/schema"><env:Body>
 <tds:GetCapabilitiesResponse><tds:Capabilities><tt:Media><tt:XAddr>http://192.0.2.7/onvif/media</tt:XAddr>
 </tt:Media></tds:Capabilities></tds:GetCapabilitiesResponse></env:Body></env:Envelope>)";

constexpr const char* kProfiles = R"(<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"
 xmlns:trt="http://www.onvif.org/ver10/media/wsdl" xmlns:tt="http://www.onvif.org/ver10/schema"><s:Body>
 <trt:GetProfilesResponse>
  <trt:Profiles token="main&amp;1" fixed="true"><tt:Name>Main</tt:Name>
   <tt:VideoSourceConfiguration token="v"><tt:Name>v</tt:Name></tt:VideoSourceConfiguration>
   <tt:VideoEncoderConfiguration token="e"><tt:Name>e</tt:Name><tt:Encoding>H264</tt:Encoding>
    <tt:Resolution><tt:Width>1920</tt:Width><tt:Height>1080</tt:Height></tt:Resolution>
    <tt:RateControl><tt:FrameRateLimit>25</tt:FrameRateLimit></tt:RateControl></tt:VideoEncoderConfiguration>
  </trt:Profiles>
  <trt:Profiles token="sub"><tt:Name>Sub</tt:Name></trt:Profiles>
  <trt:Profiles><tt:Name>without a token</tt:Name></trt:Profiles>
 </trt:GetProfilesResponse></s:Body></s:Envelope>)";

constexpr const char* kStreamUri = R"(<S:Envelope xmlns:S="http://www.w3.org/2003/05/soap-envelope"><S:Body>
 <m:GetStreamUriResponse xmlns:m="http://www.onvif.org/ver10/media/wsdl"><m:MediaUri>
  <t:Uri xmlns:t="http://www.onvif.org/ver10/schema"> rtsp://192.0.2.7:554/h264?channel=1&amp;sub=0 </t:Uri>
 </m:MediaUri></m:GetStreamUriResponse></S:Body></S:Envelope>)";

constexpr const char* kRefusal = R"(<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"><s:Body><s:Fault>
 <s:Code><s:Value>s:Sender</s:Value><s:Subcode><s:Value>ter:NotAuthorized</s:Value></s:Subcode></s:Code>
 <s:Reason><s:Text xml:lang="en">Sender not Authorized</s:Text></s:Reason></s:Fault></s:Body></s:Envelope>)";

/// The example of the ONVIF Application Programmer's Guide, section on WS-UsernameToken.
TEST(Onvif, DigestsThePassword) {
  const auto nonce = from_base64("LKqI6G/AikKCQrN0zqZFlg==");
  ASSERT_TRUE(nonce);
  EXPECT_EQ(password_digest(*nonce, "2010-09-16T07:50:45Z", "userpassword"), "tuOSpGlFlIXsozq4HFNeeGeFLEI=");
}

TEST(Onvif, SignsRequestsWithoutThePassword) {
  const Freshness fresh{1'284'623'445'000'000, *from_base64("LKqI6G/AikKCQrN0zqZFlg==")};
  const std::string request = get_stream_uri("main&1", {"us<er", "userpassword"}, fresh);
  EXPECT_THAT(request,
              AllOf(HasSubstr("<w:Username>us&lt;er</w:Username>"), HasSubstr(">tuOSpGlFlIXsozq4HFNeeGeFLEI=<"),
                    HasSubstr("<u:Created>2010-09-16T07:50:45Z</u:Created>"),
                    HasSubstr("<ProfileToken>main&amp;1</ProfileToken>"), Not(HasSubstr("userpassword"))));
  EXPECT_THAT(get_profiles({}, {}), AllOf(HasSubstr("<s:Body><GetProfiles "), Not(HasSubstr("Security"))));
  EXPECT_THAT(get_capabilities({}, {}), HasSubstr("<Category>Media</Category>"));
}

TEST(Onvif, FindsCameras) {
  const std::string id = "84ede3de-7dec-11d0-c360-f01234567890";
  EXPECT_THAT(probe(id), AllOf(HasSubstr("urn:uuid:" + id), HasSubstr("n:NetworkVideoTransmitter")));
  const auto found = read_probe_match(kProbeMatch, id);
  ASSERT_TRUE(found) << found.error().message;
  EXPECT_EQ(found->endpoint, "urn:uuid:11223344-0000-1000-8000-001122334455");
  EXPECT_THAT(found->addresses,
              ElementsAre("http://192.0.2.7/onvif/device_service", "http://[fe80::1]/onvif/device_service"));
  EXPECT_EQ(found->name, "Gate North");
  EXPECT_EQ(found->hardware, "X-100");
  const auto other = read_probe_match(kProbeMatch, "00000000-7dec-11d0-c360-f01234567890");
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().code, ErrorCode::not_found);
}

TEST(Onvif, ReadsWhatACameraOffers) {
  const auto media = read_media_address(kCapabilities);
  ASSERT_TRUE(media) << media.error().message;
  EXPECT_EQ(*media, "http://192.0.2.7/onvif/media");
  const auto profiles = read_profiles(kProfiles);
  ASSERT_TRUE(profiles) << profiles.error().message;
  ASSERT_EQ(profiles->size(), 2U);
  const Profile& main = profiles->front();
  EXPECT_EQ(main.token, "main&1");
  EXPECT_EQ(main.name, "Main");
  EXPECT_EQ(main.encoding, "H264");
  EXPECT_EQ(main.width, 1920);
  EXPECT_EQ(main.height, 1080);
  EXPECT_EQ(main.fps, 25);
  EXPECT_EQ(profiles->back().width, 0) << "it does not say";
  const auto uri = read_stream_uri(kStreamUri);
  ASSERT_TRUE(uri) << uri.error().message;
  EXPECT_EQ(*uri, "rtsp://192.0.2.7:554/h264?channel=1&sub=0");
}

constexpr const char* kDate = R"(<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"
 xmlns:d="http://www.onvif.org/ver10/device/wsdl" xmlns:t="http://www.onvif.org/ver10/schema"><s:Body>
 <d:GetSystemDateAndTimeResponse><d:SystemDateAndTime><t:DateTimeType>NTP</t:DateTimeType>
  <t:UTCDateTime><t:Time><t:Hour>7</t:Hour><t:Minute>50</t:Minute><t:Second>45</t:Second></t:Time>
   <t:Date><t:Year>2010</t:Year><t:Month>9</t:Month><t:Day>16</t:Day></t:Date></t:UTCDateTime>
 </d:SystemDateAndTime></d:GetSystemDateAndTimeResponse></s:Body></s:Envelope>)";

TEST(Onvif, ReadsTheCamerasClock) {
  EXPECT_THAT(get_system_date(), AllOf(HasSubstr("GetSystemDateAndTime"), Not(HasSubstr("Security"))));
  const auto time = read_system_date(kDate);
  ASSERT_TRUE(time) << time.error().message;
  EXPECT_EQ(*time, 1'284'623'445'000'000);
  std::string month_13 = kDate;
  month_13.replace(month_13.find(">9<"), 3, ">13<");
  EXPECT_EQ(read_system_date(month_13).error().code, ErrorCode::corrupt);
  EXPECT_EQ(read_system_date(kProfiles).error().code, ErrorCode::not_found);
}

TEST(Onvif, RefusesWhatItCannotUse) {
  const auto refused = read_profiles(kRefusal);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::invalid_argument);
  EXPECT_THAT(refused.error().message, AllOf(HasSubstr("Sender not Authorized"), HasSubstr("NotAuthorized")));
  for (const std::string& text : {std::string("no XML"), std::string(), std::string("<a><b></a>"),
                                  std::string(kProfiles).substr(0, 400), std::string("<html><body/></html>")}) {
    const auto read = read_profiles(text);
    ASSERT_FALSE(read) << text;
    EXPECT_EQ(read.error().code, ErrorCode::corrupt) << text;
  }
  EXPECT_EQ(read_stream_uri(kProfiles).error().code, ErrorCode::not_found);
  EXPECT_EQ(read_media_address(kProfiles).error().code, ErrorCode::not_found);
  EXPECT_EQ(read_stream_uri(std::string(2U << 20U, ' ')).error().code, ErrorCode::limit);
}

}  // namespace
}  // namespace verge::connectors::onvif
