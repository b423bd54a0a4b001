// SPDX-License-Identifier: Apache-2.0
//
// FakeRunner: a scripted peer in place of a runner's process. It speaks frames over a real socket, in the test's own
// thread; nothing happens but what the test says.
//
//   FakeStarter starter;                     what a Fleet starts "processes" with
//   FakeRunner& runner = starter.runner(0);  the peer of the first one
//   runner.hello();
#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "src/base/fd.h"
#include "src/protocol/board.h"
#include "src/protocol/frames.h"
#include "src/supervisor/fleet/process.h"

namespace insula::testing {

// A frame with the bytes that its views point into.
struct Received {
  std::vector<std::uint64_t> words;
  protocol::Frame frame;
};

class FakeRunner {
 public:
  explicit FakeRunner(Fd socket) : socket_(std::move(socket)) {}

  void send(const protocol::Frame& frame);
  void send_raw(BytesView bytes);
  // Sends what did not fit into the socket before. True when some of it left.
  bool flush();
  void hello();
  // The next frame that has arrived, or nothing.
  std::optional<Received> next();
  // The next frame as a T; frames of other kinds that come before it are dropped. Null: there is none.
  template <class T>
  const T* next_of() {
    while (auto received = next()) {
      kept_.push_back(std::make_unique<Received>(std::move(*received)));
      if (const T* const frame = std::get_if<T>(&kept_.back()->frame)) return frame;
    }
    return nullptr;
  }
  // The supervisor has closed the channel.
  bool is_cut();
  // Descriptors that came with frames, in order; they are the test's.
  std::vector<Fd> descriptors;
  // As a process that ends.
  void die() { socket_.reset(); }
  int fd() const { return socket_.get(); }

 private:
  void read();

  Fd socket_;
  Bytes unsent_;
  protocol::FrameReader reader_;
  std::vector<std::unique_ptr<Received>> pending_;
  std::vector<std::unique_ptr<Received>> kept_;  // so that a test may keep pointers
  bool is_cut_ = false;
};

// What the fleet sees as the process.
struct FakeState {
  protocol::Board board;
  std::size_t resident_bytes = 0;
  bool is_killed = false;
};

class FakeStarter final : public fleet::RunnerStarter {
 public:
  Result<fleet::StartedRunner> start() override;

  FakeRunner& runner(std::size_t index) { return *runners_.at(index); }
  FakeState& state(std::size_t index) { return *states_.at(index); }
  std::size_t started() const { return runners_.size(); }
  bool is_broken = false;  // starts fail

 private:
  std::vector<std::unique_ptr<FakeRunner>> runners_;
  std::vector<std::shared_ptr<FakeState>> states_;
};

}  // namespace insula::testing
