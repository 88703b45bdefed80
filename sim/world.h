/* world.h - the simulated outside: one seed, one thread, a virtual clock, machines with disks, a
 * network, and their faults.
 *
 * Purpose. The functions of io/io.h, implemented over a model instead of a kernel, so that the same
 * node code runs here. A `struct world` holds machines; a machine has a host name, a disk that
 * outlives its processes, clocks, and at most one process of 1..n workers, each with a `struct io`.
 * Clients are machines too: they speak over simulated streams like anyone.
 *
 *     world_create, world_add_machine ..., world_start_process
 *     world_io: the driver makes its workers on these ios
 *     for (;;) switch (world_step(world, until, &turn)):
 *         WORLD_TURN:  worker_turn(the worker of turn.io, turn.events, turn.count)
 *         WORLD_DIED:  an armed crash took the process: destroy its workers
 *         WORLD_QUIET: virtual time is `until`: time for the driver's next fault or check
 *
 * Promises.
 * SIM-1 Determinism: the same seed and the same order of calls give the same happenings and the
 *       same world_trace_hash.
 * SIM-2 What no fault of the list below touches behaves as io.h says; the suite of
 *       tests/io/contract.h runs on this io, too.
 * SIM-3 The ios of a dead process stay callable until world_bury (or the machine's next start):
 *       calls that would change something do nothing and answer OK, and no event comes. So a driver
 *       may destroy a node's memory in any order after its crash.
 * Non-promises: fairness between workers; exact latencies; that two versions of this code give the
 * same hash.
 *
 * ---- the fault model: what is injected, and what the cluster must bear ----
 *
 * Network: ordered streams. Loss, delay and reordering show as TCP shows them: in when bytes come,
 * and in the order between connections.
 *   latency     drawn for each segment from the directed pair's [min, max]; now and then a spike (a
 *               segment that was lost once)
 *   chunks      a write may arrive in several pieces, cut anywhere; a full window (256 KiB) gives
 *               short writes, then AGAIN until the reader's side has told of room
 *   reset       on both sides, or on one side only (half-open: the other learns when it sends)
 *   cut         per direction. Bytes, ends and resets stay queued and arrive after healing, when
 *               the kernel tries again; or the sender's kernel gives up after `give_up_ns`, and its
 *               side dies alone
 *   connect     a living machine without listener refuses (CONNECTED with CLOSED, a round trip
 *               later). Into a cut or a dead machine it is tried again after 1, 3, 7 and 15 s and
 *               fails after 20 s (CONNECTED with IO)
 *   accept      late, or impossible for want of descriptors
 * Process
 *   crash       kill -9. Files keep all written bytes, saves under way end at any stage or leave a
 *               draft "PATH.tmp"; peers see an end or a reset
 *   at a call   the same, or a power cut, in the middle of a turn: at the nth call that changes the
 *               outside
 *   pause       SIGSTOP: no turns and late timers; its kernel lives (connections stay, bytes queue
 *               up), clocks go on. Between two turns, or in one that has read the clock and
 *               nothing else yet
 *   slow turns  a turn takes drawn time, in which its worker sees nothing new
 * Machine
 *   power cut   for the disk see below. Peers see nothing; the machine, when it is back, answers
 *               old connections with resets. New boot id; the monotonic clock begins anew
 * Clocks
 *   wall        an offset that may jump either way
 *   monotonic   a rate (drift in ppm); it never goes back
 * Disk: files of 4 KiB blocks
 *   power cut   a block not covered by a SYNCED gets its durable content, a later one, or the first
 *               k * 512 bytes of the newest and the rest of the durable one; rarely noise, if that
 *               is allowed. The size likewise. A sync under way covers any subset. Names made,
 *               moved or removed since the last io_dir_sync of their directory: any subset of these
 *               steps that keeps the order of steps on one name. A rename is atomic. What was
 *               synced stays
 *   slow        latency drawn from [min, max]; a stall; syncs held
 *   errors      the nth sync or write fails with IO; the nth disk call of any kind fails; the disk
 *               is full. After a failed sync the pages count as clean, as in Linux: a new handle
 *               syncs them with OK, and they are not durable
 *   damage      a flipped bit, a zeroed block, an older durable version, another block's bytes;
 *               only by world_damage, so that a plan can keep to what the cluster must bear
 *   loss        of the whole disk: world_wipe_disk
 * Not modelled: a byte changed on the way (TCP and the frames' checksums; decoders are tested by
 * themselves), a disk that lies about syncs (but see damage: an older version), memory errors,
 * malice.
 *
 * Time in calls is virtual, in nanoseconds since world_create. Nothing here calls the caller.
 * Sources: DESIGN section 6; STYLE 25, 26. */
