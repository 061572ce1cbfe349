// The part of the CUDA driver's interface that the backend uses, on the CPU. Built as libcuda.so.1; for tests only.
//
// What a real driver leaves to chance is an error here: pointers that are no device memory, copies beyond a buffer,
// PTX whose parameters are not those of the kernel that was built. Like a real one it reports what happened in a kernel
// at the next synchronisation, and everything afterwards fails too. With a lazy stream nothing that may be asynchronous
// happens before somebody waits for it.
#include "block.h"
#include "fiber.h"
#include "kernel.h"
#include "memory.h"
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>

namespace {

using stand_in::Index;
using stand_in::Kernel;
using Address = std::uint64_t;

enum Result {
    SUCCESS = 0,
    INVALID_VALUE = 1,
    OUT_OF_MEMORY = 2,
    INVALID_DEVICE = 101,
    INVALID_IMAGE = 200,
    UNSUPPORTED_PTX_VERSION = 222,
    NOT_FOUND = 500,
    ILLEGAL_ADDRESS = 700,
    ILLEGAL_INSTRUCTION = 715,
    LAUNCH_FAILED = 719,
    CAPTURE_UNSUPPORTED = 900,
    CAPTURE_INVALIDATED = 901,
    NOT_CAPTURING = 903,
};

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
struct Event {
    double milliseconds = 0;
};
// Entries of the PTX with the bytes of their parameters, and those whose code reads and writes no shared memory.
struct Module {
    std::map<std::string, std::vector<std::size_t>> entries;
    std::set<std::string> without_shared;
};

std::recursive_mutex one_at_a_time;
Result failed = SUCCESS;  // sticky, like that of a context
bool lazy = false;
Stream default_stream;
std::set<Stream*> streams;

std::deque<Kernel>& kernels() {
    static std::deque<Kernel> list;
    return list;
}

// A number from the environment, by which tests make the device small or the driver old.
std::size_t setting(const char* name, std::size_t otherwise) {
    const char* text = getenv(name);
    return text ? strtoull(text, nullptr, 10) : otherwise;
}
int driver_version() { return static_cast<int>(setting("GRADUS_STAND_IN_VERSION", 13000)); }
std::size_t memory_limit() { return setting("GRADUS_STAND_IN_MEMORY", std::size_t{2} << 30); }

Result say(Result result, const std::string& what) {
    fprintf(stderr, "cuda-stand-in: %s\n", what.c_str());
    return result;
}

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

// Whether something that no graph can hold was asked for while a stream is captured, which breaks the graph.
bool breaks_capture() {
    bool breaks = false;
    for (Stream* stream : streams)
        if (stream->capture) stream->capture->broken = breaks = true;
    return breaks;
}

// Work for a stream, now or, where it is captured, whenever the graph is launched.
Result give(Stream* stream, std::function<Result(Stream*)> work) {
    if (stream && stream->capture) {
        stream->capture->nodes.push_back(std::move(work));
        return SUCCESS;
    }
    return work(stream);
}

void launch(Kernel& kernel, Index blocks, Index threads, std::vector<std::vector<char>>& values) {
    std::vector<void*> parameters;
    for (auto& value : values) parameters.push_back(value.data());
    ++kernel.launches;
    const auto outcome = stand_in::run_grid(kernel, blocks, threads, parameters.data());
    switch (outcome.fault) {
        case stand_in::Fault::none: return;
        case stand_in::Fault::address: failed = ILLEGAL_ADDRESS; break;
        case stand_in::Fault::undefined: failed = ILLEGAL_INSTRUCTION; break;
        case stand_in::Fault::launch: failed = LAUNCH_FAILED; break;
    }
    say(failed, outcome.what);
}

// `.param .u64 name` has 8 bytes; `.param .align 8 .b8 name[24]` has 24.
std::size_t parameter_bytes(const std::string& declaration) {
    const auto bracket = declaration.find('[');
    if (bracket != std::string::npos) return strtoull(declaration.c_str() + bracket + 1, nullptr, 10);
    return strtoull(declaration.c_str() + declaration.find_first_of("0123456789"), nullptr, 10) / 8;
}

Module* read_ptx(const std::string& ptx) {
    auto module = std::make_unique<Module>();
    const std::string entry = ".entry ", parameter = ".param ";
    for (auto at = ptx.find(entry); at != std::string::npos; at = ptx.find(entry, at + 1)) {
        const auto name_at = at + entry.size(), name_end = ptx.find_first_of("( \n", name_at), end = ptx.find(')', at);
        const std::string name = ptx.substr(name_at, name_end - name_at), code = ptx.substr(end, ptx.find(entry, end) - end);
        // Every instruction on shared memory names it; code in other functions, or no code at all, says nothing.
        const auto has = [&](const char* word) { return code.find(word) != std::string::npos; };
        if (has("ret;") && !has(".shared") && !has("call")) module->without_shared.insert(name);
        auto& sizes = module->entries[name];
        for (auto p = ptx.find(parameter, at); p < end; p = ptx.find(parameter, p + 1)) {
            const auto from = p + parameter.size();
            sizes.push_back(parameter_bytes(ptx.substr(from, ptx.find_first_of(",)", from) - from)));
        }
    }
    return module.release();
}

Result load(Module** module, const char* image) {
    const char* version = strstr(image, ".version ");
    if (!version) return say(INVALID_IMAGE, "a module that is no PTX");
    // PTX ISA 8.4 came with CUDA 12.4, 9.0 with 13.0.
    const int needed = atof(version + 9) >= 9.0 ? 13000 : 12040;
    if (driver_version() < needed) return UNSUPPORTED_PTX_VERSION;
    *module = read_ptx(image);
    return SUCCESS;
}

void copy(void* to, const void* from, std::size_t bytes) {
    stand_in::open_memory();
    memcpy(to, from, bytes);
}
void* host(Address address) { return reinterpret_cast<void*>(address); }
std::string words(Address address) {
    const std::string what = stand_in::describe(address);
    return what.empty() ? "no device memory" : what;
}
Result check(Address address, std::size_t bytes) {
    if (stand_in::is_inside(address, bytes)) return SUCCESS;
    return say(INVALID_VALUE, "a copy of " + std::to_string(bytes) + " bytes at " + words(address));
}

double now() {
    const auto since = std::chrono::steady_clock::now().time_since_epoch();
    return std::chrono::duration<double, std::milli>(since).count();
}

}  // namespace

