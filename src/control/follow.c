/* Keeping the catalogue, and the groups that it places here. A node with a replica of `system`
 * looks at what is committed there; who wants to be sure, and a node without one, asks the leader.
 */
#include "control/inside.h"

#include "base/memory.h"

#include <assert.h>

#define ASK_EVERY_NS   (1000 * 1000000ull) /* a node without a replica of `system` */
#define ASK_AGAIN_NS   (20 * 1000000ull)   /* while somebody waits and no leader is known */
#define ASK_TIMEOUT_NS (300 * 1000000ull)
#define REFUSALS_MAX   4          /* in a row, of whom is taken for the leader */
#define ANSWER_MAX     (1u << 20) /* items */

/* ---- what the catalogue asks of this node ---- */

/* Everybody whom the group may have by now, as voters, and `self` as a learner: with this a replica
 * begins that joins its group later. Who votes it learns from the log. */
static void begin_as_learner(const struct control_partition *partition, struct node_id node,
                             struct replica_id self, struct raft_configuration *out)
{
    const struct raft_configuration *all[] = {&partition->initial, &partition->wanted,
                                              &partition->before};
    *out = (struct raft_configuration){.member_count = 1};
    out->members[0] = (struct raft_member){.replica = self, .node = node, .kind = RAFT_LEARNER};
    for (size_t h = 0; h < 3; h++)
        for (size_t i = 0; i < all[h]->member_count; i++) {
            struct raft_member member = all[h]->members[i];
            if (member.kind != RAFT_VOTER || node_id_equal(member.node, node) ||
                raft_find_member(out, member.replica) || out->member_count == RAFT_MEMBERS_MAX)
                continue;
            out->members[out->member_count++] = member;
        }
    uint32_t voters = (uint32_t)out->member_count - 1;
    if (!voters)
        out->member_count = 0; /* there is nobody whom it could learn from */
    out->commit_quorum = out->election_quorum = voters / 2 + 1;
}

/* With what the replica begins that belongs on this node; no members: none does. */
static void first_configuration(const struct control_partition *partition, struct node_id self,
                                struct raft_configuration *out)
{
    struct replica_id born = raft_replica_on(&partition->initial, self);
    struct replica_id wanted = raft_replica_on(&partition->wanted, self);
    bool open = partition->settled < partition->change;
    *out = (struct raft_configuration){.member_count = 0};
    if (wanted.value && wanted.value != born.value && !partition_has_lost(partition, wanted))
        begin_as_learner(partition, self, wanted, out);
    else if (born.value && !partition_has_lost(partition, born) &&
             (!partition->change || open || wanted.value))
        *out = partition->initial;
}

/* The change is done and does without the replica that is here (R5); or it was done, and the next
 * one names another replica of this node. An old view knows nothing of a replica that came later.
 */
static bool is_left_over(struct control *control, const struct control_partition *partition)
{
    const struct replica *replica = node_group(control->node, partition->group);
    if (!replica || !partition->change ||
        replica_self(replica).value >= partition->next_replica.value ||
        raft_find_member(&partition->wanted, replica_self(replica)))
        return false;
    struct node_id self = node_formation(control->node)->self;
    return partition->settled == partition->change ||
           raft_replica_on(&partition->wanted, self).value > replica_self(replica).value;
}

/* CONTROL-6: a partition that is not in the catalogue says nothing; an old view of the catalogue,
 * as it is applied anew after a start, ends no group. */
static void follow_partition(struct control *control, const struct control_partition *partition)
{
    const struct control_keyspace *keyspace =
        catalogue_find_id(&control->catalogue, partition->keyspace);
    const struct raft_configuration *wanted = partition_wanted(partition);
    if (partition->dropped && partition->group.value > GROUP_DEFAULT.value) {
        node_drop_partition(control->node, partition->group);
        return;
    }
    if (!keyspace || !wanted->member_count)
        return;
    if (is_left_over(control, partition))
        node_remove_replica(control->node, partition->group);
    struct node_partition placed = {
        .group = partition->group,
        .sync = (enum wal_sync)(wanted_sync(&keyspace->contract) - 1), /* if it begins here now */
        .node_count = wanted->member_count};
    for (size_t i = 0; i < wanted->member_count; i++)
        placed.nodes[i] = wanted->members[i].node;
    first_configuration(partition, node_formation(control->node)->self, &placed.initial);
    node_add_partition(control->node, &placed);
}

