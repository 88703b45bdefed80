/* Opening a directory: the log tells who this node is and what its groups have. NODE-5 */
#include "node/inside.h"

#include "base/memory.h"

#include <stdio.h>

#define SILENT_ELECTIONS 3 /* as 1.2 s is of 400 ms */

static enum status recover_identity(struct node *node, const struct wal_record *record,
                                    char why[NODE_WHY_SIZE])
{
    if (record->index == IDENTITY_PROMISE)
        return node_decode_promise(record->payload, &node->promise);
    if (record->index == IDENTITY_JOIN)
        return node_decode_join(record->payload, &node->join);
    if (record->index == IDENTITY_PLACED)
        return placed_recover(node, record->payload);
    if (record->index != IDENTITY_FORMATION)
        return STATUS_FOREIGN;
    bool again = node->formed; /* each segment repeats it */
    enum status status = node_decode_formation(record->payload, &node->formation);
    if (status || again)
        return status;
    node->formed = true;
    status = node_open_snapshots(node, why);
    if (!status)
        node_create_groups(node);
    return status;
}

static enum status recover_group(struct replica *replica, const struct wal_record *record)
{
    if (record->kind == WAL_ENTRY)
        return replica_recover_entry(replica, record);
    if (record->kind == WAL_STATE)
        return replica_recover_state(replica, record);
    if (record->kind == WAL_MARK)
        return replica_recover_mark(replica, record);
    return STATUS_FOREIGN;
}

/* The first records of a group that was dropped later may be gone with their segment: what does not
 * fit counts only if the group is still here at the end. */
static enum status recover_record(struct node *node, const struct wal_record *record,
                                  char why[NODE_WHY_SIZE])
{
    if (record->kind == WAL_IDENTITY)
        return recover_identity(node, record, why);
    if (record->kind == WAL_SET_ASIDE)
        return ledger_recover(node->ledger, record);
    struct replica *replica = node_group(node, record->group);
    struct placed *placed = placed_find(node, record->group);
    if (!replica) /* NODE-7, NODE-8 */
        return placed_is_gone(node, record->group) ? STATUS_OK : STATUS_FOREIGN;
    enum status *doubt = placed ? &placed->doubt : &node->first_doubts[record->group.value];
    if (record->kind == WAL_MARK) /* what stood before it is void, and so is what ailed it */
        *doubt = STATUS_OK;
    if (!*doubt)
        *doubt = recover_group(replica, record);
    return STATUS_OK;
}

static enum status doubts(const struct node *node, struct group_id *group)
{
    for (size_t i = 0; i < node->placed_count; i++)
        if (node->placed[i].doubt) {
            *group = node->placed[i].partition.group;
            return node->placed[i].doubt;
        }
    *group = node->first_doubts[0] ? GROUP_SYSTEM : GROUP_DEFAULT;
    return node->first_doubts[group->value];
}

/* Which log it is about, and what it means for the cluster. */
static void say_log(const struct node *node, const char *line, char why[NODE_WHY_SIZE])
{
    char path[IO_PATH_SIZE];
    node_log_dir(node, path);
    snprintf(why, NODE_WHY_SIZE, "the log in %.200s/%u does not open: %s", path,
             node->options.worker, line);
}

/* The name of a file begins with its group. */
static const char *complaint_of(const struct node *node, struct group_id group)
{
    char begin[20];
    const char *line;
    snprintf(begin, sizeof begin, "%016llx-", (unsigned long long)group.value);
    for (size_t i = 0; (line = snapshots_complaint(node->snapshots.files, i)) != NULL; i++)
        if (strncmp(line, begin, strlen(begin)) == 0)
            return line;
    return "there is none";
}

static void say_record(const struct node *node, const struct wal_record *record, enum status status,
                       char why[NODE_WHY_SIZE])
{
    snprintf(why, NODE_WHY_SIZE,
             "the log in %s holds a record that does not fit (group %llu, index %llu: %s); "
             "this node stays out, the others go on",
             node->dir, (unsigned long long)record->group.value, (unsigned long long)record->index,
             status_text(status));
}

