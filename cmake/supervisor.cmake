# The program `insula`: everything under src/supervisor and the command line. No V8 in here.
add_executable(insula src/supervisor/main.cc src/supervisor/data_lock.cc src/supervisor/ending.cc)
set_target_properties(insula PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR})
target_include_directories(insula PRIVATE ${CMAKE_SOURCE_DIR})
set_source_files_properties(${CMAKE_SOURCE_DIR}/src/supervisor/main.cc PROPERTIES
  COMPILE_DEFINITIONS INSULA_ENGINE_DEFAULT="${INSULA_ENGINE}")
target_link_libraries(insula PRIVATE insula_warnings insula_cli insula_supervisor_front insula_supervisor_dispatch
  insula_supervisor_broker insula_supervisor_admin insula_supervisor_instances insula_supervisor_actors insula_supervisor_fleet insula_supervisor_egress insula_supervisor_websocket
  insula_supervisor_http insula_supervisor_config)

# The tests of these rooms play against scripted runners.
if(INSULA_TESTS)
  foreach(room fleet actors broker dispatch)
    if(TARGET insula_supervisor_${room}_test)
      target_sources(insula_supervisor_${room}_test PRIVATE ${CMAKE_SOURCE_DIR}/tests/support/fake_runner.cc)
      target_include_directories(insula_supervisor_${room}_test PRIVATE ${CMAKE_SOURCE_DIR})
    endif()
  endforeach()
endif()
