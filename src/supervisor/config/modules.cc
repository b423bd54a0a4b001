// SPDX-License-Identifier: Apache-2.0
//
// Modules as files: globs, and one bounded walk over the base folder.
#include "src/supervisor/config/modules.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>

#include <fmt/format.h>

#include "src/base/fd.h"

namespace insula::config {
namespace {

namespace fs = std::filesystem;

// One segment against one pattern; remembers the last "*" and lets it swallow one more character on a mismatch.
bool matches_segment(std::string_view text, std::string_view pattern) {
  std::size_t t = 0;
  std::size_t p = 0;
  std::size_t star = std::string_view::npos;
  std::size_t star_text = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      star_text = t;
    } else if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == text[t])) {
      ++p;
      ++t;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      t = ++star_text;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

std::vector<std::string_view> split(std::string_view path) {
  std::vector<std::string_view> segments;
  while (true) {
    const auto slash = path.find('/');
    segments.push_back(path.substr(0, slash));
    if (slash == std::string_view::npos) return segments;
    path.remove_prefix(slash + 1);
  }
}

bool is_below(const fs::path& path, const fs::path& folder) {
  return std::mismatch(folder.begin(), folder.end(), path.begin(), path.end()).first == folder.end();
}

Error cannot_read(const fs::path& path, int number) {
  const auto code = number == ENOENT ? ErrorCode::NotFound : number == EACCES ? ErrorCode::Denied : ErrorCode::Internal;
  return Error(code, fmt::format("{}: cannot be read: {}", path.string(), std::strerror(number)));
}

class Walk {
 public:
  Walk(const BuildOptions& build, const std::vector<fs::path>& excluded) : build_(build), excluded_(excluded) {}

  Result<std::vector<Module>> run() {
    const auto main_name = build_.main.lexically_relative(build_.base_directory).generic_string();
    if (main_name.empty() || main_name.starts_with("..")) {
      return Error(ErrorCode::InvalidInput, fmt::format("{}: main lies outside of base_dir {}", build_.main.string(),
                                                        build_.base_directory.string()));
    }
    TRY_VOID(add(build_.main, main_name));
    if (build_.find_additional_modules) TRY_VOID(walk(build_.base_directory, main_name));
    return std::move(modules_);
  }

 private:
  Result<> walk(const fs::path& base, const std::string& main_name) {
    std::vector<std::string> names;
    std::error_code error;
    auto it = fs::recursive_directory_iterator(base, error);
    for (; !error && it != fs::recursive_directory_iterator(); it.increment(error)) {
      const auto name = it->path().filename().string();
      std::error_code ignored;
      if (it->is_directory(ignored)) {
        const auto normal = it->path().lexically_normal();
        const bool is_excluded = std::any_of(excluded_.begin(), excluded_.end(),
                                             [&](const fs::path& folder) { return is_below(normal, folder); });
        if (name.starts_with('.') || name == "node_modules" || is_excluded) it.disable_recursion_pending();
        continue;
      }
      const auto relative = it->path().lexically_relative(base).generic_string();
      if (name.starts_with('.') || relative == main_name || !is_module(relative)) continue;
      names.push_back(relative);
      if (names.size() > kModulesMax) break;
    }
    if (error) return cannot_read(base, error.value());
    std::sort(names.begin(), names.end());
    for (const auto& name : names) TRY_VOID(add(base / name, name));
    return {};
  }

  // JSON files lie around in every project folder (package.json, wrangler.json); they are modules only by a rule of the
  // configuration.
  bool is_module(const std::string& relative) const {
    const auto kind = kind_of(relative, build_.rules);
    if (!kind) return false;
    if (*kind != ModuleKind::Json) return true;
    const auto written = std::vector<ModuleRule>(build_.rules.begin(), build_.rules.end() - kBuiltInRules);
    return kind_of(relative, written).has_value();
  }

  Result<> add(const fs::path& path, const std::string& name) {
    TRY(auto bytes, read_file(path, kCodeBytesMax));
    const auto kind = kind_of(name, build_.rules);
    if (!kind) {
      return Error(ErrorCode::InvalidInput,
                   fmt::format("{}: the main module must be JavaScript (.js, .mjs) when no_bundle "
                               "is set",
                               path.string()));
    }
    modules_.push_back({name, *kind, std::move(bytes)});
    return check_modules(modules_);
  }

  const BuildOptions& build_;
  const std::vector<fs::path>& excluded_;
  std::vector<Module> modules_;
};

}  // namespace

bool matches_glob(std::string_view path, std::string_view glob) {
  const auto segments = split(path);
  const auto patterns = split(glob);
  // The same walk as in one segment, with "**" as the star.
  std::size_t s = 0;
  std::size_t p = 0;
  std::size_t star = std::string_view::npos;
  std::size_t star_segment = 0;
  while (s < segments.size()) {
    if (p < patterns.size() && patterns[p] == "**") {
      star = p++;
      star_segment = s;
    } else if (p < patterns.size() && matches_segment(segments[s], patterns[p])) {
      ++p;
      ++s;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      s = ++star_segment;
    } else {
      return false;
    }
  }
  while (p < patterns.size() && patterns[p] == "**") ++p;
  return p == patterns.size();
}

std::optional<ModuleKind> kind_of(std::string_view path, const std::vector<ModuleRule>& rules) {
  for (const auto& rule : rules) {
    for (const auto& glob : rule.globs) {
      if (matches_glob(path, glob)) return rule.kind;
    }
  }
  return std::nullopt;
}

Result<std::string> read_file(const fs::path& path, std::size_t bytes_max) {
  const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd) return cannot_read(path, errno);
  struct stat facts {};
  if (::fstat(fd.get(), &facts) != 0) return cannot_read(path, errno);
  if (!S_ISREG(facts.st_mode)) return cannot_read(path, S_ISDIR(facts.st_mode) ? EISDIR : EINVAL);
  const auto refuse_size = [&] {
    return Error(ErrorCode::LimitExceeded, fmt::format("{}: larger than {} bytes", path.string(), bytes_max));
  };
  if (static_cast<std::size_t>(facts.st_size) > bytes_max) return refuse_size();
  std::string bytes(static_cast<std::size_t>(facts.st_size), '\0');
  std::size_t filled = 0;
  while (filled < bytes.size()) {
    const auto count = ::read(fd.get(), bytes.data() + filled, bytes.size() - filled);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return cannot_read(path, errno);
    if (count == 0) break;  // it shrank meanwhile
    filled += static_cast<std::size_t>(count);
  }
  bytes.resize(filled);
  return bytes;
}

Result<std::vector<Module>> collect_modules(const BuildOptions& build, const std::vector<fs::path>& excluded) {
  return Walk(build, excluded).run();
}

Result<> check_modules(const std::vector<Module>& modules) {
  if (modules.size() > kModulesMax) {
    return Error(ErrorCode::LimitExceeded, fmt::format("more than {} modules", kModulesMax));
  }
  std::size_t total = 0;
  for (const auto& module : modules) {
    total += module.bytes.size();
    if (module.name.size() > kModuleNameBytesMax) {
      return Error(ErrorCode::LimitExceeded,
                   fmt::format("{}: a module's name may have {} bytes", module.name, kModuleNameBytesMax));
    }
  }
  if (total > kCodeBytesMax) {
    return Error(ErrorCode::LimitExceeded, fmt::format("the modules are larger than {} bytes together", kCodeBytesMax));
  }
  return {};
}

}  // namespace insula::config
