/* object.c - what is known of a value beside its contents. */
#include "command/call.h"

/* ---- ENCODING ---- */

/* Up to these bounds Redis 7.0 has a value packed. It asks when a value is written, we when
 * somebody asks: the answer is what a value like this one has there when it is new. */
#define EMBEDDED_MAX    44
#define HASH_PACKED_MAX 512
#define SET_PACKED_MAX  512
#define ZSET_PACKED_MAX 128
#define MEMBER_SIZE_MAX 64

static const char *string_encoding(struct slice string)
{
    int64_t value;
    if (!slice_to_i64(string, &value))
        return "int";
    return string.size <= EMBEDDED_MAX ? "embstr" : "raw";
}

static bool is_integer(const struct store_member *member)
{
    int64_t value;
    return !slice_to_i64(member->name, &value);
}

static bool is_small(const struct store_member *member)
{
    return member->name.size <= MEMBER_SIZE_MAX && member->value.size <= MEMBER_SIZE_MAX;
}

/* Do all members of a collection with few of them fit? */
static bool all_members(const struct store *store, const struct store_entry *entry,
                        bool (*fits)(const struct store_member *))
{
    bool scored = store_entry_type(entry) == STORE_SORTED_SET;
    struct store_member members[STORE_WALK_ROOM];
    uint64_t cursor = 0;
    size_t count;
    do {
        cursor = (scored ? store_scored_scan : store_member_walk)(store, entry, cursor,
                                                                  STORE_WALK_MAX, members, &count);
        for (size_t i = 0; i < count; i++)
            if (!fits(&members[i]))
                return false;
    } while (cursor);
    return true;
}

static const char *encoding_of(const struct store *store, const struct store_entry *entry)
{
    switch (store_entry_type(entry)) {
    case STORE_STRING: return string_encoding(store_entry_string(entry));
    case STORE_LIST: return "quicklist";
    case STORE_HASH:
        return store_member_count(entry) <= HASH_PACKED_MAX && all_members(store, entry, is_small)
                   ? "listpack"
                   : "hashtable";
    case STORE_SET:
        return store_member_count(entry) <= SET_PACKED_MAX && all_members(store, entry, is_integer)
                   ? "intset"
                   : "hashtable";
    case STORE_SORTED_SET:
        return store_scored_count(entry) <= ZSET_PACKED_MAX && all_members(store, entry, is_small)
                   ? "listpack"
                   : "skiplist";
    }
    return "unknown";
}

/* ---- subcommands ---- */

static void answer_encoding(struct command_call *call, const struct store_entry *entry)
{
    reply_text(call->reply, encoding_of(call->store, entry));
}

/* Nobody shares a value. */
static void answer_refcount(struct command_call *call, const struct store_entry *entry)
{
    (void)entry;
    reply_integer(call->reply, 1);
}

/* What nobody measures is not answered with a number. */
static void answer_idletime(struct command_call *call, const struct store_entry *entry)
{
    (void)entry;
    command_fail(call, "ERR idle time is not tracked: reads leave no mark on a key");
}

static void answer_freq(struct command_call *call, const struct store_entry *entry)
{
    (void)entry;
    command_fail(call, "ERR An LFU maxmemory policy is not selected, access frequency not tracked. "
                       "Please note that when switching between policies at runtime LRU and LFU "
                       "data will take some time to adjust.");
}

static void answer_help(struct command_call *call)
{
    static const char *const lines[] = {
        "OBJECT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "ENCODING <key>",
        "    How Redis would hold the value of a key.",
        "FREQ <key>",
        "    How often a key is used: not tracked.",
        "IDLETIME <key>",
        "    How long a key has not been used: not tracked.",
        "REFCOUNT <key>",
        "    How many share the value of a key.",
        "HELP",
        "    These lines.",
    };
    reply_array(call->reply, sizeof lines / sizeof *lines);
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        reply_status(call->reply, lines[i]);
}

static void answer(struct command_call *call,
                   void (*subcommand)(struct command_call *, const struct store_entry *))
{
    struct store_key key = command_key(call, 2);
    const struct store_entry *entry = command_lookup(call, &key);
    if (entry)
        subcommand(call, entry);
    else
        reply_null(call->reply);
}

static void fail_subcommand(struct command_call *call, struct slice word)
{
    call->failed = true;
    reply_error(call->reply, "ERR unknown subcommand '%.*s'. Try OBJECT HELP.",
                (int)(word.size < 128 ? word.size : 128), (const char *)word.at);
}

static void fail_subcommand_arity(struct command_call *call, const char *name)
{
    call->failed = true;
    reply_error(call->reply, "ERR wrong number of arguments for 'object|%s' command", name);
}

static void execute_object(struct command_call *call)
{
    static const struct {
        const char *word, *name;
        void (*subcommand)(struct command_call *, const struct store_entry *);
    } subcommands[] = {{"ENCODING", "encoding", answer_encoding},
                       {"REFCOUNT", "refcount", answer_refcount},
                       {"IDLETIME", "idletime", answer_idletime},
                       {"FREQ", "freq", answer_freq}};
    struct slice word = call->arguments[1];
    if (slice_is_word(word, "HELP")) {
        if (call->count == 2)
            answer_help(call);
        else
            fail_subcommand_arity(call, "help");
        return;
    }
    for (size_t i = 0; i < sizeof subcommands / sizeof *subcommands; i++)
        if (slice_is_word(word, subcommands[i].word)) {
            if (call->count == 3)
                answer(call, subcommands[i].subcommand);
            else
                fail_subcommand_arity(call, subcommands[i].name);
            return;
        }
    fail_subcommand(call, word);
}

/* ---- rows ---- */

static const struct command rows[] = {
    {NUMBER_OBJECT, "OBJECT", -2, COMMAND_READ, 2, 2, 1, "@keyspace @read @slow",
     "Answer how a value is held", "generic", "2.2.3", execute_object, 0},
};

struct command_family command_family_object(void)
{
    return (struct command_family){rows, sizeof rows / sizeof *rows};
}
