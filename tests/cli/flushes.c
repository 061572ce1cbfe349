/* Preloaded: writes down, in their order, what is flushed to the disk and what gets a name. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void note(const char *what, const char *path, const char *other) {
    char line[2 * 4096 + 64];
    const char *log = getenv("GRADUS_FLUSHES");
    int file = log ? open(log, O_WRONLY | O_APPEND | O_CREAT, 0600) : -1;
    if (file < 0) return;
    int n = snprintf(line, sizeof line, "%s\t%s\t%s\n", what, path, other);
    if (write(file, line, n) != n) abort();
    close(file);
}

int fsync(int file) {
    int (*real)(int) = dlsym(RTLD_NEXT, "fsync");
    char link[64], path[4096] = {0};
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    if (readlink(link, path, sizeof path - 1) > 0) note("flush", path, "");
    return real(file);
}

int rename(const char *from, const char *to) {
    int (*real)(const char *, const char *) = dlsym(RTLD_NEXT, "rename");
    char whole[4096], there[4096];
    if (realpath(from, whole)) note("name", whole, to[0] == '/' ? to : realpath(".", there) ? strcat(strcat(there, "/"), to) : to);
    return real(from, to);
}
