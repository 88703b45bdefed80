/* test_determinism.c - SIM-1: chatter between machines under a storm of faults, each seed twice. */
#include "stage.h"

#include "base/memory.h"
#include "base/random.h"

#define MACHINES 5
#define WORKERS  2

/* Every worker dials a random other one now and then, sends what it likes, echoes, writes and
 * syncs. */
struct actor {
    struct io *io;
    struct io_stream streams[8];
    struct io_file file;
    bool has_file, syncing;
    uint64_t offset;
};

struct storm {
    struct world *world;
    struct random random;
    struct machine_id machines[MACHINES];
    struct actor actors[MACHINES][WORKERS];
};

static void start_actor(struct storm *storm, unsigned machine, unsigned worker)
{
    struct actor *actor = &storm->actors[machine][worker];
    struct io_stream listener;
    char why[128], address[32];
    *actor = (struct actor){.io = world_io(storm->world, storm->machines[machine], worker)};
    snprintf(address, sizeof address, "m%u:%u", machine, 7000 + worker);
    assert_status(STATUS_OK, io_listen(actor->io, address, 1, &listener, why));
    io_timer_set(actor->io, 0, io_now_ns(actor->io) + WORLD_MS);
}

static void start_machine(struct storm *storm, unsigned machine)
{
    while (world_take_lost_message(storm->world, storm->machines[machine]) != NULL)
        ;
    world_power_on(storm->world, storm->machines[machine]);
    world_start_process(storm->world, storm->machines[machine], WORKERS);
    for (unsigned worker = 0; worker < WORKERS; worker++)
        start_actor(storm, machine, worker);
}

static void dial_somebody(struct actor *actor)
{
    unsigned slot = io_random(actor->io) % 8;
    char address[32];
    io_close(actor->io, actor->streams[slot]);
    snprintf(address, sizeof address, "m%u:%u", (unsigned)(io_random(actor->io) % MACHINES),
             7000 + (unsigned)(io_random(actor->io) % (WORKERS + 1)));
    assert_status(STATUS_OK, io_connect(actor->io, address, 100 + slot, &actor->streams[slot]));
}

static void write_something(struct actor *actor)
{
    uint8_t bytes[3000];
    char path[32];
    snprintf(path, sizeof path, "/f-%u", (unsigned)(io_random(actor->io) % 1000000));
    if (!actor->has_file)
        actor->has_file = io_file_open(actor->io, path, IO_FILE_CREATE, &actor->file) == STATUS_OK;
    memset(bytes, (int)(io_random(actor->io) % 256), sizeof bytes);
    struct slice piece = slice_of(bytes, 1 + io_random(actor->io) % sizeof bytes);
    if (!actor->has_file)
        return;
    (void)!io_file_write(actor->io, actor->file, &piece, 1, actor->offset);
    actor->offset += piece.size;
    if (!actor->syncing)
        io_file_sync_start(actor->io, actor->file, actor->offset, 1);
    actor->syncing = true;
}

static void act_on_timer(struct actor *actor)
{
    dial_somebody(actor);
    write_something(actor);
    if (io_random(actor->io) % 4 == 0)
        io_file_save_start(actor->io, "/vote", slice_of_text("vote"), 1);
    io_post(actor->io, (unsigned)(io_random(actor->io) % WORKERS), 0, NULL);
    io_timer_set(actor->io, 0, io_now_ns(actor->io) + io_random(actor->io) % (20 * WORLD_MS));
}

static void echo(struct actor *actor, struct io_stream stream)
{
    uint8_t bytes[20000];
    size_t got = 0, wrote;
    if (io_read(actor->io, stream, bytes, 1 + io_random(actor->io) % sizeof bytes, &got) ==
        STATUS_CLOSED) {
        io_close(actor->io, stream);
        return;
    }
    struct slice pieces[2] = {slice_of(bytes, got), slice_of_text("and more")};
    if (got > 0 && io_random(actor->io) % 8 != 0) /* every exchange ends some time */
        (void)!io_write(actor->io, stream, pieces, io_random(actor->io) % 32 == 0 ? 2 : 1, &wrote);
}

static void act(struct actor *actor, const struct io_event *event)
{
    struct slice piece = slice_of_text("hello, whoever you are");
    size_t wrote;
    switch (event->kind) {
    case IO_TIMER: act_on_timer(actor); break;
    case IO_ACCEPTED: io_stream_start(actor->io, event->stream, 2); break;
    case IO_READABLE: echo(actor, event->stream); break;
    case IO_SYNCED: actor->syncing = false; break;
    case IO_CONNECTED:
        if (event->status == STATUS_OK)
            (void)!io_write(actor->io, event->stream, &piece, 1, &wrote);
        break;
    default: break;
    }
}

