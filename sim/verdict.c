/* The first finding of a run. */
#include "sim/verdict.h"

#include <stdarg.h>
#include <stdio.h>

void verdict_fail(struct verdict *verdict, const char *oracle, const char *format, ...)
{
    va_list arguments;
    if (verdict->failed)
        return;
    verdict->failed = true;
    snprintf(verdict->oracle, sizeof verdict->oracle, "%s", oracle);
    va_start(arguments, format);
    vsnprintf(verdict->line, sizeof verdict->line, format, arguments);
    va_end(arguments);
}
