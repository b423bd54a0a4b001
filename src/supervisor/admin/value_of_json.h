// SPDX-License-Identifier: Apache-2.0
//
// value_of_json: JSON as the bytes that a Worker's code would have made of the same value, for what an operator sends.
// Written only: the supervisor reads no value.
#pragma once

#include <boost/json.hpp>

#include "src/base/bytes.h"

namespace insula::admin {

// V8's serialisation format, version 13: numbers as doubles, texts as two-byte strings, arrays dense.
Bytes value_of_json(const boost::json::value& value);

}  // namespace insula::admin
