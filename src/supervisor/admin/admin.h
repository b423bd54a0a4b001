// SPDX-License-Identifier: Apache-2.0
//
// Admin: what an operator may ask of a running server, over a socket in the data directory.
//
//   insula workflows ... ──► DATA/admin.sock: one line of JSON ──► [admin] ──► one line of JSON, end
//
// Who may open it is who may read the data directory: the socket is its owner's alone, and the kernel says who calls.
#pragma once

#include <filesystem>
#include <memory>

#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>

#include "src/base/error.h"
#include "src/base/log.h"
#include "src/supervisor/instances/workflows.h"

namespace insula::admin {

inline constexpr const char* kSocketName = "admin.sock";

class Admin {
 public:
  // Errors: Denied (the socket cannot be made).
  static Result<std::unique_ptr<Admin>> listen(boost::asio::io_context& io, const std::filesystem::path& data_directory,
                                               instances::Workflows& workflows, Log& log);

 private:
  using Acceptor = boost::asio::local::stream_protocol::acceptor;
  Admin(Acceptor acceptor, instances::Workflows& workflows, Log& log)
      : acceptor_(std::move(acceptor)), workflows_(workflows), log_(log) {}
  void accept();

  Acceptor acceptor_;
  instances::Workflows& workflows_;
  Log& log_;
};

}  // namespace insula::admin
