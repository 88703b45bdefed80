/* marks.h - snapshots of one mark are equal wherever they were cut (SNAP-5, R20): a receiver may
 * take the header from one member and chunks from others.
 *
 * Looked at is what a snapshot says of itself: all of its header, and of each chunk its range,
 * keys, content hash and sizes. What was received is a copy, and equal without merit. */
#ifndef HOLDFAST_SIM_MARKS_H
#define HOLDFAST_SIM_MARKS_H

#include "sim/verdict.h"

#include "snapshot/snapshot.h"

#define MARKS_KEPT 64 /* of a group: the newest */

/* The first snapshot of each mark. All zero: none was seen. */
struct marks {
    struct mark {
        uint64_t index, term;
        int64_t time_us;
        uint64_t sections, chunks; /* checksums */
        unsigned node;
    } seen[MARKS_KEPT];
    size_t next;
    uint64_t compared;
};

/* A snapshot that has its name, on that node. */
void marks_compare(struct marks *marks, struct verdict *verdict, unsigned node,
                   const struct snapshot *snapshot);

#endif
