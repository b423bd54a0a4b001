// SPDX-License-Identifier: Apache-2.0
//
// AddressPolicy: a table of addresses that fetch must or must not reach.
#include "src/supervisor/egress/address_policy.h"

#include <string>

#include <gtest/gtest.h>

namespace insula::egress {
namespace {

using Endpoint = AddressPolicy::Endpoint;

Endpoint endpoint(const std::string& address, std::uint16_t port = 80) {
  return Endpoint(boost::asio::ip::make_address(address), port);
}

struct Row {
  const char* address;
  AddressClass address_class;
};

const Row kRows[] = {
    {"0.0.0.0", AddressClass::Unspecified},
    {"0.1.2.3", AddressClass::Unspecified},
    {"10.0.0.1", AddressClass::Private},
    {"10.255.255.255", AddressClass::Private},
    {"100.64.0.1", AddressClass::SharedSpace},
    {"100.127.255.254", AddressClass::SharedSpace},
    {"127.0.0.1", AddressClass::Loopback},
    {"127.255.255.254", AddressClass::Loopback},
    {"169.254.169.254", AddressClass::LinkLocal},
    {"169.254.0.1", AddressClass::LinkLocal},
    {"172.16.0.1", AddressClass::Private},
    {"172.31.255.255", AddressClass::Private},
    {"192.0.0.8", AddressClass::Reserved},
    {"192.0.2.1", AddressClass::Documentation},
    {"192.88.99.1", AddressClass::Embedded},
    {"192.168.1.1", AddressClass::Private},
    {"198.18.0.1", AddressClass::Reserved},
    {"198.19.255.255", AddressClass::Reserved},
    {"198.51.100.7", AddressClass::Documentation},
    {"203.0.113.9", AddressClass::Documentation},
    {"224.0.0.1", AddressClass::Multicast},
    {"239.255.255.250", AddressClass::Multicast},
    {"240.0.0.1", AddressClass::Reserved},
    {"255.255.255.254", AddressClass::Reserved},
    {"255.255.255.255", AddressClass::Broadcast},
    {"::", AddressClass::Unspecified},
    {"::1", AddressClass::Loopback},
    {"::2", AddressClass::Embedded},
    {"::127.0.0.1", AddressClass::Embedded},
    {"::ffff:127.0.0.1", AddressClass::Embedded},
    {"::ffff:8.8.8.8", AddressClass::Embedded},
    {"::ffff:a9fe:a9fe", AddressClass::Embedded},
    {"::ffff:0:7f00:1", AddressClass::Embedded},
    {"64:ff9b::7f00:1", AddressClass::Loopback},
    {"64:ff9b::a9fe:a9fe", AddressClass::LinkLocal},
    {"64:ff9b::10.1.2.3", AddressClass::Private},
    {"64:ff9b:1::7f00:1", AddressClass::Embedded},
    {"64:ff9b:1::808:808", AddressClass::Embedded},
    {"2002:7f00:1::", AddressClass::Embedded},
    {"2002:808:808::1", AddressClass::Embedded},
    {"2001:0:7f00:1::", AddressClass::Embedded},
    {"2001:2::1", AddressClass::Reserved},
    {"2001:10::1", AddressClass::Reserved},
    {"2001:20::1", AddressClass::Reserved},
    {"2001:db8::1", AddressClass::Documentation},
    {"3fff:abc::1", AddressClass::Documentation},
    {"fc00::1", AddressClass::Private},
    {"fd00:ec2::254", AddressClass::Private},
    {"fe80::1", AddressClass::LinkLocal},
    {"febf::1", AddressClass::LinkLocal},
    {"fec0::1", AddressClass::Private},
    {"ff02::1", AddressClass::Multicast},
    {"100::1", AddressClass::Reserved},
    {"5f00::1", AddressClass::Reserved},
    {"4000::1", AddressClass::Reserved},
};

TEST(AddressPolicy, RefusesEverySpecialAddress) {
  const AddressPolicy policy(false, {});
  for (const Row& row : kRows) {
    EXPECT_EQ(name_of(classify(boost::asio::ip::make_address(row.address))), name_of(row.address_class)) << row.address;
    EXPECT_EQ(policy.refusal(endpoint(row.address)), name_of(row.address_class)) << row.address;
  }
}

TEST(AddressPolicy, AllowsPublicAddressesUpToTheEdgesOfTheSpecialRanges) {
  const AddressPolicy policy(false, {});
  for (const char* address :
       {"1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255",
        "128.0.0.1", "169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.0", "192.0.1.0", "192.167.255.255",
        "192.169.0.0", "198.17.255.255", "198.20.0.0", "223.255.255.255", "2606:4700::1111", "2001:4860:4860::8888",
        "2001:200::1", "2003::1", "3ffe:ffff::1", "64:ff9b::8.8.8.8"}) {
    EXPECT_EQ(policy.refusal(endpoint(address)), "") << address;
  }
}

TEST(AddressPolicy, OpensLoopbackAndPrivateSpaceToTrustedSetsOnly) {
  const AddressPolicy policy(true, {});
  for (const char* address : {"127.0.0.1", "::1", "10.1.2.3", "192.168.0.1", "100.64.0.1", "fd00::1", "8.8.8.8"}) {
    EXPECT_EQ(policy.refusal(endpoint(address)), "") << address;
  }
  for (const char* address : {"169.254.169.254", "fe80::1", "0.0.0.0", "::", "224.0.0.1", "255.255.255.255",
                              "::ffff:127.0.0.1", "2002:7f00:1::", "240.0.0.1"}) {
    EXPECT_NE(policy.refusal(endpoint(address)), "") << address;
  }
}

TEST(AddressPolicy, KeepsOurOwnDoorsClosedWhateverIsAllowed) {
  const AddressPolicy policy(true, {endpoint("127.0.0.1", 8787), endpoint("0.0.0.0", 9000)});
  EXPECT_EQ(policy.refusal(endpoint("127.0.0.1", 8787)), "own listener");
  EXPECT_EQ(policy.refusal(endpoint("127.0.0.1", 8788)), "");
  EXPECT_EQ(policy.refusal(endpoint("127.0.0.2", 9000)), "own listener");
  EXPECT_EQ(policy.refusal(endpoint("::1", 9000)), "own listener");
  EXPECT_EQ(policy.refusal(endpoint("8.8.8.8", 9000)), "");
}

TEST(AddressPolicy, RefusesAZoneOnAPublicAddress) {
  auto address = boost::asio::ip::make_address_v6("2606:4700::1111");
  address.scope_id(2);
  EXPECT_EQ(AddressPolicy(false, {}).refusal(Endpoint(address, 443)), "scoped");
}

}  // namespace
}  // namespace insula::egress
