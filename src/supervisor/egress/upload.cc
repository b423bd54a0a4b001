// SPDX-License-Identifier: Apache-2.0
//
// Upload: one write at a time; the next takes all that has gathered meanwhile.
#include "src/supervisor/egress/upload.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

namespace insula::egress {
namespace {

// A complete body goes out in slices, so that progress is seen and a slow but steady server is not timed out.
constexpr std::size_t kSliceBytes = 256 * kKiB;

std::string chunk_head(std::size_t bytes) {
  std::array<char, 16> digits{};
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), bytes, 16).ptr;
  return std::string(digits.data(), end) + "\r\n";
}

}  // namespace

Upload::Upload(std::shared_ptr<Connection> connection, std::shared_ptr<const RequestHead> head,
               std::shared_ptr<const Bytes> body, io::ByteSourcePtr source, Listener& listener)
    : connection_(std::move(connection)),
      head_(std::move(head)),
      body_(std::move(body)),
      source_(std::move(source)),
      listener_(&listener) {}

Upload::~Upload() { abandon(); }

void Upload::start() {
  const auto self = shared_from_this();
  if (source_ == nullptr) {
    source_done_ = true;
  } else {
    // First, so that what is there already goes out together with the head.
    source_->attach(*this);
    if (!source_done_) source_->grant(kUploadWindowBytes);
  }
  write_more();
}

void Upload::abandon() {
  is_done_ = true;
  listener_ = nullptr;
  if (source_ != nullptr && !std::exchange(source_done_, true)) source_->stop();
}

void Upload::on_data(BytesView bytes) {
  if (is_done_ || bytes.empty()) return;
  const auto self = shared_from_this();  // ending the upload may let go of it
  source_bytes_ += bytes.size();
  if (head_->framing == BodyFraming::Length && source_bytes_ > head_->length) {
    const Error error(ErrorCode::InvalidInput, "egress: the request body is longer than its declared length");
    finish(Outcome::BodyFailed, &error);
    return;
  }
  pending_.append(bytes);
  write_more();
}

void Upload::on_end() {
  if (is_done_) return;
  const auto self = shared_from_this();
  source_done_ = true;
  if (head_->framing == BodyFraming::Length && source_bytes_ < head_->length) {
    const Error error(ErrorCode::InvalidInput, "egress: the request body is shorter than its declared length");
    finish(Outcome::BodyFailed, &error);
    return;
  }
  write_more();
}

void Upload::on_failure(const Error& error) {
  const auto self = shared_from_this();
  source_done_ = true;
  if (!is_done_) finish(Outcome::BodyFailed, &error);
}

void Upload::write_more() {
  if (is_done_ || is_writing_) return;
  Connection::WriteBuffers buffers{};
  std::size_t used = 0;
  if (!std::exchange(is_head_written_, true)) buffers[used++] = asio::buffer(head_->bytes);
  if (source_ == nullptr && body_written_ < body_->size()) {
    const auto size = std::min(kSliceBytes, body_->size() - body_written_);
    buffers[used++] = asio::buffer(body_->data() + body_written_, size);
    body_written_ += size;
  }
  const bool is_chunked = head_->framing == BodyFraming::Chunked;
  if (!pending_.empty()) {
    flying_.swap(pending_);
    flying_source_bytes_ = flying_.size();
    if (is_chunked) {
      chunk_head_ = chunk_head(flying_.size());
      buffers[used++] = asio::buffer(chunk_head_);
      flying_.append("\r\n");
    }
    buffers[used++] = asio::buffer(flying_);
  }
  if (is_chunked && source_done_ && !std::exchange(is_end_written_, true)) {
    buffers[used++] = asio::buffer("0\r\n\r\n", 5);
  }
  if (used == 0) {
    if (source_done_) finish(Outcome::Written, nullptr);
    return;
  }
  is_writing_ = true;
  listener_->on_upload_progress(true);
  connection_->write(buffers, [self = shared_from_this()](const boost::system::error_code& error, std::size_t) {
    self->on_written(error);
  });
}

void Upload::on_written(const boost::system::error_code& error) {
  is_writing_ = false;
  if (is_done_) return;
  if (error) {
    finish(Outcome::ConnectionLost, nullptr);
    return;
  }
  listener_->on_upload_progress(false);
  flying_.clear();
  const auto written = std::exchange(flying_source_bytes_, 0);
  if (written > 0 && !source_done_) source_->grant(written);
  write_more();
}

void Upload::finish(Outcome outcome, const Error* error) {
  is_done_ = true;
  if (outcome != Outcome::Written && source_ != nullptr && !std::exchange(source_done_, true)) source_->stop();
  if (auto* listener = std::exchange(listener_, nullptr)) listener->on_upload_done(outcome, error);
}

}  // namespace insula::egress
