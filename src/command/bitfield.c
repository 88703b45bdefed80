/* bitfield.c - integers of 1 to 64 bits anywhere in a string. */
#include "base/memory.h"
#include "command/call.h"

#include <assert.h>

enum field_kind {
    FIELD_GET,
    FIELD_SET,
    FIELD_INCRBY
};
enum field_overflow {
    OVERFLOW_WRAP,
    OVERFLOW_SAT,
    OVERFLOW_FAIL
};

struct field {
    enum field_kind kind;
    enum field_overflow overflow;
    bool is_signed;
    unsigned bits;   /* 1 .. 64, unsigned ones at most 63 */
    uint64_t offset; /* of its highest bit */
    int64_t value;   /* to set or to add */
};

struct fields {
    struct field *at; /* owned */
    size_t count;
    uint64_t size; /* bytes that the string must have for all that is written; 0: only reads */
};

/* ---- reading the request ---- */

static bool take_type(struct command_call *call, size_t argument, struct field *field)
{
    struct slice text = call->arguments[argument];
    int64_t bits = 0;
    field->is_signed = text.size && text.at[0] == 'i';
    bool known = field->is_signed || (text.size && text.at[0] == 'u');
    if (!known || slice_to_i64(slice_of(text.at + 1, text.size - 1), &bits) || bits < 1 ||
        bits > (field->is_signed ? 64 : 63)) {
        command_fail(call, "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is "
                           "not supported but i64 is.");
        return false;
    }
    field->bits = (unsigned)bits;
    return true;
}

