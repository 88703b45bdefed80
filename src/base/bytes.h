/* bytes.h - runs of bytes: `struct slice` borrows, `struct buffer` owns. Floor 0.
 *
 * Numbers on disk and on the wire are little-endian; `load_*` and `store_*` take any alignment. A
 * buffer never grows past its `size_max`: what would pass it is refused before anything is
 * allocated. */
#ifndef HOLDFAST_BASE_BYTES_H
#define HOLDFAST_BASE_BYTES_H

#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct slice {
    const uint8_t *at; /* borrowed; may be NULL when size is 0 */
    size_t size;
};

struct buffer {
    uint8_t *at; /* owned */
    size_t size, capacity;
    size_t size_max;
};

static inline struct slice slice_of(const void *at, size_t size)
{
    return (struct slice){(const uint8_t *)at, size};
}

static inline struct slice slice_of_text(const char *text)
{
    return slice_of(text, strlen(text));
}

static inline struct slice slice_of_buffer(const struct buffer *buffer)
{
    return slice_of(buffer->at, buffer->size);
}

static inline bool slice_equal(struct slice a, struct slice b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.at, b.at, a.size) == 0);
}

/* Equality without regard to ASCII case; `text` is given in any case. */
bool slice_is_word(struct slice slice, const char *text);

/* A whole decimal 64-bit integer, as Redis reads it: no spaces, no plus sign, no leading zeros. */
MUST_USE enum status slice_to_i64(struct slice slice, int64_t *out);

/* Writes `value` in decimal; `out` has room for 21 bytes. Returns the length, no terminator. */
size_t text_of_i64(int64_t value, char *out);

/* Writes the fewest digits that read back as `value`, plainly or with an exponent as Redis 7.2 does
 * ("0.1", "17", "1e+21", "inf", "-inf", "nan"); `out` has room for TEXT_OF_DOUBLE_MAX bytes.
 * Returns the length, no terminator. */
#define TEXT_OF_DOUBLE_MAX 32
size_t text_of_double(double value, char *out);

void buffer_init(struct buffer *buffer, size_t size_max);
void buffer_deinit(struct buffer *buffer);
void buffer_reset(struct buffer *buffer); /* empties, keeps the memory */

/* Makes room for `more` bytes past `size`; TOO_LARGE past size_max. The pointer at the room is `at
 * + size`. */
MUST_USE enum status buffer_reserve(struct buffer *buffer, size_t more);
MUST_USE enum status buffer_append(struct buffer *buffer, const void *bytes, size_t size);

/* Appends text for people, at most 511 bytes of it; none past size_max: a full buffer ends a text,
 * and nothing else. */
void buffer_print(struct buffer *buffer, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Drops `size` bytes from the front (moves the rest). */
void buffer_consume(struct buffer *buffer, size_t size);

static inline uint16_t load_u16(const void *at)
{
    uint16_t v;
    memcpy(&v, at, sizeof v);
    return v;
}
static inline uint32_t load_u32(const void *at)
{
    uint32_t v;
    memcpy(&v, at, sizeof v);
    return v;
}
static inline uint64_t load_u64(const void *at)
{
    uint64_t v;
    memcpy(&v, at, sizeof v);
    return v;
}
static inline void store_u16(void *at, uint16_t v)
{
    memcpy(at, &v, sizeof v);
}
static inline void store_u32(void *at, uint32_t v)
{
    memcpy(at, &v, sizeof v);
}
static inline void store_u64(void *at, uint64_t v)
{
    memcpy(at, &v, sizeof v);
}
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "formats are little-endian; this build would need swaps");

/* Variable-length unsigned integers, 7 bits a byte, low bits first, at most 10 bytes. */
#define VARINT_SIZE_MAX 10
size_t varint_size(uint64_t value);
size_t varint_store(uint8_t *at, uint64_t value);

/* Reads from the front of `*from` and advances it; INVALID when cut off or longer than needed. */
MUST_USE enum status varint_take(struct slice *from, uint64_t *out);

/* Splits `size` bytes off the front of `*from`; INVALID when it is shorter. */
MUST_USE enum status slice_take(struct slice *from, size_t size, struct slice *out);

#endif
