// SPDX-License-Identifier: Apache-2.0
//
// Executor: where the supervisor's waits and timers come back to. One io_context per thread, one thread per io_context: an
// object belongs to the thread of the executor that it was made with.
#pragma once

#include <boost/asio/io_context.hpp>

namespace insula::io {

// The type itself rather than asio::any_io_executor, which erases it and calls through pointers for each wait.
using Executor = boost::asio::io_context::executor_type;

}  // namespace insula::io
