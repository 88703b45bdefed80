/* parts.h - what the files of the simulator's io share: the world, its machines, and the io of a
 * worker. Private to sim/.
 *
 *     world --- agenda (what happens when), trace, three streams of chance
 *       machine 1..n --- host, clocks, paths to the others, listeners, disk, faults armed, counters
 *         io (a worker of its process) --- pending events, streams, files, timers, tasks under way
 *       connections (network.h) --- two ends, each with the flow that leaves it; an end may outlive
 *         its process
 *
 * Time moves only in world_step. What becomes true for an io (bytes, room, a completion) is
 * remembered in the io and wakes it; the events themselves are made when the turn is handed out, so
 * that they are never out of date. */
#ifndef HOLDFAST_SIM_PARTS_H
#define HOLDFAST_SIM_PARTS_H

#include "sim/agenda.h"
#include "sim/disk.h"
#include "sim/network.h"
#include "sim/trace.h"
#include "sim/world.h"

#include "base/list.h"
#include "base/random.h"

#define SIM_WALL_START_US 1700000000000000ll
#define SIM_POST_MAX_NS   30000 /* until a message is with another worker */
#define SIM_WAKE_MAX_NS   5000  /* until a thread that sleeps runs */
#define SIM_NEVER_NS      UINT64_MAX

/* ---- the io ---- */

enum stream_kind {
    STREAM_FREE,
    STREAM_LISTENER,
    STREAM_CONNECTION
};

struct stream {
    struct io *io;
    struct list ready; /* in io->ready while it may have something to report */
    uint32_t index, generation;
    enum stream_kind kind;
    uint64_t tag;
    bool started, paused, wants_write;
    bool met_end;              /* a read has answered CLOSED */
    bool closed_told;          /* IO_CLOSED was handed out, or nothing worse can come */
    struct end *end;           /* CONNECTION */
    struct listener *listener; /* LISTENER; owned */
};

struct file {
    uint32_t index, generation;
    bool used, closed, writable;
    bool failed; /* IO-4 */
    bool syncing;
    unsigned reads_pending;
    struct inode *inode; /* a handle on it */
};

struct timer {
    struct happening happening;
    struct io *io;
    uint64_t deadline_ns; /* of the machine's clock; SIM_NEVER_NS: not set */
};

/* What a pending event depends on: it is dropped when that is gone (IO-2). */
enum subject_kind {
    SUBJECT_NONE,
    SUBJECT_STREAM,
    SUBJECT_FILE
};

struct pending_event {
    struct io_event event;
    enum subject_kind subject;
    uint32_t index, generation;
};

enum task_kind {
    TASK_SYNC,
    TASK_READ,
    TASK_PREPARE,
    TASK_SAVE,
    TASK_PUBLISH,
    TASK_REMOVE
};

struct task {
    struct happening happening;
    struct list in_io;
    struct io *io;
    enum task_kind kind;
    bool parked; /* its time came while syncs were held */
    bool begun;  /* PREPARE, SAVE, PUBLISH, REMOVE: its lane has come to it */
    uint64_t takes_ns;
    enum status status;     /* the outcome that an armed fault chose at the start */
    uint64_t tag, position; /* SYNC: upto */
    struct io_file file;    /* SYNC, READ */
    struct inode *inode;    /* a handle on it */
    struct covering covering;
    uint8_t *into; /* READ: the caller's */
    size_t size;
    uint64_t offset;
    uint8_t *bytes; /* SAVE: owned */
    uint64_t prepare_size;
    char path[IO_PATH_SIZE];  /* PREPARE, SAVE, REMOVE; PUBLISH: to */
    char other[IO_PATH_SIZE]; /* PREPARE, SAVE: the draft; PUBLISH: from */
};

struct message {
    struct happening happening;
    struct list in_io; /* the receiver's */
    struct io *io;
    uint64_t tag;
    void *message;
    bool brings_stream;
    struct io_stream stream;
};

struct lost_message {
    struct list link; /* in the machine's */
    void *message;
};

struct io {
    struct world *world;
    struct machine *machine;
    unsigned worker;
    bool dead; /* SIM-3: callable, without effect */
    struct random random;
    struct io_counters counters;

    struct happening wake;
    size_t runnable_place; /* 1..: in world->runnable */
    uint64_t busy_until_ns;

    /* A turn that was stopped at its beginning: what it had gathered, and the clock as it read it.
     */
    struct io_event *held; /* owned; NULL: none */
    size_t held_count;
    uint64_t held_clock_ns; /* the next reading; 0: of now */

    struct pending_event *pending; /* a ring; owned */
    size_t pending_head, pending_count, pending_capacity;

    struct stream **streams; /* owned, each too */
    uint32_t *free_streams;
    size_t stream_count, stream_capacity, free_stream_count;
    struct list ready;

    struct file *files; /* owned */
    size_t file_count;

    struct timer timers[IO_TIMERS_MAX];
    uint64_t timers_from_ns; /* no deadline is before it */
    struct list tasks, messages;
    uint64_t *post_arrives_ns; /* the last arrival at each worker; owned */
    struct inode **locks;
    size_t lock_count;
};

/* ---- the machine ---- */

struct path {
    uint64_t delay_min_ns, delay_max_ns;
    bool cut;
};

