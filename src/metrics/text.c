/* The text format of Prometheus, version 0.0.4, line by line. */
#include "metrics/inside.h"

void metrics_family(struct buffer *out, const char *name, enum metrics_type type, const char *help)
{
    static const char *const types[] = {"gauge", "counter", "histogram"};
    buffer_print(out, "# HELP holdfast_%s %s\n# TYPE holdfast_%s %s\n", name, help, name,
                 types[type]);
}

void metrics_quoted(struct buffer *out, const char *text)
{
    buffer_print(out, "\"");
    for (; *text; text++) {
        if (*text == '\n')
            buffer_print(out, "\\n");
        else if (*text == '"' || *text == '\\')
            buffer_print(out, "\\%c", *text);
        else
            buffer_print(out, "%c", *text);
    }
    buffer_print(out, "\"");
}

void metrics_one(struct buffer *out, const char *name, enum metrics_type type, const char *help,
                 uint64_t value)
{
    metrics_family(out, name, type, help);
    buffer_print(out, "holdfast_%s %llu\n", name, (unsigned long long)value);
}
