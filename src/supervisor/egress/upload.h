// SPDX-License-Identifier: Apache-2.0
//
// Upload: writes one request, head and body, to a connection.
//
// The body on the wire is the body that was given: a stream that is longer or shorter than its declared length ends
// the connection. At most kUploadWindowBytes of a stream wait here.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "src/base/bytes.h"
#include "src/base/error.h"
#include "src/base/limits.h"
#include "src/io/byte_stream.h"
#include "src/supervisor/egress/connection.h"
#include "src/supervisor/egress/request_head.h"

namespace insula::egress {

inline constexpr std::size_t kUploadWindowBytes = 256 * kKiB;

class Upload final : public io::ByteSink, public std::enable_shared_from_this<Upload> {
 public:
  enum class Outcome : std::uint8_t {
    Written,         // all of it
    ConnectionLost,  // the server reads no more; its answer may still be there
    BodyFailed,      // the stream of the body did; the request cannot be completed
  };
  struct Listener {
    virtual ~Listener() = default;
    // A write began or ended; nothing is under way while the body's source has nothing to give.
    virtual void on_upload_progress(bool is_writing) = 0;
    // Once. `error` is null unless BodyFailed.
    virtual void on_upload_done(Outcome outcome, const Error* error) = 0;
  };

  // body: the complete body when source is null. The listener is not called after abandon().
  Upload(std::shared_ptr<Connection> connection, std::shared_ptr<const RequestHead> head,
         std::shared_ptr<const Bytes> body, io::ByteSourcePtr source, Listener& listener);

  ~Upload() override;
  Upload(const Upload&) = delete;
  Upload& operator=(const Upload&) = delete;

  void start();
  // Stops the source; what is being written is left to the end of the connection.
  void abandon();
  bool is_writing() const noexcept { return is_writing_; }

 private:
  void on_data(BytesView bytes) override;
  void on_end() override;
  void on_failure(const Error& error) override;

  void write_more();
  void on_written(const boost::system::error_code& error);
  void finish(Outcome outcome, const Error* error);

  const std::shared_ptr<Connection> connection_;
  const std::shared_ptr<const RequestHead> head_;
  const std::shared_ptr<const Bytes> body_;
  const io::ByteSourcePtr source_;
  Listener* listener_;

  bool is_head_written_ = false;
  bool is_writing_ = false;
  bool is_done_ = false;
  std::size_t body_written_ = 0;  // of a complete body

  // Of a stream: what arrives gathers in pending_ while flying_ is being written.
  std::uint64_t source_bytes_ = 0;
  bool source_done_ = false;
  bool is_end_written_ = false;
  std::string pending_;
  std::string flying_;
  std::size_t flying_source_bytes_ = 0;  // of flying_, without the framing: to be granted again
  std::string chunk_head_;
};

}  // namespace insula::egress
