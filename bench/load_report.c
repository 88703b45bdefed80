/* What a run was worth: one line of JSON. */
#include "load.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

uint64_t load_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* User and system time of all threads, living and ended; 0 for a process that is gone. */
uint64_t load_cpu_ns(int pid)
{
    char path[40], text[1024];
    unsigned long long user = 0, system = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    FILE *file = fopen(path, "r");
    if (!file)
        return 0;
    size_t size = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[size] = 0;
    char *after = strrchr(text, ')'); /* a program's name may hold anything else */
    if (!after || sscanf(after + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu", &user,
                         &system) != 2)
        return 0;
    return (user + system) * (1000000000u / (uint64_t)sysconf(_SC_CLK_TCK));
}

static double own_cpu_s(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static void print_text(const char *name, const char *text)
{
    printf(",\"%s\":\"", name);
    for (; *text; text++)
        if (*text == '"' || *text == '\\')
            printf("\\%c", *text);
        else if (*text >= ' ')
            putchar(*text);
    putchar('"');
}

static void print_cpu(const struct load *load, double millions)
{
    double total = 0;
    printf(",\"cpu_each\":[");
    for (size_t i = 0; i < load->settings.pid_count; i++) {
        uint64_t spent_ns = load_cpu_ns(load->settings.pids[i]) - load->cpu_before_ns[i];
        total += (double)spent_ns / 1e9;
        printf("%s%.3f", i ? "," : "", (double)spent_ns / 1e9 / millions);
    }
    printf("],\"cpu_per_million\":%.3f,\"client_cpu_per_million\":%.3f", total / millions,
           own_cpu_s() / millions);
}

void load_report(const struct load *load)
{
    double seconds = (double)(load->ended_ns - load->began_ns + 1) / 1e9;
    double millions = load->done ? (double)load->done / 1e6 : 1;
    printf("{\"operations\":%llu,\"seconds\":%.3f,\"per_second\":%.0f",
           (unsigned long long)load->done, seconds, (double)load->done / seconds);
    printf(",\"p50_us\":%.1f,\"p99_us\":%.1f,\"p999_us\":%.1f,\"worst_us\":%.1f",
           latency_quantile_us(&load->latency, 0.5), latency_quantile_us(&load->latency, 0.99),
           latency_quantile_us(&load->latency, 0.999), (double)load->latency.worst_ns / 1000);
    print_cpu(load, millions);
    printf(",\"errors\":%llu,\"too_few_copies\":%llu", (unsigned long long)load->errors,
           (unsigned long long)load->too_few_copies);
    if (load->settings.operation == LOAD_GET && load->settings.protocol == LOAD_RESP)
        printf(",\"hit_ratio\":%.4f", (double)load->hits / (millions * 1e6));
    if (load->settings.operation == LOAD_UNIQ)
        printf(",\"sent\":%llu,\"acknowledged\":%llu", (unsigned long long)load->issued,
               (unsigned long long)load->acknowledged);
    if (load->settings.operation == LOAD_VERIFY)
        printf(",\"missing\":%llu", (unsigned long long)load->missing);
    print_text("label", load->settings.label);
    print_text("last_error", load->last_error);
    print_text("failure", load->failure);
    printf("}\n");
}
