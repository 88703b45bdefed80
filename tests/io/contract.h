/* contract.h - what one suite needs from an implementation of io/io.h, so that the real and the
 * simulated one are held to the same sentences.
 *
 * The suite is contract.c (which has the `main`), contract_clock.c, contract_streams.c and
 * contract_files.c; it is linked once with each adapter: adapter_real.c here, the simulator's
 * beside its own tests. Each test opens a fresh world of two ios, 0 and 1: workers of ONE node,
 * connected for io_post, sharing its files, reaching each other by TCP. It drives both with
 * contract_gather and closes the world. Nobody else gathers; a test that waits for io 1 does not
 * gather io 0 meanwhile, so an adapter must let network, disk and threads go on for both whichever
 * one is gathered. The timer CONTRACT_TIMER is the adapter's: the suite never touches it. */
#ifndef HOLDFAST_TEST_IO_CONTRACT_H
#define HOLDFAST_TEST_IO_CONTRACT_H

#include "io/io.h"

#define CONTRACT_IOS     2
#define CONTRACT_TIMER   15   /* free for the adapter's own deadline */
#define CONTRACT_WAIT_MS 5000 /* "for ever": nothing that must happen takes longer */
#define CONTRACT_HUSH_MS 40   /* long enough to say that nothing comes */

/* A fresh world, its directory empty. */
void contract_open(void);
void contract_close(
    void); /* destroys both ios and all that they had; an io destroyed by the test is skipped */

/* Borrowed until contract_close or contract_destroy. */
struct io *contract_io(unsigned which);
void contract_destroy(unsigned which); /* ends this io alone, while things of it may be under way */

/* Waits until `io` has an event or `wait_ms` (virtual in the simulator) have passed: then it
 * returns 0. With 0 it only looks: what is ready now. Otherwise exactly io_gather. */
size_t contract_gather(struct io *io, struct io_event *events, size_t max, unsigned wait_ms);

/* The directory of this world, absolute, no slash at the end, at most 128 bytes. It exists. */
const char *contract_dir(void);

/* A host that both ios can listen on and reach, without a port: "127.0.0.1". */
const char *contract_host(void);

/* ---- faults; each answers whether it can be had here, else the test of it is skipped ---- */

bool contract_fail_next_sync(
    void); /* the next sync of a file's bytes, of whatever kind, fails once */
bool contract_hold_syncs(bool held); /* while held, started file syncs do not end */
bool contract_limit_file_size(
    uint64_t bytes); /* later writes past it find no space; UINT64_MAX ends that */
bool contract_fail_accepts(bool failing); /* accepting fails for want of descriptors */

/* Second lock holder of `path`: takes and drops the lock as another process would; OK or IN_USE. */
enum status contract_lock_elsewhere(const char *path);

#endif
