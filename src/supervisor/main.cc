// SPDX-License-Identifier: Apache-2.0
//
// insula: builds everything the server is made of, in one place, from the bottom up. Reading serve() from top to bottom
// is reading the architecture.
//
//   clients ──► http ──► front ──► dispatch ──► broker: static Workers ──► fleet ══frames══► runners
//                                    broker: loaders, outbound, assets ◄── fleet ◄══calls════┘
#include <sys/random.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "src/base/clock.h"
#include "src/base/crash_point.h"
#include "src/base/log.h"
#include "src/base/moved_clock.h"
#include "src/cli/args.h"
#include "src/cli/workflows.h"
#include "src/io/run.h"
#include "src/storage/sqlite_store.h"
#include "src/supervisor/actors/directory.h"
#include "src/supervisor/admin/admin.h"
#include "src/supervisor/broker/broker.h"
#include "src/supervisor/broker/loader.h"
#include "src/supervisor/broker/static_workers.h"
#include "src/supervisor/config/load.h"
#include "src/supervisor/data_lock.h"
#include "src/supervisor/dispatch/invoker.h"
#include "src/supervisor/egress/client.h"
#include "src/supervisor/ending.h"
#include "src/supervisor/fleet/fleet.h"
#include "src/supervisor/fleet/process.h"
#include "src/supervisor/front/front.h"
#include "src/supervisor/http/server.h"
#include "src/supervisor/instances/workflows.h"