/* The nodes that have joined since this one formed or joined. */
/* Somebody joined at the address of one that was removed. */
static bool is_displaced(const struct control_catalogue *catalogue,
                         const struct node_member *member)
{
    for (size_t i = 0; i < catalogue->node_count; i++) {
        const struct control_node *other = &catalogue->members[i];
        if (other->duty != CONTROL_DUTY_REMOVED &&
            strcmp(other->member.peer_address, member->peer_address) == 0)
            return true;
    }
    return false;
}

static void follow_members(struct control *control)
{
    const struct control_catalogue *catalogue = &control->catalogue;
    for (size_t i = 0; i < catalogue->node_count; i++) {
        const struct node_member *member = &catalogue->members[i].member;
        if (catalogue->members[i].duty != CONTROL_DUTY_REMOVED)
            continue;
        node_forget_member(control->node, member->id);
        if (is_displaced(catalogue, member))
            node_unlink_member(control->node, member->id);
    }
    for (size_t i = 0; i < catalogue->node_count; i++)
        if (catalogue->members[i].duty != CONTROL_DUTY_REMOVED)
            node_add_member(control->node, &catalogue->members[i].member);
}

/* A growth concerns the node whose join began it until it is done, and each other until its own
 * replica has its place. */
static bool is_unfinished(const struct control *control, const struct control_partition *partition)
{
    struct node_id self = node_formation(control->node)->self;
    struct replica_id wanted = raft_replica_on(&partition->wanted, self);
    if (partition->dropped || partition->settled == partition->change)
        return false;
    struct replica *replica = node_group(control->node, partition->group);
    return node_id_equal(partition->joiner, self) || (wanted.value && !replica);
}

/* CONTROL-18: it has no replica and gets none. A process that hears of it goes on handing requests
 * on, until it is stopped; the next one does not begin. */
static bool is_removed(const struct control *control)
{
    const struct control_node *self =
        catalogue_find_node(&control->catalogue, node_formation(control->node)->self);
    return self && self->duty == CONTROL_DUTY_REMOVED;
}

const char *control_unready(const struct control *control)
{
    const struct control_catalogue *catalogue = &control->catalogue;
    if (!control->has_catalogue)
        return "the catalogue is not known here yet";
    if (!catalogue_find_node(catalogue, node_formation(control->node)->self))
        return "the catalogue that is known here is older than this node";
    if (is_removed(control))
        return "this node was removed from the cluster; it hands requests on until it is stopped";
    if (!readmit_is_over(control))
        return "its log was damaged; it waits for the cluster to take this node back";
    for (size_t i = 0; i < catalogue->partition_count; i++)
        if (is_unfinished(control, &catalogue->partitions[i]))
            return "the cluster grows with this node and is not done yet";
    return NULL;
}

static void follow_partitions(struct control *control)
{
    bool counts = readmit_is_over(control); /* CONTROL-14 */
    for (size_t i = 0; counts && i < control->catalogue.partition_count; i++)
        follow_partition(control, &control->catalogue.partitions[i]);
}

/* A replica comes to life a moment after it was placed (NODE-6), and by then the catalogue may do
 * without it. */
static void look_at_newcomers(struct control *control)
{
    size_t count = node_group_count(control->node);
    if (!control->has_catalogue || count == control->groups_seen)
        return;
    control->groups_seen = count;
    follow_partitions(control);
}

/* Takes `catalogue` over if it is newer than what is known. */
static void adopt(struct control *control, struct control_catalogue *catalogue)
{
    if (control->has_catalogue && catalogue->epoch <= control->catalogue.epoch) {
        catalogue_deinit(catalogue);
        return;
    }
    bool first = !control->has_catalogue;
    events_compare(control, catalogue);
    catalogue_deinit(&control->catalogue);
    control->catalogue = *catalogue;
    control->has_catalogue = catalogue->keyspace_count > 0;
    if (first && is_removed(control))
        formation_fail(control,
                       "node %llu was removed from cluster %016llx for good: an empty --dir joins "
                       "as a new node",
                       (unsigned long long)node_formation(control->node)->self.value,
                       (unsigned long long)node_formation(control->node)->cluster.high);
    node_set_level(control->node, control->catalogue.level);
    follow_members(control);
    control->has_changes = false;
    for (size_t i = 0; i < catalogue->partition_count; i++)
        control->has_changes |= !catalogue->partitions[i].dropped &&
                                catalogue->partitions[i].settled < catalogue->partitions[i].change;
    follow_partitions(control);
}

/* ---- a replica of `system` is here ---- */

/* Reports change the store and not the catalogue: thousands of partitions are not read anew for
 * each. `counters` is that record's text. */