/* NODE-5: a group whose log begins behind every snapshot that holds has lost entries (R4). */
static enum status say_behind(const struct node *node, struct group_id group,
                              char why[NODE_WHY_SIZE])
{
    char path[IO_PATH_SIZE];
    node_log_dir(node, path);
    snprintf(why, NODE_WHY_SIZE,
             "the log in %.160s begins behind every snapshot of group %llu that holds (%.160s)",
             path, (unsigned long long)group.value, complaint_of(node, group));
    return STATUS_DAMAGED;
}

static enum status recover_ends(struct node *node, char why[NODE_WHY_SIZE])
{
    for (size_t i = 0; i < node->group_count; i++)
        if (replica_recover_end(node->groups[i]->replica))
            return say_behind(node, replica_group(node->groups[i]->replica), why);
    return STATUS_OK;
}

static enum status say_refused(const struct node *node, const struct wal_record *record,
                               enum status status, char why[NODE_WHY_SIZE])
{
    if (status == STATUS_DAMAGED)
        return say_behind(node, record->group, why);
    if (!why[0])
        say_record(node, record, status, why);
    return status;
}

static enum status recover(struct node *node, char why[NODE_WHY_SIZE])
{
    char line[WAL_WHY_SIZE] = "";
    struct wal_record record;
    enum status status;
    while (!(status = wal_recover_next(node->wal, &record, line))) {
        status = recover_record(node, &record, why);
        if (status)
            return say_refused(node, &record, status, why);
    }
    record = (struct wal_record){.index = 0};
    enum status doubt = doubts(node, &record.group);
    if (status == STATUS_END && doubt)
        return say_refused(node, &record, doubt, why);
    if (status == STATUS_END && recover_ends(node, why))
        return STATUS_DAMAGED;
    if (status == STATUS_END)
        status = wal_recover_end(node->wal, line);
    node->identity_ticket =
        wal_next_ticket(node->wal); /* the note of this start: WAL-1 from there */
    if (status)
        say_log(node, line, why);
    return status;
}

/* A directory that says who it is but has lost its log must never vote again under that name (R4).
 * The sign of another worker than 0 may be of logs before. */
static enum status check_lost_log(struct node *node, char why[NODE_WHY_SIZE])
{
    struct node_sign sign;
    if (node->formed || node->sign.fresh)
        return STATUS_OK;
    sign_load(node, node->options.worker, &sign);
    return sign.is_there && sign.log == node->sign.log ? node_say_lost_log(node, why) : STATUS_OK;
}

/* NODE-10: the first start with an empty log after one that was damaged. */
static void begin_anew(struct node *node)
{
    const struct node_sign *sign = &node->sign;
    if (node->formed || !sign->fresh || node->options.worker)
        return;
    node_save_formation(node, &sign->formation);
}

/* Before anything is promised, asked or formed: who cannot be reached is to leave nothing behind
 * that binds him. */
static enum status listen_to_peers(struct node *node, char why[NODE_WHY_SIZE])
{
    char line[128] = "";
    if (node->options.worker || !node->peer_listen[0])
        return STATUS_OK;
    enum status status =
        peer_listen(node->io, node->options.tag_peer, node->peer_listen, &node->listener, line);
    if (status)
        snprintf(why, NODE_WHY_SIZE, "--peer-listen %s", line);
    return status;
}

/* What is damaged is begun anew where others have the data. */
static enum status finish(struct node *node, enum status status, char why[NODE_WHY_SIZE])
{
    if (!status)
        status = check_lost_log(node, why);
    if (!status)
        status = listen_to_peers(node, why);
    if (!status)
        begin_anew(node);
    if (status != STATUS_DAMAGED)
        return status;
    if (sign_can_begin_anew(node))
        return sign_begin_anew(node, why);
    size_t size = strlen(why);
    snprintf(why + size, NODE_WHY_SIZE - size,
             "; put an unharmed copy back, if there is one: until then this node stays out");
    return status;
}

