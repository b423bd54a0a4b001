// SPDX-License-Identifier: Apache-2.0
//
// read_wrangler and read_node_file: what each field becomes, and what is said of one that is wrong.
#include "src/supervisor/config/wrangler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "src/supervisor/config/node_file.h"

namespace insula::config {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Pair;

constexpr const char* kHead = R"("name": "w", "main": "src/i.ts", "compatibility_date": "2026-11-17")";

struct Read {
  Result<WorkerFile> file;
  std::vector<std::string> warnings;
};

Read read(const std::string& text) {
  std::vector<std::string> warnings;
  const auto root = parse_jsonc(text, "/p/wrangler.jsonc");
  if (!root) return {root.error(), warnings};
  auto file = read_wrangler(*root, "/p/wrangler.jsonc", warnings);
  return {std::move(file), std::move(warnings)};
}
Read read_with(const std::string& fields) {
  return read("{" + std::string(kHead) + ",\n" + fields + "}");
}
std::string problem_with(const std::string& fields) {
  const auto result = read_with(fields).file;
  return result ? "" : result.error().message();
}

TEST(Wrangler, EverySupportedField) {
  const auto result = read_with(R"(
    "$schema": "x", "account_id": "a", "workers_dev": true, "routes": [1], "observability": {"enabled": true},
    "compatibility_flags": ["nodejs_compat"],
    "vars": {"T": "text", "N": 1.5, "O": {"a": [true]}},
    "worker_loaders": [{"binding": "LOADER"}, {"binding": "POOL", "id": "pool"}],
    "services": [{"binding": "S", "service": "other", "entrypoint": "E", "environment": "production", "props": {"a": 1}}],
    "assets": {"directory": "./tenants", "binding": "ASSETS"},
    "limits": {"cpu_ms": 50, "subrequests": 7},
    "rules": [{"type": "Text", "globs": ["**/*.md"], "fallthrough": true}],
    "kv_namespaces": [], "durable_objects": {"bindings": []}, "migrations": null,
    "define": {"A": "1"}, "alias": {"x": "./y"}, "minify": true, "tsconfig": "t.json")");
  ASSERT_TRUE(result.file) << result.file.error().message();
  EXPECT_THAT(result.warnings, IsEmpty());
  const auto& worker = result.file->worker;
  EXPECT_EQ(worker.name, "w");
  EXPECT_EQ(worker.directory, "/p");
  EXPECT_EQ(worker.compatibility_date, "2026-11-17");
  EXPECT_THAT(worker.compatibility_flags, ElementsAre("nodejs_compat"));
  EXPECT_THAT(worker.text_vars, ElementsAre(Pair("T", "text")));
  EXPECT_THAT(worker.json_vars, ElementsAre(Pair("N", "1.5"), Pair("O", R"({"a":[true]})")));
  ASSERT_EQ(worker.loaders.size(), 2U);
  EXPECT_EQ(worker.loaders[0].name, "LOADER");
  EXPECT_EQ(worker.loaders[0].id, "");
  EXPECT_EQ(worker.loaders[1].id, "pool");
  ASSERT_EQ(worker.services.size(), 1U);
  EXPECT_EQ(worker.services[0].service, "other");
  EXPECT_EQ(worker.services[0].entrypoint, "E");
  EXPECT_EQ(worker.services[0].props, "\xff\x0fo\"\x01" "aI\x02{\x01");
  EXPECT_EQ(worker.assets->directory, "/p/tenants");
  EXPECT_EQ(worker.assets->name, "ASSETS");
  EXPECT_EQ(worker.limits.cpu, milliseconds(50));
  EXPECT_EQ(worker.limits.subrequests, 7U);
  const auto& build = result.file->build;
  EXPECT_EQ(build.main, "/p/src/i.ts");
  EXPECT_EQ(build.base_directory, "/p/src");
  EXPECT_TRUE(build.bundle);
  EXPECT_FALSE(build.find_additional_modules);
  EXPECT_THAT(build.rules.front().globs, ElementsAre("**/*.md"));
  EXPECT_THAT(build.define, ElementsAre(Pair("A", "1")));
  EXPECT_TRUE(build.minify);
}

TEST(Wrangler, DefaultsOfALeanFile) {
  const auto result = read(R"({"main": "a.js", "compatibility_date": "2026-11-17", "no_bundle": true})");
  ASSERT_TRUE(result.file);
  EXPECT_EQ(result.file->worker.name, "p");  // the folder's
  EXPECT_FALSE(result.file->build.bundle);
  EXPECT_TRUE(result.file->build.find_additional_modules);
  EXPECT_EQ(result.file->worker.limits.cpu, kHostLimits.cpu);
}

TEST(Wrangler, TomlReadsTheSame) {
  const auto root = parse_toml(
      "name = \"w\"\nmain = \"i.js\"\ncompatibility_date = 2026-11-17\n[vars]\nA = \"b\"\n"
      "[[worker_loaders]]\nbinding = \"LOADER\"\n",
      "/p/wrangler.toml");
  ASSERT_TRUE(root);
  std::vector<std::string> warnings;
  const auto file = read_wrangler(*root, "/p/wrangler.toml", warnings);
  ASSERT_TRUE(file) << file.error().message();
  EXPECT_EQ(file->worker.compatibility_date, "2026-11-17");
  EXPECT_EQ(file->worker.loaders.at(0).name, "LOADER");
  EXPECT_THAT(file->worker.text_vars, ElementsAre(Pair("A", "b")));
}

TEST(Wrangler, UnknownFieldsAreWarningsWithAGuess) {
  const auto result =
      read_with("\"worker_loader\": [],\n\"zzz\": 1, \"worker_loaders\": [{\"binding\": \"L\", \"idd\": \"\"}]");
  ASSERT_TRUE(result.file);
  EXPECT_THAT(result.warnings,
              ElementsAre(HasSubstr("worker_loaders[0].idd: unknown field (did you mean \"id\"?)"),
                          "/p/wrangler.jsonc:2: worker_loader: unknown field (did you mean \"worker_loaders\"?)",
                          HasSubstr(":3: zzz: unknown field")));
}

TEST(Wrangler, UnsupportedFieldsAreErrors) {
  for (const auto* field :
       {"kv_namespaces", "r2_buckets", "d1_databases", "tail_consumers"}) {
    const auto result = read_with("\"" + std::string(field) + "\": [{\"binding\": \"X\"}]");
    ASSERT_FALSE(result.file) << field;
    EXPECT_EQ(result.file.error().code(), ErrorCode::Unsupported);
    EXPECT_THAT(result.file.error().message(),
                HasSubstr("/p/wrangler.jsonc:2: " + std::string(field) + ": not supported by Insula yet"));
  }
  EXPECT_THAT(problem_with(R"("ai": {"binding": "AI"})"), HasSubstr("ai: not supported"));
  EXPECT_THAT(problem_with(R"("assets": {"directory": "d", "not_found_handling": "404-page"})"),
              HasSubstr("assets.not_found_handling: not supported"));
}

TEST(Wrangler, MistakesAreNamedWithTheirPlace) {
  const std::string place = "/p/wrangler.jsonc:2: ";
  const std::pair<const char*, std::string> kCases[] = {
      {R"("worker_loaders": {})", place + "worker_loaders: expected a list of tables, found a table"},
      {R"("worker_loaders": [1])", place + "worker_loaders[0]: expected a table, found a whole number"},
      {R"("worker_loaders": [{}])", place + "worker_loaders[0].binding: expected a text, for example \"LOADER\""},
      {R"("worker_loaders": [{"bindng": "L"}])",
       place + "worker_loaders[0].binding: expected a text, for example \"LOADER\"; there is \"bindng\""},
      {R"("services": [{"binding": "S", "service": 1}])",
       place + "services[0].service: expected a text, found a whole number"},
      {R"("services": [{"binding": "S", "service": "s", "props": [1]}])",
       place + "services[0].props: expected a table, found a list"},
      {R"("vars": {"A": 1}, "worker_loaders": [{"binding": "A"}])",
       place + "worker_loaders[0].binding: \"A\" is already the name of another binding or variable"},
      {R"("limits": {"cpu_ms": 0})", place + "limits.cpu_ms: expected a whole number from 1 to 300000, found 0"},
      {R"("limits": {"cpu_ms": 1.5})", place + "limits.cpu_ms: expected a whole number, found a number"},
      {R"("no_bundle": "yes")", place + "no_bundle: expected true or false, found a text"},
      {R"("compatibility_flags": ["nope"])", place + "compatibility_flags: No such compatibility flag: nope"},
      {R"("compatibility_flags": [1])", place + "compatibility_flags[0]: expected a text, found a whole number"},
      {R"("rules": [{"type": "Txt", "globs": ["a"]}])", place + "rules[0].type: \"Txt\" is no kind of module: expected "
                                                                "ESModule, CommonJS, Text, Data, JSON or CompiledWasm"},
      {R"("tsconfig": "a\u0000b")", place + "tsconfig: a text must not contain NUL"},
  };
  for (const auto& [fields, expected] : kCases) EXPECT_EQ(problem_with(fields), expected);
}

TEST(Wrangler, VarsAreBounded) {
  const auto vars = [](std::size_t size) { return "\"vars\": {\"A\": \"" + std::string(size, 'x') + "\"}"; };
  EXPECT_EQ(problem_with(vars(kEnvBytesMax)), "");
  EXPECT_THAT(problem_with(vars(kEnvBytesMax + 1)), HasSubstr(":2: vars: larger than 1048576 bytes together"));
}

TEST(Wrangler, IdentityMustBeThereAndValid) {
  EXPECT_THAT(read("[]").file.error().message(), HasSubstr("expected a table, found a list"));
  EXPECT_THAT(read(R"({"name": "a b"})").file.error().message(), HasSubstr("\"a b\" is no name for a Worker"));
  EXPECT_THAT(read(R"({"name": "a"})").file.error().message(), HasSubstr("compatibility_date: expected a text"));
  EXPECT_THAT(read(R"({"name": "a", "compatibility_date": "soon"})").file.error().message(),
              HasSubstr(":1: compatibility_date: Invalid compatibility date: soon"));
  EXPECT_THAT(read(R"({"name": "a", "compatibility_date": "2026-11-17"})").file.error().message(),
              HasSubstr("main: expected a text, for example \"src/index.ts\""));
}

Result<NodeFile> read_node(std::string_view text) {
  TRY(auto root, parse_toml(text, "/p/insula.toml"));
  return read_node_file(root, "/p/insula.toml");
}
std::string node_problem(std::string_view text) {
  const auto file = read_node(text);
  return file ? "" : file.error().message();
}

TEST(NodeFile, EveryField) {
  const auto file = read_node(R"(
workers = ["a/wrangler.jsonc", "b"]
listen = "[::1]:0"
data = "state"
isolation = "shared"
tenant_runners = 3
runner_memory_mib = 2048
isolates_max = 10
idle_after_ms = 5
object_idle_after_ms = 6
runner_age_max_ms = 7
allow_private_addresses = true
frozen_clock = false
[tenant_limits]
cpu_ms = 20
startup_cpu_ms = 30
wall_ms = 40
wait_until_ms = 50
memory_mib = 64
buffer_mib = 16
log_kib = 8
subrequests = 5
timers = 6
streams = 7
background_promises = 8
[http]
target_kib = 8
header_kib = 64
headers = 100
body_mib = 1
keep_alive_timeout_ms = 5000
connections = 50
)");
  ASSERT_TRUE(file) << file.error().message();
  EXPECT_THAT(file->workers, ElementsAre("/p/a/wrangler.jsonc", "/p/b"));
  const auto& node = file->node;
  EXPECT_EQ(node.listen_host, "::1");
  EXPECT_EQ(node.listen_port, 0);
  EXPECT_EQ(node.data_directory, "/p/state");
  EXPECT_EQ(node.isolation, Isolation::Shared);
  EXPECT_EQ(node.tenant_runners, 3U);
  EXPECT_EQ(node.runner_memory_bytes, 2 * kGiB);
  EXPECT_EQ(node.isolates_max, 10U);
  EXPECT_EQ(node.idle_after, milliseconds(5));
  EXPECT_EQ(node.object_idle_after, milliseconds(6));
  EXPECT_EQ(node.runner_age_max, milliseconds(7));
  EXPECT_TRUE(node.allow_private_addresses);
  EXPECT_FALSE(node.frozen_clock);
  const auto& limits = node.tenant_limits;
  EXPECT_EQ(limits.cpu, milliseconds(20));
  EXPECT_EQ(limits.startup_cpu, milliseconds(30));
  EXPECT_EQ(limits.wall, milliseconds(40));
  EXPECT_EQ(limits.wait_until, milliseconds(50));
  EXPECT_EQ(limits.memory_bytes, 64 * kMiB);
  EXPECT_EQ(limits.buffer_bytes_max, 16 * kMiB);
  EXPECT_EQ(limits.log_bytes, 8 * kKiB);
  EXPECT_EQ(limits.subrequests, 5U);
  EXPECT_EQ(limits.timers_max, 6U);
  EXPECT_EQ(limits.streams_max, 7U);
  EXPECT_EQ(limits.background_promises_max, 8U);
  EXPECT_EQ(node.http.target_bytes_max, 8 * kKiB);
  EXPECT_EQ(node.http.header_count_max, 100U);
  EXPECT_EQ(node.http.body_bytes_max, kMiB);
  EXPECT_EQ(node.http.keep_alive_timeout, milliseconds(5000));
  EXPECT_EQ(node.http.connections_max, 50U);
  EXPECT_EQ(node.http.connections_per_address_max, HttpLimits{}.connections_per_address_max);
}

TEST(NodeFile, AMisspeltLimitIsNoMissingLimit) {
  EXPECT_EQ(node_problem("[tenant_limits]\ncpu_msec = 20"),
            "/p/insula.toml:2: tenant_limits.cpu_msec: unknown field (did you mean \"cpu_ms\"?)");
  EXPECT_THAT(node_problem("unsafe_no_sandbox = true"), HasSubstr("unknown field"));
}

TEST(NodeFile, RangesAreKept) {
  EXPECT_THAT(node_problem("[tenant_limits]\ncpu_ms = 300001"), HasSubstr("from 1 to 300000"));
  EXPECT_THAT(node_problem("[tenant_limits]\nmemory_mib = 4096"), HasSubstr("from 8 to 2048"));
  EXPECT_THAT(node_problem("runner_memory_mib = 100"), HasSubstr("cannot hold a tenant of 128 MiB"));
  EXPECT_THAT(node_problem("isolation = \"none\""), HasSubstr(":1: isolation: expected cordon, process or shared"));
  EXPECT_THAT(node_problem("listen = \"here\""), HasSubstr(":1: listen: \"here\" is no address"));
}

TEST(Listen, AcceptsAddressesOnly) {
  const auto text = [](std::string_view given) {
    const auto address = parse_listen(given);
    return address ? address->host + " " + std::to_string(address->port) : "refused";
  };
  EXPECT_EQ(text("127.0.0.1:8787"), "127.0.0.1 8787");
  EXPECT_EQ(text("[::1]:1"), "::1 1");
  EXPECT_EQ(text("localhost:0"), "127.0.0.1 0");
  EXPECT_EQ(text("8080"), "127.0.0.1 8080");
  for (const auto* bad : {"", ":", ":80", "a:80", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "::1:80",
                          "[127.0.0.1]:80", "127.0.0.1:8x", "127.0.0.1:-1", "[]:80", "1.2.3.4.5:80"}) {
    EXPECT_EQ(text(bad), "refused") << bad;
  }
}

}  // namespace
}  // namespace insula::config
