// SPDX-License-Identifier: Apache-2.0
//
// AssetsDirectory: look-up beneath one descriptor, validators, and the answer.
#include "src/supervisor/assets/assets_directory.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstring>
#include <memory>
#include <string>
#include <utility>

#include "src/base/header_block.h"
#include "src/base/limits.h"
#include "src/supervisor/assets/asset_path.h"
#include "src/supervisor/assets/file_source.h"
#include "src/supervisor/assets/small_file_cache.h"

namespace insula::assets {
namespace {

constexpr const char* kIndex = "index.html";
// O_NONBLOCK: a FIFO in the folder must not hold us until someone writes to it.
constexpr int kOpenFlags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;

int open_beneath(int folder, const char* path) {
  open_how how{};
  how.flags = kOpenFlags;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  return static_cast<int>(::syscall(SYS_openat2, folder, path, &how, sizeof(how)));
}

// The same by hand: O_NOFOLLOW holds for the last segment only, so each one is opened as a last one. Safe because
// AssetPath lets no "..", "." or empty segment through.
Fd open_step_by_step(int folder, std::string path) {
  Fd held;
  char* step = path.data();
  while (true) {
    char* slash = std::strchr(step, '/');
    const int parent = held ? held.get() : folder;
    if (slash == nullptr) return Fd(::openat(parent, step, kOpenFlags | O_NOFOLLOW));
    *slash = '\0';
    held = Fd(::openat(parent, step, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!held) return {};
    step = slash + 1;
  }
}

AssetResponse plain(int status, std::string_view text) {
  AssetResponse response;
  response.status = status;
  append_header(response.headers, "content-type", "text/plain; charset=utf-8");
  response.body = text;
  response.length = text.size();
  return response;
}

AssetResponse not_found() {
  return plain(404, "Not Found\n");
}
AssetResponse internal_error() {
  return plain(500, "Internal Error\n");
}

// What is not there, what is a link and what cannot be opened by its kind look the same; the rest is our trouble.
AssetResponse cannot_open(int number) {
  for (const int absent : {ENOENT, ENOTDIR, ELOOP, EXDEV, ENAMETOOLONG, ENXIO}) {
    if (number == absent) return not_found();
  }
  return internal_error();
}

// 64 bits over a run of bytes, eight at a time; each step mixes high into low bits so that none is lost.
class Digest {
 public:
  explicit Digest(std::uint64_t seed) : state_(seed) {}
  void add(std::uint64_t word) {
    state_ = (state_ ^ word) * 0x9E3779B97F4A7C15ULL;
    state_ ^= state_ >> 29;
  }
  void add(BytesView bytes) {
    add(bytes.size());
    while (bytes.size() >= sizeof(std::uint64_t)) {
      std::uint64_t word = 0;
      std::memcpy(&word, bytes.data(), sizeof(word));
      add(word);
      bytes.remove_prefix(sizeof(word));
    }
    std::uint64_t last = 0;
    if (!bytes.empty()) std::memcpy(&last, bytes.data(), bytes.size());
    add(last);
  }
  std::uint64_t value() const { return state_; }

 private:
  std::uint64_t state_;
};

void append_hex(std::string& out, std::uint64_t value) {
  std::array<char, 16> digits{};
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value, 16).ptr;
  out.append(16 - static_cast<std::size_t>(end - digits.data()), '0').append(digits.data(), end);
}

// Which file it is, and when it last changed. That is not enough for a file written twice within one tick of the file
// system's clock (up to 4 ms), so the content of small files, which are read anyway, goes in as well.
std::string etag_of(const struct stat& facts, BytesView content) {
  Digest of_content(0);
  of_content.add(content);
  Digest identity(of_content.value());
  identity.add(static_cast<std::uint64_t>(facts.st_dev));
  identity.add(static_cast<std::uint64_t>(facts.st_ino));
  Digest changes(~of_content.value());
  changes.add(static_cast<std::uint64_t>(facts.st_size));
  for (const auto& moment : {facts.st_mtim, facts.st_ctim}) {
    changes.add(static_cast<std::uint64_t>(moment.tv_sec));
    changes.add(static_cast<std::uint64_t>(moment.tv_nsec));
  }
  std::string etag = "\"";
  append_hex(etag, identity.value());
  append_hex(etag, changes.value());
  return etag + '"';
}

// RFC 9110 section 13.1.2: a list of tags, compared weakly, or "*".
bool matches_none_match(BytesView headers, std::string_view etag) {
  bool matches = false;
  for_each_header(headers, [&](std::string_view name, std::string_view value) {
    if (name != "if-none-match") return;
    while (!value.empty()) {
      const auto comma = value.find(',');  // our own tags have no comma, so a cut inside a foreign one does no harm
      auto tag = value.substr(0, comma);
      value.remove_prefix(comma == std::string_view::npos ? value.size() : comma + 1);
      while (tag.starts_with(' ') || tag.starts_with('\t')) tag.remove_prefix(1);
      while (tag.ends_with(' ') || tag.ends_with('\t')) tag.remove_suffix(1);
      if (tag.starts_with("W/")) tag.remove_prefix(2);
      if (tag == etag || tag == "*") matches = true;
    }
  });
  return matches;
}

// The first `size` bytes, fewer when the file became shorter.
bool read_all(int file, std::size_t size, Bytes& out) {
  out.resize(size);
  std::size_t filled = 0;
  while (filled < size) {
    const auto count = ::pread(file, out.data() + filled, size - filled, static_cast<off_t>(filled));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return false;
    if (count == 0) break;
    filled += static_cast<std::size_t>(count);
  }
  out.resize(filled);
  return true;
}

// Status and fields of a file that is there; the body is the caller's affair, and only wanted with 200.
AssetResponse head_of(const std::string& path, std::string_view etag, std::uint64_t length, BytesView headers) {
  AssetResponse response;
  response.headers.reserve(256);
  append_header(response.headers, "etag", etag);
  append_header(response.headers, "cache-control", "public, max-age=0, must-revalidate");
  if (matches_none_match(headers, etag)) {
    response.status = 304;
    return response;
  }
  response.status = 200;
  append_header(response.headers, "content-type", content_type_of(path));
  append_header(response.headers, "content-length", std::to_string(length));
  return response;
}

AssetResponse whole(AssetResponse head, BytesView body) {
  if (head.status == 200) {
    head.body = body;
    head.length = body.size();
  }
  return head;
}

constexpr std::size_t kCacheBytesMax = 16 * kMiB;

}  // namespace

AssetsDirectory::AssetsDirectory(Fd folder, bool has_openat2)
    : folder_(std::move(folder)), has_openat2_(has_openat2), cache_(std::make_unique<SmallFileCache>(kCacheBytesMax)) {}
AssetsDirectory::AssetsDirectory(AssetsDirectory&&) noexcept = default;
AssetsDirectory& AssetsDirectory::operator=(AssetsDirectory&&) noexcept = default;
AssetsDirectory::~AssetsDirectory() = default;

Result<AssetsDirectory> AssetsDirectory::open(const std::filesystem::path& directory, Lookup lookup) {
  Fd folder(::open(directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!folder) {
    const int number = errno;
    const auto code = number == ENOENT   ? ErrorCode::NotFound
                      : number == EACCES ? ErrorCode::Denied
                                         : ErrorCode::InvalidInput;
    return Error(code, "assets: " + directory.string() + " cannot be opened: " + std::strerror(number));
  }
  // Old kernels say ENOSYS, and filters of containers that do not know the call say EPERM.
  const bool has_openat2 = lookup == Lookup::Automatic && Fd(open_beneath(folder.get(), ".")).get() >= 0;
  return AssetsDirectory(std::move(folder), has_openat2);
}

Fd AssetsDirectory::open_below(const std::string& path) const {
  if (!has_openat2_) return open_step_by_step(folder_.get(), path);
  return Fd(open_beneath(folder_.get(), path.c_str()));
}

AssetResponse AssetsDirectory::respond(std::string_view method, std::string_view target, BytesView headers) const {
  const bool is_head = method == "HEAD";
  if (!is_head && method != "GET") {
    auto response = plain(405, "Method Not Allowed\n");
    append_header(response.headers, "allow", "GET, HEAD");
    return response;
  }
  auto response = find_and_serve(target, is_head, headers);
  if (is_head) {
    response.body.clear();
    response.length = 0;
  }
  return response;
}

AssetResponse AssetsDirectory::find_and_serve(std::string_view target, bool is_head, BytesView headers) const {
  AssetPath path = parse_asset_path(target);
  if (path.verdict == AssetPath::Verdict::Malformed) return plain(400, "Bad Request\n");
  if (path.verdict == AssetPath::Verdict::Hidden) return not_found();
  if (path.names_folder) {
    if (!path.relative.empty()) path.relative += '/';
    path.relative += kIndex;
  }
  if (const auto* known = cache_->find(folder_.get(), path.relative)) {
    return whole(head_of(path.relative, known->etag, known->body.size(), headers), known->body);
  }
  Fd file = open_below(path.relative);
  if (!file) return cannot_open(errno);
  struct stat facts {};
  if (::fstat(file.get(), &facts) != 0) return internal_error();
  if (S_ISREG(facts.st_mode)) return serve(path.relative, facts, std::move(file), is_head, headers);
  if (path.names_folder || !S_ISDIR(facts.st_mode) || !open_below(path.relative + '/' + kIndex)) return not_found();
  // Relative links of the page would otherwise miss the folder's own name.
  AssetResponse response;
  response.status = 307;
  append_header(response.headers, "location", std::string(path.raw_path) + '/' + std::string(path.raw_query));
  return response;
}

AssetResponse AssetsDirectory::serve(const std::string& path, const struct stat& facts, Fd file, bool is_head,
                                     BytesView headers) const {
  const auto size = static_cast<std::uint64_t>(facts.st_size);
  if (size <= kInlineBodyBytesMax) {
    Bytes body;
    if (!read_all(file.get(), static_cast<std::size_t>(size), body)) return internal_error();
    const auto etag = etag_of(facts, body);
    if (body.size() == size) cache_->put(path, facts, body, etag, std::chrono::system_clock::now());
    return whole(head_of(path, etag, body.size(), headers), body);
  }
  auto response = head_of(path, etag_of(facts, {}), size, headers);
  if (response.status == 200 && !is_head) {
    response.source = std::make_shared<FileSource>(std::move(file), size);
    response.length = size;
  }
  return response;
}

}  // namespace insula::assets
