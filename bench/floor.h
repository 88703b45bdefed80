/* floor.h - the inside of bench-floor: the least that a replicated SET costs on this machine.
 *
 * Sockets, real parsing, a hash table, a log on recycled space with one sync in flight, a leader
 * and followers that accept: everything without which there is no replicated write, and nothing
 * else. No elections, no recovery, no errors handled, no order between a connection's reads and
 * writes. It is a measuring instrument: what a server spends above it is what the server adds.
 *
 *     floor.c        the turn: gather, parse, send and persist, commit, apply, answer
 *     floor_ring.c   entries from append to apply, contiguous in memory across the end
 *     floor_log.c    the thread that writes and syncs one batch while the next gathers
 *     floor_store.c  the table
 *     floor_socket.c connections and what waits to be written to them
 *
 * A batch leaves when no earlier one is unsettled, for a quorum's answer and for the own disk. With
 * the level "written" a batch counts once the kernel has it, and the thread only syncs, once a
 * second; with "early" the leader also answers without its followers. */
#ifndef HOLDFAST_BENCH_FLOOR_H
#define HOLDFAST_BENCH_FLOOR_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FLOOR_LOG_SIZE      (64u << 20)
#define FLOOR_BLOCK         4096u
#define FLOOR_RING_SIZE     (4u << 20) /* small enough to stay in a cache */
#define FLOOR_PENDING_MAX   (1u << 17) /* entries between append and apply */
#define FLOOR_FOLLOWERS_MAX 2
#define FLOOR_EVENTS_MAX    512
#define FLOOR_DIRTY_MAX     4096

/* An entry in the ring, in the log and on the wire; key and value follow. */
struct floor_entry {
    uint32_t size; /* of key and value */
    uint32_t key_size;
    uint64_t checksum;
    uint64_t index, term;
};

/* ---- ring ---- */

struct floor_ring {
    uint8_t *at; /* mapped twice in a row: any run of FLOOR_RING_SIZE is contiguous */
    uint64_t end, batched, applied; /* byte positions that never wrap */
};

void floor_ring_open(struct floor_ring *ring);
uint8_t *floor_ring_place(const struct floor_ring *ring, uint64_t position);

/* Room for `size` more bytes at `end`, which moves behind them. */
uint8_t *floor_ring_extend(struct floor_ring *ring, size_t size);

/* ---- log ---- */

struct floor_log {
    bool is_synced;  /* each batch is, before it counts */
    int fd, wake_fd; /* wake_fd: readable when a batch is durable */
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    const uint8_t *batch; /* borrowed until the batch is durable */
    size_t batch_size;
    bool is_busy;
    uint64_t offset, batch_last, durable_last;
};

void floor_log_open(struct floor_log *log, const char *path, bool is_synced);
bool floor_log_is_busy(struct floor_log *log);
void floor_log_start(struct floor_log *log, const uint8_t *batch, size_t size, uint64_t last);

/* Not synced: in the turn itself, for a hand-over would cost a wake-up. */
void floor_log_write(struct floor_log *log, const uint8_t *batch, size_t size);

/* After wake_fd was readable: the index of the last durable entry. */
uint64_t floor_log_take_durable(struct floor_log *log);

/* ---- store ---- */

struct floor_record;

struct floor_store {
    struct floor_record **slots;
};

struct floor_text {
    const uint8_t *at; /* borrowed */
    size_t size;
};

void floor_store_open(struct floor_store *store);
void floor_store_set(struct floor_store *store, struct floor_text key, struct floor_text value);
bool floor_store_get(const struct floor_store *store, struct floor_text key,
                     struct floor_text *out);

/* ---- sockets ---- */

enum floor_kind {
    FLOOR_LISTENER,
    FLOOR_CLIENT,
    FLOOR_PEER,
    FLOOR_WAKE
};

struct floor_socket {
    int fd;
    enum floor_kind kind;
    uint8_t *in, *out; /* owned */
    size_t in_size, in_capacity, out_size, out_capacity;
    bool is_dirty;
};

struct floor_sockets {
    int epoll;
    struct floor_socket *dirty[FLOOR_DIRTY_MAX];
    size_t dirty_count;
};

struct floor_socket *floor_socket_add(struct floor_sockets *sockets, int fd, enum floor_kind kind);
int floor_socket_listen(uint16_t port); /* on loopback; 0: the kernel chooses */
int floor_socket_connect(uint16_t port);

/* Reads once; false: the other side is gone, or there is nothing. */
bool floor_socket_read(struct floor_socket *socket);
void floor_socket_consume(struct floor_socket *socket, size_t size);
void floor_socket_write(struct floor_socket *socket, const void *head, size_t head_size,
                        const void *body, size_t body_size);
void floor_sockets_answer(struct floor_sockets *sockets, struct floor_socket *socket,
                          const void *bytes, size_t size);
void floor_sockets_flush(struct floor_sockets *sockets);

#endif
