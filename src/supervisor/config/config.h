// SPDX-License-Identifier: Apache-2.0
//
// Config: everything `insula serve` knows about its Workers and its node, checked, after reading wrangler's files,
// insula.toml and the flags.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "src/base/bytes.h"
#include "src/base/error.h"
#include "src/base/limits.h"

namespace insula::config {

enum class ModuleKind : std::uint8_t { EsModule, CommonJs, Text, Data, Json, Wasm };

struct Module {
  std::string name;
  ModuleKind kind = ModuleKind::EsModule;
  std::string bytes;
};

// One entry of a static Worker's env.
struct LoaderBinding {
  std::string name;
  std::string id;  // loaders with equal ids share a cache; empty: a cache of its own
};
struct ServiceBinding {
  std::string name;
  std::string service;     // name of a static Worker in this configuration
  std::string entrypoint;  // empty: default
  Bytes props{};           // as they travel to an isolate (structured_clone.h); empty: none
};
struct AssetsBinding {
  std::string name;  // empty: directory without a binding
  std::filesystem::path directory;
};

struct DurableObjectBinding {
  std::string name;
  std::string class_name;
  std::string script;  // the static Worker that has the class; empty: this one
};
// One step of the history of a Worker's Durable Object classes, in the order of the file.
struct Migration {
  struct Rename {
    std::string from;
    std::string to;
  };
  std::string tag;
  std::vector<std::string> new_classes;
  std::vector<Rename> renamed_classes;
  std::vector<std::string> deleted_classes;
};
struct WorkflowBinding {
  std::string name;
  std::string workflow;    // its name, known to operators; unique in the configuration
  std::string class_name;
  std::string script;      // the static Worker that has the class; empty: this one
  std::uint32_t steps_max = 10000;
  std::uint32_t concurrency_max = 1000;  // instances of it that run at a time
  std::uint32_t concurrency_per_origin = 1000;
  std::uint32_t creations_per_second = 0;  // 0: any number
  std::uint32_t creations_per_second_per_origin = 0;
  std::uint32_t queued_max = 2'000'000;    // that wait for a slot
  std::vector<std::string> schedules;      // times at which one is made, as Cron reads them
};

struct Worker {
  std::string name;
  std::filesystem::path directory;  // where the configuration file lies
  std::string compatibility_date;
  std::vector<std::string> compatibility_flags;
  std::string main_module;
  std::vector<Module> modules;  // after bundling
  std::optional<std::vector<std::string>> exports;  // of the main module; nothing: not known, as without bundling
  std::map<std::string, std::string> text_vars;
  std::map<std::string, std::string> json_vars;  // value as JSON text
  std::vector<LoaderBinding> loaders;
  std::vector<ServiceBinding> services;
  std::optional<AssetsBinding> assets;
  std::vector<DurableObjectBinding> durable_objects;
  std::vector<Migration> migrations;
  std::vector<WorkflowBinding> workflows;
  WorkerLimits limits = kHostLimits;
};

enum class Isolation : std::uint8_t { Cordon, Process, Shared };

struct Node {
  std::string listen_host = "127.0.0.1";
  std::uint16_t listen_port = 8787;  // 0: the kernel chooses
  std::filesystem::path data_directory;
  Isolation isolation = Isolation::Cordon;
  std::uint32_t tenant_runners = 0;      // 0: as many as cores
  std::size_t runner_memory_bytes = kRunnerMemoryBytes;
  std::uint32_t isolates_max = 2000;     // loaded dynamic Workers per runner
  milliseconds idle_after{60000};        // an unused dynamic Worker is evicted after this
  milliseconds object_idle_after{10000}; // a Durable Object or facet with nothing to do is evicted after this
  milliseconds runner_age_max{24 * 60 * 60 * 1000};  // then a process is replaced; 0: never
  WorkerLimits tenant_limits = kTenantLimits;
  HttpLimits http;
  bool allow_private_addresses = false;  // egress
  bool unsafe_no_sandbox = false;
  bool frozen_clock = true;              // tenants' clocks move only at I/O
};

struct Config {
  std::vector<Worker> workers;  // the first one is the dispatcher
  Node node;
  std::vector<std::string> warnings;  // unknown fields, for the log
};

}  // namespace insula::config
