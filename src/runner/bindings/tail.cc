// SPDX-License-Identifier: Apache-2.0
//
// Tail: records of invocations.
#include "src/runner/bindings/tail.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "src/base/header_block.h"
#include "src/engine/engine.h"
#include "src/runner/isolate/slot.h"

namespace insula::runner {
namespace {

constexpr std::size_t kStackBytesMax = 16 * kKiB;

void append_escape(std::string& out, unsigned char byte) {
  constexpr char kHex[] = "0123456789abcdef";
  out += "\\u00";
  out += kHex[byte >> 4];
  out += kHex[byte & 15];
}

// `text` is UTF-8; or Latin-1, as header values are.
void append_text(std::string& out, std::string_view text, bool is_latin1 = false) {
  out += '"';
  for (const char one : text) {
    const auto byte = static_cast<unsigned char>(one);
    if (byte == '"' || byte == '\\') {
      out += '\\';
      out += one;
    } else if (byte < 0x20 || byte == 0x7f || (is_latin1 && byte >= 0x80)) {
      append_escape(out, byte);
    } else {
      out += one;
    }
  }
  out += '"';
}

void append_number(std::string& out, double value) { out += std::to_string(static_cast<std::int64_t>(value)); }

// Fields whose value may let somebody in: names as the contract has them, and whatever sounds like it.
bool is_secret(std::string_view name) {
  constexpr std::array kNames = {std::string_view("cookie"), std::string_view("set-cookie"),
                                 std::string_view("cf-connecting-ip"), std::string_view("x-real-ip"),
                                 std::string_view("true-client-ip")};
  constexpr std::array kParts = {std::string_view("auth"), std::string_view("jwt"), std::string_view("key"),
                                 std::string_view("secret"), std::string_view("token")};
  return std::find(kNames.begin(), kNames.end(), name) != kNames.end() ||
         std::any_of(kParts.begin(), kParts.end(), [&](auto part) { return name.find(part) != name.npos; });
}

void append_headers(std::string& out, BytesView block) {
  out += '{';
  bool is_first = true;
  for_each_header(block, [&](std::string_view name, std::string_view value) {
    if (!is_first) out += ',';
    is_first = false;
    append_text(out, name);
    out += ':';
    append_text(out, is_secret(name) ? "REDACTED" : value, true);
  });
  out += '}';
}

}  // namespace

TailRecord::TailRecord(const Call& call, std::string_view entrypoint, std::size_t bytes_max)
    : started_millis_(std::floor(engine::real_wall_millis())),
      started_nanos_(monotonic_nanos()),
      entrypoint_(entrypoint),
      bytes_left_(bytes_max) {
  if (const auto* fetch = std::get_if<FetchCall>(&call)) {
    is_fetch_ = true;
    event_ = "{\"request\":{\"url\":";
    append_text(event_, fetch->url);
    event_ += ",\"method\":";
    append_text(event_, fetch->method);
    event_ += ",\"headers\":";
    append_headers(event_, fetch->headers);
    if (!fetch->cf.empty()) event_ += ",\"cf\":" + fetch->cf;
    event_ += '}';
  } else if (const auto* rpc = std::get_if<RpcCall>(&call)) {
    std::string path;
    for (const std::string& part : rpc->path) path += (path.empty() ? "" : ".") + part;
    event_ = "{\"rpcMethod\":";
    append_text(event_, path);
  } else {
    event_ = "{\"consumedEvents\":[]";
  }
}

bool TailRecord::take(std::size_t bytes) {
  if (bytes > bytes_left_) {
    is_truncated_ = true;
    bytes_left_ = 0;
    return false;
  }
  bytes_left_ -= bytes;
  return true;
}

void TailRecord::add_log(std::string_view level, std::string_view message) {
  if (!take(message.size())) return;
  if (!logs_.empty()) logs_ += ',';
  logs_ += "{\"level\":";
  append_text(logs_, level);
  logs_ += ",\"timestamp\":";
  append_number(logs_, std::floor(engine::real_wall_millis()));
  logs_ += ",\"message\":";
  logs_ += message;
  logs_ += '}';
}

void TailRecord::add_exception(std::string_view name, std::string_view message, std::string_view stack) {
  if (stack.size() > kStackBytesMax) stack = {};
  if (!take(name.size() + message.size() + stack.size())) return;
  last_exception_ = message;
  if (!exceptions_.empty()) exceptions_ += ',';
  exceptions_ += "{\"timestamp\":";
  append_number(exceptions_, std::floor(engine::real_wall_millis()));
  exceptions_ += ",\"name\":";
  append_text(exceptions_, name);
  exceptions_ += ",\"message\":";
  append_text(exceptions_, message);
  if (!stack.empty()) {
    exceptions_ += ",\"stack\":";
    append_text(exceptions_, stack);
  }
  exceptions_ += '}';
}

void TailRecord::add_uncaught(std::string_view line) {
  constexpr std::string_view kUncaught = "Uncaught ";
  constexpr std::string_view kInWaitUntil = "(in waitUntil) ";
  if (!line.starts_with(kUncaught)) return;
  line.remove_prefix(kUncaught.size());
  if (line.starts_with(kInWaitUntil)) line.remove_prefix(kInWaitUntil.size());
  if (line.starts_with('(')) return;  // in a promise: no exception in the contract's sense
  const std::size_t stack = std::min(line.find("\n    at "), line.size());
  const std::string_view first = line.substr(0, stack);
  const std::size_t colon = first.find(": ");
  const bool has_name = colon != first.npos && first.substr(0, colon).find_first_of(" \n") == first.npos;
  add_exception(has_name ? first.substr(0, colon) : "Error", has_name ? first.substr(colon + 2) : first, line);
}

void TailRecord::set_answer(const Outcome& outcome) {
  if (is_fault_) return;
  if (const auto* response = std::get_if<FetchResult>(&outcome)) {
    status_ = response->status;
  } else if (const auto* error = std::get_if<CallError>(&outcome); error != nullptr && is_fetch_) {
    // An RPC call that throws has told its caller: the contract calls that "ok".
    outcome_ = "exception";
    // The log has told of it a moment ago.
    if (exceptions_.empty() || last_exception_ != error->message) {
      add_exception(error->name, error->message, error->stack);
    }
  }
}

void TailRecord::set_fault(std::string_view fault, std::string_view message) {
  if (is_fault_) return;
  is_fault_ = true;
  switch (fault_from_code(fault).value_or(Fault::None)) {
    case Fault::CpuLimit: outcome_ = "exceededCpu"; break;
    case Fault::MemoryLimit: outcome_ = "exceededMemory"; break;
    case Fault::WallLimit: outcome_ = "exceededWallTime"; break;
    case Fault::Cancelled: outcome_ = "canceled"; return;
    case Fault::IsolateLost: outcome_ = "internalError"; return;
    case Fault::None: outcome_ = "aborted"; break;
    default: outcome_ = "exception"; break;
  }
  add_exception("Error", message, {});
}

std::string TailRecord::finish(std::string_view script, std::uint64_t cpu_nanos) const {
  std::string out = "[{\"event\":" + event_;
  if (status_ != 0) out += ",\"response\":{\"status\":" + std::to_string(status_) + '}';
  out += "},\"eventTimestamp\":";
  append_number(out, started_millis_);
  out += ",\"logs\":[" + logs_ + "],\"exceptions\":[" + exceptions_ + "],\"diagnosticsChannelEvents\":[],\"scriptName\":";
  append_text(out, script);
  if (!entrypoint_.empty()) {
    out += ",\"entrypoint\":";
    append_text(out, entrypoint_);
  }
  out += ",\"outcome\":";
  append_text(out, outcome_);
  out += ",\"executionModel\":\"stateless\",\"truncated\":";
  out += is_truncated_ ? "true" : "false";
  out += ",\"cpuTime\":" + std::to_string(cpu_nanos / 1000000);
  out += ",\"wallTime\":" + std::to_string((monotonic_nanos() - started_nanos_) / 1000000) + "}]";
  return out;
}

}  // namespace insula::runner
