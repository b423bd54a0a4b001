// SPDX-License-Identifier: Apache-2.0
//
// Host: the loop between the socket and the mailboxes, the threads that run it, and the life of the runner's Workers.
//
//   supervisor ◄══ frames ══► [host] ◄── events, calls ──► workers (one isolate each)
//
// Threads. All executors are equal. One of them at a time polls the socket: it reads all frames that have arrived, posts
// them to mailboxes, runs the ready isolates itself, and then writes everything that came of it at once; so a request
// wakes no second thread. The monitor watches: an executor whose isolate runs for more than a few milliseconds is set
// aside and another one takes over the loop, so that a spinning isolate costs its neighbours CPU but no stall. The
// maintainer makes blank isolates ahead of need, disposes of dead ones, and evicts idle ones.
//
// Locking. `mutex_` guards everything here and is never held while an isolate runs.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "src/base/short_wait.h"
#include "src/protocol/board.h"
#include "src/protocol/frames.h"
#include "src/runner/host/capability.h"
#include "src/runner/host/stream.h"
#include "src/runner/isolate/events.h"
#include "src/runner/isolate/slot.h"
#include "src/runner/worker/worker.h"

namespace insula::runner {

struct HostOptions {
  std::size_t isolates_max = 2000;
  std::size_t memory_bytes = 768 * kMiB;
  milliseconds idle_after{60000};
  milliseconds actor_idle_after{10000};
  std::size_t actors_max = 1000;  // beyond it those that nobody has called for longest are closed, if they are idle
  unsigned executors = 8;
  unsigned parallel = 1;
  unsigned blank_isolates = 8;
};

class Host final : public HostCalls {
 public:
  Host(int socket, int statm, protocol::Board& board, IsolateFactory& factory, const HostOptions& options);
  ~Host() override;

  // Makes all threads; they do nothing before go().
  void start_threads();
  // What lock_down() must leave open besides the socket.
  int wake_descriptor() const noexcept { return wake_; }
  // Says hello and runs. Returns never: the process ends with the channel.
  [[noreturn]] void go(const std::vector<std::string>& layers, std::uint32_t start_micros);

  // ---- HostCalls (calls.cc, answers.cc, payloads.cc, streams.cc)
  std::uint32_t start_call(const CallContext& context, CallTarget target, Call call) override;
  void cancel_call(std::uint32_t call) override;
  void finish_call(std::uint32_t call) override;
  CapabilityPtr export_object(WorkerId worker, std::uint32_t export_id) override;
  CapabilityPtr entrypoint(WorkerId worker, bool is_static, std::string name, Payload props) override;
  CapabilityFacts facts_of(const HostCapability& capability) const override;
  void answer(const ReplyTo& to, Outcome outcome, std::uint32_t cpu_micros, bool continues, Gate gate) override;
  void send_again(InvokeEvent event) override;
  void actor_committed(std::uint32_t actor, std::uint64_t sequence, const Sync& sync) override;
  void actor_failed(std::uint32_t actor, const CallError& error) override;
  void actor_alarm(std::uint32_t actor, std::optional<std::int64_t> unix_ms) override;
  void actor_notify(std::uint32_t actor, std::uint64_t sequence) override;
  void actor_closed(std::uint32_t actor, std::string reason, std::function<void()> close, bool is_lost) override;
  void actor_kept(std::uint32_t actor) override;
  void socket_say(SocketWord word, Gate gate) override;
  void finished(const ReplyTo& to, std::uint32_t cpu_micros, Gate gate) override;
  void preload(const CallContext& context, const CallTarget& target) override;
  void provide_code(std::uint32_t request, std::variant<WorkerCode, CallError> code) override;
  std::uint64_t start_timer(WorkerId worker, milliseconds delay, Event event) override;
  void cancel_timer(std::uint64_t timer) override;
  StreamPtr open_stream(WorkerId writer_worker, std::uint32_t writer) override;
  bool write(Stream& stream, Bytes bytes) override;
  void end(Stream& stream, std::string error) override;
  void pull(const StreamPtr& stream, WorkerId reader_worker, std::uint32_t body) override;
  void stop(Stream& stream) override;
  void splice(const StreamPtr& written, const StreamPtr& source) override;
  void log(WorkerId worker, std::uint32_t question, std::string_view level, std::string_view text,
           bool is_exception) override;

