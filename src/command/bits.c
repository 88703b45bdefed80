/* bits.c - strings as rows of bits. Bit 0 is the highest of byte 0. */
#include "base/memory.h"
#include "command/call.h"

static bool lookup_bits(struct command_call *call, struct store_key *key,
                        struct store_entry **entry)
{
    *key = command_key(call, 1);
    return command_lookup_typed(call, key, STORE_STRING, entry);
}

static struct slice bits_of(const struct store_entry *entry)
{
    return entry ? store_entry_string(entry) : slice_of(NULL, 0);
}

bool command_bit_offset(struct command_call *call, size_t argument, unsigned unit, uint64_t *offset)
{
    struct slice text = call->arguments[argument];
    int64_t value;
    bool counts_units = unit && text.size && text.at[0] == '#';
    if (counts_units)
        text = slice_of(text.at + 1, text.size - 1);
    bool fits = !slice_to_i64(text, &value) && value >= 0 &&
                !(counts_units && __builtin_mul_overflow(value, (int64_t)unit, &value));
    if (!fits || value >> 3 >= (int64_t)STORE_VALUE_SIZE_MAX) {
        command_fail(call, "ERR bit offset is not an integer or out of range");
        return false;
    }
    *offset = (uint64_t)value;
    return true;
}

/* ---- one bit ---- */

static bool bit_at(struct slice bits, uint64_t offset)
{
    size_t byte = (size_t)(offset >> 3);
    return byte < bits.size && (bits.at[byte] >> (7 - (offset & 7)) & 1);
}

static void execute_setbit(struct command_call *call)
{
    struct store_key key;
    struct store_entry *entry;
    uint64_t offset;
    int64_t value;
    if (!command_bit_offset(call, 2, 0, &offset) ||
        !command_integer_between(call, 3, 0, 1, "ERR bit is not an integer or out of range",
                                 &value) ||
        !lookup_bits(call, &key, &entry))
        return;
    struct slice bits = bits_of(entry);
    size_t byte = (size_t)(offset >> 3);
    uint8_t mask = (uint8_t)(0x80 >> (offset & 7)), now = byte < bits.size ? bits.at[byte] : 0;
    uint8_t then = (uint8_t)(value ? now | mask : now & ~mask);
    if (byte < bits.size && then == now) {
        command_reply_unchanged(call, (now & mask) != 0);
        return;
    }
    if (!command_string_fits(call, byte, 1) || !command_can_change(call, 0))
        return;
    store_write_string(call->store, &key, byte, slice_of(&then, 1));
    command_ship_request(call);
    reply_integer(call->reply, (now & mask) != 0);
}

static void execute_getbit(struct command_call *call)
{
    struct store_key key;
    struct store_entry *entry;
    uint64_t offset;
    if (command_bit_offset(call, 2, 0, &offset) && lookup_bits(call, &key, &entry))
        reply_integer(call->reply, bit_at(bits_of(entry), offset));
}

/* ---- ranges ---- */

struct bit_range {
    uint64_t first, last; /* of bits, both within */
};

/* The bits of bytes or bits first .. last. False: there is none. */
static bool span_bits(struct slice bits, int64_t first, int64_t last, bool counts_bits,
                      struct bit_range *range)
{
    size_t from, count;
    unsigned shift = counts_bits ? 0 : 3;
    if (!command_text_span(first, last, bits.size << (3 - shift), &from, &count))
        return false;
    *range = (struct bit_range){(uint64_t)from << shift, ((uint64_t)(from + count) << shift) - 1};
    return true;
}

static bool take_unit(struct command_call *call, size_t argument, bool *counts_bits)
{
    *counts_bits = slice_is_word(call->arguments[argument], "BIT");
    if (*counts_bits || slice_is_word(call->arguments[argument], "BYTE"))
        return true;
    command_fail_syntax(call);
    return false;
}

static uint8_t head_mask(const struct bit_range *range)
{
    return (uint8_t)(0xff >> (range->first & 7));
}

static uint8_t tail_mask(const struct bit_range *range)
{
    return (uint8_t)(0xff << (7 - (range->last & 7)));
}

/* Set bits: sums of neighbours, in pairs, fours, eights; the product adds the bytes up. */
static unsigned ones(uint64_t word)
{
    word -= word >> 1 & 0x5555555555555555u;
    word = (word & 0x3333333333333333u) + (word >> 2 & 0x3333333333333333u);
    word = (word + (word >> 4)) & 0x0f0f0f0f0f0f0f0fu;
    return (unsigned)(word * 0x0101010101010101u >> 56);
}