#ifndef HOLDFAST_SIM_WORLD_H
#define HOLDFAST_SIM_WORLD_H

#include "io/io.h"

#include <stdio.h>

struct world;

struct machine_id {
    uint32_t value; /* 1, 2, ... in the order of world_add_machine; 0 = none */
};

#define WORLD_MACHINES_MAX 256
#define WORLD_WORKERS_MAX  64
#define WORLD_WINDOW_BYTES (256 * 1024)
#define WORLD_FOREVER      UINT64_MAX
#define WORLD_MS           1000000ull
#define WORLD_SECOND       1000000000ull

struct world_options {
    uint64_t seed;
    uint64_t delay_min_ns, delay_max_ns; /* one way, every pair; world_delay changes one */
    uint32_t spikes_per_million;         /* segments that are "lost" once */
    uint64_t spike_min_ns, spike_max_ns; /* and come that much later */
    uint64_t accept_delay_max_ns;        /* 0..this, once per connection */
    uint64_t give_up_ns;                 /* a kernel's patience with bytes that get no answer */
    uint64_t turn_min_ns, turn_max_ns;   /* what a turn takes */
    uint64_t disk_min_ns, disk_max_ns;   /* each sync, background read, save */
    uint64_t disk_bytes_per_second;      /* for prepares; 0: no limit */
    uint32_t garbage_per_million;        /* unsynced blocks that a power cut fills with noise */
    bool keep_old_blocks; /* needed for WORLD_DAMAGE_OLD; doubles the memory of rewritten blocks */
    uint32_t trace_records; /* ring kept for world_trace_print; 0: only the hash */
};

/* A calm network of a data centre and a good disk: no spikes, no garbage, full chunking. Change
 * what you like. */
struct world_options world_options_calm(uint64_t seed);

struct world_machine {
    const char *host;       /* its name and address, "10.0.0.1"; without a colon; copied */
    int64_t wall_offset_us; /* to the world's wall clock */
    int32_t drift_ppm;      /* of its monotonic clock, -1000 .. 1000 */
    uint64_t disk_capacity; /* bytes; 0: no limit */
};

struct world *world_create(const struct world_options *options);

/* All ios too; NULL is fine. Messages that nobody has taken (world_take_lost_message) leak. */
void world_destroy(struct world *world);

/* Switched on, without a process. Its disk has "/" only. */
struct machine_id world_add_machine(struct world *world, const struct world_machine *machine);

/* Starts the process of a machine that is on and has none. Buries the one before. */
void world_start_process(struct world *world, struct machine_id machine, unsigned workers);

/* NULL when the machine has no process (after a crash: the dead io until it is buried). */
struct io *world_io(struct world *world, struct machine_id machine, unsigned worker);
/* Not any more from the call at which an armed crash strikes. */
bool world_is_running(struct world *world, struct machine_id machine);
bool world_is_on(struct world *world, struct machine_id machine);

/* A clean exit: as a crash, but in-flight saves end well and connections close with an end, never a
 * reset. */
void world_stop_process(struct world *world, struct machine_id machine);

/* The same for one worker of a living process. */
void world_stop_worker(struct world *world, struct machine_id machine, unsigned worker);

/* Frees the dead ios. */
void world_bury(struct world *world, struct machine_id machine);

/* Messages that were posted and never handed out, after a crash or stop: NULL when there are no
 * more. The driver frees them. */
void *world_take_lost_message(struct world *world, struct machine_id machine);

/* ---- time ---- */

