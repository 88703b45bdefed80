/* The text format of Prometheus, version 0.0.4, line by line. */
#include "metrics/inside.h"

#include <stdarg.h>
#include <stdio.h>

void metrics_add(struct buffer *out, const char *format, ...)
{
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (size > 0)
        (void)!buffer_append(out, text,
                             (size_t)size < sizeof text ? (size_t)size : sizeof text - 1);
}

void metrics_family(struct buffer *out, const char *name, enum metrics_type type, const char *help)
{
    static const char *const types[] = {"gauge", "counter", "histogram"};
    metrics_add(out, "# HELP holdfast_%s %s\n# TYPE holdfast_%s %s\n", name, help, name,
                types[type]);
}

void metrics_quoted(struct buffer *out, const char *text)
{
    metrics_add(out, "\"");
    for (; *text; text++) {
        if (*text == '\n')
            metrics_add(out, "\\n");
        else if (*text == '"' || *text == '\\')
            metrics_add(out, "\\%c", *text);
        else
            metrics_add(out, "%c", *text);
    }
    metrics_add(out, "\"");
}

void metrics_one(struct buffer *out, const char *name, enum metrics_type type, const char *help,
                 uint64_t value)
{
    metrics_family(out, name, type, help);
    metrics_add(out, "holdfast_%s %llu\n", name, (unsigned long long)value);
}
