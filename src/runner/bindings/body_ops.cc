// SPDX-License-Identifier: Apache-2.0
//
// Bodies and streams: bytes that the host holds, read and written without a detour through JavaScript streams when
// nobody asked for one.
#include <array>

#include "src/runner/bindings/body_ops.h"
#include "src/runner/bindings/context.h"
#include "src/runner/bindings/ops.h"
#include "src/runner/isolate/convert.h"

namespace insula::runner {
namespace {

using Info = v8::FunctionCallbackInfo<v8::Value>;

std::uint32_t number(const Info& info, int index) {
  return info[index]->IsUint32() ? info[index].As<v8::Uint32>()->Value() : 0;
}

// The body behind a number, if it belongs to the invocation that asks. Throws otherwise: a number that nobody knows any
// more belonged to an invocation that has ended, because built-ins do not ask again for what they have consumed.
WorkerContext::Incoming* own_body(WorkerContext& context, std::uint32_t number_of_body) {
  auto* found = context.find_body(number_of_body);
  if (found != nullptr && (found->invocation == context.current_id() ||
                           context.owner_of(found->invocation) == context.owner_of(context.current_id()))) {
    return found;
  }
  throw_cross_request(context, "ReadableStream");
  return nullptr;
}

// Complete bytes, consumed; null for a stream or an unknown body.
SharedBytes take_complete(WorkerContext& context, std::uint32_t number_of_body) {
  auto* body = own_body(context, number_of_body);
  if (body == nullptr || body->body.bytes == nullptr) return nullptr;
  SharedBytes bytes = body->body.bytes;
  context.drop_body(number_of_body);
  return bytes;
}

void body_take_bytes(const Info& info) {
  auto& context = WorkerContext::of(info.GetIsolate());
  info.GetReturnValue().SetNull();
  const SharedBytes bytes = take_complete(context, number(info, 0));
  if (bytes == nullptr) return;
  v8::Local<v8::Uint8Array> array;
  if (to_uint8_array(info.GetIsolate(), *bytes).ToLocal(&array)) info.GetReturnValue().Set(array);
}

void body_take_text(const Info& info) {
  auto& context = WorkerContext::of(info.GetIsolate());
  info.GetReturnValue().SetNull();
  const SharedBytes bytes = take_complete(context, number(info, 0));
  if (bytes == nullptr) return;
  BytesView text = *bytes;
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
  info.GetReturnValue().Set(to_string(info.GetIsolate(), text));
}

void body_pull(const Info& info) {
  auto& context = WorkerContext::of(info.GetIsolate());
  v8::Isolate* isolate = info.GetIsolate();
  const auto v8_context = isolate->GetCurrentContext();
  const std::uint32_t id = number(info, 0);
  v8::Local<v8::Promise::Resolver> resolver;
  if (!v8::Promise::Resolver::New(v8_context).ToLocal(&resolver)) return;
  info.GetReturnValue().Set(resolver->GetPromise());
  auto* body = own_body(context, id);
  if (body == nullptr) return;
  if (body->body.stream == nullptr) {
    // Complete bytes: one chunk, and then the end.
    const SharedBytes bytes = std::move(body->body.bytes);
    v8::Local<v8::Value> value = v8::Undefined(isolate);
    if (bytes != nullptr && !bytes->empty()) {
      v8::Local<v8::Uint8Array> array;
      if (!to_uint8_array(isolate, *bytes).ToLocal(&array)) return;
      value = array;
    } else {
      context.drop_body(id);
    }
    resolver->Resolve(v8_context, value).FromMaybe(false);
    return;
  }
  if (!body->pull.IsEmpty()) {
    isolate->ThrowException(v8::Exception::TypeError(to_string(isolate, "This body is being read already.")));
    return;
  }
  body->pull.Reset(isolate, resolver);
  ++context.pulls_pending;
  context.host().pull(body->body.stream, context.spec().id, id);
}

void body_cancel(const Info& info) {
  auto& context = WorkerContext::of(info.GetIsolate());
  auto* body = context.find_body(number(info, 0));
  if (body != nullptr) context.drop_body(number(info, 0));
}

void body_copy(const Info& info) {
  auto& context = WorkerContext::of(info.GetIsolate());
  auto* body = own_body(context, number(info, 0));
  if (body == nullptr || body->body.bytes == nullptr) {
    info.GetReturnValue().Set(0);
    return;
  }
  HostBody copy;
  copy.bytes = body->body.bytes;
  info.GetReturnValue().Set(context.add_body(std::move(copy), body->invocation));
}

// stream_open(invocation): a new stream that this Worker will write.
void stream_open(const Info& info) {
  auto& context = WorkerContext::of(info.GetIsolate());
  Invocation* invocation = context.find_invocation(number(info, 0));
  if (invocation == nullptr) return;
  if (invocation->streams >= context.spec().limits.streams_max) {
    context.throw_fault(Fault::StreamLimit);
    return;
  }
  info.GetReturnValue().Set(context.add_writer(invocation->id));
}

// stream_write(writer, bytes): true to go on, a promise when the reader is behind, false when it wants no more.
void stream_write(const Info& info) {
  auto& context = WorkerContext::of(info.GetIsolate());
  v8::Isolate* isolate = info.GetIsolate();
  auto* writer = context.find_writer(number(info, 0));
  info.GetReturnValue().Set(false);
  if (writer == nullptr) return;
  if (context.host().write(*writer->stream, Bytes(view_of(info[1])))) {
    info.GetReturnValue().Set(true);
    return;
  }
  v8::Local<v8::Promise::Resolver> resolver;
  if (!v8::Promise::Resolver::New(isolate->GetCurrentContext()).ToLocal(&resolver)) return;
  if (writer->room.IsEmpty()) ++context.writes_pending;
  writer->room.Reset(isolate, resolver);
  info.GetReturnValue().Set(resolver->GetPromise());
}

// stream_end(writer, error | undefined)
void stream_end(const Info& info) {
  auto& context = WorkerContext::of(info.GetIsolate());
  const std::uint32_t id = number(info, 0);
  auto* writer = context.find_writer(id);
  if (writer == nullptr) return;
  context.host().end(*writer->stream, info[1]->IsString() ? to_utf8(info.GetIsolate(), info[1]) : std::string());
  context.drop_writer(id);
}

// stream_splice(writer, body): neither is this isolate's any more.
void stream_splice(const Info& info) {
  auto& context = WorkerContext::of(info.GetIsolate());
  auto* const writer = context.find_writer(number(info, 0));
  auto* const body = own_body(context, number(info, 1));
  if (writer == nullptr || body == nullptr) return;
  const StreamPtr written = writer->stream;
  const StreamPtr source = std::move(body->body.stream);
  body->body = {};
  context.drop_body(number(info, 1));
  context.drop_writer(number(info, 0));
  if (source == nullptr) {
    context.host().end(*written, {});
  } else {
    context.host().splice(written, source);
  }
}

// socket_hold(invocation, body), socket_release(invocation)
void socket_hold(const Info& info) {
  auto& context = WorkerContext::of(info.GetIsolate());
  Invocation* const found = context.find_invocation(number(info, 0));
  if (found == nullptr || !context.open_socket(*found)) return;
  if (auto* const body = context.find_body(number(info, 1))) body->is_socket = true;
}

void socket_release(const Info& info) {
  auto& context = WorkerContext::of(info.GetIsolate());
  if (Invocation* const found = context.find_invocation(number(info, 0))) context.close_sockets(*found, 1);
}

constexpr std::array<Op, 11> kOps = {{
    {"body_take_bytes", body_take_bytes},
    {"body_take_text", body_take_text},
    {"body_pull", body_pull},
    {"body_cancel", body_cancel},
    {"body_copy", body_copy},
    {"stream_open", stream_open},
    {"stream_write", stream_write},
    {"stream_end", stream_end},
    {"stream_splice", stream_splice},
    {"socket_hold", socket_hold},
    {"socket_release", socket_release},
}};

}  // namespace

std::span<const Op> body_ops() { return kOps; }

void throw_cross_request(WorkerContext& context, std::string_view type) {
  context.v8()->ThrowException(v8::Exception::Error(to_string(
      context.v8(),
      "Cannot perform I/O on behalf of a different request. I/O objects (such as streams, request/response bodies, "
      "and others) created in the context of one request handler cannot be accessed from a different request's "
      "handler. This is a limitation of the platform that allows it to keep tenants' requests apart. (I/O type: " +
          std::string(type) + ")")));
}

HostBody take_body(WorkerContext& context, std::uint32_t kind, v8::Local<v8::Value> value) {
  HostBody body;
  switch (static_cast<BodyKind>(kind)) {
    case BodyKind::None: return body;
    case BodyKind::Text:
      body.bytes = std::make_shared<const Bytes>(to_utf8(context.v8(), value));
      return body;
    case BodyKind::Bytes: body.bytes = std::make_shared<const Bytes>(view_of(value)); return body;
    case BodyKind::Native: {
      const std::uint32_t id = value->IsUint32() ? value.As<v8::Uint32>()->Value() : 0;
      auto* found = own_body(context, id);
      if (found == nullptr) return body;
      body = std::move(found->body);
      found->body = {};
      context.drop_body(id);
      return body;
    }
    case BodyKind::Writer: {
      const std::uint32_t id = value->IsUint32() ? value.As<v8::Uint32>()->Value() : 0;
      if (auto* writer = context.find_writer(id)) body.stream = writer->stream;
      return body;
    }
  }
  return body;
}

}  // namespace insula::runner
