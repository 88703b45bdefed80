#include "base/bytes.h"

#include "base/memory.h"

#include <assert.h>
#include <float.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static uint8_t lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c + 32) : c;
}

bool slice_is_word(struct slice slice, const char *text)
{
    size_t i = 0;
    for (; i < slice.size && text[i]; i++)
        if (lower(slice.at[i]) != lower((uint8_t)text[i]))
            return false;
    return i == slice.size && !text[i];
}

enum status slice_to_i64(struct slice slice, int64_t *out)
{
    size_t i = 0;
    bool negative = slice.size > 0 && slice.at[0] == '-';
    uint64_t limit = negative ? (uint64_t)INT64_MAX + 1 : (uint64_t)INT64_MAX, value = 0;
    if (negative)
        i = 1;
    if (i == slice.size || slice.size > 20)
        return STATUS_INVALID;
    if (slice.at[i] == '0' && slice.size > 1)
        return STATUS_INVALID;
    for (; i < slice.size; i++) {
        if (slice.at[i] < '0' || slice.at[i] > '9')
            return STATUS_INVALID;
        unsigned digit = slice.at[i] - '0';
        if (value > (limit - digit) / 10)
            return STATUS_INVALID;
        value = value * 10 + digit;
    }
    *out = negative ? (int64_t)(0 - value) : (int64_t)value;
    return STATUS_OK;
}

size_t text_of_i64(int64_t value, char *out)
{
    char reversed[20];
    size_t digits = 0, size = 0;
    uint64_t rest = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    do {
        reversed[digits++] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest);
    if (value < 0)
        out[size++] = '-';
    while (digits)
        out[size++] = reversed[--digits];
    return size;
}

/* A number as 0.d1d2d3... times ten to the power of `point`. */
struct decimal {
    char digits[DBL_DECIMAL_DIG + 1];
    int count, point;
};

/* `value` is positive and finite. 15 digits are enough for what people write, 17 for all there is;
 * the numbers next to zero have fewer. */
static void shortest_decimal(double value, struct decimal *decimal)
{
    char text[TEXT_OF_DOUBLE_MAX];
    int digits = value < DBL_MIN ? 1 : DBL_DIG;
    do {
        snprintf(text, sizeof text, "%.*e", digits - 1, value);
    } while (strtod(text, NULL) != value && ++digits <= DBL_DECIMAL_DIG);
    size_t mantissa = strcspn(text, "e");
    decimal->point = (int)strtol(text + mantissa + 1, NULL, 10) + 1;
    decimal->count = 0;
    for (size_t i = 0; i < mantissa; i++)
        if (text[i] != '.')
            decimal->digits[decimal->count++] = text[i];
    while (decimal->count > 1 && decimal->digits[decimal->count - 1] == '0')
        decimal->count--;
}

static size_t write_scientific(const struct decimal *decimal, char *out)
{
    char text[TEXT_OF_DOUBLE_MAX];
    int rest = decimal->count - 1, exponent = decimal->point - 1;
    int size = snprintf(text, sizeof text, "%c%s%.*se%c%d", decimal->digits[0], rest ? "." : "",
                        rest, decimal->digits + 1, exponent < 0 ? '-' : '+', abs(exponent));
    assert(size > 0 && (size_t)size < sizeof text);
    memcpy(out, text, (size_t)size);
    return (size_t)size;
}

static size_t write_plain(const struct decimal *decimal, char *out)
{
    size_t size = 0;
    if (decimal->point <= 0)
        out[size++] = '0';
    for (int i = 0; i < decimal->point; i++)
        out[size++] = i < decimal->count ? decimal->digits[i] : '0';
    if (decimal->point < decimal->count)
        out[size++] = '.';
    for (int i = decimal->point; i < decimal->count; i++)
        out[size++] = i < 0 ? '0' : decimal->digits[i];
    return size;
}

