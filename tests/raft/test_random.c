/* Rafts under random delays, losses, repetitions, reordering, crashes and slow disks; the oracles
 * of cluster.c hold after every step (RAFT-1 .. RAFT-4, RAFT-7, RAFT-10, RAFT-11), and a healed
 * cluster makes progress. RAFT_SEED=n runs that one seed; RAFT_SEEDS=n so many from RAFT_FROM (1)
 * on. */
#include "base/random.h"
#include "tests/raft/cluster.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define STEPS_PER_SEED 900

enum action {
    DELIVER = 0,
    TIME,
    PERSIST,
    PROPOSE,
    READ,
    CONFIGURE,
    BREAK,
    ACTIONS
};

struct run {
    struct random random;
    uint64_t seed, loss, crash, order, pace_ns;
    uint64_t weights[ACTIONS],
        weight_sum; /* drawn for each seed: one storm of elections, one of entries, ... */
};

static void failed(void *hook, const char *what)
{
    const struct run *run = hook;
    fprintf(stderr, "%s; again with RAFT_SEED=%llu\n", what, (unsigned long long)run->seed);
    abort();
}

static void print_line(void *hook, const char *line)
{
    (void)hook;
    fprintf(stderr, "%s\n", line);
}

static bool chance(struct run *run, uint64_t percent)
{
    return random_below(&run->random, 100) < percent;
}

static uint64_t pick_up(struct run *run, struct cluster *cluster)
{
    uint64_t id = 1 + random_below(&run->random, cluster->count);
    return cluster->replicas[id].raft ? id : 0;
}

static void move_packet(struct run *run, struct cluster *cluster)
{
    if (cluster->packet_count == 0)
        return;
    size_t place = chance(run, run->order) ? random_below(&run->random, cluster->packet_count) : 0;
    if (chance(run, run->loss))
        cluster_drop(cluster, place);
    else if (chance(run, run->loss))
        cluster_duplicate(cluster, place);
    else
        cluster_deliver(cluster, place);
}

static void pass_time(struct run *run, struct cluster *cluster)
{
    cluster->now_ns +=
        random_below(&run->random, chance(run, 10) ? 120 * MILLISECOND : run->pace_ns);
    for (uint64_t id = 1; id <= cluster->count; id++) {
        if (!cluster->replicas[id].raft || chance(run, 10))
            continue;
        if (cluster_now_of(cluster, id) >= cluster_view(cluster, id)->deadline_ns)
            cluster_tick(cluster, id);
        if (cluster_view(cluster, id)->role == RAFT_LEADER && chance(run, 60))
            cluster_round(cluster, id);
    }
}

static void break_something(struct run *run, struct cluster *cluster)
{
    uint64_t a = 1 + random_below(&run->random, cluster->count),
             b = 1 + random_below(&run->random, cluster->count);
    if (!cluster->replicas[a].raft)
        cluster_start(cluster, a);
    else if (chance(run, run->crash)) {
        cluster_crash(cluster, a);
        if (chance(run, 60))
            cluster_start(cluster, a);
    } else if (chance(run, 40))
        cluster->cut[a][b] = !cluster->cut[a][b];
    else if (chance(run, 50))
        cluster_lost(cluster, a, b);
    else
        cluster_event(cluster, a, chance(run, 50) ? RAFT_CAMPAIGN : RAFT_STEP_DOWN);
}

/* To the joint form of (the same voters, other quorums), or out of it. */
static void change_configuration(struct run *run, struct cluster *cluster, uint64_t id)
{
    struct raft_configuration next = *raft_configuration(cluster->replicas[id].raft);
    bool enter = !next.joint;
    for (size_t i = 0; i < next.member_count; i++)
        next.members[i].old_kind = enter ? next.members[i].kind : 0;
    next.old_commit_quorum = enter ? next.commit_quorum : 0;
    next.old_election_quorum = enter ? next.election_quorum : 0;
    next.joint = enter;
    if (enter) {
        uint32_t voters = (uint32_t)next.member_count, majority = voters / 2 + 1;
        next.election_quorum =
            majority + (uint32_t)random_below(&run->random, voters - majority + 1);
        next.commit_quorum = voters - next.election_quorum + 1;
    }
    cluster_propose_configuration(cluster, id, &next);
}