enum status node_make_dir(struct node *node, const char *path)
{
    char parent[IO_PATH_SIZE];
    snprintf(parent, sizeof parent, "%s", path);
    char *slash = strrchr(parent, '/');
    if (slash == parent)
        parent[1] = 0;
    else if (slash)
        *slash = 0;
    else
        snprintf(parent, sizeof parent, ".");
    enum status status = io_dir_make(node->io, path);
    return status ? status : io_dir_sync(node->io, parent);
}

void node_say_unmade(const char *path, enum status status, char why[NODE_WHY_SIZE])
{
    if (status == STATUS_EXISTS)
        snprintf(why, NODE_WHY_SIZE,
                 "%s is not a directory: move it away if it was put there by mistake, and put back "
                 "what was there; or give another --dir",
                 path);
    else if (status == STATUS_DENIED)
        snprintf(why, NODE_WHY_SIZE, "no permission to make %s: give this user access", path);
    else
        snprintf(why, NODE_WHY_SIZE, "cannot make the directory %s: %s", path, status_text(status));
}

static enum status open_log(struct node *node, char why[NODE_WHY_SIZE])
{
    char path[IO_PATH_SIZE], line[WAL_WHY_SIZE] = "";
    node_log_dir(node, path);
    enum status status = node_make_dir(node, path);
    if (status) {
        node_say_unmade(path, status, why);
        return status;
    }
    size_t size = strlen(path);
    snprintf(path + size, sizeof path - size, "/%u", node->options.worker);
    struct wal_options options = {.dir = path,
                                  .segment_size = node->options.wal_segment_size,
                                  .tag = node->options.tag_wal,
                                  .interval_ns = 1000000000,
                                  .faults = node->options.faults};
    status = wal_open(node->io, &options, &node->wal, line);
    if (status)
        say_log(node, line, why);
    return status;
}

static void say_unmade(const char *dir, enum status status, char why[NODE_WHY_SIZE])
{
    if (status == STATUS_DENIED)
        snprintf(why, NODE_WHY_SIZE,
                 "no permission to make %s: give this user access to its parent, or another --dir",
                 dir);
    else if (status == STATUS_EXISTS)
        snprintf(why, NODE_WHY_SIZE, "%s is not a directory: give another --dir", dir);
    else if (status == STATUS_NOT_FOUND)
        snprintf(why, NODE_WHY_SIZE,
                 "cannot make the directory %s: its parent does not exist; make it, or give "
                 "another --dir",
                 dir);
    else
        snprintf(why, NODE_WHY_SIZE, "cannot make the directory %s: %s", dir, status_text(status));
}

static void say_unlocked(const char *dir, enum status status, char why[NODE_WHY_SIZE])
{
    if (status == STATUS_DENIED)
        snprintf(why, NODE_WHY_SIZE,
                 "no permission to write in %s: give this user access, or another --dir", dir);
    else if (status == STATUS_NOT_FOUND) /* a file system that is not for files */
        snprintf(why, NODE_WHY_SIZE, "cannot create files in %s: give another --dir", dir);
    else if (status == STATUS_IN_USE)
        snprintf(why, NODE_WHY_SIZE, "the directory %s is %s: stop it, or give another --dir", dir,
                 status_text(status));
    else
        snprintf(why, NODE_WHY_SIZE, "cannot create files in %s: %s", dir, status_text(status));
}

static enum status open_dir(struct node *node, char why[NODE_WHY_SIZE])
{
    enum status status = node_make_dir(node, node->dir);
    if (status) {
        say_unmade(node->dir, status, why);
        return status;
    }
    status = node_check_owner(node, why); /* the lock is a file already */
    if (status)
        return status;
    status = io_dir_lock(node->io, node->dir);
    if (status)
        say_unlocked(node->dir, status, why);
    return status;
}

