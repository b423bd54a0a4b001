// SPDX-License-Identifier: Apache-2.0
//
// read_node_file: names, units and ranges of insula.toml. Documented in docs/reference/configuration.md.
#include "src/supervisor/config/node_file.h"

#include <arpa/inet.h>

#include <array>
#include <charconv>
#include <limits>

#include <fmt/format.h>

#include "src/supervisor/config/fields.h"

namespace insula::config {
namespace {

constexpr std::int64_t kDayMs = 24LL * 60 * 60 * 1000;

Result<> refuse_unknown(const Fields& fields) {
  const auto unknown = fields.unknown();
  if (unknown.empty()) return {};
  return Error(ErrorCode::InvalidInput, unknown.front().notice);
}

// Reads one number into `target`, in the unit of the field's name; leaves it alone when the field is absent.
Result<> read_into(Fields& fields, std::string_view name, std::int64_t least, std::int64_t most, auto& target,
                   std::size_t unit = 1) {
  TRY(auto found, fields.integer(name, least, most));
  if (!found) return {};
  using Target = std::remove_reference_t<decltype(target)>;
  if constexpr (std::is_same_v<Target, milliseconds>) {
    target = milliseconds(*found);
  } else {
    target = static_cast<Target>(static_cast<std::size_t>(*found) * unit);
  }
  return {};
}

Result<> read_tenant_limits(Fields& fields, WorkerLimits& limits) {
  TRY_VOID(read_into(fields, "cpu_ms", 1, kCpuMax.count(), limits.cpu));
  TRY_VOID(read_into(fields, "startup_cpu_ms", 1, 5000, limits.startup_cpu));
  TRY_VOID(read_into(fields, "wall_ms", 0, kDayMs, limits.wall));
  TRY_VOID(read_into(fields, "wait_until_ms", 0, 15 * 60 * 1000, limits.wait_until));
  TRY_VOID(read_into(fields, "memory_mib", 8, 2048, limits.memory_bytes, kMiB));
  TRY_VOID(read_into(fields, "buffer_mib", 1, 512, limits.buffer_bytes_max, kMiB));
  TRY_VOID(read_into(fields, "log_kib", 0, 4096, limits.log_bytes, kKiB));
  TRY_VOID(read_into(fields, "subrequests", 0, 10'000'000, limits.subrequests));
  TRY_VOID(read_into(fields, "timers", 1, 10'000, limits.timers_max));
  TRY_VOID(read_into(fields, "streams", 1, 1024, limits.streams_max));
  TRY_VOID(read_into(fields, "background_promises", 1, 10'000, limits.background_promises_max));
  return refuse_unknown(fields);
}

Result<> read_http(Fields& fields, HttpLimits& http) {
  TRY_VOID(read_into(fields, "target_kib", 1, 64, http.target_bytes_max, kKiB));
  TRY_VOID(read_into(fields, "header_kib", 1, 256, http.header_bytes_max, kKiB));
  TRY_VOID(read_into(fields, "headers", 1, 1024, http.header_count_max));
  TRY_VOID(read_into(fields, "body_mib", 0, 1024 * 1024, http.body_bytes_max, kMiB));
  TRY_VOID(read_into(fields, "body_buffer_kib", 64, 64 * 1024, http.body_buffer_bytes, kKiB));
  TRY_VOID(read_into(fields, "header_timeout_ms", 1, kDayMs, http.header_timeout));
  TRY_VOID(read_into(fields, "body_idle_timeout_ms", 1, kDayMs, http.body_idle_timeout));
  TRY_VOID(read_into(fields, "write_idle_timeout_ms", 1, kDayMs, http.write_idle_timeout));
  TRY_VOID(read_into(fields, "keep_alive_timeout_ms", 1, kDayMs, http.keep_alive_timeout));
  TRY_VOID(read_into(fields, "connections", 1, 1'000'000, http.connections_max));
  TRY_VOID(read_into(fields, "connections_per_address", 1, 1'000'000, http.connections_per_address_max));
  TRY_VOID(read_into(fields, "pipelined", 1, 1024, http.pipelined_max));
  return refuse_unknown(fields);
}

bool is_address(const std::string& host) {
  std::array<unsigned char, 16> bytes{};
  return ::inet_pton(AF_INET, host.c_str(), bytes.data()) == 1 ||
         ::inet_pton(AF_INET6, host.c_str(), bytes.data()) == 1;
}

}  // namespace

Result<NodeFile> read_node_file(const Value& root, const std::filesystem::path& file) {
  TRY(auto fields, Fields::of(root, file.string()));
  NodeFile out;
  Node& node = out.node;
  const auto directory = file.parent_path();

  TRY(auto workers, fields.texts("workers"));
  for (const auto& worker : workers) out.workers.push_back((directory / worker).lexically_normal());
  TRY(auto listen, fields.text("listen"));
  if (listen) {
    auto address = parse_listen(*listen);
    if (!address) return fields.problem("listen", address.error().message());
    node.listen_host = address->host;
    node.listen_port = address->port;
  }
  TRY(auto data, fields.text("data"));
  if (data) node.data_directory = (directory / *data).lexically_normal();
  TRY(auto isolation, fields.text("isolation"));
  if (isolation) {
    auto parsed = parse_isolation(*isolation);
    if (!parsed) return fields.problem("isolation", parsed.error().message());
    node.isolation = *parsed;
  }
  TRY_VOID(read_into(fields, "tenant_runners", 0, 1024, node.tenant_runners));
  TRY_VOID(read_into(fields, "runner_memory_mib", 64, 1024 * 1024, node.runner_memory_bytes, kMiB));
  TRY_VOID(read_into(fields, "isolates_max", 1, 100'000, node.isolates_max));
  TRY_VOID(read_into(fields, "idle_after_ms", 0, kDayMs, node.idle_after));
  TRY_VOID(read_into(fields, "object_idle_after_ms", 0, kDayMs, node.object_idle_after));
  TRY_VOID(read_into(fields, "runner_age_max_ms", 0, 30 * kDayMs, node.runner_age_max));
  TRY(auto allow_private_addresses, fields.fact("allow_private_addresses"));
  node.allow_private_addresses = allow_private_addresses.value_or(false);
  TRY(auto frozen_clock, fields.fact("frozen_clock"));
  node.frozen_clock = frozen_clock.value_or(true);

  TRY(auto tenant_limits, fields.table("tenant_limits"));
  if (tenant_limits) TRY_VOID(read_tenant_limits(*tenant_limits, node.tenant_limits));
  TRY(auto http, fields.table("http"));
  if (http) TRY_VOID(read_http(*http, node.http));
  TRY_VOID(refuse_unknown(fields));
  if (node.tenant_limits.memory_bytes > node.runner_memory_bytes) {
    return fields.problem("runner_memory_mib",
                          fmt::format("a runner of {} MiB cannot hold a tenant of {} MiB "
                                      "(tenant_limits.memory_mib)",
                                      node.runner_memory_bytes / kMiB, node.tenant_limits.memory_bytes / kMiB));
  }
  return out;
}

Result<ListenAddress> parse_listen(std::string_view text) {
  const auto refuse = [&](std::string_view why) {
    return Error(ErrorCode::InvalidInput,
                 fmt::format("\"{}\" is no address to listen on: {}; expected HOST:PORT, for example 127.0.0.1:8787 or "
                             "[::1]:8787, where port 0 lets the kernel choose",
                             text, why));
  };
  ListenAddress address;
  const auto colon = text.rfind(':');
  const auto port = colon == std::string_view::npos ? text : text.substr(colon + 1);
  auto host = colon == std::string_view::npos ? std::string_view("127.0.0.1") : text.substr(0, colon);
  const auto* end = port.data() + port.size();
  if (const auto [stop, error] = std::from_chars(port.data(), end, address.port);
      port.empty() || error != std::errc() || stop != end) {
    return refuse("the port is no number from 0 to 65535");
  }
  const bool is_bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (is_bracketed) host = host.substr(1, host.size() - 2);
  if (is_bracketed != (host.find(':') != std::string_view::npos)) return refuse("an IPv6 address stands in brackets");
  address.host = host == "localhost" ? "127.0.0.1" : std::string(host);
  if (!is_address(address.host)) return refuse("the host is no IP address");
  return address;
}

Result<Isolation> parse_isolation(std::string_view text) {
  for (const auto isolation : {Isolation::Cordon, Isolation::Process, Isolation::Shared}) {
    if (text == name_of(isolation)) return isolation;
  }
  return Error(ErrorCode::InvalidInput, fmt::format("expected cordon, process or shared, found \"{}\"", text));
}

std::string_view name_of(Isolation isolation) {
  static constexpr std::string_view kNames[] = {"cordon", "process", "shared"};
  return kNames[static_cast<std::size_t>(isolation)];
}

}  // namespace insula::config