static bool take_overflow(struct command_call *call, size_t argument, enum field_overflow *overflow)
{
    static const char *const words[] = {"WRAP", "SAT", "FAIL"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (slice_is_word(call->arguments[argument], words[i])) {
            *overflow = (enum field_overflow)i;
            return true;
        }
    command_fail(call, "ERR Invalid OVERFLOW type specified");
    return false;
}

/* Type, offset and, of what writes, the value behind the word. */
static bool take_field(struct command_call *call, size_t argument, struct fields *fields,
                       struct field field)
{
    if (!take_type(call, argument, &field) ||
        !command_bit_offset(call, argument + 1, field.bits, &field.offset))
        return false;
    if (field.kind != FIELD_GET) {
        uint64_t end = ((field.offset + field.bits - 1) >> 3) + 1;
        if (!command_integer(call, argument + 2, &field.value))
            return false;
        fields->size = end > fields->size ? end : fields->size;
    }
    fields->at[fields->count++] = field;
    return true;
}

static bool take_fields(struct command_call *call, struct fields *fields)
{
    static const char *const words[] = {"GET", "SET", "INCRBY"};
    enum field_overflow overflow = OVERFLOW_WRAP;
    for (size_t i = 2; i < call->count;) {
        size_t left = call->count - i, kind = 0;
        if (slice_is_word(call->arguments[i], "OVERFLOW") && left > 1) {
            if (!take_overflow(call, i + 1, &overflow))
                return false;
            i += 2;
            continue;
        }
        while (kind < 3 && !slice_is_word(call->arguments[i], words[kind]))
            kind++;
        size_t takes = kind == FIELD_GET ? 3 : 4;
        if (kind == 3 || left < takes) {
            command_fail_syntax(call);
            return false;
        }
        struct field field = {.kind = (enum field_kind)kind, .overflow = overflow};
        if (!take_field(call, i + 1, fields, field))
            return false;
        i += takes;
    }
    return true;
}

/* ---- bits of a field ---- */

/* The 9 bytes that a field may lie in; what the string does not have is zero. */
struct window {
    uint8_t bytes[9];
    size_t begin; /* in the string */
};

static void window_load(struct window *window, struct slice string, uint64_t offset)
{
    memset(window->bytes, 0, sizeof window->bytes);
    window->begin = (size_t)(offset >> 3);
    if (window->begin >= string.size)
        return;
    size_t there = string.size - window->begin;
    memcpy(window->bytes, string.at + window->begin,
           there < sizeof window->bytes ? there : sizeof window->bytes);
}

static bool window_bit(const struct window *window, unsigned bit)
{
    return window->bytes[bit / 8] >> (7 - bit % 8) & 1;
}

static uint64_t window_read(const struct window *window, const struct field *field)
{
    uint64_t value = 0;
    for (unsigned i = 0, from = field->offset & 7; i < field->bits; i++)
        value = value << 1 | window_bit(window, from + i);
    return value;
}

static void window_write(struct window *window, const struct field *field, uint64_t value)
{
    for (unsigned i = 0, from = field->offset & 7; i < field->bits; i++) {
        unsigned bit = from + i;
        uint8_t mask = (uint8_t)(0x80 >> bit % 8), *at = &window->bytes[bit / 8];
        *at = (uint8_t)(value >> (field->bits - 1 - i) & 1 ? *at | mask : *at & ~mask);
    }
}

/* The low bits of `raw` as the field reads them. */
static __int128 field_value(const struct field *field, uint64_t raw)
{
    assert(field->bits >= 1 && field->bits <= 64);
    if (field->bits < 64)
        raw &= (UINT64_C(1) << field->bits) - 1;
    if (!field->is_signed)
        return raw;
    unsigned unused = 64 - field->bits;
    return (int64_t)(raw << unused) >> unused;
}

/* What is to be written. False: it does not fit, and the field says FAIL. */
static bool next_value(const struct field *field, __int128 now, __int128 *then)
{
    unsigned width = field->bits - field->is_signed;
    __int128 low = field->is_signed ? -((__int128)1 << width) : 0;
    __int128 high = ((__int128)1 << width) - 1;
    if (field->kind == FIELD_INCRBY)
        *then = now + field->value;
    else if (field->is_signed)
        *then = field->value;
    else
        *then = (uint64_t)field->value; /* a negative one is too large */
    if (*then >= low && *then <= high)
        return true;
    if (field->overflow == OVERFLOW_WRAP)
        *then = field_value(field, (uint64_t)*then);
    else
        *then = *then < low ? low : high;
    return field->overflow != OVERFLOW_FAIL;
}

/* ---- running ---- */

static struct slice string_now(const struct command_call *call, const struct store_key *key)
{
    const struct store_entry *entry = command_lookup(call, key);
    return entry ? store_entry_string(entry) : slice_of(NULL, 0);
}

/* True: the string was changed. The first change makes room for all that may be written. */
static bool run_field(struct command_call *call, const struct store_key *key,
                      const struct fields *fields, const struct field *field)
{
    struct window window;
    struct slice string = string_now(call, key);
    window_load(&window, string, field->offset);
    __int128 now = field_value(field, window_read(&window, field)), then;
    if (field->kind == FIELD_GET) {
        reply_integer(call->reply, (int64_t)now);
        return false;
    }
    if (!next_value(field, now, &then)) {
        reply_null(call->reply);
        return false;
    }
    if (string.size < fields->size)
        store_write_string(call->store, key, (size_t)fields->size, slice_of(NULL, 0));
    window_write(&window, field, (uint64_t)then);
    size_t touched = ((field->offset & 7) + field->bits + 7) / 8;
    store_write_string(call->store, key, window.begin, slice_of(window.bytes, touched));
    reply_integer(call->reply, (int64_t)(field->kind == FIELD_SET ? now : then));
    return true;
}

/* The request is its own effect: it does the same everywhere. */
static void run_fields(struct command_call *call, const struct fields *fields)
{
    struct store_key key = command_key(call, 1);
    struct store_entry *entry;
    bool changed = false;
    if (!command_lookup_typed(call, &key, STORE_STRING, &entry))
        return;
    if (fields->size &&
        (!command_string_fits(call, fields->size, 0) || !command_can_change(call, 0)))
        return;
    reply_array(call->reply, fields->count);
    for (size_t i = 0; i < fields->count; i++)
        changed |= run_field(call, &key, fields, &fields->at[i]);
    if (changed)
        command_ship_request(call);
    else
        command_note_unchanged(call);
}

static void bitfield(struct command_call *call, bool may_write)
{
    struct fields fields = {.at = memory_allocate(call->count * sizeof *fields.at)};
    if (take_fields(call, &fields)) {
        if (fields.size && !may_write)
            command_fail(call, "ERR BITFIELD_RO only supports the GET subcommand");
        else
            run_fields(call, &fields);
    }
    memory_free(fields.at);
}

static void execute_bitfield(struct command_call *call)
{
    bitfield(call, true);
}

static void execute_bitfield_ro(struct command_call *call)
{
    bitfield(call, false);
}

/* ---- rows ---- */

static const struct command rows[] = {
    {NUMBER_BITFIELD, "BITFIELD", -2, COMMAND_WRITE | COMMAND_DENY_OOM | COMMAND_EFFECT, 1, 1, 1,
     "@write @bitmap @slow", "Read, set and add to integers of any width in a string", "bitmap",
     "3.2.0", execute_bitfield, 0},
    {NUMBER_BITFIELD_RO, "BITFIELD_RO", -2, COMMAND_READ | COMMAND_FAST, 1, 1, 1,
     "@read @bitmap @fast", "Read integers of any width in a string", "bitmap", "6.0.0",
     execute_bitfield_ro, 0},
};

struct command_family command_family_bitfield(void)
{
    return (struct command_family){rows, sizeof rows / sizeof *rows};
}
