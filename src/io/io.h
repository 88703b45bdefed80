/* io.h - the one seam between Holdfast and the outside: clock, timers, streams, files, messages
 * between workers.
 *
 * Purpose. Everything above decides; only what stands behind this door touches a clock, a socket or
 * a disk. There are two implementations behind the same names, chosen when a program is linked: the
 * real one (src/io/, libevent and a thread per log file) and the simulator's (sim/, virtual clock,
 * network and disk, one seed, one thread). The same node code runs on both.
 *
 * Promises.
 * IO-1  No callbacks: whatever happens is an event that io_gather hands out; a call never runs the
 * caller's code. IO-2  Handles carry a generation. A completion of an object that was closed
 * meanwhile is dropped and counted, never delivered. IO-3  A byte written to a file is volatile
 * until a SYNCED event whose `position` covers it: a process crash keeps it, a power cut may lose
 * any subset of its 4 KiB blocks or tear one of them. IO-4  After a sync failed, the file answers
 * STATUS_IO for ever: a second sync would lie (fsyncgate). The caller must stop. IO-5  io_now_ns
 * never goes back and counts the time that the machine was suspended (R11). Non-promises: bytes of
 * a stream may be lost with it at any time; CONNECTED says nothing of who answered.
 *
 * A worker's thread loops  `n = io_gather(io, events, max); worker_turn(worker, events, n)`.
 * Nothing but io_gather waits. Calls marked "blocks" are for the start of a program only. All
 * others return at once. Sources: DESIGN section 6 "The io seam"; decision record 0002.
 *
 * Ownership: `struct io` owns streams, files and timers; handles are plain values. Bytes given to a
 * call are borrowed until it returns, except where a completion is named. Tags are the caller's and
 * come back untouched. */
#ifndef HOLDFAST_IO_IO_H
#define HOLDFAST_IO_IO_H

#include "base/bytes.h"
#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct io;

struct io_stream {
    uint32_t index, generation;
}; /* a connection or a listener; generation 0 = none */
struct io_file {
    uint32_t index, generation;
}; /* generation 0 = none */

enum io_event_kind {
    IO_READABLE =
        1,       /* tag of the stream; again at the next gather while unread bytes remain (level) */
    IO_WRITABLE, /* tag of the stream; only while io_want_write is on */
    IO_ACCEPTED, /* tag of the listener, or of io_stream_give with its `message`; `stream` is new,
                    has tag 0 and is paused until io_stream_start */
    IO_CONNECTED, /* tag of the stream; status OK, or why not (then the stream is closed already) */
    IO_CLOSED,    /* tag of the stream: reset or end seen while nobody reads; the caller still calls
                     io_close */
    IO_TIMER,     /* tag = timer number */
    IO_SYNCED,    /* tag given to the sync; `position` = its upto; status OK or IO */
    IO_READ_DONE, /* tag given to the read; `position` = bytes read, short at the end of the file;
                     status */
    IO_FILE_DONE, /* tag given to a prepare, save, publish or remove; status OK, NO_SPACE or IO */
    IO_MESSAGE,   /* tag and `message` from io_post; ownership passes to the receiver */
};

struct io_event {
    enum io_event_kind kind;
    enum status status;
    uint64_t tag;
    uint64_t position;
    struct io_stream stream;
    void *message;
};

#define IO_EVENTS_MAX 1024
#define IO_TIMERS_MAX 16
#define IO_ADDRESS_SIZE                                                                            \
    64 /* "host:port" with its terminator; hosts longer than that are refused                      \
        */
#define IO_BOOT_ID_SIZE     40
#define IO_PATH_SIZE        512
#define IO_BLOCK_SIZE       4096
#define IO_WRITE_PIECES_MAX 64

/* ---- clock and chance ---- */

uint64_t io_now_ns(struct io *io); /* monotonic, boot based; a fresh reading at each call */
int64_t io_wall_us(struct io *io); /* since 1970; may jump: never decides anything alone */
uint64_t io_random(struct io *io);
void io_boot_id(struct io *io,
                char out[IO_BOOT_ID_SIZE]); /* changes with each boot of the machine; text */

