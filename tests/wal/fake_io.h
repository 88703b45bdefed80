/* fake_io.h - the file part of io.h in memory, for exact crash sweeps: every call counts, the Nth
 * can fail, the power can go before the Nth, and what a power cut leaves is chosen block by block.
 *
 * Model. A file has its content (what a process reads) and what is durable. Each write of a block
 * between two syncs leaves a version; a power cut leaves, for each block, the durable bytes, one of
 * its versions, the first k sectors of a version before old bytes, or garbage. A name made by
 * io_file_open or taken by io_file_remove is durable after io_dir_sync. After a sync that failed
 * the content stays and no later sync makes it durable. Syncs, prepares and
 * background reads are done by fake_io_step, one at a time, in an order that the seed chooses. */
#ifndef HOLDFAST_TEST_WAL_FAKE_IO_H
#define HOLDFAST_TEST_WAL_FAKE_IO_H

#include "base/random.h"
#include "io/io.h"

enum fake_call {
    FAKE_WRITE,
    FAKE_SYNC, /* its completion; io_file_refresh too */
    FAKE_PREPARE,
    FAKE_DIR_SYNC,
    FAKE_READ,
    FAKE_OTHER,
    FAKE_CALLS,
};

struct io *fake_io_create(uint64_t seed);
void fake_io_destroy(struct io *io);

void fake_io_fail(struct io *io, enum fake_call call, uint64_t nth, enum status status);
uint64_t fake_io_calls(const struct io *io, enum fake_call call);
uint64_t fake_io_calls_all(const struct io *io);

/* The offset behind the last write. */
uint64_t fake_io_written_end(const struct io *io);

/* Before call number `nth` of all calls (from 1, over the life of this io) the power goes: nothing
 * has an effect from then on. */
void fake_io_cut_at(struct io *io, uint64_t nth);
bool fake_io_is_off(const struct io *io);

enum fake_loss {
    FAKE_LOSE_NOTHING, /* the process died, the machine goes on */
    FAKE_LOSE_ALL,     /* nothing that was not synced came through */
    FAKE_LOSE_SOME,    /* each block for itself, torn ones too */
    FAKE_KEEP_LAST,    /* only the blocks written last came through */
};

/* The crash itself: handles and events are gone, the disk keeps what `loss` says; power is on
 * again. A power cut also begins a new boot id. */
void fake_io_crash(struct io *io, enum fake_loss loss, struct random *random);

/* Completes one thing that is under way. False: there is none. */
bool fake_io_step(struct io *io, struct io_event *event);
void fake_io_hold(struct io *io, enum fake_call call,
                  bool held); /* SYNC, PREPARE: fake_io_step leaves them alone */

void fake_io_advance(struct io *io, uint64_t ns);
void fake_io_set_space(struct io *io, uint64_t bytes); /* size of the disk */

/* The content of a file, for damage: what is written there is durable too after
 * fake_io_damage_done. NULL: no such file. */
uint8_t *fake_io_bytes(struct io *io, const char *path, size_t *size);
void fake_io_damage_done(struct io *io, const char *path);
size_t fake_io_names(struct io *io, char paths[][IO_PATH_SIZE], size_t max);
void fake_io_put(struct io *io, const char *path, const uint8_t *bytes, size_t size); /* durable */
void fake_io_forget(struct io *io, const char *path); /* the file is gone, durably */

#endif
