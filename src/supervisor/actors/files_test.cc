// SPDX-License-Identifier: Apache-2.0
#include "src/supervisor/actors/files.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>

namespace insula::actors {
namespace {

namespace fs = std::filesystem;

class FilesTest : public ::testing::Test {
 protected:
  FilesTest() {
    char name[] = "/tmp/insula-actors-XXXXXX";
    data_ = ::mkdtemp(name);
    files_ = std::make_unique<ActorFiles>(*ActorFiles::open(data_));
  }
  ~FilesTest() override { fs::remove_all(data_); }

  fs::path at(const std::string& name) const { return data_ / "objects" / path_.space / "ab" / name; }
  static void write(const Fd& file, std::string_view text) {
    ASSERT_EQ(::write(file.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
  }
  static std::string read(const fs::path& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }

  fs::path data_;
  std::unique_ptr<ActorFiles> files_;
  ActorPath path_{std::string(32, 'c'), "ab" + std::string(62, '0'), 0};
};

TEST_F(FilesTest, MakesAndFindsADatabase) {
  EXPECT_EQ(files_->open_actor(path_).error().code(), ErrorCode::NotFound);
  EXPECT_EQ(files_->bytes_of(path_).database, 0u);
  {
    const auto made = files_->create_actor(path_);
    ASSERT_TRUE(made);
    ASSERT_EQ(made->size(), 3u);
    write((*made)[0], "database");
    write((*made)[1], "log");
  }
  const auto again = files_->open_actor(path_);
  ASSERT_TRUE(again);
  EXPECT_EQ(read(at(path_.id + ".sqlite")), "database");
  EXPECT_EQ(read(at(path_.id + ".sqlite-wal")), "log");
  EXPECT_EQ(files_->bytes_of(path_).database, 11u);
  struct stat info {};
  ASSERT_EQ(::stat(at(path_.id + ".sqlite").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777u, 0600u);
  ASSERT_EQ(::stat((data_ / "objects").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777u, 0700u);
}

TEST_F(FilesTest, OneOwnerAtATime) {
  auto first = files_->create_actor(path_);
  ASSERT_TRUE(first);
  EXPECT_EQ(files_->open_actor(path_).error().code(), ErrorCode::Conflict);
  // What a runner gets is a copy of the same description: the lock lives as long as any of them.
  Fd passed(::dup((*first)[0].get()));
  first->clear();
  EXPECT_EQ(files_->open_actor(path_).error().code(), ErrorCode::Conflict);
  passed.reset();
  EXPECT_TRUE(files_->open_actor(path_));
}

TEST_F(FilesTest, FollowsNoLink) {
  ASSERT_TRUE(files_->create_actor(path_));
  const auto target = data_ / "elsewhere";
  std::ofstream(target) << "secret";
  fs::remove(at(path_.id + ".sqlite"));
  fs::create_symlink(target, at(path_.id + ".sqlite"));
  EXPECT_EQ(files_->open_actor(path_).error().code(), ErrorCode::Denied);
  EXPECT_EQ(files_->create_actor(path_).error().code(), ErrorCode::Denied);
}

TEST_F(FilesTest, MissingPartsAreMadeAgain) {
  ASSERT_TRUE(files_->create_actor(path_));
  // sqlite3 removes an empty log when it closes a database.
  fs::remove(at(path_.id + ".sqlite-wal"));
  EXPECT_EQ(files_->open_actor(path_).error().code(), ErrorCode::NotFound);
  EXPECT_TRUE(files_->create_actor(path_));
  EXPECT_TRUE(files_->open_actor(path_));
}

TEST_F(FilesTest, CopiesAndRemoves) {
  ActorPath facet = path_;
  facet.number = 7;
  ActorPath copy = path_;
  copy.number = 8;
  {
    const auto made = files_->create_actor(facet);
    ASSERT_TRUE(made);
    write((*made)[0], std::string(300000, 'x'));
    write((*made)[1], "log");
  }
  ASSERT_TRUE(files_->copy_actor(facet, copy));
  EXPECT_EQ(read(at(path_.id + ".8.sqlite")).size(), 300000u);
  EXPECT_EQ(read(at(path_.id + ".8.sqlite-wal")), "log");
  ASSERT_TRUE(files_->remove_actor(facet));
  EXPECT_FALSE(fs::exists(at(path_.id + ".7.sqlite")));
  EXPECT_TRUE(fs::exists(at(path_.id + ".8.sqlite")));
  EXPECT_TRUE(files_->remove_actor(facet)) << "removing what is gone is no error";
  // A facet that was never opened has a name and no files.
  ActorPath unused = path_;
  unused.number = 9;
  EXPECT_TRUE(files_->copy_actor(unused, facet));
  EXPECT_FALSE(fs::exists(at(path_.id + ".7.sqlite")));
  ASSERT_TRUE(files_->remove_space(path_.space));
  EXPECT_FALSE(fs::exists(data_ / "objects" / path_.space));
}

TEST_F(FilesTest, NamesAreDigits) {
  EXPECT_TRUE(is_hex("09af", 4));
  EXPECT_FALSE(is_hex("09aF", 4));
  EXPECT_FALSE(is_hex("../a", 4));
  EXPECT_FALSE(is_hex("09a", 4));
}

}  // namespace
}  // namespace insula::actors
