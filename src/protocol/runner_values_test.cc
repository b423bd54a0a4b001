// SPDX-License-Identifier: Apache-2.0
//
// Values that nobody honest has written: the runner reads serialised arguments with flipped, lost, doubled and moved bytes,
// references and streams that do not fit. V8 lives inside the engine's executable, so this drives a real runner over its
// socket, as the supervisor would, with seeds that are fixed.
//
// What must hold: the process lives, each call has one answer, each frame can be read, and an honest call works in between.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "src/base/fd.h"
#include "src/protocol/board.h"
#include "src/protocol/frames.h"
#include "src/protocol/runner_options.h"

namespace insula::protocol {
namespace {

constexpr int kRounds = 2000;
constexpr int kCallsPerRound = 20;
constexpr int kPatienceMillis = 20000;

constexpr const char* kWorker = R"js(
import { WorkerEntrypoint, RpcTarget } from 'cloudflare:workers';
class T extends RpcTarget { hi() { return 1; } }
const seeds = [
  () => [1, -0, 'text', '\u00fc\u4e2d', 12345678901234567890n, null, undefined, true],
  () => [{ a: 1, b: { c: [1, , 3] } }, new Map([[1, { x: 2 }]]), new Set([1, 'a'])],
  () => [new Date(5), /a+b/giu, new Uint8Array([1, 2, 3]).subarray(1), new DataView(new ArrayBuffer(8), 2)],
  () => [Object.assign(new TypeError('bad', { cause: new Error('c') }), { code: 5 }), new DOMException('m', 'AbortError')],
  () => [new Headers({ a: 'b' }), new Request('http://x/y', { method: 'POST', body: 'hello' }), new Response('text', { status: 201 })],
  () => [new Blob(['abc'], { type: 'text/plain' }), new ReadableStream({ start(c) { c.enqueue(new Uint8Array(5)); c.close(); } })],
  () => [new T(), () => 1, { f() { return 2; }, t: new T() }],
  () => { const o = { l: [] }; o.l.push(o, o.l); return [o, o]; },
  () => [new Number(1), new String('s'), Object(5n), new Float64Array([1.5, NaN]), new BigInt64Array(1)],
  () => [[[[[[[[1]]]]]]], Array(200).fill({ z: 1 })],
];
export default class extends WorkerEntrypoint {
  seed(i) { return seeds[i](); }
  count(...args) {
    let n = 0;
    const walk = (v, depth) => { n++; if (depth > 6 || typeof v !== 'object' || v === null) return; for (const k of Object.keys(v).slice(0, 20)) { try { walk(v[k], depth + 1); } catch {} } };
    walk(args, 0);
    for (const one of args) if (one instanceof ReadableStream) one.cancel();
    return n;
  }
  echo(...args) { return args; }
  throws(...args) { throw args[0]; }
}
)js";

// What the serialiser writes in front of a value, and most of its tags.
constexpr std::string_view kSeedArguments("\xff\x0f" "A\x01I", 5);
constexpr std::string_view kTags = "\\oOAa$@{;'|Tr_tFIUZNnydDzRsS\"cBV~ewWpuxEm.0123456789*^!ml";

class RunnerOfValues : public ::testing::Test {
 protected:
  struct Seed {
    Bytes bytes;
    std::size_t capabilities = 0;
    std::size_t streams = 0;
  };

