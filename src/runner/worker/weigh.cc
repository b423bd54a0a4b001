// SPDX-License-Identifier: Apache-2.0
//
// Weigh: isolates by the hundred, and the process's private memory before and after each stage of their lives.
#include "src/runner/worker/weigh.h"

#include <malloc.h>

#include <chrono>
#include <cstdio>
#include <functional>
#include <memory>
#include <vector>

#include "src/runner/worker/worker_impl.h"

namespace insula::runner {
namespace {

using Clock = std::chrono::steady_clock;

struct Memory {
  double private_kib = 0;
  double malloc_kib = 0;
};

Memory memory_now() {
  Memory memory;
  if (std::FILE* file = std::fopen("/proc/self/smaps_rollup", "r")) {
    char line[256];
    unsigned long kib = 0;
    while (std::fgets(line, sizeof line, file) != nullptr) {
      if (std::sscanf(line, "Private_Clean: %lu", &kib) == 1 || std::sscanf(line, "Private_Dirty: %lu", &kib) == 1) {
        memory.private_kib += static_cast<double>(kib);
      }
    }
    std::fclose(file);
  }
  const auto info = mallinfo2();
  memory.malloc_kib = static_cast<double>(info.uordblks + info.hblkhd) / 1024;
  return memory;
}

// What V8 says of one isolate: used and touched KiB of each space of its heap.
std::string heap_of(v8::Isolate* isolate) {
  const v8::Locker locker(isolate);
  const v8::Isolate::Scope scope(isolate);
  std::string text = "          heap, used of touched KiB:";
  for (std::size_t index = 0; index < isolate->NumberOfHeapSpaces(); ++index) {
    v8::HeapSpaceStatistics space;
    isolate->GetHeapSpaceStatistics(&space, index);
    if (space.physical_space_size() == 0) continue;
    text += std::string(" ") + space.space_name() + " " + std::to_string(space.space_used_size() / kKiB) + " of " +
            std::to_string(space.physical_space_size() / kKiB);
  }
  return text + "\n";
}

// A small Worker whose source no other has.
LoadEvent load_event(WorkerId id) {
  auto spec = std::make_unique<WorkerSpec>();
  spec->id = id;
  spec->is_tenant = true;
  spec->compatibility_date = "2026-06-01";
  spec->main_module = "main.js";
  spec->modules.push_back({"main.js", 0, Bytes("const name = '" + std::to_string(id) + R"(';
const routes = new Map([['/', () => new Response('Hello from ' + name)], ['/missing', () => new Response('', { status: 404 })]]);
export default { fetch(request) {
  const url = new URL(request.url);
  return (routes.get(url.pathname) ?? routes.get('/missing'))(url);
} };)")});
  spec->limits = kTenantLimits;
  return {std::move(spec)};
}

InvokeEvent invoke_event(std::uint32_t question) {
  InvokeEvent event;
  event.reply_to.question = question;
  FetchCall call;
  call.method = "GET";
  call.url = "http://tenant.example/";
  event.call = std::move(call);
  return event;
}

// Takes the weight of `count` isolates after each stage.
class Scales {
 public:
  explicit Scales(std::size_t count) : count_(static_cast<double>(count)) { rest(); }

  // What follows counts from here.
  void rest() { start_ = before_ = memory_now(); }

  void stage(const char* name, const std::function<void()>& act) {
    const auto begun = Clock::now();
    act();
    const double micros = std::chrono::duration<double, std::micro>(Clock::now() - begun).count();
    const Memory after = memory_now();
    char line[160];
    std::snprintf(line, sizeof line, "%-9s %7.1f KiB each (%+7.1f), allocated outside the heap %6.1f; %5.0f us each\n", name,
                  (after.private_kib - start_.private_kib) / count_, (after.private_kib - before_.private_kib) / count_,
                  (after.malloc_kib - start_.malloc_kib) / count_, micros / count_);
    report += line;
    before_ = after;
  }

  std::string report;

 private:
  const double count_;
  Memory start_;
  Memory before_;
};

}  // namespace

std::string weigh(IsolateFactory& factory, HostCalls& host, ExecutorSlot& slot, std::size_t count) {
  Scales scales(count);
  {
    const std::unique_ptr<v8::ArrayBuffer::Allocator> allocator(v8::ArrayBuffer::Allocator::NewDefaultAllocator());
    std::vector<v8::Isolate*> isolates;
    std::vector<v8::Global<v8::Context>> contexts;
    scales.stage("empty", [&] {
      while (isolates.size() < count) {
        v8::Isolate::CreateParams params;
        params.array_buffer_allocator = allocator.get();
        set_heap_limits(params.constraints, factory.heap_bytes_max());
        isolates.push_back(v8::Isolate::New(params));
        const v8::Locker locker(isolates.back());
        const v8::Isolate::Scope scope(isolates.back());
        const v8::HandleScope handles(isolates.back());
        contexts.emplace_back(isolates.back(), v8::Context::New(isolates.back()));
      }
    });
    scales.report += heap_of(isolates[count / 2]);
    contexts.clear();
    for (v8::Isolate* const isolate : isolates) isolate->Dispose();
    malloc_trim(0);
  }
  scales.rest();

  std::vector<std::unique_ptr<Worker>> workers;
  const auto turn = [&](const std::function<Event(WorkerId)>& make) {
    for (std::size_t index = 0; index < count; ++index) {
      std::deque<Event> events;
      events.push_back(make(static_cast<WorkerId>(index + 1)));
      workers[index]->run(events, slot);
    }
  };
  const auto stage = [&](const char* name, const std::function<void()>& act) {
    scales.stage(name, act);
    scales.report += heap_of(static_cast<WorkerImpl&>(*workers[count / 2]).v8());
  };
  stage("blank", [&] {
    while (workers.size() < count) workers.push_back(factory.make_blank(host, factory.heap_bytes_max()));
  });
  stage("loaded", [&] { turn([](WorkerId id) { return load_event(id); }); });
  stage("called", [&] { turn([](WorkerId id) { return invoke_event(id); }); });
  stage("again", [&] { turn([&](WorkerId id) { return invoke_event(id + static_cast<std::uint32_t>(count)); }); });
  stage("paused", [&] {
    for (const auto& worker : workers) worker->shrink();
  });
  scales.stage("gone", [&] { workers.clear(); });
  return scales.report;
}

}  // namespace insula::runner
