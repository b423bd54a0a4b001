// SPDX-License-Identifier: Apache-2.0
//
// parse_jsonc: Boost.JSON's event parser, fed line by line, so that each value knows its line.
#include "src/supervisor/config/value.h"

#include <charconv>
#include <cstdint>
#include <optional>
#include <utility>

#include <fmt/format.h>
#include <boost/json/basic_parser_impl.hpp>

namespace insula::config {
namespace {

namespace json = boost::json;
using json::error_code;
using json::string_view;

// Receives the parser's events and builds the Value. `line` is moved by the feeding loop.
class Builder {
 public:
  static constexpr std::size_t max_object_size = std::size_t(-1);
  static constexpr std::size_t max_array_size = std::size_t(-1);
  static constexpr std::size_t max_key_size = 4096;
  static constexpr std::size_t max_string_size = std::size_t(-1);

  int line = 1;
  std::optional<Value> root;
  std::string complaint;  // set when an event returned false

  bool on_document_begin(error_code&) { return true; }
  bool on_document_end(error_code&) { return true; }
  bool on_object_begin(error_code&) { return open(Value::Object{}); }
  bool on_array_begin(error_code&) { return open(Value::Array{}); }
  bool on_object_end(std::size_t, error_code&) { return close(); }
  bool on_array_end(std::size_t, error_code&) { return close(); }

  bool on_key_part(string_view part, std::size_t, error_code&) { return append(part); }
  bool on_key(string_view part, std::size_t, error_code& error) {
    append(part);
    auto& object = std::get<Value::Object>(open_.back().data);
    for (const auto& [name, value] : object) {
      if (name != text_) continue;
      complaint = fmt::format("\"{}\" is already set in line {}", text_, value.line);
      return refuse(error);
    }
    object.push_back({std::exchange(text_, {}), Value{{}, line}});
    return true;
  }
  bool on_string_part(string_view part, std::size_t, error_code&) { return append(part); }
  bool on_string(string_view part, std::size_t, error_code&) {
    append(part);
    return put(std::exchange(text_, {}));
  }
  bool on_number_part(string_view part, error_code&) { return append(part); }
  bool on_int64(std::int64_t number, string_view part, error_code&) {
    append(part);
    const bool is_minus_zero = number == 0 && text_.starts_with('-');
    text_.clear();
    return is_minus_zero ? put(-0.0) : put(number);
  }
  bool on_uint64(std::uint64_t number, string_view part, error_code& error) {
    if (number > std::uint64_t(INT64_MAX)) return on_double(static_cast<double>(number), part, error);
    text_.clear();
    return put(static_cast<std::int64_t>(number));
  }
  // Boost.JSON 1.81 rounds long numbers by a unit in the last place; a var must be the number that was written.
  bool on_double(double number, string_view part, error_code&) {
    append(part);
    std::from_chars(text_.data(), text_.data() + text_.size(), number);  // out of range: stays what it is
    text_.clear();
    return put(number);
  }
  bool on_bool(bool fact, error_code&) { return put(fact); }
  bool on_null(error_code&) { return put(Value::Null{}); }
  bool on_comment_part(string_view, error_code&) { return true; }
  bool on_comment(string_view, error_code&) { return true; }

 private:
  bool append(string_view part) {
    text_.append(part.data(), part.size());
    return true;
  }
  bool refuse(error_code& error) {
    error = json::error::syntax;
    return false;
  }
  bool open(Value::Data data) {
    open_.push_back(Value{std::move(data), line});
    return true;
  }
  bool close() {
    Value done = std::move(open_.back());
    open_.pop_back();
    return put_value(std::move(done));
  }
  bool put(Value::Data data) { return put_value(Value{std::move(data), line}); }

  // A member keeps the line of its key: a number's end is seen only with what follows it, maybe a line later.
  bool put_value(Value value) {
    if (open_.empty()) {
      root = std::move(value);
    } else if (auto* array = std::get_if<Value::Array>(&open_.back().data)) {
      array->push_back(std::move(value));
    } else {
      std::get<Value::Object>(open_.back().data).back().value.data = std::move(value.data);
    }
    return true;
  }

  std::vector<Value> open_;
  std::string text_;
};

// The parser's messages name its own states; a person needs fewer words.
std::string explain(const error_code& error) {
  if (error == json::error::incomplete) return "the file ends in the middle of a value";
  if (error == json::error::too_deep) return fmt::format("lists and tables nest deeper than {} levels", kDepthMax);
  if (error == json::error::extra_data) return "there is text after the end of the value";
  return error.message();
}

}  // namespace

Result<Value> parse_jsonc(std::string_view text, std::string_view file) {
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  json::parse_options options;
  options.allow_comments = true;
  options.allow_trailing_commas = true;
  options.max_depth = kDepthMax;
  json::basic_parser<Builder> parser(options);
  Builder& builder = parser.handler();

  const auto fail = [&](std::size_t column, const std::string& what) {
    return Error(ErrorCode::InvalidInput, fmt::format("{}:{}:{}: {}", file, builder.line, column, what));
  };
  bool is_last = false;
  while (!is_last) {
    const auto line_end = text.find('\n');
    const auto line = text.substr(0, line_end == std::string_view::npos ? line_end : line_end + 1);
    text.remove_prefix(line.size());
    is_last = text.empty();
    error_code error;
    const std::size_t used = parser.write_some(!is_last, line.data(), line.size(), error);
    if (error) return fail(used + 1, builder.complaint.empty() ? explain(error) : builder.complaint);
    // write_some() stops at the end of the document; only white space and comments may follow on.
    if (used < line.size()) return fail(used + 1, explain(json::error::extra_data));
    ++builder.line;
  }
  if (!builder.root) return fail(1, "the file is empty");
  return std::move(*builder.root);
}

}  // namespace insula::config
