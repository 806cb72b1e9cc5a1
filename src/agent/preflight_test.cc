#include "agent/preflight.h"

#include <gtest/gtest.h>

namespace verge::agent {
namespace {

TEST(OverlappingInterface, FindsWhoHasTheSubnet) {
  const char* routes =
      "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
      "eth0\t00000000\t0100A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
      "eth0\t0000A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n"
      "vpn0\t00001FAC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n";
  EXPECT_EQ(overlapping_interface(routes, "172.31.77.0/24"), "vpn0");  // inside 172.31.0.0/16
  EXPECT_EQ(overlapping_interface(routes, "192.168.0.0/16"), "eth0");  // around 192.168.0.0/24
  EXPECT_EQ(overlapping_interface(routes, "10.1.0.0/24"), "");
  EXPECT_EQ(overlapping_interface("", "10.1.0.0/24"), "");
}

}  // namespace
}  // namespace verge::agent
