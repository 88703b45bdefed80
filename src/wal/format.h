/* format.h - the bytes of the write-ahead log. Private to wal/.
 *
 * Files. DIR/%016llx.wal, named by file id (hexadecimal, from 1). A file is a spare (prepared with
 * zeros, or a former segment whose bytes are of no use any more) or a segment: the home of one life
 * of the log. Names never change, so that a segment starts without any directory operation; its
 * life number, which orders the segments, stands in its header.
 *
 *     0                128             k * 4096
 *     | segment header | opening batch | batch | batch ... | zeros, or what an older life left |
 *
 * Behind the last whole block stands the end mark, 512 bytes of text: file id and size. A file cut
 * short loses it first; nothing relies on it.
 *
 * Segment header, 128 bytes, written by the same write as the opening batch:
 *     0   magic "HFWALSEG"       8   u32 version           12  u32 0
 *     16  u64 log id low         24  u64 log id high       32  u64 file id
 *     40  u64 life               48  u64 first life        56  u64 size
 *     64 .. 119  zero            120 u64 checksum of bytes 0 .. 119
 *   first life, here and in a batch: the oldest life that the log still needed at that time.
 *
 * Batch, at a multiple of 64. Header of 96 bytes, then records:
 *     0   u32 magic              4   u16 version           6   u16 flags
 *     8   u64 log id low         16  u64 log id high       24  u64 file id
 *     32  u32 life               36  u32 first life        40  u32 offset
 *     44  u32 length             48  u32 used              52  u32 count
 *     56  u64 sequence           64  u64 durable_through   72  u64 previous
 *     80  u64 body               88  u64 checksum of bytes 0 .. 87
 *   length    to the end of the batch with its padding; used: to the end of its last record
 *   sequence  rises with each attempt to write a batch
 *   previous  the checksum of the batch before
 *   body      a digest of the checksums of all its records
 *   flags     1 opening (the first of a segment: states and identities once more)
 *             2 always (padded to a block)
 *
 * Record, at a multiple of 8 from the batch's start. Header of 40 bytes, then the payload, then
 * zeros up to a multiple of 8:
 *     0   u64 checksum           8   u32 payload length    12  u8 kind    13 .. 15 zero
 *     16  u64 group              24  u64 index             32  u64 term
 *   checksum  of bytes 8 .. 39 and the payload, seeded by log id, file id, life and the offset of
 *             the record in the file
 *
 * Validity.
 * V1  A segment header is valid if its checksum holds and its file id is that of the file's name.
 * V2  A batch header is valid if its checksum holds, and file id, life and offset are those of its
 *     place.
 * V3  A batch is valid if V2 holds, it lies inside the file, its records fill `used` exactly, each
 *     record's checksum holds, and so does `body`: a header of one attempt never goes with records
 *     of another one at the same place.
 * V4  The log begins with the opening batch of the segment whose life is the highest `first life`
 *     that any valid segment header says, or any batch of the newest segment that V5 reaches from
 *     its opening batch. Segments of lower lives are spares.
 * V5  A batch B follows a batch A if B is valid, B.previous = A.checksum, B.sequence > A.sequence,
 *     and B begins where A ends, or at the next block after it, or is the opening batch of a
 *     segment of a higher life. Among several the one with the highest sequence follows: the
 *     others are writes that failed for want of space and were done again elsewhere.
 * V6  durable_through is a position (life << 32 | offset): everything of the log before it was
 *     synced when the batch was written. It is a fact for ever, also in a batch that no walk
 *     reaches: one that is past x proves that a tail cut at x would lose durable records.
 *
 * What a crash can leave.
 * -   A batch of which some blocks are old: not valid (V3). The log ends before it, unless V6 says
 *     that it was durable (R7).
 * -   Valid batches behind such a one: the log goes on at the cut with a batch that has another
 *     checksum (each start writes random bytes first), so V5 never leads to them, neither now nor
 *     after the next crash.
 * -   A segment whose opening batch is torn: V5 does not lead there; the file is a spare.
 * -   An old segment that became a spare, half overwritten: that began only after a batch with a
 *     higher `first life` was durable (V4).
 * -   A file of any length and no valid header: a spare, or removed when it is too small. A draft
 *     (name.wal.tmp) of a file that was being prepared: removed.
 *
 * Version rule: magic, version and the checksum at 120 of a segment header stay where they are for
 * ever. A higher version is FOREIGN and named; nothing else of the file is read. */