namespace insula {
namespace {

// ---- What the machine is asked

std::filesystem::path own_folder() {
  std::error_code error;
  return std::filesystem::read_symlink("/proc/self/exe", error).parent_path();
}

// Where the runner's library and snapshot lie: beside this program, unless a developer says otherwise.
std::filesystem::path runner_folder() {
  const char* const given = std::getenv("INSULA_RUNNER_DIR");
  return given != nullptr && *given != '\0' ? std::filesystem::path(given) : own_folder();
}

// For tests of what a crash leaves (base/crash_point.h); empty: none.
std::string crash_at() {
  const char* const given = std::getenv("INSULA_CRASH_AT");
  return given == nullptr ? std::string() : std::string(given);
}

std::uint64_t random_seed() {
  std::uint64_t seed = 0;
  INSULA_CHECK(::getrandom(&seed, sizeof seed, 0) == sizeof seed);
  return seed;
}

void raise_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

unsigned core_count() { return std::max(1u, std::thread::hardware_concurrency()); }

// ---- Settings, from the words of the configuration to those of each room

fleet::Isolation isolation_of(config::Isolation isolation) {
  switch (isolation) {
    case config::Isolation::Cordon: return fleet::Isolation::Cordon;
    case config::Isolation::Process: return fleet::Isolation::Process;
    case config::Isolation::Shared: return fleet::Isolation::Shared;
  }
  return fleet::Isolation::Cordon;
}

std::string_view text_of(config::Isolation isolation) {
  switch (isolation) {
    case config::Isolation::Cordon: return "cordon";
    case config::Isolation::Process: return "process";
    case config::Isolation::Shared: return "shared";
  }
  return "cordon";
}

fleet::FleetOptions fleet_options(const config::Node& node) {
  fleet::FleetOptions options;
  options.isolation = isolation_of(node.isolation);
  options.cores = core_count();
  options.tenant_homes = node.tenant_runners != 0 ? node.tenant_runners : options.cores;
  options.runner_memory_bytes = node.runner_memory_bytes;
  options.runner_age_max = node.runner_age_max;
  return options;
}

fleet::ProcessOptions process_options(const config::Node& node, const cli::Arguments& arguments) {
  fleet::ProcessOptions options;
  options.engine = arguments.engine.value_or(INSULA_ENGINE_DEFAULT);
  options.library = runner_folder() / "libinsula_runner.so";
  options.snapshot = runner_folder() / "insula_snapshot.bin";
  options.isolates_max = node.isolates_max;
  // The rest is for code, stacks and what the engine needs of its own.
  options.memory_bytes = node.runner_memory_bytes / 4 * 3;
  // Several runners share the cores among themselves; a single one takes all but the supervisor's.
  if (node.isolation == config::Isolation::Shared) {
    options.parallel = std::max(1u, std::thread::hardware_concurrency() - 1);
  }
  options.idle_millis = static_cast<std::uint64_t>(node.idle_after.count());
  options.object_idle_millis = static_cast<std::uint64_t>(node.object_idle_after.count());
  const char* const sandbox = std::getenv("INSULA_RUNNER_SANDBOX");
  options.is_sandboxed = !node.unsafe_no_sandbox || sandbox == nullptr || std::string_view(sandbox) != "0";
  options.crash_at = crash_at();
  return options;
}

std::string url_of(const std::string& host, std::uint16_t port) {
  const bool is_v6 = host.find(':') != std::string::npos;
  return is_v6 ? fmt::format("http://[{}]:{}", host, port) : fmt::format("http://{}:{}", host, port);
}

egress::EgressOptions egress_options(const config::Node& node, std::uint16_t port, const LoopMark& mark) {
  egress::EgressOptions options;
  options.mark = mark;
  options.allow_private = node.allow_private_addresses;
  // The host may be a name, such as "localhost": all that it stands for is ours.
  boost::asio::io_context io;
  boost::asio::ip::tcp::resolver resolver(io);
  boost::system::error_code error;
  for (const auto& found : resolver.resolve(node.listen_host, std::to_string(port), error)) {
    options.own_listeners.push_back(found.endpoint());
  }
  return options;
}

// ---- What is said at the start

void log_settings(Log& log, const config::Config& config, const fleet::FleetOptions& fleet) {
  const config::Node& node = config.node;
  const WorkerLimits& tenant = node.tenant_limits;
  for (const std::string& warning : config.warnings) log.warn("config.ignored", {{"text", warning}});
  log.info("server.starting", {{"version", cli::kVersion},
                               {"workers", config.workers.size()},
                               {"dispatcher", config.workers.front().name},
                               {"isolation", text_of(node.isolation)},
                               {"tenant_runners", fleet.tenant_homes},
                               {"cores", fleet.cores}});
  log.info("server.limited", {{"tenant_cpu_ms", tenant.cpu.count()},
                              {"tenant_startup_cpu_ms", tenant.startup_cpu.count()},
                              {"tenant_memory_bytes", tenant.memory_bytes},
                              {"tenant_subrequests", tenant.subrequests},
                              {"tenant_log_bytes", tenant.log_bytes},
                              {"runner_memory_bytes", node.runner_memory_bytes},
                              {"isolates_max", node.isolates_max},
                              {"idle_after_ms", node.idle_after.count()}});
  if (node.isolation == config::Isolation::Shared) {
    log.warn("server.shared", {{"text", "all tenants share one process with the dispatcher; for trusted code only"}});
  }
  if (node.allow_private_addresses) {
    log.warn("server.exposed", {{"text", "Workers may reach private addresses of this network"}});
  }
}

// False: the sandbox is too weak for hostile code, and nobody said that this is wanted.
bool accept_sandbox(Log& log, const std::vector<std::string>& layers, bool is_weak_allowed) {
  std::vector<std::string> missing;
  for (const char* const needed : {"user", "net", "seccomp"}) {
    if (std::find(layers.begin(), layers.end(), needed) == layers.end()) missing.emplace_back(needed);
  }
  log.info("server.sandboxed", {{"layers", fmt::format("{}", fmt::join(layers, ","))}});
  if (missing.empty()) return true;
  const std::string list = fmt::format("{}", fmt::join(missing, ","));
  if (!is_weak_allowed) {
    log.error("server.refused", {{"missing_layers", list},
                                 {"text", "the sandbox of the runners is incomplete: hostile code would not be safe to "
                                          "run; allow user namespaces and seccomp, or pass --unsafe-no-sandbox"}});
    return false;
  }
  log.warn("server.unsafe", {{"missing_layers", list},
                             {"text", "*** UNSAFE: the sandbox is incomplete; run only code that you trust ***"}});
  return true;
}

int fail(Log& log, const Error& error) {
  log.error("server.failed", {{"text", error.message()}});
  return cli::kExitFailure;
}

// ---- The server

int serve(const cli::Arguments& arguments, const config::Config& config, Log& log, const Clock& clock) {
  const config::Node& node = config.node;
  if (const std::string points = crash_at(); !points.empty()) {
    if (auto armed = arm_crash_points(points, CrashPointInfo::Process::Supervisor); !armed) return fail(log, armed.error());
    log.warn("server.crashing", {{"at", points}, {"text", "INSULA_CRASH_AT is set: the server will end itself, as tests want"}});
  }
  const auto data_lock = supervisor::lock_data(node.data_directory);
  if (!data_lock) return fail(log, data_lock.error());
  raise_descriptor_limit();
  boost::asio::io_context io(1);

  // What survives us.
  const std::string store_path = (node.data_directory / "store.sqlite").string();
  auto store = storage::SqliteStore::open(store_path, [&io](auto callback) { boost::asio::post(io, std::move(callback)); });
  if (!store) {
    return fail(log, store.error().within(store_path + ", which knows the objects, alarms and workflow instances, cannot be "
                                                       "used (put back a copy of the data directory, or choose another "
                                                       "with --data)"));
  }
  auto objects =
      actors::Directory::create({io, **store, log, clock}, node.data_directory, config.workers, random_seed());
  if (!objects) return fail(log, objects.error());
  MovedClock durable_clock(clock);
  instances::Workflows workflows(
      {io, **store, log, durable_clock, arguments.has_test_clock ? &durable_clock : nullptr}, config.workers);

  // Runners, and what they may ask for.
  auto starter = fleet::ProcessStarter::create(process_options(node, arguments));
  if (!starter) return fail(log, starter.error());
  const fleet::FleetOptions fleet_settings = fleet_options(node);
  log_settings(log, config, fleet_settings);
  broker::Broker broker(log, clock);
  fleet::Fleet fleet(io, fleet_settings, **starter, broker, log, clock);
  broker::DynamicWorkers dynamic(fleet, {node.tenant_limits, node.frozen_clock}, clock);
  broker.serve(dynamic);
  broker.serve(**objects);

  // Clients, and how their requests reach the dispatcher.
  dispatch::Invoker invoker(clock);
  const LoopMark mark(random_seed());
  front::Front front(invoker, 0, config.workers.front().name, log, random_seed(), mark);
  http::Server server(io.get_executor(), node.http, clock, log, front);
  const auto port = server.listen(node.listen_host, node.listen_port);
  if (!port) return fail(log, port.error());

  // The way out, and the Workers of the configuration, which hold it.
  auto outbound = egress::Egress::create(io.get_executor(), egress_options(node, *port, mark), log, clock);
  if (!outbound) return fail(log, outbound.error());
  auto workers = broker::StaticWorkers::create(config, fleet, dynamic, **outbound, **objects, &workflows);
  if (!workers) return fail(log, workers.error());
  for (std::size_t index = 0; index < (*workers)->size(); ++index) invoker.add_worker((*workers)->at(index));
  fleet.on_home_filled([&](fleet::Home& home, const std::shared_ptr<fleet::Session>& session) {
    if (home.name().kind == fleet::HomeKind::Platform) (*workers)->load_all(session);
  });
  fleet.on_tick([&] {
    broker.tick();
    invoker.expire();
  });

  // Operators.
  auto admin = admin::Admin::listen(io, node.data_directory, workflows, log);
  if (!admin) return fail(log, admin.error());

  // Life.
  supervisor::Ending ending(io, server, fleet, log, clock);
  ending.at_drain([&] { (*objects)->begin_closing(); });
  ending.before_runners([&](std::function<void()> closed) {
    workflows.stop();
    (*objects)->close_all(std::move(closed));
  });
  fleet.start([&](Result<> first) {
    if (!first) {
      fail(log, first.error());
      return ending.fail();
    }
    if (!accept_sandbox(log, fleet.layers(), node.unsafe_no_sandbox)) return ending.fail();
    (*objects)->start();
    workflows.start();
    log.info("server.listening", {{"url", url_of(node.listen_host, *port)}, {"port", *port}});
  });
  supervisor::ReportSignal report(io, fleet);
  fleet.start_ticking();
  io::run(io, [&fleet] { return fleet.is_answer_near(); });
  return ending.exit_code();
}

// A question to a server that runs already.
int ask(const cli::WorkflowsCommand& command) {
  const auto tell = [&]() -> Result<std::string> {
    TRY(const std::string answer, cli::ask_server(command));
    return cli::text_of_answer(command, answer);
  };
  const auto told = tell();
  if (!told) {
    fmt::print(stderr, "{}\n", told.error().message());
    return cli::kExitFailure;
  }
  fmt::print("{}", *told);
  return cli::kExitOk;
}

int run(std::span<const char* const> words) {
  const auto arguments = cli::parse_arguments(words);
  if (!arguments) {
    fmt::print(stderr, "{}\n", arguments.error().message());
    return cli::kExitUsage;
  }
  if (arguments->command == cli::Command::Help) {
    fmt::print("{}", cli::help_text());
    return cli::kExitOk;
  }
  if (arguments->command == cli::Command::Version) {
    fmt::print("{}", cli::version_text());
    return cli::kExitOk;
  }
  if (arguments->command == cli::Command::CrashPoints) {
    fmt::print("{}", list_of_crash_points());
    return cli::kExitOk;
  }
  if (arguments->command == cli::Command::WorkflowsHelp) {
    fmt::print("{}", cli::workflows_help());
    return cli::kExitOk;
  }
  if (arguments->command == cli::Command::Workflows) return ask(arguments->workflows);
  const SystemClock clock;
  const LogFormat format =
      arguments->log_format.value_or(::isatty(STDERR_FILENO) == 1 ? LogFormat::Human : LogFormat::Json);
  Log log(STDERR_FILENO, format, arguments->log_level, clock);
  auto config = config::load_config(arguments->options);
  if (!config) {
    fmt::print(stderr, "{}\n", config.error().message());
    return cli::kExitFailure;
  }
  if (arguments->command == cli::Command::Check) {
    for (const std::string& warning : config->warnings) fmt::print(stderr, "{}\n", warning);
    return cli::kExitOk;
  }
  return serve(*arguments, *config, log, clock);
}

}  // namespace
}  // namespace insula

int main(int count, char** words) {
  // A client or runner that is gone shows as an error of the write, not as the end of the server.
  std::signal(SIGPIPE, SIG_IGN);
  std::vector<const char*> arguments(words + std::min(count, 1), words + count);
  return insula::run(arguments);
}
