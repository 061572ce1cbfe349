// One block of CUDA threads, run by one thread of the process.
//
// Every CUDA thread is a fiber with a stack of its own. A fiber runs until it meets a barrier or an exchange within its
// warp, or ends; then another goes on. So results depend on the order of the fibers exactly where a kernel lacks a
// barrier, and the order is the tester's: first to last, last to first, or drawn anew for every block from a seed.
#pragma once
#include "kernel.h"
#include <cstdint>
#include <string>
#include <vector>

namespace stand_in {

struct Index {
    unsigned x, y, z;
};

// Where in the source a fiber waits.
struct Site {
    const char* file;
    int line;
};

// 16 bytes that are on their way to shared memory; zeros where they come from nowhere.
struct Copy {
    float* to;
    const float* from;
};

// What a CUDA thread knows of itself.
struct Thread {
    Index thread, block, threads, blocks;
    unsigned index;  // within the block
    std::vector<Copy> copies;
};

extern Thread* current;

// __syncthreads().
void barrier(Site site);

// The value that warp lane `source` brought; all warp lanes of the mask must come. With `orders` it also orders memory.
std::uint64_t exchange(unsigned mask, std::uint64_t value, unsigned source, bool orders, Site site);

enum class Order { forward, reverse, seeded };

// How the fibers of the blocks to come are ordered.
void set_order(Order order, std::uint64_t seed);

enum class Fault { none, address, launch, undefined };

struct Outcome {
    Fault fault = Fault::none;
    std::string what;
};

// Runs all blocks of a launch, one after the other, up to the first fault.
Outcome run_grid(const Kernel& kernel, Index blocks, Index threads, void** parameters);

// Makes faults of kernels outcomes; other faults go to whoever handled them before.
void catch_signals();

}  // namespace stand_in
