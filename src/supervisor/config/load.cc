// SPDX-License-Identifier: Apache-2.0
//
// load_config: finds the files, reads them, builds the Workers, checks what concerns several of them.
#include "src/supervisor/config/load.h"

#include <algorithm>
#include <array>
#include <map>
#include <system_error>

#include <fmt/format.h>

#include "src/supervisor/config/bundle.h"
#include "src/supervisor/config/durable.h"
#include "src/supervisor/config/exports.h"
#include "src/supervisor/config/modules.h"
#include "src/supervisor/config/value.h"
#include "src/supervisor/config/wrangler.h"

namespace insula::config {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kFileBytesMax = 4 * kMiB;
constexpr std::size_t kWorkersMax = 256;
constexpr const char* kNodeFile = "insula.toml";
constexpr std::array<const char*, 3> kWranglerFiles = {"wrangler.jsonc", "wrangler.json", "wrangler.toml"};

bool is_file(const fs::path& path) {
  std::error_code ignored;
  return fs::is_regular_file(path, ignored);
}

Result<fs::path> whole_path(const fs::path& path) {
  std::error_code error;
  auto whole = fs::absolute(path, error);
  if (error) return Error(ErrorCode::InvalidInput, fmt::format("{}: {}", path.string(), error.message()));
  return whole.lexically_normal();
}

Result<Value> parse_file(const fs::path& path) {
  TRY(auto text, read_file(path, kFileBytesMax));
  const auto extension = path.extension();
  if (extension == ".toml") return parse_toml(text, path.string());
  if (extension == ".json" || extension == ".jsonc") return parse_jsonc(text, path.string());
  return Error(ErrorCode::InvalidInput,
               fmt::format("{}: expected a wrangler.jsonc, wrangler.json or wrangler.toml, or a folder with one",
                           path.string()));
}

Result<fs::path> wrangler_file_of(const fs::path& path, std::vector<std::string>& warnings) {
  std::error_code error;
  if (!fs::exists(path, error)) {
    return Error(ErrorCode::NotFound, fmt::format("{}: there is no such file or folder", path.string()));
  }
  if (!fs::is_directory(path, error)) return path;
  fs::path found;
  for (const auto* name : kWranglerFiles) {
    if (!is_file(path / name)) continue;
    if (found.empty()) {
      found = path / name;
    } else {
      warnings.push_back(fmt::format("{}: not read, since {} is there too", (path / name).string(), found.string()));
    }
  }
  if (found.empty()) {
    return Error(ErrorCode::NotFound,
                 fmt::format("{}: neither wrangler.jsonc, wrangler.json nor wrangler.toml is there", path.string()));
  }
  return found.lexically_normal();
}

class Loader {
 public:
  explicit Loader(const Options& options) : options_(options) {}

  Result<Config> run() {
    for (const auto& path : options_.paths) {
      TRY(auto whole, whole_path(path));
      paths_.push_back(std::move(whole));
    }
    if (paths_.empty()) {
      TRY(auto here, whole_path("."));
      paths_.push_back(std::move(here));
    }
    TRY_VOID(read_node());
    TRY_VOID(apply_flags());
    if (paths_.size() > kWorkersMax) {
      return Error(ErrorCode::LimitExceeded, fmt::format("more than {} Workers in one node", kWorkersMax));
    }
    for (const auto& path : paths_) {
      TRY(auto file, wrangler_file_of(path, config_.warnings));
      TRY_VOID(read_worker(file));
    }
    TRY_VOID(check_services());
    TRY_VOID(check_durable(config_.workers));
    auto& data = config_.node.data_directory;
    if (data.empty()) data = config_.workers.front().directory / ".insula";
    return std::move(config_);
  }

 private:
  // insula.toml is a path of its own, or lies beside what the first path names.
  Result<> read_node() {
    const fs::path first = paths_.front();
    std::error_code error;
    const bool is_named = first.filename() == kNodeFile;
    const auto file = is_named ? first : (fs::is_directory(first, error) ? first : first.parent_path()) / kNodeFile;
    if (!is_named && !is_file(file)) return {};
    TRY(auto root, parse_file(file));
    TRY(auto node, read_node_file(root, file));
    config_.node = std::move(node.node);
    // What the command line names are the Workers; else those of the list; else the one beside the file.
    const bool is_folder = paths_.size() == 1 && fs::is_directory(first, error);
    if (is_named) paths_.erase(paths_.begin());
    if (!node.workers.empty() && (paths_.empty() || is_folder)) {
      paths_ = std::move(node.workers);
    } else if (paths_.empty()) {
      paths_.push_back(file.parent_path());
    }
    return {};
  }