size_t text_of_double(double value, char *out)
{
    struct decimal decimal;
    size_t sign = value < 0;
    if (isnan(value) || isinf(value)) {
        const char *text = isnan(value) ? "nan" : value < 0 ? "-inf" : "inf";
        memcpy(out, text, strlen(text));
        return strlen(text);
    }
    if (fabs(value) <= 0x1p62 && (double)(int64_t)value == value)
        return text_of_i64((int64_t)value, out);
    if (sign)
        out[0] = '-';
    shortest_decimal(fabs(value), &decimal);
    int behind =
        decimal.count - decimal.point; /* digits behind the point; negative: zeros before */
    bool plain = behind > 0 ? behind < 7 || abs(decimal.point - 1) < 4 : behind > -8;
    return sign + (plain ? write_plain : write_scientific)(&decimal, out + sign);
}

void buffer_init(struct buffer *buffer, size_t size_max)
{
    *buffer = (struct buffer){.size_max = size_max};
}

void buffer_deinit(struct buffer *buffer)
{
    memory_free(buffer->at);
    *buffer = (struct buffer){.size_max = buffer->size_max};
}

void buffer_reset(struct buffer *buffer)
{
    buffer->size = 0;
}

enum status buffer_reserve(struct buffer *buffer, size_t more)
{
    if (more > buffer->size_max || buffer->size > buffer->size_max - more)
        return STATUS_TOO_LARGE;
    size_t need = buffer->size + more, capacity = buffer->capacity ? buffer->capacity : 64;
    if (need <= buffer->capacity)
        return STATUS_OK;
    while (capacity < need)
        capacity *= 2;
    if (capacity > buffer->size_max)
        capacity = buffer->size_max;
    buffer->at = memory_resize(buffer->at, capacity);
    buffer->capacity = capacity;
    return STATUS_OK;
}

enum status buffer_append(struct buffer *buffer, const void *bytes, size_t size)
{
    enum status status = buffer_reserve(buffer, size);
    if (status)
        return status;
    if (size)
        memcpy(buffer->at + buffer->size, bytes, size);
    buffer->size += size;
    return STATUS_OK;
}

void buffer_print(struct buffer *buffer, const char *format, ...)
{
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (size > 0)
        (void)!buffer_append(buffer, text,
                             (size_t)size < sizeof text ? (size_t)size : sizeof text - 1);
}

void buffer_consume(struct buffer *buffer, size_t size)
{
    assert(size <= buffer->size);
    buffer->size -= size;
    if (buffer->size)
        memmove(buffer->at, buffer->at + size, buffer->size);
}

size_t varint_size(uint64_t value)
{
    size_t size = 1;
    while (value >= 128) {
        value >>= 7;
        size++;
    }
    return size;
}

size_t varint_store(uint8_t *at, uint64_t value)
{
    size_t size = 0;
    while (value >= 128) {
        at[size++] = (uint8_t)(value | 128);
        value >>= 7;
    }
    at[size++] = (uint8_t)value;
    return size;
}

enum status varint_take(struct slice *from, uint64_t *out)
{
    uint64_t value = 0;
    for (size_t i = 0; i < from->size && i < VARINT_SIZE_MAX; i++) {
        uint8_t byte = from->at[i];
        if (i == VARINT_SIZE_MAX - 1 && byte > 1)
            return STATUS_INVALID;
        value |= (uint64_t)(byte & 127) << (7 * i);
        if (byte < 128) {
            if (byte == 0 && i > 0)
                return STATUS_INVALID; /* one value, one encoding: checksums and golden bytes rely
                                          on it */
            *from = slice_of(from->at + i + 1, from->size - i - 1);
            *out = value;
            return STATUS_OK;
        }
    }
    return STATUS_INVALID;
}

enum status slice_take(struct slice *from, size_t size, struct slice *out)
{
    if (size > from->size)
        return STATUS_INVALID;
    *out = slice_of(from->at, size);
    *from = slice_of(from->at + size, from->size - size);
    return STATUS_OK;
}
