// Switching between stacks, and telling the race detector about it.
#pragma once
#include <cstddef>

namespace stand_in {

// A stack that can be left and gone on with. `start` must never return.
class Fiber {
  public:
    explicit Fiber(void (*start)());
    Fiber(const Fiber&) = delete;
    ~Fiber();
    // Begins `start` anew at the next `enter`; what was on the stack is forgotten.
    void reset();
    // Leaves the scheduler's stack for this one, until `leave`.
    void enter();
    // Back to the scheduler.
    static void leave();

  private:
    void (*start_)();
    char* memory_;
    std::size_t colour_;
    void* stack_pointer_ = nullptr;
    void* race_detector_ = nullptr;
};

// Happens-before edges for the race detector; nothing without one.
bool races_are_detected();
void publish(void* at);
void subscribe(void* at);

}  // namespace stand_in
