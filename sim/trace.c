#include "sim/trace.h"

#include "base/checksum.h"
#include "base/memory.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

void trace_init(struct trace *trace, size_t capacity)
{
    memset(trace, 0, sizeof *trace);
    trace->capacity = capacity;
    if (capacity > 0)
        trace->ring = memory_zeroed(capacity, sizeof *trace->ring);
}

void trace_deinit(struct trace *trace)
{
    memory_free(trace->ring);
    memset(trace, 0, sizeof *trace);
}

void trace_add(struct trace *trace, const struct trace_record *record)
{
    assert(record->kind > 0 && record->kind < TRACE_KINDS);
    size_t size = record->text[0] == 0 ? offsetof(struct trace_record, text) : sizeof *record;
    trace->hash = checksum_seeded(record, size, trace->hash);
    if (trace->ring != NULL)
        trace->ring[trace->count % trace->capacity] = *record;
    trace->count++;
}

static const char *kind_name(uint32_t kind)
{
    static const char *const names[TRACE_KINDS] = {
        [TRACE_NOTE] = "note",
        [TRACE_START] = "start",
        [TRACE_STOP] = "stop",
        [TRACE_CRASH] = "crash",
        [TRACE_POWER_CUT] = "power-cut",
        [TRACE_POWER_ON] = "power-on",
        [TRACE_PAUSE] = "pause",
        [TRACE_RESUME] = "resume",
        [TRACE_TURN] = "turn",
        [TRACE_MESSAGE] = "message",
        [TRACE_CLOCK] = "clock",
        [TRACE_CUT] = "cut",
        [TRACE_HEAL] = "heal",
        [TRACE_RESET] = "reset",
        [TRACE_DIAL] = "dial",
        [TRACE_CONNECTED] = "connected",
        [TRACE_ACCEPTED] = "accepted",
        [TRACE_SEND] = "send",
        [TRACE_ARRIVE] = "arrive",
        [TRACE_RECEIVE] = "receive",
        [TRACE_CLOSE] = "close",
        [TRACE_GIVE_UP] = "give-up",
        [TRACE_OPEN] = "open",
        [TRACE_WRITE] = "write",
        [TRACE_SYNC] = "sync",
        [TRACE_SYNCED] = "synced",
        [TRACE_READ] = "read",
        [TRACE_SAVE] = "save",
        [TRACE_PREPARE] = "prepare",
        [TRACE_FILE_DONE] = "file-done",
        [TRACE_REMOVE] = "remove",
        [TRACE_RENAME] = "rename",
        [TRACE_DIR] = "dir",
        [TRACE_DAMAGE] = "damage",
        [TRACE_LOST_BLOCKS] = "lost-blocks",
        [TRACE_FAULT] = "fault",
    };
    return names[kind];
}

void trace_print(const struct trace *trace, FILE *out, size_t count)
{
    uint64_t kept = trace->count < trace->capacity ? trace->count : trace->capacity;
    if (count > kept)
        count = kept;
    for (uint64_t i = trace->count - count; i < trace->count; i++) {
        const struct trace_record *record = &trace->ring[i % trace->capacity];
        fprintf(out, "%" PRIu64 ".%09" PRIu64 " m%" PRIu32 " %-10s %" PRIu64 " %" PRIu64,
                record->at_ns / 1000000000u, record->at_ns % 1000000000u, record->machine,
                kind_name(record->kind), record->a, record->b);
        if (record->sum != 0)
            fprintf(out, " #%016" PRIx64, record->sum);
        fprintf(out, "%s%s\n", record->text[0] != 0 ? " " : "", record->text);
    }
}
