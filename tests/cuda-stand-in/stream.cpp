#include "stream.h"

namespace stand_in {

bool lazy = false;
Stream default_stream;
std::set<Stream*> streams;

void flush(Stream& stream) {
    while (!stream.waiting.empty()) {
        const auto work = std::move(stream.waiting.front());
        stream.waiting.pop_front();
        if (failed == SUCCESS) work();
    }
}
void flush_all() {
    flush(default_stream);
    for (Stream* stream : streams) flush(*stream);
}
void enqueue(Stream* stream, std::function<void()> work) {
    Stream& queue = stream ? *stream : default_stream;
    queue.waiting.push_back(std::move(work));
    if (!lazy) flush(queue);
}

bool breaks_capture() {
    bool breaks = false;
    for (Stream* stream : streams)
        if (stream->capture) stream->capture->broken = breaks = true;
    return breaks;
}

Result give(Stream* stream, std::function<Result(Stream*)> work) {
    if (stream && stream->capture) {
        stream->capture->nodes.push_back(std::move(work));
        return SUCCESS;
    }
    return work(stream);
}

}  // namespace stand_in
