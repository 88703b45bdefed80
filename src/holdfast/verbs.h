/* verbs.h - the verbs of `holdfast` and what a program that calls it may rely on. */
#ifndef HOLDFAST_HOLDFAST_VERBS_H
#define HOLDFAST_HOLDFAST_VERBS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#define DEFAULT_ADDRESS "127.0.0.1:6379"

enum exit_code {
    EXIT_GOOD = 0,
    EXIT_TROUBLE = 1,   /* it could not be done; the line on stderr says why */
    EXIT_USAGE = 2,     /* the line on stderr names the cure */
    EXIT_UNHEALTHY = 3, /* status: the answer is there, and it is not good */
};

/* `words[0]` is the verb. They answer an exit code. */
int status_main(int count, char **words, const char *address);
int keyspace_main(int count, char **words, const char *address);
int dev_main(int count, char **words);
/* Verbs that are commands of the server. */
bool pass_knows(const char *name);
int pass_main(int count, char **words, const char *address);

/* "holdfast: " and the line on stderr; answers `code`. */
int complain(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* What getopt_long's '?' or ':' was about. Answers EXIT_USAGE. */
int complain_option(const char *verb, int letter, char **words);

/* A decimal number from `low` to `high`, nothing else. */
int parse_number(const char *text, long low, long high, long *out);

static inline uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

#endif
