include(cmake/sqlite.cmake)

# The rooms, lowest first: the one place that says who may import whom.
room(base LINK fmt::fmt)
room(io USES base LINK Boost::headers Threads::Threads)
room(protocol USES base LINK CapnProto::capnp)
room(durable USES base)
room(sandbox USES base LINK PkgConfig::SECCOMP)
room(sql USES base LINK insula_sqlite)
room(storage USES base sql LINK Threads::Threads)
room(supervisor/workflow USES base durable storage)
room(runner/actors USES base sql)
room(supervisor/config USES base durable LINK Boost::json PkgConfig::TOMLPLUSPLUS)
# Only for the files that need it: another checkout's path in the command would be another object for ccache.
set_source_files_properties(${CMAKE_SOURCE_DIR}/src/supervisor/config/load_test.cc PROPERTIES
  COMPILE_DEFINITIONS INSULA_SOURCE_ROOT="${CMAKE_SOURCE_DIR}")
room(cli USES base supervisor/config LINK Boost::json)
room(supervisor/http USES base io LINK Boost::headers)
room(supervisor/websocket USES base io supervisor/http LINK OpenSSL::Crypto)
room(supervisor/egress USES base io LINK Boost::headers Boost::url OpenSSL::SSL)
room(supervisor/assets USES base io)
room(supervisor/fleet USES base io protocol sandbox)
room(supervisor/actors USES base io protocol storage supervisor/config supervisor/websocket supervisor/fleet
     LINK Boost::json OpenSSL::Crypto)
room(supervisor/instances USES base io protocol durable storage supervisor/config supervisor/fleet supervisor/workflow
     LINK Boost::json)
room(supervisor/broker USES base io protocol supervisor/config supervisor/websocket supervisor/egress supervisor/assets
     supervisor/fleet supervisor/actors supervisor/instances)
room(supervisor/admin USES base durable storage supervisor/workflow supervisor/instances LINK Boost::json)
room(supervisor/dispatch USES base io protocol supervisor/fleet)
room(supervisor/front USES base io supervisor/http supervisor/websocket supervisor/dispatch)

# frames.capnp becomes code in the build folder; only protocol sees it.
set(CAPNPC_SRC_PREFIX ${CMAKE_SOURCE_DIR}/src/protocol)
set(CAPNPC_OUTPUT_DIR ${CMAKE_BINARY_DIR}/generated)
file(MAKE_DIRECTORY ${CAPNPC_OUTPUT_DIR})
capnp_generate_cpp(FRAMES_SOURCES FRAMES_HEADERS ${CMAKE_SOURCE_DIR}/src/protocol/frames.capnp)
target_sources(insula_protocol PRIVATE ${FRAMES_SOURCES} ${FRAMES_HEADERS})
target_include_directories(insula_protocol SYSTEM PRIVATE ${CAPNPC_OUTPUT_DIR})
set_source_files_properties(${FRAMES_SOURCES} PROPERTIES COMPILE_OPTIONS "-w")
# Texts are borrowed views without a closing NUL, which a KJ debug build would insist on.
target_compile_definitions(insula_protocol PRIVATE NDEBUG)
