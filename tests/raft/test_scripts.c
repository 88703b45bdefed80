/* Golden scripts: scripts/NAME.txt has commands ("> campaign 1") and, indented below each, what
 * came of it. REWRITE=1 writes the files anew from what happens; then read the difference.
 * Commands: the table at the end of this file; durations as 50ms. */
#include "base/memory.h"
#include "tests/raft/cluster.h"

#include <ctype.h>
#include <glob.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define TEXT_SIZE_MAX (1u << 20)
#define WORDS_MAX     16

struct script {
    const char *name;
    struct cluster *cluster;
    struct buffer output;
    bool quiet;
    char *words[WORDS_MAX]; /* of the command, without its name; borrowed from the line */
    size_t word_count;
};

static void write_text(struct script *script, const char *text)
{
    if (buffer_append(&script->output, text, strlen(text)))
        fatal("%s: too much output", script->name);
}

static void write_line(void *hook, const char *line)
{
    struct script *script = hook;
    if (script->quiet)
        return;
    write_text(script, "    ");
    write_text(script, line);
    write_text(script, "\n");
}

static void failed(void *hook, const char *what)
{
    struct script *script = hook;
    fatal("%s: %s", script->name, what);
}

/* ---- arguments ---- */

static const char *word(const struct script *script, size_t place)
{
    if (place >= script->word_count)
        fatal("%s: a word is missing", script->name);
    return script->words[place];
}

static uint64_t number(const struct script *script, size_t place)
{
    return strtoull(word(script, place), NULL, 10);
}

static uint64_t replica_at(const struct script *script, size_t place)
{
    uint64_t id = number(script, place);
    if (!script->cluster || id < 1 || id > script->cluster->count)
        fatal("%s: no replica %s", script->name, word(script, place));
    return id;
}

/* The value after the word `name`, or `otherwise`. */
static uint64_t option(const struct script *script, const char *name, uint64_t otherwise)
{
    for (size_t i = 0; i + 1 < script->word_count; i++)
        if (strcmp(script->words[i], name) == 0)
            return number(script, i + 1);
    return otherwise;
}

static bool is_route(const struct script *script, size_t place, uint64_t *from, uint64_t *to)
{
    char *end;
    *from = strtoull(word(script, place), &end, 10);
    if (strncmp(end, "->", 2) != 0)
        return false;
    *to = strtoull(end + 2, NULL, 10);
    return true;
}

/* ---- commands ---- */

static void do_voters(struct script *script)
{
    size_t voters = number(script, 0), learners = option(script, "learners", 0);
    size_t spare = option(script, "spare", 0);
    uint32_t majority = (uint32_t)voters / 2 + 1;
    struct raft_configuration c =
        cluster_voters(voters, learners, (uint32_t)option(script, "commit", majority),
                       (uint32_t)option(script, "election", majority));
    for (uint64_t i = option(script, "witnesses", 0); i > 0; i--)
        c.members[voters - i].kind = RAFT_WITNESS;
    uint64_t favourite = option(script, "favourite", 0);
    if (favourite)
        c.members[favourite - 1].priority = 1;
    script->cluster = cluster_create(voters + learners + spare, &c, option(script, "seed", 1));
    script->cluster->trace = write_line;
    script->cluster->fail = failed;
    script->cluster->hook = script;
    script->cluster->options.max_skew_us = 500000;
    for (uint64_t id = 1; id <= script->cluster->count; id++)
        cluster_start(script->cluster, id);
}

static void do_campaign(struct script *script)
{
    cluster_event(script->cluster, replica_at(script, 0), RAFT_CAMPAIGN);
}

static void do_step_down(struct script *script)
{
    cluster_event(script->cluster, replica_at(script, 0), RAFT_STEP_DOWN);
}

static void do_transfer(struct script *script)
{
    uint64_t to = script->word_count > 1 ? number(script, 1) : 0;
    cluster_transfer(script->cluster, replica_at(script, 0), to);
}

static void do_compact(struct script *script)
{
    uint64_t id = replica_at(script, 0);
    cluster_compact(script->cluster, id, number(script, 1));
}

static void do_install(struct script *script)
{
    if (!cluster_install(script->cluster, replica_at(script, 0)))
        write_line(script, "nothing is offered");
}

static void do_advance(struct script *script)
{
    script->cluster->now_ns += number(script, 0) * MILLISECOND;
}

