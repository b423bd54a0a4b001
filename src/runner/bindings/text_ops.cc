// SPDX-License-Identifier: Apache-2.0
//
// Text: UTF-8 and Latin-1 both ways. Everything rarer is TypeScript.
#include <array>
#include <cstring>

#include "src/runner/bindings/context.h"
#include "src/runner/bindings/ops.h"
#include "src/runner/isolate/convert.h"

namespace insula::runner {
namespace {

using Info = v8::FunctionCallbackInfo<v8::Value>;

void utf8_encode(const Info& info) {
  v8::Isolate* isolate = info.GetIsolate();
  if (!info[0]->IsString()) return;
  const auto text = info[0].As<v8::String>();
  const std::size_t size = text->Utf8LengthV2(isolate);
  v8::Local<v8::ArrayBuffer> buffer;
  if (!v8::ArrayBuffer::MaybeNew(isolate, size, v8::BackingStoreInitializationMode::kUninitialized)
           .ToLocal(&buffer)) {
    isolate->ThrowException(v8::Exception::RangeError(to_string(isolate, "Array buffer allocation failed")));
    return;
  }
  if (size > 0) {
    text->WriteUtf8V2(isolate, static_cast<char*>(buffer->Data()), size,
                      v8::String::WriteFlags::kReplaceInvalidUtf8);
  }
  info.GetReturnValue().Set(v8::Uint8Array::New(buffer, 0, size));
}

// utf8_encode_into(text, into, result): result[0] = units read, result[1] = bytes written.
void utf8_encode_into(const Info& info) {
  v8::Isolate* isolate = info.GetIsolate();
  const BytesView into = view_of(info[1]);
  std::size_t read = 0;
  std::size_t written = 0;
  if (into.size() > 0 && info[0]->IsString()) {
    written = info[0].As<v8::String>()->WriteUtf8V2(isolate, const_cast<char*>(into.data()), into.size(),
                                                    v8::String::WriteFlags::kReplaceInvalidUtf8, &read);
  }
  if (info[2]->IsUint32Array()) {
    const auto array = info[2].As<v8::Uint32Array>();
    if (array->Length() >= 2) {
      const std::uint32_t values[2] = {static_cast<std::uint32_t>(read), static_cast<std::uint32_t>(written)};
      std::memcpy(static_cast<char*>(array->Buffer()->Data()) + array->ByteOffset(), values, sizeof values);
    }
  }
  info.GetReturnValue().Set(static_cast<double>(written));
}

// Length of a well-formed UTF-8 prefix; equals the size when all of it is well-formed (Unicode 15, table 3-7).
std::size_t valid_utf8_prefix(BytesView bytes) noexcept {
  const auto* data = reinterpret_cast<const unsigned char*>(bytes.data());
  const std::size_t size = bytes.size();
  std::size_t index = 0;
  const auto tail = [&](std::size_t at, unsigned char low, unsigned char high) {
    return at < size && data[at] >= low && data[at] <= high;
  };
  while (index < size) {
    if (index + 8 <= size) {
      std::uint64_t word = 0;
      std::memcpy(&word, data + index, 8);
      if ((word & 0x8080808080808080u) == 0) {
        index += 8;
        continue;
      }
    }
    const unsigned char lead = data[index];
    if (lead < 0x80) {
      index += 1;
    } else if (lead >= 0xc2 && lead <= 0xdf && tail(index + 1, 0x80, 0xbf)) {
      index += 2;
    } else if (lead >= 0xe0 && lead <= 0xef &&
               tail(index + 1, lead == 0xe0 ? 0xa0 : 0x80, lead == 0xed ? 0x9f : 0xbf) &&
               tail(index + 2, 0x80, 0xbf)) {
      index += 3;
    } else if (lead >= 0xf0 && lead <= 0xf4 &&
               tail(index + 1, lead == 0xf0 ? 0x90 : 0x80, lead == 0xf4 ? 0x8f : 0xbf) &&
               tail(index + 2, 0x80, 0xbf) && tail(index + 3, 0x80, 0xbf)) {
      index += 4;
    } else {
      return index;
    }
  }
  return index;
}

void utf8_decode(const Info& info) {
  const BytesView bytes = view_of(info[0]);
  if (info[1]->IsTrue() && valid_utf8_prefix(bytes) != bytes.size()) return;
  v8::Local<v8::String> text;
  if (bytes.size() > static_cast<std::size_t>(v8::String::kMaxLength)) {
    info.GetIsolate()->ThrowException(
        v8::Exception::RangeError(to_string(info.GetIsolate(), "String is too long")));
    return;
  }
  info.GetReturnValue().Set(to_string(info.GetIsolate(), bytes));
}

void latin1_decode(const Info& info) {
  const BytesView bytes = view_of(info[0]);
  if (bytes.size() > static_cast<std::size_t>(v8::String::kMaxLength)) return;
  info.GetReturnValue().Set(to_byte_string(info.GetIsolate(), bytes));
}

void latin1_encode(const Info& info) {
  if (!info[0]->IsString()) return;
  const auto text = info[0].As<v8::String>();
  if (!text->ContainsOnlyOneByte()) return;
  const Bytes bytes = to_bytes(info.GetIsolate(), text);
  v8::Local<v8::Uint8Array> array;
  if (to_uint8_array(info.GetIsolate(), bytes).ToLocal(&array)) info.GetReturnValue().Set(array);
}

constexpr std::array<Op, 5> kOps = {{
    {"utf8_encode", utf8_encode},
    {"utf8_encode_into", utf8_encode_into},
    {"utf8_decode", utf8_decode},
    {"latin1_decode", latin1_decode},
    {"latin1_encode", latin1_encode},
}};

}  // namespace

std::span<const Op> text_ops() { return kOps; }

}  // namespace insula::runner
