/* Seeds in children; sums for people. */
#include "sim/swarm.h"

#include <limits.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define TWICE_EVERY  25  /* seeds: run twice, the traces must be equal */
#define SEED_SECONDS 120 /* of CPU-bound real time: more is an endless loop */

static const struct {
    const char *name;
    uint32_t fault;
} fault_names[] = {
    {"vote-unsynced", REPLICA_FAULT_VOTE_UNSYNCED},
    {"ack-early", REPLICA_FAULT_ACK_EARLY},
    {"read-unconfirmed", REPLICA_FAULT_READ_UNCONFIRMED},
    {"no-truncate", REPLICA_FAULT_NO_TRUNCATE},
    {"dirty-read", REPLICA_FAULT_DIRTY_READ},
    {"forward-twice", REPLICA_FAULT_FORWARD_TWICE},
    {"local-expiry", REPLICA_FAULT_LOCAL_EXPIRY},
    {"small-quorum", REPLICA_FAULT_SMALL_QUORUM},
    {"lease-before", REPLICA_FAULT_LEASE_BEFORE},
    {"unsure-votes", REPLICA_FAULT_UNSURE_VOTES},
    {"stale-segment", REPLICA_FAULT_STALE_SEGMENT},
    {"batches-unsettled", REPLICA_FAULT_BATCHES_UNSETTLED},
    {"early-safe", REPLICA_FAULT_EARLY_SAFE},
    {"view-torn", REPLICA_FAULT_VIEW_TORN},
    {"snapshot-uncommitted", REPLICA_FAULT_SNAPSHOT_UNCOMMITTED},
    {"once-missing", REPLICA_FAULT_ONCE_MISSING},
    {"ledger-dropped", REPLICA_FAULT_LEDGER_DROPPED},
    {"configuration-kept", REPLICA_FAULT_CONFIGURATION_KEPT},
    {"learner-counted", REPLICA_FAULT_LEARNER_COUNTED},
    {"joint-ignored", REPLICA_FAULT_JOINT_IGNORED},
};
#define FAULTS (sizeof fault_names / sizeof fault_names[0])

uint32_t swarm_fault_of_name(const char *name)
{
    for (size_t i = 0; i < FAULTS; i++)
        if (strcmp(name, fault_names[i].name) == 0)
            return fault_names[i].fault;
    return 0;
}

void swarm_print_faults(FILE *out)
{
    for (size_t i = 0; i < FAULTS; i++)
        fprintf(out, "%s\n", fault_names[i].name);
}

static const char *name_of(uint32_t fault)
{
    for (size_t i = 0; i < FAULTS; i++)
        if (fault_names[i].fault == fault)
            return fault_names[i].name;
    return "";
}

static void print_replay(const struct run_options *options, FILE *out)
{
    fprintf(out, "replay: make sim SEED=%llu ARGS='--trace%s%s'\n",
            (unsigned long long)options->seed, options->faults ? " --fault " : "",
            name_of(options->faults));
}

void swarm_print_run(const struct run_options *options, const struct run_result *result, FILE *out)
{
    fprintf(out,
            "seed %llu: %u nodes, %.1f s simulated, %llu operations (%llu refused, %llu unknown), "
            "%llu elections, %llu entries committed, %llu stores compared, progress after %.2f s, "
            "trace %016llx\n",
            (unsigned long long)options->seed, result->nodes, (double)result->simulated_ns / 1e9,
            (unsigned long long)result->done, (unsigned long long)result->refused,
            (unsigned long long)result->unknown, (unsigned long long)result->elections,
            (unsigned long long)result->committed, (unsigned long long)result->digests,
            (double)result->progress_ns / 1e9, (unsigned long long)result->trace_hash);
    if (!result->verdict.failed)
        return;
    fprintf(out, "FOUND by %s at %.3f s: %s\n", result->verdict.oracle,
            (double)result->simulated_ns / 1e9, result->verdict.line);
    print_replay(options, out);
}

/* ---- one seed in a child ---- */

static void write_all(int to, const void *bytes, size_t size)
{
    for (size_t done = 0; done < size;) {
        ssize_t wrote = write(to, (const char *)bytes + done, size - done);
        if (wrote <= 0)
            return;
        done += (size_t)wrote;
    }
}

/* What a run gives back it soon takes again: nothing of it goes to the kernel, to come as zeros. */
static void keep_memory(void)
{
    mallopt(M_MMAP_MAX, 0);
    mallopt(M_TRIM_THRESHOLD, INT_MAX);
    mallopt(M_TOP_PAD, 16 << 20);
}