 private:
  using Lock = std::unique_lock<std::mutex>;
  using Clock = std::chrono::steady_clock;

  // One Worker and its mailbox.
  struct Cell {
    enum class State : std::uint8_t { Idle, Ready, Running };
    WorkerId id = 0;
    std::unique_ptr<Worker> worker;
    std::deque<Event> mailbox;
    std::vector<ReplyTo> finishes;  // become events with the next ones: they are no reason to wake it
    State state = State::Idle;
    bool pinned = false;
    bool busy = false;     // invocations are open
    bool doomed = false;   // unload it when its turn is over
    bool shrunk = false;
    std::size_t heap_bytes_max = 0;
    std::size_t memory_bytes = 0;
    Clock::time_point used{};
    std::list<std::shared_ptr<Cell>>::iterator place;  // in by_use_
    std::vector<std::pair<std::uint32_t, std::string>> bound;  // (loader, id) that lead here
  };
  using CellPtr = std::shared_ptr<Cell>;

  // A call of a Worker of this runner. That of an RPC call stays until it has returned and its caller has finished it.
  struct OutCall {
    // Alarm: an engine call of the host's own, for an actor.
    enum class Kind : std::uint8_t { Fetch, Rpc, Runtime, Engine, Alarm };
    WorkerId caller = 0;
    WorkerId callee = 0;  // local; 0: over the channel, or it never left
    Kind kind = Kind::Fetch;
    bool returned = false;
    bool finished = false;
    std::unique_ptr<CallError> failed;  // it never left; what is called on its result fails alike
    std::unique_ptr<std::pair<std::uint32_t, std::string>> long_way;  // to a Worker of a loader, over the channel
    std::string long_actor;  // to an actor, over the channel: its key in actor_ways_
    std::uint32_t actor = 0;  // Alarm
    bool is_held = false;    // it has not left yet
    bool is_again = false;   // the Worker that it went to first did not live to see it
  };

  // An actor that is open in this runner (actors.cc).
  struct Actor {
    // Something that it says, once a commit is on the disk.
    struct Held {
      std::uint64_t sequence = 0;
      std::function<void()> say;
      std::function<void(const CallError&)> fail;
    };
    WorkerId worker = 0;
    std::string way;   // its key in actor_ways_
    std::uint64_t committed = 0;
    std::uint64_t durable = 0;
    std::uint64_t notify = 0;
    unsigned acknowledgements = 0;  // of alarms, outstanding
    bool syncing = false;
    bool closing = false;           // it has been asked to end, or has
    Sync sync;
    std::deque<Held> held;
    Clock::time_point used{};
    bool is_listed = false;  // in actors_by_use_: always but while it closes
    std::list<std::uint32_t>::iterator place;
  };

  // How calls within this runner find an actor. Direct ones must not overtake those that take the long way.
  struct ActorWay {
    std::uint32_t actor = 0;      // 0: it is not open here
    std::uint32_t long_ways = 0;
  };

  // A call of the supervisor.
  struct InCall {
    WorkerId worker = 0;
    bool is_rpc = false;
    bool is_over = false;    // nothing more will be said of it
    bool finished = false;
  };

  // A Worker of a loader, as this runner knows it.
  struct Bound {
    WorkerId worker = 0;           // 0: it does not live here
    std::uint32_t long_ways = 0;   // RPC calls to it that have not returned: direct ones must not overtake them
  };

  struct Executor {
    ExecutorSlot slot;
    std::thread thread;
    bool running = false;     // inside a turn
    bool set_aside = false;   // ran too long: does not count as active
    std::uint64_t turn = 0;
    // The monitor's: the event that it watches, by its start, and the memory when it began to.
    std::uint64_t watched = 0;
    std::size_t memory_before = 0;
    std::size_t accounted_before = 0;
  };

  // loop.cc
  void executor_main(Executor& self);
  void run_one(Lock& lock, Executor& self);
  void poll_once(Lock& lock);
  void flush(Lock& lock);
  ssize_t read_socket(void* data, std::size_t size);
  void wake(const CellPtr& cell);
  void wake_poller();
  int poll_timeout_millis();
  bool is_frame_near() const;
  void fire_timers();

