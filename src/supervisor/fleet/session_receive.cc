// SPDX-License-Identifier: Apache-2.0
//
// Session: what a runner says, looked up in the tables before anything is believed.
#include <algorithm>
#include <utility>
#include <variant>

#include "src/base/header_block.h"
#include "src/base/limits.h"
#include "src/supervisor/fleet/session.h"

namespace insula::fleet {
namespace {

constexpr std::size_t kAnswersPerRunnerMax = 65536;  // calls of one runner that wait for their outcome
constexpr std::size_t kUrlBytesMax = 64 * kKiB;
constexpr std::size_t kMethodBytesMax = 64;
constexpr std::size_t kHeaderBytesMax = 256 * kKiB;
constexpr std::size_t kTextBytesMax = 256 * kKiB;      // names, messages, log lines
constexpr std::size_t kPathPartsMax = 256;

bool is_text(std::string_view text) { return text.size() <= kTextBytesMax; }

bool is_sane(const protocol::FetchRequest& request) {
  return !request.method.empty() && request.method.size() <= kMethodBytesMax && request.url.size() <= kUrlBytesMax &&
         request.headers.size() <= kHeaderBytesMax && request.cf.size() <= kTextBytesMax &&
         is_valid_header_block(request.headers);
}

bool is_sane(const protocol::RpcCall& call) {
  return call.path.size() <= kPathPartsMax && call.arguments.size() <= kRpcBytesMax &&
         std::all_of(call.path.begin(), call.path.end(), is_text);
}

bool is_sane(const protocol::ErrorInfo& error) {
  return error.fault.size() <= 64 && is_text(error.name) && error.message.size() <= kMiB &&
         error.stack.size() <= kMiB && error.properties.size() <= kMiB;
}

bool is_sane(const protocol::FetchResponse& response) {
  return response.status_text.size() <= 1024 && response.headers.size() <= kHeaderBytesMax &&
         is_valid_header_block(response.headers);
}

bool is_sane(const protocol::RpcValue& value) { return value.bytes.size() <= kRpcBytesMax; }

bool is_sane(const protocol::Dynamic& dynamic) { return dynamic.id.size() <= kLoaderIdBytesMax; }

}  // namespace

void Session::on_frame(BytesView bytes) {
  if (!is_open_) return;
  const auto self = shared_from_this();
  auto frame = protocol::decode_frame(bytes);
  if (!frame) {
    violate(frame.error().message());
    return;
  }
  receive(bytes, *frame);
}

void Session::receive(BytesView raw, protocol::Frame& frame) {
  if (auto* const hello = std::get_if<protocol::Hello>(&frame)) {
    if (has_hello_) return violate("a second Hello");
    has_hello_ = true;
    events_.on_hello(*this, *hello);
    return;
  }
  if (!has_hello_) return violate("a frame before Hello");
  std::visit(
      [&](auto& item) {
        using Item = std::decay_t<decltype(item)>;
        if constexpr (std::is_same_v<Item, protocol::Invoke> || std::is_same_v<Item, protocol::Code>) {
          receive(raw, item);
        } else if constexpr (std::is_same_v<Item, protocol::Pong>) {
          events_.on_pong(*this, item.number);
        } else if constexpr (std::is_same_v<Item, protocol::Usage>) {
          events_.on_usage(*this, item);
        } else if constexpr (requires { receive(item); }) {
          receive(item);
        } else {
          violate("a frame that only the supervisor may send");
        }
      },
      frame);
}

std::shared_ptr<Capability> Session::import_for(protocol::CapabilityId number, protocol::QuestionId question) {
  if (const Import* const import = imports_.find(number)) return import->capability;
  if (!imports_.was_issued(number)) {
    violate("a capability that was never granted");
  } else if (question != 0) {
    answer_error(question, error_of(Fault::Internal, "This binding is no longer available."));
  }
  return nullptr;
}

void Session::receive(BytesView raw, protocol::Invoke& invoke) {
  if (invoke.question == 0 || answers_.contains(invoke.question)) return violate("question is in use");
  if (answers_.size() >= kAnswersPerRunnerMax) return violate("too many open calls");
  if (invoke.target.entrypoint.size() > kTextBytesMax || invoke.target.props.size() > kEnvBytesMax) {
    return violate("target is too large");
  }
  if (!is_sane(invoke.target.dynamic)) return violate("id of a dynamic Worker is too long");
  if (!std::visit([](const auto& call) { return is_sane(call); }, invoke.call)) return violate("malformed call");
  Question* const parent = questions_.find(invoke.parent);
  if (parent == nullptr && invoke.parent != 0 && !questions_.was_issued(invoke.parent)) {
    return violate("parent was never asked");
  }
  io::ByteSourcePtr body;
  if (const auto* const fetch = std::get_if<protocol::FetchRequest>(&invoke.call)) {
    auto adopted = adopt(fetch->body);
    if (!adopted) return violate(adopted.error().message());
    body = *std::move(adopted);
  }
  const protocol::QuestionId question = invoke.question;
  IncomingCall call{*this, raw, invoke, std::move(body), {weak_from_this(), question}, 0, 1};
  answers_[question].parent = parent == nullptr ? 0 : invoke.parent;
  if (parent != nullptr) {
    parent->children.push_back(question);
    call.parent = invoke.parent;
    call.depth = parent->depth + 1;
  } else if (invoke.parent != 0) {
    // The invocation ended while this call was on its way.
    answer_error(question, error_of(Fault::Cancelled));
    return;
  }
  switch (invoke.target.kind) {
    case protocol::Target::Kind::Worker: return violate("a runner may not name Workers");
    case protocol::Target::Kind::Capability:
      if (const auto capability = import_for(invoke.target.number, question)) capability->invoke(call);
      return;
    case protocol::Target::Kind::Dynamic:
      if (const auto loader = import_for(invoke.target.dynamic.loader, question)) {
        handler_.on_dynamic_invoke(call, loader);
      }
      return;
  }
}

void Session::receive(protocol::Return& outcome) {
  Question* const question = questions_.find(outcome.question);
  if (question == nullptr || question->is_returned) return violate("an answer to no question");
  if (!std::visit([](const auto& item) { return is_sane(item); }, outcome.outcome)) return violate("malformed answer");
  io::ByteSourcePtr body;
  if (const auto* const fetch = std::get_if<protocol::FetchResponse>(&outcome.outcome)) {
    auto adopted = adopt(fetch->body);
    if (!adopted) return violate(adopted.error().message());
    body = *std::move(adopted);
  }
  const auto* const error = std::get_if<protocol::ErrorInfo>(&outcome.outcome);
  if (error != nullptr && error->undelivered && !outcome.continues) {
    const auto sink = std::move(question->sink);
    io::ByteSourcePtr request_body;
    if (question->body_stream != 0) request_body = take_back(question->body_stream);
    end_question(outcome.question, *question);
    if (sink != nullptr) sink->on_undelivered(*error, std::move(request_body));
    return;
  }
  if (outcome.continues) {
    question->is_returned = true;
    const auto sink = question->sink;
    if (sink != nullptr) sink->on_return(outcome, std::move(body));
    return;
  }
  const auto sink = std::move(question->sink);
  end_question(outcome.question, *question);
  if (sink != nullptr) sink->on_return(outcome, std::move(body));
}

void Session::receive(const protocol::Finished& finished) {
  Question* const question = questions_.find(finished.question);
  if (question == nullptr || !question->is_returned) return violate("the end of no invocation");
  const auto sink = std::move(question->sink);
  end_question(finished.question, *question);
  if (sink != nullptr) sink->on_finished();
}

void Session::receive(const protocol::Cancel& cancel) {
  const auto found = answers_.find(cancel.question);
  if (found == answers_.end()) return;  // its answer is on its way
  if (const auto job = std::move(found->second.job)) job->cancel();
  answer_error(cancel.question, error_of(Fault::Cancelled));
}

void Session::receive(const protocol::StreamData& data) {
  const auto found = runner_streams_.find(data.stream);
  if (found == runner_streams_.end()) {
    if (!was_seen(data.stream)) violate("data of no stream");
    return;
  }
  const auto stream = found->second.lock();
  if (stream != nullptr && !stream->accept(data.bytes)) violate("data beyond credit");
}

void Session::receive(const protocol::StreamEnd& end) {
  const auto found = runner_streams_.find(end.stream);
  if (found == runner_streams_.end()) {
    if (!was_seen(end.stream)) violate("the end of no stream");
    return;
  }
  const auto stream = found->second.lock();
  runner_streams_.erase(found);
  if (stream == nullptr) return;
  if (end.error.empty()) {
    stream->finish();
  } else {
    stream->fail(Error(ErrorCode::Unavailable, std::string(end.error.substr(0, 4 * kKiB))));
  }
}

void Session::receive(const protocol::StreamCredit& credit) {
  auto* const slot = outgoing_.find(credit.stream);
  if (slot == nullptr) {
    if (!outgoing_.was_issued(credit.stream)) violate("credit for no stream");
    return;
  }
  if (credit.bytes != 0 && !(*slot)->credit(credit.bytes)) violate("credit beyond the window");
}

void Session::receive(const protocol::StreamStop& stop) {
  auto* const slot = outgoing_.find(stop.stream);
  if (slot == nullptr) {
    if (!outgoing_.was_issued(stop.stream)) violate("stop of no stream");
    return;
  }
  (*slot)->stop();
}

void Session::receive(const protocol::Evicted& evicted) {
  WorkerRecord* const record = workers_.find(evicted.worker);
  if (record == nullptr) {
    if (!workers_.was_issued(evicted.worker)) violate("a Worker that was never loaded");
    return;
  }
  const auto owner = record->owner;
  forget_worker(evicted.worker);
  if (owner != nullptr) owner->on_worker_gone(*this, evicted.worker, evicted.reason.substr(0, 64));
}

void Session::receive(const protocol::Preload& preload) {
  if (!is_sane(preload.dynamic)) return violate("id of a dynamic Worker is too long");
  if (preload.parent != 0 && !questions_.was_issued(preload.parent)) return violate("parent was never asked");
  if (const auto loader = import_for(preload.dynamic.loader, 0)) handler_.on_preload(*this, preload.dynamic, loader);
}

void Session::receive(BytesView raw, const protocol::Code& code) {
  auto* const slot = code_requests_.find(code.request);
  if (slot == nullptr) return violate("code that nobody asked for");
  const auto* const failure = std::get_if<protocol::ErrorInfo>(&code.outcome);
  if (failure != nullptr && !is_sane(*failure)) return violate("malformed error");
  const auto sink = std::move(*slot);
  code_requests_.erase(code.request);
  if (failure != nullptr) {
    sink->on_code_error(*failure);
  } else {
    sink->on_code(*this, raw, std::get<protocol::WorkerCode>(code.outcome));
  }
}

void Session::receive(const protocol::LogLine& line) {
  if (line.worker != 0 && !workers_.was_issued(line.worker)) return violate("a line of no Worker");
  if (line.text.size() > kTextBytesMax || line.level.size() > 16) return violate("a log line is too long");
  handler_.on_log(*this, owner_of(line.worker), line);
}

void Session::receive(const protocol::Release& release) {
  if (!imports_.was_issued(release.capability)) return violate("a capability that was never granted");
  if (release.count != 1) return violate("more references released than were granted");
  imports_.erase(release.capability);
}

}  // namespace insula::fleet
