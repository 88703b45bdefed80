/* How many bytes of a log lie between two of its indexes, without a number kept for each: marks,
 * dense near the end and ever sparser before. Between two marks entries count as equally long. */
#include "replica/log/log.h"

#include "base/memory.h"

#include <assert.h>

#define MARKS_MAX  64
#define MARK_BYTES (64u << 10)

void positions_deinit(struct positions *positions)
{
    memory_free(positions->marks);
    *positions = (struct positions){0};
}

void positions_begin(struct positions *positions, uint64_t index)
{
    positions->begin = positions->end = (struct position){.index = index};
    positions->count = positions->unmarked = 0;
}

/* Of the older half every second one goes. */
static void thin(struct positions *positions)
{
    size_t kept = 0;
    for (size_t i = 0; i < positions->count; i++)
        if (i >= MARKS_MAX / 2 || i % 2 == 0)
            positions->marks[kept++] = positions->marks[i];
    positions->count = kept;
}

static void mark(struct positions *positions)
{
    if (!positions->marks)
        positions->marks = memory_allocate(MARKS_MAX * sizeof *positions->marks);
    if (positions->count == MARKS_MAX)
        thin(positions);
    positions->marks[positions->count++] = positions->end;
    positions->unmarked = 0;
}

void positions_add(struct positions *positions, uint64_t index, size_t size)
{
    assert(index == positions->end.index + 1);
    if (size >= MARK_BYTES && positions->unmarked)
        mark(positions); /* a long one does not make those before it look longer */
    positions->end.index = index;
    positions->end.bytes += size;
    positions->unmarked += size;
    if (positions->unmarked >= MARK_BYTES)
        mark(positions);
}

static uint64_t bytes_at(const struct positions *positions, uint64_t index)
{
    size_t first = 0,
           last = positions->count; /* the first mark at or past it is in [first, last] */
    while (first < last) {
        size_t middle = first + (last - first) / 2;
        if (positions->marks[middle].index < index)
            first = middle + 1;
        else
            last = middle;
    }
    struct position low = first ? positions->marks[first - 1] : positions->begin;
    struct position high = first < positions->count ? positions->marks[first] : positions->end;
    uint64_t entries = high.index - low.index;
    if (index >= high.index || !entries)
        return high.bytes;
    unsigned __int128 bytes = high.bytes - low.bytes;
    return low.bytes + (uint64_t)(bytes * (index - low.index) / entries);
}

void positions_truncate(struct positions *positions, uint64_t from)
{
    uint64_t last = from ? from - 1 : 0;
    if (last >= positions->end.index)
        return;
    if (last <= positions->begin.index) {
        positions_begin(positions, last);
        return;
    }
    struct position end = {.index = last, .bytes = bytes_at(positions, last)};
    while (positions->count && positions->marks[positions->count - 1].index > last)
        positions->count--;
    size_t left = positions->count;
    positions->end = end;
    positions->unmarked = end.bytes - (left ? positions->marks[left - 1] : positions->begin).bytes;
}

uint64_t positions_between(const struct positions *positions, uint64_t after, uint64_t through)
{
    if (through > positions->end.index)
        through = positions->end.index;
    if (through <= after)
        return 0;
    if (after < positions->begin.index)
        return UINT64_MAX;
    return bytes_at(positions, through) - bytes_at(positions, after);
}