bool stand_in::add_kernel(Kernel kernel) {
    kernels().push_back(std::move(kernel));
    return true;
}

// Every function takes the lock; those that work on the device fail once something has.
#define API(signature) extern "C" __attribute__((visibility("default"))) int signature
#define ENTER const std::lock_guard<std::recursive_mutex> lock(one_at_a_time)
#define ENTER_WORKING \
    ENTER;            \
    if (failed != SUCCESS) return failed
// Of what waits for the device, or changes what is there.
#define ENTER_OUTSIDE_CAPTURE \
    ENTER_WORKING;            \
    if (breaks_capture()) return say(CAPTURE_UNSUPPORTED, std::string(__func__) + " while a stream is captured")
#define TRY(expression) \
    if (const Result result = (expression); result != SUCCESS) return result

// What tests set and ask. Order: 0 first to last, 1 last to first, 2 drawn.
API(stand_in_set(int order, unsigned long long seed, int is_lazy)) {
    ENTER;
    flush_all();
    stand_in::set_order(static_cast<stand_in::Order>(order), seed);
    lazy = is_lazy != 0;
    return failed;
}
extern "C" __attribute__((visibility("default"))) unsigned long long stand_in_launches(const char* name) {
    ENTER;
    unsigned long long launches = 0;
    for (const Kernel& kernel : kernels())
        if (kernel.name == name) launches += kernel.launches;
    return launches;
}

API(cuInit(unsigned)) {
    ENTER;
    static const bool once = (stand_in::catch_signals(), true);
    return once ? SUCCESS : INVALID_VALUE;
}
API(cuDriverGetVersion(int* version)) { return *version = driver_version(), SUCCESS; }
API(cuGetErrorString(int error, const char** text)) {
    switch (error) {
        case SUCCESS: *text = "no error"; break;
        case OUT_OF_MEMORY: *text = "out of memory"; break;
        case ILLEGAL_ADDRESS: *text = "an illegal memory access was encountered"; break;
        case ILLEGAL_INSTRUCTION: *text = "undefined behaviour in a kernel"; break;
        case LAUNCH_FAILED: *text = "unspecified launch failure"; break;
        default: *text = "error of the stand-in driver";
    }
    return SUCCESS;
}

API(cuDeviceGetCount(int* count)) { return *count = static_cast<int>(setting("GRADUS_STAND_IN_DEVICES", 1)), SUCCESS; }
API(cuDeviceGet(int* device, int ordinal)) { return *device = 0, ordinal == 0 ? SUCCESS : INVALID_DEVICE; }
API(cuDeviceGetName(char* name, int length, int)) {
    snprintf(name, static_cast<std::size_t>(length), "CPU stand-in, not a GPU");
    return SUCCESS;
}
API(cuDeviceTotalMem_v2(std::size_t* bytes, int)) { return *bytes = memory_limit(), SUCCESS; }
API(cuDeviceGetAttribute(int* value, int attribute, int)) {
    // Among what may be asked for: multiprocessors, clocks in kHz, bits of the memory's bus, compute capability.
    static const std::map<int, int> values = {{13, 1000000}, {16, 4}, {36, 1000000}, {37, 64}, {75, 8}, {76, 0}};
    const auto found = values.find(attribute);
    *value = found == values.end() ? 1 : found->second;
    return SUCCESS;
}

