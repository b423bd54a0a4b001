// SPDX-License-Identifier: Apache-2.0
//
// LoopMark: the CDN-Loop field (RFC 8586), by which a node knows a request that it has caused itself.
//
// A Worker that fetches a name which leads back here, over whatever proxies, would otherwise call itself for ever: within
// the node the depth of calls ends that, and this field carries the depth through the network.
//
//   cdn-loop: other-cdn, insula-0123456789abcdef; hops=3
#pragma once

#include <cstdint>
#include <string>

#include "src/base/bytes.h"

namespace insula {

class LoopMark {
 public:
  LoopMark() = default;  // marks nothing
  // node: a random number, this node's.
  explicit LoopMark(std::uint64_t node);

  // How many calls deep the request was when it left this node; 0: it has not been here. At most `most`.
  std::uint32_t hops_in(BytesView headers, std::uint32_t most) const;
  // The fields with this node's mark. What others have written there stays; a mark of ours that is there already does not.
  Bytes marked(BytesView headers, std::uint32_t hops) const;

 private:
  std::string name_;
};

}  // namespace insula
