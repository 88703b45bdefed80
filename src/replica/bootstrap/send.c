/* send.c - a snapshot to a replica whose next entry is gone. The receiver asks for chunks by
 * number, a few ahead, so a link that broke or a source that changed costs one chunk. Little waits
 * on the link at any time: entries go along it, too. */
#include "replica/bootstrap/bootstrap.h"

#define PART_SIZE   ((size_t)256 << 10)
#define WAITING_MAX ((size_t)512 << 10) /* on the link before the next part */
#define SILENCE_NS  (10 * 1000000000ull)
#define PACE_PART   3
#define PAUSE_NS    50000u
#define PAUSE_MAX_NS                                                                               \
    100000000u /* a process that was stopped in between says nothing of what a part costs */

void bootstrap_end_sending(struct bootstrap *bootstrap)
{
    snapshot_reader_close(bootstrap->sending.reader);
    buffer_deinit(&bootstrap->sending.outline);
    bootstrap->sending = (struct bootstrap_sending){.reader = NULL};
}

static struct wire_snapshot answer_to(const struct wire_snapshot *ask)
{
    return (struct wire_snapshot){.group = ask->group,
                                  .from = ask->to,
                                  .to = ask->from,
                                  .index = ask->index,
                                  .term = ask->term};
}

static void say(struct replica_turn *turn, struct peer_id to, enum wire_kind kind,
                const struct wire_snapshot *message)
{
    struct wire_frame *frame = peer_frame(turn->peers, to, WIRE_LINK_DATA);
    if (frame)
        wire_add_snapshot(frame, kind, message);
}

/* ---- what is asked for ---- */

static const struct snapshot *find(struct replica_turn *turn, const struct wire_snapshot *ask)
{
    const struct snapshot *newer, *older;
    snapshots_newest_two(turn->snapshots->files, ask->group, &newer, &older);
    if (!ask->term)
        return newer && newer->meta.index >= ask->index ? newer : NULL;
    if (newer && newer->meta.index == ask->index && newer->meta.term == ask->term)
        return newer;
    return older && older->meta.index == ask->index && older->meta.term == ask->term ? older : NULL;
}

/* True: its reader is open for this receiver. */
static bool open_for(struct bootstrap *bootstrap, struct replica_turn *turn, struct peer_id from,
                     const struct wire_snapshot *ask)
{
    char why[SNAPSHOT_WHY_SIZE];
    struct bootstrap_sending *sending = &bootstrap->sending;
    bootstrap_end_sending(bootstrap);
    const struct snapshot *snapshot = find(turn, ask);
    struct wire_snapshot none = answer_to(ask);
    if (!snapshot) {
        say(turn, from, WIRE_SNAPSHOT_NONE, &none);
        return false;
    }
    if (snapshot_reader_open(turn->snapshots->files, snapshot, &sending->reader, why))
        return false; /* too many are read: it asks again */
    sending->self = ask->to;
    sending->to = ask->from;
    sending->peer = from;
    return true;
}

static void send_header(const struct bootstrap_sending *sending, struct replica_turn *turn,
                        const struct wire_snapshot *ask)
{
    const struct snapshot *snapshot = snapshot_reader_of(sending->reader);
    struct wire_snapshot header = answer_to(ask);
    header.index = snapshot->meta.index;
    header.term = snapshot->meta.term;
    header.count = snapshot->count;
    header.keys = snapshot->keys;
    header.content = snapshot->content;
    header.bytes = snapshot->header;
    say(turn, sending->peer, WIRE_SNAPSHOT_HEADER, &header);
}

static void begin_outline(struct bootstrap_sending *sending)
{
    buffer_deinit(&sending->outline);
    buffer_init(&sending->outline, SIZE_MAX);
    snapshot_outline_store(snapshot_reader_of(sending->reader), &sending->outline);
    sending->next = sending->through = 0;
    sending->offset = 0;
}