static int64_t count_bits(struct slice bits, const struct bit_range *range)
{
    size_t at = (size_t)(range->first >> 3), end = (size_t)(range->last >> 3);
    if (at == end)
        return ones(bits.at[at] & head_mask(range) & tail_mask(range));
    int64_t count = ones(bits.at[at] & head_mask(range)) + ones(bits.at[end] & tail_mask(range));
    for (at++; at + 8 <= end; at += 8)
        count += ones(load_u64(bits.at + at));
    for (; at < end; at++)
        count += ones(bits.at[at]);
    return count;
}

/* The first bit of the range that is `wanted`; -1: none. */
static int64_t find_bit(struct slice bits, const struct bit_range *range, bool wanted)
{
    size_t at = (size_t)(range->first >> 3), end = (size_t)(range->last >> 3);
    uint8_t turn = wanted ? 0 : 0xff, mask = head_mask(range);
    uint64_t none = wanted ? 0 : UINT64_MAX;
    for (; at <= end; at++) {
        while (mask == 0xff && at + 8 <= end && load_u64(bits.at + at) == none)
            at += 8;
        if (at == end)
            mask &= tail_mask(range);
        uint8_t found = (uint8_t)(bits.at[at] ^ turn) & mask;
        if (found)
            return (int64_t)at * 8 + __builtin_clz(found) - 24;
        mask = 0xff;
    }
    return -1;
}

static void execute_bitcount(struct command_call *call)
{
    struct store_key key;
    struct store_entry *entry;
    struct bit_range range;
    int64_t first = 0, last = -1;
    bool counts_bits = false;
    if (!lookup_bits(call, &key, &entry))
        return;
    if (!entry) {
        reply_integer(call->reply, 0);
        return;
    }
    if (call->count == 3 || call->count > 5) {
        command_fail_syntax(call);
        return;
    }
    if (call->count > 3 && (!command_integer(call, 2, &first) || !command_integer(call, 3, &last)))
        return;
    if (command_is_backwards(first, last)) {
        reply_integer(call->reply, 0);
        return;
    }
    if (call->count == 5 && !take_unit(call, 4, &counts_bits))
        return;
    struct slice bits = bits_of(entry);
    bool some = span_bits(bits, first, last, counts_bits, &range);
    reply_integer(call->reply, some ? count_bits(bits, &range) : 0);
}

/* Behind a string stand zeros without end, unless the request says where to stop. */
static int64_t position(struct slice bits, const struct bit_range *range, bool wanted, bool stops)
{
    int64_t found = find_bit(bits, range, wanted);
    return found < 0 && !wanted && !stops ? (int64_t)bits.size * 8 : found;
}

static void execute_bitpos(struct command_call *call)
{
    struct store_key key;
    struct store_entry *entry;
    struct bit_range range;
    int64_t wanted, first = 0, last = -1;
    bool counts_bits = false;
    if (!command_integer(call, 2, &wanted))
        return;
    if (wanted != 0 && wanted != 1) {
        command_fail(call, "ERR The bit argument must be 1 or 0.");
        return;
    }
    if (!lookup_bits(call, &key, &entry))
        return;
    if (!entry) {
        reply_integer(call->reply, wanted ? -1 : 0);
        return;
    }
    if (call->count > 6) {
        command_fail_syntax(call);
        return;
    }
    if ((call->count > 3 && !command_integer(call, 3, &first)) ||
        (call->count == 6 && !take_unit(call, 5, &counts_bits)) ||
        (call->count > 4 && !command_integer(call, 4, &last)))
        return;
    struct slice bits = bits_of(entry);
    bool some = span_bits(bits, first, last, counts_bits, &range);
    reply_integer(call->reply, some ? position(bits, &range, wanted, call->count > 4) : -1);
}

/* ---- BITOP ---- */

enum bit_operation {
    BITS_AND,
    BITS_OR,
    BITS_XOR,
    BITS_NOT
};

