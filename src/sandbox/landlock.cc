// SPDX-License-Identifier: Apache-2.0
//
// Landlock: see landlock.h. By number and with our own struct: the headers of the build machine know older versions
// than the kernel we may run on. Source: the kernel's userspace-api/landlock.rst.
#include "src/sandbox/landlock.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>

namespace insula::sandbox {
namespace {

constexpr long kCreateRuleset = 444;
constexpr unsigned kAskVersion = 1;

struct RulesetAttributes {
  std::uint64_t handled_file_rights = 0;
  std::uint64_t handled_net_rights = 0;  // version 4
  std::uint64_t scoped = 0;              // version 6
};

constexpr std::uint64_t lowest_bits(unsigned count) { return (std::uint64_t{1} << count) - 1; }

// Rights were added at the top, so a version is a number of bits.
constexpr std::uint64_t file_rights_of(long version) {
  if (version >= 5) return lowest_bits(16);  // + ioctl on devices
  if (version >= 3) return lowest_bits(15);  // + truncate
  if (version == 2) return lowest_bits(14);  // + move between directories
  return lowest_bits(13);
}

}  // namespace

Fd make_deny_all_ruleset() noexcept {
  const long version = ::syscall(kCreateRuleset, nullptr, 0, kAskVersion);
  if (version < 1) return Fd();
  RulesetAttributes attributes{.handled_file_rights = file_rights_of(version)};
  if (version >= 4) attributes.handled_net_rights = lowest_bits(2);  // TCP bind and connect
  // Abstract Unix sockets only: signals between threads of one process were cut off too by the first kernels that scope
  // them, and the seccomp filter allows no signals to others.
  if (version >= 6) attributes.scoped = lowest_bits(1);
  return Fd(static_cast<int>(::syscall(kCreateRuleset, &attributes, sizeof attributes, 0)));
}

}  // namespace insula::sandbox
