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
  // partition: on whose behalf; each gets its share.
  virtual void resolve(const std::string& name, const std::string& partition, Callback callback) = 0;
};

// getaddrinfo() on a few threads of its own. It cannot be interrupted, so one thread for all (as Asio's resolver has)
// would let a single tenant with a dead name server hold up everybody's look-ups. For the same reason no partition has more
// than a quarter of the threads, and those who wait take turns.
class SystemResolver final : public Resolver {
 public:
  // knows_local_names  also /etc/hosts and the search list ("redis" -> "redis.internal"); otherwise names are
  //                    absolute, so that a tenant cannot probe what the operator's network calls its machines.
  SystemResolver(io::Executor executor, bool knows_local_names);
  // With another way to look names up, which is called on several threads.
  using LookUp = std::function<Result<Addresses>(const std::string& name)>;
  SystemResolver(io::Executor executor, bool knows_local_names, LookUp look_up);
  // Does not wait for look-ups under way; their threads end on their own.
  ~SystemResolver() override;
  SystemResolver(const SystemResolver&) = delete;
  SystemResolver& operator=(const SystemResolver&) = delete;

  void resolve(const std::string& name, const std::string& partition, Callback callback) override;

 private:
  struct Shared;
  static void work(const std::shared_ptr<Shared>& shared);

  const bool knows_local_names_;
  const std::shared_ptr<Shared> shared_;
};

}  // namespace insula::egress