  Result<> apply_flags() {
    Node& node = config_.node;
    if (options_.listen) {
      node.listen_host = options_.listen->host;
      node.listen_port = options_.listen->port;
    }
    if (options_.data_directory) {
      TRY(node.data_directory, whole_path(*options_.data_directory));
    }
    node.isolation = options_.isolation.value_or(node.isolation);
    node.tenant_runners = options_.tenant_runners.value_or(node.tenant_runners);
    node.runner_memory_bytes = options_.runner_memory_bytes.value_or(node.runner_memory_bytes);
    node.allow_private_addresses = options_.allow_private_addresses.value_or(node.allow_private_addresses);
    node.frozen_clock = options_.frozen_clock.value_or(node.frozen_clock);
    node.unsafe_no_sandbox = options_.unsafe_no_sandbox;
    return {};
  }

  Result<> read_worker(const fs::path& path) {
    TRY(auto root, parse_file(path));
    TRY(auto file, read_wrangler(root, path, config_.warnings));
    const auto [earlier, is_new] = files_.emplace(file.worker.name, path);
    if (!is_new) {
      return Error(ErrorCode::Conflict, fmt::format("{}: the Worker \"{}\" is already defined by {}", path.string(),
                                                    file.worker.name, earlier->second.string()));
    }
    if (!is_file(file.build.main)) {
      return Error(ErrorCode::NotFound,
                   fmt::format("{}: main: there is no file {}", path.string(), file.build.main.string()));
    }
    TRY_VOID(check_assets(file.worker, path));
    auto modules = build(file);
    if (!modules) return modules.error().within(path.string());
    file.worker.main_module = modules->front().name;
    file.worker.modules = std::move(*modules);
    config_.workers.push_back(std::move(file.worker));
    return {};
  }

  Result<std::vector<Module>> build(WorkerFile& file) {
    if (!file.build.bundle) {
      std::vector<fs::path> excluded{file.worker.directory / ".insula"};
      if (file.worker.assets) excluded.push_back(file.worker.assets->directory);
      return collect_modules(file.build, excluded);
    }
    fs::path esbuild = options_.esbuild;
    if (esbuild.empty()) {
      TRY(esbuild, find_esbuild());
    }
    TRY(auto bundled, bundle(file, esbuild));
    file.worker.exports = std::move(bundled.exports);
    if (!bundled.warnings.empty()) config_.warnings.push_back(std::move(bundled.warnings));
    return std::move(bundled.modules);
  }

  static Result<> check_assets(Worker& worker, const fs::path& path) {
    std::error_code error;
    if (!worker.assets || fs::is_directory(worker.assets->directory, error)) return {};
    return Error(ErrorCode::NotFound, fmt::format("{}: assets.directory: there is no folder {}", path.string(),
                                                  worker.assets->directory.string()));
  }

  Result<> check_services() {
    for (const auto& worker : config_.workers) {
      for (const auto& service : worker.services) {
        if (files_.contains(service.service)) {
          TRY_VOID(check_entrypoint(worker, service));
          continue;
        }
        std::string names;
        for (const auto& [name, file] : files_) names += fmt::format("{}\"{}\"", names.empty() ? "" : ", ", name);
        return Error(
            ErrorCode::NotFound,
            fmt::format("{}: services: {} names the Worker \"{}\", which is not one of this node's ({}); name its "
                        "wrangler file on the command line or in insula.toml",
                        files_[worker.name].string(), service.name, service.service, names));
      }
    }
    return {};
  }

  Result<> check_entrypoint(const Worker& worker, const ServiceBinding& service) {
    const auto owner = std::find_if(config_.workers.begin(), config_.workers.end(),
                                    [&](const Worker& one) { return one.name == service.service; });
    const auto complaint = service.entrypoint.empty() ? "" : complaint_about_export(*owner, service.entrypoint);
    if (complaint.empty()) return {};
    return Error(ErrorCode::NotFound, fmt::format("{}: services: {} names the entrypoint \"{}\", {}",
                                                  files_[worker.name].string(), service.name, service.entrypoint, complaint));
  }

  const Options& options_;
  std::vector<fs::path> paths_;
  std::map<std::string, fs::path> files_;  // by name of the Worker
  Config config_;
};

}  // namespace

Result<Config> load_config(const Options& options) {
  return Loader(options).run();
}

}  // namespace insula::config
