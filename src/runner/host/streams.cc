// SPDX-License-Identifier: Apache-2.0
//
// Host: streams between the channel and the isolates, with back-pressure.
#include <algorithm>

#include "src/runner/host/host.h"

namespace insula::runner {

StreamPtr Host::open_stream(WorkerId writer_worker, std::uint32_t writer) {
  auto stream = std::make_shared<Stream>();
  stream->from = Stream::Side::Isolate;
  stream->writer_worker = writer_worker;
  stream->writer = writer;
  return stream;
}

StreamPtr Host::stream_of(const Bytes& bytes) {
  auto stream = std::make_shared<Stream>();
  stream->queued = bytes.size();
  stream->queue.push_back(bytes);
  stream->ended = true;
  return stream;
}

bool Host::write(Stream& stream, Bytes bytes) {
  const Lock lock(mutex_);
  if (stream.stopped) {
    post(stream.writer_worker, WritableEvent{stream.writer, true});
    return false;
  }
  if (!bytes.empty()) {
    stream.queued += bytes.size();
    stream.queue.push_back(std::move(bytes));
    pump(stream);
  }
  if (stream.queued < kStreamWindowBytes) return true;
  stream.writer_waiting = true;
  return false;
}

void Host::end(Stream& stream, std::string error) {
  const Lock lock(mutex_);
  if (stream.ended || stream.stopped) return;
  stream.ended = true;
  stream.error = std::move(error);
  pump(stream);
}

void Host::pull(const StreamPtr& stream, WorkerId reader_worker, std::uint32_t body) {
  const Lock lock(mutex_);
  stream->to = Stream::Side::Isolate;
  stream->reader_worker = reader_worker;
  stream->body = body;
  stream->pull_pending = true;
  pump(*stream);
  make_producer_go_on(*stream);
}

void Host::stop(Stream& stream) {
  const Lock lock(mutex_);
  if (stream.stopped || (stream.ended && stream.queue.empty())) return;
  stream.stopped = true;
  stream.queue.clear();
  stream.queued = 0;
  if (stream.from == Stream::Side::Channel) {
    if (!stream.ended) send(protocol::StreamStop{stream.from_id});
    in_streams_.erase(stream.from_id);
  } else if (stream.from == Stream::Side::Isolate && stream.writer_waiting) {
    stream.writer_waiting = false;
    post(stream.writer_worker, WritableEvent{stream.writer, true});
  }
}

void Host::pump(Stream& stream) {
  if (stream.to == Stream::Side::Channel) {
    pump_to_channel(stream);
  } else if (stream.to == Stream::Side::Isolate) {
    pump_to_isolate(stream);
  }
}

void Host::pump_to_channel(Stream& stream) {
  while (!stream.queue.empty() && stream.credit > 0) {
    Bytes& front = stream.queue.front();
    const std::size_t size = std::min({front.size(), stream.credit, kStreamChunkBytesMax});
    send(protocol::StreamData{stream.to_id, BytesView(front).substr(0, size)});
    stream.credit -= size;
    stream.queued -= size;
    if (size == front.size()) {
      stream.queue.pop_front();
    } else {
      front.erase(0, size);
    }
  }
  if (stream.queue.empty() && stream.ended) {
    send(protocol::StreamEnd{stream.to_id, stream.error});
    out_streams_.erase(stream.to_id);
    return;
  }
  make_producer_go_on(stream);
}

void Host::pump_to_isolate(Stream& stream) {
  if (!stream.pull_pending) return;
  if (!stream.queue.empty()) {
    stream.pull_pending = false;
    Bytes bytes = std::move(stream.queue.front());
    stream.queue.pop_front();
    stream.queued -= bytes.size();
    post(stream.reader_worker, ChunkEvent{stream.body, std::move(bytes), false, {}});
    return;
  }
  if (stream.ended) {
    stream.pull_pending = false;
    post(stream.reader_worker, ChunkEvent{stream.body, {}, true, stream.error});
  }
}

// Lets the producer fill the window again once half of it is free.
void Host::make_producer_go_on(Stream& stream) {
  if (stream.ended || stream.stopped) return;
  if (stream.from == Stream::Side::Channel) {
    const std::size_t outstanding = stream.granted + stream.queued;
    if (outstanding > kStreamWindowBytes / 2) return;
    const std::size_t more = kStreamWindowBytes - outstanding;
    stream.granted += more;
    send(protocol::StreamCredit{stream.from_id, static_cast<std::uint32_t>(more)});
  } else if (stream.from == Stream::Side::Isolate && stream.writer_waiting &&
             stream.queued <= kStreamWindowBytes / 2) {
    stream.writer_waiting = false;
    post(stream.writer_worker, WritableEvent{stream.writer, false});
  }
}

void Host::on_data(const protocol::StreamData& data) {
  const auto found = in_streams_.find(data.stream);
  if (found == in_streams_.end()) return;  // stopped meanwhile
  const StreamPtr stream = found->second;
  stream->granted -= std::min(stream->granted, data.bytes.size());
  stream->queued += data.bytes.size();
  stream->queue.emplace_back(data.bytes);
  pump(*stream);
}

void Host::on_end(const protocol::StreamEnd& end) {
  const auto found = in_streams_.find(end.stream);
  if (found == in_streams_.end()) return;
  const StreamPtr stream = found->second;
  in_streams_.erase(found);
  stream->ended = true;
  stream->error = end.error;
  pump(*stream);
}

void Host::on_credit(const protocol::StreamCredit& credit) {
  const auto found = out_streams_.find(credit.stream);
  if (found == out_streams_.end()) return;
  const StreamPtr stream = found->second;
  stream->credit += credit.bytes;
  pump_to_channel(*stream);
}

void Host::on_stop(const protocol::StreamStop& stop_frame) {
  const auto found = out_streams_.find(stop_frame.stream);
  if (found == out_streams_.end()) return;
  const StreamPtr stream = found->second;
  out_streams_.erase(found);
  stream->stopped = true;
  stream->queue.clear();
  stream->queued = 0;
  if (stream->from == Stream::Side::Isolate && stream->writer_waiting) {
    stream->writer_waiting = false;
    post(stream->writer_worker, WritableEvent{stream->writer, true});
  } else if (stream->from == Stream::Side::Channel && !stream->ended) {
    send(protocol::StreamStop{stream->from_id});
    in_streams_.erase(stream->from_id);
  }
}

HostBody Host::from_wire(const protocol::Body& body) {
  HostBody host;
  switch (body.kind) {
    case protocol::Body::Kind::None: break;
    case protocol::Body::Kind::Inline: host.bytes = std::make_shared<const Bytes>(body.bytes); break;
    case protocol::Body::Kind::Stream:
      host.stream = std::make_shared<Stream>();
      host.stream->from = Stream::Side::Channel;
      host.stream->from_id = body.stream;
      host.length = body.length;
      in_streams_[body.stream] = host.stream;
      break;
    case protocol::Body::Kind::HandedBack: {
      const auto found = out_streams_.find(body.stream);
      if (found == out_streams_.end()) break;
      host.stream = found->second;
      host.stream->to = Stream::Side::None;
      host.length = body.length;
      out_streams_.erase(found);
      break;
    }
  }
  return host;
}

protocol::Body Host::to_wire(const HostBody& body) {
  protocol::Body wire;
  wire.length = body.length;
  StreamPtr stream = body.stream;
  if (body.bytes != nullptr) {
    if (body.bytes->size() <= kInlineBodyBytesMax) {
      wire.kind = protocol::Body::Kind::Inline;
      wire.bytes = *body.bytes;
      return wire;
    }
    stream = stream_of(*body.bytes);
    wire.length = static_cast<std::int64_t>(body.bytes->size());
  }
  if (stream == nullptr) return wire;
  if (stream->from == Stream::Side::Channel && stream->is_untouched()) {
    wire.kind = protocol::Body::Kind::HandedBack;
    wire.stream = stream->from_id;
    in_streams_.erase(stream->from_id);
    return wire;
  }
  wire.kind = protocol::Body::Kind::Stream;
  wire.stream = next_stream_++;
  stream->to = Stream::Side::Channel;
  stream->to_id = wire.stream;
  out_streams_[wire.stream] = stream;
  return wire;
}

}  // namespace insula::runner
