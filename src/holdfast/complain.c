/* What wrong use and trouble look like: one line on stderr. */
#include "holdfast/verbs.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

int complain(int code, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "holdfast: ");
    vfprintf(stderr, format, arguments);
    fprintf(stderr, "\n");
    va_end(arguments);
    return code;
}

int complain_option(const char *verb, int letter, char **words)
{
    char short_option[] = {'-', (char)optopt, 0};
    const char *word = words[optind > 0 ? optind - 1 : 0];
    if (word[0] != '-') /* the first of several letters: getopt is not past that word */
        word = short_option;
    if (letter == ':')
        return complain(EXIT_USAGE, "%.60s needs a value; holdfast %s--help shows how", word, verb);
    return complain(EXIT_USAGE, "unknown option '%.60s'; holdfast %s--help lists them", word, verb);
}

int parse_number(const char *text, long low, long high, long *out)
{
    char *end;
    errno = 0;
    long value = strtol(text, &end, 10);
    if (errno || end == text || *end || value < low || value > high)
        return -1;
    *out = value;
    return 0;
}
