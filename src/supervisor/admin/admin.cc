// SPDX-License-Identifier: Apache-2.0
//
// Admin: one question a connection.
#include "src/supervisor/admin/admin.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <string>
#include <system_error>
#include <utility>

#include <boost/asio/read_until.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/streambuf.hpp>
#include <boost/asio/write.hpp>
#include <fmt/format.h>

#include "src/base/fd.h"
#include "src/supervisor/admin/commands.h"

namespace insula::admin {
namespace {

using boost::asio::local::stream_protocol;

constexpr std::size_t kQuestionBytesMax = std::size_t{4} << 20;
constexpr std::chrono::seconds kQuestionWithin{10};

class Conversation : public std::enable_shared_from_this<Conversation> {
 public:
  Conversation(stream_protocol::socket socket, instances::Workflows& workflows)
      : socket_(std::move(socket)), workflows_(workflows), question_(kQuestionBytesMax), timer_(socket_.get_executor()) {}

  void start() {
    ucred peer{};
    socklen_t size = sizeof peer;
    const int failed = ::getsockopt(socket_.native_handle(), SOL_SOCKET, SO_PEERCRED, &peer, &size);
    if (failed != 0 || (peer.uid != 0 && peer.uid != ::geteuid())) return;
    timer_.expires_after(kQuestionWithin);
    timer_.async_wait([self = shared_from_this()](boost::system::error_code error) {
      if (!error) self->socket_.close(error);
    });
    boost::asio::async_read_until(socket_, question_, '\n',
                                  [self = shared_from_this()](boost::system::error_code error, std::size_t bytes) {
                                    self->timer_.cancel();
                                    if (!error) self->hear(bytes);
                                  });
  }

 private:
  void hear(std::size_t bytes) {
    const auto data = question_.data();
    const std::string line(boost::asio::buffers_begin(data), boost::asio::buffers_begin(data) + static_cast<std::ptrdiff_t>(bytes));
    answer_command(workflows_, line, [self = shared_from_this()](std::string text) { self->say(std::move(text)); });
  }
  void say(std::string text) {
    answer_ = std::move(text) + "\n";
    boost::asio::async_write(socket_, boost::asio::buffer(answer_),
                             [self = shared_from_this()](boost::system::error_code, std::size_t) {});
  }

  stream_protocol::socket socket_;
  instances::Workflows& workflows_;
  boost::asio::streambuf question_;
  boost::asio::steady_timer timer_;
  std::string answer_;
};

Error refused(const std::filesystem::path& path, int code) {
  return Error(ErrorCode::Denied,
               fmt::format("admin socket: {}: {}", path.string(), std::generic_category().message(code)));
}

}  // namespace

Result<std::unique_ptr<Admin>> Admin::listen(boost::asio::io_context& io, const std::filesystem::path& data_directory,
                                             instances::Workflows& workflows, Log& log) {
  const auto path = data_directory / kSocketName;
  // A socket's address has room for 107 characters only: the folder is named by a descriptor.
  const Fd folder(::open(data_directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!folder) return refused(path, errno);
  // Whoever left it here is gone: the data directory is locked by us.
  if (::unlinkat(folder.get(), kSocketName, 0) != 0 && errno != ENOENT) return refused(path, errno);
  Acceptor acceptor(io);
  boost::system::error_code error;
  acceptor.open(stream_protocol(), error);
  const mode_t mask = ::umask(0177);
  if (!error) acceptor.bind(stream_protocol::endpoint(fmt::format("/proc/self/fd/{}/{}", folder.get(), kSocketName)), error);
  ::umask(mask);
  if (!error) acceptor.listen(16, error);
  if (error) return refused(path, error.value());
  auto admin = std::unique_ptr<Admin>(new Admin(std::move(acceptor), workflows, log));
  admin->accept();
  return admin;
}

void Admin::accept() {
  acceptor_.async_accept([this](boost::system::error_code error, stream_protocol::socket socket) {
    if (error == boost::asio::error::operation_aborted) return;
    if (!error) {
      std::make_shared<Conversation>(std::move(socket), workflows_)->start();
    } else {
      log_.warn("admin.failed", {{"text", error.message()}});
    }
    accept();
  });
}

}  // namespace insula::admin
