// SPDX-License-Identifier: Apache-2.0
//
// Session: the tables of one channel to a runner, and the only place where a runner's numbers are looked up.
//
//   dispatch, broker ──ask()──► [session] ──Invoke──► runner ──Return──► ReplySink
//   runner ──Invoke──► [session: capability table] ──► Capability (broker) ──answer()──► Return
//
// Invariants
//   1. Who calls is known from the channel and the table entry that the call names, never from the message.
//   2. A number that was never given out, an answer to no question, a frame that no honest runner sends: the session
//      ends at once, and all its callers hear of it. A number that was valid a moment ago is only late.
//   3. Every question has exactly one outcome at its sink, whatever the runner does.
//   4. A reference is released once: a RunnerExport says it for what the runner gave, the runner's Release for what was
//      given to it; the end of either side stands for all of its own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/unordered/unordered_flat_map.hpp>

#include "src/base/fd.h"
#include "src/base/limits.h"
#include "src/protocol/frames.h"
#include "src/supervisor/fleet/calls.h"
#include "src/supervisor/fleet/channel.h"
#include "src/supervisor/fleet/slot_map.h"
#include "src/supervisor/fleet/streams.h"

namespace insula::fleet {

// What the fleet wants to know of its sessions.
class SessionEvents {
 public:
  virtual ~SessionEvents() = default;
  virtual void on_hello(Session& session, const protocol::Hello& hello) = 0;
  virtual void on_pong(Session& session, std::uint32_t number) = 0;
  virtual void on_usage(Session& session, const protocol::Usage& usage) = 0;
  // The channel is at its end, or the runner broke the protocol (Corrupt, Denied). The fleet must call close().
  virtual void on_session_end(Session& session, const Error& error) = 0;
};

// What the broker does for runners beyond calls on capabilities.
class SessionHandler {
 public:
  virtual ~SessionHandler() = default;
  virtual void on_dynamic_invoke(IncomingCall& call, const std::shared_ptr<Capability>& loader) = 0;
  virtual void on_preload(Session& session, const protocol::Dynamic& dynamic,
                          const std::shared_ptr<Capability>& loader) = 0;
  // A call on a facet below `parent`, of a class of the Worker that target.dynamic names at `loader`, or of `own`, a Worker
  // of the session.
  virtual void on_facet_invoke(IncomingCall& call, const std::shared_ptr<ActorOwner>& parent,
                               const std::shared_ptr<Capability>& loader, const std::shared_ptr<WorkerOwner>& own);
  // What stands for an entrypoint of a Worker of the session. Null: that Worker's entrypoints are not given away.
  virtual std::shared_ptr<Capability> make_entrypoint(WorkerOwner& owner, std::string_view name, BytesView props,
                                                      Carried carried) = 0;
  // `owner` is null for a Worker that is gone already.
  virtual void on_log(Session& session, const std::shared_ptr<WorkerOwner>& owner, const protocol::LogLine& line) = 0;
};

class Session final : public ChannelEvents, private StreamPort, public std::enable_shared_from_this<Session> {
 public:
  Session(boost::asio::io_context& io, Fd socket, SessionEvents& events, SessionHandler& handler);
  ~Session() override;
  void start() { channel_->start(); }

  // ---- Workers
  // A number for a Worker that will be loaded with send_load(); `owner` hears of its end.
  protocol::WorkerId add_worker(std::shared_ptr<WorkerOwner> owner);
  // An import number, for the use of that Worker alone; it goes when the Worker goes.
  protocol::CapabilityId mint(protocol::WorkerId worker, std::shared_ptr<Capability> capability);
  // The same for all that rides with the env of that Worker.
  void mint_all(protocol::WorkerId worker, protocol::Payload& env, const Carried& carried);
  // True when the runner may be given that many more.
  bool has_room_for(std::size_t capabilities) const noexcept {
    return imports_.size() + capabilities <= kImportsPerRunnerMax;
  }
  void send_load(const protocol::Load& load) { send_frame(load); }
  // Tells the runner when an import leads to a Worker of its own.
  void tell_place(protocol::CapabilityId import);
  // Forgets the Worker without a word to its owner, and tells the runner.
  void unload(protocol::WorkerId worker);
  // Forgets a Worker that the runner says it does not have.
  void forget_worker(protocol::WorkerId worker);
  std::shared_ptr<WorkerOwner> owner_of(protocol::WorkerId worker);
  std::size_t worker_count() const noexcept { return workers_.size(); }

