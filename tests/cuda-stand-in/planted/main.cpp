// Runs every planted fault in a process of its own and checks that the stand-in objects as it should.
//
// Without arguments: what any machine can check. With "races": built with the race detector, `main races NAME` runs one
// kernel and leaves it to the detector to set the exit code.
#include "device.h"
#include "../../../cuda-kernels/common.cuh"
#include "planted.cu"
#include <cstdio>
#include <functional>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

STAND_IN_KERNEL(sound)
STAND_IN_KERNEL(sound_twice)
STAND_IN_KERNEL(missing_barrier)
STAND_IN_KERNEL(missing_second_barrier)
STAND_IN_KERNEL(exit_before_barrier)
STAND_IN_KERNEL(two_barriers)
STAND_IN_KERNEL(barrier_in_a_branch)
STAND_IN_KERNEL(shuffle_with_the_gone)
STAND_IN_KERNEL(unwritten_shared)
STAND_IN_KERNEL(unwritten_result)
STAND_IN_KERNEL(read_behind)
STAND_IN_KERNEL(write_behind)
STAND_IN_KERNEL(write_in_front)
STAND_IN_KERNEL(write_far)
STAND_IN_KERNEL(shared_overrun)
STAND_IN_KERNEL(copy_not_waited_for)
STAND_IN_KERNEL(copy_waited_for)
STAND_IN_KERNEL(misaligned)
STAND_IN_KERNEL(index_overflow)
STAND_IN_KERNEL(scatter)

// The driver's interface, as the backend sees it.
extern "C" {
int cuInit(unsigned);
int cuModuleLoadData(void** module, const void* image);
int cuModuleGetFunction(void** function, void* module, const char* name);
int cuMemAlloc_v2(std::uint64_t* address, std::size_t bytes);
int cuMemFree_v2(std::uint64_t address);
int cuMemcpyHtoD_v2(std::uint64_t to, const void* from, std::size_t bytes);
int cuMemcpyDtoH_v2(void* to, std::uint64_t from, std::size_t bytes);
int cuMemcpyHtoDAsync_v2(std::uint64_t to, const void* from, std::size_t bytes, void* stream);
int cuMemcpyDtoHAsync_v2(void* to, std::uint64_t from, std::size_t bytes, void* stream);
int cuStreamSynchronize(void* stream);
int cuLaunchKernel(void*, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, void*, void**, void**);
int cuStreamCreateWithPriority(void** stream, unsigned, int);
int cuStreamBeginCapture_v2(void* stream, int);
int cuStreamEndCapture(void* stream, void** graph);
int cuGraphInstantiateWithFlags(void** executable, void* graph, unsigned long long);
int cuGraphLaunch(void* executable, void* stream);
int stand_in_set(int order, unsigned long long seed, int lazy);
}

namespace {

// Results of the driver's functions; and what only this program knows: a wrong result, and the end of the process.
enum Expected {
    RIGHT = 0,
    INVALID_VALUE = 1,
    OUT_OF_MEMORY = 2,
    INVALID_IMAGE = 200,
    ILLEGAL_ADDRESS = 700,
    UNDEFINED = 715,
    FAILED = 719,
    CAPTURE_INVALIDATED = 901,
    WRONG = 1000,
    CRASH = 1001,
};

const char PARAMETERS[] = ".param .u64 a, .param .u64 b, .param .u32 c";

struct Setup {
    std::uint64_t in, out;
    float values[N], result[N];
    void* function = nullptr;

    explicit Setup(const std::string& kernel, const std::string& parameters = PARAMETERS) {
        for (int i = 0; i < N; ++i) values[i] = static_cast<float>(i * i + 1), result[i] = -1;
        cuInit(0);
        cuMemAlloc_v2(&in, sizeof values);
        cuMemAlloc_v2(&out, sizeof values);
        cuMemcpyHtoD_v2(in, values, sizeof values);
        void* module = nullptr;
        cuModuleLoadData(&module, (".version 8.4\n.visible .entry " + kernel + "(" + parameters + ")").c_str());
        status = cuModuleGetFunction(&function, module, kernel.c_str());
    }
    int status;

