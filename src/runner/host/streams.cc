// SPDX-License-Identifier: Apache-2.0
//
// Host: streams between the channel and the isolates, with back-pressure.
#include <algorithm>
#include <utility>

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
  if (stream.queued < kStreamWindowBytes && !stream.is_reluctant) return true;
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
  stream->is_reluctant = false;
  pump(*stream);
  make_producer_go_on(*stream);
}

void Host::stop(Stream& stream) {
  const Lock lock(mutex_);
  stop_stream(stream);
}

void Host::stop_stream(Stream& stream) {
  if (stream.stopped || (stream.ended && stream.queue.empty())) return;
  stream.stopped = true;
  stream.queue.clear();
  stream.queued = 0;
  if (stream.from == Stream::Side::Stream) {
    unsplice(stream);
  } else if (stream.from == Stream::Side::Channel) {
    if (!stream.ended) send(protocol::StreamStop{stream.from_id});
    in_streams_.erase(stream.from_id);
  } else if (stream.from == Stream::Side::Isolate && !stream.ended) {
    stream.writer_waiting = false;
    post(stream.writer_worker, WritableEvent{stream.writer, true});
  }
}

void Host::pump(Stream& stream) {
  if (stream.to == Stream::Side::Channel) {
    pump_to_channel(stream);
  } else if (stream.to == Stream::Side::Isolate) {
    pump_to_isolate(stream);
  } else if (stream.to == Stream::Side::Stream) {
    pump_to_next(stream);
  }
}

// Two streams become one. When both lead over the channel the supervisor does it, and the bytes never come here.
void Host::splice(const StreamPtr& written, const StreamPtr& source) {
  const Lock lock(mutex_);
  if (written->ended || written->stopped || source->stopped) return stop_stream(*source);
  // What is written may flow on through others that were joined before, one for each Worker that passed it on.
  Stream* last = written.get();
  bool is_empty = last->queue.empty();
  while (last->to == Stream::Side::Stream && last->next != nullptr) {
    last = last->next.get();
    is_empty = is_empty && last->queue.empty();
  }
  if (source->from == Stream::Side::Channel && source->is_untouched() && last->to == Stream::Side::Channel && is_empty) {
    in_streams_.erase(source->from_id);
    send(protocol::Splice{last->to_id, source->from_id});
    const StreamPtr end = out_streams_[last->to_id];
    out_streams_.erase(last->to_id);
    for (StreamPtr at = written; at != nullptr; at = std::exchange(at->next, nullptr)) at->previous.reset();
    return;
  }
  written->from = Stream::Side::Stream;
  written->previous = source;
  source->to = Stream::Side::Stream;
  source->next = written;
  pump_to_next(*source);
  make_producer_go_on(*source);
}

void Host::pump_to_next(Stream& stream) {
  if (stream.is_flowing || stream.next == nullptr) return;
  stream.is_flowing = true;
  const StreamPtr next = stream.next;
  while (!stream.queue.empty() && next->queued < kStreamWindowBytes && !next->stopped) {
    Bytes bytes = std::move(stream.queue.front());
    stream.queue.pop_front();
    stream.queued -= bytes.size();
    next->queued += bytes.size();
    next->queue.push_back(std::move(bytes));
    pump(*next);
  }
  stream.is_flowing = false;
  if (stream.queue.empty() && stream.ended && stream.next != nullptr) {
    const StreamPtr self = std::move(next->previous);
    stream.next.reset();
    next->ended = true;
    next->error = stream.error;
    pump(*next);
    return;
  }
  make_producer_go_on(stream);
}

// The reader of `stream` wants no more: nor does it of what flows into it.
void Host::unsplice(Stream& stream) {
  const StreamPtr previous = std::move(stream.previous);
  if (previous == nullptr) return;
  const StreamPtr self = std::move(previous->next);
  stop_stream(*previous);
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
    const bool is_own = stream.from == Stream::Side::Isolate && stream.writer_worker == stream.reader_worker;
    post(stream.reader_worker, ChunkEvent{stream.body, std::move(bytes), false, {}, is_own});
    return;
  }
  if (stream.ended) {
    stream.pull_pending = false;
    post(stream.reader_worker, ChunkEvent{stream.body, {}, true, stream.error, true});
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
  } else if (stream.from == Stream::Side::Stream && stream.previous != nullptr &&
             stream.queued <= kStreamWindowBytes / 2) {
    const StreamPtr previous = stream.previous;
    pump_to_next(*previous);
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
  stream->is_reluctant = false;
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
  if (stream->from == Stream::Side::Isolate && !stream->ended) {
    stream->writer_waiting = false;
    post(stream->writer_worker, WritableEvent{stream->writer, true});
  } else if (stream->from == Stream::Side::Channel && !stream->ended) {
    send(protocol::StreamStop{stream->from_id});
    in_streams_.erase(stream->from_id);
  } else if (stream->from == Stream::Side::Stream) {
    unsplice(*stream);
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
