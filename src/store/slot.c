/* slot.c - where a key belongs: its slot and its hash. */
#include "store/inside.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

/* CRC16/XMODEM is the remainder of the message times x^16, modulo x^16 + x^12 + x^5 + 1. Slice k of
 * the table holds byte * x^(16 + 8k), so that eight bytes are folded by eight independent loads
 * instead of a chain of eight. The cells are sums of powers of x, worked out by the compiler: no
 * magic numbers, and nothing to initialise at run time. */
#define POLYNOMIAL 0x1021
#define TIMES_X(p) (((p) << 1 ^ (((p)&0x8000) ? POLYNOMIAL : 0)) & 0xffff)

/* clang-format off */
enum power { /* X<n> is x^n modulo the polynomial */
    X16 = POLYNOMIAL, X17 = TIMES_X(X16), X18 = TIMES_X(X17), X19 = TIMES_X(X18),
    X20 = TIMES_X(X19), X21 = TIMES_X(X20), X22 = TIMES_X(X21), X23 = TIMES_X(X22),
    X24 = TIMES_X(X23), X25 = TIMES_X(X24), X26 = TIMES_X(X25), X27 = TIMES_X(X26),
    X28 = TIMES_X(X27), X29 = TIMES_X(X28), X30 = TIMES_X(X29), X31 = TIMES_X(X30),
    X32 = TIMES_X(X31), X33 = TIMES_X(X32), X34 = TIMES_X(X33), X35 = TIMES_X(X34),
    X36 = TIMES_X(X35), X37 = TIMES_X(X36), X38 = TIMES_X(X37), X39 = TIMES_X(X38),
    X40 = TIMES_X(X39), X41 = TIMES_X(X40), X42 = TIMES_X(X41), X43 = TIMES_X(X42),
    X44 = TIMES_X(X43), X45 = TIMES_X(X44), X46 = TIMES_X(X45), X47 = TIMES_X(X46),
    X48 = TIMES_X(X47), X49 = TIMES_X(X48), X50 = TIMES_X(X49), X51 = TIMES_X(X50),
    X52 = TIMES_X(X51), X53 = TIMES_X(X52), X54 = TIMES_X(X53), X55 = TIMES_X(X54),
    X56 = TIMES_X(X55), X57 = TIMES_X(X56), X58 = TIMES_X(X57), X59 = TIMES_X(X58),
    X60 = TIMES_X(X59), X61 = TIMES_X(X60), X62 = TIMES_X(X61), X63 = TIMES_X(X62),
    X64 = TIMES_X(X63), X65 = TIMES_X(X64), X66 = TIMES_X(X65), X67 = TIMES_X(X66),
    X68 = TIMES_X(X67), X69 = TIMES_X(X68), X70 = TIMES_X(X69), X71 = TIMES_X(X70),
    X72 = TIMES_X(X71), X73 = TIMES_X(X72), X74 = TIMES_X(X73), X75 = TIMES_X(X74),
    X76 = TIMES_X(X75), X77 = TIMES_X(X76), X78 = TIMES_X(X77), X79 = TIMES_X(X78),
};

#define CELL(b, p0, p1, p2, p3, p4, p5, p6, p7) \
    (uint16_t)(((b) & 1 ? p0 : 0) ^ ((b) & 2 ? p1 : 0) ^ ((b) & 4 ? p2 : 0) ^ \
               ((b) & 8 ? p3 : 0) ^ ((b) & 16 ? p4 : 0) ^ ((b) & 32 ? p5 : 0) ^ \
               ((b) & 64 ? p6 : 0) ^ ((b) & 128 ? p7 : 0))
#define CELLS_4(b, ...) \
    CELL(b, __VA_ARGS__), CELL(b + 1, __VA_ARGS__), CELL(b + 2, __VA_ARGS__), \
    CELL(b + 3, __VA_ARGS__)
#define CELLS_16(b, ...) \
    CELLS_4(b, __VA_ARGS__), CELLS_4(b + 4, __VA_ARGS__), CELLS_4(b + 8, __VA_ARGS__), \
    CELLS_4(b + 12, __VA_ARGS__)
