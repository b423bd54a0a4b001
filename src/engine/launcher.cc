// SPDX-License-Identifier: Apache-2.0
//
// Launcher: puts our main in the place of the engine executable's, before anything of it has run.
//
// The C library calls __libc_start_main with the program's main; a preloaded library that defines the same name is
// asked first. LD_PRELOAD is removed at once: nothing that we might start shall inherit it.
#include <dlfcn.h>
#include <unistd.h>

#include <cstdlib>

#include "src/engine/engine.h"

namespace {

using MainFunction = int (*)(int, char**, char**);
using StartMain = int (*)(MainFunction, int, char**, void (*)(), void (*)(), void (*)(), void*);

int our_main(int argc, char** argv, char**) {
  const int status = insula::runner_main(argc, argv);
  // No static destructors: threads may still be inside V8.
  _exit(status);
}

}  // namespace

extern "C" __attribute__((visibility("default"))) int __libc_start_main(MainFunction, int argc, char** argv,
                                                                        void (*init)(), void (*fini)(),
                                                                        void (*rtld_fini)(), void* stack_end) {
  unsetenv("LD_PRELOAD");
  const auto real = reinterpret_cast<StartMain>(dlsym(RTLD_NEXT, "__libc_start_main"));
  return real(our_main, argc, argv, init, fini, rtld_fini, stack_end);
}
