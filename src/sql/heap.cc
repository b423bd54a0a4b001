// SPDX-License-Identifier: Apache-2.0
//
// HeapBudget: the allocator that SQLite is given, and SQLite's start.
#include "src/sql/heap.h"

#include <malloc.h>

#include <cstdlib>
#include <mutex>

#include <sqlite3.h>

#include "src/base/error.h"

namespace insula::sql {
namespace {

constinit thread_local HeapBudget* current_budget = nullptr;

void* allocate(int bytes) noexcept {
  HeapBudget* const budget = current_budget;
  if (budget == nullptr) return std::malloc(static_cast<std::size_t>(bytes));
  if (!budget->admits(static_cast<std::size_t>(bytes))) return nullptr;
  void* const memory = std::malloc(static_cast<std::size_t>(bytes));
  if (memory != nullptr) budget->add(malloc_usable_size(memory));
  return memory;
}

void release(void* memory) noexcept {
  if (HeapBudget* const budget = current_budget) budget->subtract(malloc_usable_size(memory));
  std::free(memory);
}

void* reallocate(void* memory, int bytes) noexcept {
  HeapBudget* const budget = current_budget;
  if (budget == nullptr) return std::realloc(memory, static_cast<std::size_t>(bytes));
  const std::size_t before = malloc_usable_size(memory);
  const auto wanted = static_cast<std::size_t>(bytes);
  if (wanted > before && !budget->admits(wanted - before)) return nullptr;
  void* const moved = std::realloc(memory, wanted);
  if (moved == nullptr) return nullptr;
  budget->subtract(before);
  budget->add(malloc_usable_size(moved));
  return moved;
}

int size_of(void* memory) noexcept { return static_cast<int>(malloc_usable_size(memory)); }
int round_up(int bytes) noexcept { return (bytes + 7) & ~7; }
int start(void*) noexcept { return SQLITE_OK; }
void stop(void*) noexcept {}

}  // namespace

HeapScope::HeapScope(HeapBudget& budget) noexcept : before_(current_budget) { current_budget = &budget; }
HeapScope::~HeapScope() { current_budget = before_; }

void initialize() {
  static std::once_flag once;
  std::call_once(once, [] {
    static const sqlite3_mem_methods methods{allocate, release, reallocate, size_of, round_up, start, stop, nullptr};
    INSULA_CHECK(sqlite3_config(SQLITE_CONFIG_MALLOC, &methods) == SQLITE_OK);
    // Pages are allocated one by one: the usual block of twenty is more than a small actor's whole database.
    INSULA_CHECK(sqlite3_config(SQLITE_CONFIG_PAGECACHE, nullptr, 0, 0) == SQLITE_OK);
    INSULA_CHECK(sqlite3_initialize() == SQLITE_OK);
  });
}

}  // namespace insula::sql