void bootstrap_hear_ask(struct bootstrap *bootstrap, struct replica_turn *turn, struct peer_id from,
                        const struct wire_snapshot *ask)
{
    struct bootstrap_sending *sending = &bootstrap->sending;
    bool same = sending->reader && replica_id_equal(sending->to, ask->from);
    if (sending->reader && !same && turn->now_ns < sending->asked_ns + SILENCE_NS)
        return; /* one after the other */
    const struct snapshot_meta *meta = same ? &snapshot_reader_of(sending->reader)->meta : NULL;
    bool fits = meta && ask->term == meta->term && ask->index == meta->index;
    if (!fits && !open_for(bootstrap, turn, from, ask))
        return;
    sending->asked_ns = turn->now_ns;
    sending->peer = from;
    if (!ask->term) {
        send_header(sending, turn, ask);
        return;
    }
    if (ask->chunk == WIRE_SNAPSHOT_OUTLINE) {
        begin_outline(sending);
        return;
    }
    buffer_deinit(&sending->outline);
    if (ask->again || !fits) {
        sending->next = ask->chunk;
        sending->offset = 0;
    }
    sending->through = ask->chunk + (ask->count < 16 ? ask->count : 16);
}

/* ---- parts ---- */

/* The bytes of the chunk under way; false: not yet, or it came to an end. */
static bool has_chunk(struct bootstrap *bootstrap, struct slice *bytes)
{
    char why[SNAPSHOT_WHY_SIZE] = "";
    struct bootstrap_sending *sending = &bootstrap->sending;
    enum status status = STATUS_AGAIN;
    if (sending->is_read)
        status = snapshot_read_result(sending->reader, bytes, why);
    if (sending->is_read && status == STATUS_AGAIN)
        return false;
    if (status &&
        status != STATUS_AGAIN) { /* named by its directory; the receiver goes elsewhere */
        bootstrap_end_sending(bootstrap);
        return false;
    }
    if (status == STATUS_OK && sending->chunk == sending->next)
        return true;
    sending->chunk = sending->next;
    sending->is_read = true;
    snapshot_read_start(sending->reader, sending->chunk);
    return false;
}

static bool has_bytes(struct bootstrap *bootstrap, struct slice *bytes)
{
    struct bootstrap_sending *sending = &bootstrap->sending;
    uint32_t count = snapshot_reader_of(sending->reader)->count;
    if (!sending->outline.size)
        return sending->next < sending->through && sending->next < count &&
               has_chunk(bootstrap, bytes);
    *bytes = slice_of_buffer(&sending->outline);
    return true;
}

static void send_part(struct bootstrap_sending *sending, struct replica_turn *turn,
                      struct slice bytes)
{
    const struct snapshot *snapshot = snapshot_reader_of(sending->reader);
    size_t left = bytes.size - sending->offset;
    bool is_outline = sending->outline.size > 0;
    struct wire_snapshot part = {.group = snapshot->meta.group,
                                 .from = sending->self,
                                 .to = sending->to,
                                 .index = snapshot->meta.index,
                                 .term = snapshot->meta.term,
                                 .chunk = is_outline ? WIRE_SNAPSHOT_OUTLINE : sending->chunk,
                                 .offset = sending->offset,
                                 .size = bytes.size};
    part.bytes = slice_of(bytes.at + sending->offset, left < PART_SIZE ? left : PART_SIZE);
    say(turn, sending->peer, WIRE_SNAPSHOT_PART, &part);
    sending->offset += part.bytes.size;
    if (sending->offset < bytes.size)
        return;
    sending->next += !is_outline;
    sending->offset = 0;
    buffer_deinit(&sending->outline);
}

void bootstrap_send(struct bootstrap *bootstrap, struct replica_turn *turn)
{
    struct slice bytes;
    struct bootstrap_sending *sending = &bootstrap->sending;
    if (!sending->reader)
        return;
    bool is_up = peer_is_up(turn->peers, sending->peer, WIRE_LINK_DATA);
    if (!is_up || turn->now_ns > sending->asked_ns + SILENCE_NS) {
        bootstrap_end_sending(bootstrap);
        return;
    }
    if (!has_bytes(bootstrap, &bytes))
        return;
    uint64_t before_ns = io_now_ns(turn->io);
    bool has_room = peer_waiting(turn->peers, sending->peer, WIRE_LINK_DATA) < WAITING_MAX;
    if (before_ns >= sending->next_part_ns && has_room) {
        send_part(sending, turn, bytes);
        uint64_t after_ns = io_now_ns(turn->io);
        uint64_t pause_ns = PAUSE_NS + PACE_PART * (after_ns - before_ns) +
                            (before_ns - turn->now_ns); /* who waits for a reply comes first */
        sending->next_part_ns = after_ns + (pause_ns < PAUSE_MAX_NS ? pause_ns : PAUSE_MAX_NS);
    }
    uint64_t wake_ns = has_room ? sending->next_part_ns : before_ns + 1000000;
    if (wake_ns < turn->snapshots->wake_ns)
        turn->snapshots->wake_ns = wake_ns;
}