  // monitor.cc
  void monitor_main();
  void watch_executors(Lock& lock);
  void watch_memory();

  // life.cc
  void maintainer_main();
  void dispose_dead(Lock& lock);
  void refill(Lock& lock);
  bool sweep(Lock& lock);
  bool shrink_quiet(Lock& lock);
  void trim(Lock& lock);
  void adopt(const CellPtr& cell);
  void touch(const CellPtr& cell);
  void make_room();
  void answer_lost(const ReplyTo& to, bool undelivered);
  void find_another_way(InvokeEvent event);
  std::vector<InvokeEvent> refuse_mail(std::deque<Event>& mailbox);
  void bury(const CellPtr& cell, std::string_view reason);
  std::unique_ptr<Worker> take_blank(std::size_t heap_bytes_max);

  // session.cc
  void receive(BytesView frame);
  void tell_usage();
  void on_load(const protocol::Load& load);
  void on_invoke(const protocol::Invoke& invoke);
  void on_return(const protocol::Return& result);
  void on_cancel(const protocol::Cancel& cancel);
  void on_data(const protocol::StreamData& data);
  void on_end(const protocol::StreamEnd& end);
  void on_credit(const protocol::StreamCredit& credit);
  void on_stop(const protocol::StreamStop& stop);
  void on_need_code(const protocol::NeedCode& need);
  void refuse_code(std::uint32_t request);
  void on_unload(const protocol::Unload& unload);
  void on_bind(const protocol::Bind& bind);
  void on_finish(const protocol::Finish& finish);
  void send(const protocol::Frame& frame);
  void post(const CellPtr& cell, Event event);
  void post(WorkerId worker, Event event);
  CellPtr find(WorkerId worker);
  void pump_to_next(Stream& stream);
  void unsplice(Stream& stream);
  HostBody from_wire(const protocol::Body& body);
  protocol::Body to_wire(const HostBody& body);

  // calls.cc
  CellPtr local_callee(const CallContext& context, CallTarget& target, InvokeEvent& event);
  void fail_at_once(std::uint32_t id, OutCall call, CallError error);
  void send_invoke(std::uint32_t id, const CallContext& context, const CallTarget& target, const Call& call);
  void take_return(std::uint32_t call, Outcome outcome);
  void tell_finish(std::uint32_t id, const OutCall& call);
  void end_question(protocol::QuestionId question, bool undelivered);
  void begin_call(std::uint32_t id, const CallContext& context, CallTarget target, Call call);
  void begin_again(std::uint32_t id, const CallContext& context, CallTarget target, Call call);
  void say_answer(const ReplyTo& to, Outcome outcome, std::uint32_t cpu_micros, bool continues);
  void say_finished(const ReplyTo& to, std::uint32_t cpu_micros);
  void fail_unsent(std::uint32_t id, const CallError& error);

  // actors.cc
  void on_open_actor(const protocol::OpenActor& open);
  void on_close_actor(const protocol::CloseActor& close);
  void on_facet_closed(const protocol::FacetClosed& closed);
  void on_sockets(const protocol::Sockets& sockets);
  void on_socket_tell(const protocol::SocketTell& tell);
  std::string way_of(const CallTarget& target) const;
  Actor* find_actor(std::uint32_t number);
  bool is_held_back(const Gate& gate);
  void hold_back(const Gate& gate, std::function<void()> say, std::function<void(const CallError&)> fail);
  void want_sync(std::uint32_t number, Actor& actor);
  void release_held(std::uint32_t number);
  void fail_held(std::uint32_t number, const CallError& error, std::uint64_t from_sequence);
  void sync_main();
  void touch_actor(std::uint32_t number, Actor& actor);
  void begin_closing(Actor& actor);
  bool close_idle_actors();

  // payloads.cc
  CapabilityPtr import(protocol::CapabilityId number, bool is_granted);
  void on_local(const protocol::Local& local);
  void on_release(const protocol::Release& release);
  void drain_releases();
  CapabilityPtr from_wire(const protocol::CapabilityRef& reference);
  protocol::CapabilityRef to_wire(const CapabilityPtr& capability);
  Payload from_wire(const protocol::Payload& payload);
  protocol::Payload to_wire(const Payload& payload);
  static void make_reluctant(const Payload& payload);
  void discard(Outcome& outcome);
  void discard(Payload& payload);
  void discard(Call& call);