  void SetUp() override {
    const auto folder = std::filesystem::read_symlink("/proc/self/exe").parent_path();
    const std::string library = folder / "libinsula_runner.so";
    const Fd snapshot(::open((folder / "insula_snapshot.bin").c_str(), O_RDONLY | O_CLOEXEC));
    if (!snapshot || !std::filesystem::exists(library)) GTEST_SKIP() << "the runner is not built";
    int pair[2] = {-1, -1};
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    socket_ = Fd(pair[0]);
    const Fd theirs(pair[1]);
    const Fd board(::memfd_create("board", MFD_CLOEXEC));
    ASSERT_EQ(::ftruncate(board.get(), sizeof(protocol::Board)), 0);
    const std::string preload = std::string(INSULA_SANITIZER_RUNTIME) + library;
    pid_ = ::fork();
    if (pid_ == 0) {
      // High numbers first: the ones that are wanted may be in use.
      const int from[3] = {::fcntl(theirs.get(), F_DUPFD, 100), ::fcntl(board.get(), F_DUPFD, 100),
                           ::fcntl(snapshot.get(), F_DUPFD, 100)};
      ::dup2(from[0], protocol::kRunnerSocketFd);
      ::dup2(from[1], protocol::kRunnerBoardFd);
      ::dup2(from[2], protocol::kRunnerSnapshotFd);
      ::close_range(protocol::kRunnerSnapshotFd + 1, ~0u, 0);
      ::setenv("LD_PRELOAD", preload.c_str(), 1);
      ::setenv("TZ", "UTC", 1);
      ::setenv("ASAN_OPTIONS", "detect_leaks=0", 1);
      ::execl(INSULA_ENGINE_DEFAULT "/bin/node", "node", "runner", "--sandbox=0", nullptr);
      ::_exit(99);
    }
    load();
  }
  void TearDown() override {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }

  void say(const protocol::Frame& frame) { protocol::append_frame(out_, frame); }

  void load() {
    protocol::Load load;
    load.worker = ++worker_;
    load.name = "w";
    load.code.compatibility_date = "2026-06-01";
    load.code.main_module = "m.js";
    load.code.modules.push_back({"m.js", protocol::ModuleKind::EsModule, kWorker});
    load.limits.cpu = milliseconds(5000);
    load.limits.subrequests = 1000000;
    say(load);
  }

  void call(std::string_view method, Payload arguments) {
    protocol::Invoke invoke;
    invoke.question = ++question_;
    invoke.target.number = worker_;
    invoke.call = protocol::RpcCall{{method}, std::move(arguments), true};
    open_.insert(invoke.question);
    say(invoke);
  }

  // Until every call has its answer.
  void settle() {
    while (!open_.empty()) {
      while (!out_.empty()) {
        const ssize_t sent = ::send(socket_.get(), out_.data(), out_.size(), MSG_NOSIGNAL);
        ASSERT_GT(sent, 0) << "the runner has ended";
        out_.erase(0, static_cast<std::size_t>(sent));
      }
      pollfd waiting{socket_.get(), POLLIN, 0};
      ASSERT_EQ(::poll(&waiting, 1, kPatienceMillis), 1) << open_.size() << " calls have no answer";
      const auto space = reader_.space(64 * kKiB);
      const ssize_t got = ::recv(socket_.get(), space.data, space.size, 0);
      ASSERT_GT(got, 0) << "the runner has ended";
      reader_.commit(static_cast<std::size_t>(got));
      for (;;) {
        const auto bytes = reader_.next();
        ASSERT_TRUE(bytes) << bytes.error().message();
        if (bytes->empty()) break;
        const auto frame = protocol::decode_frame(*bytes);
        ASSERT_TRUE(frame) << frame.error().message();
        std::visit([this](const auto& item) { hear(item); }, *frame);
      }
    }
  }

  template <class Frame>
  void hear(const Frame&) {}
  void hear(const protocol::Return& result) {
    EXPECT_EQ(open_.erase(result.question), 1u) << "an answer to no call";
    if (const auto* const value = std::get_if<protocol::RpcValue>(&result.outcome)) {
      ++values_;
      last_ = {Bytes(value->payload.bytes), value->payload.capabilities.size(), value->payload.streams.size()};
      for (const CapabilityRef& reference : value->payload.capabilities) {
        if (reference.kind == CapabilityRef::Kind::SenderHosted) say(protocol::Release{reference.number});
      }
      for (const Body& body : value->payload.streams) {
        if (body.kind == Body::Kind::Stream) say(protocol::StreamStop{body.stream});
      }
    } else {
      ++errors_;
    }
    say(protocol::Finish{result.question});
  }
  // A value calls one of its references.
  void hear(const protocol::Invoke& invoke) {
    protocol::Return result;
    result.question = invoke.question;
    result.outcome = protocol::ErrorInfo{};
    say(result);
  }
  void hear(const protocol::StreamCredit& credit) { say(protocol::StreamEnd{credit.stream, {}}); }
  // A limit has ended its isolate: what waits there is answered, a new one goes on.
  void hear(const protocol::Evicted& evicted) {
    if (evicted.worker == worker_) load();
  }

