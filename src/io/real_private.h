/* real_private.h - what the files of the real io share.
 *
 *     sockets --- libevent --- callbacks append ----------------------> the caller's array of this
 * gather threads --- done list, posted messages, eventfd --- take, deliver --^
 *
 * One thread owns a `struct io`; only `mailbox` is touched by others. Each background thread is a
 * lane: a queue of jobs worked off one by one, with a job's memory owned by whoever has it in hand:
 * the io, then the lane, then the io again. So a lane never sees a stream or a file of the io, only
 * the descriptor and the bytes that the job carries.
 *
 * The loop has no timer of libevent's, whose clock is coarse, counts milliseconds and stops in
 * suspension: one timerfd does it. */
#ifndef HOLDFAST_IO_REAL_PRIVATE_H
#define HOLDFAST_IO_REAL_PRIVATE_H

#include "base/list.h"
#include "io/real.h"

#include <event2/event.h>
#include <event2/event_struct.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>

#define REAL_STREAM_CHUNK       256u
#define REAL_STREAM_CHUNKS_MAX  4096u
#define REAL_FILES_MAX          4096u
#define REAL_LOCKS_MAX          8u
#define REAL_POSTS_MAX          (1u << 20)
#define REAL_ADDRESSES_MAX      8u
#define REAL_ACCEPTS_PER_GATHER 64u
#define REAL_ACCEPT_PAUSE_NS    100000000u /* after running out of descriptors */
#define REAL_SAVE_SIZE_MAX      (1u << 20)

/* ---- lanes and jobs: real_lane.c, real_job.c ---- */

enum job_kind {
    JOB_SYNC = 1,
    JOB_READ,
    JOB_PREPARE,
    JOB_SAVE,
    JOB_PUBLISH,
    JOB_REMOVE,
    JOB_LOOKUP
};

/* Where an address leads, in the order to try. */
struct addresses {
    unsigned count, next;
    struct {
        struct sockaddr_storage at;
        socklen_t size;
    } list[REAL_ADDRESSES_MAX];
};

struct job {
    struct list link;
    enum job_kind kind;
    enum status status;      /* outcome */
    uint64_t tag, position;  /* position: upto, or outcome of a read */
    struct io_file file;     /* SYNC, READ */
    struct io_stream stream; /* LOOKUP */
    int descriptor;          /* SYNC, READ; borrowed: the file stays open until the job is back */
    uint8_t *bytes;          /* READ: the caller's; SAVE: owned */
    size_t size;
    uint64_t offset;           /* READ; SYNC: pages before it were dropped */
    char path[IO_PATH_SIZE];   /* PREPARE, SAVE, PUBLISH: to, REMOVE; LOOKUP: "host:port" */
    char *from;                /* PUBLISH: owned */
    struct addresses *answers; /* LOOKUP: owned; NULL when there is no such host */
};

struct lane {
    struct io *io; /* its completions go there */
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct list jobs;  /* waiting ones */
    atomic_bool ended; /* also read by a long job between its pieces */
    bool started;
};

enum lane_name {
    LANE_READ,
    LANE_SAVE,
    LANE_PREPARE,
    LANE_NAMES, /* publish, remove */
    LANE_LOOKUP,
    LANES
};

struct job *job_create(enum job_kind kind, uint64_t tag);
void job_destroy(struct job *job);
void job_run(struct job *job, struct lane *lane); /* in the lane's thread */

void lane_init(struct lane *lane, struct io *io);
void lane_submit(struct lane *lane, struct job *job); /* the first one starts the thread */
void lane_deinit(struct lane *lane); /* waits for the job under way, drops the waiting ones */

/* Waits at most `ns`, less when the lane is to end. */
void lane_rest(struct lane *lane, uint64_t ns);

/* ---- streams: real_stream.c, real_address.c ---- */

enum stream_state {
    STREAM_FREE,
    STREAM_LISTENING,
    STREAM_CONNECTING,
    STREAM_OPEN
};

struct stream {
    struct io *io;
    struct list link; /* in the io's free list, or among the resting listeners */
    uint64_t tag;
    struct io_stream handle; /* while free: the one that it gets next */
    int descriptor;          /* -1: none (yet) */
    enum stream_state state;
    enum status failure;         /* CONNECTING: found at once, told at the next gather */
    struct addresses *addresses; /* CONNECTING: owned */
    bool started, paused, wants_write;
    bool ended;       /* a read met the end */
    bool closed_told; /* IO_CLOSED has been handed out */
    bool reading, writing,
        watching; /* registered now; always what stream_register derives from the above */
    struct event readable, writable;
};

