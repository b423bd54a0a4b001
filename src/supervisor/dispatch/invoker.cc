// SPDX-License-Identifier: Apache-2.0
//
// Invoker: admission in front of each static Worker.
#include "src/supervisor/dispatch/invoker.h"

#include <utility>

namespace insula::dispatch {

// Counts the events of one Worker, and is otherwise that Worker's destination.
class Invoker::Gate final : public fleet::Destination {
 public:
  Gate(std::shared_ptr<fleet::Destination> worker, std::size_t running_max, std::size_t waiting_max, const Clock& clock)
      : worker_(std::move(worker)), admission_(running_max, waiting_max, clock) {}

  void reach(const std::shared_ptr<fleet::RoutedCall>& call) override {
    if (call->is_admitted || admission_.enter(call)) worker_->reach(call);
  }
  void forget(fleet::Session& session, protocol::WorkerId worker) override { worker_->forget(session, worker); }
  void leave(fleet::RoutedCall& call) override {
    if (!std::exchange(call.is_admitted, false)) return;
    if (const auto next = admission_.leave()) worker_->reach(next);
  }
  void withdraw(fleet::RoutedCall& call) override {
    admission_.withdraw(call);
    worker_->withdraw(call);
  }

  fleet::Admission& admission() { return admission_; }

 private:
  const std::shared_ptr<fleet::Destination> worker_;
  fleet::Admission admission_;
};

void Invoker::add_worker(std::shared_ptr<fleet::Destination> worker) {
  gates_.push_back(std::make_shared<Gate>(std::move(worker), running_max_, waiting_max_, clock_));
}

void Invoker::submit(std::size_t worker, const std::shared_ptr<Event>& event) { event->route(gates_.at(worker)); }

void Invoker::expire() {
  for (const auto& gate : gates_) gate->admission().expire();
}

std::size_t Invoker::running() const {
  std::size_t sum = 0;
  for (const auto& gate : gates_) sum += gate->admission().running();
  return sum;
}

}  // namespace insula::dispatch
