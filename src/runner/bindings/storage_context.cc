// SPDX-License-Identifier: Apache-2.0
//
// WorkerContext: the storage of the actors that are open in this isolate.
#include "src/runner/bindings/context.h"

#include "src/runner/isolate/convert.h"

namespace insula::runner {

actors::ActorStorage* WorkerContext::use_storage(std::uint32_t actor, StorageUse use) {
  const auto found = storages_.find(actor);
  if (found == storages_.end()) {
    v8()->ThrowException(v8::Exception::Error(to_string(v8(), "The storage of this object is closed.")));
    return nullptr;
  }
  found->second.is_used = true;
  if (use == StorageUse::Write) found->second.holds_output = true;
  return found->second.storage.get();
}

}  // namespace insula::runner
