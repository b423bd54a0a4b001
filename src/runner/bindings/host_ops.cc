// SPDX-License-Identifier: Apache-2.0
//
// Host: time, timers, randomness, console, invocations, values.
#include <openssl/rand.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <cstring>

#include "src/runner/bindings/body_ops.h"
#include "src/runner/bindings/context.h"
#include "src/runner/bindings/ops.h"
#include "src/runner/bindings/payload.h"
#include "src/runner/isolate/convert.h"
#include "src/runner/isolate/serialize.h"

namespace insula::runner {
namespace {

using Info = v8::FunctionCallbackInfo<v8::Value>;

constexpr std::size_t kLogLineBytesMax = 64 * kKiB;
constexpr double kTimerMillisMax = 2147483647.0;

std::uint32_t number(const Info& info, int index) {
  return info[index]->IsUint32() ? info[index].As<v8::Uint32>()->Value() : 0;
}

void now(const Info& info) {
  auto& context = WorkerContext::of(info.GetIsolate());
  info.GetReturnValue().Set(context.is_clock_frozen() ? context.clock.wall_millis
                                                      : std::floor(engine::real_wall_millis()));
}

void timer_start(const Info& info) {
  auto& context = WorkerContext::of(info.GetIsolate());
  Invocation* invocation = context.current();
  if (invocation == nullptr) return;
  if (invocation->timers >= context.spec().limits.timers_max) {
    context.throw_fault(Fault::TimerLimit);
    return;
  }
  const std::uint32_t id = number(info, 0);
  double delay = info[1]->NumberValue(info.GetIsolate()->GetCurrentContext()).FromMaybe(0);
  if (!(delay >= 0)) delay = 0;
  delay = std::min(delay, kTimerMillisMax);
  auto& timer = context.timers()[id];
  timer.invocation = invocation->id;
  timer.host_timer = context.host().start_timer(
      context.spec().id, milliseconds(static_cast<std::int64_t>(std::ceil(delay))), TimerEvent{id});
  ++invocation->timers;
}

void timer_cancel(const Info& info) {
  auto& context = WorkerContext::of(info.GetIsolate());
  const auto found = context.timers().find(number(info, 0));
  if (found == context.timers().end()) return;
  context.host().cancel_timer(found->second.host_timer);
  if (Invocation* owner = context.find_invocation(found->second.invocation)) --owner->timers;
  context.timers().erase(found);
}

void random_fill(const Info& info) {
  if (refuse_in_startup(WorkerContext::of(info.GetIsolate()))) return;
  const BytesView view = view_of(info[0]);
  if (!view.empty()) {
    RAND_bytes(reinterpret_cast<unsigned char*>(const_cast<char*>(view.data())), static_cast<int>(view.size()));
  }
}

void random_uuid(const Info& info) {
  if (refuse_in_startup(WorkerContext::of(info.GetIsolate()))) return;
  std::array<unsigned char, 16> raw{};
  RAND_bytes(raw.data(), static_cast<int>(raw.size()));
  raw[6] = static_cast<unsigned char>((raw[6] & 0x0f) | 0x40);  // version 4, RFC 9562
  raw[8] = static_cast<unsigned char>((raw[8] & 0x3f) | 0x80);
  constexpr char kHex[] = "0123456789abcdef";
  std::array<char, 36> text{};
  std::size_t at = 0;
  for (std::size_t index = 0; index < raw.size(); ++index) {
    if (index == 4 || index == 6 || index == 8 || index == 10) text[at++] = '-';
    text[at++] = kHex[raw[index] >> 4];
    text[at++] = kHex[raw[index] & 15];
  }
  info.GetReturnValue().Set(to_string(info.GetIsolate(), {text.data(), text.size()}));
}

void in_invocation(const Info& info) {
  auto& context = WorkerContext::of(info.GetIsolate());
  info.GetReturnValue().Set(!context.in_startup && context.current() != nullptr);
}

void invocation(const Info& info) {
  info.GetReturnValue().Set(WorkerContext::of(info.GetIsolate()).current_id());
}

// hold(invocation): it lives on after its answer. release(invocation, isAnswer): one hold less, or one stream.
void hold(const Info& info) {
  auto& context = WorkerContext::of(info.GetIsolate());
  Invocation* found = context.find_invocation(number(info, 0));
  if (found == nullptr) return;
  if (found->holds >= context.spec().limits.background_promises_max) {
    context.v8()->ThrowException(
        v8::Exception::TypeError(to_string(context.v8(), "Too many background promises in one invocation.")));
    return;
  }
  ++found->holds;
}

// hold_stream(invocation, isResponse) -> boolean: what it writes is part of its answer, also as a stream in a result.
void hold_stream(const Info& info) {
  auto& context = WorkerContext::of(info.GetIsolate());
  const bool is_answer = info[1]->IsTrue() || (context.payload_writer != nullptr && context.payload_writer->holds);
  info.GetReturnValue().Set(is_answer);
  if (!is_answer) return hold(info);
  if (Invocation* found = context.find_invocation(number(info, 0))) ++found->response_streams;
}

void release(const Info& info) {
  auto& context = WorkerContext::of(info.GetIsolate());
  Invocation* found = context.find_invocation(number(info, 0));
  if (found == nullptr) return;
  if (info[1]->IsTrue()) {
    if (found->response_streams > 0 && --found->response_streams == 0) context.expect_end(*found);
  } else if (found->holds > 0) {
    --found->holds;
  }
}

// keep(invocation): JavaScript holds something for it and wants to hear of its end.
void keep(const Info& info) {
  auto& context = WorkerContext::of(info.GetIsolate());
  if (Invocation* found = context.find_invocation(number(info, 0))) found->is_kept = true;
}

// set_current(value): what the code that runs next belongs to (the number, or what AsyncLocalStorage made of it).
void set_current(const Info& info) {
  info.GetIsolate()->SetContinuationPreservedEmbedderDataV2(info[0]);
}

void get_current(const Info& info) {
  const v8::Local<v8::Data> data = info.GetIsolate()->GetContinuationPreservedEmbedderDataV2();
  if (!data.IsEmpty() && data->IsValue()) info.GetReturnValue().Set(data.As<v8::Value>());
}

// Between two characters: what is not UTF-8 would break the channel.
void cut(std::string& text, std::size_t bytes) {
  if (text.size() <= bytes) return;
  while (bytes > 0 && (static_cast<unsigned char>(text[bytes]) & 0xc0) == 0x80) --bytes;
  text.resize(bytes);
}

void write_log(WorkerContext& context, std::string_view level, std::string text, bool is_exception) {
  Invocation* invocation = context.current();
  cut(text, kLogLineBytesMax);
  const std::uint32_t question = invocation != nullptr ? invocation->reply_to.question : 0;
  if (invocation != nullptr) {
    if (invocation->log_bytes_left < text.size()) {
      if (!invocation->log_truncated) {
        invocation->log_truncated = true;
        context.host().log(context.spec().id, question, "warn",
                           "(log truncated: this invocation wrote more than " +
                               std::to_string(context.spec().limits.log_bytes) + " bytes)",
                           false);
      }
      invocation->log_bytes_left = 0;
      return;
    }
    invocation->log_bytes_left -= text.size();
  }
  context.host().log(context.spec().id, question, level, text, is_exception);
}

void log(const Info& info) {
  auto& context = WorkerContext::of(info.GetIsolate());
  // Do not convert what will be dropped anyway.
  if (Invocation* invocation = context.current();
      invocation != nullptr && invocation->log_truncated && invocation->tail == nullptr) {
    return;
  }
  const std::string level = to_utf8(info.GetIsolate(), info[0]);
  // JSON of the arguments, when tails want to hear of them.
  if (Invocation* invocation = context.current(); invocation != nullptr && invocation->tail != nullptr &&
      info[2]->IsString()) {
    invocation->tail->add_log(level, to_utf8(info.GetIsolate(), info[2]));
  }
  write_log(context, level, to_utf8(info.GetIsolate(), info[1]), false);
}

// report_exception(text): an error that nobody handled.
void report(WorkerContext& context, std::string text, bool is_logged) {
  if (Invocation* invocation = context.current(); invocation != nullptr && invocation->tail != nullptr) {
    invocation->tail->add_uncaught(text);
  }
  if (is_logged) write_log(context, "error", std::move(text), true);
}

void report_exception(const Info& info) {
  report(WorkerContext::of(info.GetIsolate()), to_utf8(info.GetIsolate(), info[0]), true);
}

// report_failure(answer, fault, text): an error that is the answer to a request. That of a client's request stands in the
// log once, where the supervisor gives it the number that is on the error page.
void report_failure(const Info& info) {
  auto& context = WorkerContext::of(info.GetIsolate());
  const Invocation* const invocation = context.find_invocation(number(info, 0));
  const bool is_told_there = invocation != nullptr && !invocation->answered && invocation->depth == 0 &&
                             invocation->reply_to.caller == 0 && to_utf8(info.GetIsolate(), info[1]).empty();
  report(context, to_utf8(info.GetIsolate(), info[2]), !is_told_there);
}

void promise_state(const Info& info) {
  if (!info[0]->IsPromise()) {
    info.GetReturnValue().Set(-1);
    return;
  }
  info.GetReturnValue().Set(static_cast<int>(info[0].As<v8::Promise>()->State()));
}

void structured_clone(const Info& info) {
  v8::Local<v8::Value> result;
  if (clone_value(info.GetIsolate(), info[0], info[1]).ToLocal(&result)) info.GetReturnValue().Set(result);
}

void serialize(const Info& info) {
  Bytes bytes;
  if (!serialize_value(info.GetIsolate(), info[0], CloneMode::Kept, bytes)) return;
  v8::Local<v8::Uint8Array> array;
  if (to_uint8_array(info.GetIsolate(), bytes).ToLocal(&array)) info.GetReturnValue().Set(array);
}

void deserialize(const Info& info) {
  v8::Local<v8::Value> result;
  const Bytes bytes(view_of(info[0]));
  if (deserialize_value(info.GetIsolate(), bytes).ToLocal(&result)) info.GetReturnValue().Set(result);
}

// abort_isolate(): nothing of this isolate runs any more; the Worker that holds it sees that when the step ends.
void abort_isolate(const Info& info) { WorkerContext::of(info.GetIsolate()).isolate().terminate(); }

constexpr std::array<Op, 22> kOps = {{
    {"now", now},
    {"performance_now", now},
    {"timer_start", timer_start},
    {"timer_cancel", timer_cancel},
    {"random_fill", random_fill},
    {"random_uuid", random_uuid},
    {"in_invocation", in_invocation},
    {"invocation", invocation},
    {"hold", hold},
    {"release", release},
    {"hold_stream", hold_stream},
    {"keep", keep},
    {"set_current", set_current},
    {"get_current", get_current},
    {"log", log},
    {"report_exception", report_exception},
    {"report_failure", report_failure},
    {"abort_isolate", abort_isolate},
    {"promise_state", promise_state},
    {"structured_clone", structured_clone},
    {"serialize", serialize},
    {"deserialize", deserialize},
}};

}  // namespace

bool refuse_in_startup(WorkerContext& context) {
  if (!context.in_startup) return false;
  context.v8()->ThrowException(v8::Exception::Error(
      to_string(context.v8(),
                "Disallowed operation called within global scope. Asynchronous I/O (ex: fetch() or connect()), "
                "setting a timeout, and generating random values are not allowed within global scope. To fix this "
                "error, perform this operation within a handler. "
                "https://developers.cloudflare.com/workers/runtime-apis/handlers/")));
  return true;
}

std::span<const Op> host_ops() { return kOps; }

}  // namespace insula::runner
