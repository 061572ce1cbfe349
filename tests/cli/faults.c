/* Preloaded: lets one call that changes a disk fail as on a full one, the GRADUS_FAULT-th, and then makes the file
   GRADUS_FAULT_MADE. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static atomic_int calls;

static int fails(void) {
    const char *number = getenv("GRADUS_FAULT"), *made = getenv("GRADUS_FAULT_MADE");
    if (!number || atomic_fetch_add(&calls, 1) + 1 != atoi(number)) return 0;
    int (*real)(const char *, int, ...) = dlsym(RTLD_NEXT, "open");
    if (made) close(real(made, O_WRONLY | O_CREAT, 0600));
    errno = ENOSPC;
    return 1;
}

#define CALL(result, name, parameters, arguments, counts) \
    result name parameters { \
        result(*real) parameters = dlsym(RTLD_NEXT, #name); \
        return (counts) && fails() ? -1 : real arguments; \
    }

static int is_file(int file) {
    struct stat state;
    return fstat(file, &state) == 0 && S_ISREG(state.st_mode);
}

CALL(ssize_t, write, (int file, const void *bytes, size_t n), (file, bytes, n), is_file(file))
CALL(int, fsync, (int file), (file), 1)
CALL(int, rename, (const char *from, const char *to), (from, to), 1)
CALL(int, link, (const char *from, const char *to), (from, to), 1)
CALL(int, mkdir, (const char *path, mode_t mode), (path, mode), 1)

#define OPEN(name) \
    int name(const char *path, int flags, ...) { \
        va_list rest; \
        va_start(rest, flags); \
        mode_t mode = flags & O_CREAT ? va_arg(rest, mode_t) : 0; \
        va_end(rest); \
        int (*real)(const char *, int, ...) = dlsym(RTLD_NEXT, #name); \
        return (flags & O_CREAT) && fails() ? -1 : real(path, flags, mode); \
    }

OPEN(open)
OPEN(open64)
