/* options.h - the flags and the config file of holdfastd. */
#ifndef HOLDFAST_HOLDFASTD_OPTIONS_H
#define HOLDFAST_HOLDFASTD_OPTIONS_H

#include "admin/admin.h"
#include "base/status.h"

#include <stdint.h>

#define OPTION_VALUE_SIZE 4096
#define OPTIONS_MAX       24
#define OPTIONS_SHOWN_MAX (OPTIONS_MAX + 8)

struct options {
    char values[OPTIONS_MAX][OPTION_VALUE_SIZE]; /* by number in the table of options.c */
    struct admin_option shown[OPTIONS_SHOWN_MAX];
    size_t shown_count;
    bool help, version;
};

/* INVALID with one line that names the cure. */
MUST_USE enum status options_read(struct options *options, int count, char **words, char why[400]);
const char *options_get(const struct options *options, const char *name); /* "" when not given */
uint64_t options_size(const struct options *options,
                      const char *name);                          /* bytes; 0 when not given */
uint64_t options_replace_after_ns(const struct options *options); /* 0: never */
const struct cluster_timing *options_timing(const struct options *options);
unsigned options_workers(const struct options *options); /* auto is a number by now */
void options_print_help(void);

#endif
