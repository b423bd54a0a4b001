// SPDX-License-Identifier: Apache-2.0
//
// SqliteStore: the two threads and their queues.
#include "src/storage/sqlite_store.h"

#include <algorithm>

#include "src/storage/reader.h"
#include "src/storage/writer.h"

namespace insula::storage {
namespace {

// What shares one sync at most: bounds the time a batch waits for those before it.
constexpr std::size_t kGroupMax = 4'096;

}  // namespace

Result<std::unique_ptr<SqliteStore>> SqliteStore::open(const std::string& path, Post post) {
  TRY(auto writer, StoreWriter::open(path));
  TRY(auto reader, StoreReader::open(path));
  const auto epoch = writer->epoch();
  return std::unique_ptr<SqliteStore>(
      new SqliteStore(std::move(writer), std::move(reader), epoch, std::move(post)));
}

SqliteStore::SqliteStore(std::unique_ptr<StoreWriter> writer, std::unique_ptr<StoreReader> reader, std::uint64_t epoch,
                         Post post)
    : epoch_(epoch), post_(std::move(post)), writer_(std::move(writer)), reader_(std::move(reader)) {
  writing_ = std::thread([this] { write_loop(); });
  reading_ = std::thread([this] { read_loop(); });
}

SqliteStore::~SqliteStore() {
  {
    const std::lock_guard lock(mutex_);
    is_closing_ = true;
  }
  to_write_.notify_one();
  to_read_.notify_one();
  writing_.join();
  reading_.join();
}

void SqliteStore::write(Batch batch, WriteDone done) {
  bool was_empty = false;
  {
    const std::lock_guard lock(mutex_);
    was_empty = writes_.empty();
    writes_.push_back(Waiting{std::move(batch), std::move(done)});
  }
  if (was_empty) to_write_.notify_one();
}

void SqliteStore::write_loop() {
  std::vector<Waiting> taken;
  for (;;) {
    {
      std::unique_lock lock(mutex_);
      to_write_.wait(lock, [this] { return is_closing_ || !writes_.empty(); });
      if (writes_.empty()) return;
      taken.swap(writes_);
    }
    for (std::size_t from = 0; from < taken.size(); from += kGroupMax) {
      const auto to = std::min(taken.size(), from + kGroupMax);
      std::vector<const Batch*> batches;
      batches.reserve(to - from);
      for (auto i = from; i < to; ++i) batches.push_back(&taken[i].batch);
      auto results = writer_->write(batches);
      auto answers = std::make_shared<std::vector<std::pair<WriteDone, Result<>>>>();
      answers->reserve(to - from);
      for (auto i = from; i < to; ++i) {
        if (taken[i].done) answers->emplace_back(std::move(taken[i].done), std::move(results[i - from]));
      }
      post_([answers] {
        for (auto& [done, result] : *answers) done(std::move(result));
      });
    }
    taken.clear();
  }
}

template <class T, class Read>
void SqliteStore::read(Read what, ReadDone<T> done) {
  {
    const std::lock_guard lock(mutex_);
    reads_.push_back([this, what = std::move(what), done = std::move(done)](StoreReader& reader) mutable {
      auto result = std::make_shared<Result<T>>(what(reader));
      post_([result, done = std::move(done)] { done(std::move(*result)); });
    });
  }
  to_read_.notify_one();
}

void SqliteStore::read_loop() {
  for (;;) {
    Reading reading;
    {
      std::unique_lock lock(mutex_);
      to_read_.wait(lock, [this] { return is_closing_ || !reads_.empty(); });
      if (reads_.empty()) return;
      reading = std::move(reads_.front());
      reads_.pop_front();
    }
    reading(*reader_);
  }
}

void SqliteStore::recover(std::uint32_t status_mask, ReadDone<Recovery> done) {
  read<Recovery>([=](StoreReader& reader) { return reader.recover(status_mask); }, std::move(done));
}
void SqliteStore::find_instance(std::string workflow, std::string id, ReadDone<InstanceRow> done) {
  read<InstanceRow>([=](StoreReader& reader) { return reader.find_instance(workflow, id); }, std::move(done));
}
void SqliteStore::load_instance(InstanceRef ref, ReadDone<StoredInstance> done) {
  read<StoredInstance>([=](StoreReader& reader) { return reader.load_instance(ref); }, std::move(done));
}
void SqliteStore::read_value(InstanceRef ref, std::uint64_t number, ReadDone<Bytes> done) {
  read<Bytes>([=](StoreReader& reader) { return reader.read_value(ref, number); }, std::move(done));
}
void SqliteStore::list_instances(InstanceFilter filter, ReadDone<std::vector<InstanceRow>> done) {
  read<std::vector<InstanceRow>>(
      [filter = std::move(filter)](StoreReader& reader) { return reader.list_instances(filter); }, std::move(done));
}
void SqliteStore::due_instances(TimeMs from, InstanceRef after, TimeMs until, std::uint32_t limit,
                                ReadDone<std::vector<DueInstance>> done) {
  read<std::vector<DueInstance>>(
      [=](StoreReader& reader) { return reader.due_instances(from, after, until, limit); }, std::move(done));
}
void SqliteStore::expired_instances(TimeMs until, std::uint32_t limit, ReadDone<std::vector<InstanceRef>> done) {
  read<std::vector<InstanceRef>>([=](StoreReader& reader) { return reader.expired_instances(until, limit); },
                                 std::move(done));
}
void SqliteStore::due_alarms(TimeMs until, std::uint32_t limit, ReadDone<std::vector<Alarm>> done) {
  read<std::vector<Alarm>>([=](StoreReader& reader) { return reader.due_alarms(until, limit); }, std::move(done));
}
void SqliteStore::find_alarm(std::string object, ReadDone<std::optional<Alarm>> done) {
  read<std::optional<Alarm>>([=](StoreReader& reader) { return reader.find_alarm(object); }, std::move(done));
}
void SqliteStore::find_object(std::string space, std::string id, ReadDone<std::optional<ObjectRow>> done) {
  read<std::optional<ObjectRow>>([=](StoreReader& reader) { return reader.find_object(space, id); }, std::move(done));
}
void SqliteStore::list_objects(std::string space, std::string after_id, std::uint32_t limit,
                               ReadDone<std::vector<ObjectRow>> done) {
  read<std::vector<ObjectRow>>([=](StoreReader& reader) { return reader.list_objects(space, after_id, limit); },
                               std::move(done));
}
void SqliteStore::list_entries(std::string space, ReadDone<std::vector<Entry>> done) {
  read<std::vector<Entry>>([=](StoreReader& reader) { return reader.list_entries(space); }, std::move(done));
}

}  // namespace insula::storage
