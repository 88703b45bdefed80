/* once.c - which numbered requests of which clients have run, and what was answered (ONCE-1).
 *
 * Clients are found by name in a table of chains, and stand in one of two lists: those with replies
 * in the order of their last use, and the silent ones, of which only the name and the highest
 * number are left. Who falls silent is the longest unused, so all silent ones stand before all
 * others in the order of use, and the two lists are one history.
 *
 * The bytes of the whole, for snapshots: u8 version (1) · varint silent clients · varint others ·
 * the clients in that order: varint size of the name · name · varint last use · varint closed ·
 * varint replies · for each, with rising numbers: varint number · varint size · bytes. */
#include "store/once.h"

#include "base/checksum.h"

#define ONCE_VERSION     1
#define BUCKETS_FIRST    64
#define REPLY_OVERHEAD   24
#define SILENCE_STEP_MAX 16 /* clients that fall silent with one request: no pause after a lull */

struct once_reply {
    uint64_t number;
    size_t size;
    uint8_t bytes[];
};

struct once_client {
    struct once_client *next; /* in its chain */
    struct list used;
    int64_t used_us;
    uint64_t closed; /* highest number whose reply is gone; those up to it never run (again) */
    size_t count;    /* of replies; 0: silent, or all are closed */
    struct once_reply **replies; /* owned, as each; rising numbers */
    bool is_silent;
    uint8_t name_size;
    uint8_t name[];
};

struct store_once {
    struct once_client **buckets; /* a power of two */
    size_t bucket_count, speaking_count, silent_count;
    struct list speaking, silent; /* the longest unused first */
    uint64_t bytes;               /* of replies, as they are encoded */
};

/* ---- the table ---- */

static struct store_once *create(void)
{
    struct store_once *once = memory_zeroed(1, sizeof *once);
    once->buckets = memory_zeroed(BUCKETS_FIRST, sizeof *once->buckets);
    once->bucket_count = BUCKETS_FIRST;
    list_init(&once->speaking);
    list_init(&once->silent);
    return once;
}

/* Seeded with the store's secret: nobody can choose names that meet in one chain. */
static struct once_client **place_of(const struct store *store, struct slice name)
{
    const struct store_once *once = store->once;
    uint64_t hash = checksum_seeded(name.at, name.size, store->seed);
    struct once_client **at = &once->buckets[hash & (once->bucket_count - 1)];
    while (*at && !slice_equal(slice_of((*at)->name, (*at)->name_size), name))
        at = &(*at)->next;
    return at;
}

static struct once_client *find(const struct store *store, struct slice name)
{
    return store->once ? *place_of(store, name) : NULL;
}

static void grow(struct store *store)
{
    struct store_once *once = store->once;
    struct once_client **old = once->buckets;
    size_t old_count = once->bucket_count;
    once->bucket_count *= 2;
    once->buckets = memory_zeroed(once->bucket_count, sizeof *once->buckets);
    for (size_t i = 0; i < old_count; i++) {
        for (struct once_client *client = old[i]; client;) {
            struct once_client *next = client->next;
            client->next = NULL;
            *place_of(store, slice_of(client->name, client->name_size)) = client;
            client = next;
        }
    }
    memory_free(old);
}

static struct once_client *add(struct store *store, struct slice name)
{
    struct store_once *once = store->once;
    if (once->speaking_count + once->silent_count >= once->bucket_count)
        grow(store);
    struct once_client *client = memory_zeroed(1, sizeof *client + name.size);
    list_init(&client->used);
    client->name_size = (uint8_t)name.size;
    memcpy(client->name, name.at, name.size);
    *place_of(store, name) = client;
    list_append(&once->speaking, &client->used);
    once->speaking_count++;
    return client;
}

static struct once_client *first_of(const struct list *clients)
{
    return list_is_empty(clients) ? NULL : list_item(clients->next, struct once_client, used);
}

/* ---- replies ---- */

/* The replies before place `count` go; what they answered counts as closed. */
static void close_first(struct store_once *once, struct once_client *client, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        once->bytes -= client->replies[i]->size + REPLY_OVERHEAD;
        if (client->replies[i]->number > client->closed)
            client->closed = client->replies[i]->number;
        memory_free(client->replies[i]);
    }
    client->count -= count;
    if (client->count && count)
        memmove(client->replies, client->replies + count, client->count * sizeof *client->replies);
    if (!client->count) {
        memory_free(client->replies);
        client->replies = NULL;
    }
}

/* Where `number` stands or would stand. */
static size_t rank_of(const struct once_client *client, uint64_t number)
{
    size_t rank = client->count; /* nearly always the last */
    while (rank && client->replies[rank - 1]->number >= number)
        rank--;
    return rank;
}