    int launch(void* stream = nullptr) {
        int n = N;
        void* parameters[] = {&in, &out, &n};
        return cuLaunchKernel(function, 1, 1, 1, N, 1, 1, 0, stream, parameters, nullptr);
    }
    int run() {
        if (status == RIGHT) status = launch();
        if (status == RIGHT) status = cuMemcpyDtoH_v2(result, out, sizeof result);
        return status != RIGHT ? status : is_right() ? RIGHT : WRONG;
    }
    bool is_right() const {
        for (int i = 0; i < N; ++i) {
            const float once = values[i] + values[(i + 1) % N], twice = values[(i + 32) % N] + values[(i + 33) % N];
            if (result[i] != once && result[i] != twice) return false;
        }
        return true;
    }
};

int in_order(const char* kernel, int order) {
    stand_in_set(order, 5, 0);
    return Setup(kernel).run();
}

int freed() {
    Setup setup("sound");
    cuMemFree_v2(setup.in);
    return setup.run();
}
int host_pointer() {
    Setup setup("sound");
    setup.in = reinterpret_cast<std::uint64_t>(setup.values);
    return setup.run();
}
int long_copy() {
    Setup setup("sound");
    return cuMemcpyDtoH_v2(setup.result, setup.out + 4, sizeof setup.result);
}
int followed_by_the_host() {
    Setup setup("sound");
    return *reinterpret_cast<volatile float*>(setup.in) == 1.0f ? RIGHT : WRONG;
}
int not_waited_for() {
    Setup setup("sound");
    stand_in_set(0, 0, 1);
    setup.launch();
    cuMemcpyDtoHAsync_v2(setup.result, setup.out, sizeof setup.result, nullptr);
    return setup.is_right() ? RIGHT : WRONG;
}
int waited_for() {
    Setup setup("sound");
    stand_in_set(0, 0, 1);
    setup.launch();
    cuMemcpyDtoHAsync_v2(setup.result, setup.out, sizeof setup.result, nullptr);
    cuStreamSynchronize(nullptr);
    return setup.is_right() ? RIGHT : WRONG;
}
// The source changes before the copy's turn has come, or after it.
int source_changed(bool after_waiting) {
    Setup setup("sound");
    stand_in_set(0, 0, 1);
    float source[N];
    std::copy(setup.values, setup.values + N, source);
    cuMemcpyHtoDAsync_v2(setup.in, source, sizeof source, nullptr);
    if (after_waiting) cuStreamSynchronize(nullptr);
    std::fill(source, source + N, -1.0f);
    return setup.run();
}
// Of a batch of 40,000 images of 1,000 channels.
int plane_beyond_32_bits() {
    static_assert(sizeof(plane_at(0, 0, 0, 0)) == 8, "planes begin beyond 2^31 values");
    return plane_at(40000, 1000, 7, 65536) == 40000007LL * 65536 ? RIGHT : WRONG;
}
// A graph of what `asks` asks a stream for.
struct Captured {
    void *stream, *graph = nullptr, *executable = nullptr;
    int status;