static int the_context;
API(cuDevicePrimaryCtxRetain(void** context, int)) { return *context = &the_context, SUCCESS; }
API(cuDevicePrimaryCtxRelease_v2(int)) { return SUCCESS; }
API(cuDevicePrimaryCtxSetFlags_v2(int, unsigned)) { return SUCCESS; }
API(cuCtxSetCurrent(void*)) { return SUCCESS; }
API(cuCtxGetCurrent(void** context)) { return *context = &the_context, SUCCESS; }
API(cuCtxSynchronize()) {
    ENTER;
    if (breaks_capture()) return say(CAPTURE_UNSUPPORTED, std::string(__func__) + " while a stream is captured");
    flush_all();
    stand_in::close_memory();
    return failed;
}

API(cuModuleLoadData(Module** module, const char* image)) { return load(module, image); }
API(cuModuleLoadDataEx(Module** module, const char* image, unsigned, int*, void**)) { return load(module, image); }
API(cuModuleUnload(Module* module)) {
    delete module;
    return SUCCESS;
}
API(cuModuleGetFunction(Kernel** function, Module* module, const char* name)) {
    ENTER;
    const auto entry = module->entries.find(name);
    if (entry == module->entries.end()) return NOT_FOUND;
    for (Kernel& kernel : kernels()) {
        if (kernel.name != name) continue;
        if (kernel.sizes != entry->second)
            return say(INVALID_IMAGE, kernel.name + ": the PTX has other parameters than the source: remake it");
        kernel.uses_shared = module->without_shared.count(name) == 0;
        *function = &kernel;
        return SUCCESS;
    }
    return NOT_FOUND;
}

API(cuMemGetInfo_v2(std::size_t* free, std::size_t* total)) {
    ENTER;
    *total = memory_limit();
    *free = memory_limit() - stand_in::allocated();
    return SUCCESS;
}
API(cuMemAlloc_v2(Address* address, std::size_t bytes)) {
    ENTER_OUTSIDE_CAPTURE;
    if (bytes == 0) return INVALID_VALUE;
    *address = stand_in::allocate(bytes, memory_limit());
    return *address ? SUCCESS : OUT_OF_MEMORY;
}
API(cuMemFree_v2(Address address)) {
    ENTER;
    flush_all();
    return stand_in::release(address) ? failed : INVALID_VALUE;
}
API(cuMemAllocHost_v2(void** address, std::size_t bytes)) {
    *address = malloc(bytes);
    return *address ? SUCCESS : OUT_OF_MEMORY;
}
API(cuMemFreeHost(void* address)) {
    ENTER;
    flush_all();
    free(address);
    return SUCCESS;
}
API(cuMemcpyHtoD_v2(Address to, const void* from, std::size_t bytes)) {
    ENTER_OUTSIDE_CAPTURE;
    flush_all();
    TRY(check(to, bytes));
    copy(host(to), from, bytes);
    stand_in::close_memory();
    return SUCCESS;
}
API(cuMemcpyDtoH_v2(void* to, Address from, std::size_t bytes)) {
    ENTER_OUTSIDE_CAPTURE;
    flush_all();
    if (failed != SUCCESS) return failed;
    TRY(check(from, bytes));
    copy(to, host(from), bytes);
    stand_in::close_memory();
    return SUCCESS;
}
API(cuMemcpyDtoD_v2(Address to, Address from, std::size_t bytes)) {
    ENTER_OUTSIDE_CAPTURE;
    flush_all();
    TRY(check(to, bytes));
    TRY(check(from, bytes));
    copy(host(to), host(from), bytes);
    stand_in::close_memory();
    return SUCCESS;
}
API(cuMemcpyHtoDAsync_v2(Address to, const void* from, std::size_t bytes, Stream* stream)) {
    ENTER_WORKING;
    return give(stream, [=](Stream* stream) -> Result {
        TRY(check(to, bytes));
        // Page-locked memory is read when its turn comes, and so is any other where the device can reach it.
        enqueue(stream, [=] { copy(host(to), from, bytes); });
        return SUCCESS;
    });
}
API(cuMemcpyDtoHAsync_v2(void* to, Address from, std::size_t bytes, Stream* stream)) {
    ENTER_WORKING;
    return give(stream, [=](Stream* stream) -> Result {
        TRY(check(from, bytes));
        enqueue(stream, [=] { copy(to, host(from), bytes); });
        return SUCCESS;
    });
}
API(cuMemcpyDtoDAsync_v2(Address to, Address from, std::size_t bytes, Stream* stream)) {
    ENTER_WORKING;
    return give(stream, [=](Stream* stream) -> Result {
        TRY(check(to, bytes));
        TRY(check(from, bytes));
        enqueue(stream, [=] { copy(host(to), host(from), bytes); });
        return SUCCESS;
    });
}
API(cuMemsetD8_v2(Address address, unsigned char value, std::size_t bytes)) {
    ENTER_OUTSIDE_CAPTURE;
    flush_all();
    TRY(check(address, bytes));
    stand_in::open_memory();
    memset(host(address), value, bytes);
    stand_in::close_memory();
    return SUCCESS;
}

