// SPDX-License-Identifier: Apache-2.0
//
// WebSockets that hibernate: what an actor says to them and about them.
#include <array>

#include "src/runner/bindings/arguments.h"
#include "src/runner/bindings/body_ops.h"
#include "src/runner/bindings/ops.h"
#include "src/runner/isolate/convert.h"

namespace insula::runner {
namespace {

// socket_say(actor, socket, kind, bytes | undefined, more | undefined, number)
void socket_say(const Info& info) {
  auto& context = WorkerContext::of(info.GetIsolate());
  SocketWord word;
  word.actor = number_at(info, 0);
  if (context.find_actor(word.actor) == nullptr) return;
  word.socket = number_at(info, 1);
  word.kind = static_cast<std::uint8_t>(number_at(info, 2));
  if (info[3]->IsArrayBufferView()) word.bytes = Bytes(view_of(info[3]));
  if (info[4]->IsArrayBufferView()) word.more = Bytes(view_of(info[4]));
  word.number = number_at(info, 5);
  const Gate gate = context.gate_of_actor(word.actor);
  context.host().socket_say(std::move(word), gate);
}

// socket_wait(actor, waits): one more of its WebSockets, or one less, has something to say and waits for its client.
void socket_wait(const Info& info) {
  auto& context = WorkerContext::of(info.GetIsolate());
  auto* const actor = context.find_actor(number_at(info, 0));
  if (actor == nullptr) return;
  if (info[1]->IsTrue()) {
    ++actor->unsent_sockets;
  } else if (actor->unsent_sockets > 0) {
    --actor->unsent_sockets;
  }
}

constexpr std::array<Op, 2> kOps = {{
    {"socket_say", socket_say},
    {"socket_wait", socket_wait},
}};

}  // namespace

std::span<const Op> socket_ops() { return kOps; }

}  // namespace insula::runner
