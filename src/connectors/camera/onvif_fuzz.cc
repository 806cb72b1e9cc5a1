// What ONVIF cameras answer, read by every reader: no crash, and bounds hold.
#include "base/assert.h"
#include "connectors/camera/onvif.h"
#include "connectors/camera/onvif_camera.h"
#include "connectors/camera/onvif_search.h"

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  using namespace verge::connectors::onvif;
  const std::string_view answer(reinterpret_cast<const char*>(data), size);
  if (const auto found = read_probe_match(answer, "")) {
    VERGE_ASSERT(!found->addresses.empty() && found->addresses.size() <= kItemsMax);
    for (const std::string& address : found->addresses) VERGE_ASSERT(host_of(address).size() < address.size());
  }
  if (const auto profiles = read_profiles(answer)) VERGE_ASSERT(!profiles->empty() && profiles->size() <= kItemsMax);
  if (const auto media = read_media_address(answer)) VERGE_ASSERT(!media->empty());
  if (const auto uri = read_stream_uri(answer)) {
    VERGE_ASSERT(uri->starts_with("rtsp"));
    // Whatever it names, the login goes to the host that was asked.
    static const auto address = verge::connectors::read_onvif_address("onvif://me@192.0.2.7");
    VERGE_ASSERT(host_of(verge::connectors::stream_url(*uri, *address)) == "192.0.2.7");
  }
  (void)read_system_date(answer);
  (void)host_of(answer);
  return 0;
}
