/* clocks.c - wall clocks of the voters: only compared, never trusted (R12). */
#include "raft/state.h"

static uint64_t absolute_difference(int64_t a, int64_t b)
{
    return a > b ? (uint64_t)a - (uint64_t)b : (uint64_t)b - (uint64_t)a;
}

static bool is_more_advanced(const struct peer *a, const struct peer *b)
{
    return a->last_term != b->last_term ? a->last_term > b->last_term
                                        : a->last_index > b->last_index;
}

/* Clocks that are near this one, of those who answered and our own. */
static size_t count_near(const struct raft *raft, int64_t offset_us, int64_t own_us)
{
    size_t count = absolute_difference(offset_us, own_us) <= raft->options.max_skew_us;
    for (size_t i = 0; i < raft->peer_count; i++) {
        const struct peer *peer = &raft->peers[i];
        if (peer->clock_answered && peer != &raft->peers[raft->self_place])
            count +=
                absolute_difference(peer->clock_offset_us, offset_us) <= raft->options.max_skew_us;
    }
    return count;
}

/* R12: a node whose clock is further off than max_skew_us from more voters than agree with it does
 * not campaign. Strictly more: two pairs that differ would otherwise wait for each other for ever.
 * The most advanced of them, or NULL. */
struct peer *raft_find_better_clock(struct raft *raft)
{
    int64_t own = raft->wall_us - (int64_t)(raft->now_ns / 1000);
    struct peer *best = NULL;
    if (!raft->options.max_skew_us)
        return NULL;
    size_t with_own = count_near(raft, own, own);
    for (size_t i = 0; i < raft->peer_count; i++) {
        struct peer *peer = &raft->peers[i];
        bool off = peer->clock_answered &&
                   absolute_difference(peer->clock_offset_us, own) > raft->options.max_skew_us;
        if (off && count_near(raft, peer->clock_offset_us, own) > with_own &&
            (!best || is_more_advanced(peer, best)))
            best = peer;
    }
    return best;
}

void raft_note_clock(struct raft *raft, struct peer *peer, int64_t wall_us)
{
    if (wall_us == 0)
        return;
    peer->clock_known = true;
    peer->clock_offset_us = (int64_t)((uint64_t)wall_us - raft->now_ns / 1000);
}

int64_t raft_median_wall_us(const struct raft *raft, uint64_t now_ns, int64_t own_wall_us)
{
    int64_t clocks[RAFT_MEMBERS_MAX + 1];
    size_t count = 0;
    for (size_t i = 0; i < raft->peer_count; i++) {
        const struct peer *peer = &raft->peers[i];
        bool own = i == raft->self_place;
        if (!raft_is_voter(raft, i) || !(own || peer->clock_known))
            continue;
        int64_t clock =
            own ? own_wall_us : (int64_t)((uint64_t)peer->clock_offset_us + now_ns / 1000);
        size_t at = count++;
        for (; at > 0 && clocks[at - 1] > clock; at--)
            clocks[at] = clocks[at - 1];
        clocks[at] = clock;
    }
    return count ? clocks[(count - 1) / 2] : own_wall_us;
}
