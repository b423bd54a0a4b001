// SPDX-License-Identifier: Apache-2.0
//
// read_wrangler: wrangler's field names and what Insula makes of each. Documented in docs/reference/configuration.md.
#include "src/supervisor/config/wrangler.h"

#include <algorithm>
#include <array>
#include <set>

#include <fmt/format.h>

#include "src/base/compatibility.h"
#include "src/supervisor/config/durable.h"
#include "src/supervisor/config/fields.h"
#include "src/supervisor/config/structured_clone.h"

namespace insula::config {
namespace {

// These concern the hosted platform, deployment or development tools: nothing at run time depends on them here.
constexpr auto kIgnored = std::to_array<std::string_view>({
    "$schema",
    "account_id",
    "workers_dev",
    "preview_urls",
    "route",
    "routes",
    "dev",
    "observability",
    "logpush",
    "upload_source_maps",
    "send_metrics",
    "keep_vars",
    "placement",
    "legacy_env",
    "compliance_region",
    "first_party_worker",
    "usage_model",
    "zone_id",
    "preserve_file_names",
    "python_modules",
    "previews",
    "cache",
    "topLevelName",
    "userConfigPath",
    "configPath",
    "definedEnvironments",
    "pages_build_output_dir",
});

// A Worker that names one of these expects something of its env or its life that it would not get.
constexpr auto kUnsupported = std::to_array<std::string_view>({
    "kv_namespaces",
    "r2_buckets",
    "d1_databases",
    "queues",
    "ai",
    "ai_search",
    "ai_search_namespaces",
    "vectorize",
    "hyperdrive",
    "analytics_engine_datasets",
    "browser",
    "send_email",
    "mtls_certificates",
    "dispatch_namespaces",
    "tail_consumers",
    "streaming_tail_consumers",
    "images",
    "media",
    "stream",
    "version_metadata",
    "secrets_store_secrets",
    "pipelines",
    "unsafe",
    "unsafe_hello_world",
    "containers",
    "cloudchamber",
    "vpc_services",
    "vpc_networks",
    "ratelimits",
    "triggers",
    "site",
    "wasm_modules",
    "text_blobs",
    "data_blobs",
    "build",
    "logfwdr",
    "artifacts",
    "flagship",
    "exports",
});

constexpr std::size_t kVarsMax = 1024;

const ModuleRule kDefaultRules[] = {
    {ModuleKind::EsModule, {"**/*.js", "**/*.mjs"}},
    {ModuleKind::CommonJs, {"**/*.cjs"}},
    {ModuleKind::Text, {"**/*.txt", "**/*.html", "**/*.sql"}},
    {ModuleKind::Data, {"**/*.bin"}},
    {ModuleKind::Json, {"**/*.json"}},
    {ModuleKind::Wasm, {"**/*.wasm"}},
};
static_assert(std::size(kDefaultRules) == kBuiltInRules);

Error not_supported(const Fields& fields, std::string_view name, std::string_view advice) {
  return Error(
      ErrorCode::Unsupported,
      fmt::format("{}", fields.problem(name, fmt::format("not supported by Insula yet; {}", advice)).message()));
}

Result<> refuse_if_set(Fields& fields, std::string_view name, std::string_view advice) {
  const Value* value = fields.take(name);
  if (value != nullptr && value->holds_something()) return not_supported(fields, name, advice);
  return {};
}

// Letters, digits, "-" and "_": a Worker's name becomes part of names of files and log fields.
bool is_worker_name(std::string_view name) {
  return !name.empty() && name.size() <= 63 && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
  });
}

class Reader {
 public:
  Reader(Fields& root, const std::filesystem::path& file, std::vector<std::string>& warnings)
      : root_(root), directory_(file.parent_path()), warnings_(warnings) {}

  Result<WorkerFile> read() {
    file_.worker.directory = directory_;
    TRY_VOID(read_identity());
    TRY_VOID(read_vars());
    TRY_VOID(read_loaders());
    TRY_VOID(read_services());
    TRY_VOID(read_assets());
    TRY_VOID(read_durable(
        root_, file_.worker,
        [this](const Fields& fields, std::string_view field, const std::string& name) { return claim(fields, field, name); },
        warnings_));
    TRY_VOID(read_limits());
    TRY_VOID(read_build());
    TRY_VOID(read_rules());
    TRY_VOID(read_rest());
    return std::move(file_);
  }

