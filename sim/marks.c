/* Snapshots of one mark. */
#include "sim/marks.h"

#include "base/checksum.h"

static uint64_t checksum_of_chunk(uint64_t seed, const struct snapshot_chunk *chunk)
{
    uint64_t words[] = {chunk->first.slot, chunk->first.hash, chunk->last.slot, chunk->last.hash,
                        chunk->keys,       chunk->content,    chunk->raw_size,  chunk->size};
    return checksum_seeded(words, sizeof words, seed);
}

/* Number 0 is what the replica was born with, and no entry: who came later was born with a later
 * one. */
static struct slice configuration_of(const struct snapshot *snapshot)
{
    struct slice section = snapshot->meta.sections[SNAPSHOT_CONFIGURATION];
    return section.size >= 8 && !load_u64(section.at) ? slice_of(section.at, 8) : section;
}

static uint64_t checksum_of_sections(const struct snapshot *snapshot)
{
    struct slice configuration = configuration_of(snapshot);
    uint64_t value = checksum(configuration.at, configuration.size);
    for (size_t i = SNAPSHOT_CONFIGURATION + 1; i < SNAPSHOT_SECTIONS; i++) {
        struct slice section = snapshot->meta.sections[i];
        value = checksum_seeded(section.at, section.size, value + i);
    }
    return value;
}

static struct mark mark_of(unsigned node, const struct snapshot *snapshot)
{
    uint64_t chunks = 0;
    for (uint32_t i = 0; i < snapshot->count; i++)
        chunks = checksum_of_chunk(chunks, &snapshot->chunks[i]);
    return (struct mark){.index = snapshot->meta.index,
                         .term = snapshot->meta.term,
                         .time_us = snapshot->meta.time_us,
                         .sections = checksum_of_sections(snapshot),
                         .chunks = chunks,
                         .node = node};
}

static void compare(struct marks *marks, struct verdict *verdict, uint64_t group,
                    const struct mark *one, const struct mark *other)
{
    const char *what = one->time_us != other->time_us     ? "times"
                       : one->chunks != other->chunks     ? "chunks"
                       : one->sections != other->sections ? "sections"
                                                          : NULL;
    marks->compared++;
    if (what)
        verdict_fail(verdict, "equal-snapshots",
                     "group %llu: the snapshots of nodes %u and %u at entry %llu have different %s",
                     (unsigned long long)group, one->node, other->node,
                     (unsigned long long)one->index, what);
}

void marks_compare(struct marks *marks, struct verdict *verdict, unsigned node,
                   const struct snapshot *snapshot)
{
    struct mark now = mark_of(node, snapshot);
    for (size_t i = 0; i < MARKS_KEPT; i++) {
        const struct mark *mark = &marks->seen[i];
        if (mark->index != now.index || mark->term != now.term)
            continue;
        compare(marks, verdict, snapshot->meta.group.value, mark, &now);
        return;
    }
    marks->seen[marks->next++ % MARKS_KEPT] = now;
}