  Bytes mutated(Bytes bytes) {
    for (auto count = random_() % 3; count > 0 && bytes.size() > 3; --count) {
      const std::size_t at = 2 + random_() % (bytes.size() - 2);
      const char tag = kTags[random_() % kTags.size()];
      switch (random_() % 8) {
        case 0: bytes[at] = static_cast<char>(random_()); break;
        case 1: bytes[at] = static_cast<char>(bytes[at] ^ (1 << random_() % 8)); break;
        case 2: bytes.erase(at, 1 + random_() % 4); break;
        case 3: bytes.insert(at, 1, tag); break;
        case 4: {
          const Bytes& other = seeds_[random_() % seeds_.size()].bytes;
          bytes.insert(at, other.substr(random_() % other.size(), random_() % 32));
          break;
        }
        case 5: bytes[at] = tag; break;
        case 6: bytes.replace(at, 1, "\xff\xff\xff\xff\x0f"); break;
        default: bytes.resize(at);
      }
    }
    if (random_() % 500 == 0) {
      // Far deeper than any stack.
      bytes.resize(2);
      for (int depth = 0; depth < 100000; ++depth) bytes.append("A\x01", 2);
    }
    return bytes;
  }

  void call_mutated() {
    static constexpr std::string_view kMethods[] = {"count", "echo", "throws"};
    const Seed& seed = seeds_[random_() % seeds_.size()];
    held_.push_back(mutated(seed.bytes));
    Payload payload;
    payload.bytes = held_.back();
    for (std::size_t left = random_() % 10 != 0 ? seed.capabilities : random_() % 4; left > 0; --left) {
      payload.capabilities.push_back({CapabilityRef::Kind::SenderHosted, ++import_, nullptr});
    }
    for (std::size_t left = random_() % 10 != 0 ? seed.streams : random_() % 3; left > 0; --left) {
      Body body;
      body.kind = random_() % 2 == 0 ? Body::Kind::Inline : Body::Kind::Stream;
      if (body.kind == Body::Kind::Inline) {
        body.bytes = "bytes";
      } else {
        body.stream = ++stream_;
      }
      payload.streams.push_back(body);
    }
    call(kMethods[random_() % std::size(kMethods)], std::move(payload));
  }

  void call_seed(int number) {
    Bytes arguments(kSeedArguments);
    arguments.push_back(static_cast<char>(number * 2));
    held_.push_back(arguments.append("$\0\x01", 3));
    Payload payload;
    payload.bytes = held_.back();
    call("seed", std::move(payload));
  }

  pid_t pid_ = -1;
  Fd socket_;
  protocol::FrameReader reader_;
  Bytes out_;
  std::mt19937 random_{20260101};
  std::set<protocol::QuestionId> open_;
  std::vector<Seed> seeds_;
  std::vector<Bytes> held_;
  Seed last_;
  std::uint32_t worker_ = 0, question_ = 0, import_ = 1000, stream_ = 0;
  int values_ = 0, errors_ = 0;
};

TEST_F(RunnerOfValues, LivesThroughValuesThatNobodyHonestHasWritten) {
  for (int number = 0; number < 10; ++number) {
    call_seed(number);
    settle();
    ASSERT_FALSE(HasFatalFailure());
    ASSERT_EQ(values_, number + 1) << "seed " << number;
    seeds_.push_back(last_);
  }
  for (int round = 0; round < kRounds; ++round) {
    held_.clear();
    held_.reserve(kCallsPerRound + 1);
    for (int count = 0; count < kCallsPerRound; ++count) call_mutated();
    settle();
    ASSERT_FALSE(HasFatalFailure()) << "round " << round;
    if (round % 10 != 0) continue;
    const int before = values_;
    call_seed(1);
    settle();
    ASSERT_FALSE(HasFatalFailure()) << "round " << round;
    EXPECT_EQ(values_, before + 1) << "an honest call";
  }
  // Both ways of reading were taken, often.
  EXPECT_GT(values_, kRounds * kCallsPerRound / 10);
  EXPECT_GT(errors_, kRounds * kCallsPerRound / 10);
}

}  // namespace
}  // namespace insula::protocol