static enum action draw_action(struct run *run)
{
    uint64_t at = random_below(&run->random, run->weight_sum);
    enum action action = DELIVER;
    while (at >= run->weights[action])
        at -= run->weights[action++];
    return action;
}

static void act(struct run *run, struct cluster *cluster)
{
    uint64_t id = pick_up(run, cluster);
    if (!id) {
        break_something(run, cluster);
        return;
    }
    switch (draw_action(run)) {
    case DELIVER: move_packet(run, cluster); break;
    case TIME: pass_time(run, cluster); break;
    case PERSIST: cluster_persist(cluster, id, 1 + random_below(&run->random, 6)); break;
    case PROPOSE: (void)cluster_propose(cluster, id); break;
    case READ: cluster_read(cluster, id); break;
    case CONFIGURE: change_configuration(run, cluster, id); break;
    case BREAK: break_something(run, cluster); break;
    case ACTIONS: break;
    }
}

static void draw_weather(struct run *run)
{
    static const uint64_t base[ACTIONS] = {40, 2, 8, 2, 1, 0, 0},
                          range[ACTIONS] = {50, 12, 20, 12, 4, 3, 4};
    for (size_t i = 0; i < ACTIONS; i++) {
        run->weights[i] = base[i] + random_below(&run->random, range[i]);
        run->weight_sum += run->weights[i];
    }
    run->loss = random_below(&run->random, 15);
    run->crash = random_below(&run->random, 60);
    run->order = random_below(&run->random, 60);
    run->pace_ns = MILLISECOND * (1 + random_below(&run->random, 40));
}

static void heal(struct run *run, struct cluster *cluster)
{
    memset(cluster->cut, 0, sizeof cluster->cut);
    for (uint64_t id = 1; id <= cluster->count; id++)
        if (!cluster->replicas[id].raft)
            cluster_start(cluster, id);
    uint64_t leader = 0;
    for (size_t i = 0; i < 20 && !(leader && raft_is_serving(cluster->replicas[leader].raft));
         i++) {
        cluster_run(cluster, 100 * MILLISECOND);
        leader = cluster_leader(cluster);
    }
    if (!leader || !cluster_propose(cluster, leader))
        failed(run, "no leader two seconds after healing");
    uint64_t index = cluster_view(cluster, leader)->last_index;
    cluster_run(cluster, 200 * MILLISECOND);
    for (uint64_t id = 1; id <= cluster->count; id++)
        if (cluster_view(cluster, id)->commit < index)
            failed(run, "a healed replica does not catch up");
}

static void run_seed(uint64_t seed, bool verbose)
{
    static const size_t sizes[] = {3, 5, 3, 5, 2};
    struct run run = {.seed = seed};
    random_init(&run.random, seed);
    size_t count = sizes[random_below(&run.random, 5)];
    uint32_t majority = (uint32_t)count / 2 + 1;
    struct raft_configuration voters = cluster_voters(count, 0, majority, majority);
    struct cluster *cluster = cluster_create(count, &voters, seed);
    cluster->fail = failed;
    cluster->hook = &run;
    cluster->trace = verbose ? print_line : NULL;
    draw_weather(&run);
    for (uint64_t id = 1; id <= count; id++) {
        cluster->replicas[id].drift_ppm = (int64_t)random_below(&run.random, 1000) - 500;
        cluster_start(cluster, id);
    }
    size_t steps = STEPS_PER_SEED + random_below(&run.random, STEPS_PER_SEED);
    for (size_t i = 0; i < steps; i++) {
        act(&run, cluster);
        if (i % 100 == 0)
            cluster_check_logs(cluster);
    }
    heal(&run, cluster);
    cluster_check_logs(cluster);
    cluster_destroy(cluster);
}

static void random_schedules(void **state)
{
    (void)state;
    const char *one = getenv("RAFT_SEED"), *many = getenv("RAFT_SEEDS"),
               *from = getenv("RAFT_FROM");
    uint64_t seeds = many ? strtoull(many, NULL, 10) : 1500;
    if (one) {
        run_seed(strtoull(one, NULL, 10), true);
        return;
    }
    uint64_t first = from ? strtoull(from, NULL, 10) : 1;
    for (uint64_t seed = first; seed < first + seeds; seed++)
        run_seed(seed, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(random_schedules)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
