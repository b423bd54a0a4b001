# The runner: rooms that see V8, the built-ins, the library that is preloaded into the engine executable, and the
# start-up snapshot.
enable_language(ASM)
room(engine V8 USES base)
room(runner/isolate V8 USES base protocol engine)
room(runner/modules V8 USES base protocol runner/isolate)
room(runner/bindings V8 USES base runner/actors runner/isolate)
room(runner/worker V8 USES base engine runner/isolate runner/modules runner/bindings)
room(runner/host USES base protocol sandbox runner/worker)

set(ENGINE_NODE ${INSULA_ENGINE}/bin/node)
file(GLOB_RECURSE BUILTINS CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/builtins/*.ts)
set(BUILTINS_JS ${CMAKE_BINARY_DIR}/generated/builtins.js)
add_custom_command(
  OUTPUT ${BUILTINS_JS}
  COMMAND ${ENGINE_NODE} tools/build_builtins.mjs ${BUILTINS_JS}
  DEPENDS ${BUILTINS} ${CMAKE_SOURCE_DIR}/tools/build_builtins.mjs ${CMAKE_SOURCE_DIR}/tools/bundle_builtins.mjs
  WORKING_DIRECTORY ${CMAKE_SOURCE_DIR}
  COMMENT "Bundling the built-ins")
set(BUILTINS_ASM ${CMAKE_BINARY_DIR}/generated/builtins.S)
file(CONFIGURE OUTPUT ${BUILTINS_ASM} CONTENT [[
.section .rodata
.global insula_builtins_source
.hidden insula_builtins_source
.global insula_builtins_source_bytes
.hidden insula_builtins_source_bytes
.balign 16
insula_builtins_source:
.incbin "@BUILTINS_JS@"
insula_builtins_source_end:
.balign 8
insula_builtins_source_bytes:
.quad insula_builtins_source_end - insula_builtins_source
.section .note.GNU-stack,"",@progbits
]] @ONLY)
set_source_files_properties(${BUILTINS_ASM} PROPERTIES OBJECT_DEPENDS ${BUILTINS_JS})

add_library(insula_runner SHARED ${CMAKE_SOURCE_DIR}/src/engine/launcher.cc ${CMAKE_SOURCE_DIR}/src/runner/host/main.cc
  ${BUILTINS_ASM})
target_link_libraries(insula_runner PRIVATE insula_runner_host insula_engine insula_warnings)
# The executable's symbols come first in the process: ours stay ours (design.md section 3).
target_link_options(insula_runner PRIVATE -Wl,-Bsymbolic -Wl,--exclude-libs,ALL)
set_target_properties(insula_runner PROPERTIES CXX_VISIBILITY_PRESET hidden)

# A sanitizer's runtime wants to be in the process before everything else.
set(PRELOADED "$<TARGET_FILE:insula_runner>")
if(INSULA_SANITIZE MATCHES "address")
  execute_process(COMMAND ${CMAKE_CXX_COMPILER} -print-file-name=libasan.so OUTPUT_VARIABLE ASAN_RUNTIME
    OUTPUT_STRIP_TRAILING_WHITESPACE)
  set(PRELOADED "${ASAN_RUNTIME}:${PRELOADED}")
  target_compile_definitions(insula_supervisor_fleet PRIVATE INSULA_SANITIZER_RUNTIME="${ASAN_RUNTIME}:")
endif()

set(SNAPSHOT ${CMAKE_BINARY_DIR}/insula_snapshot.bin)
add_custom_command(
  OUTPUT ${SNAPSHOT}
  COMMAND ${CMAKE_COMMAND} -E env "LD_PRELOAD=${PRELOADED}" ASAN_OPTIONS=detect_leaks=0 ${ENGINE_NODE} snapshot ${SNAPSHOT}
  DEPENDS insula_runner
  COMMENT "Making the start-up snapshot")
add_custom_target(insula_snapshot ALL DEPENDS ${SNAPSHOT})

# A test of the protocol drives a real runner, which it finds beside itself.
if(TARGET insula_protocol_test)
  # The engine cannot be loaded with the thread sanitizer; the test is skipped then.
  if(NOT INSULA_SANITIZE MATCHES "thread")
    add_dependencies(insula_protocol_test insula_snapshot)
  endif()
  set(SANITIZER_PRELOAD "")
  if(INSULA_SANITIZE MATCHES "address")
    set(SANITIZER_PRELOAD "${ASAN_RUNTIME}:")
  endif()
  target_compile_definitions(insula_protocol_test PRIVATE INSULA_ENGINE_DEFAULT="${INSULA_ENGINE}"
    INSULA_SANITIZER_RUNTIME="${SANITIZER_PRELOAD}")
endif()
