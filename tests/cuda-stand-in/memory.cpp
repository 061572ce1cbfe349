#include "memory.h"
#include <algorithm>
#include <cstring>
#include <cwchar>
#include <link.h>
#include <map>
#include <sys/mman.h>
#include <vector>

namespace stand_in {

namespace {

constexpr std::size_t PAGE = 4096, ALIGNMENT = 16, MARGIN = 64;
constexpr unsigned char UNTOUCHED = 0xc5;

struct Buffer {
    char* map;  // a closed page, the body, a closed page
    std::size_t body;
    char* begin;
    std::size_t bytes;
    bool live;
};

std::map<std::uint64_t, Buffer> buffers;  // by their first address
std::size_t total;
bool is_open = false;

const Buffer* find(std::uint64_t address) {
    auto next = buffers.upper_bound(address);
    // Just in front of a buffer is that buffer's too.
    if (next != buffers.end() && address + MARGIN >= next->first) return &next->second;
    if (next == buffers.begin()) return nullptr;
    const Buffer& buffer = std::prev(next)->second;
    return address <= reinterpret_cast<std::uint64_t>(buffer.begin + buffer.bytes + PAGE) ? &buffer : nullptr;
}

void set_access(int access) {
    for (auto& [address, buffer] : buffers)
        if (buffer.live) mprotect(buffer.map + PAGE, buffer.body, access);
}

}  // namespace

std::uint64_t allocate(std::size_t bytes, std::size_t limit) {
    if (bytes == 0 || bytes > limit || total > limit - bytes) return 0;
    const std::size_t body = (bytes + ALIGNMENT + MARGIN + PAGE - 1) / PAGE * PAGE;
    void* map = mmap(nullptr, body + 2 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (map == MAP_FAILED) return 0;
    Buffer buffer{static_cast<char*>(map), body, nullptr, bytes, true};
    char* inside = buffer.map + PAGE;
    buffer.begin = inside + body - (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    mprotect(inside, body, PROT_READ | PROT_WRITE);
    memset(inside, UNTOUCHED, body);
    poison(buffer.begin, bytes);
    if (!is_open) mprotect(inside, body, PROT_NONE);
    const auto address = reinterpret_cast<std::uint64_t>(buffer.begin);
    buffers[address] = buffer;
    total += bytes;
    return address;
}

bool release(std::uint64_t address) {
    auto found = buffers.find(address);
    if (found == buffers.end() || !found->second.live) return false;
    Buffer& buffer = found->second;
    // Its addresses stay taken, so that a use after it was freed is known for what it is.
    madvise(buffer.map + PAGE, buffer.body, MADV_DONTNEED);
    mprotect(buffer.map + PAGE, buffer.body, PROT_NONE);
    buffer.live = false;
    total -= buffer.bytes;
    return true;
}

std::size_t allocated() { return total; }

bool is_inside(std::uint64_t address, std::size_t bytes) {
    const Buffer* buffer = find(address);
    const auto begin = buffer ? reinterpret_cast<std::uint64_t>(buffer->begin) : 0;
    return buffer && buffer->live && address >= begin && address - begin <= buffer->bytes &&
           bytes <= buffer->bytes - (address - begin);
}

std::string describe(std::uint64_t address) {
    const Buffer* buffer = find(address);
    if (!buffer) return "";
    const auto offset = static_cast<std::int64_t>(address) - reinterpret_cast<std::int64_t>(buffer->begin);
    return (buffer->live ? "byte " : "freed: byte ") + std::to_string(offset) + " of a buffer of " +
           std::to_string(buffer->bytes) + " bytes";
}

void open_memory() {
    if (!is_open) set_access(PROT_READ | PROT_WRITE);
    is_open = true;
}
void close_memory() {
    if (is_open) set_access(PROT_NONE);
    is_open = false;
}

namespace {

// The first byte in [from, to) that was written; `to` if none was.
const char* first_written(const char* from, const char* to) {
    static const std::vector<char> untouched(ALIGNMENT + MARGIN + PAGE, static_cast<char>(UNTOUCHED));
    if (memcmp(from, untouched.data(), static_cast<std::size_t>(to - from)) == 0) return to;
    return std::find_if(from, to, [](char byte) { return static_cast<unsigned char>(byte) != UNTOUCHED; });
}

}  // namespace

std::string trespass() {
    for (const auto& [address, buffer] : buffers) {
        if (!buffer.live) continue;
        const char *end = buffer.begin + buffer.bytes, *body_end = buffer.map + PAGE + buffer.body;
        using Margin = std::pair<const char*, const char*>;
        for (const auto& [from, to] : {Margin{buffer.begin - MARGIN, buffer.begin}, Margin{end, body_end}})
            if (const char* byte = first_written(from, to); byte != to)
                return describe(reinterpret_cast<std::uint64_t>(byte));
    }
    return "";
}

void poison(void* memory, std::size_t bytes) {
    const unsigned pattern = 0x7fbadbad;
    const std::size_t whole = bytes / sizeof pattern;
    static_assert(sizeof(wchar_t) == sizeof pattern, "wmemset is the fastest way to repeat four bytes");
    wmemset(static_cast<wchar_t*>(memory), static_cast<wchar_t>(pattern), whole);
    memset(static_cast<unsigned*>(memory) + whole, 0xad, bytes % sizeof pattern);
}

namespace {

// The thread-local segment of this library: the __shared__ variables and nothing else.
int poison_own_segment(dl_phdr_info* info, std::size_t, void* code) {
    bool own = false;
    std::size_t bytes = 0;
    for (int i = 0; i < info->dlpi_phnum; ++i) {
        const auto& part = info->dlpi_phdr[i];
        const auto from = info->dlpi_addr + part.p_vaddr, at = reinterpret_cast<std::uint64_t>(code);
        if (part.p_type == PT_LOAD && at >= from && at < from + part.p_memsz) own = true;
        if (part.p_type == PT_TLS) bytes = part.p_memsz;
    }
    if (own && bytes > 0 && info->dlpi_tls_data) poison(info->dlpi_tls_data, bytes);
    return own;
}

}  // namespace

void poison_shared() { dl_iterate_phdr(poison_own_segment, reinterpret_cast<void*>(&poison_own_segment)); }

}  // namespace stand_in