struct machine {
    struct world *world;
    struct machine_id id;
    char host[IO_ADDRESS_SIZE];
    bool on, running, paused;
    bool stops_in_turn;          /* a turn begins, and then it is paused */
    struct machine_id stops_for; /* the next turn that hears of it; 0: the next one */
    bool dying, dying_of_power;  /* an armed crash struck in the middle of a turn */
    uint64_t boots, processes;
    char boot_id[IO_BOOT_ID_SIZE];

    struct io **ios; /* owned; dead ones until they are buried */
    unsigned worker_count;
    struct list lost_messages;

    uint64_t clock_from_ns, clock_base_ns; /* the machine's clock was base at virtual time from */
    int32_t drift_ppm;
    int64_t wall_offset_us;

    struct path *paths; /* to machine i + 1; owned */
    struct list listeners;
    uint16_t next_port;
    bool accepts_fail;

    struct disk disk;
    uint64_t disk_min_ns, disk_max_ns, stalled_until_ns;
    bool syncs_held;

    uint64_t turn_min_ns, turn_max_ns;
    uint64_t fail_send_in, fail_sync_in, fail_write_in, fail_disk_call_in,
        crash_in; /* 0: not armed */
    enum status fail_disk_call_status;
    bool crash_power;
    struct world_counters counters;
};

struct world {
    struct world_options options;
    uint64_t now_ns;
    struct agenda agenda;
    struct trace trace;
    struct random network, disk, turns;
    struct machine **machines; /* owned, each too */
    size_t machine_count;
    struct list connections;
    struct io **runnable; /* borrowed */
    size_t runnable_count, runnable_capacity;
    struct io *turned;        /* its turn was handed out last */
    struct machine *dying;    /* an armed crash has struck it */
    struct io_event *events;  /* of that turn; owned */
    struct world_note *notes; /* borrowed; NULL: nobody listens */
    size_t note_count, note_max;
};

/* ---- world.c, schedule.c ---- */

struct machine *world_machine(struct world *world, struct machine_id id);
struct machine *world_machine_of_host(struct world *world, const char *host);
uint64_t draw_between(struct random *random, uint64_t min, uint64_t max);

/* `a`, `b` and `sum` are what the kind says; see trace.h. */
void world_trace(struct world *world, enum trace_kind kind, const struct machine *machine,
                 uint64_t a, uint64_t b, uint64_t sum);

void io_notify(struct io *io); /* something may be pending: its worker will turn */
void io_unschedule(struct io *io);
bool io_has_pending(struct io *io);
void io_pend(struct io *io, const struct pending_event *event);
void io_pend_simple(struct io *io, enum io_event_kind kind, enum status status, uint64_t tag,
                    uint64_t position);

/* ---- process.c ---- */

/* Dead, or in the rest of a turn that an armed crash has struck. */
static inline bool io_is_gone(const struct io *io)
{
    return io->dead || io->machine->dying;
}

/* Before every call that changes the outside: false when the call must do nothing and say OK. */
bool io_touches_outside(struct io *io);

enum end_of_process {
    END_CLEAN,
    END_CRASH,
    END_POWER
};
void process_end(struct machine *machine, enum end_of_process end);
void machine_power_off(struct machine *machine);
void machine_boot(struct machine *machine);
void machine_bury(struct machine *machine);

/* ---- io_sim_clock.c ---- */

uint64_t machine_now_ns(const struct machine *machine);
uint64_t machine_to_virtual_ns(const struct machine *machine,
                               uint64_t clock_ns); /* when it shows that */
void machine_set_clock(struct machine *machine, uint64_t base_ns, int32_t drift_ppm);
void timer_happens(struct timer *timer);
void timers_init(struct io *io);
bool timers_take_due(struct io *io, unsigned *timer); /* the one with the earliest deadline */
bool timers_are_due(struct io *io);
void timers_schedule_again(struct io *io);
struct message *message_send(struct io *io, struct io *receiver, uint64_t tag, void *body);
void message_lose(struct machine *machine, void *body);
void message_happens(struct message *message);
void messages_lose(struct io *io);

/* ---- io_sim_stream.c ---- */

struct stream *stream_at(struct io *io, struct io_stream handle); /* NULL when it is closed */
void stream_touch(struct stream *stream);                         /* NULL is fine */
size_t stream_events(struct stream *stream, struct io_event *events, size_t max);
void stream_free(struct stream *stream);
bool stream_has_events(const struct stream *stream);
void streams_close_all(struct io *io, bool clean);
void streams_deinit(struct io *io);

/* ---- io_sim_file.c, io_sim_task.c ---- */

struct file *file_at(struct io *io, struct io_file handle);
bool file_is_open(struct io *io, uint32_t index, uint32_t generation);
void file_settle(struct io *io, struct file *file); /* frees a closed one that nothing uses */
void files_close_all(struct io *io);
enum status disk_call(struct io *io);  /* counts it; the status of an armed fault, or OK */
enum status sync_fault(struct io *io); /* the same for syncs */
bool is_due_now(uint64_t *countdown);  /* counts one down: the armed one is this */
void task_happens(struct task *task);
void tasks_release_held(struct io *io);
void tasks_end(struct io *io, bool clean, bool power);

#endif
