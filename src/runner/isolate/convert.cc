// SPDX-License-Identifier: Apache-2.0
//
// Conversions: strings and bytes between C++ and V8.
#include "src/runner/isolate/convert.h"

#include <cstdint>
#include <cstring>

namespace insula::runner {
namespace {

bool is_ascii(std::string_view text) noexcept {
  std::size_t index = 0;
  for (; index + 8 <= text.size(); index += 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, text.data() + index, 8);
    if ((word & 0x8080808080808080u) != 0) return false;
  }
  for (; index < text.size(); ++index) {
    if ((static_cast<unsigned char>(text[index]) & 0x80) != 0) return false;
  }
  return true;
}

v8::Local<v8::String> one_byte(v8::Isolate* isolate, std::string_view text, v8::NewStringType type) {
  return v8::String::NewFromOneByte(isolate, reinterpret_cast<const std::uint8_t*>(text.data()), type,
                                    static_cast<int>(text.size()))
      .FromMaybe(v8::String::Empty(isolate));
}

}  // namespace

v8::Local<v8::String> to_string(v8::Isolate* isolate, std::string_view utf8) {
  if (utf8.empty()) return v8::String::Empty(isolate);
  if (is_ascii(utf8)) return one_byte(isolate, utf8, v8::NewStringType::kNormal);
  return v8::String::NewFromUtf8(isolate, utf8.data(), v8::NewStringType::kNormal, static_cast<int>(utf8.size()))
      .FromMaybe(v8::String::Empty(isolate));
}

v8::Local<v8::String> to_name(v8::Isolate* isolate, std::string_view ascii) {
  if (ascii.empty()) return v8::String::Empty(isolate);
  return one_byte(isolate, ascii, v8::NewStringType::kInternalized);
}

v8::Local<v8::String> to_byte_string(v8::Isolate* isolate, BytesView bytes) {
  if (bytes.empty()) return v8::String::Empty(isolate);
  return one_byte(isolate, bytes, v8::NewStringType::kNormal);
}

std::string to_utf8(v8::Isolate* isolate, v8::Local<v8::Value> value) {
  if (value.IsEmpty() || !value->IsString()) return {};
  const auto string = value.As<v8::String>();
  const auto length = static_cast<std::uint32_t>(string->Length());
  std::string out;
  if (string->IsOneByte()) {
    out.resize(length);
    string->WriteOneByteV2(isolate, 0, length, reinterpret_cast<std::uint8_t*>(out.data()));
    if (is_ascii(out)) return out;
  }
  out.resize(string->Utf8LengthV2(isolate));
  const auto written =
      string->WriteUtf8V2(isolate, out.data(), out.size(), v8::String::WriteFlags::kReplaceInvalidUtf8);
  out.resize(written);
  return out;
}

Bytes to_bytes(v8::Isolate* isolate, v8::Local<v8::String> byte_string) {
  Bytes out;
  const auto length = static_cast<std::uint32_t>(byte_string->Length());
  out.resize(length);
  byte_string->WriteOneByteV2(isolate, 0, length, reinterpret_cast<std::uint8_t*>(out.data()));
  return out;
}

BytesView view_of(v8::Local<v8::Value> value) {
  if (value.IsEmpty()) return {};
  if (value->IsArrayBufferView()) {
    const auto view = value.As<v8::ArrayBufferView>();
    const std::size_t length = view->ByteLength();
    if (length == 0) return {};
    return {static_cast<const char*>(view->Buffer()->Data()) + view->ByteOffset(), length};
  }
  if (value->IsArrayBuffer()) {
    const auto buffer = value.As<v8::ArrayBuffer>();
    if (buffer->ByteLength() == 0) return {};
    return {static_cast<const char*>(buffer->Data()), buffer->ByteLength()};
  }
  return {};
}

v8::MaybeLocal<v8::Uint8Array> to_uint8_array(v8::Isolate* isolate, BytesView bytes) {
  v8::Local<v8::ArrayBuffer> buffer;
  if (!v8::ArrayBuffer::MaybeNew(isolate, bytes.size(), v8::BackingStoreInitializationMode::kUninitialized)
           .ToLocal(&buffer)) {
    isolate->ThrowException(v8::Exception::RangeError(to_string(isolate, "Array buffer allocation failed")));
    return {};
  }
  if (!bytes.empty()) std::memcpy(buffer->Data(), bytes.data(), bytes.size());
  return v8::Uint8Array::New(buffer, 0, bytes.size());
}

}  // namespace insula::runner