struct post;
void streams_init(struct io *io);
void streams_deinit(struct io *io);
void streams_finish_lookup(struct io *io, struct job *job);
void streams_take(struct io *io, const struct post *post); /* emits ACCEPTED */
void streams_resume_accepting(struct io *io, uint64_t now_ns);

/* False when `address` is not "host:port". `names`: host names are looked up, which blocks; else
 * only numbers are read and a name gives true with *out NULL. */
bool address_resolve(const char *address, bool names, bool passive, struct addresses **out);
void address_format(const struct sockaddr_storage *address, char out[IO_ADDRESS_SIZE]);

/* ---- files: real_file.c, real_directory.c ---- */

struct file {
    struct io_file handle;
    int descriptor;
    bool closed;      /* by its owner, while jobs are still under way */
    bool failed;      /* IO-4: a sync failed */
    bool syncing;     /* `sync` is in the lane or on its way back */
    unsigned reading; /* background reads */
    struct job sync;  /* reused: no allocation for a sync */
    struct lane lane;
};

void files_deinit(struct io *io); /* after the lanes of the io */
void files_finish(struct io *io, struct job *job);
void locks_deinit(struct io *io);

enum status status_of_errno(int number);
enum status status_of_name_errno(int number); /* also DENIED, EXHAUSTED */
enum status write_whole(int descriptor, const uint8_t *bytes, size_t size, uint64_t offset);
enum status read_whole(int descriptor, uint8_t *into, size_t size, uint64_t offset, size_t *got);
enum status sync_directory(const char *path);
enum status sync_directory_of(const char *path);

/* ---- the io ---- */

/* What another worker sent: a message, and with it perhaps a connection. */
struct post {
    uint64_t tag;
    void *message;
    int descriptor; /* -1: none */
};

struct mailbox {
    pthread_mutex_t lock;
    struct list done;                               /* jobs */
    struct post *posts;                             /* owned */
    size_t posts_next, posts_count, posts_capacity; /* next: only after the loops have ended */
    bool rung; /* the eventfd was written since the last taking: one write wakes for all */
};

struct timers {
    uint64_t deadlines[IO_TIMERS_MAX]; /* UINT64_MAX: off */
    uint64_t armed_ns;                 /* what the timerfd is set to; UINT64_MAX: unset */
    int descriptor;
    struct event event;
};

struct io {
    struct event_base *base;
    struct io_event *events; /* the caller's, during a gather */
    size_t count, max;
    struct timers timers;

    struct stream
        *chunks[REAL_STREAM_CHUNKS_MAX]; /* grown, never moved: libevent points into them */
    unsigned chunks_count;
    struct list free_streams;
    struct list resting_listeners; /* out of descriptors until resume_ns */
    uint64_t resume_ns;
    int watch_descriptor; /* an epoll of streams that nobody reads, see stream_register */
    struct event watch;

    struct file *files[REAL_FILES_MAX];
    uint32_t file_generation;
    struct lane lanes[LANES];
    atomic_uint_fast64_t syncs_started; /* a preparation looks whether it is in the way */
    int locks[REAL_LOCKS_MAX];
    unsigned locks_count;

    struct mailbox mailbox; /* the only part that other threads touch, beside the next two */
    atomic_bool woken;
    int bell; /* eventfd */
    struct event bell_event;
    struct list ready;  /* jobs taken from the mailbox, not handed out yet */
    struct post *posts; /* the same of messages; owned */
    size_t posts_next, posts_count, posts_capacity;

    unsigned worker;
    struct io **workers; /* owned array of borrowed */
    unsigned workers_count;
    struct io_counters counters;
    uint8_t chance[256]; /* random bytes in stock */
    size_t chance_left;
    char boot_id[IO_BOOT_ID_SIZE];
};

static inline bool is_full(const struct io *io)
{
    return io->count == io->max;
}

/* Hands out one event (IO-1: the only way in which anything is told). There must be room; when this
 * one filled the array the loop stops and goes on at the next gather. */
void emit(struct io *io, struct io_event event);

void mailbox_add_done(struct io *io, struct job *job); /* any thread */
void mailbox_post(struct io *io, unsigned worker, const struct post *post);

void timers_init(struct io *io);
void timers_deinit(struct io *io);
void timers_fire(struct io *io, uint64_t now_ns);
void timers_arm(struct io *io); /* before the loop may wait */

#endif
