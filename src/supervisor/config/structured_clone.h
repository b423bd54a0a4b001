// SPDX-License-Identifier: Apache-2.0
//
// to_structured_clone: a value of a configuration file in the form in which values travel to isolates (V8's wire format
// for structured clones), so that the supervisor can give props to an entrypoint without an engine of its own.
#pragma once

#include "src/base/bytes.h"
#include "src/supervisor/config/value.h"

namespace insula::config {

Bytes to_structured_clone(const Value& value);

}  // namespace insula::config
