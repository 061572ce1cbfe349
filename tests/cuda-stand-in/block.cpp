#include "block.h"
#include "fiber.h"
#include "memory.h"
#include <algorithm>
#include <csetjmp>
#include <csignal>
#include <cstdio>
#include <dlfcn.h>
#include <ucontext.h>
#include <vector>

namespace stand_in {

Thread* current;

namespace {

constexpr unsigned WARP = 32;

enum class State { runs, at_barrier, in_exchange, ended };

// A CUDA thread with what it waits for. Its tags carry the edges of a barrier: two, used in turn, because a thread that
// has passed a barrier may reach the next before another has woken from this one.
struct Lane : Thread {
    Fiber fiber;
    State state = State::runs;
    Site site{};
    unsigned mask = 0, source = 0, n_barriers = 0, n_exchanges = 0;
    std::uint64_t value = 0, received = 0;
    explicit Lane(void (*start)()) : fiber(start) {}
};

std::vector<Lane*> lanes;  // of which a block uses the first n
unsigned n, n_at_barrier, n_ended;
const Kernel* kernel;
void** parameters;
Outcome outcome;
Order order = Order::forward;
std::uint64_t random_state;

char launch_begins, launch_ends, at_barriers[2], at_exchanges[1024 / WARP][2];

volatile bool in_kernel;
sigjmp_buf before_fault;
std::string fault_text;

Lane& self() { return *static_cast<Lane*>(current); }

void run_lane() {
    for (;;) {
        subscribe(&launch_begins);
        kernel->call(parameters);
        publish(&launch_ends);
        self().state = State::ended;
        ++n_ended;
        Fiber::leave();
    }
}

void report(Fault fault, const std::string& what, const Lane& lane) {
    if (outcome.fault != Fault::none) return;
    char where[256];
    snprintf(where, sizeof where, "kernel %s, block (%u, %u, %u), thread (%u, %u, %u), %s:%d: ", kernel->name.c_str(),
             lane.block.x, lane.block.y, lane.block.z, lane.thread.x, lane.thread.y, lane.thread.z,
             lane.site.file ? lane.site.file : "before any barrier", lane.site.line);
    outcome = {fault, where + what};
}

// What keeps the exchange of a lane from ever being complete; null if nothing does. `complete` tells whether it is.
const char* judge(Lane* const* warp, unsigned width, const Lane& lane, bool& complete) {
    complete = true;
    for (unsigned j = 0; j < width; ++j) {
        if (!(lane.mask >> j & 1)) continue;
        const Lane& other = *warp[j];
        if (other.state == State::ended) return "the mask names a warp lane that has ended";
        complete = complete && other.state == State::in_exchange;
        if (other.state == State::in_exchange && (other.site.line != lane.site.line || other.mask != lane.mask))
            return "warp lanes of one mask are at different exchanges";
    }
    if (lane.source >= width || !(lane.mask >> lane.source & 1))
        return "an exchange reads a warp lane outside of its mask";
    return nullptr;
}

// Wakes the lanes of a warp whose exchange is complete; reports those that never can be.
void complete_exchanges(Lane* const* warp, unsigned width) {
    Lane* woken[WARP];
    unsigned n_woken = 0, judged = 0;
    bool complete = false;
    for (unsigned i = 0; i < width; ++i) {
        Lane& lane = *warp[i];
        if (lane.state != State::in_exchange) continue;
        if (!(lane.mask >> i & 1)) return report(Fault::launch, "a warp lane is not in the mask it gives", lane);
        // Lanes of one mask share their fate; only what they read is each one's own.
        const bool known = judged == lane.mask && lane.source < width && (lane.mask >> lane.source & 1);
        const char* fault = known ? nullptr : judge(warp, width, lane, complete);
        if (fault) return report(Fault::launch, fault, lane);
        judged = lane.mask;
        if (complete) woken[n_woken++] = &lane;
    }
    for (unsigned k = 0; k < n_woken; ++k) woken[k]->received = warp[woken[k]->source]->value;
    for (unsigned k = 0; k < n_woken; ++k) woken[k]->state = State::runs;
}

// Wakes the block when all of it has come to one barrier.
void complete_barrier() {
    if (n_at_barrier == 0 || n_at_barrier + n_ended < n) return;
    const auto waits = [](const Lane* lane) { return lane->state == State::at_barrier; };
    const Lane* first = *std::find_if(lanes.begin(), lanes.begin() + n, waits);
    if (n_ended > 0) return report(Fault::launch, "a barrier waits for threads that have ended", *first);
    for (unsigned i = 0; i < n; ++i)
        if (lanes[i]->site.line != first->site.line || lanes[i]->site.file != first->site.file)
            return report(Fault::launch, "threads of one block wait at different barriers", *lanes[i]);
    for (unsigned i = 0; i < n; ++i) lanes[i]->state = State::runs;
    n_at_barrier = 0;
}

// Runs the block that stands in `lanes` to its end or to a fault.
void run_block(const std::vector<unsigned>& sequence) {
    for (;;) {
        bool ran = false;
        for (unsigned i : sequence) {
            Lane& lane = *lanes[i];
            if (lane.state != State::runs) continue;
            ran = true;
            current = &lane;
            lane.fiber.enter();
        }
        if (n_ended == n) return;
        if (n_at_barrier + n_ended < n)
            for (unsigned first = 0; first < n; first += WARP)
                complete_exchanges(&lanes[first], std::min(WARP, n - first));
        complete_barrier();
        if (outcome.fault != Fault::none) return;
        if (ran) continue;
        const auto is_open = [](const Lane* lane) { return lane->state != State::ended; };
        const auto open = std::find_if(lanes.begin(), lanes.begin() + n, is_open);
        return report(Fault::launch, "deadlock: what this thread waits for never comes", **open);
    }
}

// The lanes of block `block` at their beginning, and the order in which they run.
std::vector<unsigned> prepare(Index block, Index blocks, Index threads) {
    while (lanes.size() < n) lanes.push_back(new Lane(run_lane));  // for good: stacks are used again
    std::vector<unsigned> sequence(n);
    n_at_barrier = n_ended = 0;
    for (unsigned i = 0; i < n; ++i) {
        Lane& lane = *lanes[i];
        lane.thread = {i % threads.x, i / threads.x % threads.y, i / threads.x / threads.y};
        lane.block = block, lane.blocks = blocks, lane.threads = threads, lane.index = i;
        lane.copies.clear();
        lane.site = {}, lane.n_barriers = lane.n_exchanges = 0;
        if (lane.state != State::ended) lane.fiber.reset();  // new, or left behind by a fault
        lane.state = State::runs;
        sequence[i] = order == Order::reverse ? n - 1 - i : i;
    }
    if (order == Order::seeded)
        for (unsigned i = n; i > 1; --i) {
            random_state = random_state * 6364136223846793005u + 1442695040888963407u;
            std::swap(sequence[i - 1], sequence[(random_state >> 33) % i]);
        }
    return sequence;
}

struct sigaction earlier_handlers[NSIG];

void on_signal(int signal, siginfo_t* info, void* context) {
    if (!in_kernel) {  // not ours: as if we had never been here
        sigaction(signal, &earlier_handlers[signal], nullptr);
        return;
    }
    in_kernel = false;
#if defined(__x86_64__)
    const auto code = reinterpret_cast<void*>(static_cast<ucontext_t*>(context)->uc_mcontext.gregs[REG_RIP]);
#else
    const auto code = static_cast<void*>(nullptr);
    (void)context;
#endif
    Dl_info in{};
    char place[512] = "";
    if (code && dladdr(code, &in))
        snprintf(place, sizeof place, " [addr2line -Cfie %s %#lx]", in.dli_fname,
                 static_cast<unsigned long>(static_cast<char*>(code) - static_cast<char*>(in.dli_fbase)));
    const auto address = reinterpret_cast<std::uint64_t>(info->si_addr);
    fault_text = describe(address);
    if (fault_text.empty()) fault_text = "address in no buffer";
    if (signal == SIGILL || signal == SIGTRAP) fault_text = "undefined behaviour";
    fault_text += place;
    siglongjmp(before_fault, signal);
}

}  // namespace

void barrier(Site site) {
    Lane& lane = self();
    char* tag = &at_barriers[lane.n_barriers++ % 2];
    lane.site = site;
    lane.state = State::at_barrier;
    ++n_at_barrier;
    publish(tag);
    Fiber::leave();
    subscribe(tag);
}

std::uint64_t exchange(unsigned mask, std::uint64_t value, unsigned source, bool orders, Site site) {
    Lane& lane = self();
    // A block's last warp may be narrower than its mask.
    const unsigned width = std::min(WARP, n - lane.index / WARP * WARP);
    lane.mask = width == WARP ? mask : mask & ((1u << width) - 1);
    lane.value = value, lane.site = site;
    lane.source = (orders ? lane.index : source) % WARP;
    lane.state = State::in_exchange;
    // A shuffle orders no memory accesses; __syncwarp does.
    char* tag = orders ? &at_exchanges[lane.index / WARP][lane.n_exchanges++ % 2] : nullptr;
    if (tag) publish(tag);
    Fiber::leave();
    if (tag) subscribe(tag);
    return lane.received;
}

void set_order(Order next, std::uint64_t seed) {
    order = next;
    random_state = seed;
}

Outcome run_grid(const Kernel& launched, Index blocks, Index threads, void** arguments) {
    n = threads.x * threads.y * threads.z;
    kernel = &launched, parameters = arguments, outcome = {};
    open_memory();
    publish(&launch_begins);
    const int signal = sigsetjmp(before_fault, 1);
    if (signal == 0) {
        for (unsigned i = 0; i < blocks.x * blocks.y * blocks.z && outcome.fault == Fault::none; ++i) {
            const Index block{i % blocks.x, i / blocks.x % blocks.y, i / blocks.x / blocks.y};
            // Shared memory is used again from block to block; that is no race.
            subscribe(&launch_ends);
            publish(&launch_begins);
            if (launched.uses_shared) poison_shared();
            const auto sequence = prepare(block, blocks, threads);
            in_kernel = true;
            run_block(sequence);
            in_kernel = false;
        }
    } else {
        report(signal == SIGILL || signal == SIGTRAP ? Fault::undefined : Fault::address, fault_text, self());
    }
    subscribe(&launch_ends);
    const std::string written = trespass();
    if (!written.empty()) report(Fault::address, "written: " + written, self());
    return outcome;
}

void catch_signals() {
    struct sigaction action {};
    action.sa_sigaction = on_signal;
    // Another signal may come after a fault was jumped out of; the alternate stack is Rust's, where there is one.
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
    for (int signal : {SIGSEGV, SIGBUS, SIGILL, SIGTRAP}) sigaction(signal, &action, &earlier_handlers[signal]);
}

}  // namespace stand_in
