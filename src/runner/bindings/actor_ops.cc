// SPDX-License-Identifier: Apache-2.0
//
// Actors and engines: calls on the engines of the supervisor, facets as targets, ids, durability, the end of an actor.
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <openssl/sha.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "src/runner/actors/actor_storage.h"
#include "src/runner/bindings/arguments.h"
#include "src/runner/bindings/body_ops.h"
#include "src/runner/bindings/ops.h"
#include "src/runner/bindings/payload.h"
#include "src/runner/isolate/convert.h"

namespace insula::runner {
namespace {

constexpr std::size_t kIdBytes = 32;
constexpr std::size_t kIdFreeBytes = 24;  // then the check of these

// engine_call(kind, capability, actor, operation, detail, payload) -> number of the call
void engine_call(const Info& info) {
  auto& context = WorkerContext::of(info.GetIsolate());
  Invocation* invocation = calling_invocation(context, "Client");
  if (invocation == nullptr) return;
  if (context.engine_call_count() >= kEngineCallsPerWorkerMax) return context.throw_fault(Fault::RpcLimit);
  CallTarget target;
  if (const std::uint32_t actor = number_at(info, 2); actor != 0) {
    target.kind = CallTarget::Kind::OwnActor;
    target.actor = actor;
  } else {
    target.capability = context.use_handle(number_at(info, 1));
    if (target.capability == nullptr) return;
  }
  EngineCall call;
  call.operation = text_at(info, 3);
  call.detail = text_at(info, 4);
  if (info[5]->IsArrayBufferView()) call.payload = Bytes(view_of(info[5]));
  const std::uint32_t id =
      context.host().start_call(context_of(context, *invocation), std::move(target), std::move(call));
  context.add_engine_call(id, invocation->id);
  info.GetReturnValue().Set(id);
}

// facet_target(parent, name, idText, idName, classKind, loader, id, anonymous, source, className, props, quotaBytes)
void facet_target(const Info& info) {
  auto& context = WorkerContext::of(info.GetIsolate());
  CallTarget target;
  target.kind = CallTarget::Kind::Facet;
  target.actor = number_at(info, 0);
  target.facet_name = text_at(info, 1);
  target.id_text = text_at(info, 2);
  target.id_name = text_at(info, 3);
  target.is_own_class = number_at(info, 4) == static_cast<std::uint32_t>(CallTarget::Kind::Self);
  target.loader = number_at(info, 5);
  target.id = text_at(info, 6);
  target.anonymous = number_at(info, 7);
  target.source = number_at(info, 8);
  target.entrypoint = text_at(info, 9);
  if (!info[10]->IsUndefined() && !take_packed(context, info[10], target.props)) return;
  if (info[11]->IsNumber()) {
    const double quota = info[11].As<v8::Number>()->Value();
    if (quota >= 1 && quota < 9007199254740992.0) target.quota_bytes = static_cast<std::uint64_t>(quota);
  }
  const std::uint32_t number = context.next_facet++;
  context.facets()[number] = std::move(target);
  info.GetReturnValue().Set(number);
}

void facet_target_drop(const Info& info) { WorkerContext::of(info.GetIsolate()).facets().erase(number_at(info, 0)); }

// actor_break(actor, message, remote, properties, dropAlarm, code): it ends now; all that waits for it fails with this.
void actor_break(const Info& info) {
  auto& context = WorkerContext::of(info.GetIsolate());
  if (auto* const actor = context.find_actor(number_at(info, 0)); actor != nullptr && info[4]->IsTrue()) {
    // ctx.abort() with retryAlarm: false: what the turn has done is undone, the alarm is over.
    actor->storage->abandon();
    if (actor->storage->set_alarm(std::nullopt) && actor->storage->commit()) {
      context.host().actor_alarm(number_at(info, 0), std::nullopt);
    }
  }
  CallError error;
  error.fault = text_at(info, 5);
  error.name = "Error";
  error.message = text_at(info, 1);
  error.remote = info[2]->IsTrue();
  if (info[3]->IsArrayBufferView()) error.properties = Bytes(view_of(info[3]));
  const auto leftovers = context.break_actor(number_at(info, 0), error, error.message.empty() ? "aborted" : error.message);
  context.orphans.insert(context.orphans.end(), leftovers.exports.begin(), leftovers.exports.end());
}

// actor_sync(actor): a promise that is fulfilled when all that was written until now is on the disk.
void actor_sync(const Info& info) {
  auto& context = WorkerContext::of(info.GetIsolate());
  v8::Isolate* isolate = info.GetIsolate();
  v8::Local<v8::Promise::Resolver> resolver;
  if (!v8::Promise::Resolver::New(isolate->GetCurrentContext()).ToLocal(&resolver)) return;
  info.GetReturnValue().Set(resolver->GetPromise());
  const std::uint32_t number = number_at(info, 0);
  auto* const actor = context.find_actor(number);
  if (actor == nullptr || actor->storage == nullptr) {
    resolver->Reject(isolate->GetCurrentContext(),
                     v8::Exception::Error(to_string(isolate, "The storage of this object is closed.")))
        .FromMaybe(false);
    return;
  }
  // What this turn has written gets the next number, if it has written at all.
  const std::uint64_t wanted = actor->storage->committed_sequence() + (actor->is_used ? 1 : 0);
  if (!actor->is_used && actor->storage->durable_sequence() >= wanted) {
    resolver->Resolve(isolate->GetCurrentContext(), v8::Undefined(isolate)).FromMaybe(false);
    return;
  }
  actor->sync_waiters.emplace_back(wanted, v8::Global<v8::Promise::Resolver>(isolate, resolver));
}

// ---- Ids: 24 bytes, and 8 that are a keyed check of them

using IdBytes = std::array<unsigned char, kIdBytes>;

void hmac(BytesView key, const void* data, std::size_t size, unsigned char* out) {
  unsigned int length = 0;
  ::HMAC(::EVP_sha256(), key.data(), static_cast<int>(key.size()), static_cast<const unsigned char*>(data), size, out, &length);
}

void add_check(BytesView key, IdBytes& id) {
  std::array<unsigned char, SHA256_DIGEST_LENGTH> digest{};
  hmac(key, id.data(), kIdFreeBytes, digest.data());
  std::memcpy(id.data() + kIdFreeBytes, digest.data(), kIdBytes - kIdFreeBytes);
}

// namespace_id(key, name | undefined): 64 hexadecimal digits
void namespace_id(const Info& info) {
  const BytesView key = view_of(info[0]);
  IdBytes id{};
  if (info[1]->IsUndefined()) {
    if (refuse_in_startup(WorkerContext::of(info.GetIsolate()))) return;
    RAND_bytes(id.data(), static_cast<int>(kIdFreeBytes));
  } else {
    const std::string name = text_at(info, 1);
    std::array<unsigned char, SHA256_DIGEST_LENGTH> digest{};
    hmac(key, name.data(), name.size(), digest.data());
    std::memcpy(id.data(), digest.data(), kIdFreeBytes);
  }
  add_check(key, id);
  constexpr char kHex[] = "0123456789abcdef";
  std::string text;
  for (const unsigned char byte : id) {
    text += kHex[byte >> 4];
    text += kHex[byte & 15];
  }
  info.GetReturnValue().Set(to_string(info.GetIsolate(), text));
}

// namespace_check(key, hex): is it an id of this namespace? Lower-case digits.
void namespace_check(const Info& info) {
  const std::string text = text_at(info, 1);
  info.GetReturnValue().Set(false);
  if (text.size() != 2 * kIdBytes) return;
  IdBytes id{};
  for (std::size_t index = 0; index < text.size(); ++index) {
    const char c = text[index];
    const int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
    if (digit < 0) return;
    id[index / 2] = static_cast<unsigned char>(id[index / 2] << 4 | digit);
  }
  IdBytes checked = id;
  add_check(view_of(info[0]), checked);
  info.GetReturnValue().Set(checked == id);
}

constexpr std::array<Op, 7> kOps = {{
    {"engine_call", engine_call},
    {"facet_target", facet_target},
    {"facet_target_drop", facet_target_drop},
    {"actor_break", actor_break},
    {"actor_sync", actor_sync},
    {"namespace_id", namespace_id},
    {"namespace_check", namespace_check},
}};

}  // namespace

std::span<const Op> actor_ops() { return kOps; }

}  // namespace insula::runner
