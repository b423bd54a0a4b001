// SPDX-License-Identifier: Apache-2.0
//
// Host: the loop of the executors: poll, post, run, write.
#include <poll.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <span>
#include <iterator>

#include "src/protocol/runner_options.h"
#include "src/runner/host/host.h"

namespace insula::runner {
namespace {

constexpr std::size_t kReadBytes = 256 * kKiB;
constexpr std::size_t kEventsPerTurn = 256;
constexpr std::size_t kOutKeptBytes = 2 * kMiB;
constexpr unsigned kSyncThreads = 4;  // they wait for the disk
constexpr int kMaintainerNice = 5;    // a third of the others' share: what it has begun, somebody may wait for
constexpr std::size_t kDescriptorsPerRead = 32;

// Waits for a moment without sleep. True: something is there.
bool look_again(std::span<pollfd> fds) {
  const auto until = std::chrono::steady_clock::now() + ShortWait::kLongest;
  do {
    ::sched_yield();
    if (::poll(fds.data(), fds.size(), 0) > 0) return true;
  } while (std::chrono::steady_clock::now() < until);
  return false;
}

}  // namespace

Host::Host(int socket, int statm, protocol::Board& board, IsolateFactory& factory, const HostOptions& options)
    : socket_(socket), statm_(statm), board_(board), factory_(factory), options_(options) {
  wake_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  INSULA_CHECK(wake_ >= 0);
  releases_.set_wake(wake_);
}

Host::~Host() = default;

void Host::start_threads() {
  INSULA_CHECK(options_.executors <= protocol::kBoardSlots);
  for (unsigned index = 0; index < options_.executors; ++index) {
    executors_.push_back(std::make_unique<Executor>());
  }
  for (unsigned index = 0; index < options_.executors; ++index) {
    Executor& executor = *executors_[index];
    executor.thread = std::thread([this, &executor, index] {
      executor.slot.adopt(&board_.slots[index]);
      executor_main(executor);
    });
  }
  monitor_ = std::thread([this] { monitor_main(); });
  for (unsigned index = 0; index < kSyncThreads; ++index) {
    sync_threads_.emplace_back([this] { sync_main(); });
  }
  // The maintainer works ahead of need: on a full machine whoever answers a request goes first. A thread begins with the
  // priority of its maker, which could not get its own back, but from here on only waits.
  ::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), kMaintainerNice);
  maintainer_ = std::thread([this] { maintainer_main(); });
}

void Host::go(const std::vector<std::string>& layers, std::uint32_t start_micros) {
  {
    const Lock lock(mutex_);
    protocol::Hello hello;
    const std::string engine = "V8";
    hello.engine = engine;
    for (const std::string& layer : layers) hello.layers.push_back(layer);
    hello.start_micros = start_micros;
    send(hello);
    going_ = true;
  }
  executors_wait_.notify_one();
  maintainer_wait_.notify_one();
  // The process ends with the channel; this thread has nothing more to do. It waits in a futex: after the lock-down
  // pause() is refused, and would make this a busy loop.
  std::condition_variable never;
  Lock lock(mutex_);
  for (;;) never.wait(lock);
}

void Host::executor_main(Executor& self) {
  Lock lock(mutex_);
  for (;;) {
    if (going_ && !ready_.empty() && active_ < options_.parallel) {
      run_one(lock, self);
    } else if (going_ && !polling_) {
      poll_once(lock);
    } else {
      executors_wait_.wait(lock);
    }
  }
}

