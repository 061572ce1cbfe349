/* Preloaded: when the process ends, writes the line of its most memory, "VmHWM: N kB", to the file GRADUS_PEAK. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

__attribute__((destructor)) static void write_peak(void) {
    const char *path = getenv("GRADUS_PEAK");
    FILE *in = fopen("/proc/self/status", "r"), *out = path ? fopen(path, "w") : NULL;
    char line[256];
    while (in && out && fgets(line, sizeof line, in))
        if (strncmp(line, "VmHWM:", 6) == 0) fputs(line, out);
    if (in) fclose(in);
    if (out) fclose(out);
}