static bool take_operation(struct command_call *call, enum bit_operation *operation)
{
    static const char *const words[] = {"AND", "OR", "XOR", "NOT"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (slice_is_word(call->arguments[1], words[i])) {
            *operation = (enum bit_operation)i;
            if (*operation != BITS_NOT || call->count == 4)
                return true;
            command_fail(call, "ERR BITOP NOT must be called with a single source key.");
            return false;
        }
    command_fail_syntax(call);
    return false;
}

/* What is shorter counts as if zeros stood behind it. */
static void combine(uint8_t *into, size_t size, struct slice with, enum bit_operation operation)
{
    const uint8_t *at = with.at;
    switch (operation) {
    case BITS_AND:
        for (size_t i = 0; i < with.size; i++)
            into[i] &= at[i];
        memset(into + with.size, 0, size - with.size);
        break;
    case BITS_OR:
        for (size_t i = 0; i < with.size; i++)
            into[i] |= at[i];
        break;
    case BITS_XOR:
        for (size_t i = 0; i < with.size; i++)
            into[i] ^= at[i];
        break;
    case BITS_NOT:
        for (size_t i = 0; i < with.size; i++)
            into[i] = (uint8_t)~at[i];
        break;
    }
}

/* The longest source; false: one is no string. */
static bool measure_sources(struct command_call *call, size_t *size)
{
    *size = 0;
    for (size_t i = 3; i < call->count; i++) {
        struct store_key key = command_key(call, i);
        struct store_entry *entry;
        if (!command_lookup_typed(call, &key, STORE_STRING, &entry))
            return false;
        if (bits_of(entry).size > *size)
            *size = bits_of(entry).size;
    }
    return true;
}

static uint8_t *combine_sources(struct command_call *call, enum bit_operation operation,
                                size_t size)
{
    uint8_t *bits = memory_zeroed(1, size);
    for (size_t i = 3; i < call->count; i++) {
        struct store_key key = command_key(call, i);
        bool first = i == 3 && operation != BITS_NOT;
        combine(bits, size, bits_of(command_lookup(call, &key)), first ? BITS_OR : operation);
    }
    return bits;
}

/* The request is its own effect: bits come out alike everywhere, and may be longer than an entry.
 */
static void execute_bitop(struct command_call *call)
{
    enum bit_operation operation;
    size_t size;
    if (!take_operation(call, &operation) || !measure_sources(call, &size))
        return;
    struct store_key into = command_key(call, 2);
    if (!size && !command_lookup(call, &into)) {
        command_reply_unchanged(call, 0);
        return;
    }
    if (!command_can_change(call, 0))
        return;
    if (size) {
        uint8_t *bits = combine_sources(call, operation, size);
        store_put_string(call->store, &into, slice_of(bits, size), 0);
        memory_free(bits);
    } else {
        store_remove(call->store, &into);
    }
    command_ship_request(call);
    reply_integer(call->reply, (int64_t)size);
}

/* ---- rows ---- */

#define WRITE      (COMMAND_WRITE | COMMAND_DENY_OOM | COMMAND_EFFECT)
#define SLOW_WRITE "@write @bitmap @slow"
#define SLOW_READ  "@read @bitmap @slow"

static const struct command rows[] = {
    {NUMBER_SETBIT, "SETBIT", 4, WRITE, 1, 1, 1, SLOW_WRITE,
     "Set or clear one bit of a string and answer what it was", "bitmap", "2.2.0", execute_setbit,
     0},
    {NUMBER_GETBIT, "GETBIT", 3, COMMAND_READ | COMMAND_FAST, 1, 1, 1, "@read @bitmap @fast",
     "Answer one bit of a string", "bitmap", "2.2.0", execute_getbit, 0},
    {NUMBER_BITCOUNT, "BITCOUNT", -2, COMMAND_READ, 1, 1, 1, SLOW_READ,
     "Count the bits that are set in a string or a part of it", "bitmap", "2.6.0", execute_bitcount,
     0},
    {NUMBER_BITPOS, "BITPOS", -3, COMMAND_READ, 1, 1, 1, SLOW_READ,
     "Find the first bit that is set, or clear, in a string or a part of it", "bitmap", "2.8.7",
     execute_bitpos, 0},
    {NUMBER_BITOP, "BITOP", -4, WRITE, 2, -1, 1, SLOW_WRITE,
     "Combine strings bit by bit and store what comes out", "bitmap", "2.6.0", execute_bitop, 0},
};

struct command_family command_family_bits(void)
{
    return (struct command_family){rows, sizeof rows / sizeof *rows};
}
