// How the driver knows a kernel: its name, the sizes of its parameters, and a way to call it.
#pragma once
#include <cstddef>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace stand_in {

struct Kernel {
    std::string name;
    void (*call)(void** parameters);
    std::vector<std::size_t> sizes;  // bytes of each parameter
    std::vector<bool> is_pointer;
    unsigned long long launches = 0;
    bool uses_shared = true;  // __shared__ memory, by its PTX
};

// Makes a kernel known; `driver.cpp` keeps the list.
bool add_kernel(Kernel kernel);

template <auto F>
struct Caller;
template <class... P, void (*F)(P...)>
struct Caller<F> {
    static Kernel kernel(const char* name) {
        return {name, call, {sizeof(P)...}, {std::is_pointer_v<P>...}};
    }
    static void call(void** parameters) { spread(parameters, std::index_sequence_for<P...>{}); }
    template <std::size_t... I>
    static void spread(void** parameters, std::index_sequence<I...>) {
        F(*static_cast<std::remove_cv_t<P>*>(parameters[I])...);
    }
};

}  // namespace stand_in

// Stands once, after the source, for every __global__ function of a .cu file.
#define STAND_IN_KERNEL(name) static const bool added_##name = stand_in::add_kernel(stand_in::Caller<&name>::kernel(#name));