static void do_tick(struct script *script)
{
    if (script->word_count > 1)
        script->cluster->now_ns += number(script, 1) * MILLISECOND;
    cluster_tick(script->cluster, replica_at(script, 0));
}

static void do_run(struct script *script)
{
    cluster_run(script->cluster, number(script, 0) * MILLISECOND);
}

static void do_settle(struct script *script)
{
    cluster_settle(script->cluster);
}

static void do_round(struct script *script)
{
    cluster_round(script->cluster, replica_at(script, 0));
}

static void do_propose(struct script *script)
{
    const char *times = script->word_count > 1 ? word(script, 1) : "x1";
    for (uint64_t i = strtoull(times + 1, NULL, 10); i > 0; i--)
        if (!cluster_propose(script->cluster, replica_at(script, 0)))
            write_line(script, "refused");
}

static void do_persist(struct script *script)
{
    size_t records = script->word_count > 1 ? number(script, 1) : RECORDS_MAX;
    for (uint64_t id = 1; id <= script->cluster->count; id++)
        if (strcmp(word(script, 0), "all") == 0 || id == number(script, 0))
            if (script->cluster->replicas[id].raft)
                cluster_persist(script->cluster, id, records);
}

static bool packet_matches(const struct script *script, const struct packet *packet)
{
    uint64_t from, to;
    if (strcmp(word(script, 0), "all") == 0)
        return true;
    return is_route(script, 0, &from, &to) && packet->from == from && packet->to == to;
}

/* What waits now, in order; what that sets off waits for the next command. */
static void for_waiting(struct script *script, void (*act)(struct cluster *, size_t))
{
    size_t waiting = script->cluster->packet_count, place = 0;
    while (waiting-- > 0) {
        if (!packet_matches(script, &script->cluster->packets[place])) {
            place++;
            continue;
        }
        size_t count = script->cluster->packet_count;
        act(script->cluster, place);
        place += script->cluster->packet_count > count;
    }
}

static void do_deliver(struct script *script)
{
    size_t waiting = script->cluster->packet_count, place = 0;
    for (; waiting > 0; waiting--) {
        if (packet_matches(script, &script->cluster->packets[place]))
            cluster_deliver(script->cluster, place);
        else
            place++;
    }
}

static void do_drop(struct script *script)
{
    for_waiting(script, cluster_drop);
}

static void do_duplicate(struct script *script)
{
    for_waiting(script, cluster_duplicate);
}

static void do_cut(struct script *script)
{
    struct cluster *cluster = script->cluster;
    uint64_t from, to;
    if (is_route(script, 0, &from, &to)) {
        cluster->cut[from][to] = true;
        return;
    }
    for (uint64_t id = 1; id <= cluster->count; id++)
        if (id != from)
            cluster->cut[from][id] = cluster->cut[id][from] = true;
}

static void do_heal(struct script *script)
{
    memset(script->cluster->cut, 0, sizeof script->cluster->cut);
}

static void do_crash(struct script *script)
{
    cluster_crash(script->cluster, replica_at(script, 0));
}

static void do_power(struct script *script)
{
    cluster_lose_power(script->cluster, replica_at(script, 0), number(script, 1));
}

static void do_restart(struct script *script)
{
    cluster_start(script->cluster, replica_at(script, 0));
}

static void do_lost(struct script *script)
{
    cluster_lost(script->cluster, replica_at(script, 0), replica_at(script, 1));
}

static void do_clock(struct script *script)
{
    script->cluster->replicas[replica_at(script, 0)].wall_offset_us =
        strtoll(word(script, 1), NULL, 10) * 1000;
}

static void do_lease(struct script *script)
{
    uint64_t id = replica_at(script, 0);
    struct raft *raft = script->cluster->replicas[id].raft;
    bool valid = raft_lease_is_valid(raft, cluster_now_of(script->cluster, id));
    write_line(script, valid ? "lease" : "no lease");
}

