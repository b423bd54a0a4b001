// SPDX-License-Identifier: Apache-2.0
//
// Engine: what bindings and operators ask for.
#include <algorithm>

#include "src/base/crash_point.h"
#include "src/supervisor/workflow/engine.h"

namespace insula::workflow {

void Engine::set_steps_max(const std::string& workflow, std::uint32_t steps_max) {
  settings_[workflow] = options_.settings;
  settings_[workflow].steps_max = steps_max;
}

const durable::Settings& Engine::settings_of(const std::string& workflow) const {
  const auto found = settings_.find(workflow);
  return found == settings_.end() ? options_.settings : found->second;
}

void Engine::create(NewInstance instance, Done<InstanceRef> done) {
  if (!instance.is_scheduled && !durable::is_instance_id(instance.id)) {
    return done(Error(ErrorCode::InvalidInput, "Workflow instance has invalid id"));
  }
  const durable::Settings& settings = settings_of(instance.workflow);
  if (instance.params.size() > settings.value_bytes_max) {
    return done(Error(ErrorCode::LimitExceeded, "Workflow params are too large. Maximum allowed size is 1MiB."));
  }
  auto* const key = scheduler_.key(instance.workflow, instance.fairness_key);
  if (!instance.is_scheduled) {
    const auto queued = Scheduler::queued_of_workflow(key) + making_[instance.workflow];
    const auto admitted = admission_.admit(instance.workflow, instance.fairness_key, queued, now_ms());
    if (!admitted) return done(admitted.error());
  }
  // The machine makes the first record; nothing of it stays in memory until the instance may run.
  durable::Machine machine(settings);
  auto reaction = machine.handle(durable::Event{now_ms(), durable::CreateAsked{std::move(instance.params)}});
  InstanceRow row;
  row.ref = next_ref_++;
  row.workflow = instance.workflow;
  row.id = std::move(instance.id);
  row.status = static_cast<std::uint8_t>(Status::Queued);
  row.created_at = machine.created_at();
  row.fairness_key = instance.fairness_key;
  row.metadata = std::move(instance.metadata);
  row.success_retention_ms = instance.success_retention_ms.value_or(options_.success_retention_ms);
  row.error_retention_ms = instance.error_retention_ms.value_or(options_.error_retention_ms);
  for (const auto& record : reaction.records) encode(record, row.head);
  row.records = machine.records();
  row.next_value = machine.next_value();
  const auto ref = row.ref;
  storage::Batch batch;
  batch.emplace_back(storage::InsertInstance{std::move(row)});
  for (auto& value : reaction.values) batch.emplace_back(storage::PutValue{ref, value.number, std::move(value.bytes)});
  ++making_[instance.workflow];
  crash_point(CrashPoint::WorkflowCreating);
  store_.write(std::move(batch), [this, alive = alive_, ref, key, workflow = instance.workflow,
                                  done = std::move(done)](Result<> result) {
    if (!*alive) return;
    --making_[workflow];
    crash_point(CrashPoint::WorkflowCreated);
    if (!result) {
      if (result.error().code() != ErrorCode::Conflict) return done(result.error());
      return done(Error(ErrorCode::Conflict, "instance.already_exists"));
    }
    enqueue(ref, key, false);
    done(ref);
    grant();
  });
}

void Engine::create_batch(std::vector<NewInstance> instances,
                          std::function<void(std::vector<Result<InstanceRef>>)> done) {
  struct Gathered {
    std::vector<Result<InstanceRef>> results;
    std::size_t left = 0;
  };
  if (instances.empty()) return done({});
  auto gathered = std::make_shared<Gathered>();
  gathered->results.resize(instances.size());
  gathered->left = instances.size();
  auto told = std::make_shared<decltype(done)>(std::move(done));
  for (std::size_t i = 0; i < instances.size(); ++i) {
    create(std::move(instances[i]), [gathered, told, i](Result<InstanceRef> result) {
      gathered->results[i] = std::move(result);
      if (--gathered->left == 0) (*told)(std::move(gathered->results));
    });
  }
}

void Engine::find_out(InstanceName name, Done<> done) {
  if (names_.contains(key_of(name.workflow, name.id))) return done({});
  store_.find_instance(name.workflow, name.id, [done = std::move(done)](Result<InstanceRow> row) {
    if (row) return done({});
    if (row.error().code() != ErrorCode::NotFound) return done(row.error());
    done(Error(ErrorCode::NotFound, "instance.not_found"));
  });
}

void Engine::operate(InstanceName name, durable::Happening what, Done<> done) {
  find(std::move(name), [this, what = std::move(what), done = std::move(done)](Result<Resident*> found) mutable {
    if (!found) return done(found.error());
    crash_point(CrashPoint::WorkflowOperated);
    handle(**found, std::move(what), std::move(done));
  });
}

void Engine::remove(InstanceName name, Done<> done) {
  find(std::move(name), [this, done = std::move(done)](Result<Resident*> found) {
    if (!found) {
      if (found.error().code() != ErrorCode::NotFound) return done(found.error());
      return done(Error(ErrorCode::NotFound, "(instance.not_found) Instance does not exist"));
    }
    auto& instance = **found;
    const auto ref = instance.row.ref;
    if (instance.machine.has_run_at_hand()) runs_.release(ref, instance.machine.epoch());
    instance.is_deleted = true;
    const auto waiters = std::exchange(instance.waiters, {});
    for (const auto& waiter : waiters) waiter.done(Error(ErrorCode::NotFound, "instance.not_found"));
    if (instance.has_slot) scheduler_.release(instance.key);
    for (const auto& subscription : instance.subscriptions) subscriptions_.erase(subscription.number);
    // A write under way is in the queue before the deletion; its answer finds nobody.
    instance.row.due = 0;
    erase(instance);
    crash_point(CrashPoint::WorkflowRemoving);
    store_.write({storage::DeleteInstance{ref}}, [done](Result<> result) { done(std::move(result)); });
  });
}

InstanceStatus Engine::status_of(const InstanceRow& row) const {
  InstanceStatus status;
  status.ref = row.ref;
  status.workflow = row.workflow;
  status.id = row.id;
  status.created_at = row.created_at;
  status.fairness_key = row.fairness_key;
  status.metadata = row.metadata;
  status.status = static_cast<Status>(row.status);
  status.ended_at = row.ended_at;
  status.due = row.due;
  BytesView outcome = row.outcome;
  if (const auto found = residents_.find(row.ref); found != residents_.end()) {
    const auto& instance = *found->second;
    status.status = instance.machine.status();
    status.ended_at = instance.ended_at;
    const auto due = instance.machine.next_due();
    status.due = status.status == Status::Waiting && due != durable::kNever ? due : 0;
    outcome = instance.outcome;
  } else if (queued_.contains(row.ref) && !is_final(status.status)) {
    status.status = Status::Queued;  // its time has come, its turn has not
  }
  if (!outcome.empty() && is_final(status.status)) {
    if (auto last = durable::decode(outcome)) {
      if (last->has_value) status.output = std::move(last->value);
      if (last->has_failure) status.failure = std::move(last->failure);
    }
  }
  return status;
}

void Engine::status(InstanceName name, Done<InstanceStatus> done) {
  const auto tell = [this, done](const InstanceRow& row) {
    auto status = status_of(row);
    if (!status.output || !status.output->is_stored()) return done(std::move(status));
    const auto number = status.output->number;
    store_.read_value(row.ref, number, [done, status = std::move(status)](Result<Bytes> bytes) mutable {
      if (!bytes) return done(bytes.error());
      status.output = durable::Value::inline_of(*std::move(bytes));
      done(std::move(status));
    });
  };
  const auto known = names_.find(key_of(name.workflow, name.id));
  if (known != names_.end()) {
    auto& instance = *residents_.at(known->second);
    if (!is_final(instance.machine.status()) || instance.machine.records() <= instance.durable) return tell(instance.row);
    // An end is told when it is on the disk. If it does not get there, it has not come.
    instance.waiters.push_back(Waiter{instance.machine.records(), [this, alive = alive_, name, done](Result<> result) {
                                        if (!*alive) return;
                                        if (!result) return done(result.error());
                                        status(name, done);
                                      }});
    return settle(instance);
  }
  store_.find_instance(name.workflow, name.id, [alive = alive_, tell, done](Result<InstanceRow> row) {
    if (!*alive) return;
    if (row) return tell(*row);
    if (row.error().code() != ErrorCode::NotFound) return done(row.error());
    done(Error(ErrorCode::NotFound, "instance.not_found"));
  });
}

void Engine::list(storage::InstanceFilter filter, Done<std::vector<InstanceStatus>> done) {
  filter.limit = std::clamp<std::uint32_t>(filter.limit, 1, 1'000);
  store_.list_instances(filter, [this, alive = alive_, filter,
                                 done = std::move(done)](Result<std::vector<InstanceRow>> rows) {
    if (!*alive) return;
    if (!rows) return done(rows.error());
    const auto matches = [&](Status status) {
      return !filter.status_mask || (*filter.status_mask >> static_cast<unsigned>(status) & 1U) != 0;
    };
    std::vector<InstanceStatus> page;
    for (const auto& row : *rows) {
      auto status = status_of(row);
      if (matches(status.status)) page.push_back(std::move(status));
    }
    // The rows of those at work say what they were: with a filter on the status some of them are missing here.
    if (filter.status_mask) {
      const InstanceRef last = rows->size() == filter.limit ? rows->back().ref : 0;
      for (const auto& [ref, instance] : residents_) {
        const auto& row = instance->row;
        if (ref <= last || (filter.before != 0 && ref >= filter.before) || !matches(instance->machine.status())) continue;
        if (!filter.workflow.empty() && row.workflow != filter.workflow) continue;
        if (filter.metadata && row.metadata != *filter.metadata) continue;
        if (filter.fairness_key && row.fairness_key != *filter.fairness_key) continue;
        if (row.created_at < filter.created_from) continue;
        if (filter.created_before != 0 && row.created_at >= filter.created_before) continue;
        const bool is_there = std::any_of(page.begin(), page.end(), [&, named = ref](const auto& status) {
          return status.ref == named;
        });
        if (!is_there) page.push_back(status_of(row));
      }
      std::sort(page.begin(), page.end(), [](const auto& a, const auto& b) { return a.ref > b.ref; });
      if (page.size() > filter.limit) page.resize(filter.limit);
    }
    done(std::move(page));
  });
}

// ---- Values beside the records

std::uint64_t Engine::room_of(InstanceRef ref) {
  const auto* const instance = resident(ref);
  if (instance == nullptr) return 0;
  const auto most = settings_of(instance->row.workflow).storage_bytes_max;
  return most - std::min(most, instance->machine.storage_bytes());
}

std::uint64_t Engine::reserve_values(InstanceRef ref, std::uint64_t count) {
  auto* const instance = resident(ref);
  return instance == nullptr ? 0 : instance->machine.reserve_values(count);
}

void Engine::put_value(InstanceRef ref, std::uint64_t number, Bytes bytes, Done<> done) {
  if (resident(ref) == nullptr) return done(Error(ErrorCode::NotFound, "instance.not_found"));
  store_.write({storage::PutValue{ref, number, std::move(bytes)}}, std::move(done));
}

void Engine::drop_values(InstanceRef ref, std::uint64_t from, std::uint64_t to) {
  store_.write({storage::DropValues{ref, from, to}}, nullptr);
}

void Engine::read_value(InstanceRef ref, std::uint64_t number, Done<Bytes> done) {
  store_.read_value(ref, number, std::move(done));
}

// All durable records of an instance that is in memory.
void Engine::read_history(InstanceRef ref, Done<std::vector<durable::Record>> done) {
  store_.load_instance(ref, [this, alive = alive_, ref,
                             done = std::move(done)](Result<storage::StoredInstance> stored) mutable {
    if (!*alive) return;
    if (!stored) return done(stored.error());
    std::vector<durable::Record> records;
    const auto read = [&](BytesView bytes, std::uint64_t first, std::uint64_t above) -> Result<> {
      for (auto number = first; !bytes.empty(); ++number) {
        TRY(auto record, durable::decode(bytes));
        if (number > above) records.push_back(std::move(record));
      }
      return {};
    };
    for (const auto& part : stored->history) {
      if (auto result = read(part, 1, 0); !result) return done(result.error());
    }
    if (const auto* const instance = resident(ref)) {
      const auto& row = stored->row;
      if (instance->logged_durable == 0 ? row.records < instance->durable : instance->logged_first > row.records + 1) {
        return read_history(ref, std::move(done));  // it moved meanwhile: read again
      }
      auto result = read(BytesView(instance->logged).substr(0, instance->logged_durable), instance->logged_first,
                         row.records);
      if (!result) return done(result.error());
    }
    done(std::move(records));
  });
}

void Engine::timeline(InstanceName name, std::uint64_t cursor, Done<std::vector<durable::StreamEvent>> done) {
  find(std::move(name), [this, cursor, done = std::move(done)](Result<Resident*> found) {
    if (!found) return done(found.error());
    read_history((*found)->row.ref, [cursor, done](Result<std::vector<durable::Record>> records) {
      if (!records) return done(records.error());
      durable::Timeline timeline;
      std::vector<durable::StreamEvent> events;
      for (const auto& record : *records) {
        for (auto& event : timeline.next(record)) {
          if (event.id > cursor) events.push_back(std::move(event));
        }
      }
      done(std::move(events));
    });
  });
}

void Engine::subscribe(InstanceName name, std::uint64_t cursor, Subscriber subscriber, Done<std::uint64_t> done) {
  find(std::move(name), [this, cursor, subscriber = std::move(subscriber),
                         done = std::move(done)](Result<Resident*> found) mutable {
    if (!found) return done(found.error());
    const auto ref = (*found)->row.ref;
    const auto number = next_subscription_++;
    // From here on it stays in memory. What becomes durable before the history is read is part of what is read.
    (*found)->subscriptions.push_back(Subscription{number, [](const auto&) {}, 0});
    subscriptions_.emplace(number, ref);
    read_history(ref, [this, ref, number, cursor, subscriber = std::move(subscriber),
                       done = std::move(done)](Result<std::vector<durable::Record>> records) mutable {
      auto* const instance = resident(ref);
      if (!records || instance == nullptr) {
        unsubscribe(number);
        return done(records ? Error(ErrorCode::NotFound, "instance.not_found") : records.error());
      }
      auto timeline = std::make_unique<durable::Timeline>();
      std::vector<durable::StreamEvent> events;
      for (const auto& record : *records) {
        for (auto& event : timeline->next(record)) {
          if (event.id > cursor) events.push_back(std::move(event));
        }
      }
      instance->timeline = std::move(timeline);
      for (auto& subscription : instance->subscriptions) {
        if (subscription.number == number) subscription = Subscription{number, subscriber, cursor};
      }
      if (!events.empty()) subscriber(events);
      done(number);
    });
  });
}

void Engine::unsubscribe(std::uint64_t subscription) {
  const auto found = subscriptions_.find(subscription);
  if (found == subscriptions_.end()) return;
  auto* const instance = resident(found->second);
  subscriptions_.erase(found);
  if (instance == nullptr) return;
  std::erase_if(instance->subscriptions, [&](const auto& one) { return one.number == subscription; });
  if (instance->subscriptions.empty()) instance->timeline.reset();
  settle(*instance);
}

}  // namespace insula::workflow
