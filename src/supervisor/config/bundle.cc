// SPDX-License-Identifier: Apache-2.0
//
// bundle: esbuild's command line, and what it leaves behind in a folder of its own.
#include "src/supervisor/config/bundle.h"

#include <cstdlib>
#include <map>
#include <system_error>
#include <utility>

#include <fmt/format.h>

#include "src/base/compatibility.h"
#include "src/supervisor/config/exports.h"
#include "src/supervisor/config/modules.h"
#include "src/supervisor/config/program.h"

namespace insula::config {
namespace {

namespace fs = std::filesystem;

constexpr milliseconds kBundleTimeMax{60000};
#if defined(__aarch64__)
constexpr const char* kProgram = "node_modules/@esbuild/linux-arm64/bin/esbuild";
#else
constexpr const char* kProgram = "node_modules/@esbuild/linux-x64/bin/esbuild";
#endif

// Node's modules, as packages name them without "node:". Subpaths ("fs/promises") follow their first segment.
constexpr std::string_view kNodeModules[] = {"assert",
                                             "async_hooks",
                                             "buffer",
                                             "child_process",
                                             "cluster",
                                             "console",
                                             "constants",
                                             "crypto",
                                             "dgram",
                                             "diagnostics_channel",
                                             "dns",
                                             "domain",
                                             "events",
                                             "fs",
                                             "http",
                                             "http2",
                                             "https",
                                             "inspector",
                                             "module",
                                             "net",
                                             "os",
                                             "path",
                                             "perf_hooks",
                                             "process",
                                             "punycode",
                                             "querystring",
                                             "readline",
                                             "repl",
                                             "stream",
                                             "string_decoder",
                                             "sys",
                                             "timers",
                                             "tls",
                                             "trace_events",
                                             "tty",
                                             "url",
                                             "util",
                                             "v8",
                                             "vm",
                                             "wasi",
                                             "worker_threads",
                                             "zlib"};

// A folder that goes away with its scope.
class ScratchFolder {
 public:
  static Result<ScratchFolder> make() {
    std::error_code error;
    auto pattern = (fs::temp_directory_path(error) / "insula-bundle-XXXXXX").string();
    if (error || ::mkdtemp(pattern.data()) == nullptr) {
      return Error(ErrorCode::Unavailable, fmt::format("bundle: no scratch folder like {} can be made", pattern));
    }
    return ScratchFolder(pattern);
  }
  ScratchFolder(ScratchFolder&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  ScratchFolder& operator=(ScratchFolder&&) = delete;
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  ~ScratchFolder() {
    std::error_code ignored;
    if (!path_.empty()) fs::remove_all(path_, ignored);
  }
  const fs::path& path() const { return path_; }

 private:
  explicit ScratchFolder(fs::path path) : path_(std::move(path)) {}
  fs::path path_;
};

// esbuild chooses by extension, so a rule can only be of the form "**/*.ext". The first rule for an extension wins.
Result<std::map<std::string, ModuleKind>> kinds_by_extension(const std::vector<ModuleRule>& rules) {
  std::map<std::string, ModuleKind> kinds;
  for (const auto& rule : rules) {
    for (const auto& glob : rule.globs) {
      const auto extension = glob.starts_with("**/*.") ? glob.substr(4) : glob.starts_with("*.") ? glob.substr(1) : "";
      if (extension.empty() || extension.find_first_of("*?/[{") != std::string::npos) {
        return Error(ErrorCode::Unsupported,
                     fmt::format("rules: \"{}\" cannot be bundled; only \"**/*.EXTENSION\" can, or "
                                 "set no_bundle",
                                 glob));
      }
      kinds.emplace(extension, rule.kind);
    }
  }
  return kinds;
}

std::string_view loader_of(ModuleKind kind) {
  switch (kind) {
    case ModuleKind::Text: return "text";
    case ModuleKind::Json: return "json";
    case ModuleKind::Data:
    case ModuleKind::Wasm: return "copy";
    case ModuleKind::EsModule:
    case ModuleKind::CommonJs: break;
  }
  return "js";
}

std::vector<std::string> arguments_of(const WorkerFile& file, const std::map<std::string, ModuleKind>& kinds,
                                      const fs::path& out, const fs::path& metafile) {
  const BuildOptions& build = file.build;
  std::vector<std::string> arguments = {
      build.main.string(),
      "--bundle",
      "--format=esm",
      "--platform=neutral",
      "--main-fields=module,main",
      "--conditions=workerd,worker,browser,import",
      "--target=es2024",
      "--external:cloudflare:*",
      "--external:node:*",
      "--outdir=" + out.string(),
      "--metafile=" + metafile.string(),
      "--entry-names=[name]",
      "--asset-names=[name]-[hash]",
      "--out-extension:.js=.js",
      "--color=false",
      "--log-level=warning",
      "--log-limit=50",
      "--charset=utf8",
  };
  for (const auto& [extension, kind] : kinds) {
    // TypeScript and the JavaScript extensions have their loaders already.
    if (kind == ModuleKind::EsModule && (extension == ".js" || extension == ".mjs")) continue;
    arguments.push_back(fmt::format("--loader:{}={}", extension, loader_of(kind)));
  }
  if (is_compatibility_enabled("nodejs_compat", file.worker.compatibility_date, file.worker.compatibility_flags)) {
    for (const auto name : kNodeModules) {
      if (!build.alias.contains(std::string(name))) arguments.push_back(fmt::format("--alias:{0}=node:{0}", name));
    }
  }
  for (const auto& [from, to] : build.alias) arguments.push_back(fmt::format("--alias:{}={}", from, to));
  if (!build.define.contains("process.env.NODE_ENV")) {
    arguments.emplace_back("--define:process.env.NODE_ENV=\"production\"");
  }
  for (const auto& [name, value] : build.define) arguments.push_back(fmt::format("--define:{}={}", name, value));
  if (!build.tsconfig.empty()) arguments.push_back("--tsconfig=" + build.tsconfig);
  if (!build.jsx_factory.empty()) arguments.push_back("--jsx-factory=" + build.jsx_factory);
  if (!build.jsx_fragment.empty()) arguments.push_back("--jsx-fragment=" + build.jsx_fragment);
  if (build.minify) arguments.emplace_back("--minify");
  // Without minification names survive anyway, save for the rare clash, and the wrapper would cost a call per function.
  if (build.minify && build.keep_names) arguments.emplace_back("--keep-names");
  return arguments;
}

Result<std::vector<Module>> read_outputs(const fs::path& out, const std::string& main_name,
                                         const std::map<std::string, ModuleKind>& kinds) {
  std::vector<Module> modules;
  TRY(auto main_bytes, read_file(out / main_name, kCodeBytesMax));
  modules.push_back({main_name, ModuleKind::EsModule, std::move(main_bytes)});
  std::error_code error;
  std::map<std::string, fs::path> others;  // by name, so that two builds give the same order
  for (auto it = fs::directory_iterator(out, error); !error && it != fs::directory_iterator(); it.increment(error)) {
    others.emplace(it->path().filename().string(), it->path());
  }
  if (error) return Error(ErrorCode::Internal, fmt::format("bundle: {}: {}", out.string(), error.message()));
  for (const auto& [name, path] : others) {
    const auto kind = kinds.find(path.extension().string());
    if (name == main_name || kind == kinds.end()) continue;
    TRY(auto bytes, read_file(path, kCodeBytesMax));
    // `import x from "./a.wasm?module"` is an older way to ask for the same; esbuild keeps the suffix in the import.
    if (const auto suffixed = name + "?module"; modules.front().bytes.find(suffixed) != std::string::npos) {
      modules.push_back({suffixed, kind->second, bytes});
    }
    modules.push_back({name, kind->second, std::move(bytes)});
  }
  TRY_VOID(check_modules(modules));
  return modules;
}

}  // namespace

Result<fs::path> find_esbuild() {
  std::error_code error;
  if (const char* home = std::getenv("INSULA_HOME"); home != nullptr && *home != '\0') {
    if (auto program = fs::path(home) / kProgram; fs::exists(program, error)) return program;
  }
  for (auto folder = fs::read_symlink("/proc/self/exe", error).parent_path(); !folder.empty();
       folder = folder.parent_path()) {
    if (auto program = folder / kProgram; fs::exists(program, error)) return program;
    if (folder == folder.root_path()) break;
  }
  return Error(
      ErrorCode::NotFound,
      fmt::format("the bundler is missing: no {} in $INSULA_HOME or in a folder above this program; run `npm ci` "
                  "there, or set \"no_bundle\": true if the Worker is plain JavaScript",
                  kProgram));
}

Result<Bundle> bundle(const WorkerFile& file, const fs::path& esbuild) {
  if (file.build.find_additional_modules) {
    return Error(ErrorCode::Unsupported,
                 "find_additional_modules: not supported together with bundling; set no_bundle, or "
                 "import the files from the main module");
  }
  TRY(auto kinds, kinds_by_extension(file.build.rules));
  TRY(auto scratch, ScratchFolder::make());
  const auto directory = file.worker.directory.empty() ? fs::path(".") : file.worker.directory;
  const fs::path out = scratch.path() / "out";
  const fs::path metafile = scratch.path() / "meta.json";
  TRY(auto outcome, run_program(esbuild, arguments_of(file, kinds, out, metafile), directory, kBundleTimeMax));
  if (outcome.exit_status != 0) {
    return Error(ErrorCode::InvalidInput,
                 fmt::format("{} cannot be bundled:\n{}", file.build.main.string(), outcome.complaints));
  }
  Bundle bundle;
  TRY(bundle.modules, read_outputs(out, file.build.main.stem().string() + ".js", kinds));
  if (const auto meta = read_file(metafile, kCodeBytesMax)) bundle.exports = exports_of_metafile(*meta);
  bundle.warnings = std::move(outcome.complaints);
  return bundle;
}

}  // namespace insula::config
