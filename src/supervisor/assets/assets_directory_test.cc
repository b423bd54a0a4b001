// SPDX-License-Identifier: Apache-2.0
//
// AssetsDirectory over a real folder: what is served, what never is, validators, and streams of large files.
#include "src/supervisor/assets/assets_directory.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <optional>
#include <string>

#include <gtest/gtest.h>

#include "src/base/header_block.h"
#include "src/base/limits.h"
#include "src/supervisor/assets/small_file_cache.h"

namespace insula::assets {
namespace {

namespace fs = std::filesystem;

class AssetsTest : public testing::TestWithParam<Lookup> {
 protected:
  void SetUp() override {
    auto pattern = (fs::temp_directory_path() / "insula-assets-XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    root_ = pattern;
    put("../" + root_.filename().string() + ".secret", "outside");
    put("public/a.txt", "hello");
    put("public/index.html", "<p>root");
    put("public/docs/index.html", "<p>docs");
    put("public/docs/deep/b.JS", "1");
    put("public/empty/.keep", "");
    put("public/.env", "secret");
    put("public/.git/config", "secret");
    put("public/.well-known/acme", "token");
    put("public/with space/\xC3\xBC.css", "p{}");
    put("public/100%.txt", "percent");
    put("public/nothing", "");
    fs::create_symlink(root_ / ".." / (root_.filename().string() + ".secret"), root_ / "public/link.txt");
    fs::create_symlink("a.txt", root_ / "public/inner-link.txt");
    fs::create_directory_symlink("/etc", root_ / "public/etc");
    ASSERT_EQ(::mkfifo((root_ / "public/fifo").c_str(), 0600), 0);
    auto opened = AssetsDirectory::open(root_ / "public", GetParam());
    ASSERT_TRUE(opened) << opened.error().message();
    assets_.emplace(*std::move(opened));
  }
  void TearDown() override {
    fs::remove_all(root_);
    fs::remove(root_.string() + ".secret");
  }

  void put(const std::string& name, std::string_view text) const {
    fs::create_directories((root_ / name).parent_path());
    std::ofstream(root_ / name, std::ios::binary) << text;
  }
  AssetResponse get(std::string_view target, BytesView headers = {}) const {
    return assets_->respond("GET", target, headers);
  }
  static std::string header(const AssetResponse& response, std::string_view name) {
    EXPECT_TRUE(is_valid_header_block(response.headers));
    return std::string(find_header(response.headers, name));
  }

  fs::path root_;
  std::optional<AssetsDirectory> assets_;
};

INSTANTIATE_TEST_SUITE_P(Lookups, AssetsTest, testing::Values(Lookup::Automatic, Lookup::StepByStep),
                         [](const auto& parameter) {
                           return parameter.param == Lookup::Automatic ? "Automatic" : "StepByStep";
                         });

TEST_P(AssetsTest, ServesFilesWithTypeAndLength) {
  const auto response = get("/a.txt");
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.body, "hello");
  EXPECT_EQ(response.length, 5U);
  EXPECT_EQ(response.source, nullptr);
  EXPECT_EQ(header(response, "content-type"), "text/plain; charset=utf-8");
  EXPECT_EQ(header(response, "content-length"), "5");
  EXPECT_EQ(header(response, "cache-control"), "public, max-age=0, must-revalidate");
  EXPECT_EQ(get("/docs/deep/b.JS").body, "1");
  EXPECT_EQ(header(get("/docs/deep/b.JS"), "content-type"), "text/javascript; charset=utf-8");
  EXPECT_EQ(get("/nothing").status, 200);
  EXPECT_EQ(header(get("/nothing"), "content-type"), "application/octet-stream");
}

TEST_P(AssetsTest, DecodesAndIgnoresQueryFragmentAndOrigin) {
  for (const auto* target :
       {"/a.txt?x=/../..", "/a.txt#f", "/%61.txt", "http://host:1/a.txt?y", "https://u@h/a.txt#z"}) {
    EXPECT_EQ(get(target).body, "hello") << target;
  }
  EXPECT_EQ(get("/with%20space/%C3%BC.css").body, "p{}");
  EXPECT_EQ(get("/100%25.txt").body, "percent");
  for (const auto* target : {"/", "", "?q", "http://host", "http://host?q"})
    EXPECT_EQ(get(target).body, "<p>root") << target;
}

TEST_P(AssetsTest, FoldersAnswerWithTheirIndex) {
  EXPECT_EQ(get("/docs/").body, "<p>docs");
  EXPECT_EQ(header(get("/docs/"), "content-type"), "text/html; charset=utf-8");
  const auto response = get("/docs?a=b");
  EXPECT_EQ(response.status, 307);
  EXPECT_EQ(header(response, "location"), "/docs/?a=b");
  for (const auto* target :
       {"/empty", "/empty/", "/docs/deep", "/a.txt/", "//docs", "//", "/docs//", "/docs//index.html"}) {
    EXPECT_EQ(get(target).status, 404) << target;
  }
}

TEST_P(AssetsTest, NothingOutsideAndNothingHidden) {
  for (const auto* target :
       {"/.env", "/.git/config", "/%2eenv", "/.git/", "/empty/.keep", "/docs/.well-known/x", "/link.txt",
        "/inner-link.txt", "/etc/passwd", "/etc", "/etc/", "/fifo", "/missing", "/a.txt/b", "/.well-known/.env"}) {
    EXPECT_EQ(get(target).status, 404) << target;
  }
  for (const auto* target : {"/../a.txt",
                             "/..",
                             "/docs/../a.txt",
                             "/%2e%2e/a.txt",
                             "/%2E./a.txt",
                             "/docs/..%2fa.txt",
                             "/docs%2Findex.html",
                             "/./a.txt",
                             "/a%00.txt",
                             "/a.txt%00",
                             "/%",
                             "/%4",
                             "/%zz",
                             "/a%0d%0ab",
                             "/a\r\nx: y",
                             "/a b",
                             "/a\x7f",
                             "a.txt",
                             "ftp:a.txt",
                             "/.hidden/%"}) {
    EXPECT_EQ(get(target).status, 400) << target;
  }
  EXPECT_EQ(get(std::string_view("/a\0.txt", 7)).status, 400);
  EXPECT_EQ(get("/.well-known/acme").body, "token");
  EXPECT_EQ(get("/" + std::string(300, 'a')).status, 404);
  EXPECT_EQ(get(std::string(10'000, '/')).status, 404);
}

TEST_P(AssetsTest, OnlyGetAndHead) {
  const auto head = assets_->respond("HEAD", "/a.txt", {});
  EXPECT_EQ(head.status, 200);
  EXPECT_EQ(head.body, "");
  EXPECT_EQ(head.length, 0U);
  EXPECT_EQ(header(head, "content-length"), "5");
  EXPECT_EQ(header(head, "etag"), header(get("/a.txt"), "etag"));
  EXPECT_EQ(assets_->respond("HEAD", "/missing", {}).body, "");
  EXPECT_EQ(assets_->respond("HEAD", "/missing", {}).status, 404);
  for (const auto* method : {"POST", "PUT", "DELETE", "OPTIONS", "get", ""}) {
    const auto response = assets_->respond(method, "/a.txt", {});
    EXPECT_EQ(response.status, 405) << method;
    EXPECT_EQ(header(response, "allow"), "GET, HEAD");
  }
}

TEST_P(AssetsTest, ValidatorsFollowTheBytes) {
  const auto first = header(get("/a.txt"), "etag");
  ASSERT_EQ(first.size(), 34U);
  EXPECT_EQ(header(get("/a.txt"), "etag"), first);
  EXPECT_NE(header(get("/index.html"), "etag"), first);
  const auto with = [&](const std::string& value) {
    Bytes headers;
    append_header(headers, "if-none-match", value);
    return get("/a.txt", headers);
  };
  for (const auto& value : {first, "W/" + first, "\"x\" , " + first, std::string("*")}) {
    const auto response = with(value);
    EXPECT_EQ(response.status, 304) << value;
    EXPECT_EQ(response.body, "");
    EXPECT_EQ(header(response, "etag"), first);
  }
  for (const auto& value : {std::string("\"x\""), first.substr(1), std::string(), std::string(",,")}) {
    EXPECT_EQ(with(value).status, 200) << value;
  }
  // Same length, same inode, and times put back: still another tag.
  struct stat before {};
  ASSERT_EQ(::stat((root_ / "public/a.txt").c_str(), &before), 0);
  put("public/a.txt", "hellp");
  const timespec times[] = {before.st_atim, before.st_mtim};
  ASSERT_EQ(::utimensat(AT_FDCWD, (root_ / "public/a.txt").c_str(), times, 0), 0);
  EXPECT_NE(header(get("/a.txt"), "etag"), first);
}

// Grants what it is told to and keeps what it gets.
class Collector final : public io::ByteSink {
 public:
  void on_data(BytesView bytes) override {
    received.append(bytes);
    ++chunks;
    if (after_chunk) after_chunk();
  }
  void on_end() override { ++ends; }
  void on_failure(const Error&) override { ++failures; }

  std::string received;
  std::function<void()> after_chunk;
  int chunks = 0;
  int ends = 0;
  int failures = 0;
};

std::string pattern(std::size_t size) {
  std::string text(size, '\0');
  for (std::size_t i = 0; i < size; ++i) text[i] = static_cast<char>(i * 31 % 251);
  return text;
}

TEST_P(AssetsTest, LargeFilesAreStreamsThatObeyCredit) {
  const auto content = pattern(kInlineBodyBytesMax * 3 + 17);
  put("public/big.bin", content);
  put("public/edge.bin", content.substr(0, kInlineBodyBytesMax));
  EXPECT_EQ(get("/edge.bin").source, nullptr);
  EXPECT_EQ(get("/edge.bin").body, content.substr(0, kInlineBodyBytesMax));

  const auto response = get("/big.bin");
  ASSERT_NE(response.source, nullptr);
  EXPECT_EQ(response.length, content.size());
  EXPECT_TRUE(response.body.empty());
  Collector sink;
  response.source->attach(sink);
  EXPECT_EQ(sink.chunks, 0);
  response.source->grant(10);
  EXPECT_EQ(sink.received, content.substr(0, 10));
  response.source->grant(kInlineBodyBytesMax * 2);
  EXPECT_EQ(sink.received.size(), 10 + kInlineBodyBytesMax * 2);
  EXPECT_EQ(sink.ends, 0);
  response.source->grant(std::size_t(-1));
  EXPECT_EQ(sink.received, content);
  EXPECT_EQ(sink.ends, 1);
  response.source->grant(1);
  EXPECT_EQ(sink.ends, 1);
  EXPECT_EQ(sink.failures, 0);
}

TEST_P(AssetsTest, StreamsEndWithTheLastByteWithoutFurtherCredit) {
  const auto content = pattern(kInlineBodyBytesMax + 1);
  put("public/big.bin", content);
  const auto response = get("/big.bin");
  Collector sink;
  response.source->attach(sink);
  response.source->grant(content.size());
  EXPECT_EQ(sink.ends, 1);
}

TEST_P(AssetsTest, SinksMayGrantStopAndDropFromWithin) {
  const auto content = pattern(kInlineBodyBytesMax * 2);
  put("public/big.bin", content);
  auto granting = get("/big.bin");
  Collector eager;
  eager.after_chunk = [&] { granting.source->grant(1000); };
  granting.source->attach(eager);
  granting.source->grant(1000);
  EXPECT_EQ(eager.received, content);
  EXPECT_EQ(eager.ends, 1);

  auto stopping = get("/big.bin");
  Collector sated;
  sated.after_chunk = [&] { stopping.source->stop(); };
  stopping.source->attach(sated);
  stopping.source->grant(content.size());
  EXPECT_EQ(sated.chunks, 1);
  EXPECT_EQ(sated.ends, 0);

  auto dropping = get("/big.bin");
  Collector careless;
  careless.after_chunk = [&] {
    dropping.source->stop();
    dropping.source.reset();
  };
  dropping.source->attach(careless);
  auto* source = dropping.source.get();
  source->grant(content.size());
  EXPECT_EQ(careless.chunks, 1);
}

TEST_P(AssetsTest, AFileThatShrinksIsAFailure) {
  put("public/big.bin", pattern(kInlineBodyBytesMax * 3));
  const auto response = get("/big.bin");
  Collector sink;
  response.source->attach(sink);
  response.source->grant(10);
  fs::resize_file(root_ / "public/big.bin", 5);
  response.source->grant(10);
  EXPECT_EQ(sink.failures, 1);
  EXPECT_EQ(sink.ends, 0);
}

TEST_P(AssetsTest, AnswersFollowEveryChange) {
  const auto first = header(get("/a.txt"), "etag");
  put("public/a.txt", "changed");
  EXPECT_EQ(get("/a.txt").body, "changed");
  EXPECT_NE(header(get("/a.txt"), "etag"), first);
  fs::remove(root_ / "public/a.txt");
  EXPECT_EQ(get("/a.txt").status, 404);
  fs::create_symlink("index.html", root_ / "public/a.txt");
  EXPECT_EQ(get("/a.txt").status, 404);
}

class CacheTest : public testing::Test {
 protected:
  void SetUp() override {
    auto pattern = (fs::temp_directory_path() / "insula-cache-XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    root_ = pattern;
    folder_ = Fd(::open(root_.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  }
  void TearDown() override { fs::remove_all(root_); }
  struct stat put_file(const std::string& name, std::string_view text) const {
    std::ofstream(root_ / name, std::ios::binary) << text;
    struct stat facts {};
    EXPECT_EQ(::stat((root_ / name).c_str(), &facts), 0);
    return facts;
  }

  fs::path root_;
  Fd folder_;
  const WallTime later_ = std::chrono::system_clock::now() + std::chrono::hours(1);
};

TEST_F(CacheTest, KeepsWhatHasSettledUntilItChanges) {
  SmallFileCache cache(4096);
  const auto facts = put_file("a", "one");
  cache.put("a", facts, "one", "\"e\"",
            std::chrono::system_clock::now());  // written just now: its stamp may come again
  EXPECT_EQ(cache.find(folder_.get(), "a"), nullptr);
  cache.put("a", facts, "one", "\"e\"", later_);
  const auto* entry = cache.find(folder_.get(), "a");
  ASSERT_NE(entry, nullptr);
  EXPECT_EQ(entry->body, "one");
  EXPECT_EQ(entry->etag, "\"e\"");
  put_file("a", "other");
  EXPECT_EQ(cache.find(folder_.get(), "a"), nullptr);
}

TEST_F(CacheTest, MissesWhatWasReplacedByALinkOrRemoved) {
  SmallFileCache cache(4096);
  cache.put("a", put_file("a", "one"), "one", "e", later_);
  fs::rename(root_ / "a", root_ / "b");
  fs::create_symlink("b", root_ / "a");
  EXPECT_EQ(cache.find(folder_.get(), "a"), nullptr);
  cache.put("b", put_file("b", "one"), "one", "e", later_);
  fs::remove(root_ / "b");
  EXPECT_EQ(cache.find(folder_.get(), "b"), nullptr);
}

TEST_F(CacheTest, StartsAnewWhenFull) {
  SmallFileCache cache(2000);
  const auto keep = [&](const std::string& name) { cache.put(name, put_file(name, "x"), "x", "e", later_); };
  for (const auto* name : {"a", "b", "c"}) keep(name);
  for (const auto* name : {"a", "b", "c"}) EXPECT_NE(cache.find(folder_.get(), name), nullptr) << name;
  keep("d");
  EXPECT_NE(cache.find(folder_.get(), "d"), nullptr);
  EXPECT_EQ(cache.find(folder_.get(), "a"), nullptr);
  cache.put("big", put_file("big", "x"), std::string(2000, 'x'), "e", later_);
  EXPECT_EQ(cache.find(folder_.get(), "big"), nullptr);
  EXPECT_NE(cache.find(folder_.get(), "d"), nullptr);
}

TEST(Assets, OpenSaysWhatIsWrong) {
  EXPECT_EQ(AssetsDirectory::open("/nowhere/at/all").error().code(), ErrorCode::NotFound);
  EXPECT_EQ(AssetsDirectory::open("/etc/passwd").error().code(), ErrorCode::InvalidInput);
}

TEST(Assets, ContentTypes) {
  EXPECT_EQ(content_type_of("a/b.html"), "text/html; charset=utf-8");
  EXPECT_EQ(content_type_of("A.WASM"), "application/wasm");
  EXPECT_EQ(content_type_of("x.tar.gz"), "application/gzip");
  EXPECT_EQ(content_type_of("dir.d/file"), "application/octet-stream");
  EXPECT_EQ(content_type_of("x."), "application/octet-stream");
  EXPECT_EQ(content_type_of("x.averyveryverylongextension"), "application/octet-stream");
}

}  // namespace
}  // namespace insula::assets