  // ---- Actors
  // A number for an actor of that Worker, to be opened with send_open_actor(); 0 when the Worker is gone.
  protocol::ActorId add_actor(protocol::WorkerId worker, std::shared_ptr<ActorOwner> owner);
  void send_open_actor(protocol::OpenActor& open, const Carried& props, std::vector<Fd> descriptors);
  // Asks for the end of an actor; its owner hears of it.
  void close_actor(protocol::ActorId actor, std::string_view reason);
  void send_facet_closed(protocol::ActorId parent, std::string_view name);
  void send_sockets(const protocol::Sockets& sockets) { send_frame(sockets); }
  void tell_socket(const protocol::SocketTell& tell) { send_frame(tell); }
  std::size_t actor_count() const noexcept { return actors_.size(); }

  // ---- Questions: calls of the supervisor
  // Sends the call. Sets invoke.question and, with `body`, invoke's body. Returns the question, 0 when the session is
  // closed or congested (nothing was sent, the sink will not be called).
  protocol::QuestionId ask(protocol::Invoke& invoke, const io::ByteSourcePtr& body, std::shared_ptr<ReplySink> sink,
                           const Carried& arguments = {}, const Carried& props = {});
  // The sink is called no more. What the runner asked on behalf of the question is cancelled too.
  void cancel(protocol::QuestionId question);
  // The result of an RPC question will not be called upon any more. Said for each of them, once.
  void finish(protocol::QuestionId question);
  // What the broker keeps with one of our questions; for 0, with the session itself. Null for a question that is over.
  std::unique_ptr<InvocationState>* invocation_state(protocol::QuestionId question);
  // What one of our questions is about, for the log. Valid for the moment.
  std::string_view subject_of(protocol::QuestionId question);
  std::size_t question_count() const noexcept { return questions_.size() - kept_results_; }
  std::size_t kept_result_count() const noexcept { return kept_results_; }
  std::size_t import_count() const noexcept { return imports_.size(); }
  std::size_t export_count() const noexcept { return runner_exports_.size(); }
  std::size_t answer_count() const noexcept { return answers_.size(); }
  std::size_t stream_count() const noexcept { return runner_streams_.size() + outgoing_.size(); }
  // The open questions and the Workers that they are addressed to; for blame.
  struct OpenCall {
    protocol::QuestionId question = 0;
    protocol::WorkerId worker = 0;
  };
  std::vector<OpenCall> open_calls();
  // True when the question is open and addressed to that Worker.
  bool is_open(protocol::QuestionId question, protocol::WorkerId worker);

  // ---- Answers: calls of the runner
  void answer(protocol::QuestionId question, protocol::Return& outcome, const io::ByteSourcePtr& body,
              const Carried& carried = {});
  void answer_error(protocol::QuestionId question, const protocol::ErrorInfo& error);
  void set_job(protocol::QuestionId question, std::shared_ptr<Job> job);

  // ---- Code
  // Asks the runner for the code behind one of its sources. False when closed.
  bool need_code(protocol::CapabilityId loader, std::uint32_t source, std::shared_ptr<CodeSink> sink);
  void send_bind(const protocol::Bind& bind) { send_frame(bind); }