static bool has_news(const struct control *control, struct slice counters)
{
    struct control_catalogue read = {0};
    return !control->has_catalogue ||
           (record_read_counters(counters, &read) && read.epoch > control->catalogue.epoch);
}

static struct slice counters_of(struct store *store)
{
    struct store_key key = store_key_of(0, slice_of_text("counters"));
    struct store_entry *entry = store_find(store, &key);
    bool text = entry && store_entry_type(entry) == STORE_STRING;
    return text ? store_entry_string(entry) : slice_of_text("");
}

/* A leader executes before the commit: its store counts only while nothing in it is uncommitted. */
static bool look_here(struct control *control, struct replica *replica)
{
    uint64_t executed = replica_executed(replica);
    if (executed > raft_view(replica_raft(replica))->commit)
        return false;
    if (executed == control->seen_executed)
        return true;
    control->seen_executed = executed;
    if (!has_news(control, counters_of(replica_store(replica))))
        return true;
    struct control_catalogue catalogue;
    catalogue_init(&catalogue);
    catalogue_read_store(&catalogue, replica_store(replica));
    adopt(control, &catalogue);
    return true;
}

/* The leader itself is sure as long as its lease holds (R11). */
static bool is_sure_here(struct control *control, struct replica *replica)
{
    return replica && replica_is_serving(replica) &&
           raft_lease_is_valid(replica_raft(replica), io_now_ns(control->io)) &&
           look_here(control, replica);
}

/* ---- asking the leader ---- */

static bool is_reachable(const struct control *control, struct node_id node)
{
    struct peer_set *peers = node_peers(control->node);
    return node.value && !node_id_equal(node, node_formation(control->node)->self) &&
           peer_is_up(peers, peer_of(peers, node, GROUP_SYSTEM), WIRE_LINK_DATA);
}

/* A replica here that nobody leads knows no leader: then whom somebody who was asked has named, and
 * else one member after the other. So does, every other time, a node that was refused again and
 * again: who refuses may know as little, and two such nodes name each other. */
static struct peer_id whom_to_ask(struct control *control)
{
    const struct node_formation *formation = node_formation(control->node);
    struct peer_id leader = node_leader_elsewhere(control->node, GROUP_SYSTEM);
    bool asks_around = control->refusals >= REFUSALS_MAX && control->refusals % 2;
    if (!asks_around && (leader.node.value || !node_group(control->node, GROUP_SYSTEM)))
        return leader;
    struct node_id found = asks_around ? (struct node_id){0} : control->named_leader;
    for (size_t i = 0; !is_reachable(control, found) && i < formation->member_count; i++)
        found = formation->members[control->next_member++ % formation->member_count].id;
    return is_reachable(control, found) ? peer_of(node_peers(control->node), found, GROUP_SYSTEM)
                                        : (struct peer_id){0};
}

static bool send_question(struct control *control, uint64_t now_ns)
{
    struct slice words[] = {slice_of_text("KEYSPACE"), slice_of_text("RECORDS")};
    struct question question = {.session = QUESTION_SESSION(QUESTION_CATALOGUE),
                                .epoch = control->ask_epoch + 1,
                                .words = words,
                                .count = 2};
    if (!question_send(control, whom_to_ask(control), &question))
        return false;
    control->ask_epoch++;
    control->is_asking = true;
    control->asked++;
    control->asked_ns = now_ns;
    return true;
}

uint64_t control_ask(struct control *control)
{
    if (control->wanted <= control->asked)
        control->wanted = control->asked + 1; /* what is under way may have been answered before */
    if (node_is_started(control->node) &&
        is_sure_here(control, node_group(control->node, GROUP_SYSTEM)))
        control->asked = control->answered = control->wanted;
    return control->wanted;
}

void control_look_again(struct control *control)
{
    control->next_ask_ns = control->retry_ns = 0;
}

bool control_is_confirmed(const struct control *control, uint64_t ticket)
{
    return control->answered >= ticket; /* CONTROL-7 */
}

struct pair {
    struct resp_item key, text;
};

/* False: not the records. */
static bool take_pair(struct slice *pairs, struct pair *out)
{
    return !resp_item_take(pairs, &out->key) && !resp_item_take(pairs, &out->text);
}

/* The same; *counters may stay empty. */
static bool find_counters(struct slice pairs, int64_t count, struct slice *counters)
{
    struct pair pair;
    *counters = slice_of_text("");
    for (int64_t i = 0; i + 1 < count; i += 2) {
        if (!take_pair(&pairs, &pair))
            return false;
        if (slice_equal(pair.key.bytes, slice_of_text("counters")))
            *counters = pair.text.bytes;
    }
    return true;
}

