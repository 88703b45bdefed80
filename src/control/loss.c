/* loss.c - what nodes tell `system` of losses (R10).
 *
 * Records, under keys that each have one writer:
 *   loss:GROUP-TERM         a leader was elected after that of TERM, under FAILOVER available:
 * until that one's node is back, nobody knows what it had answered loss:GROUP-TERM-nNODE   what
 * NODE has set aside of TERM loss:GROUP-TERM-rNODE   NODE is back; TERM was the last of its log, or
 * led by it, and all that it had of it is decided, in the term that is named loss:GROUP-TERM-s NODE
 * led in TERM, say those who followed it loss:GROUP-TERM-p       proposed again by an operator
 * (replay.c) loss:GROUP-TERM-d       discarded by one (losses.c) */
#include "control/inside.h"

#include "replica/ledger/ledger.h"

#include <jansson.h>

#include <stdio.h>

static bool report(struct control *control, const char *key, json_t *root)
{
    char text[CONTROL_REPORT_TEXT_MAX];
    size_t size = json_dumpb(root, text, sizeof text, JSON_COMPACT);
    json_decref(root);
    return size > 0 && size < sizeof text && control_report(control, key, slice_of(text, size));
}

static bool is_available(const struct control_keyspace *keyspace)
{
    return keyspace->contract.failover == CLUSTER_FAILOVER_AVAILABLE ||
           (keyspace->changing && keyspace->before.failover == CLUSTER_FAILOVER_AVAILABLE);
}

static void key_of(char key[CONTROL_REPORT_KEY_SIZE], struct group_id group, uint64_t term,
                   const char *kind, uint64_t node)
{
    int size = snprintf(key, CONTROL_REPORT_KEY_SIZE, "loss:%llu-%llu",
                        (unsigned long long)group.value, (unsigned long long)term);
    if (kind[0])
        snprintf(key + size, CONTROL_REPORT_KEY_SIZE - (size_t)size, "-%s%llu", kind,
                 (unsigned long long)node);
}

/* Of the cluster, not of one node: who says so says the same. */
static void key_of_one(char key[CONTROL_REPORT_KEY_SIZE], struct group_id group, uint64_t term,
                       const char *kind)
{
    snprintf(key, CONTROL_REPORT_KEY_SIZE, "loss:%llu-%llu-%s", (unsigned long long)group.value,
             (unsigned long long)term, kind);
}

static bool report_note(struct control *control, const struct ledger_note *note)
{
    char key[CONTROL_REPORT_KEY_SIZE];
    uint64_t self = node_formation(control->node)->self.value;
    const struct control_keyspace *keyspace =
        catalogue_find_keyspace(&control->catalogue, note->group);
    if (!keyspace)
        return false; /* the catalogue is older, as while a start replays it: ask again later */
    if (!is_available(keyspace))
        return true; /* nothing is answered there before its commit */
    if (note->kind == LEDGER_LED) {
        key_of(key, note->group, note->old_term, "", 0);
        return report(control, key,
                      json_pack("{s:i,s:I,s:I,s:I}", "version", 1, "node",
                                (json_int_t)note->node.value, "by", (json_int_t)self, "term",
                                (json_int_t)note->term));
    }
    if (note->kind == LEDGER_SEEN) {
        key_of_one(key, note->group, note->old_term, "s");
        return report(control, key,
                      json_pack("{s:i,s:I}", "version", 1, "node", (json_int_t)note->node.value));
    }
    key_of(key, note->group, note->old_term, "r", self);
    return report(control, key,
                  json_pack("{s:i,s:I,s:I,s:b,s:b,s:b}", "version", 1, "node", (json_int_t)self,
                            "term", (json_int_t)note->term, "restarted", (int)note->restarted,
                            "may_lack", (int)note->may_lack, "led", (int)note->led));
}

/* What it counts may be in the group's log after all. LEDGER-4 */
static bool is_undecided(const struct ledger_cut *cut)
{
    return !cut->decided && ledger_verdicts(cut, LEDGER_RESTORED) < cut->count;
}

static bool report_cut(struct control *control, const struct ledger_cut *cut)
{
    char key[CONTROL_REPORT_KEY_SIZE];
    uint64_t self = node_formation(control->node)->self.value;
    key_of(key, cut->group, cut->term, "n", self);
    uint64_t first = cut->count ? cut->items[0].index : 0;
    uint64_t last = cut->count ? cut->items[cut->count - 1].index : 0;
    return report(control, key,
                  json_pack("{s:i,s:I,s:I,s:I,s:I,s:I,s:I,s:b,s:b}", "version", 1, "node",
                            (json_int_t)self, "first", (json_int_t)first, "last", (json_int_t)last,
                            "acknowledged", (json_int_t)ledger_verdicts(cut, LEDGER_ACKNOWLEDGED),
                            "not", (json_int_t)ledger_verdicts(cut, LEDGER_NOT), "possibly",
                            (json_int_t)ledger_verdicts(cut, LEDGER_POSSIBLY), "discarded",
                            (int)cut->discarded, "undecided", (int)is_undecided(cut)));
}

/* What cannot be reported now, for want of room, is at a later tick. Cuts come before what may say
 * that there are no more of them. */
void loss_tick(struct control *control)
{
    struct ledger *ledger = node_ledger(control->node);
    const struct ledger_note *note;
    const struct ledger_cut *cut;
    if (!control->has_catalogue)
        return;
    while ((cut = ledger_unreported(ledger)) != NULL && report_cut(control, cut))
        ledger_set_reported(ledger, cut->group, cut->term);
    while (!cut && (note = ledger_first_note(ledger)) != NULL && report_note(control, note))
        ledger_drop_note(ledger);
}