enum world_step {
    WORLD_QUIET, /* nothing until `until`, and it is `until` now; with WORLD_FOREVER time stays */
    WORLD_TURN,  /* hand `events` to this worker */
    WORLD_DIED,  /* an armed crash took this machine's process; `power`: the machine is off, too */
};

struct world_turn {
    struct machine_id machine;
    unsigned worker;
    struct io *io;
    const struct io_event *events; /* borrowed until the next world_step */
    size_t count;
    bool power;
};

uint64_t world_now_ns(const struct world *world);
enum world_step world_step(struct world *world, uint64_t until_ns, struct world_turn *turn);

/* For tests of single ios: lets time go on until `io` has an event or it is `until_ns` (then 0);
 * others wait with theirs. */
size_t world_gather(struct world *world, struct io *io, struct io_event *events, size_t max,
                    uint64_t until_ns);

/* ---- process and machine faults ---- */

/* Each does nothing when there is nothing to do: no process, off already, on already. */
void world_crash_process(struct world *world, struct machine_id machine);
void world_power_cut(struct world *world, struct machine_id machine);
void world_power_on(struct world *world, struct machine_id machine); /* new boot id */
void world_pause(struct world *world, struct machine_id machine);
/* In its next turn that finds bytes of machine `from` ({0}: in its next turn), which reads the
 * clock once and does everything else after world_resume. With one worker only; else as
 * world_pause. */
void world_pause_in_turn(struct world *world, struct machine_id machine, struct machine_id from);
void world_resume(struct world *world, struct machine_id machine);
void world_turn_cost(struct world *world, struct machine_id machine, uint64_t min_ns,
                     uint64_t max_ns);

/* Arms a crash at the nth (1 = the next) call that changes the outside: a write to a stream or
 * file, a sync, a name changed. That call and later ones do nothing; world_step then answers DIED.
 * `power`: a power cut. 0 disarms. */
void world_crash_at_call(struct world *world, struct machine_id machine, uint64_t nth, bool power);
/* An armed crash has struck outside a turn, while a process was made: it is over at once, and no
 * step tells of it. False: none has. */
bool world_end_dying(struct world *world);

/* ---- network faults ---- */

/* One direction; _both: both. Cutting what is cut and healing what is not changes nothing. */
void world_cut(struct world *world, struct machine_id from, struct machine_id to);
void world_heal(struct world *world, struct machine_id from, struct machine_id to);
void world_cut_both(struct world *world, struct machine_id a, struct machine_id b);
void world_heal_both(struct world *world, struct machine_id a, struct machine_id b);
void world_heal_all(struct world *world);
void world_delay(struct world *world, struct machine_id from, struct machine_id to, uint64_t min_ns,
                 uint64_t max_ns);
void world_spikes(struct world *world, uint32_t per_million, uint64_t min_ns, uint64_t max_ns);

/* Every connection between the two dies on both sides; what was under way is lost. Returns how
 * many. */
unsigned world_reset_connections(struct world *world, struct machine_id a, struct machine_id b);

/* Every connection between the two dies on the side of `gone`; `unaware` is not told. Returns how
 * many. */
unsigned world_half_open(struct world *world, struct machine_id gone, struct machine_id unaware);

/* The nth io_write from now (1 = the next) finds its connection reset. 0 disarms. */
void world_fail_send(struct world *world, struct machine_id machine, uint64_t nth);
void world_fail_accepts(struct world *world, struct machine_id machine, bool failing);

/* ---- clock faults ---- */

void world_clock_jump(struct world *world, struct machine_id machine, int64_t by_us); /* wall */

/* Of the monotonic clock: -1000 .. 1000 ppm. */
void world_clock_rate(struct world *world, struct machine_id machine, int32_t drift_ppm);

/* ---- disk faults; nth counts from now, 1 = the next, 0 disarms ---- */

void world_slow_disk(struct world *world, struct machine_id machine, uint64_t min_ns,
                     uint64_t max_ns);

/* Nothing that is under way or begins now ends before that. */
void world_stall_disk(struct world *world, struct machine_id machine, uint64_t for_ns);

/* Syncs of files wait until it is taken back; saves and prepares go on. */
void world_hold_syncs(struct world *world, struct machine_id machine, bool held);

