// The part of the CUDA driver's interface that the backend uses, on the CPU. Built as libcuda.so.1; for tests only.
//
// What a real driver leaves to chance is an error here: pointers that are no device memory, copies beyond a buffer,
// PTX whose parameters are not those of the kernel that was built. Like a real one it reports what happened in a kernel
// at the next synchronisation, and everything afterwards fails too. With a lazy stream nothing that may be asynchronous
// happens before somebody waits for it.
#include "block.h"
#include "fiber.h"
#include "memory.h"
#include "module.h"
#include "stream.h"
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>

using namespace stand_in;

Result stand_in::failed = SUCCESS;

Result stand_in::say(Result result, const std::string& what) {
    fprintf(stderr, "cuda-stand-in: %s\n", what.c_str());
    return result;
}

namespace {

using Address = std::uint64_t;

std::recursive_mutex one_at_a_time;

struct Event {
    double milliseconds = 0;
};
std::size_t memory_limit() { return setting("GRADUS_STAND_IN_MEMORY", std::size_t{2} << 30); }

void launch(Kernel& kernel, Index blocks, Index threads, std::vector<std::vector<char>>& values) {
    std::vector<void*> parameters;
    for (auto& value : values) parameters.push_back(value.data());
    ++kernel.launches;
    const auto outcome = run_grid(kernel, blocks, threads, parameters.data());
    switch (outcome.fault) {
        case Fault::none: return;
        case Fault::address: failed = ILLEGAL_ADDRESS; break;
        case Fault::undefined: failed = ILLEGAL_INSTRUCTION; break;
        case Fault::launch: failed = LAUNCH_FAILED; break;
    }
    say(failed, outcome.what);
}

void copy(void* to, const void* from, std::size_t bytes) {
    open_memory();
    memcpy(to, from, bytes);
}
void* host(Address address) { return reinterpret_cast<void*>(address); }
std::string words(Address address) {
    const std::string what = describe(address);
    return what.empty() ? "no device memory" : what;
}
Result check(Address address, std::size_t bytes) {
    if (is_inside(address, bytes)) return SUCCESS;
    return say(INVALID_VALUE, "a copy of " + std::to_string(bytes) + " bytes at " + words(address));
}

double now() {
    const auto since = std::chrono::steady_clock::now().time_since_epoch();
    return std::chrono::duration<double, std::milli>(since).count();
}

}  // namespace

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
    set_order(static_cast<Order>(order), seed);
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
    static const bool once = (catch_signals(), true);
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
    const int minor = static_cast<int>(setting("GRADUS_STAND_IN_MINOR", 0));
    const std::map<int, int> values = {{13, 1000000}, {16, 4}, {36, 1000000}, {37, 64}, {75, 8}, {76, minor}};
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
    close_memory();
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
    return find(function, *module, name);
}

API(cuMemGetInfo_v2(std::size_t* free, std::size_t* total)) {
    ENTER;
    *total = memory_limit();
    *free = memory_limit() - allocated();
    return SUCCESS;
}
API(cuMemAlloc_v2(Address* address, std::size_t bytes)) {
    ENTER_OUTSIDE_CAPTURE;
    if (bytes == 0) return INVALID_VALUE;
    *address = allocate(bytes, memory_limit());
    return *address ? SUCCESS : OUT_OF_MEMORY;
}
API(cuMemFree_v2(Address address)) {
    ENTER;
    flush_all();
    return release(address) ? failed : INVALID_VALUE;
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
    close_memory();
    return SUCCESS;
}
API(cuMemcpyDtoH_v2(void* to, Address from, std::size_t bytes)) {
    ENTER_OUTSIDE_CAPTURE;
    flush_all();
    if (failed != SUCCESS) return failed;
    TRY(check(from, bytes));
    copy(to, host(from), bytes);
    close_memory();
    return SUCCESS;
}
API(cuMemcpyDtoD_v2(Address to, Address from, std::size_t bytes)) {
    ENTER_OUTSIDE_CAPTURE;
    flush_all();
    TRY(check(to, bytes));
    TRY(check(from, bytes));
    copy(host(to), host(from), bytes);
    close_memory();
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
    open_memory();
    memset(host(address), value, bytes);
    close_memory();
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
    close_memory();
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
            if (address != 0 && !is_inside(address, 1)) {
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
