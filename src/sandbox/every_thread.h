// SPDX-License-Identifier: Apache-2.0
//
// Every thread: what Linux keeps per thread (no_new_privs, Landlock domain, capabilities) must be given up in each one.
// Private to the sandbox room.
#pragma once

#include "src/base/error.h"
#include "src/base/fd.h"

namespace insula::sandbox {

struct GivenUp {
  bool landlock = false;      // every thread entered the ruleset
  bool capabilities = false;  // no thread holds one, as the kernel tells
};

// An open directory of this process's threads; to be taken before the root is emptied.
Fd open_thread_list();

// Sets no_new_privs, enters the Landlock ruleset (-1: none), empties the bounding set and drops all capabilities in
// every thread. The other threads do it in a handler of the last real-time signal, so none may block that signal, and
// their interruptible system calls may end with EINTR.
// Errors: Unavailable (threads cannot be listed, one does not answer, no_new_privs refused).
Result<GivenUp> give_up_in_every_thread(const Fd& thread_list, int landlock_ruleset);

}  // namespace insula::sandbox
