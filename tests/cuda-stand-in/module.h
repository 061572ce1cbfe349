// Kernels as the driver knows them: those that were built, and what their PTX says of them.
#pragma once
#include "kernel.h"
#include "result.h"
#include <deque>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace stand_in {

// Entries of the PTX with the bytes of their parameters, and those whose code reads and writes no shared memory.
struct Module {
    std::map<std::string, std::vector<std::size_t>> entries;
    std::set<std::string> without_shared;
};

// All that were built.
std::deque<Kernel>& kernels();

// A number from the environment, by which tests make the device small or the driver old.
std::size_t setting(const char* name, std::size_t otherwise);
int driver_version();

Result load(Module** module, const char* image);
// The kernel of that name, if its PTX and its source have the same parameters.
Result find(Kernel** function, const Module& module, const char* name);

}  // namespace stand_in