#define CELLS_64(b, ...) \
    CELLS_16(b, __VA_ARGS__), CELLS_16(b + 16, __VA_ARGS__), CELLS_16(b + 32, __VA_ARGS__), \
    CELLS_16(b + 48, __VA_ARGS__)
#define CELLS_256(b, ...) \
    CELLS_64(b, __VA_ARGS__), CELLS_64(b + 64, __VA_ARGS__), CELLS_64(b + 128, __VA_ARGS__), \
    CELLS_64(b + 192, __VA_ARGS__)

static const uint16_t slices[8][256] = {
    {CELLS_256(0, X16, X17, X18, X19, X20, X21, X22, X23)},
    {CELLS_256(0, X24, X25, X26, X27, X28, X29, X30, X31)},
    {CELLS_256(0, X32, X33, X34, X35, X36, X37, X38, X39)},
    {CELLS_256(0, X40, X41, X42, X43, X44, X45, X46, X47)},
    {CELLS_256(0, X48, X49, X50, X51, X52, X53, X54, X55)},
    {CELLS_256(0, X56, X57, X58, X59, X60, X61, X62, X63)},
    {CELLS_256(0, X64, X65, X66, X67, X68, X69, X70, X71)},
    {CELLS_256(0, X72, X73, X74, X75, X76, X77, X78, X79)},
};
/* clang-format on */

static uint16_t crc16_of_8(uint16_t crc, const uint8_t *at)
{
    return slices[7][at[0] ^ (crc >> 8)] ^ slices[6][at[1] ^ (crc & 0xff)] ^ slices[5][at[2]] ^
           slices[4][at[3]] ^ slices[3][at[4]] ^ slices[2][at[5]] ^ slices[1][at[6]] ^
           slices[0][at[7]];
}

static uint16_t crc16_of_4(uint16_t crc, const uint8_t *at)
{
    return slices[3][at[0] ^ (crc >> 8)] ^ slices[2][at[1] ^ (crc & 0xff)] ^ slices[1][at[2]] ^
           slices[0][at[3]];
}

static uint16_t crc16(const uint8_t *at, size_t size)
{
    uint16_t crc = 0;
    for (; size >= 8; at += 8, size -= 8)
        crc = crc16_of_8(crc, at);
    if (size >= 4) {
        crc = crc16_of_4(crc, at);
        at += 4;
        size -= 4;
    }
    for (; size; at++, size--)
        crc = (uint16_t)(crc << 8) ^ slices[0][at[0] ^ (crc >> 8)];
    return crc;
}

/* The part of a key that decides its slot: what stands between the first brace and the first
 * closing brace behind it, unless that is nothing. */
static struct slice hashed_part(struct slice key)
{
    const uint8_t *open = key.size ? memchr(key.at, '{', key.size) : NULL;
    if (!open)
        return key;
    size_t behind = key.size - (size_t)(open + 1 - key.at);
    const uint8_t *close = behind ? memchr(open + 1, '}', behind) : NULL;
    if (!close || close == open + 1)
        return key;
    return slice_of(open + 1, (size_t)(close - open - 1));
}

uint16_t store_slot(struct slice key)
{
    struct slice part = hashed_part(key);
    return crc16(part.at, part.size) % STORE_SLOTS;
}

struct store_key store_key_of(uint8_t database, struct slice bytes)
{
    return (struct store_key){.database = database, .slot = store_slot(bytes), .bytes = bytes};
}

uint64_t store_hash(uint64_t seed, uint8_t database, struct slice bytes)
{
    /* An odd factor keeps the sixteen seeds apart whatever the first one is. */
    return XXH3_64bits_withSeed(bytes.at, bytes.size, seed + database * 0x9e3779b97f4a7c15u);
}

uint64_t store_key_hash(const struct store *store, const struct store_key *key)
{
    return store_hash(store->seed, key->database, key->bytes);
}
