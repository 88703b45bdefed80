#include "holdfastd/log.h"

#include <stdio.h>
#include <time.h>

void log_line(const char *line)
{
    struct timespec now;
    struct tm parts;
    char text[32];
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &parts);
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
    fprintf(stderr, "%s.%03ldZ %s\n", text, now.tv_nsec / 1000000, line);
}