/* ---- timers: IO_TIMERS_MAX numbered slots for each worker; setting one again moves it ---- */

void io_timer_set(struct io *io, unsigned timer, uint64_t deadline_ns);
void io_timer_cancel(struct io *io, unsigned timer);

/* ---- streams (TCP now, TLS later behind the same calls) ---- */

/* Listens on "host:port"; port 0 takes a free one, see io_stream_address. IN_USE, INVALID or IO;
 * `why` begins with the address, so that the caller puts the name of its option before it. */
MUST_USE enum status io_listen(struct io *io, const char *address, uint64_t tag,
                               struct io_stream *out, char why[128]);

/* Starts to connect; the outcome is a CONNECTED event. INVALID for an address that cannot be read.
 * Names are looked up in the background by the real implementation (the event says NOT_FOUND when
 * there is no such host). */
MUST_USE enum status io_connect(struct io *io, const char *address, uint64_t tag,
                                struct io_stream *out);

/* Gives an accepted stream its tag and begins to report it. */
void io_stream_start(struct io *io, struct io_stream stream, uint64_t tag);

/* One read. OK with *got > 0, AGAIN, or CLOSED. If *got < size, no more was there. After CLOSED
 * there is no more READABLE; when only the other side's sending has ended, io_write still works. A
 * stream that was closed here: CLOSED, for io_write too. */
MUST_USE enum status io_read(struct io *io, struct io_stream stream, uint8_t *into, size_t size,
                             size_t *got);

/* One gathered write of at most IO_WRITE_PIECES_MAX pieces. OK with *wrote (possibly short), AGAIN
 * (nothing), or CLOSED. */
MUST_USE enum status io_write(struct io *io, struct io_stream stream, const struct slice *pieces,
                              size_t count, size_t *wrote);
void io_want_write(struct io *io, struct io_stream stream, bool wanted);
void io_pause_read(struct io *io, struct io_stream stream, bool paused);
void io_close(struct io *io,
              struct io_stream stream); /* no event of it comes afterwards; none again is fine */

/* True when the other side's end or a reset has arrived, also while bytes before it are unread. */
bool io_stream_has_ended(struct io *io, struct io_stream stream);

/* "host:port" of this side (local) or of the other side. */
void io_stream_address(struct io *io, struct io_stream stream, bool local,
                       char out[IO_ADDRESS_SIZE]);

/* ---- files ---- */

enum io_file_open_mode {
    IO_FILE_READ,   /* must exist */
    IO_FILE_WRITE,  /* must exist; read and write */
    IO_FILE_CREATE, /* must not exist; made empty; its name is durable only after io_dir_sync */
};

MUST_USE enum status io_file_open(struct io *io, const char *path, enum io_file_open_mode mode,
                                  struct io_file *out);
void io_file_close(struct io *io, struct io_file file);
MUST_USE enum status io_file_size(struct io *io, struct io_file file, uint64_t *out);

/* Writes all pieces at `offset` into the page cache, or nothing that counts: NO_SPACE, IO. Does not
 * wait for the disk. */
MUST_USE enum status io_file_write(struct io *io, struct io_file file, const struct slice *pieces,
                                   size_t count, uint64_t offset);

/* Blocks. Short only at the end of the file. */
MUST_USE enum status io_file_read(struct io *io, struct io_file file, uint8_t *into, size_t size,
                                  uint64_t offset, size_t *got);

/* For a file that an earlier process wrote. Makes durable what it left in the page cache, then
 * drops that cache: what is read from now on is on the disk, also where an earlier sync had failed
 * and the kernel calls pages clean that it never wrote (fsyncgate). IO: it cannot be synced (IO-4).
 * Blocks. */
MUST_USE enum status io_file_refresh(struct io *io, struct io_file file);

/* Reads in the background; `into` stays the io's until READ_DONE (or until the file is closed AND
 * READ_DONE was dropped: the caller keeps the memory until io_file_reads_pending is 0). */