void Host::run_one(Lock& lock, Executor& self) {
  const CellPtr cell = std::move(ready_.front());
  ready_.pop_front();
  cell->state = Cell::State::Running;
  std::deque<Event> events;
  if (cell->mailbox.size() <= kEventsPerTurn) {
    events.swap(cell->mailbox);
    // After the calls that still ask something of those results.
    for (const ReplyTo& reply_to : cell->finishes) events.push_back(FinishEvent{reply_to});
    cell->finishes.clear();
  } else {
    for (std::size_t count = 0; count < kEventsPerTurn; ++count) {
      events.push_back(std::move(cell->mailbox.front()));
      cell->mailbox.pop_front();
    }
  }
  ++active_;
  ++activity_;
  self.running = true;
  self.set_aside = false;
  ++self.turn;
  if (monitor_sleeps_) monitor_wait_.notify_one();
  if (!ready_.empty() && active_ < options_.parallel) executors_wait_.notify_one();
  const std::size_t heap_bytes_max = cell->heap_bytes_max;
  std::unique_ptr<Worker> blank;
  if (cell->worker == nullptr) blank = take_blank(heap_bytes_max);
  lock.unlock();

  if (cell->worker == nullptr) {
    cell->worker = blank != nullptr ? std::move(blank) : factory_.make_blank(*this, heap_bytes_max);
  }
  const Worker::Turn turn = cell->worker->run(events, self.slot);
  const std::size_t memory = cell->worker->memory_bytes();

  lock.lock();
  self.running = false;
  if (!self.set_aside) --active_;
  // What a condemned Worker did not live to see comes before what has arrived since.
  cell->mailbox.insert(cell->mailbox.begin(), std::make_move_iterator(events.begin()), std::make_move_iterator(events.end()));
  memory_bytes_ += memory - cell->memory_bytes;
  cell->memory_bytes = memory;
  cell->busy = turn.busy;
  touch(cell);
  if (turn.condemned || turn.load_failed || (cell->doomed && !turn.busy)) {
    bury(cell, turn.load_failed ? "load-failed" : turn.condemned ? "condemned" : "unloaded");
  } else if (!cell->mailbox.empty()) {
    cell->state = Cell::State::Ready;
    ready_.push_back(cell);
  } else {
    cell->state = Cell::State::Idle;
  }
  if (memory_bytes_ > options_.memory_bytes) make_room();
  drain_releases();
  // Somebody else polls, so nobody would write what this turn produced.
  if (polling_) flush(lock);
}

void Host::post(const CellPtr& cell, Event event) {
  cell->mailbox.push_back(std::move(event));
  if (cell->state == Cell::State::Idle) wake(cell);
}

void Host::wake(const CellPtr& cell) {
  cell->state = Cell::State::Ready;
  ready_.push_back(cell);
  // The poller runs it next, or the executor that posts it does. Only when all of those are asleep, or stuck, must
  // somebody be told.
  if (active_ < options_.parallel && blocked_in_poll_) wake_poller();
}

void Host::post(WorkerId worker, Event event) {
  if (const CellPtr cell = find(worker)) post(cell, std::move(event));
}

Host::CellPtr Host::find(WorkerId worker) {
  const auto found = cells_.find(worker);
  return found == cells_.end() ? nullptr : found->second;
}

void Host::wake_poller() {
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto written = ::write(wake_, &one, sizeof one);
}

void Host::flush(Lock&) {
  while (out_sent_ < out_.size()) {
    const ssize_t sent =
        ::send(socket_, out_.data() + out_sent_, out_.size() - out_sent_, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent > 0) {
      out_sent_ += static_cast<std::size_t>(sent);
      continue;
    }
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
      if (!want_writable_ && blocked_in_poll_ && poller_ != std::this_thread::get_id()) wake_poller();
      want_writable_ = true;
      return;
    }
    _exit(protocol::kExitSupervisorGone);
  }
  out_sent_ = 0;
  if (out_.capacity() > kOutKeptBytes) {
    Bytes().swap(out_);
  } else {
    out_.clear();
  }
  want_writable_ = false;
}

// Somebody here waits for an answer, or was just given one and may call again, and little else is under way.
bool Host::is_frame_near() const {
  return calls_.size() <= ShortWait::kFew && questions_.size() <= ShortWait::kFew &&
         (!calls_.empty() || has_answered_rpc_);
}

