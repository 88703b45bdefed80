/* stage.h - what the tests of the simulated io share: two machines "a" and "b" with one worker
 * each. */
#ifndef HOLDFAST_TEST_SIM_STAGE_H
#define HOLDFAST_TEST_SIM_STAGE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "sim/world.h"

#define assert_status(expected, call) assert_int_equal((expected), (call))

struct stage {
    struct world *world;
    struct machine_id a, b;
};

static inline struct machine_id stage_add(struct world *world, const char *host)
{
    struct world_machine machine = {.host = host};
    struct machine_id id = world_add_machine(world, &machine);
    world_start_process(world, id, 1);
    return id;
}

static inline struct stage stage_open_with(const struct world_options *options)
{
    struct stage stage = {.world = world_create(options)};
    stage.a = stage_add(stage.world, "a");
    stage.b = stage_add(stage.world, "b");
    return stage;
}

static inline struct stage stage_open(uint64_t seed)
{
    struct world_options options = world_options_calm(seed);
    return stage_open_with(&options);
}

static inline void stage_close(struct stage *stage)
{
    world_destroy(stage->world);
}

static inline struct io *io_a(const struct stage *stage)
{
    return world_io(stage->world, stage->a, 0);
}

static inline struct io *io_b(const struct stage *stage)
{
    return world_io(stage->world, stage->b, 0);
}

/* The next event of this kind within `wait_ns`; kind 0 when there is none. Others are passed over.
 */
static inline struct io_event stage_await(const struct stage *stage, struct io *io,
                                          enum io_event_kind kind, uint64_t wait_ns)
{
    uint64_t until = world_now_ns(stage->world) + wait_ns;
    struct io_event event;
    while (world_gather(stage->world, io, &event, 1, until) == 1)
        if (event.kind == kind)
            return event;
    return (struct io_event){0};
}

static inline void stage_pass(const struct stage *stage, uint64_t ns)
{
    struct world_turn turn;
    uint64_t until = world_now_ns(stage->world) + ns;
    while (world_step(stage->world, until, &turn) == WORLD_TURN)
        ;
}

/* ---- streams ---- */

struct line {
    struct io_stream client, server; /* of a and of b */
};

static inline struct line stage_connect(const struct stage *stage)
{
    struct line line;
    struct io_stream listener;
    char why[128];
    assert_status(STATUS_OK, io_listen(io_b(stage), "b:7000", 1, &listener, why));
    assert_status(STATUS_OK, io_connect(io_a(stage), "b:7000", 2, &line.client));
    struct io_event event = stage_await(stage, io_a(stage), IO_CONNECTED, WORLD_SECOND);
    assert_int_equal(IO_CONNECTED, event.kind);
    assert_status(STATUS_OK, event.status);
    line.server = stage_await(stage, io_b(stage), IO_ACCEPTED, WORLD_SECOND).stream;
    io_stream_start(io_b(stage), line.server, 3);
    return line;
}

static inline enum status stage_send(struct io *io, struct io_stream stream, const char *text)
{
    struct slice piece = slice_of_text(text);
    size_t wrote = 0;
    enum status status = io_write(io, stream, &piece, 1, &wrote);
    if (status == STATUS_OK)
        assert_int_equal(piece.size, wrote);
    return status;
}

/* Reads until `size` bytes are there or `wait_ns` have passed; returns how many, terminated. */
static inline size_t stage_receive(const struct stage *stage, struct io *io,
                                   struct io_stream stream, char *into, size_t size,
                                   uint64_t wait_ns)
{
    uint64_t until = world_now_ns(stage->world) + wait_ns;
    size_t have = 0;
    struct io_event event;
    while (have < size && world_gather(stage->world, io, &event, 1, until) == 1) {
        size_t got = 0;
        if (event.kind == IO_READABLE &&
            io_read(io, stream, (uint8_t *)into + have, size - have, &got) == STATUS_CLOSED)
            break;
        have += got;
    }
    into[have] = 0;
    return have;
}

/* Whether the stream has ended for its reader within `wait_ns`. */
static inline bool stage_ends(const struct stage *stage, struct io *io, struct io_stream stream,
                              uint64_t wait_ns)
{
    uint64_t until = world_now_ns(stage->world) + wait_ns;
    struct io_event event;
    while (world_gather(stage->world, io, &event, 1, until) == 1) {
        uint8_t bytes[256];
        size_t got;
        if (event.kind == IO_READABLE &&
            io_read(io, stream, bytes, sizeof bytes, &got) == STATUS_CLOSED)
            return true;
    }
    return false;
}

/* ---- files ---- */

static inline struct io_file stage_make_file(struct io *io, const char *path)
{
    struct io_file file;
    assert_status(STATUS_OK, io_file_open(io, path, IO_FILE_CREATE, &file));
    return file;
}

static inline void stage_fill(struct io *io, struct io_file file, char letter, size_t size,
                              uint64_t offset)
{
    uint8_t bytes[4 * IO_BLOCK_SIZE];
    struct slice piece = slice_of(bytes, size);
    assert_true(size <= sizeof bytes);
    memset(bytes, letter, size);
    assert_status(STATUS_OK, io_file_write(io, file, &piece, 1, offset));
}

static inline enum status stage_sync(const struct stage *stage, struct io *io, struct io_file file)
{
    io_file_sync_start(io, file, 0, 9);
    struct io_event event = stage_await(stage, io, IO_SYNCED, 10 * WORLD_SECOND);
    assert_int_equal(IO_SYNCED, event.kind);
    return event.status;
}

/* One letter for a run that is all the same, '?' for a mixture, 0 for what is not there. */
static inline char stage_look(const struct stage *stage, const char *path, uint64_t offset,
                              size_t size)
{
    uint8_t bytes[IO_BLOCK_SIZE];
    size_t got = 0;
    enum status status = world_disk_read(stage->world, stage->a, path, bytes, size, offset, &got);
    if (status != STATUS_OK || got < size)
        return 0;
    for (size_t i = 1; i < size; i++)
        if (bytes[i] != bytes[0])
            return '?';
    return bytes[0] == 0 ? '0' : (char)bytes[0];
}

#endif
