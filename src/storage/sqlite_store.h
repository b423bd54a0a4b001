// SPDX-License-Identifier: Apache-2.0
//
// SqliteStore: the Store in one SQLite file, `store.sqlite` of the data directory.
//
// One thread writes: it takes all batches that wait, writes them as one transaction and syncs once, so that the busier
// the store, the more batches share a sync (group commit). A second thread reads on a connection of its own. Callbacks
// run where `post` brings them, in the order of write().
//
// A failed sync is final: what the disk holds is unknown until the file is opened anew, so every later write is refused
// (threat-model.md, section 8).
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "src/sql/database.h"
#include "src/storage/store.h"

namespace insula::storage {

// Runs a function on the thread that owns the caller's objects. Called from the store's threads.
using Post = std::function<void(std::function<void()>)>;

class StoreWriter;
class StoreReader;

class SqliteStore final : public Store {
 public:
  // Opens or makes the file, brings its schema up to date and takes the next epoch.
  // Errors: Unsupported (from a newer version), Unavailable, Corrupt.
  static Result<std::unique_ptr<SqliteStore>> open(const std::string& path, Post post);

  // Writes what waits, then stops. Callbacks that were not posted yet are posted before it returns.
  ~SqliteStore() override;
  SqliteStore(const SqliteStore&) = delete;
  SqliteStore& operator=(const SqliteStore&) = delete;

  void write(Batch batch, WriteDone done) override;
  void recover(std::uint32_t status_mask, ReadDone<Recovery> done) override;
  void find_instance(std::string workflow, std::string id, ReadDone<InstanceRow> done) override;
  void load_instance(InstanceRef ref, ReadDone<StoredInstance> done) override;
  void read_value(InstanceRef ref, std::uint64_t number, ReadDone<Bytes> done) override;
  void list_instances(InstanceFilter filter, ReadDone<std::vector<InstanceRow>> done) override;
  void due_instances(TimeMs from, InstanceRef after, TimeMs until, std::uint32_t limit,
                     ReadDone<std::vector<DueInstance>> done) override;
  void expired_instances(TimeMs until, std::uint32_t limit, ReadDone<std::vector<InstanceRef>> done) override;
  void due_alarms(TimeMs until, std::uint32_t limit, ReadDone<std::vector<Alarm>> done) override;
  void find_alarm(std::string object, ReadDone<std::optional<Alarm>> done) override;
  void find_object(std::string space, std::string id, ReadDone<std::optional<ObjectRow>> done) override;
  void list_objects(std::string space, std::string after_id, std::uint32_t limit,
                    ReadDone<std::vector<ObjectRow>> done) override;
  void list_entries(std::string space, ReadDone<std::vector<Entry>> done) override;

  std::uint64_t epoch() const noexcept { return epoch_; }

 private:
  struct Waiting {
    Batch batch;
    WriteDone done;
  };
  using Reading = std::function<void(StoreReader&)>;

  SqliteStore(std::unique_ptr<StoreWriter> writer, std::unique_ptr<StoreReader> reader, std::uint64_t epoch, Post post);
  void write_loop();
  void read_loop();
  template <class T, class Read>
  void read(Read what, ReadDone<T> done);

  const std::uint64_t epoch_;
  const Post post_;
  std::unique_ptr<StoreWriter> writer_;  // used by the writing thread alone
  std::unique_ptr<StoreReader> reader_;  // used by the reading thread alone

  std::mutex mutex_;  // guards the members below
  std::condition_variable to_write_;
  std::condition_variable to_read_;
  std::vector<Waiting> writes_;
  std::deque<Reading> reads_;
  bool is_closing_ = false;

  std::thread writing_;
  std::thread reading_;
};

}  // namespace insula::storage