static void keep(struct store_once *once, struct once_client *client, uint64_t number,
                 struct slice bytes)
{
    struct once_reply *reply = memory_allocate(sizeof *reply + bytes.size);
    reply->number = number;
    reply->size = bytes.size;
    if (bytes.size)
        memcpy(reply->bytes, bytes.at, bytes.size);
    once->bytes += bytes.size + REPLY_OVERHEAD;
    size_t rank = rank_of(client, number);
    client->replies = memory_resize(client->replies, (client->count + 1) * sizeof *client->replies);
    memmove(client->replies + rank + 1, client->replies + rank,
            (client->count - rank) * sizeof *client->replies);
    client->replies[rank] = reply;
    client->count++;
    if (client->count > STORE_ONCE_WINDOW)
        close_first(once, client, client->count - STORE_ONCE_WINDOW);
}

/* ---- silence ---- */

static void forget(struct store *store, struct once_client *client)
{
    struct store_once *once = store->once;
    struct once_client **at = place_of(store, slice_of(client->name, client->name_size));
    *at = client->next;
    list_remove(&client->used);
    close_first(once, client, client->count);
    once->silent_count -= client->is_silent;
    once->speaking_count -= !client->is_silent;
    memory_free(client);
}

static void fall_silent(struct store *store, struct once_client *client)
{
    struct store_once *once = store->once;
    close_first(once, client, client->count);
    client->is_silent = true;
    list_remove(&client->used);
    list_append(&once->silent, &client->used);
    once->speaking_count--;
    once->silent_count++;
    if (once->silent_count > STORE_ONCE_SILENT_MAX)
        forget(store, first_of(&once->silent));
}

static bool is_idle(const struct once_client *client, int64_t now_us)
{
    return now_us - client->used_us >= STORE_ONCE_IDLE_US;
}

static void silence_idle(struct store *store, int64_t now_us)
{
    for (size_t i = 0; i < SILENCE_STEP_MAX; i++) {
        struct once_client *client = first_of(&store->once->speaking);
        if (!client || !is_idle(client, now_us))
            return;
        fall_silent(store, client);
    }
}

/* The client of this moment speaks; too many bytes silence those before it. */
static void speak(struct store *store, struct once_client *client, int64_t now_us)
{
    struct store_once *once = store->once;
    once->silent_count -= client->is_silent;
    once->speaking_count += client->is_silent;
    client->is_silent = false;
    client->used_us = now_us;
    list_remove(&client->used);
    list_append(&once->speaking, &client->used);
    while (first_of(&once->speaking) != client &&
           (once->bytes > STORE_ONCE_BYTES_MAX || once->speaking_count > STORE_ONCE_CLIENTS_MAX))
        fall_silent(store, first_of(&once->speaking));
}

/* ---- the door ---- */

enum store_once_state store_once_find(const struct store *store, struct slice client,
                                      uint64_t number, struct slice *reply)
{
    const struct once_client *found = find(store, client);
    if (!found)
        return STORE_ONCE_NEW;
    size_t rank = rank_of(found, number);
    if (rank < found->count && found->replies[rank]->number == number) {
        *reply = slice_of(found->replies[rank]->bytes, found->replies[rank]->size);
        return STORE_ONCE_KNOWN;
    }
    return number <= found->closed ? STORE_ONCE_CLOSED : STORE_ONCE_NEW; /* ONCE-1 */
}

bool store_once_has_room(const struct store *store, struct slice client, int64_t now_us)
{
    const struct store_once *once = store->once;
    const struct once_client *found = find(store, client);
    return !once || (found && !found->is_silent) || once->speaking_count < STORE_ONCE_CLIENTS_MAX ||
           is_idle(first_of(&once->speaking), now_us);
}

void store_once_put(struct store *store, const struct store_once_request *request,
                    struct slice reply, int64_t now_us)
{
    struct slice name = request->client;
    assert(name.size >= 1 && name.size <= STORE_ONCE_NAME_MAX && request->number);
    if (!store->once)
        store->once = create();
    silence_idle(store, now_us);
    struct once_client *client = find(store, name);
    if (!client)
        client = add(store, name);
    assert(request->number > client->closed);
    keep(store->once, client, request->number, reply);
    if (request->lowest_open > 1)
        close_first(store->once, client, rank_of(client, request->lowest_open));
    if (request->lowest_open > client->closed + 1)
        client->closed = request->lowest_open - 1;
    speak(store, client, now_us);
}

uint64_t store_once_clients(const struct store *store)
{
    return store->once ? store->once->speaking_count : 0;
}

void store_once_clear(struct store *store)
{
    struct store_once *once = store->once;
    if (!once)
        return;
    while (!list_is_empty(&once->speaking))
        forget(store, first_of(&once->speaking));
    while (!list_is_empty(&once->silent))
        forget(store, first_of(&once->silent));
    memory_free(once->buckets);
    memory_free(once);
    store->once = NULL;
}

uint64_t store_once_memory_bytes(const struct store *store)
{
    const struct store_once *once = store->once;
    if (!once)
        return 0;
    return once->bytes + once->bucket_count * sizeof *once->buckets +
           (once->speaking_count + once->silent_count) * (sizeof(struct once_client) + 64);
}