static void create_peers(struct node *node)
{
    struct peer_options options = {.cluster = node->formation.cluster,
                                   .self = node->formation.self,
                                   .worker = node->options.worker,
                                   .workers = node->options.workers,
                                   .incarnation = node->incarnation,
                                   .client_address = node->client_address,
                                   .tag = node->options.tag_peer,
                                   .timer = node->options.timer_peer};
    uint64_t election_ns = node->options.timing.election_min_ns;
    if (election_ns > node_timing_default.election_min_ns) { /* far away: links need longer, too */
        options.silence_ns = SILENT_ELECTIONS * election_ns;
        options.connect_timeout_ns = election_ns;
    }
    node->peers = peer_create(node->io, &options);
    node->turn.peers = node->peers;
}

void node_start(struct node *node)
{
    create_peers(node);
    if (node->listener)
        peer_adopt(node->peers, node->listener);
    node->listener = NULL;
    for (size_t i = 0; i < node->formation.member_count; i++) {
        const struct node_member *member = &node->formation.members[i];
        bool removed = !member->peer_address[0]; /* before this one joined */
        if (!removed && !node_id_equal(member->id, node->formation.self))
            peer_add(node->peers, member->id, member->peer_address);
    }
    node_begin_turn(node);
    node->started = true;
    for (size_t i = 0; i < node->group_count; i++)
        replica_start(node->groups[i]->replica, &node->turn, node->born);
    placed_release(node);
}

static void create_ledger(struct node *node)
{
    char path[IO_PATH_SIZE];
    snprintf(path, sizeof path, "%s/ledger", node->dir);
    node->ledger = ledger_create(node->io, path, node->options.tag_ledger, node->options.commands);
    node->turn.ledger = node->ledger;
}

enum status node_open(struct io *io, const struct node_options *options, struct node **out,
                      char why[NODE_WHY_SIZE])
{
    struct node *node = memory_zeroed(1, sizeof *node);
    node->io = io;
    node->options = *options;
    node->dir = memory_copy_text(options->dir);
    node->peer_listen = memory_copy_text(options->peer_listen);
    node->client_address = memory_copy_text(options->client_address);
    if (!node->options.workers)
        node->options.workers = 1;
    if (!node->options.cache_size_max)
        node->options.cache_size_max = 4u << 20;
    node->incarnation = io_random(io) | 1;
    node->next_campaign_ns = UINT64_MAX;
    list_init(&node->awake);
    list_init(&node->leading);
    buffer_init(&node->scratch, WIRE_ENTRY_SIZE_MAX - (512u << 10)); /* an effect fits an entry */
    node->turn = (struct replica_turn){.io = io,
                                       .commands = options->commands,
                                       .outputs = &node->outputs,
                                       .snapshots = &node->snapshots,
                                       .scratch = &node->scratch,
                                       .awake = &node->awake,
                                       .faults = options->faults};
    enum status status = node->options.worker ? STATUS_OK : open_dir(node, why);
    sign_load(node, 0, &node->sign);
    if (!status && !node->options.worker)
        status = node_check_share(node, why);
    if (!status)
        status = open_log(node, why);
    create_ledger(node);
    node->turn.wal = node->wal;
    if (!status)
        status = recover(node, why);
    if (!status)
        ledger_load(node->ledger, node->options.worker, node->options.workers);
    status = finish(node, status, why);
    if (status) {
        node_destroy(node);
        return status;
    }
    *out = node;
    return STATUS_OK;
}

void node_destroy(struct node *node)
{
    if (!node)
        return;
    groups_deinit(node);
    beats_deinit(node);
    placed_deinit(node);
    snapshots_close(node->snapshots.files);
    peer_listener_destroy(node->listener);
    peer_destroy(node->peers);
    wal_close(node->wal);
    ledger_destroy(node->ledger);
    buffer_deinit(&node->scratch);
    memory_free(node->dir);
    memory_free(node->peer_listen);
    memory_free(node->client_address);
    memory_free(node);
}
