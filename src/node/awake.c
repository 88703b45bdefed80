/* Which groups have something to do now, and when the others have. NODE-8 */
#include "node/inside.h"

#include <assert.h>

/* ---- the heap of deadlines ---- */

static void put(struct node *node, struct group *group, size_t place)
{
    node->due[place] = group;
    group->place = place;
}

static void sift_up(struct node *node, struct group *group)
{
    size_t place = group->place;
    while (place && node->due[(place - 1) / 2]->due_ns > group->due_ns) {
        put(node, node->due[(place - 1) / 2], place);
        place = (place - 1) / 2;
    }
    put(node, group, place);
}

static void sift_down(struct node *node, struct group *group, size_t count)
{
    size_t place = group->place, child;
    while ((child = 2 * place + 1) < count) {
        if (child + 1 < count && node->due[child + 1]->due_ns < node->due[child]->due_ns)
            child++;
        if (node->due[child]->due_ns >= group->due_ns)
            break;
        put(node, node->due[child], place);
        place = child;
    }
    put(node, group, place);
}

static void set_due(struct node *node, struct group *group, uint64_t due_ns)
{
    bool earlier = due_ns < group->due_ns;
    group->due_ns = due_ns;
    if (earlier)
        sift_up(node, group);
    else
        sift_down(node, group, node->group_count);
}

/* What stands at the top is moved to where it belongs, until the top is what is really next: else
 * the timer would wake the node for deadlines that have long moved away. */
static void settle_top(struct node *node)
{
    while (node->group_count) {
        struct group *group = node->due[0];
        uint64_t deadline_ns = replica_deadline_ns(group->replica);
        if (deadline_ns <= group->due_ns)
            return;
        set_due(node, group, deadline_ns);
    }
}

uint64_t awake_deadline_ns(const struct node *node)
{
    return node->group_count ? node->due[0]->due_ns : UINT64_MAX;
}

void awake_tick(struct node *node)
{
    uint64_t now_ns = node->turn.now_ns;
    while (node->group_count && node->due[0]->due_ns <= now_ns) {
        struct group *group = node->due[0];
        if (replica_deadline_ns(group->replica) <= now_ns) {
            awake_mark(node, group);
            replica_tick(group->replica, &node->turn);
        }
        uint64_t deadline_ns = replica_deadline_ns(group->replica);
        set_due(node, group, deadline_ns > now_ns ? deadline_ns : now_ns + 1);
    }
}

/* ---- awake, and at rest ---- */

void awake_mark(struct node *node, struct group *group)
{
    if (list_is_empty(&group->awake))
        list_append(&node->awake, &group->awake);
}

void awake_mark_leading(struct node *node)
{
    for (struct list *link = node->leading.next; link != &node->leading; link = link->next)
        awake_mark(node, list_item(link, struct group, leading));
}

/* Called once group_count has it. */
void awake_add(struct node *node, struct group *group)
{
    list_append(&node->awake, &group->awake);
    list_init(&group->leading);
    group->due_ns = 0;
    group->place = node->group_count - 1;
    sift_up(node, group);
}

/* Called while group_count still has it. */
void awake_remove(struct node *node, struct group *group)
{
    struct group *last = node->due[node->group_count - 1];
    list_remove(&group->awake);
    list_remove(&group->leading);
    if (last == group)
        return;
    put(node, last, group->place);
    sift_up(node, last);
    sift_down(node, last, node->group_count - 1);
}

void awake_note_leading(struct node *node)
{
    for (struct list *link = node->awake.next; link != &node->awake; link = link->next) {
        struct group *group = list_item(link, struct group, awake);
        bool leads = raft_view(replica_raft(group->replica))->role == RAFT_LEADER;
        if (leads && list_is_empty(&group->leading))
            list_append(&node->leading, &group->leading);
        else if (!leads)
            list_remove(&group->leading);
    }
}

void awake_rest(struct node *node)
{
    node->awake_count = 0;
    awake_note_leading(node);
    for (struct list *link = node->awake.next; link != &node->awake;) {
        struct group *group = list_item(link, struct group, awake);
        uint64_t deadline_ns = replica_deadline_ns(group->replica);
        link = link->next;
        node->awake_count++;
        if (deadline_ns < group->due_ns)
            set_due(node, group, deadline_ns);
        if (replica_may_rest(group->replica))
            list_remove(&group->awake);
    }
    node->stirred |= node->awake_count > 0;
    settle_top(node);
}

void awake_validate(const struct node *node)
{
    for (size_t i = 0; i < node->group_count; i++) {
        const struct group *group = node->due[i];
        bool rests = list_is_empty(&group->awake);
        assert(group->place == i);
        assert(!i || node->due[(i - 1) / 2]->due_ns <= group->due_ns);
        /* NODE-8: nobody who rests has anything to do, or is due earlier than he is looked at */
        assert(!rests || replica_may_rest(group->replica));
        assert(!rests || replica_deadline_ns(group->replica) >= group->due_ns);
    }
}
