/* trace.h - what happened: a running hash of everything, and a ring of the newest happenings for
 * reading.
 *
 * A record is plain numbers (never an address), so hashing one is a single short XXH3 and printing
 * costs nothing until asked. */
#ifndef HOLDFAST_SIM_TRACE_H
#define HOLDFAST_SIM_TRACE_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum trace_kind {
    TRACE_NOTE = 1,
    TRACE_START,
    TRACE_STOP,
    TRACE_CRASH,
    TRACE_POWER_CUT,
    TRACE_POWER_ON,
    TRACE_PAUSE,
    TRACE_RESUME,
    TRACE_TURN,
    TRACE_MESSAGE,
    TRACE_CLOCK,
    TRACE_CUT,
    TRACE_HEAL,
    TRACE_RESET,
    TRACE_DIAL,
    TRACE_CONNECTED,
    TRACE_ACCEPTED,
    TRACE_SEND,
    TRACE_ARRIVE,
    TRACE_RECEIVE,
    TRACE_CLOSE,
    TRACE_GIVE_UP,
    TRACE_OPEN,
    TRACE_WRITE,
    TRACE_SYNC,
    TRACE_SYNCED,
    TRACE_READ,
    TRACE_SAVE,
    TRACE_PREPARE,
    TRACE_FILE_DONE,
    TRACE_REMOVE,
    TRACE_RENAME,
    TRACE_DIR,
    TRACE_DAMAGE,
    TRACE_LOST_BLOCKS,
    TRACE_FAULT,
    TRACE_KINDS,
};

#define TRACE_TEXT_SIZE 24

struct trace_record {
    uint64_t at_ns;
    uint32_t kind, machine;
    uint64_t a, b, sum; /* what they are depends on the kind; `sum` is a checksum of bytes where
                           there are any */
    char text[TRACE_TEXT_SIZE];
};

struct trace {
    uint64_t hash;
    struct trace_record *ring; /* owned; NULL when only the hash is kept */
    size_t capacity;
    uint64_t count;
};

void trace_init(struct trace *trace, size_t capacity);
void trace_deinit(struct trace *trace);

/* `text` may be NULL; it is part of the hash. */
void trace_add(struct trace *trace, const struct trace_record *record);
void trace_print(const struct trace *trace, FILE *out, size_t count);

#endif
