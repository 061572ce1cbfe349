// Streams: work in its order, at once or as late as possible, and graphs of it.
#pragma once
#include "result.h"
#include <deque>
#include <functional>
#include <set>
#include <vector>

namespace stand_in {

struct Stream;

// What a stream was asked for while it was captured: work, made anew for every launch of the graph, which may refuse
// it.
struct Graph {
    std::vector<std::function<Result(Stream*)>> nodes;
    bool broken = false;  // by a wait
};
struct Stream {
    std::deque<std::function<void()>> waiting;
    Graph* capture = nullptr;
};

// Whether nothing that may be asynchronous happens before somebody waits for it.
extern bool lazy;
extern Stream default_stream;
extern std::set<Stream*> streams;

void flush(Stream& stream);
void flush_all();
void enqueue(Stream* stream, std::function<void()> work);

// Whether something that no graph can hold was asked for while a stream is captured, which breaks the graph.
bool breaks_capture();

// Work for a stream, now or, where it is captured, whenever the graph is launched.
Result give(Stream* stream, std::function<Result(Stream*)> work);

}  // namespace stand_in