  // streams.cc
  void pump(Stream& stream);
  void pump_to_channel(Stream& stream);
  void pump_to_isolate(Stream& stream);
  void make_producer_go_on(Stream& stream);
  void stop_stream(Stream& stream);
  StreamPtr stream_of(const Bytes& bytes);

  const int socket_;
  const int statm_;
  int wake_ = -1;
  protocol::Board& board_;
  IsolateFactory& factory_;
  const HostOptions options_;

  std::mutex mutex_;
  std::condition_variable executors_wait_;
  std::condition_variable monitor_wait_;
  std::condition_variable maintainer_wait_;
  bool going_ = false;

  std::vector<std::unique_ptr<Executor>> executors_;
  std::thread monitor_;
  std::thread maintainer_;
  std::thread::id poller_;
  bool polling_ = false;
  bool blocked_in_poll_ = false;
  bool want_writable_ = false;
  bool read_was_full_ = false;
  bool has_answered_rpc_ = false;  // over the channel, since the last wait
  ShortWait short_wait_;           // only the poller
  unsigned active_ = 0;
  std::uint64_t activity_ = 0;
  bool monitor_sleeps_ = false;

  std::deque<CellPtr> ready_;
  std::unordered_map<WorkerId, CellPtr> cells_;
  std::list<CellPtr> by_use_;  // the same cells, least recently used first
  std::unordered_map<std::uint32_t, std::unordered_map<std::string, Bound>> bound_;
  std::unordered_map<std::uint32_t, WorkerId> loader_owners_;  // a loader is bound to one Worker
  std::size_t dynamic_cells_ = 0;
  std::size_t memory_bytes_ = 0;
  std::vector<std::unique_ptr<Worker>> blanks_;
  std::size_t blanks_wanted_ = 0;
  Clock::time_point blank_taken_{};
  std::size_t freed_bytes_ = 0;  // by isolates, since the last trim()
  std::vector<std::unique_ptr<Worker>> dead_;

  std::unordered_map<std::uint32_t, Actor> actors_;
  std::list<std::uint32_t> actors_by_use_;  // those that stay open, least recently used first
  std::unordered_map<std::string, ActorWay> actor_ways_;
  // What the sync threads are to do: sync an actor, or something else that blocks.
  struct Job {
    std::uint32_t actor = 0;
    std::function<void()> run;  // null: sync
    std::function<void()> then; // with the lock held
  };
  std::deque<Job> jobs_;
  std::condition_variable jobs_wait_;
  std::vector<std::thread> sync_threads_;
  std::deque<Fd> descriptors_;  // that came over the socket, until their frame is whole; only the poller

  protocol::FrameReader reader_;  // only the poller
  Bytes out_;
  std::size_t out_sent_ = 0;
  std::unordered_map<std::uint32_t, OutCall> calls_;
  std::uint32_t next_call_ = 1;
  std::unordered_map<protocol::QuestionId, InCall> questions_;
  ReleaseList releases_;
  std::vector<ReleaseList::Item> released_;
  std::unordered_map<protocol::CapabilityId, std::weak_ptr<HostCapability>> imports_;
  std::unordered_map<protocol::CapabilityId, std::unique_ptr<const HostCapability::LocalWay>> early_ways_;
  std::unordered_map<protocol::CapabilityId, CapabilityPtr> exports_;
  protocol::CapabilityId next_export_ = 1;
  std::unordered_map<protocol::StreamId, StreamPtr> in_streams_;
  std::unordered_map<protocol::StreamId, StreamPtr> out_streams_;
  protocol::StreamId next_stream_ = 1;

  struct TimerEntry {
    WorkerId worker = 0;
    Event event;
  };
  std::map<std::pair<Clock::time_point, std::uint64_t>, TimerEntry> timers_;
  std::unordered_map<std::uint64_t, Clock::time_point> timer_times_;
  std::uint64_t next_timer_ = 1;
  Clock::time_point poll_until_{};
};

}  // namespace insula::runner
