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

/* Buckets of the format are sums: each holds all that is faster, too. */
void metrics_durations(struct buffer *out, const char *name, const char *labels,
                       const struct durations *durations)
{
    const char *comma = labels[0] ? "," : "", *open = labels[0] ? "{" : "";
    const char *close = labels[0] ? "}" : "";
    uint64_t through = 0;
    for (size_t i = 0; i < DURATIONS_BUCKETS - 1; i++) {
        through += durations->in[i];
        buffer_print(out, "holdfast_%s_bucket{%s%sle=\"%g\"} %llu\n", name, labels, comma,
                     (double)durations_end_us[i] / 1e6, (unsigned long long)through);
    }
    buffer_print(out, "holdfast_%s_bucket{%s%sle=\"+Inf\"} %llu\n", name, labels, comma,
                 (unsigned long long)durations->count);
    buffer_print(out, "holdfast_%s_sum%s%s%s %.9f\n", name, open, labels, close,
                 (double)durations->sum_ns / 1e9);
    buffer_print(out, "holdfast_%s_count%s%s%s %llu\n", name, open, labels, close,
                 (unsigned long long)durations->count);
}

void metrics_one(struct buffer *out, const char *name, enum metrics_type type, const char *help,
                 uint64_t value)
{
    metrics_family(out, name, type, help);
    buffer_print(out, "holdfast_%s %llu\n", name, (unsigned long long)value);
}
