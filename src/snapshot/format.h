/* format.h - the bytes of a snapshot file. Private to snapshot/.
 *
 * Files. DIR/GROUP-INDEX.snap, both numbers as 16 hexadecimal digits: a snapshot, written once and
 * never changed. DIR/GROUP-INDEX-NUMBER.tmp: a draft, of a snapshot under way or of a crash.
 * DIR/GROUP-INDEX-NUMBER.part: one that is received, or was and is a spare: header and chunks up to
 * where they end are used again.
 *
 *     | header, sections | chunk 0 | chunk 1 | ... | table: all chunk headers once more | footer |
 *
 * Header, 128 bytes, then sections:
 *     0   magic "HFSNAPSH"       8   u32 version           12  u32 size, sections included
 *     16  u64 cluster high       24  u64 cluster low       32  u64 group
 *     40  u64 index              48  u64 term              56  i64 time_us
 *     64  u64 hash seed          72 .. 111 zero            112 u64 checksum of the sections
 *     120 u64 checksum of bytes 0 .. 119
 *   section: u32 kind, u32 size, bytes. Kinds rise: 1 configuration, 2 term table, 3 ONCE table,
 *   4 ledger; an empty one is left out.
 *
 * Chunk, header of 96 bytes, then the payload:
 *     0   u32 magic              4   u32 number            8   u32 codec: 0 stored, 1 zstd
 *     12  u32 0                  16  u64 payload size      24  u64 raw size
 *     32  u32 first slot         36  u32 last slot         40  u64 first hash
 *     48  u64 last hash          56  u64 keys              64  u64 content hash
 *     72  u64 checksum of the payload                      80  u64 0
 *     88  u64 checksum of bytes 0 .. 87
 *   The payload is what store_encode made of the keys from (first slot, first hash) to (last slot,
 *   last hash), in the store's order; packed or as it is.
 *
 * Footer, the last 80 bytes:
 *     0   magic "HFSNAPEN"       8   u32 version           12  u32 chunks
 *     16  u64 keys               24  u64 content hash      32  u64 raw size
 *     40  u64 size of the file   48  u64 checksum of the table
 *     56 .. 71 zero              72  u64 checksum of bytes 0 .. 71
 *
 * Checksums are XXH3. Those of chunks, table and footer are seeded with the checksum of bytes 16 ..
 * 71 of the header: a part is valid in snapshots of this cluster, group and mark only, but in those
 * of every replica.
 *
 * Validity.
 * N1  A header is valid if magic, version, both checksums, reserved zeros and the order of sections
 *     hold, and cluster, group and index are those asked for and of the name.
 * N2  A chunk is valid if its header's and its payload's checksums hold.
 * N3  A file is valid if N1 holds, its footer says its size, and the chunks that its table lists
 *     fill the file exactly, are numbered from 0, begin where the one before ends, and add up to
 *     the footer's keys, content hash and raw size. Payloads are looked at when they are read; the
 *     header in front of a payload must be the one in the table.
 * N4  What a payload unpacks to has the raw size, as many keys as the header says, and the content
 *     hash.
 * Where chunks are cut depends on the keys alone (SNAP-5): behind the last slot of each range of
 * SNAPSHOT_RANGE_SLOTS, and within one where SNAPSHOT_CHUNK_SIZE is reached. A chunk without keys
 * is not written: the next one covers its slots.
 *
 * What a crash can leave: drafts with any bytes, and files. A file has got its name after its bytes
 * were synced.
 *
 * Version rule: magic, version and the checksum at 120 stay where they are for ever. A higher
 * version is FOREIGN and named; nothing else of the file is read. */
#ifndef HOLDFAST_SNAPSHOT_FORMAT_H
#define HOLDFAST_SNAPSHOT_FORMAT_H

#include "snapshot/snapshot.h"

#define SNAPSHOT_VERSION           1
#define SNAPSHOT_HEADER_SIZE       128
#define SNAPSHOT_SECTION_HEAD_SIZE 8
#define SNAPSHOT_CHUNK_HEADER_SIZE 96
#define SNAPSHOT_FOOTER_SIZE       80
#define SNAPSHOT_CHUNK_MAGIC       0xC4095A9Du
#define SNAPSHOT_DRAFT             "tmp"
#define SNAPSHOT_PART              "part"
#define SNAPSHOT_RANGE_SLOTS       256
#define SNAPSHOT_CHUNK_SIZE        ((size_t)1 << 20)
#define SNAPSHOT_RAW_MAX           ((size_t)4 << 30) /* one chunk's records */
#define SNAPSHOT_CHUNKS_MAX        (1u << 24)

enum snapshot_codec {
    SNAPSHOT_STORED,
    SNAPSHOT_ZSTD
};

struct snapshot_chunk_header {
    struct snapshot_chunk chunk; /* `offset` is not in the bytes */
    uint32_t number;
    enum snapshot_codec codec;
    uint64_t body; /* checksum of the payload */
};

struct snapshot_footer {
    uint32_t count;
    uint64_t keys, content, raw_size, size, table;
};

/* Appends the whole header. TOO_LARGE past SNAPSHOT_HEADER_MAX. */
MUST_USE enum status snapshot_header_store(struct cluster_id cluster,
                                           const struct snapshot_meta *meta, struct buffer *out);
/* The size of the whole from its first SNAPSHOT_HEADER_SIZE bytes: DAMAGED, FOREIGN (version). */
MUST_USE enum status snapshot_header_size(struct slice bytes, size_t *size);
/* The whole. DAMAGED, FOREIGN (version, cluster). Sections point into `bytes`. */
MUST_USE enum status snapshot_header_load(struct slice bytes, struct cluster_id cluster,
                                          struct snapshot_meta *out);
/* What the other checksums are seeded with. */
uint64_t snapshot_header_seed(struct slice header);

void snapshot_chunk_store(uint8_t at[SNAPSHOT_CHUNK_HEADER_SIZE], uint64_t seed,
                          const struct snapshot_chunk_header *header);
/* DAMAGED unless all that can be said without the payload holds; `chunk.offset` becomes 0. */
MUST_USE enum status snapshot_chunk_header_load(const uint8_t *at, uint64_t seed,
                                                struct snapshot_chunk_header *out);

void snapshot_footer_store(uint8_t at[SNAPSHOT_FOOTER_SIZE], uint64_t seed,
                           const struct snapshot_footer *footer);
MUST_USE enum status snapshot_footer_load(const uint8_t *at, uint64_t seed,
                                          struct snapshot_footer *out);

/* The position right behind `position`. */
struct store_position snapshot_position_after(struct store_position position);

#endif