 private:
  Result<> read_identity() {
    Worker& worker = file_.worker;
    TRY(auto name, root_.text("name"));
    worker.name = name.value_or(directory_.filename().string());
    if (!is_worker_name(worker.name)) {
      return root_.problem("name",
                           fmt::format("\"{}\" is no name for a Worker: expected up to 63 letters, digits, \"-\" "
                                       "and \"_\"",
                                       worker.name));
    }
    TRY(worker.compatibility_date,
        root_.required_text("compatibility_date", fmt::format("\"{}\"", kNewestCompatibilityDate)));
    TRY(worker.compatibility_flags, root_.texts("compatibility_flags"));
    // Whoever writes this file runs the node, and may use experimental flags.
    if (auto checked = check_compatibility(worker.compatibility_date, worker.compatibility_flags, true); !checked) {
      const bool is_flag = check_compatibility(worker.compatibility_date, {}, true).has_value();
      return root_.problem(is_flag ? "compatibility_flags" : "compatibility_date", checked.error().message());
    }
    return {};
  }

  // Reads the "binding" of one table and keeps names unique over all kinds of bindings.
  Result<std::string> binding_name(Fields& fields) {
    TRY(auto name, fields.required_text("binding", "\"LOADER\""));
    TRY_VOID(claim(fields, "binding", name));
    return name;
  }

  Result<> claim(const Fields& fields, std::string_view field, const std::string& name) {
    if (names_.insert(name).second) return {};
    return fields.problem(field, fmt::format("\"{}\" is already the name of another binding or variable", name));
  }

  void warn_unknown(const Fields& fields) {
    for (auto& unknown : fields.unknown()) warnings_.push_back(std::move(unknown.notice));
  }

  Result<> read_vars() {
    TRY(auto vars, root_.table("vars"));
    if (!vars) return {};
    if (vars->members().size() > kVarsMax)
      return root_.problem("vars", fmt::format("more than {} variables", kVarsMax));
    std::size_t total = 0;
    for (const auto& [name, value] : vars->members()) {
      TRY_VOID(claim(*vars, name, name));
      if (const auto* text = value.as<std::string>()) {
        file_.worker.text_vars[name] = *text;
        total += text->size();
        continue;
      }
      auto json = to_json(value);
      if (!json) return vars->problem(name, json.error().message());
      total += json->size();
      file_.worker.json_vars[name] = std::move(*json);
    }
    if (total > kEnvBytesMax) return root_.problem("vars", fmt::format("larger than {} bytes together", kEnvBytesMax));
    return {};
  }

  Result<> read_loaders() {
    TRY(auto tables, root_.tables("worker_loaders"));
    for (auto& table : tables) {
      LoaderBinding loader;
      TRY(loader.name, binding_name(table));
      TRY(auto id, table.text("id"));
      loader.id = id.value_or("");
      warn_unknown(table);
      file_.worker.loaders.push_back(std::move(loader));
    }
    return {};
  }

  Result<> read_services() {
    TRY(auto tables, root_.tables("services"));
    for (auto& table : tables) {
      ServiceBinding service;
      TRY(service.name, binding_name(table));
      TRY(service.service, table.required_text("service", "\"accounts\" (the name of another Worker)"));
      TRY(auto entrypoint, table.text("entrypoint"));
      service.entrypoint = entrypoint.value_or("");
      if (const Value* const props = table.take("props"); props != nullptr && props->as<Value::Null>() == nullptr) {
        if (props->as<Value::Object>() == nullptr) {
          return table.problem("props", fmt::format("expected a table, found {}", props->kind()));
        }
        service.props = to_structured_clone(*props);
        if (service.props.size() > kEnvBytesMax) {
          return table.problem("props", fmt::format("larger than {} bytes", kEnvBytesMax));
        }
      }
      for (const auto* ignored : {"environment", "remote"}) table.take(ignored);
      warn_unknown(table);
      file_.worker.services.push_back(std::move(service));
    }
    return {};
  }

  Result<> read_assets() {
    TRY(auto table, root_.table("assets"));
    if (!table) return {};
    AssetsBinding assets;
    TRY(auto directory, table->required_text("directory", "\"./public\""));
    assets.directory = (directory_ / directory).lexically_normal();
    TRY(auto name, table->text("binding"));
    assets.name = name.value_or("");
    if (!assets.name.empty()) TRY_VOID(claim(*table, "binding", assets.name));
    for (const auto* field : {"html_handling", "not_found_handling"}) {
      TRY(auto handling, table->text(field));
      if (handling && *handling != "none") {
        return not_supported(*table, field, "only \"none\" is: a path names a file, or a folder with an index.html");
      }
    }
    if (const Value* first = table->take("run_worker_first");
        first != nullptr && first->as<bool>() != nullptr && !*first->as<bool>()) {
      warnings_.push_back(table
                              ->problem("run_worker_first",
                                        "the Worker always runs first; it serves files through the "
                                        "binding")
                              .message());
    }
    warn_unknown(*table);
    file_.worker.assets = std::move(assets);
    return {};
  }

