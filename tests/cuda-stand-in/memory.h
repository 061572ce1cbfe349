// Device memory: buffers that object to whoever leaves them.
//
// Every buffer ends at an unreadable page, begins behind bytes whose change is noticed, and is filled with NaNs. Outside
// of kernels and copies, once the host has waited for them, it is closed: host code which follows a device pointer faults.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>

namespace stand_in {

// 0 when `limit` does not allow it.
std::uint64_t allocate(std::size_t bytes, std::size_t limit);
bool release(std::uint64_t address);
std::size_t allocated();

// Whether [address, address + bytes) lies in a live buffer.
bool is_inside(std::uint64_t address, std::size_t bytes);

// What an address is to device memory, in words; empty when it is nothing.
std::string describe(std::uint64_t address);

// Opens device memory to this process, and closes it again.
void open_memory();
void close_memory();

// Which buffer was written outside of its bytes, in words; empty when none was.
std::string trespass();

// Fills memory with a quiet NaN that is recognised in a debugger: 0x7fbadbad.
void poison(void* memory, std::size_t bytes);

// Poisons the __shared__ variables of all kernels, for the calling thread.
void poison_shared();

}  // namespace stand_in