/* A sync of a file, or the one inside a save or prepare. */
void world_fail_sync(struct world *world, struct machine_id machine, uint64_t nth);
bool world_sync_will_fail(struct world *world, struct machine_id machine); /* it is armed */
void world_fail_write(struct world *world, struct machine_id machine, uint64_t nth);

/* Any call of the kinds counted in `disk_calls`; status IO or NO_SPACE (what cannot lack space
 * fails with IO). */
void world_fail_disk_call(struct world *world, struct machine_id machine, uint64_t nth,
                          enum status status);

/* 0: no limit. */
void world_disk_capacity(struct world *world, struct machine_id machine, uint64_t bytes);

/* Later writes past it find NO_SPACE; UINT64_MAX: no limit. */
void world_limit_file_size(struct world *world, struct machine_id machine, uint64_t bytes);

/* A new disk with "/" only. The machine has no process. */
void world_wipe_disk(struct world *world, struct machine_id machine);

enum world_damage {
    WORLD_DAMAGE_BIT,   /* one bit flips */
    WORLD_DAMAGE_ZERO,  /* the block reads as zeros */
    WORLD_DAMAGE_OLD,   /* a lost write: the durable version before the newest comes back */
    WORLD_DAMAGE_OTHER, /* a misdirected write: it reads as another written block of the file */
};
#define WORLD_ANYWHERE UINT64_MAX

/* Harms the synced block of file `path` at `offset` (WORLD_ANYWHERE: the seed picks one that was
 * written), on disk and in the page cache. False when there is no such file or block, or nothing
 * would change. */
bool world_damage(struct world *world, struct machine_id machine, const char *path,
                  enum world_damage damage, uint64_t offset);

/* ---- looking ---- */

struct world_counters {
    uint64_t sends, receives; /* calls of io_write and io_read on open streams */
    uint64_t sent_bytes, received_bytes;
    uint64_t connects, accepts;
    uint64_t wakeups, events, messages; /* turns handed out, events in them, io_post */
    uint64_t syncs;                     /* those inside saves and prepares too */
    uint64_t file_writes, file_reads, written_bytes;
    uint64_t disk_calls;    /* open, write, sync, prepare, save, names changed, dir sync, lock */
    uint64_t outside_calls; /* what world_crash_at_call counts */
};

/* Sums over all processes that this machine had. */
struct world_counters world_counters(struct world *world, struct machine_id machine);

/* What a reader would find now (with a process: page cache included). NOT_FOUND. Counts and
 * disturbs nothing. */
MUST_USE enum status world_disk_read(struct world *world, struct machine_id machine,
                                     const char *path, uint8_t *into, size_t size, uint64_t offset,
                                     size_t *got);

/* The nth file (in the order of paths; directories are left out) as an absolute path; false past
 * the last. */
bool world_disk_file(struct world *world, struct machine_id machine, size_t nth,
                     char path[IO_PATH_SIZE]);
uint64_t world_disk_used(struct world *world, struct machine_id machine);

/* Whether another process could take the lock of directory `path` now: OK or IN_USE. */
enum status world_probe_lock(struct world *world, struct machine_id machine, const char *path);

/* ---- notes: what the nodes say of the stages of a request (io_note) ---- */

struct world_note {
    uint64_t at_ns;
    struct machine_id machine;
    const char *stage, *file, *function; /* static */
};

/* From now on the first `max` notes go to `notes`, which is the caller's; NULL: no more. */
void world_take_notes(struct world *world, struct world_note *notes, size_t max);
size_t world_note_count(const struct world *world);

/* ---- trace ---- */

/* Over every happening so far: time, kind, machine, sizes, checksum of the bytes. */
uint64_t world_trace_hash(const struct world *world);

/* Mixes the driver's own happening in (a fault, an oracle's finding); at most 23 characters of text
 * are kept for printing. */
void world_trace_note(struct world *world, struct machine_id machine, const char *text,
                      uint64_t number);

/* The newest `count` records of the ring, oldest first, one line each. */
void world_trace_print(const struct world *world, FILE *out, size_t count);

#endif
