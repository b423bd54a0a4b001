# The fuzzers: one program for each tests/fuzz/NAME_fuzz.cc, built by `tools/build fuzz fuzzers` with clang.
#
# A fuzzer links every room of the supervisor's side; the linker takes what it uses. The rooms themselves are
# instrumented by the flags of the preset, the fuzzers' main comes from -fsanitize=fuzzer.
if(NOT INSULA_FUZZ)
  return()
endif()
if(NOT CMAKE_CXX_COMPILER_ID MATCHES "Clang")
  message(FATAL_ERROR "the fuzzers need clang; use the preset 'fuzz'")
endif()

set(fuzz_rooms "")
get_property(declared GLOBAL PROPERTY INSULA_ROOMS)
foreach(entry ${declared})
  string(REGEX REPLACE ":.*$" "" name "${entry}")
  if(NOT name MATCHES "^(engine|runner)(/|$)")
    string(REPLACE "/" "_" name "insula_${name}")
    list(PREPEND fuzz_rooms ${name})
  endif()
endforeach()

file(GLOB fuzz_support CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/support/*.cc)
if(fuzz_support)
  add_library(insula_fuzz_support STATIC EXCLUDE_FROM_ALL ${fuzz_support})
  target_link_libraries(insula_fuzz_support PUBLIC ${fuzz_rooms})
  list(PREPEND fuzz_rooms insula_fuzz_support)
endif()

add_custom_target(fuzzers)
file(GLOB fuzz_sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/fuzz/*_fuzz.cc)
foreach(source ${fuzz_sources})
  get_filename_component(name ${source} NAME_WE)
  add_executable(${name} EXCLUDE_FROM_ALL ${source})
  target_link_libraries(${name} PRIVATE ${fuzz_rooms} insula_warnings)
  target_link_options(${name} PRIVATE -fsanitize=fuzzer)
  add_dependencies(fuzzers ${name})
endforeach()
