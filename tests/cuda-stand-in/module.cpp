#include "module.h"
#include <cstdlib>
#include <cstring>
#include <memory>

namespace stand_in {

std::deque<Kernel>& kernels() {
    static std::deque<Kernel> list;
    return list;
}

bool add_kernel(Kernel kernel) {
    kernels().push_back(std::move(kernel));
    return true;
}

std::size_t setting(const char* name, std::size_t otherwise) {
    const char* text = getenv(name);
    return text ? strtoull(text, nullptr, 10) : otherwise;
}
int driver_version() { return static_cast<int>(setting("GRADUS_STAND_IN_VERSION", 13000)); }

namespace {

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

}  // namespace

Result load(Module** module, const char* image) {
    const char* version = strstr(image, ".version ");
    if (!version) return say(INVALID_IMAGE, "a module that is no PTX");
    // PTX ISA 8.4 came with CUDA 12.4, 9.0 with 13.0.
    const int needed = atof(version + 9) >= 9.0 ? 13000 : 12040;
    if (driver_version() < needed) return UNSUPPORTED_PTX_VERSION;
    *module = read_ptx(image);
    return SUCCESS;
}

Result find(Kernel** function, const Module& module, const char* name) {
    const auto entry = module.entries.find(name);
    if (entry == module.entries.end()) return NOT_FOUND;
    for (Kernel& kernel : kernels()) {
        if (kernel.name != name) continue;
        if (kernel.sizes != entry->second)
            return say(INVALID_IMAGE, kernel.name + ": the PTX has other parameters than the source: remake it");
        kernel.uses_shared = module.without_shared.count(name) == 0;
        *function = &kernel;
        return SUCCESS;
    }
    return NOT_FOUND;
}

}  // namespace stand_in