int Host::poll_timeout_millis() {
  if (!ready_.empty() && active_ < options_.parallel) return 0;
  if (timers_.empty()) {
    poll_until_ = Clock::time_point::max();
    return -1;
  }
  poll_until_ = timers_.begin()->first.first;
  const auto left = std::chrono::ceil<milliseconds>(poll_until_ - Clock::now()).count();
  return static_cast<int>(std::clamp<std::int64_t>(left, 0, 60000));
}

// Descriptors ride with the frame that announces them: they are kept until it is whole.
ssize_t Host::read_socket(void* data, std::size_t size) {
  iovec part{data, size};
  alignas(cmsghdr) char ancillary[CMSG_SPACE(kDescriptorsPerRead * sizeof(int))];
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = ancillary;
  message.msg_controllen = sizeof ancillary;
  const ssize_t got = ::recvmsg(socket_, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (got <= 0) return got;
  for (cmsghdr* one = CMSG_FIRSTHDR(&message); one != nullptr; one = CMSG_NXTHDR(&message, one)) {
    if (one->cmsg_level != SOL_SOCKET || one->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t count = (one->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t index = 0; index < count; ++index) {
      int number = -1;
      std::memcpy(&number, CMSG_DATA(one) + index * sizeof(int), sizeof number);
      descriptors_.emplace_back(number);
    }
  }
  return got;
}

void Host::poll_once(Lock& lock) {
  polling_ = true;
  poller_ = std::this_thread::get_id();
  drain_releases();
  flush(lock);
  // A full read says that there is more: read on at once. Otherwise the socket is empty as far as we know, so wait first.
  const auto space = reader_.space(kReadBytes);
  ssize_t got = -1;
  errno = EAGAIN;
  if (read_was_full_) got = read_socket(space.data, space.size);
  if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) {
    releases_.set_asleep(true);
    const int timeout = releases_.is_empty() ? poll_timeout_millis() : 0;
    const short wanted = want_writable_ ? POLLIN | POLLOUT : POLLIN;
    pollfd fds[2] = {{socket_, wanted, 0}, {wake_, POLLIN, 0}};
    const bool looks_again = timeout != 0 && is_frame_near() && short_wait_.is_worth_it();
    has_answered_rpc_ = false;
    blocked_in_poll_ = true;
    lock.unlock();
    const bool was_short = looks_again && look_again(fds);
    if (looks_again) short_wait_.note(was_short);
    if (!was_short) ::poll(fds, 2, timeout);
    lock.lock();
    blocked_in_poll_ = false;
    releases_.set_asleep(false);
    if ((fds[1].revents & POLLIN) != 0) {
      std::uint64_t count = 0;
      [[maybe_unused]] const auto read_bytes = ::read(wake_, &count, sizeof count);
    }
    if (want_writable_) flush(lock);
    errno = EAGAIN;
    if ((fds[0].revents & ~POLLOUT) != 0) got = read_socket(space.data, space.size);
  }
  if (got == 0 || (got < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)) {
    _exit(protocol::kExitSupervisorGone);
  }
  read_was_full_ = got > 0 && static_cast<std::size_t>(got) == space.size;
  if (got > 0) {
    reader_.commit(static_cast<std::size_t>(got));
    for (;;) {
      const auto frame = reader_.next();
      // The supervisor does not lie; a broken channel cannot be repaired.
      if (!frame) _exit(protocol::kExitSupervisorGone);
      if (frame->empty()) break;
      receive(*frame);
    }
  }
  fire_timers();
  polling_ = false;
}

void Host::fire_timers() {
  if (timers_.empty()) return;
  const auto now = Clock::now();
  while (!timers_.empty() && timers_.begin()->first.first <= now) {
    auto node = timers_.extract(timers_.begin());
    timer_times_.erase(node.key().second);
    post(node.mapped().worker, std::move(node.mapped().event));
  }
}

}  // namespace insula::runner