static void child(const struct run_options *options, bool twice, int to)
{
    struct run_result result, again;
    alarm(SEED_SECONDS);
    keep_memory();
    run_seed(options, &result);
    if (twice && !result.verdict.failed) {
        run_seed(options, &again);
        if (again.trace_hash != result.trace_hash)
            verdict_fail(&result.verdict, "same-trace", "the same seed gave two different traces");
    }
    write_all(to, &result, sizeof result);
    _exit(0);
}

static bool read_all(int from, void *bytes, size_t size)
{
    for (size_t done = 0; done < size;) {
        ssize_t got = read(from, (char *)bytes + done, size - done);
        if (got <= 0)
            return false;
        done += (size_t)got;
    }
    return true;
}

/* A seed under way. */
struct lane {
    pid_t process; /* 0: free */
    int from;      /* its result comes here */
    struct run_options run;
};

/* False: no process or no pipe is to be had. */
static bool lane_start(struct lane *lane, const struct run_options *options, bool twice)
{
    int ends[2];
    fflush(NULL);
    if (pipe(ends) != 0)
        return false;
    pid_t process = fork();
    if (process == 0) {
        close(ends[0]);
        child(options, twice, ends[1]);
    }
    close(ends[1]);
    if (process < 0) {
        close(ends[0]);
        return false;
    }
    *lane = (struct lane){.process = process, .from = ends[0], .run = *options};
    return true;
}

/* Blocks until its process has ended. */
static void lane_end(struct lane *lane, struct run_result *result)
{
    int how = 0;
    bool told = read_all(lane->from, result, sizeof *result);
    close(lane->from);
    waitpid(lane->process, &how, 0);
    lane->process = 0;
    if (told)
        return;
    memset(result, 0, sizeof *result);
    if (WIFSIGNALED(how) && WTERMSIG(how) == SIGALRM)
        verdict_fail(&result->verdict, "endless", "the run did not end within %d s", SEED_SECONDS);
    else
        verdict_fail(&result->verdict, "assertion",
                     "the run ended by signal %d (its line is above)",
                     WIFSIGNALED(how) ? WTERMSIG(how) : 0);
}

/* One that has told its result, or died; SWARM_JOBS_MAX: none is under way. Blocks. */
static unsigned lane_await(const struct lane *lanes)
{
    struct pollfd from[SWARM_JOBS_MAX];
    unsigned at[SWARM_JOBS_MAX];
    nfds_t count = 0;
    for (unsigned i = 0; i < SWARM_JOBS_MAX; i++)
        if (lanes[i].process) {
            at[count] = i;
            from[count++] = (struct pollfd){.fd = lanes[i].from, .events = POLLIN};
        }
    if (count)
        poll(from, count, -1);
    for (nfds_t i = 0; i < count; i++)
        if (from[i].revents)
            return at[i];
    return SWARM_JOBS_MAX;
}

static void lanes_stop(struct lane *lanes)
{
    for (unsigned i = 0; i < SWARM_JOBS_MAX; i++) {
        struct run_result unwanted;
        if (!lanes[i].process)
            continue;
        kill(lanes[i].process, SIGKILL);
        lane_end(&lanes[i], &unwanted);
    }
}

/* ---- the swarm ---- */

struct sums {
    uint64_t seeds, found;
    double simulated_s, node_s, progress_worst_s;
    uint64_t counts[PLAN_FAULTS], elections, done, refused, unknown, undecided, digests, snapshots;
    uint64_t spaces, altered, moved, joined, keys, unjudged, unsure_elections;
    struct losses_facts losses;
};

static void add(struct sums *sums, const struct run_result *result)
{
    double simulated_s = (double)result->simulated_ns / 1e9;
    double progress_s = (double)result->progress_ns / 1e9;
    sums->seeds++;
    sums->found += result->verdict.failed;
    sums->simulated_s += simulated_s;
    sums->node_s += simulated_s * result->nodes;
    sums->elections += result->elections;
    sums->done += result->done;
    sums->refused += result->refused;
    sums->unknown += result->unknown;
    sums->undecided += result->undecided;
    sums->digests += result->digests;
    sums->snapshots += result->snapshots;
    sums->spaces += result->spaces;
    sums->altered += result->altered;
    sums->moved += result->moved;
    sums->joined += result->joined;
    sums->keys += result->keys;
    sums->unjudged += result->unjudged;
    sums->unsure_elections += result->unsure_elections;
    sums->losses.listed += result->losses.listed;
    sums->losses.unknown += result->losses.unknown;
    for (size_t i = 0; i < PLAN_FAULTS; i++)
        sums->counts[i] += result->counts[i];
    if (!result->verdict.failed && progress_s > sums->progress_worst_s)
        sums->progress_worst_s = progress_s;
}