  Result<> read_limits() {
    TRY(auto table, root_.table("limits"));
    if (!table) return {};
    TRY(auto cpu_ms, table->integer("cpu_ms", 1, kCpuMax.count()));
    if (cpu_ms) file_.worker.limits.cpu = milliseconds(*cpu_ms);
    TRY(auto subrequests, table->integer("subrequests", 1, 10'000'000));
    if (subrequests) file_.worker.limits.subrequests = static_cast<std::uint32_t>(*subrequests);
    warn_unknown(*table);
    return {};
  }

  Result<> read_build() {
    BuildOptions& build = file_.build;
    TRY(auto main, root_.required_text("main", "\"src/index.ts\""));
    build.main = (directory_ / main).lexically_normal();
    TRY(auto no_bundle, root_.fact("no_bundle"));
    build.bundle = !no_bundle.value_or(false);
    TRY(auto find_additional, root_.fact("find_additional_modules"));
    build.find_additional_modules = find_additional.value_or(!build.bundle);
    TRY(auto base_directory, root_.text("base_dir"));
    build.base_directory =
        base_directory ? (directory_ / *base_directory).lexically_normal() : build.main.parent_path();
    TRY(build.define, root_.text_table("define"));
    TRY(build.alias, root_.text_table("alias"));
    TRY(auto tsconfig, root_.text("tsconfig"));
    build.tsconfig = tsconfig.value_or("");
    TRY(auto jsx_factory, root_.text("jsx_factory"));
    build.jsx_factory = jsx_factory.value_or("");
    TRY(auto jsx_fragment, root_.text("jsx_fragment"));
    build.jsx_fragment = jsx_fragment.value_or("");
    TRY(auto minify, root_.fact("minify"));
    build.minify = minify.value_or(false);
    TRY(auto keep_names, root_.fact("keep_names"));
    build.keep_names = keep_names.value_or(true);
    return {};
  }

  Result<> read_rules() {
    static const std::map<std::string, ModuleKind, std::less<>> kKinds = {
        {"ESModule", ModuleKind::EsModule}, {"CommonJS", ModuleKind::CommonJs}, {"Text", ModuleKind::Text},
        {"Data", ModuleKind::Data},         {"JSON", ModuleKind::Json},         {"CompiledWasm", ModuleKind::Wasm}};
    auto& rules = file_.build.rules;
    TRY(auto tables, root_.tables("rules"));
    for (auto& table : tables) {
      ModuleRule rule;
      TRY(auto type, table.required_text("type", "\"Text\""));
      const auto kind = kKinds.find(type);
      if (kind == kKinds.end()) {
        return table.problem("type",
                             fmt::format("\"{}\" is no kind of module: expected ESModule, CommonJS, Text, Data, "
                                         "JSON or CompiledWasm",
                                         type));
      }
      rule.kind = kind->second;
      TRY(rule.globs, table.texts("globs"));
      if (rule.globs.empty()) return table.problem("globs", "expected a list of texts, for example [\"**/*.md\"]");
      TRY(auto fallthrough, table.fact("fallthrough"));
      static_cast<void>(fallthrough);  // later rules always stay in force for what no earlier one matched
      warn_unknown(table);
      rules.push_back(std::move(rule));
    }
    rules.insert(rules.end(), std::begin(kDefaultRules), std::end(kDefaultRules));
    return {};
  }

  Result<> read_rest() {
    for (const auto name : kIgnored) root_.take(name);
    for (const auto name : kUnsupported) TRY_VOID(refuse_if_set(root_, name, "remove it"));
    if (const Value* environments = root_.take("env"); environments != nullptr && environments->holds_something()) {
      warnings_.push_back(
          root_.problem("env", "named environments are not read; the fields of the top level apply").message());
    }
    warn_unknown(root_);
    return {};
  }

  Fields& root_;
  const std::filesystem::path directory_;
  std::vector<std::string>& warnings_;
  std::set<std::string> names_;
  WorkerFile file_;
};

}  // namespace

Result<WorkerFile> read_wrangler(const Value& root, const std::filesystem::path& file,
                                 std::vector<std::string>& warnings) {
  TRY(auto fields, Fields::of(root, file.string()));
  return Reader(fields, file, warnings).read();
}

}  // namespace insula::config
