// SPDX-License-Identifier: Apache-2.0
//
// run(): the supervisor's loop.
#pragma once

#include <functional>

#include <boost/asio/io_context.hpp>

namespace insula::io {

// Until there is nothing more to do, or stop(). Where `is_answer_near` says so, the loop looks again for a moment before
// it sleeps (base/short_wait.h).
void run(boost::asio::io_context& io, const std::function<bool()>& is_answer_near);

}  // namespace insula::io
