// SPDX-License-Identifier: Apache-2.0
//
// URL: the WHATWG parser of the engine executable (ada, through its C interface).
#include <array>
#include <cstring>

#include "src/runner/bindings/context.h"
#include "src/runner/bindings/ops.h"
#include "src/runner/isolate/convert.h"

// ada's C interface, version 3; the executable exports it and ships no header.
extern "C" {
struct ada_string {
  const char* data;
  size_t length;
};
struct ada_url_components {
  uint32_t protocol_end;
  uint32_t username_end;
  uint32_t host_start;
  uint32_t host_end;
  uint32_t port;
  uint32_t pathname_start;
  uint32_t search_start;
  uint32_t hash_start;
};
using ada_url = void*;
ada_url ada_parse(const char* input, size_t length);
ada_url ada_parse_with_base(const char* input, size_t input_length, const char* base, size_t base_length);
bool ada_is_valid(ada_url result);
void ada_free(ada_url result);
ada_string ada_get_href(ada_url result);
const ada_url_components* ada_get_components(ada_url result);
bool ada_can_parse(const char* input, size_t length);
bool ada_can_parse_with_base(const char* input, size_t input_length, const char* base, size_t base_length);
bool ada_set_href(ada_url result, const char* input, size_t length);
bool ada_set_protocol(ada_url result, const char* input, size_t length);
bool ada_set_username(ada_url result, const char* input, size_t length);
bool ada_set_password(ada_url result, const char* input, size_t length);
bool ada_set_host(ada_url result, const char* input, size_t length);
bool ada_set_hostname(ada_url result, const char* input, size_t length);
bool ada_set_port(ada_url result, const char* input, size_t length);
bool ada_set_pathname(ada_url result, const char* input, size_t length);
void ada_set_search(ada_url result, const char* input, size_t length);
void ada_set_hash(ada_url result, const char* input, size_t length);
}

namespace insula::runner {
namespace {

using Info = v8::FunctionCallbackInfo<v8::Value>;

class Url {
 public:
  explicit Url(ada_url raw) : raw_(raw) {}
  ~Url() { ada_free(raw_); }
  Url(const Url&) = delete;
  Url& operator=(const Url&) = delete;
  ada_url get() const noexcept { return raw_; }
  bool is_valid() const noexcept { return ada_is_valid(raw_); }

 private:
  ada_url raw_;
};

// Leaves the components in the array that the caller passed last, and returns the href.
void give(const Info& info, const Url& url, v8::Local<v8::Value> components) {
  const ada_string href = ada_get_href(url.get());
  if (components->IsUint32Array()) {
    const auto array = components.As<v8::Uint32Array>();
    if (array->ByteLength() >= sizeof(ada_url_components)) {
      std::memcpy(static_cast<char*>(array->Buffer()->Data()) + array->ByteOffset(), ada_get_components(url.get()),
                  sizeof(ada_url_components));
    }
  }
  info.GetReturnValue().Set(to_string(info.GetIsolate(), {href.data, href.length}));
}

// url_parse(input, base | undefined, components)
void url_parse(const Info& info) {
  const std::string input = to_utf8(info.GetIsolate(), info[0]);
  if (info[1]->IsString()) {
    const std::string base = to_utf8(info.GetIsolate(), info[1]);
    const Url url(ada_parse_with_base(input.data(), input.size(), base.data(), base.size()));
    if (url.is_valid()) give(info, url, info[2]);
    return;
  }
  const Url url(ada_parse(input.data(), input.size()));
  if (url.is_valid()) give(info, url, info[2]);
}

void url_can_parse(const Info& info) {
  const std::string input = to_utf8(info.GetIsolate(), info[0]);
  if (info[1]->IsString()) {
    const std::string base = to_utf8(info.GetIsolate(), info[1]);
    info.GetReturnValue().Set(ada_can_parse_with_base(input.data(), input.size(), base.data(), base.size()));
  } else {
    info.GetReturnValue().Set(ada_can_parse(input.data(), input.size()));
  }
}

// url_set(href, field, value, components)
void url_set(const Info& info) {
  const std::string href = to_utf8(info.GetIsolate(), info[0]);
  const auto field = info[1]->Uint32Value(info.GetIsolate()->GetCurrentContext()).FromMaybe(99);
  const std::string value = to_utf8(info.GetIsolate(), info[2]);
  const Url url(ada_parse(href.data(), href.size()));
  if (!url.is_valid()) return;
  const auto apply = [&](auto setter) { setter(url.get(), value.data(), value.size()); };
  switch (field) {
    case 0:
      if (!ada_set_href(url.get(), value.data(), value.size())) return;
      break;
    case 1: apply(ada_set_protocol); break;
    case 2: apply(ada_set_username); break;
    case 3: apply(ada_set_password); break;
    case 4: apply(ada_set_host); break;
    case 5: apply(ada_set_hostname); break;
    case 6: apply(ada_set_port); break;
    case 7: apply(ada_set_pathname); break;
    case 8: apply(ada_set_search); break;
    case 9: apply(ada_set_hash); break;
    default: return;
  }
  give(info, url, info[3]);
}

constexpr std::array<Op, 3> kOps = {{
    {"url_parse", url_parse},
    {"url_can_parse", url_can_parse},
    {"url_set", url_set},
}};

}  // namespace

std::span<const Op> url_ops() { return kOps; }

}  // namespace insula::runner
