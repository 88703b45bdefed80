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
    SNAPSHOT,
    TRANSFER,
    ACTIONS
};

struct run {
    struct random random;
    uint64_t seed, loss, crash, order, pace_ns;
    bool unsynced; /* power cuts take entries that were persisted (R4) */
    bool together; /* of several voters at once, too; there are learners, which may know more */
    size_t voters;
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

/* One at a time: what two of them have lost may be lost for good, and nobody would be wrong. */
static bool sure_but(const struct cluster *cluster, uint64_t id)
{
    for (uint64_t other = 1; other <= cluster->count; other++)
        if (other != id && cluster_is_unsure(cluster, other))
            return false;
    return true;
}

static void cut_voters(struct run *run, struct cluster *cluster)
{
    for (uint64_t id = 1; id <= run->voters; id++)
        if (cluster->replicas[id].raft && chance(run, 85))
            cluster_lose_power(cluster, id, random_below(&run->random, 6));
    for (uint64_t id = 1; id <= run->voters; id++)
        if (!cluster->replicas[id].raft && chance(run, 80))
            cluster_start(cluster, id);
}

static void break_something(struct run *run, struct cluster *cluster)
{
    uint64_t a = 1 + random_below(&run->random, cluster->count),
             b = 1 + random_below(&run->random, cluster->count);
    if (!cluster->replicas[a].raft)
        cluster_start(cluster, a);
    else if (run->together && chance(run, 15))
        cut_voters(run, cluster);
    else if (chance(run, run->crash)) {
        if (run->unsynced && sure_but(cluster, a))
            cluster_lose_power(cluster, a, random_below(&run->random, 6));
        else
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

/* To a random set of voters with random quorums, everybody else a learner or nobody. */
static void draw_wanted(struct run *run, struct cluster *cluster, struct raft_configuration *wanted)
{
    uint32_t voters = 0;
    *wanted = (struct raft_configuration){0};
    uint64_t first = random_below(&run->random, cluster->count);
    for (uint64_t i = 0; i < cluster->count; i++) {
        uint64_t id = 1 + (first + i) % cluster->count;
        bool votes = i == 0 || chance(run, 70);
        if (!votes && chance(run, 50))
            continue;
        wanted->members[wanted->member_count++] = (struct raft_member){
            .replica = {id}, .node = {id}, .kind = votes ? RAFT_VOTER : RAFT_LEARNER};
        voters += votes;
    }
    uint32_t majority = voters / 2 + 1;
    wanted->election_quorum =
        majority + (uint32_t)random_below(&run->random, voters - majority + 1);
    wanted->commit_quorum = voters - wanted->election_quorum + 1;
    if (run->unsynced && wanted->commit_quorum < 2)
        wanted->commit_quorum = 2; /* one has no second copy; of one voter it is refused */
}

static void change_configuration(struct run *run, struct cluster *cluster, uint64_t id)
{
    const struct raft_configuration *now = raft_configuration(cluster->replicas[id].raft);
    struct raft_configuration wanted, next;
    const char *why;
    struct replica_id other = {1 + random_below(&run->random, cluster->count)};
    if (chance(run, 30)) {
        if (raft_configuration_set_sync(now, other, chance(run, 50), &next) == STATUS_OK)
            cluster_propose_configuration(cluster, id, &next);
        return;
    }
    draw_wanted(run, cluster, &wanted);
    if (now->joint)
        (void)cluster_leave(cluster, id);
    else if (raft_configuration_change(now, &wanted, true, &next, &why) == STATUS_OK)
        cluster_propose_configuration(cluster, id, &next);
}

static void compact_or_install(struct run *run, struct cluster *cluster, uint64_t id)
{
    const struct raft_view *view = cluster_view(cluster, id);
    uint64_t first = view->first_index,
             end = view->commit < view->persisted ? view->commit : view->persisted;
    if (view->void_from)
        cluster_tick(cluster, id);
    else if (!cluster_install(cluster, id) && end >= first)
        cluster_compact(cluster, id, first + random_below(&run->random, end - first + 1));
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
    case SNAPSHOT: compact_or_install(run, cluster, id); break;
    case TRANSFER:
        cluster_transfer(cluster, id, chance(run, 50) ? pick_up(run, cluster) : 0);
        break;
    case ACTIONS: break;
    }
}

static void draw_weather(struct run *run)
{
    static const uint64_t base[ACTIONS] = {40, 2, 8, 2, 1, 0, 0, 0, 0},
                          range[ACTIONS] = {50, 12, 20, 12, 4, 3, 4, 5, 4};
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
    cluster->leaves_joint = true;
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
    cluster_run(cluster, 600 * MILLISECOND);
    leader = cluster_leader(cluster); /* another one, if it was removed */
    const struct raft_configuration *c = raft_configuration(cluster->replicas[leader].raft);
    if (c->joint)
        failed(run, "the joint configuration is not left");
    for (size_t i = 0; i < c->member_count; i++)
        if (cluster_view(cluster, c->members[i].replica.value)->commit < index)
            failed(run, "a healed replica does not catch up");
}

static void run_seed(uint64_t seed, bool verbose)
{
    static const size_t sizes[] = {3, 5, 3, 5, 2};
    struct run run = {.seed = seed};
    random_init(&run.random, seed);
    size_t count = sizes[random_below(&run.random, 5)];
    uint32_t majority = (uint32_t)count / 2 + 1;
    run.voters = count;
    run.together = chance(&run, 20);
    size_t learners = run.together ? 1 + random_below(&run.random, 2) : 0;
    struct raft_configuration voters = cluster_voters(count, learners, majority, majority);
    bool witness = count > 2 && !run.together && chance(&run, 20);
    if (witness)
        voters.members[count - 1].kind = RAFT_WITNESS;
    count += learners;
    struct cluster *cluster = cluster_create(count, &voters, seed);
    cluster->fail = failed;
    cluster->hook = &run;
    cluster->trace = verbose ? print_line : NULL;
    draw_weather(&run);
    run.unsynced = run.together || (count > 2 && chance(&run, 30));
    if (witness) {
        run.weight_sum -= run.weights[CONFIGURE];
        run.weights[CONFIGURE] = 0;
    }
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