/* ---- digest ---- */

static uint64_t client_digest(const struct once_client *client)
{
    uint64_t digest = checksum_seeded(client->name, client->name_size, client->closed);
    digest = checksum_seeded(&client->used_us, sizeof client->used_us, digest);
    for (size_t i = 0; i < client->count; i++)
        digest = checksum_seeded(client->replies[i]->bytes, client->replies[i]->size,
                                 digest ^ client->replies[i]->number);
    return digest;
}

uint64_t store_once_digest(const struct store *store)
{
    uint64_t digest = 0;
    for (size_t i = 0; store->once && i < store->once->bucket_count; i++)
        for (const struct once_client *at = store->once->buckets[i]; at; at = at->next)
            digest += client_digest(at);
    return digest;
}

/* ---- bytes ---- */

static enum status put_number(struct buffer *out, uint64_t value)
{
    uint8_t bytes[VARINT_SIZE_MAX];
    return buffer_append(out, bytes, varint_store(bytes, value));
}

static enum status put_bytes(struct buffer *out, const void *at, size_t size)
{
    enum status status = put_number(out, size);
    return !status && size ? buffer_append(out, at, size) : status;
}

static enum status put_client(struct buffer *out, const struct once_client *client)
{
    enum status status = put_bytes(out, client->name, client->name_size);
    status = status ? status : put_number(out, (uint64_t)client->used_us);
    status = status ? status : put_number(out, client->closed);
    status = status ? status : put_number(out, client->count);
    for (size_t i = 0; !status && i < client->count; i++) {
        const struct once_reply *reply = client->replies[i];
        status = put_number(out, reply->number);
        status = status ? status : put_bytes(out, reply->bytes, reply->size);
    }
    return status;
}

static enum status put_clients(struct buffer *out, const struct list *clients)
{
    enum status status = STATUS_OK;
    for (const struct list *at = clients->next; !status && at != clients; at = at->next)
        status = put_client(out, list_item(at, struct once_client, used));
    return status;
}

enum status store_once_encode(const struct store *store, struct buffer *out)
{
    const struct store_once *once = store->once;
    size_t before = out->size;
    uint8_t version = ONCE_VERSION;
    if (!once)
        return STATUS_OK;
    enum status status = buffer_append(out, &version, 1);
    status = status ? status : put_number(out, once->silent_count);
    status = status ? status : put_number(out, once->speaking_count);
    status = status ? status : put_clients(out, &once->silent);
    status = status ? status : put_clients(out, &once->speaking);
    if (status)
        out->size = before;
    return status;
}

static bool take_bytes(struct slice *from, size_t size_max, struct slice *out)
{
    uint64_t size;
    return !varint_take(from, &size) && size <= size_max && !slice_take(from, (size_t)size, out);
}

static bool take_replies(struct store_once *once, struct once_client *client, struct slice *from)
{
    uint64_t count, number, last = client->closed;
    struct slice bytes;
    if (varint_take(from, &count) || count > STORE_ONCE_WINDOW)
        return false;
    for (uint64_t i = 0; i < count; i++) {
        if (varint_take(from, &number) || number <= last || number > INT64_MAX ||
            !take_bytes(from, STORE_ONCE_REPLY_MAX, &bytes))
            return false;
        keep(once, client, number, bytes);
        last = number;
    }
    return true;
}

static bool take_client(struct store *store, struct slice *from, bool is_silent)
{
    uint64_t used, closed;
    struct slice name;
    if (!take_bytes(from, STORE_ONCE_NAME_MAX, &name) || !name.size || find(store, name) ||
        varint_take(from, &used) || varint_take(from, &closed) || used > INT64_MAX ||
        closed > INT64_MAX)
        return false;
    struct once_client *client = add(store, name);
    client->used_us = (int64_t)used;
    client->closed = closed;
    if (!take_replies(store->once, client, from))
        return false;
    if (is_silent)
        fall_silent(store, client);
    return true;
}

static bool take_all(struct store *store, struct slice bytes)
{
    uint64_t silent, speaking;
    if (!bytes.size || bytes.at[0] != ONCE_VERSION)
        return false;
    bytes = slice_of(bytes.at + 1, bytes.size - 1);
    if (varint_take(&bytes, &silent) || varint_take(&bytes, &speaking) ||
        silent > STORE_ONCE_SILENT_MAX || speaking > STORE_ONCE_CLIENTS_MAX)
        return false;
    store->once = create();
    for (uint64_t i = 0; i < silent + speaking; i++)
        if (!take_client(store, &bytes, i < silent))
            return false;
    return bytes.size == 0;
}

enum status store_once_decode(struct store *store, struct slice bytes)
{
    assert(!store->once);
    if (!bytes.size || take_all(store, bytes))
        return STATUS_OK;
    store_once_clear(store);
    return STATUS_INVALID;
}
