// SPDX-License-Identifier: Apache-2.0
//
// ActorFiles: the databases of actors in the data directory, opened here and nowhere else.
//
//   objects/<namespace>/<hh>/<id>.sqlite, .sqlite-wal, .history        a Durable Object; hh: first two digits of its id
//   objects/<namespace>/<hh>/<id>.<n>.sqlite, ...                      its facet number n
//
// Descriptors are passed to runners, names never. Each database is locked (flock) on the very description that is passed:
// nobody else gets it before the runner has closed it or is dead, whatever the runner says.
//
// The functions may be called on any thread; those marked "blocks" wait for the disk.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "src/base/error.h"
#include "src/base/fd.h"

namespace insula::actors {

// Which database. The words are checked by who makes them: hexadecimal digits.
struct ActorPath {
  std::string space;         // unique id of the namespace
  std::string id;            // of the root, 64 digits
  std::uint32_t number = 0;  // of a facet; 0: the root itself
};

struct ActorBytes {
  std::uint64_t database = 0;  // with its log
  std::uint64_t history = 0;
};

bool is_hex(std::string_view text, std::size_t digits) noexcept;

class ActorFiles {
 public:
  // Makes <data>/objects if it is not there.
  static Result<ActorFiles> open(const std::filesystem::path& data_directory);

  // Database, write-ahead log and history. Errors: NotFound (not all of them are there: create() makes them), Conflict
  // (another process still has the database open), Unavailable, Denied.
  Result<std::vector<Fd>> open_actor(const ActorPath& path) const;
  // The same, and makes what is missing, durably. Blocks.
  Result<std::vector<Fd>> create_actor(const ActorPath& path) const;
  // Removes the files, if there are any. Blocks.
  Result<> remove_actor(const ActorPath& path) const;
  // Copies a database and its log to a place where none is; nothing of the source may be open. Blocks.
  Result<> copy_actor(const ActorPath& from, const ActorPath& to) const;
  // Removes all objects of a namespace. Blocks.
  Result<> remove_space(const std::string& space) const;
  // Zeros: there is none.
  ActorBytes bytes_of(const ActorPath& path) const;

 private:
  ActorFiles(Fd folder, std::filesystem::path shown) : folder_(std::move(folder)), shown_(std::move(shown)) {}
  Result<Fd> folder_of(const ActorPath& path, bool is_made) const;
  Result<std::vector<Fd>> open_three(const Fd& folder, const ActorPath& path, int flags) const;
  Error problem(const ActorPath& path, int code) const;

  Fd folder_;
  std::filesystem::path shown_;  // in messages
};

}  // namespace insula::actors
