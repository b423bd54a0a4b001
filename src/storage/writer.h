// SPDX-License-Identifier: Apache-2.0
//
// StoreWriter: turns groups of batches into transactions of store.sqlite. Belongs to one thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "src/sql/database.h"
#include "src/storage/store.h"

namespace insula::storage {

class StoreWriter {
 public:
  // Migrates, and takes the next epoch.
  static Result<std::unique_ptr<StoreWriter>> open(const std::string& path);

  // One result for each batch. Everything that is not an error is on the disk when it returns.
  std::vector<Result<>> write(const std::vector<const Batch*>& batches);

  std::uint64_t epoch() const noexcept { return epoch_; }

 private:
  StoreWriter() = default;
  Result<> prepare();
  Result<> check_epoch();
  // One transaction. `results` are those of the batches, filled as far as it came; an error is one of the transaction.
  Result<> write_together(const std::vector<const Batch*>& batches, std::size_t from, std::size_t to,
                          std::vector<Result<>>& results);
  Result<> write_batch(const Batch& batch);

  Result<> apply(const InsertInstance& insert);
  Result<> apply(const UpdateInstance& update);
  Result<> apply(const DeleteInstance& gone);
  Result<> apply(const AppendLog& append);
  Result<> apply(const TrimLog& trim);
  Result<> apply(const AppendHistory& append);
  Result<> apply(const WipeHistory& wipe);
  Result<> apply(const PutValue& put);
  Result<> apply(const DropValues& drop);
  Result<> apply(const NoteClock& note);
  Result<> apply(const SetAlarm& set);
  Result<> apply(const ClearAlarm& clear);
  Result<> apply(const PutObject& put);
  Result<> apply(const DeleteObject& gone);
  Result<> apply(const PutEntry& put);
  Result<> apply(const DeleteEntry& gone);
  Result<> apply(const DropNamespace& gone);

  sql::Database database_;
  std::uint64_t epoch_ = 0;
  bool is_poisoned_ = false;
  sql::Statement read_epoch_, insert_instance_, update_instance_, delete_instance_, delete_history_, delete_blobs_,
      append_log_, trim_log_, append_history_, wipe_head_, put_value_, drop_values_, note_clock_, set_alarm_,
      clear_alarm_, put_object_, delete_object_, put_entry_, delete_entry_, drop_alarms_, drop_entries_, drop_objects_;
};

}  // namespace insula::storage