#ifndef HOLDFAST_WAL_FORMAT_H
#define HOLDFAST_WAL_FORMAT_H

#include "wal/wal.h"

#define WAL_VERSION             1
#define WAL_SEGMENT_HEADER_SIZE 128
#define WAL_BATCH_HEADER_SIZE   96
#define WAL_RECORD_HEADER_SIZE  40
#define WAL_END_MARK_SIZE       512
#define WAL_BATCH_ALIGN         64
#define WAL_RECORD_ALIGN        8
#define WAL_BATCH_MAGIC         0xBA7C401Du

#define WAL_FLAG_OPENING 1
#define WAL_FLAG_ALWAYS  2

/* Records of the log's own; never handed to its owner. */
#define WAL_KIND_RUN                                                                               \
    16 /* a start of the program: 16 random bytes, then the boot id as text, or zeros while it may \
          have lost something and has not settled that */
#define WAL_KIND_CLEAN 17 /* the run ended in order */
#define WAL_KIND_FREED                                                                             \
    18 /* nothing but a reason for a batch: its header says a higher `first life` */

struct wal_log_id {
    uint64_t low, high;
};

struct wal_segment_header {
    uint32_t version;
    struct wal_log_id log;
    uint64_t file_id, life, first_life, size;
};

struct wal_batch_header {
    uint16_t flags;
    struct wal_log_id log;
    uint64_t file_id, life, first_life;
    uint32_t offset, length, used, count;
    uint64_t sequence, durable_through, previous, body, checksum;
};

static inline uint64_t wal_round_up(uint64_t value, uint64_t to)
{
    return (value + to - 1) / to * to;
}

static inline uint64_t wal_position(uint64_t life, uint64_t offset)
{
    return life << 32 | offset;
}

static inline bool wal_log_id_equal(struct wal_log_id a, struct wal_log_id b)
{
    return a.low == b.low && a.high == b.high;
}

/* What a record of `payload` bytes takes inside a batch. */
static inline size_t wal_record_room(size_t payload)
{
    return wal_round_up(WAL_RECORD_HEADER_SIZE + payload, WAL_RECORD_ALIGN);
}

void wal_segment_header_store(uint8_t *at, const struct wal_segment_header *header);

/* OK, DAMAGED (no valid header here), or FOREIGN: valid, of a version that this program does not
 * know. */
MUST_USE enum status wal_segment_header_load(const uint8_t *at, struct wal_segment_header *out);

/* DAMAGED unless the bytes are a batch header whose checksum holds; the place is the caller's to
 * compare (V2). */
MUST_USE enum status wal_batch_header_load(const uint8_t *at, struct wal_batch_header *out);

/* The part of a record's seed that a whole segment shares. */
uint64_t wal_seed(struct wal_log_id log, uint64_t file_id, uint64_t life);

/* Writes one record without its checksum (that depends on the place); `at` has wal_record_room()
 * bytes. */
void wal_record_store(uint8_t *at, uint8_t kind, const struct wal_record *record);

/* Finishes the batch at `at`: fills in the records' checksums, then the header with body and
 * checksum. */
void wal_batch_seal(uint8_t *at, struct wal_batch_header *header);

/* True if all records of the batch (header->used bytes at `at`) hold (V3); `header` was loaded from
 * there. */
bool wal_batch_holds(const uint8_t *at, const struct wal_batch_header *header);

/* Walks the records of a batch that holds. */
struct wal_cursor {
    const uint8_t *at; /* borrowed */
    size_t offset, used;
};

static inline struct wal_cursor wal_cursor_of(const uint8_t *batch, size_t used)
{
    return (struct wal_cursor){.at = batch, .offset = WAL_BATCH_HEADER_SIZE, .used = used};
}

bool wal_cursor_next(struct wal_cursor *cursor, struct wal_record *out);

#endif