/* joint LEADER 1,2,4 [commit C] [election E]: from the voters of now to these. */
static void do_joint(struct script *script)
{
    uint64_t id = replica_at(script, 0);
    struct raft_configuration c = *raft_configuration(script->cluster->replicas[id].raft);
    c.old_commit_quorum = c.commit_quorum;
    c.old_election_quorum = c.election_quorum;
    for (size_t i = 0; i < c.member_count; i++) {
        c.members[i].old_kind = c.members[i].kind;
        c.members[i].kind = 0;
    }
    uint32_t voters = 0;
    for (const char *at = word(script, 1); *at; at += *at == ',') {
        uint64_t member = strtoull(at, (char **)(uintptr_t)&at, 10);
        size_t place = 0;
        while (place < c.member_count && c.members[place].replica.value != member)
            place++;
        if (place == c.member_count)
            c.members[c.member_count++] =
                (struct raft_member){.replica = {member}, .node = {member}};
        c.members[place].kind = RAFT_VOTER;
        voters++;
    }
    c.joint = true;
    c.commit_quorum = (uint32_t)option(script, "commit", voters / 2 + 1);
    c.election_quorum = (uint32_t)option(script, "election", voters / 2 + 1);
    if (!cluster_propose_configuration(script->cluster, id, &c))
        write_line(script, "refused");
}

static void do_leave(struct script *script)
{
    if (!cluster_leave(script->cluster, replica_at(script, 0)))
        write_line(script, "refused");
}

/* change LEADER 1,2,4 [commit C] [election E] [even]: to these voters, as raft says how. */
static void do_change(struct script *script)
{
    uint64_t id = replica_at(script, 0);
    const char *why;
    struct raft_configuration wanted = {0}, next;
    for (const char *at = word(script, 1); *at; at += *at == ',') {
        uint64_t member = strtoull(at, (char **)(uintptr_t)&at, 10);
        wanted.members[wanted.member_count++] =
            (struct raft_member){.replica = {member}, .node = {member}, .kind = RAFT_VOTER};
    }
    uint32_t majority = (uint32_t)wanted.member_count / 2 + 1;
    wanted.commit_quorum = (uint32_t)option(script, "commit", majority);
    wanted.election_quorum = (uint32_t)option(script, "election", majority);
    bool even = strcmp(script->words[script->word_count - 1], "even") == 0;
    const struct raft_configuration *now = raft_configuration(script->cluster->replicas[id].raft);
    if (raft_configuration_change(now, &wanted, even, &next, &why))
        write_line(script, why);
    else if (!cluster_propose_configuration(script->cluster, id, &next))
        write_line(script, "refused");
}

static void do_sync(struct script *script)
{
    uint64_t id = replica_at(script, 0);
    struct raft_configuration next;
    bool in_sync = strcmp(word(script, 2), "in") == 0;
    const struct raft_configuration *now = raft_configuration(script->cluster->replicas[id].raft);
    if (raft_configuration_set_sync(now, (struct replica_id){number(script, 1)}, in_sync, &next) ||
        !cluster_propose_configuration(script->cluster, id, &next))
        write_line(script, "refused");
}

static void do_acked(struct script *script)
{
    struct raft *raft = script->cluster->replicas[replica_at(script, 0)].raft;
    bool all = strcmp(word(script, 1), "all") == 0;
    uint32_t copies = all ? RAFT_COPIES_ALL : (uint32_t)number(script, 1);
    char line[64];
    snprintf(line, sizeof line, "acked through %llu",
             (unsigned long long)raft_acked_by(raft, copies, true));
    write_line(script, line);
}

static void do_progress(struct script *script)
{
    struct raft *raft = script->cluster->replicas[replica_at(script, 0)].raft;
    struct raft_progress progress;
    char line[128];
    if (raft_progress(raft, (struct replica_id){number(script, 1)}, &progress)) {
        write_line(script, "not a peer of a leader");
        return;
    }
    snprintf(line, sizeof line, "lag %llu rounds %u %s%s", (unsigned long long)progress.lag,
             progress.catch_up_rounds, progress.caught_up ? "caught up" : "not caught up",
             progress.behind_since_ns ? " behind" : "");
    write_line(script, line);
}

static void do_leaving(struct script *script)
{
    script->cluster->leaves_joint = true;
}

static void do_dump(struct script *script)
{
    for (uint64_t id = 1; id <= script->cluster->count; id++) {
        struct raft *raft = script->cluster->replicas[id].raft;
        struct buffer text;
        if (script->word_count && number(script, 0) != id)
            continue;
        if (!raft) {
            write_line(script, "down");
            continue;
        }
        buffer_init(&text, TEXT_SIZE_MAX);
        raft_dump(raft, &text);
        if (buffer_append(&text, "", 1))
            fatal("%s: dump too long", script->name);
        for (char *rest = (char *)text.at; rest && *rest;)
            write_line(script, strsep(&rest, "\n"));
        buffer_deinit(&text);
    }
}