static void print_sums(const struct sums *sums)
{
    uint64_t faults = 0;
    for (size_t i = 0; i < PLAN_FAULTS; i++)
        faults += sums->counts[i];
    printf("swarm: %llu seeds, %llu found, %.2f simulated cluster-hours, %llu faults, %llu "
           "elections\n",
           (unsigned long long)sums->seeds, (unsigned long long)sums->found,
           sums->simulated_s / 3600, (unsigned long long)faults,
           (unsigned long long)sums->elections);
    printf("swarm: %llu operations answered, %llu refused, %llu of unknown outcome; %llu stores "
           "compared, %llu snapshots; %llu keys undecided; worst progress after healing %.2f s\n",
           (unsigned long long)sums->done, (unsigned long long)sums->refused,
           (unsigned long long)sums->unknown, (unsigned long long)sums->digests,
           (unsigned long long)sums->snapshots, (unsigned long long)sums->undecided,
           sums->progress_worst_s);
    printf(
        "swarm: %llu keyspaces with contracts of their own; %llu keys, %llu of them of contracts "
        "that may lose, in runs that may have; %llu elections with unsure voters\n",
        (unsigned long long)sums->spaces, (unsigned long long)sums->keys,
        (unsigned long long)sums->unjudged, (unsigned long long)sums->unsure_elections);
    printf(
        "swarm: %llu writes were acknowledged, cut and in a ledger, %llu more were of terms that "
        "nobody knows of\n",
        (unsigned long long)sums->losses.listed, (unsigned long long)sums->losses.unknown);
    printf("swarm: %llu nodes joined, contracts were altered %llu times, nodes and replicas moved "
           "%llu "
           "times\n",
           (unsigned long long)sums->joined, (unsigned long long)sums->altered,
           (unsigned long long)sums->moved);
    printf("swarm: faults:");
    for (size_t i = 0; i < PLAN_FAULTS; i++)
        printf(" %s %llu", plan_fault_names[i], (unsigned long long)sums->counts[i]);
    printf("\n");
}

static double real_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* What ends, ends; what is free begins the next seed as long as there is time. */
struct swarm {
    const struct swarm_options *options;
    struct lane lanes[SWARM_JOBS_MAX];
    struct sums sums;
    uint64_t next_seed, started;
    double begin_s, end_s;
};

static bool fill(struct swarm *swarm)
{
    unsigned jobs = swarm->options->jobs ? swarm->options->jobs : 1;
    for (unsigned i = 0; i < jobs && real_seconds() < swarm->end_s; i++) {
        struct run_options run = {.seed = swarm->next_seed, .faults = swarm->options->faults};
        if (swarm->lanes[i].process)
            continue;
        if (!lane_start(&swarm->lanes[i], &run, swarm->started % TWICE_EVERY == 0))
            return false;
        swarm->next_seed++;
        swarm->started++;
    }
    return true;
}

/* True: go on. */
static bool take(struct swarm *swarm, unsigned at)
{
    struct run_result result;
    lane_end(&swarm->lanes[at], &result);
    add(&swarm->sums, &result);
    if (!result.verdict.failed)
        return true;
    printf("FOUND after %.0f s by %s: %s\n", real_seconds() - swarm->begin_s, result.verdict.oracle,
           result.verdict.line);
    print_replay(&swarm->lanes[at].run, stdout);
    return !swarm->options->stop_at_find;
}

int swarm_run(const struct swarm_options *options)
{
    struct swarm swarm = {.options = options, .begin_s = real_seconds()};
    swarm.end_s = swarm.begin_s + options->minutes * 60;
    swarm.next_seed = options->first_seed;
    if (!swarm.next_seed)
        swarm.next_seed = (uint64_t)time(NULL) % 1000000 * 1000;
    printf("swarm: from seed %llu\n", (unsigned long long)swarm.next_seed);
    for (;;) {
        bool begun = fill(&swarm);
        unsigned at = lane_await(swarm.lanes);
        if (at == SWARM_JOBS_MAX && !begun) {
            fprintf(stderr, "swarm: no process can be started\n");
            return 2;
        }
        if (at == SWARM_JOBS_MAX || !take(&swarm, at))
            break;
    }
    lanes_stop(swarm.lanes);
    print_sums(&swarm.sums);
    return swarm.sums.found ? 1 : 0;
}