  // ---- Life
  void ping(std::uint32_t number) { send_frame(protocol::Ping{number}); }
  void ask_usage() { send_frame(protocol::Usage{}); }
  // Its Workers and actors end when nothing of them runs; their owners find other places from now on.
  void retire();
  void drain() { send_frame(protocol::Drain{}); }
  bool has_work() const noexcept { return question_count() > 0 || !code_requests_.empty(); }
  bool is_open() const noexcept { return is_open_; }
  // Hands over what a dead runner said last.
  void read_rest() { channel_->read_rest(); }
  // Ends everything. `loss_of` says for each open question what its caller hears.
  struct LossPolicy {
    Loss others;                        // what innocent calls hear
    protocol::QuestionId culprit = 0;   // the one that took the runner down, 0: not known
    Fault culprit_fault = Fault::RunnerLost;
  };
  void close(const LossPolicy& policy);

  // For RunnerExport: nobody holds the reference any more.
  void release_export(protocol::CapabilityId number);

  // ChannelEvents
  void on_frame(BytesView bytes) override;
  void on_channel_end(const Error& error) override;

 private:
  enum class Kind : std::uint8_t { Fetch, Rpc, Event, Engine };  // as the alternatives of Invoke::call

  struct Question {
    std::shared_ptr<ReplySink> sink;  // null once cancelled
    protocol::WorkerId worker = 0;    // 0 too when nobody knows whose object it is
    protocol::ActorId actor = 0;
    std::vector<protocol::StreamId> streams;  // of the request, ours
    std::uint32_t depth = 0;
    Kind kind = Kind::Fetch;
    bool is_returned = false;
    bool is_over = false;             // and no Finished will come: an RPC question waits for our Finish
    bool is_finished = false;         // by our side
    bool is_on_object = false;        // runs within another invocation, which may read the streams later
    std::vector<protocol::QuestionId> children;  // the runner's questions on behalf of this one
    std::unique_ptr<InvocationState> state;

    void clear() {
      sink.reset();
      worker = actor = depth = 0;
      kind = Kind::Fetch;
      is_returned = is_over = is_finished = is_on_object = false;
      streams.clear();
      children.clear();  // keeps its capacity for the next question
      state.reset();
    }
  };
  struct OpenAnswer {
    protocol::QuestionId parent = 0;
    std::shared_ptr<Job> job;
    Kind kind = Kind::Fetch;
    bool is_returned = false;  // an RPC answer is kept until the runner finishes it
  };
  struct Import {
    std::shared_ptr<Capability> capability;
    protocol::WorkerId worker = 0;
  };
  struct ActorRecord {
    std::shared_ptr<ActorOwner> owner;
    protocol::WorkerId worker = 0;
  };
  struct WorkerRecord {
    std::shared_ptr<WorkerOwner> owner;
    std::vector<protocol::CapabilityId> imports;
  };

  void receive(BytesView raw, protocol::Frame& frame);
  void receive(BytesView raw, protocol::Invoke& invoke);
  void receive_promised(IncomingCall& call);
  static bool fits(Kind kind, const protocol::Return& outcome);
  void receive(protocol::Return& outcome);
  void receive(const protocol::Finished& finished);
  void receive(const protocol::Cancel& cancel);
  void receive(const protocol::StreamData& data);
  void receive(const protocol::StreamEnd& end);
  void receive(const protocol::StreamCredit& credit);
  void receive(const protocol::StreamStop& stop);
  void receive(const protocol::Splice& splice);
  void receive(const protocol::Evicted& evicted);
  void receive(const protocol::Preload& preload);
  void receive(BytesView raw, const protocol::Code& code);
  void receive(const protocol::LogLine& line);
  void receive(const protocol::Release& release);
  void receive(const protocol::Finish& finish);
  void receive(const protocol::ActorClosed& closed);
  void receive(const protocol::SocketSay& said);
  void receive_facet(IncomingCall& call);
  void receive_own(IncomingCall& call);
  std::shared_ptr<WorkerOwner> owner_of_entrypoint(protocol::WorkerId worker);
  // The owner, or null after the caller was told that the actor is gone, or the session was ended.
  std::shared_ptr<ActorOwner> actor_for(protocol::ActorId actor, protocol::QuestionId question);
  void drop_actors(protocol::WorkerId worker);
  void note_spent(protocol::ActorId actor, std::uint32_t cpu_micros);

