/* number.c - numbers with a fraction, as texts. Counters have long doubles in plain notation,
 * scores have doubles. */
#include "command/call.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* For strtod, which wants a zero byte behind. False: longer than any number. */
static bool copy_text(struct slice text, char copy[COMMAND_FLOAT_TEXT_MAX])
{
    if (text.size >= COMMAND_FLOAT_TEXT_MAX)
        return false;
    if (text.size)
        memcpy(copy, text.at, text.size);
    copy[text.size] = '\0';
    return true;
}

/* Is every digit in front of the exponent a zero? */
static bool is_written_as_zero(const char *text)
{
    bool hexadecimal = strchr(text, 'x') || strchr(text, 'X');
    const char *digits = hexadecimal ? text + strcspn(text, "xX") + 1 : text;
    size_t mantissa = strcspn(digits, hexadecimal ? "pP" : "eE");
    return strspn(digits, "+-0.") >= mantissa;
}

/* What is too large or too small for any number is none: it would come out as infinity or zero
 * without having said so. */
static bool is_said(const char *text, bool infinite, bool zero)
{
    if (infinite)
        return !text[strcspn(text, "0123456789")];
    return !zero || is_written_as_zero(text);
}

static bool may_be_number(struct slice text)
{
    return text.size > 0 && !isspace(text.at[0]);
}

bool command_read_float(struct slice text, long double *value)
{
    char copy[COMMAND_FLOAT_TEXT_MAX], *end;
    if (!may_be_number(text) || !copy_text(text, copy))
        return false;
    long double number = strtold(copy, &end);
    if ((size_t)(end - copy) != text.size || isnan(number) ||
        !is_said(copy, isinf(number), number == 0))
        return false;
    *value = number;
    return true;
}

static bool read_double(struct slice text, bool must_be_said, double *value)
{
    char copy[COMMAND_FLOAT_TEXT_MAX], *end;
    int64_t integer;
    if (!slice_to_i64(text, &integer)) {
        *value = (double)integer;
        return true;
    }
    if (!copy_text(text, copy))
        return false;
    double number = strtod(copy, &end);
    if ((size_t)(end - copy) != text.size || isnan(number) ||
        (must_be_said && !is_said(copy, isinf(number), number == 0)))
        return false;
    *value = number;
    return true;
}

bool command_read_double(struct slice text, double *value)
{
    return may_be_number(text) && read_double(text, true, value);
}

bool command_read_bound(struct slice text, double *value)
{
    return read_double(text, false, value);
}

bool command_read_weight(struct slice text, double *value)
{
    return read_double(text, true, value);
}

size_t command_write_float(long double value, char text[COMMAND_FLOAT_TEXT_MAX])
{
    int written = snprintf(text, COMMAND_FLOAT_TEXT_MAX, "%.17Lf", value);
    size_t size = written > 0 && written < COMMAND_FLOAT_TEXT_MAX ? (size_t)written : 0;
    if (memchr(text, '.', size)) {
        while (text[size - 1] == '0')
            size--;
        if (text[size - 1] == '.')
            size--;
    }
    if (size == 2 && text[0] == '-' && text[1] == '0') {
        text[0] = '0';
        size = 1;
    }
    return size;
}
