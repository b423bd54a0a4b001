// SPDX-License-Identifier: Apache-2.0
//
// Resolver: from a host name to all its addresses. SystemResolver asks the operating system.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <boost/asio/ip/address.hpp>

#include "src/base/error.h"
#include "src/io/executor.h"

namespace insula::egress {

using Addresses = std::vector<boost::asio::ip::address>;  // in order of preference, never empty

class Resolver {
 public:
  virtual ~Resolver() = default;
  // Calls back once, on the owner's thread; possibly inside resolve(). Never after the resolver is destroyed.
  // Errors  Unavailable (no such name, or nobody answers), Overloaded.
  using Callback = std::function<void(Result<Addresses>)>;
  virtual void resolve(const std::string& name, Callback callback) = 0;
};

// getaddrinfo() on a few threads of its own. It cannot be interrupted, so one thread for all (as Asio's resolver has)
// would let a single tenant with a dead name server hold up everybody's look-ups.
class SystemResolver final : public Resolver {
 public:
  // knows_local_names  also /etc/hosts and the search list ("redis" -> "redis.internal"); otherwise names are
  //                    absolute, so that a tenant cannot probe what the operator's network calls its machines.
  SystemResolver(io::Executor executor, bool knows_local_names);
  // Does not wait for look-ups under way; their threads end on their own.
  ~SystemResolver() override;
  SystemResolver(const SystemResolver&) = delete;
  SystemResolver& operator=(const SystemResolver&) = delete;

  void resolve(const std::string& name, Callback callback) override;

 private:
  struct Shared;
  static void work(const std::shared_ptr<Shared>& shared);

  const bool knows_local_names_;
  const std::shared_ptr<Shared> shared_;
};

}  // namespace insula::egress
