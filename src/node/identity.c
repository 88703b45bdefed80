/* The bytes of promise, join and formation records. Version 1: u8 version, then fields; texts are
 * u8 length + bytes. A formation that nodes have joined since is of version 2: the number of those
 * who formed it stands behind the number of members. That of a node that began anew is of version
 * 3: its two tickets stand behind that number, which may be 0. */
#include "node/inside.h"

#define IDENTITY_VERSION  1
#define FORMATION_JOINED  2
#define FORMATION_ANEW    3
#define IDENTITY_SIZE_MAX (1u << 20)

static void put_u64(struct buffer *out, uint64_t value)
{
    uint8_t bytes[8];
    store_u64(bytes, value);
    (void)!buffer_append(out, bytes, sizeof bytes);
}

static void put_text(struct buffer *out, const char *text)
{
    uint8_t length = (uint8_t)strlen(text) /* fields are below 256 bytes */;
    (void)!buffer_append(out, &length, 1);
    (void)!buffer_append(out, text, length);
}

static enum status take_u64(struct slice *from, uint64_t *value)
{
    struct slice bytes;
    enum status status = slice_take(from, 8, &bytes);
    if (!status)
        *value = load_u64(bytes.at);
    return status;
}

static enum status take_text(struct slice *from, char *out, size_t room)
{
    struct slice length, bytes;
    enum status status = slice_take(from, 1, &length);
    if (!status)
        status = slice_take(from, length.at[0], &bytes);
    if (status || bytes.size >= room)
        return STATUS_INVALID;
    if (bytes.size)
        memcpy(out, bytes.at, bytes.size);
    out[bytes.size] = 0;
    return STATUS_OK;
}

static enum status take_version(struct slice *from)
{
    struct slice version;
    enum status status = slice_take(from, 1, &version);
    if (status)
        return status;
    return version.at[0] == IDENTITY_VERSION ? STATUS_OK : STATUS_FOREIGN;
}

void node_encode_promise(const struct node_promise *promise, struct buffer *out)
{
    uint8_t version = IDENTITY_VERSION;
    (void)!buffer_append(out, &version, 1);
    put_u64(out, promise->cluster.high);
    put_u64(out, promise->cluster.low);
    put_u64(out, promise->list_hash);
    put_text(out, promise->former);
}

enum status node_decode_promise(struct slice bytes, struct node_promise *out)
{
    struct node_promise promise = {0};
    enum status status = take_version(&bytes);
    if (status)
        return status;
    if (take_u64(&bytes, &promise.cluster.high) || take_u64(&bytes, &promise.cluster.low) ||
        take_u64(&bytes, &promise.list_hash) ||
        take_text(&bytes, promise.former, sizeof promise.former) || bytes.size)
        return STATUS_INVALID;
    *out = promise;
    return STATUS_OK;
}

void node_encode_join(const struct node_join *join, struct buffer *out)
{
    uint8_t version = IDENTITY_VERSION;
    (void)!buffer_append(out, &version, 1);
    put_u64(out, join->cluster.high);
    put_u64(out, join->cluster.low);
    put_u64(out, join->ticket);
}

enum status node_decode_join(struct slice bytes, struct node_join *out)
{
    struct node_join join = {.ticket = 0};
    enum status status = take_version(&bytes);
    if (status)
        return status;
    if (take_u64(&bytes, &join.cluster.high) || take_u64(&bytes, &join.cluster.low) ||
        take_u64(&bytes, &join.ticket) || bytes.size)
        return STATUS_INVALID;
    *out = join;
    return STATUS_OK;
}

void node_encode_formation(const struct node_formation *formation, struct buffer *out)
{
    bool joined = formation->founder_count || formation->anew;
    uint8_t version = formation->anew ? FORMATION_ANEW
                      : joined        ? FORMATION_JOINED
                                      : IDENTITY_VERSION;
    (void)!buffer_append(out, &version, 1);
    put_u64(out, formation->cluster.high);
    put_u64(out, formation->cluster.low);
    put_u64(out, formation->self.value);
    put_u64(out, formation->member_count);
    if (joined)
        put_u64(out, formation->founder_count);
    if (formation->anew) {
        put_u64(out, formation->anew);
        put_u64(out, formation->before);
    }
    for (size_t i = 0; i < formation->member_count; i++) {
        const struct node_member *member = &formation->members[i];
        put_u64(out, member->id.value);
        put_text(out, member->client_address);
        put_text(out, member->peer_address);
        put_text(out, member->site);
        put_text(out, member->zone);
        put_text(out, member->host);
    }
}

static enum status take_member(struct slice *from, struct node_member *member)
{
    if (take_u64(from, &member->id.value) ||
        take_text(from, member->client_address, sizeof member->client_address) ||
        take_text(from, member->peer_address, sizeof member->peer_address) ||
        take_text(from, member->site, sizeof member->site) ||
        take_text(from, member->zone, sizeof member->zone) ||
        take_text(from, member->host, sizeof member->host))
        return STATUS_INVALID;
    return STATUS_OK;
}

enum status node_decode_formation(struct slice bytes, struct node_formation *out)
{
    uint64_t count, founders = 0, previous = 0;
    bool self_is_member = false;
    bool anew = bytes.size && bytes.at[0] == FORMATION_ANEW;
    bool joined = bytes.size && bytes.at[0] == FORMATION_JOINED;
    struct slice version;
    enum status status = joined || anew ? slice_take(&bytes, 1, &version) : take_version(&bytes);
    if (status)
        return status;
    memset(out, 0, sizeof *out);
    if (take_u64(&bytes, &out->cluster.high) || take_u64(&bytes, &out->cluster.low) ||
        take_u64(&bytes, &out->self.value) || take_u64(&bytes, &count) || count < 1 ||
        count > NODE_MEMBERS_MAX ||
        (joined && (take_u64(&bytes, &founders) || founders < 1 || founders > count)) ||
        (anew && (take_u64(&bytes, &founders) || founders > count || take_u64(&bytes, &out->anew) ||
                  take_u64(&bytes, &out->before) || !out->anew)))
        return STATUS_INVALID;
    out->founder_count = founders;
    for (size_t i = 0; i < count; i++) {
        struct node_member *member = &out->members[i];
        if (take_member(&bytes, member) || member->id.value <= previous)
            return STATUS_INVALID;
        previous = member->id.value;
        self_is_member |= node_id_equal(member->id, out->self);
    }
    out->member_count = count;
    return bytes.size == 0 && self_is_member ? STATUS_OK : STATUS_INVALID;
}

size_t identity_system_voters(size_t members)
{
    return members >= 5 ? 5 : members >= 3 ? 3 : 1;
}

size_t identity_default_voters(size_t members)
{
    return members >= 3 ? 3 : 1;
}
