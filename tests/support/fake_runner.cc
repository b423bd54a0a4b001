// SPDX-License-Identifier: Apache-2.0
//
// FakeRunner: blocking nothing, believing nothing, forgetting nothing.
#include "tests/support/fake_runner.h"

#include <cerrno>
#include <cstring>
#include <utility>

namespace insula::testing {
namespace {

class FakeProcess final : public fleet::RunnerProcess {
 public:
  FakeProcess(std::shared_ptr<FakeState> state, pid_t pid) : state_(std::move(state)), pid_(pid) {}

  pid_t pid() const override { return pid_; }
  int pidfd() const override { return -1; }
  void kill() override { state_->is_killed = true; }
  std::optional<fleet::Exit> try_reap() override { return fleet::Exit{0, 0}; }
  std::size_t resident_bytes() const override { return state_->resident_bytes; }
  const protocol::Board& board() const override { return state_->board; }
  const std::vector<std::string>& layers() const override { return layers_; }

 private:
  const std::shared_ptr<FakeState> state_;
  const pid_t pid_;
  const std::vector<std::string> layers_{"user", "net"};
};

}  // namespace

void FakeRunner::send(const protocol::Frame& frame) {
  Bytes bytes;
  protocol::append_frame(bytes, frame);
  send_raw(bytes);
}

void FakeRunner::send_raw(BytesView bytes) {
  unsent_.append(bytes);
  flush();
}

bool FakeRunner::flush() {
  std::size_t done = 0;
  while (done < unsent_.size()) {
    const ssize_t sent =
        ::send(socket_.get(), unsent_.data() + done, unsent_.size() - done, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0) {
      // The supervisor has hung up, or reads no further for now: the test sees what follows from it.
      if (errno != EAGAIN) unsent_.clear();
      break;
    }
    done += static_cast<std::size_t>(sent);
  }
  unsent_.erase(0, done);
  return done > 0;
}

void FakeRunner::hello() {
  protocol::Hello hello;
  hello.engine = "fake";
  hello.layers = {"seccomp"};
  send(hello);
}

void FakeRunner::read() {
  while (!is_cut_) {
    const auto space = reader_.space();
    alignas(cmsghdr) char control[CMSG_SPACE(8 * sizeof(int))] = {};
    iovec part{space.data, space.size};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    const ssize_t got = ::recvmsg(socket_.get(), &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (got <= 0) {
      is_cut_ = true;
      return;
    }
    for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr; header = CMSG_NXTHDR(&message, header)) {
      for (std::size_t at = CMSG_LEN(0); at + sizeof(int) <= header->cmsg_len; at += sizeof(int)) {
        int number = -1;
        std::memcpy(&number, reinterpret_cast<const char*>(header) + at, sizeof number);
        descriptors.emplace_back(number);
      }
    }
    reader_.commit(static_cast<std::size_t>(got));
    while (true) {
      const auto bytes = reader_.next();
      INSULA_CHECK(bytes.has_value());
      if (bytes->empty()) break;
      auto received = std::make_unique<Received>();
      received->words.resize(bytes->size() / 8);
      std::memcpy(received->words.data(), bytes->data(), bytes->size());
      auto frame = protocol::decode_frame({reinterpret_cast<const char*>(received->words.data()), bytes->size()});
      INSULA_CHECK(frame.has_value());
      received->frame = *std::move(frame);
      pending_.push_back(std::move(received));
    }
  }
}

std::optional<Received> FakeRunner::next() {
  read();
  if (pending_.empty()) return std::nullopt;
  // The words move as a whole, so the views into them stay good.
  Received first = std::move(*pending_.front());
  pending_.erase(pending_.begin());
  return first;
}

bool FakeRunner::is_cut() {
  read();
  return is_cut_;
}

Result<fleet::StartedRunner> FakeStarter::start() {
  if (is_broken) return Error(ErrorCode::Unavailable, "fake: broken");
  int pair[2] = {-1, -1};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) {
    return Error(ErrorCode::Unavailable, "fake: no socket pair");
  }
  runners_.push_back(std::make_unique<FakeRunner>(Fd(pair[1])));
  states_.push_back(std::make_shared<FakeState>());
  return fleet::StartedRunner{
      std::make_unique<FakeProcess>(states_.back(), static_cast<pid_t>(1000 + runners_.size())), Fd(pair[0])};
}

}  // namespace insula::testing