    explicit Captured(const std::function<void(void*)>& asks) {
        cuStreamCreateWithPriority(&stream, 0, 0);
        cuStreamBeginCapture_v2(stream, 1);
        asks(stream);
        status = cuStreamEndCapture(stream, &graph);
        if (status == RIGHT) status = cuGraphInstantiateWithFlags(&executable, graph, 0);
    }
    int launch() {
        if (status == RIGHT) status = cuGraphLaunch(executable, stream);
        if (status == RIGHT) status = cuStreamSynchronize(stream);
        return status;
    }
};
// What is in memory may change from launch to launch.
int graph_launched_twice() {
    Setup setup("sound");
    Captured captured([&](void* stream) { setup.launch(stream); });
    if (captured.launch() != RIGHT) return captured.status;
    for (float& value : setup.values) value += 3;
    cuMemcpyHtoD_v2(setup.in, setup.values, sizeof setup.values);
    if (captured.launch() != RIGHT) return captured.status;
    const int status = cuMemcpyDtoH_v2(setup.result, setup.out, sizeof setup.result);
    return status != RIGHT ? status : setup.is_right() ? RIGHT : WRONG;
}
int graph_with_a_stale_pointer() {
    Setup setup("sound");
    Captured captured([&](void* stream) { setup.launch(stream); });
    cuMemFree_v2(setup.in);
    return captured.launch();
}
// The launch went to another stream.
int graph_without_a_node() {
    Setup setup("sound");
    Captured captured([&](void*) { setup.launch(); });
    cuMemcpyHtoD_v2(setup.out, std::vector<float>(N).data(), sizeof setup.result);
    if (captured.launch() != RIGHT) return captured.status;
    cuMemcpyDtoH_v2(setup.result, setup.out, sizeof setup.result);
    return setup.is_right() ? RIGHT : WRONG;
}
// A copy from the host is made again, from wherever its source was.
int graph_with_a_stale_source() {
    Setup setup("sound");
    float source[N];
    std::copy(setup.values, setup.values + N, source);
    Captured captured([&](void* stream) {
        cuMemcpyHtoDAsync_v2(setup.in, source, sizeof source, stream);
        setup.launch(stream);
    });
    std::fill(source, source + N, -1.0f);
    if (captured.launch() != RIGHT) return captured.status;
    cuMemcpyDtoH_v2(setup.result, setup.out, sizeof setup.result);
    return setup.is_right() ? RIGHT : WRONG;
}
int graph_that_waits() {
    Setup setup("sound");
    return Captured([&](void* stream) { cuStreamSynchronize(stream); }).status;
}
int too_much() {
    setenv("GRADUS_STAND_IN_MEMORY", "1000", 1);
    std::uint64_t address;
    return cuMemAlloc_v2(&address, 2000);
}

struct Case {
    const char* what;
    std::function<int()> run;
    int expected;
};

const Case CASES[] = {
    {"sound, first to last", [] { return in_order("sound", 0); }, RIGHT},
    {"sound, last to first", [] { return in_order("sound", 1); }, RIGHT},
    {"sound, drawn", [] { return in_order("sound", 2); }, RIGHT},
    {"sound_twice, drawn", [] { return in_order("sound_twice", 2); }, RIGHT},
    {"missing barrier, first to last", [] { return in_order("missing_barrier", 0); }, WRONG},
    {"missing barrier, last to first", [] { return in_order("missing_barrier", 1); }, WRONG},
    {"missing second barrier, drawn", [] { return in_order("missing_second_barrier", 2); }, WRONG},
    {"exit before a barrier", [] { return in_order("exit_before_barrier", 0); }, FAILED},
    {"two barriers in two branches", [] { return in_order("two_barriers", 0); }, FAILED},
    {"barrier in a branch", [] { return in_order("barrier_in_a_branch", 0); }, FAILED},
    {"shuffle with threads that have ended", [] { return in_order("shuffle_with_the_gone", 0); }, FAILED},
    {"unwritten shared memory", [] { return in_order("unwritten_shared", 0); }, WRONG},
    {"unwritten result", [] { return in_order("unwritten_result", 0); }, WRONG},
    {"read behind a buffer", [] { return in_order("read_behind", 0); }, ILLEGAL_ADDRESS},
    {"write behind a buffer", [] { return in_order("write_behind", 0); }, ILLEGAL_ADDRESS},
    {"write in front of a buffer", [] { return in_order("write_in_front", 0); }, ILLEGAL_ADDRESS},
    {"write far from any buffer", [] { return in_order("write_far", 0); }, ILLEGAL_ADDRESS},
    {"overrun of shared memory", [] { return in_order("shared_overrun", 0); }, UNDEFINED},
    {"copy to shared memory, not waited for", [] { return in_order("copy_not_waited_for", 0); }, WRONG},
    {"copy to shared memory, waited for", [] { return in_order("copy_waited_for", 2); }, RIGHT},
    {"misaligned load", [] { return in_order("misaligned", 0); }, UNDEFINED},
    {"overflow of an index", [] { return in_order("index_overflow", 0); }, UNDEFINED},
    {"buffer freed before the launch", freed, ILLEGAL_ADDRESS},
    {"pointer to host memory", host_pointer, ILLEGAL_ADDRESS},
    {"copy beyond a buffer", long_copy, INVALID_VALUE},
    {"host code that follows a device pointer", followed_by_the_host, CRASH},
    {"result read without waiting, lazy stream", not_waited_for, WRONG},
    {"result read after waiting, lazy stream", waited_for, RIGHT},
    {"source of a copy changed before it was read, lazy stream", [] { return source_changed(false); }, WRONG},
    {"source of a copy changed after it was read, lazy stream", [] { return source_changed(true); }, RIGHT},
    {"plane that begins beyond 32 bits", plane_beyond_32_bits, RIGHT},
    {"PTX of another source", [] { return Setup("sound", ".param .u64 a, .param .u64 b").run(); }, INVALID_IMAGE},
    {"graph, launched twice", graph_launched_twice, RIGHT},
    {"graph with a stale pointer", graph_with_a_stale_pointer, ILLEGAL_ADDRESS},
    {"graph without a node", graph_without_a_node, WRONG},
    {"graph with a copy whose source has changed", graph_with_a_stale_source, WRONG},
    {"graph of a wait", graph_that_waits, CAPTURE_INVALIDATED},
    {"more memory than there is", too_much, OUT_OF_MEMORY},
};

int in_a_process(const std::function<int()>& run) {
    int results[2];
    if (pipe(results) != 0) return -1;
    const pid_t child = fork();
    if (child == 0) {
        const int result = run();
        _exit(write(results[1], &result, sizeof result) == sizeof result ? 0 : 1);
    }
    close(results[1]);
    int result = CRASH;
    const bool complete = read(results[0], &result, sizeof result) == sizeof result;
    close(results[0]);
    waitpid(child, nullptr, 0);
    return complete ? result : CRASH;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc == 3) return in_order(argv[2], 0) == FAILED;
    int wrong = 0;
    for (const Case& one : CASES) {
        const int found = in_a_process(one.run);
        const bool as_expected = found == one.expected;
        wrong += !as_expected;
        printf("%-8s%s: %d, expected %d\n", as_expected ? "ok" : "FAILED", one.what, found, one.expected);
    }
    return wrong > 0;
}
