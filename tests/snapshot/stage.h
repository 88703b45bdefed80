/* stage.h - snapshots on a simulated disk: one machine, one store that is written to meanwhile. */
#ifndef HOLDFAST_TEST_SNAPSHOT_STAGE_H
#define HOLDFAST_TEST_SNAPSHOT_STAGE_H

#include "sim/world.h"
#include "snapshot/snapshot.h"
#include "tests/store/writes.h"

#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define STAGE_DIR                     "/data/snapshots"
#define STAGE_TAG                     4000
#define STAGE_SEED                    77 /* of the partition's hash */
#define STAGE_TURN                    (5 * WORLD_SECOND)
#define assert_status(expected, call) assert_int_equal((expected), (call))

/* What a snapshot of the past must hold. */
struct stage_mark {
    uint64_t index, digest;
};
#define STAGE_MARKS 64

struct stage {
    struct world *world;
    struct machine_id machine;
    struct snapshots *snapshots; /* NULL between a crash and the next open */
    struct writes writes;
    bool died; /* an armed crash struck */
    struct stage_mark marks[STAGE_MARKS];
    size_t mark_count;
    char why[SNAPSHOT_WHY_SIZE];
};

#define STAGE_CLUSTER ((struct cluster_id){0x1111, 0x2222})
#define STAGE_GROUP   ((struct group_id){5})

void stage_init(struct stage *stage, uint64_t seed);
void stage_deinit(struct stage *stage);
struct io *stage_io(const struct stage *stage);

/* Starts the process when there is none. The status of snapshots_open. */
enum status stage_open(struct stage *stage);
void stage_close(struct stage *stage); /* the directory only */
void stage_crash(struct stage *stage, bool power);

/* The next events go to the snapshots. False: none came in STAGE_TURN, or it died. */
bool stage_turn(struct stage *stage);

struct snapshot_meta stage_meta(uint64_t index);
/* Notes what the store is now as what the snapshot at `index` must be. */
void stage_mark(struct stage *stage, uint64_t index);
void stage_write_some(struct stage *stage, unsigned count);

/* A whole snapshot at `index`, with writes beside it. END, or why not; it is ended. */
enum status stage_snapshot(struct stage *stage, uint64_t index);
/* Steps to its end. */
enum status stage_drive(struct stage *stage, struct snapshot_writer *writer);

/* What is listed must be loadable and be what its mark says. Returns the index of the newest, 0:
 * none. */
uint64_t stage_check(struct stage *stage);
unsigned stage_count_files(const struct stage *stage, const char *ending);
void stage_path(uint64_t index, char path[IO_PATH_SIZE]);

#endif
