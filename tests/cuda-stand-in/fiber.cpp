#include "fiber.h"
#include <cstdlib>
#include <sys/mman.h>
#if !defined(__x86_64__)
#include <ucontext.h>
#endif

// The interface of ThreadSanitizer; null without it. Only kernels are built with -fsanitize=thread.
#define WEAK __attribute__((weak))
extern "C" {
WEAK void* __tsan_create_fiber(unsigned);
WEAK void* __tsan_get_current_fiber();
WEAK void __tsan_switch_to_fiber(void*, unsigned);
WEAK void __tsan_destroy_fiber(void*);
WEAK void __tsan_acquire(void*);
WEAK void __tsan_release(void*);
}

namespace stand_in {

namespace {

constexpr std::size_t STACK = 256 << 10, PAGE = 4096;
// A switch of fibers is no synchronisation: only barriers are.
constexpr unsigned NO_SYNC = 1;

// Stacks begin at different lines of the cache: a block's 256 would all use the same few.
constexpr std::size_t LINE = 64, COLOURS = 60;
unsigned n_fibers;

void* scheduler_detector;
Fiber* inside;

#if defined(__x86_64__)
void* scheduler_stack;
// Saves the callee-saved registers on this stack, and takes those on the other.
extern "C" void stand_in_switch(void** save, void* load);
asm(R"(.text
.globl stand_in_switch
.hidden stand_in_switch
.type stand_in_switch,@function
stand_in_switch:
    push %rbp; push %rbx; push %r12; push %r13; push %r14; push %r15
    mov %rsp, (%rdi)
    mov %rsi, %rsp
    pop %r15; pop %r14; pop %r13; pop %r12; pop %rbx; pop %rbp
    ret
.size stand_in_switch,.-stand_in_switch)");
#else
ucontext_t scheduler_context;
#endif

}  // namespace

bool races_are_detected() { return __tsan_create_fiber != nullptr; }
void publish(void* at) {
    if (races_are_detected()) __tsan_release(at);
}
void subscribe(void* at) {
    if (races_are_detected()) __tsan_acquire(at);
}

Fiber::Fiber(void (*start)()) : start_(start) {
    void* memory = mmap(nullptr, STACK + PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) abort();
    memory_ = static_cast<char*>(memory);
    colour_ = n_fibers++ % COLOURS * LINE;
    mprotect(memory_, PAGE, PROT_NONE);  // a stack that overflows faults
    if (races_are_detected()) race_detector_ = __tsan_create_fiber(0);
    reset();
}

Fiber::~Fiber() {
    if (race_detector_) __tsan_destroy_fiber(race_detector_);
#if !defined(__x86_64__)
    delete static_cast<ucontext_t*>(stack_pointer_);
#endif
    munmap(memory_, STACK + PAGE);
}

#if defined(__x86_64__)
void Fiber::reset() {
    // As if `start_` had been called from nowhere: its address where `ret` finds it, six registers below, and the
    // alignment that a called function expects.
    void** top = reinterpret_cast<void**>(memory_ + PAGE + STACK - 64 - colour_);
    top[0] = reinterpret_cast<void*>(start_);
    top[1] = nullptr;
    stack_pointer_ = top - 6;
}

void Fiber::enter() {
    inside = this;
    if (races_are_detected()) {
        scheduler_detector = __tsan_get_current_fiber();
        __tsan_switch_to_fiber(race_detector_, NO_SYNC);
    }
    stand_in_switch(&scheduler_stack, stack_pointer_);
}

void Fiber::leave() {
    if (races_are_detected()) __tsan_switch_to_fiber(scheduler_detector, NO_SYNC);
    stand_in_switch(&inside->stack_pointer_, scheduler_stack);
}
#else
void Fiber::reset() {
    auto* context = stack_pointer_ ? static_cast<ucontext_t*>(stack_pointer_) : new ucontext_t;
    stack_pointer_ = context;
    getcontext(context);
    context->uc_stack.ss_sp = memory_ + PAGE;
    context->uc_stack.ss_size = STACK;
    context->uc_link = nullptr;
    makecontext(context, start_, 0);
}

void Fiber::enter() {
    inside = this;
    if (races_are_detected()) {
        scheduler_detector = __tsan_get_current_fiber();
        __tsan_switch_to_fiber(race_detector_, NO_SYNC);
    }
    swapcontext(&scheduler_context, static_cast<ucontext_t*>(stack_pointer_));
}

void Fiber::leave() {
    if (races_are_detected()) __tsan_switch_to_fiber(scheduler_detector, NO_SYNC);
    swapcontext(static_cast<ucontext_t*>(inside->stack_pointer_), &scheduler_context);
}
#endif

}  // namespace stand_in
