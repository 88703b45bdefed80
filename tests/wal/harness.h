/* harness.h - a log on the fake io, and the list of all that was appended to it, against which each
 * recovery is checked. */
#ifndef HOLDFAST_TEST_WAL_HARNESS_H
#define HOLDFAST_TEST_WAL_HARNESS_H

#include "tests/wal/fake_io.h"
#include "wal/wal.h"

#define HARNESS_GROUPS    5
#define HARNESS_INDEX_MAX 1024
#define HARNESS_DIR       "/wal"
#define HARNESS_INTERVAL  10000000u

struct model_record {
    enum wal_record_kind kind;
    uint64_t group, index, term, ticket;
    size_t size; /* of the payload, at least 8: its first 8 bytes are the record's number */
};

struct harness {
    struct io *io;
    struct wal *wal; /* NULL between a crash and the next open */
    struct random random;
    uint64_t segment_size;
    struct model_record *model;
    size_t count, capacity;
    size_t durable; /* so many of the model must survive anything */
    uint64_t next_index[HARNESS_GROUPS], released[HARNESS_GROUPS];
    size_t set_aside; /* records of that kind that the last recovery gave back */
    bool releases;    /* old records may be missing at recovery */
    bool lazy;        /* harness_work appends entries with INTERVAL and OS only */
    bool writes_fail; /* harness_work lets a write find no space now and then */
    bool syncs_fail;  /* the test made one fail: opening may say IO */
    bool failed;      /* the log said IO: it must be closed */
};

void harness_init(struct harness *harness, uint64_t seed);
void harness_deinit(struct harness *harness);

/* Opens and recovers; checks WAL-2 and that nothing durable is missing (WAL-1). Fails the test
 * unless it succeeds, or the power went: then false. */
bool harness_open(struct harness *harness);
void harness_close(struct harness *harness);

/* Opens and pulls to the end; the status that ended it, END when all is well; `why` as the log
 * says. The log is closed again. */
enum status harness_probe(struct harness *harness, char why[WAL_WHY_SIZE], size_t *records);

/* An entry with the next index of the group, or what the kind needs. */
void harness_append(struct harness *harness, enum wal_record_kind kind, uint64_t group, size_t size,
                    enum wal_sync sync);
void harness_truncate(struct harness *harness, uint64_t group,
                      uint64_t back); /* the next index goes back */
enum status harness_flush(struct harness *harness);
bool harness_step(struct harness *harness);   /* one event; false: none */
void harness_settle(struct harness *harness); /* until all is durable, or failed or off */
void harness_release(struct harness *harness, uint64_t group, uint64_t index);
void harness_crash(struct harness *harness, enum fake_loss loss);

/* Random work: `steps` times an append, flush, event, tick ...; ends early when the log fails or
 * the power goes. */
void harness_work(struct harness *harness, size_t steps);

/* Reads entries of a group back through wal_read_* and compares them with the model. */
void harness_check_read(struct harness *harness, uint64_t group, uint64_t first, size_t size_max);

void payload_fill(uint8_t *at, size_t size, uint64_t number);

#endif