/* False: not the records. What is older than the catalogue here, or the same, is not read. */
static bool read_answer(const struct control *control, struct slice reply,
                        struct control_catalogue *catalogue)
{
    struct resp_item item;
    struct slice counters;
    if (resp_item_take(&reply, &item) || item.type != '*' || item.integer < 0 ||
        item.integer > ANSWER_MAX || !find_counters(reply, item.integer, &counters))
        return false;
    if (!has_news(control, counters))
        return true;
    for (int64_t i = 0; i + 1 < item.integer; i += 2) {
        struct pair pair;
        bool good = take_pair(&reply, &pair);
        assert(good); /* find_counters has been there */
        catalogue_add(catalogue, pair.key.bytes, pair.text.bytes);
    }
    catalogue_finish(catalogue);
    return true;
}

bool control_handle_peer(struct control *control, const struct peer_happening *happening)
{
    const struct wire_forward_reply *reply = &happening->message.forward_reply;
    if (happening->kind != PEER_MESSAGE || happening->message.kind != WIRE_FORWARD_REPLY)
        return false;
    if (reply->session != QUESTION_SESSION(QUESTION_CATALOGUE))
        return report_handle_peer(control, reply) || gather_handle_peer(control, reply) ||
               replay_handle_peer(control, reply) || restored_handle_peer(control, reply) ||
               gossip_handle_peer(control, reply) || survey_handle_peer(control, happening);
    if (!control->is_asking || reply->epoch != control->ask_epoch)
        return true; /* it came too late */
    control->is_asking = false;
    control->named_leader = (struct node_id){0};
    control->refusals = reply->outcome == WIRE_OUTCOME_REFUSED ? control->refusals + 1 : 0;
    if (reply->outcome == WIRE_OUTCOME_REFUSED) {
        node_hint_leader(control->node, GROUP_SYSTEM, reply->leader);
        control->named_leader = reply->leader;
    }
    struct control_catalogue catalogue;
    catalogue_init(&catalogue);
    if (reply->outcome == WIRE_OUTCOME_DONE && read_answer(control, reply->reply, &catalogue)) {
        adopt(control, &catalogue);
        control->answered = control->asked;
        control->next_ask_ns = node_turn(control->node)->now_ns + ASK_EVERY_NS;
    } else {
        catalogue_deinit(&catalogue);
        control->retry_ns = node_turn(control->node)->now_ns + ASK_AGAIN_NS;
    }
    return true;
}

/* ---- time ---- */

/* Somebody waits for an answer to a question that was asked after he came. */
static bool is_waited_for(const struct control *control)
{
    return control->answered < control->wanted;
}

/* What `system` has become is not heard by a replica of it here: there is none, its group has let
 * go of it, or nobody leads it, and it may be the only one that does not know why. */
static bool is_out_of_touch(const struct replica *replica)
{
    return !replica || !replica_leader_node(replica).value ||
           !raft_find_member(raft_configuration(replica_raft(replica)), replica_self(replica));
}

static uint64_t next_question_ns(const struct control *control)
{
    bool regular = is_out_of_touch(node_group(control->node, GROUP_SYSTEM));
    if (is_waited_for(control))
        return control->retry_ns;
    if (!regular)
        return UINT64_MAX;
    return control->next_ask_ns > control->retry_ns ? control->next_ask_ns : control->retry_ns;
}

void follow_tick(struct control *control)
{
    uint64_t now_ns = node_turn(control->node)->now_ns;
    struct replica *replica = node_group(control->node, GROUP_SYSTEM);
    if (replica)
        (void)look_here(control, replica);
    look_at_newcomers(control);
    if (control->is_asking && now_ns >= control->asked_ns + ASK_TIMEOUT_NS)
        control->is_asking = false;
    if (control->is_asking || now_ns < next_question_ns(control))
        return;
    if (is_sure_here(control, replica))
        control->asked = control->answered = control->wanted;
    else if (!send_question(control, now_ns))
        control->retry_ns = now_ns + ASK_AGAIN_NS;
}

uint64_t follow_deadline_ns(const struct control *control)
{
    return control->is_asking ? control->asked_ns + ASK_TIMEOUT_NS : next_question_ns(control);
}

const struct control_catalogue *control_catalogue(const struct control *control)
{
    return &control->catalogue;
}
