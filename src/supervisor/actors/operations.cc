// SPDX-License-Identifier: Apache-2.0
//
// Directory: what an open actor asks on its own behalf. Operations take effect in the order in which they come, also
// with regard to the actor's later calls; the answer says when the effect is durable.
#include <cmath>
#include <optional>
#include <utility>

#include <boost/json.hpp>
#include <fmt/format.h>

#include "src/base/crash_point.h"
#include "src/supervisor/actors/directory.h"

namespace insula::actors {
namespace {

namespace json = boost::json;

constexpr std::string_view kDeleted = "Facet was deleted.";
constexpr std::string_view kClonedOver = "Facet was cloned-over.";
constexpr double kTimeMax = 8.64e15;  // of a JavaScript Date

void answer_with(const fleet::Answer& to, std::string_view detail) {
  const auto session = to.session.lock();
  if (session == nullptr) return;
  protocol::Return outcome;
  outcome.outcome = protocol::EngineResult{detail, {}};
  session->answer(to.question, outcome, nullptr);
}

void refuse(const fleet::Answer& to, std::string_view name, std::string_view message, std::string_view fault = {}) {
  const auto session = to.session.lock();
  if (session == nullptr) return;
  protocol::ErrorInfo error;
  error.fault = fault;
  error.name = name;
  error.message = message;
  session->answer_error(to.question, error);
}

void answer_done(const fleet::Answer& to, const Result<>& result) {
  if (result) return answer_with(to, "{}");
  refuse(to, "Error", info_of(Fault::StorageFailed).message, info_of(Fault::StorageFailed).code);
}

std::string text_of(const json::object& detail, std::string_view field) {
  const json::value* const value = detail.if_contains(field);
  return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
}

}  // namespace

void Directory::answer(Actor& actor, fleet::IncomingCall& call) {
  const auto& engine = std::get<protocol::EngineCall>(call.invoke.call);
  boost::system::error_code error;
  const json::value detail = json::parse(engine.detail.empty() ? "{}" : engine.detail, error);
  if (error || !detail.is_object()) return refuse(call.answer, "TypeError", "The detail of an operation is no object.");
  const json::object& object = detail.get_object();
  const std::string name = text_of(object, "name");
  if (engine.operation == "alarm") return set_alarm(actor, engine.detail, call.answer);
  if (engine.operation == "facet.deleteAll") return delete_facets(actor, call.answer);
  if (engine.operation == "facet.clone") {
    return clone_facet(actor, text_of(object, "from"), text_of(object, "to"), call.answer);
  }
  if (engine.operation == "facet.abort") {
    abort_facet(actor, name, text_of(object, "reason"));
    return answer_with(call.answer, "{}");
  }
  if (engine.operation == "facet.delete") return delete_facet(actor, name, kDeleted, call.answer);
  if (engine.operation == "facet.usage") return tell_usage(actor, name, call.answer);
  refuse(call.answer, "Error", "There is no such operation of an actor.");
}

// ---- Alarms

void Directory::set_alarm(Actor& actor, std::string_view detail, fleet::Answer to) {
  boost::system::error_code error;
  const json::value value = json::parse(detail, error);
  const json::value* const at = value.get_object().if_contains("at");
  std::optional<storage::TimeMs> time;
  if (at != nullptr && at->is_number()) {
    const double number = at->to_number<double>(error);
    if (error || !std::isfinite(number) || number < 0 || number > kTimeMax) {
      return refuse(to, "TypeError", "An alarm is no time.");
    }
    time = static_cast<storage::TimeMs>(number);
  }
  std::string object = actor.space() + "/" + actor.id();
  if (actor.is_facet()) object += "/" + std::to_string(actor.number());
  alarms_.set(object, time, [to](Result<> result) { answer_done(to, result); });
}

// ---- Facets

void Directory::abort_facet(Actor& parent, const std::string& name, std::string_view reason) {
  const auto facet = parent.find_facet(name);
  if (facet == nullptr) return;
  // The next call of that name has an entry of its own, and its files when this one has let go of them.
  parent.detach_facet(name);
  facet->abort(reason.empty() ? std::string_view("The facet was aborted.") : reason);
}

void Directory::forget_files(Actor& root, const std::vector<FacetTable::Number>& numbers, storage::Batch batch,
                             std::function<void(Result<>)> done) {
  if (numbers.empty()) return done({});
  std::vector<std::string> names;
  for (const FacetTable::Number number : numbers) {
    names.push_back(fmt::format("{}/{}/{}", root.space(), root.id(), number));
    alarms_.drop(names.back());
    batch.push_back(storage::ClearAlarm{names.back()});
    batch.push_back(storage::PutEntry{{std::string(kRubbishSpace), names.back(), ""}});
  }
  crash_point(CrashPoint::FacetDeleting);
  root.write_table(std::move(batch), [this, names = std::move(names), done = std::move(done),
                                      alive = std::weak_ptr<bool>(is_alive_)](Result<> written) {
    if (alive.expired()) return;
    if (written) {
      crash_point(CrashPoint::FacetDeleted);
      for (const std::string& name : names) remove_rubbish(name);
    }
    done(std::move(written));
  });
}

void Directory::remove_rubbish(const std::string& name) {
  const auto parts_of = [](std::string_view text) -> std::optional<ActorPath> {
    const auto first = text.find('/');
    const auto second = first == std::string_view::npos ? first : text.find('/', first + 1);
    if (second == std::string_view::npos) return std::nullopt;
    ActorPath path{std::string(text.substr(0, first)), std::string(text.substr(first + 1, second - first - 1)), 0};
    path.number = static_cast<std::uint32_t>(std::strtoul(std::string(text.substr(second + 1)).c_str(), nullptr, 10));
    if (!is_hex(path.space, 32) || !is_hex(path.id, 64) || path.number == 0) return std::nullopt;
    return path;
  };
  const auto path = parts_of(name);
  if (!path && !is_hex(name, 32)) return;
  on_disk([this, path, name] { return path ? files_.remove_actor(*path) : files_.remove_space(name); },
          [this, name](Result<> removed) {
            if (!removed) return report(removed.error());
            crash_point(CrashPoint::FacetFilesRemoved);
            world_.store.write({storage::DeleteEntry{std::string(kRubbishSpace), name}}, [](Result<>) {});
          });
}

void Directory::delete_facet(Actor& parent, const std::string& name, std::string_view reason, fleet::Answer to) {
  abort_facet(parent, name, reason);
  parent.forget_meter(name);
  const auto root = parent.root().shared_from_this();
  root->with_table([this, root, parent = parent.shared_from_this(), name, to](Result<FacetTable*> table) {
    if (!table) return answer_done(to, table.error());
    storage::Batch batch;
    const auto gone = (*table)->remove(parent->number(), name, batch);
    forget_files(*root, gone, std::move(batch), [to](Result<> result) { answer_done(to, result); });
  });
}

void Directory::delete_facets(Actor& parent, fleet::Answer to) {
  const auto facets = parent.facets();
  for (const auto& [name, facet] : facets) abort_facet(parent, name, kDeleted);
  parent.forget_meters();
  const auto root = parent.root().shared_from_this();
  root->with_table([this, root, parent = parent.shared_from_this(), to](Result<FacetTable*> table) {
    if (!table) return answer_done(to, table.error());
    storage::Batch batch;
    const auto gone = (*table)->remove_below(parent->number(), batch);
    forget_files(*root, gone, std::move(batch), [to](Result<> result) { answer_done(to, result); });
  });
}

void Directory::clone_facet(Actor& parent, const std::string& from, const std::string& to, fleet::Answer answer) {
  abort_facet(parent, to, kClonedOver);
  if (from == to) return answer_with(answer, "{}");
  const auto self = parent.shared_from_this();
  const auto root = parent.root().shared_from_this();
  // Calls on either wait until the copy is there.
  const auto source = parent.make_facet(from);
  const auto target = parent.make_facet(to);
  source->hold();
  target->hold();
  root->with_table([this, root, self, to](Result<FacetTable*> table) {
    if (!table) return;
    storage::Batch batch;
    const auto gone = (*table)->remove(self->number(), to, batch);
    forget_files(*root, gone, std::move(batch), [](Result<>) {});
  });
  source->close([this, self, from, to, source, target, answer] {
    copy_facet(self, from, to, [source, target, answer](Result<> result) {
      source->release();
      target->release();
      answer_done(answer, result);
    });
  });
}

void Directory::copy_facet(const std::shared_ptr<Actor>& parent, const std::string& from, const std::string& to,
                           std::function<void(Result<>)> done) {
  const auto root = parent->root().shared_from_this();
  root->with_table([this, root, parent, from, to, done = std::move(done)](Result<FacetTable*> table) {
    if (!table) return done(table.error());
    auto batch = std::make_shared<storage::Batch>();
    const auto copies = (*table)->clone(parent->number(), from, to, *batch);
    if (!copies) return done(copies.error());
    if (copies->empty()) return done({});
    // Only a whole copy gets its name in the store. What a crash leaves before that is rubbish, and its numbers are taken:
    // they might be given to another facet otherwise, with these files.
    storage::Batch reserved{(*table)->next_entry()};
    for (const auto& [old_number, new_number] : *copies) {
      const std::string name = fmt::format("{}/{}/{}", root->space(), root->id(), new_number);
      reserved.push_back(storage::PutEntry{{std::string(kRubbishSpace), name, ""}});
      batch->push_back(storage::DeleteEntry{std::string(kRubbishSpace), name});
    }
    const auto copy_all = [this, root, copies = *copies]() -> Result<> {
      for (const auto& [old_number, new_number] : copies) {
        TRY_VOID(files_.copy_actor({root->space(), root->id(), old_number}, {root->space(), root->id(), new_number}));
      }
      return {};
    };
    const auto forget_copy = [this, root, parent, to, done](const Error& error) {
      report(error);
      root->with_table([this, root, parent, to, done, error](Result<FacetTable*> table_again) {
        if (!table_again) return done(error);
        storage::Batch undo;
        const auto gone = (*table_again)->remove(parent->number(), to, undo);
        forget_files(*root, gone, std::move(undo), [done, error](Result<>) { done(error); });
      });
    };
    root->write_table(std::move(reserved), [this, root, batch, done, copy_all, forget_copy,
                                            alive = std::weak_ptr<bool>(is_alive_)](Result<> written) {
      if (alive.expired()) return;
      if (!written) return done(std::move(written));
      crash_point(CrashPoint::FacetCloning);
      on_disk(copy_all, [root, batch, done, forget_copy](Result<> copied) {
        if (!copied) return forget_copy(copied.error());
        crash_point(CrashPoint::FacetCopied);
        root->write_table(std::move(*batch), [done](Result<> named) {
          crash_point(CrashPoint::FacetCloned);
          done(std::move(named));
        });
      });
    });
  });
}

void Directory::tell_usage(Actor& parent, const std::string& name, fleet::Answer to) {
  const auto root = parent.root().shared_from_this();
  root->with_table([this, root, parent = parent.shared_from_this(), name, to](Result<FacetTable*> table) {
    if (!table) return answer_done(to, table.error());
    const auto number = (*table)->find(parent->number(), name);
    const auto facet = parent->find_facet(name);
    const Meter meter = parent->counted(name);
    const ActorBytes bytes = number ? files_.bytes_of({root->space(), root->id(), *number}) : ActorBytes{};
    answer_with(to, fmt::format(R"({{"databaseBytes":{},"historyBytes":{},"isRunning":{},"cpuMillis":{},"requests":{}}})",
                                bytes.database, bytes.history, facet != nullptr && !facet->is_absent(),
                                meter.cpu_micros / 1000, meter.requests));
  });
}

}  // namespace insula::actors
