# SQLite: the amalgamation out of npm's better-sqlite3, compiled by us, hidden, for both processes
# (docs/decisions/0016-sqlite.md). Only src/sql and src/runner/actors see its header.
set(SQLITE_SOURCE ${CMAKE_SOURCE_DIR}/node_modules/better-sqlite3/deps/sqlite3)
if(NOT EXISTS ${SQLITE_SOURCE}/sqlite3.c)
  message(FATAL_ERROR "SQLite's source is missing: no ${SQLITE_SOURCE}/sqlite3.c; run `npm ci`")
endif()

set(SQLITE_COUNTING ${CMAKE_BINARY_DIR}/generated/sqlite3.c)
add_custom_command(
  OUTPUT ${SQLITE_COUNTING}
  COMMAND ${CMAKE_COMMAND} -DFROM=${SQLITE_SOURCE}/sqlite3.c -DTO=${SQLITE_COUNTING}
          -P ${CMAKE_SOURCE_DIR}/cmake/sqlite_counters.cmake
  DEPENDS ${SQLITE_SOURCE}/sqlite3.c ${CMAKE_SOURCE_DIR}/cmake/sqlite_counters.cmake
  COMMENT "Adding row counters to SQLite")

add_library(insula_sqlite STATIC ${SQLITE_COUNTING})
target_include_directories(insula_sqlite SYSTEM INTERFACE ${SQLITE_SOURCE})
target_compile_options(insula_sqlite PRIVATE -w -O2)
set_target_properties(insula_sqlite PROPERTIES POSITION_INDEPENDENT_CODE ON C_VISIBILITY_PRESET hidden)
target_compile_definitions(insula_sqlite PRIVATE
  # What a connection may do.
  SQLITE_DQS=0                        # "x" is a name, never a text
  SQLITE_OMIT_LOAD_EXTENSION
  SQLITE_USE_URI=0
  SQLITE_STRICT_SUBTYPE=1
  SQLITE_ENABLE_FTS5
  SQLITE_ENABLE_RTREE
  SQLITE_ENABLE_MATH_FUNCTIONS
  SQLITE_ENABLE_UPDATE_DELETE_LIMIT   # the package's parser was made with it
  # Where its bytes are.
  SQLITE_TEMP_STORE=3                 # in memory, whatever a pragma says
  SQLITE_MAX_MMAP_SIZE=0
  SQLITE_DEFAULT_WAL_SYNCHRONOUS=1
  # Cost.
  SQLITE_THREADSAFE=2                 # a connection belongs to one thread at a time
  SQLITE_DEFAULT_MEMSTATUS=0          # no lock around malloc
  SQLITE_OMIT_AUTOINIT                # src/sql does it once
  SQLITE_OMIT_DEPRECATED
  SQLITE_OMIT_SHARED_CACHE
  SQLITE_LIKE_DOESNT_MATCH_BLOBS
  HAVE_FDATASYNC=1
  HAVE_USLEEP=1)
target_link_libraries(insula_sqlite PRIVATE m Threads::Threads)