  // Ends the session: what arrived can come from no honest runner.
  void violate(std::string_view what);
  // The capability, or null after the caller was told so or the session was ended.
  std::shared_ptr<Capability> import_for(protocol::CapabilityId number, protocol::QuestionId question);
  // The stream that a body of the runner names; null: the body has none.
  // Errors: Corrupt (a number that the runner may not use, or too many bytes inline).
  Result<io::ByteSourcePtr> adopt(const protocol::Body& body);
  // The objects behind what rides with a payload of the runner. `worker`: whose, for blame.
  Result<> adopt(const protocol::Payload& payload, Carried& carried, protocol::WorkerId worker);
  Result<std::shared_ptr<Capability>> adopt(const protocol::CapabilityRef& reference, protocol::WorkerId worker);
  Result<std::shared_ptr<Capability>> adopt(const protocol::Entrypoint& entrypoint, protocol::WorkerId worker);
  Result<CodeGrants> adopt(const protocol::WorkerCode& code);
  // True for a number that the runner gave to a stream before; numbers may wrap around.
  bool was_seen(protocol::StreamId stream) const {
    return stream != 0 && static_cast<std::int32_t>(newest_runner_stream_ - stream) >= 0;
  }
  // Names a source towards the runner.
  void give(protocol::Body& body, const io::ByteSourcePtr& source, protocol::StreamId* outgoing = nullptr);
  // Names what rides with a payload towards the runner; `worker`: the imports live as long as it, 0: until released.
  void give(protocol::Payload& payload, const Carried& carried, protocol::WorkerId worker = 0,
            std::vector<protocol::StreamId>* outgoing = nullptr);
  // The unread source of one of our outgoing streams, null when it was touched.
  io::ByteSourcePtr take_back(protocol::StreamId stream);
  protocol::WorkerId worker_behind(const protocol::Target& target);
  // The question's invocation is over; the question too, unless its result is kept.
  void end_question(protocol::QuestionId number, Question& question);
  void cancel_children(std::vector<protocol::QuestionId> children);
  void drop_child(protocol::QuestionId parent, protocol::QuestionId child);

  void send_frame(const protocol::Frame& frame) override;
  void on_reader_stopped(protocol::StreamId stream) override;
  void on_outgoing_ended(protocol::StreamId stream) override;

  boost::asio::io_context& io_;
  SessionEvents& events_;
  SessionHandler& handler_;
  const std::shared_ptr<Channel> channel_;
  bool is_open_ = true;
  bool has_hello_ = false;

  SlotMap<Question> questions_;
  std::size_t kept_results_ = 0;  // of questions that only wait for our Finish
  boost::unordered_flat_map<protocol::QuestionId, OpenAnswer> answers_;
  SlotMap<Import> imports_;
  boost::unordered_flat_map<protocol::CapabilityId, protocol::WorkerId> runner_exports_;  // and whose objects they are
  SlotMap<WorkerRecord> workers_;
  // Static Workers that were here: what others hold of them leads to where they are now.
  boost::unordered_flat_map<protocol::WorkerId, std::weak_ptr<WorkerOwner>> former_statics_;
  SlotMap<ActorRecord> actors_;
  SlotMap<std::shared_ptr<CodeSink>> code_requests_;
  // The runner's streams: the reader owns the object, the table only finds it. A stream leaves the table when it ends
  // or is stopped; what the runner had sent before it knew is late, not wrong, and recognised by its number.
  boost::unordered_flat_map<protocol::StreamId, std::weak_ptr<RunnerStream>> runner_streams_;
  protocol::StreamId newest_runner_stream_ = 0;
  SlotMap<std::unique_ptr<OutgoingStream>> outgoing_;
  std::unique_ptr<InvocationState> session_state_;  // for calls without an invocation
};

}  // namespace insula::fleet