static void inflict(struct storm *storm)
{
    struct world *world = storm->world;
    unsigned victim = (unsigned)random_below(&storm->random, MACHINES);
    struct machine_id a = storm->machines[victim];
    struct machine_id b = storm->machines[random_below(&storm->random, MACHINES)];
    switch (random_below(&storm->random, 12)) {
    case 0: world_crash_process(world, a); break;
    case 1: world_power_cut(world, a); break;
    case 2: world_pause(world, a); break;
    case 3: world_resume(world, a); break;
    case 4: world_cut(world, a, b); break;
    case 5: world_heal_all(world); break;
    case 6: world_reset_connections(world, a, b); break;
    case 7: world_half_open(world, a, b); break;
    case 8: world_crash_at_call(world, a, 1 + random_below(&storm->random, 50), victim % 2); break;
    case 9: world_clock_rate(world, a, (int32_t)random_below(&storm->random, 2001) - 1000); break;
    case 10: world_stall_disk(world, a, 50 * WORLD_MS); break;
    default: world_fail_send(world, a, 1 + random_below(&storm->random, 20)); break;
    }
    if (!world_is_running(world, a))
        start_machine(storm, victim);
}

static uint64_t run_storm(uint64_t seed, unsigned faults)
{
    struct world_options options = world_options_calm(seed);
    struct storm storm = {.world = world_create(&options)};
    struct world_turn turn;
    random_init(&storm.random, seed);
    for (unsigned i = 0; i < MACHINES; i++) {
        char host[8];
        snprintf(host, sizeof host, "m%u", i);
        struct world_machine machine = {.host = host, .disk_capacity = 1 << 20};
        storm.machines[i] = world_add_machine(storm.world, &machine);
        start_machine(&storm, i);
    }
    for (unsigned i = 0; i < faults; i++) {
        uint64_t until = world_now_ns(storm.world) + random_below(&storm.random, 20 * WORLD_MS);
        enum world_step step;
        while ((step = world_step(storm.world, until, &turn)) != WORLD_QUIET) {
            if (step == WORLD_DIED)
                start_machine(&storm, turn.machine.value - 1);
            for (size_t k = 0; step == WORLD_TURN && k < turn.count; k++)
                act(&storm.actors[turn.machine.value - 1][turn.worker], &turn.events[k]);
        }
        inflict(&storm);
    }
    uint64_t hash = world_trace_hash(storm.world);
    for (unsigned i = 0; i < MACHINES; i++)
        while (world_take_lost_message(storm.world, storm.machines[i]) != NULL)
            ;
    world_destroy(storm.world);
    return hash;
}

static void each_seed_runs_the_same_twice(void **state)
{
    uint64_t hashes[10];
    (void)state;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        hashes[seed - 1] = run_storm(seed, 120);
        void *shift = memory_allocate(seed * 1000);               /* other addresses */
        assert_int_equal(hashes[seed - 1], run_storm(seed, 120)); /* SIM-1 */
        memory_free(shift);
        for (uint64_t other = 1; other < seed; other++)
            assert_int_not_equal(hashes[seed - 1], hashes[other - 1]);
    }
}

static void notes_change_the_hash(void **state)
{
    struct stage one = stage_open(1), other = stage_open(1);
    (void)state;
    assert_int_equal(world_trace_hash(one.world), world_trace_hash(other.world));
    world_trace_note(one.world, one.a, "oracle", 1);
    world_trace_note(other.world, other.a, "oracle", 2);
    assert_int_not_equal(world_trace_hash(one.world), world_trace_hash(other.world));
    stage_close(&one);
    stage_close(&other);
}

static void the_trace_can_be_read(void **state)
{
    struct stage stage = stage_open(1);
    char text[4096] = "";
    (void)state;
    stage_connect(&stage);
    world_trace_note(stage.world, stage.a, "the end", 7);
    FILE *out = fmemopen(text, sizeof text, "w");
    assert_non_null(out);
    world_trace_print(stage.world, out, 10);
    fclose(out);
    assert_non_null(strstr(text, "accepted"));
    assert_non_null(strstr(text, " m1 note       7 0 the end\n"));
    stage_close(&stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_seed_runs_the_same_twice),
        cmocka_unit_test(notes_change_the_hash),
        cmocka_unit_test(the_trace_can_be_read),
    };
    return cmocka_run_group_tests_name("sim determinism", tests, NULL, NULL);
}