void io_file_read_start(struct io *io, struct io_file file, uint8_t *into, size_t size,
                        uint64_t offset, uint64_t tag);
unsigned io_file_reads_pending(struct io *io, struct io_file file);

/* Makes everything written to `file` so far durable; SYNCED{tag, position = upto}. At most one in
 * flight for each file. */
void io_file_sync_start(struct io *io, struct io_file file, uint64_t upto, uint64_t tag);

/* In the background, at low priority: makes the file `path` of `size` zero bytes, written and
 * synced, its name durable, so that later writes inside it need no allocation. An existing file of
 * that name is replaced. FILE_DONE{tag}. A failed one leaves no file. */
void io_file_prepare_start(struct io *io, const char *path, uint64_t size, uint64_t tag);

/* In the background: replaces the small file `path` by `bytes` (at most 1 MiB, copied) atomically
 * and durably: other name, sync, rename, directory sync. FILE_DONE{tag}. */
void io_file_save_start(struct io *io, const char *path, struct slice bytes, uint64_t tag);

/* In the background: gives the file `from`, whose bytes its owner has synced, the name `to` in the
 * same directory, in place of what has it, and makes that durable. FILE_DONE{tag}; after IO either
 * name may be there. */
void io_file_publish_start(struct io *io, const char *from, const char *to, uint64_t tag);

/* In the background, since large files take long: removes the file, if there is one. Its absence is
 * durable after the next io_dir_sync or publish. FILE_DONE{tag}. */
void io_file_remove_start(struct io *io, const char *path, uint64_t tag);

MUST_USE enum status io_file_remove(struct io *io, const char *path);
MUST_USE enum status io_file_rename(struct io *io, const char *from, const char *to);
MUST_USE enum status io_dir_make(struct io *io,
                                 const char *path); /* OK when it is there; parents must exist */
MUST_USE enum status io_dir_sync(struct io *io, const char *path); /* blocks */
MUST_USE enum status io_dir_lock(struct io *io,
                                 const char *path); /* holds PATH/lock until io_destroy; IN_USE */

/* Names in `path`, not sorted, without . and ..; *names is one owned allocation of terminated
 * strings, *count of them. */
MUST_USE enum status io_dir_list(struct io *io, const char *path, char **names, size_t *count);
MUST_USE enum status io_space(struct io *io, const char *path, uint64_t *free_bytes);

/* ---- messages between workers of one node ---- */

/* A message is one allocation of base/memory.h. Those of one sender to one worker arrive in their
 * order, given streams among them. */
void io_post(struct io *io, unsigned worker, uint64_t tag, void *message);

/* Hands an open stream to another worker, which hears of it by ACCEPTED{tag, message}: what nobody
 * has read yet is read there. The handle is void from now on. False: the stream has gone, or is
 * not open yet; then nothing happened, and the message is still the caller's. */
MUST_USE bool io_stream_give(struct io *io, struct io_stream stream, unsigned worker, uint64_t tag,
                             void *message);

/* ---- what was dropped, for tests and metrics ---- */

struct io_counters {
    uint64_t late_completions, reads, writes, written_bytes, syncs, file_writes, wakeups, accepts;
};
void io_counters(struct io *io, struct io_counters *out);

/* ---- the stages of a request, in the words of STYLE 13: only the simulator listens ---- */

/* Where a request or an entry is now. There is none in the real implementation: then the note costs
 * a test. */
void io_note(struct io *io, const char *stage, const char *file, const char *function)
    __attribute__((weak));
#define IO_NOTE(io, stage)                                                                         \
    do {                                                                                           \
        if (io_note)                                                                               \
            io_note((io), (stage), __FILE__, __func__);                                            \
    } while (0)

/* ---- the loop; programs only ---- */

/* Waits until there is at least one event; returns how many were stored (at most `max`). The
 * simulator has none of it. */
size_t io_gather(struct io *io, struct io_event *events, size_t max);

#endif
