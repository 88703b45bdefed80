/* Partitions that the formation does not give this node: which are placed here, which were. What is
 * here is noted in the log as one identity record, written anew with each change; recovery reads it
 * before any record of the groups that it names.
 *
 * Bytes, version 1: u8 version, u64 dropped through, u64 count of dropped, u64 each; u64 count of
 * placed, then for each: u64 group, u8 sync, u64 size and bytes of its first configuration. Version
 * 2, once a replica was removed here: behind that u64 count of removed, for each: u64 group, u64
 * replica. */
#include "node/inside.h"

#include "base/memory.h"

#include <assert.h>

#define PLACED_VERSION    1
#define PLACED_REMOVED    2
#define PLACED_SIZE_MAX   (8u << 20)
#define FIRST_CAMPAIGN_NS (100 * 1000000ull) /* by then the others have noted it too */

/* ---- finding ---- */

struct placed *placed_find(const struct node *node, struct group_id group)
{
    size_t low = 0, high = node->placed_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (node->placed[middle].partition.group.value < group.value)
            low = middle + 1;
        else
            high = middle;
    }
    bool found =
        low < node->placed_count && group_id_equal(node->placed[low].partition.group, group);
    return found ? &node->placed[low] : NULL;
}

/* Where it stands among the dropped, or would stand. */
static size_t dropped_place(const struct node *node, struct group_id group)
{
    size_t low = 0, high = node->dropped_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (node->dropped[middle].value < group.value)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

bool placed_is_dropped(const struct node *node, struct group_id group)
{
    const struct placed *placed = placed_find(node, group);
    if (placed && placed->here)
        return false;
    if (group.value > GROUP_DEFAULT.value && group.value <= node->dropped_through.value)
        return true;
    size_t at = dropped_place(node, group);
    return at < node->dropped_count && group_id_equal(node->dropped[at], group);
}

bool node_is_placed(const struct node *node, struct group_id group)
{
    const struct placed *placed = placed_find(node, group);
    return placed && placed->here;
}

static struct placed *insert(struct node *node, const struct node_partition *partition)
{
    size_t at = node->placed_count;
    if (node->placed_count == node->placed_capacity) {
        node->placed_capacity = node->placed_capacity ? 2 * node->placed_capacity : 16;
        node->placed = memory_resize(node->placed, node->placed_capacity * sizeof *node->placed);
    }
    while (at > 0 && node->placed[at - 1].partition.group.value > partition->group.value)
        at--;
    memmove(node->placed + at + 1, node->placed + at,
            (node->placed_count - at) * sizeof *node->placed);
    node->placed[at] = (struct placed){.partition = *partition};
    node->placed_count++;
    return &node->placed[at];
}

static void erase(struct node *node, struct placed *placed)
{
    size_t at = (size_t)(placed - node->placed);
    node->placed_count--;
    memmove(placed, placed + 1, (node->placed_count - at) * sizeof *placed);
}

static struct replica_id self_of(const struct node *node, const struct node_partition *partition)
{
    return groups_self_in(node, &partition->initial);
}

static struct removed *find_removed(const struct node *node, struct group_id group)
{
    for (size_t i = 0; i < node->removed_count; i++)
        if (group_id_equal(node->removed[i].group, group))
            return &node->removed[i];
    return NULL;
}

bool placed_is_gone(const struct node *node, struct group_id group)
{
    return placed_is_dropped(node, group) ||
           (find_removed(node, group) && !node_is_placed(node, group));
}

/* NODE-9 */
static bool is_placed_here(const struct node *node, const struct node_partition *partition)
{
    const struct removed *removed = find_removed(node, partition->group);
    return self_of(node, partition).value > (removed ? removed->replica.value : 0);
}

/* ---- the note ---- */

static void put_u64(struct buffer *out, uint64_t value)
{
    uint8_t bytes[8];
    store_u64(bytes, value);
    (void)!buffer_append(out, bytes, sizeof bytes);
}

static void put_partition(struct buffer *out, const struct node_partition *partition)
{
    struct buffer bytes;
    uint8_t sync = (uint8_t)partition->sync;
    buffer_init(&bytes, 4096);
    raft_configuration_encode(&partition->initial, &bytes);
    put_u64(out, partition->group.value);
    (void)!buffer_append(out, &sync, 1);
    put_u64(out, bytes.size);
    (void)!buffer_append(out, bytes.at, bytes.size);
    buffer_deinit(&bytes);
}

void placed_encode(const struct node *node, struct buffer *out)
{
    uint8_t version = node->removed_count ? PLACED_REMOVED : PLACED_VERSION;
    uint64_t here = 0;
    (void)!buffer_append(out, &version, 1);
    put_u64(out, node->dropped_through.value);
    put_u64(out, node->dropped_count);
    for (size_t i = 0; i < node->dropped_count; i++)
        put_u64(out, node->dropped[i].value);
    for (size_t i = 0; i < node->placed_count; i++)
        here += node->placed[i].here;
    put_u64(out, here);
    for (size_t i = 0; i < node->placed_count; i++)
        if (node->placed[i].here)
            put_partition(out, &node->placed[i].partition);
    if (node->removed_count)
        put_u64(out, node->removed_count);
    for (size_t i = 0; i < node->removed_count; i++) {
        put_u64(out, node->removed[i].group.value);
        put_u64(out, node->removed[i].replica.value);
    }
}

static enum status take_u64(struct slice *from, uint64_t *value)
{
    struct slice bytes;
    enum status status = slice_take(from, 8, &bytes);
    if (!status)
        *value = load_u64(bytes.at);
    return status;
}

static enum status take_partition(struct slice *from, struct node_partition *out)
{
    struct slice sync, bytes;
    uint64_t size;
    memset(out, 0, sizeof *out);
    if (take_u64(from, &out->group.value) || slice_take(from, 1, &sync) || take_u64(from, &size) ||
        size > from->size || slice_take(from, size, &bytes))
        return STATUS_INVALID;
    if (sync.at[0] > WAL_SYNC_OS)
        return STATUS_INVALID;
    out->sync = (enum wal_sync)sync.at[0];
    return raft_configuration_decode(bytes, &out->initial);
}

static enum status take_dropped(struct node *node, struct slice *from)
{
    uint64_t count;
    if (take_u64(from, &node->dropped_through.value) || take_u64(from, &count) ||
        count > NODE_DROPPED_MAX || count > from->size / 8)
        return STATUS_INVALID;
    node->dropped = memory_resize(node->dropped, (count + 1) * sizeof *node->dropped);
    node->dropped_count = count;
    for (size_t i = 0; i < count; i++)
        if (take_u64(from, &node->dropped[i].value))
            return STATUS_INVALID;
    return STATUS_OK;
}

static void note_removed(struct node *node, struct group_id group, struct replica_id replica)
{
    struct removed *removed = find_removed(node, group);
    if (!removed) {
        node->removed =
            memory_resize(node->removed, (node->removed_count + 1) * sizeof *node->removed);
        removed = &node->removed[node->removed_count++];
        *removed = (struct removed){.group = group};
    }
    if (replica.value > removed->replica.value)
        removed->replica = replica;
}

static enum status take_removed(struct node *node, struct slice *from)
{
    uint64_t count, replica;
    struct group_id group;
    if (take_u64(from, &count) || count > from->size / 16)
        return STATUS_INVALID;
    for (uint64_t i = 0; i < count; i++) {
        if (take_u64(from, &group.value) || take_u64(from, &replica))
            return STATUS_INVALID;
        note_removed(node, group, (struct replica_id){replica});
    }
    return STATUS_OK;
}

/* ---- groups come and go ---- */

static void remove_group(struct node *node, struct group_id id)
{
    struct group *group = group_find(node, id);
    if (group)
        group_remove(node, group);
}

/* One that the formation gave this node, and that is no more: what its log says counts for nothing.
 */
static void end_first(struct node *node, struct group_id group)
{
    remove_group(node, group);
    if (group.value <= GROUP_DEFAULT.value)
        node->first_doubts[group.value] = STATUS_OK;
}

static void recover_removed(struct node *node)
{
    for (size_t i = 0; i < node->removed_count; i++)
        if (!placed_find(node, node->removed[i].group))
            end_first(node, node->removed[i].group);
}

/* A partition that the note before this one had and this one has not, was dropped. */
static void recover_gone(struct node *node)
{
    for (size_t i = 0; i < node->placed_count;)
        if (node->placed[i].here) {
            i++;
        } else {
            remove_group(node, node->placed[i].partition.group);
            erase(node, &node->placed[i]);
        }
}

/* The one that is here is the one that this note names: another of the same group was removed
 * before it came. */
static enum status recover_placed(struct node *node, const struct node_partition *partition)
{
    struct placed *placed = placed_find(node, partition->group);
    if (placed && !replica_id_equal(self_of(node, &placed->partition), self_of(node, partition))) {
        remove_group(node, partition->group);
        erase(node, placed);
        placed = NULL;
    }
    if (!placed)
        end_first(node, partition->group); /* another replica has come in its place */
    if (!placed && node->group_count == NODE_GROUPS_MAX)
        return STATUS_INVALID;
    if (!placed) {
        placed = insert(node, partition);
        placed->lives = true;
        (void)node_create_replica(node, partition);
    }
    placed->here = true;
    return STATUS_OK;
}

enum status placed_recover(struct node *node, struct slice bytes)
{
    struct slice version;
    struct node_partition partition;
    uint64_t count;
    enum status status = slice_take(&bytes, 1, &version);
    if (!status && version.at[0] != PLACED_VERSION && version.at[0] != PLACED_REMOVED)
        return STATUS_FOREIGN;
    if (status || !node->formed || take_dropped(node, &bytes) || take_u64(&bytes, &count) ||
        count > NODE_GROUPS_MAX)
        return STATUS_INVALID;
    for (size_t i = 0; i < node->placed_count; i++)
        node->placed[i].here = false;
    for (uint64_t i = 0; i < count; i++)
        if (take_partition(&bytes, &partition) || !self_of(node, &partition).value ||
            recover_placed(node, &partition))
            return STATUS_INVALID;
    recover_gone(node);
    if (version.at[0] == PLACED_REMOVED && take_removed(node, &bytes))
        return STATUS_INVALID;
    recover_removed(node);
    return bytes.size ? STATUS_INVALID : STATUS_OK;
}

/* A keyspace of a thousand partitions is one note, not a thousand that grow. */
void placed_save(struct node *node)
{
    struct buffer bytes;
    if (!node->placed_changed)
        return;
    node->placed_changed = false;
    buffer_init(&bytes, PLACED_SIZE_MAX);
    placed_encode(node, &bytes);
    struct wal_record record = {
        .kind = WAL_IDENTITY, .index = IDENTITY_PLACED, .payload = slice_of_buffer(&bytes)};
    wal_append(node->wal, &record, WAL_SYNC_ALWAYS);
    node->placed_ticket = wal_next_ticket(node->wal);
    buffer_deinit(&bytes);
}

static bool has_room(const struct node *node)
{
    return node->group_count + node->placed_waiting < NODE_GROUPS_MAX;
}

/* NODE-6: it is known here, but its replica is made when the note is durable. */
void node_add_partition(struct node *node, const struct node_partition *partition)
{
    struct placed *placed = placed_find(node, partition->group);
    bool formed_here = !placed && node_group(node, partition->group);
    if (formed_here || placed_is_dropped(node, partition->group))
        return;
    bool here = is_placed_here(node, partition) && node_owns(node, partition->group) &&
                !(placed && placed->here);
    if (here && !has_room(node))
        return; /* the catalogue counts them: it does not come to this */
    if (!placed && node->placed_count == NODE_PARTITIONS_MAX)
        return;
    if (!placed)
        placed = insert(node, partition);
    placed->partition.node_count = partition->node_count;
    memcpy(placed->partition.nodes, partition->nodes, sizeof placed->partition.nodes);
    if (!here)
        return;
    placed->partition = *partition;
    placed->here = true;
    node->placed_waiting++;
    node->placed_changed = true;
}

static void begin(struct node *node, struct placed *placed)
{
    const struct raft_configuration *initial = &placed->partition.initial;
    struct replica *replica = node_create_replica(node, &placed->partition);
    replica_start(replica, &node->turn, true);
    placed->lives = true;
    node->placed_waiting--;
    if (initial->member_count == 1 || initial->members[0].kind != RAFT_VOTER ||
        !node_id_equal(initial->members[0].node, node->formation.self))
        return;
    placed->campaign_ns = node->turn.now_ns + FIRST_CAMPAIGN_NS;
    if (placed->campaign_ns < node->next_campaign_ns)
        node->next_campaign_ns = placed->campaign_ns;
}

void placed_release(struct node *node)
{
    for (size_t i = 0; i < node->dropped_count; i++)
        wal_release(node->wal, node->dropped[i], UINT64_MAX);
    for (size_t i = 0; i < node->dropped_count; i++)
        snapshots_forget(node->snapshots.files, node->dropped[i]);
    for (size_t i = 0; i < node->removed_count; i++)
        if (!node_is_placed(node, node->removed[i].group))
            wal_release(node->wal, node->removed[i].group, UINT64_MAX);
    for (size_t i = 0; i < node->removed_count; i++)
        if (!node_is_placed(node, node->removed[i].group))
            snapshots_forget(node->snapshots.files, node->removed[i].group);
}

void placed_log_moved(struct node *node)
{
    if (!node->started || !node->placed_ticket || node->placed_changed ||
        wal_durable_ticket(node->wal) < node->placed_ticket)
        return;
    node->placed_ticket = 0;
    placed_release(node);
    for (size_t i = 0; i < node->placed_count; i++)
        if (node->placed[i].here && !node->placed[i].lives)
            begin(node, &node->placed[i]);
}

static void note_dropped(struct node *node, struct group_id group)
{
    if (node->dropped_count == NODE_DROPPED_MAX) { /* ids rise: the oldest stand for all below */
        if (node->dropped[0].value > node->dropped_through.value)
            node->dropped_through = node->dropped[0];
        memmove(node->dropped, node->dropped + 1, --node->dropped_count * sizeof *node->dropped);
    }
    node->dropped = memory_resize(node->dropped, (node->dropped_count + 1) * sizeof *node->dropped);
    size_t at = dropped_place(node, group);
    memmove(node->dropped + at + 1, node->dropped + at,
            (node->dropped_count++ - at) * sizeof *node->dropped);
    node->dropped[at] = group;
}

/* NODE-7: noted before anything else happens; a crash in between leaves the group, and the
 * catalogue says again that it is gone. */
void node_drop_partition(struct node *node, struct group_id group)
{
    struct placed *placed = placed_find(node, group);
    if (!placed)
        return;
    bool here = placed->here;
    node->placed_waiting -= here && !placed->lives;
    erase(node, placed);
    if (!here)
        return;
    remove_group(node, group);
    note_dropped(node, group);
    node->placed_changed = true;
}

/* NODE-9: as above; its log is let go with the note. One of the formation is noted by then, too. */
void node_remove_replica(struct node *node, struct group_id group)
{
    struct placed *placed = placed_find(node, group);
    struct replica *replica = node_group(node, group);
    if (!replica || (placed ? !placed->here : node->placed_count == NODE_PARTITIONS_MAX))
        return;
    if (!placed)
        placed = insert(node, &(struct node_partition){.group = group});
    replica_set_aside_rest(replica, &node->turn); /* LEDGER-1: ahead of the note, in the same log */
    note_removed(node, group, replica_self(replica));
    placed->here = placed->lives = false;
    placed->campaign_ns = 0;
    remove_group(node, group);
    node->placed_changed = true;
}

/* ---- time ---- */

void placed_tick(struct node *node)
{
    uint64_t now_ns = node->turn.now_ns;
    if (now_ns < node->next_campaign_ns)
        return;
    node->next_campaign_ns = UINT64_MAX;
    for (size_t i = 0; i < node->placed_count; i++) {
        struct placed *placed = &node->placed[i];
        if (placed->campaign_ns > now_ns && placed->campaign_ns < node->next_campaign_ns)
            node->next_campaign_ns = placed->campaign_ns;
        if (!placed->campaign_ns || now_ns < placed->campaign_ns)
            continue;
        struct replica *replica = node_group(node, placed->partition.group);
        placed->campaign_ns = 0;
        if (replica && !raft_view(replica_raft(replica))->leader.value)
            replica_campaign(replica, &node->turn);
    }
}

void placed_deinit(struct node *node)
{
    memory_free(node->placed);
    memory_free(node->dropped);
    memory_free(node->removed);
}
