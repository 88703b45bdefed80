#include "holdfast/progress.h"

#include "holdfast/verbs.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define WIDTH    30
#define QUIET_MS 1000

void progress_init(struct progress *progress)
{
    *progress = (struct progress){.began_ms = now_ms(), .is_terminal = isatty(STDERR_FILENO)};
}

void progress_line(char out[PROGRESS_LINE_SIZE], uint64_t done, uint64_t of, const char *what)
{
    char bar[WIDTH + 1];
    uint64_t full = done < of ? done * WIDTH / of : WIDTH;
    memset(bar, '.', WIDTH);
    memset(bar, '#', (size_t)full);
    bar[WIDTH] = 0;
    snprintf(out, PROGRESS_LINE_SIZE, "[%s] %llu %s", bar, (unsigned long long)done, what);
}

void progress_show(struct progress *progress, uint64_t done, uint64_t of, const char *what)
{
    char line[PROGRESS_LINE_SIZE];
    unsigned tenths = (unsigned)(10 * done / of) + 1;
    if (now_ms() - progress->began_ms < QUIET_MS)
        return;
    if (progress->is_terminal) {
        progress_line(line, done, of, what);
        fprintf(stderr, "\r\033[K%s", line);
        (void)fflush(stderr);
        progress->is_drawn = true;
    } else if (tenths > progress->tenths) {
        fprintf(stderr, "%llu %s\n", (unsigned long long)done, what);
        progress->tenths = tenths;
    }
}

void progress_end(struct progress *progress)
{
    if (progress->is_drawn)
        fprintf(stderr, "\r\033[K");
    progress->is_drawn = false;
}