API(cuStreamCreateWithPriority(Stream** stream, unsigned, int)) {
    ENTER;
    streams.insert(*stream = new Stream);
    return SUCCESS;
}
API(cuStreamSynchronize(Stream* stream)) {
    ENTER;
    if (breaks_capture()) return say(CAPTURE_UNSUPPORTED, std::string(__func__) + " while a stream is captured");
    flush(stream ? *stream : default_stream);
    stand_in::close_memory();
    return failed;
}
API(cuStreamDestroy_v2(Stream* stream)) {
    ENTER;
    flush(*stream);
    streams.erase(stream);
    delete stream;
    return SUCCESS;
}

API(cuEventCreate(Event** event, unsigned)) { return *event = new Event, SUCCESS; }
API(cuEventDestroy_v2(Event* event)) {
    delete event;
    return SUCCESS;
}
API(cuEventRecord(Event* event, Stream* stream)) {
    ENTER;
    enqueue(stream, [=] { event->milliseconds = now(); });
    return SUCCESS;
}
API(cuEventSynchronize(Event*)) {
    ENTER;
    flush_all();
    return failed;
}
API(cuEventElapsedTime(float* milliseconds, Event* from, Event* to)) {
    *milliseconds = static_cast<float>(to->milliseconds - from->milliseconds);
    return SUCCESS;
}

API(cuLaunchKernel(Kernel* kernel, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
                   unsigned shared_bytes, Stream* stream, void** parameters, void**)) {
    ENTER_WORKING;
    const auto threads = static_cast<std::uint64_t>(bx) * by * bz;
    if (gx == 0 || gy == 0 || gz == 0 || threads == 0) return say(INVALID_VALUE, kernel->name + ": a launch of nothing");
    if (threads > 1024 || bz > 64 || gx > 0x7fffffff || gy > 65535 || gz > 65535 || shared_bytes != 0)
        return say(INVALID_VALUE, kernel->name + ": a launch beyond the limits");
    std::vector<std::vector<char>> values;  // of now, whatever the caller does with them afterwards
    for (std::size_t i = 0; i < kernel->sizes.size(); ++i) {
        const char* value = static_cast<char*>(parameters[i]);
        values.emplace_back(value, value + kernel->sizes[i]);
    }
    return give(stream, [=](Stream* stream) -> Result {
        for (std::size_t i = 0; i < values.size(); ++i) {
            Address address = 0;
            if (kernel->is_pointer[i]) memcpy(&address, values[i].data(), sizeof address);
            if (address != 0 && !stand_in::is_inside(address, 1)) {
                const std::string what = kernel->name + ": argument " + std::to_string(i) + " is " + words(address);
                return failed = say(ILLEGAL_ADDRESS, what);
            }
        }
        enqueue(stream, [=]() mutable { launch(*kernel, {gx, gy, gz}, {bx, by, bz}, values); });
        return SUCCESS;  // as a real driver: what happens in the kernel is reported later
    });
}

API(cuStreamBeginCapture_v2(Stream* stream, int)) {
    ENTER_WORKING;
    if (!stream || stream->capture) return INVALID_VALUE;
    stream->capture = new Graph;
    return SUCCESS;
}
API(cuStreamEndCapture(Stream* stream, Graph** graph)) {
    ENTER;
    if (!stream || !stream->capture) return NOT_CAPTURING;
    *graph = stream->capture;
    stream->capture = nullptr;
    if (!(*graph)->broken) return SUCCESS;
    delete *graph;
    *graph = nullptr;
    return CAPTURE_INVALIDATED;
}
API(cuGraphInstantiateWithFlags(Graph** executable, const Graph* graph, unsigned long long)) {
    return *executable = new Graph(*graph), SUCCESS;
}
API(cuGraphLaunch(const Graph* executable, Stream* stream)) {
    ENTER_WORKING;
    for (const auto& node : executable->nodes) TRY(node(stream));
    return SUCCESS;
}
API(cuGraphExecDestroy(Graph* executable)) {
    ENTER;
    flush_all();
    return delete executable, SUCCESS;
}
API(cuGraphDestroy(Graph* graph)) { return delete graph, SUCCESS; }