static const struct {
    const char *name;
    void (*run)(struct script *script);
} commands[] = {
    {"voters", do_voters}, /* N [learners L] [spare S] [commit C] [election E] [favourite ID] [seed
                              S] [witnesses W]: the last W voters */
    {"campaign", do_campaign},   /* ID */
    {"step-down", do_step_down}, /* ID */
    {"transfer", do_transfer},   /* ID [TO] */
    {"compact", do_compact},     /* ID INDEX */
    {"install", do_install},     /* ID: the snapshot that is offered */
    {"advance", do_advance},     /* DURATION: time goes on, nobody is told */
    {"tick", do_tick},           /* ID [DURATION] */
    {"run", do_run},             /* DURATION of normal life */
    {"settle", do_settle},       /* persist, deliver, install everything, time stands still */
    {"round", do_round},         /* ID */
    {"propose", do_propose},     /* ID [xN] */
    {"persist", do_persist},     /* ID|all [RECORDS] */
    {"deliver", do_deliver},     /* A->B|all */
    {"drop", do_drop},           /* A->B|all: what waits */
    {"duplicate", do_duplicate}, /* A->B|all */
    {"cut", do_cut},             /* A->B, or A both ways: from now on, and what waits */
    {"heal", do_heal},
    {"crash", do_crash},
    {"power", do_power}, /* ID ENTRIES: a crash that takes so many durable ones with it */
    {"restart", do_restart},
    {"lost", do_lost},   /* ID PEER */
    {"clock", do_clock}, /* ID MILLISECONDS off */
    {"lease", do_lease},
    {"joint", do_joint},       /* LEADER 1,2,4 [commit C] [election E] */
    {"leave", do_leave},       /* LEADER */
    {"change", do_change},     /* LEADER 1,2,4 [commit C] [election E] [even] */
    {"leaving", do_leaving},   /* from now on leaders leave a joint configuration when told to */
    {"sync", do_sync},         /* LEADER ID in|out */
    {"acked", do_acked},       /* LEADER COPIES|all */
    {"progress", do_progress}, /* LEADER ID */
    {"dump", do_dump},         /* [ID] */
};

/* ---- the runner ---- */

static void run_command(struct script *script, char *line)
{
    char *name = strsep(&line, " ");
    script->quiet = strcmp(name, "quiet") == 0;
    if (script->quiet)
        name = strsep(&line, " ");
    script->word_count = 0;
    while (line && script->word_count < WORDS_MAX)
        script->words[script->word_count++] = strsep(&line, " ");
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        if (strcmp(commands[i].name, name) == 0) {
            commands[i].run(script);
            return;
        }
    }
    fatal("%s: no command \"%s\"", script->name, name);
}

static char *read_file(const char *path)
{
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    char *text = memory_zeroed(TEXT_SIZE_MAX, 1);
    assert_true(fread(text, 1, TEXT_SIZE_MAX - 1, file) < TEXT_SIZE_MAX - 1);
    fclose(file);
    return text;
}

static void play(struct script *script, const char *text)
{
    char line[256];
    for (const char *at = text; *at;) {
        size_t size = strcspn(at, "\n");
        snprintf(line, sizeof line, "%.*s", (int)size, at);
        at += size + (at[size] == '\n');
        if (line[0] == ' ')
            continue; /* what was expected */
        write_text(script, line);
        write_text(script, "\n");
        if (line[0] == '>')
            run_command(script, line + 2);
    }
}

static void run_script(const char *path)
{
    struct script script = {.name = path};
    char *expected = read_file(path);
    buffer_init(&script.output, TEXT_SIZE_MAX);
    play(&script, expected);
    if (buffer_append(&script.output, "", 1))
        fatal("%s: too much output", path);
    if (getenv("REWRITE")) {
        FILE *file = fopen(path, "w");
        assert_non_null(file);
        fputs((char *)script.output.at, file);
        fclose(file);
    } else {
        print_message("%s\n", path);
        assert_string_equal((char *)script.output.at, expected);
    }
    cluster_destroy(script.cluster);
    buffer_deinit(&script.output);
    memory_free(expected);
}

static void scripts(void **state)
{
    (void)state;
    const char *folder = getenv("RAFT_SCRIPTS");
    char pattern[256];
    glob_t paths;
    snprintf(pattern, sizeof pattern, "%s/*.txt", folder ? folder : "tests/raft/scripts");
    assert_int_equal(glob(pattern, 0, NULL, &paths), 0);
    for (size_t i = 0; i < paths.gl_pathc; i++)
        run_script(paths.gl_pathv[i]);
    globfree(&paths);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(scripts)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
