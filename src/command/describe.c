/* describe.c - the table as clients ask for it: they find keys by it (shapes: ECOSYSTEM 1.3). */
#include "command/call.h"

#include <assert.h>

#define NAME_SIZE_MAX 32
/* Keys that no fixed place names: clients ask GETKEYS for them. */
#define MOVABLE (COMMAND_COUNTED_1 | COMMAND_COUNTED_2 | COMMAND_STORES)

static void reply_lower(struct reply *reply, const char *name)
{
    uint8_t text[NAME_SIZE_MAX];
    size_t size = strlen(name);
    assert(size <= sizeof text);
    for (size_t i = 0; i < size; i++)
        text[i] = (uint8_t)(name[i] >= 'A' && name[i] <= 'Z' ? name[i] + 32 : name[i]);
    reply_bulk(reply, slice_of(text, size));
}

/* ---- one entry ---- */

static void reply_flags(const struct command *command, struct reply *reply)
{
    static const struct {
        uint32_t flag;
        const char *word;
    } words[] = {{COMMAND_WRITE, "write"},      {COMMAND_READ, "readonly"},
                 {COMMAND_DENY_OOM, "denyoom"}, {COMMAND_ADMIN, "admin"},
                 {COMMAND_LOADING, "loading"},  {COMMAND_FAST, "fast"},
                 {COMMAND_NO_AUTH, "no_auth"},  {MOVABLE, "movablekeys"}};
    size_t count = 0;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        count += (command->flags & words[i].flag) != 0;
    reply_set(reply, count);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (command->flags & words[i].flag)
            reply_status(reply, words[i].word);
}

/* The next word of "@read @string"; false at the end. */
static bool take_category(const char **rest, struct slice *word)
{
    while (**rest == ' ')
        ++*rest;
    size_t size = strcspn(*rest, " ");
    *word = slice_of(*rest, size);
    *rest += size;
    return size > 0;
}

static const char *categories_of(const struct command *command)
{
    return command->categories ? command->categories : "";
}

static void reply_categories(const struct command *command, struct reply *reply)
{
    const char *rest = categories_of(command);
    struct slice word;
    size_t count = 0;
    while (take_category(&rest, &word))
        count++;
    reply_set(reply, count);
    for (rest = categories_of(command); take_category(&rest, &word);) {
        char text[NAME_SIZE_MAX] = "";
        assert(word.size < sizeof text);
        memcpy(text, word.at, word.size);
        reply_status(reply, text);
    }
}

/* What a request does with the keys of one specification. */
static void reply_key_flags(bool writes, struct reply *reply)
{
    reply_text(reply, "flags");
    reply_set(reply, 2);
    reply_status(reply, writes ? "RW" : "RO");
    reply_status(reply, writes ? "update" : "access");
}

/* One half of a specification: "begin_search" or "find_keys", its type, and `count` numbers. */
static void reply_key_half(struct reply *reply, const char *half, const char *type, size_t count)
{
    reply_text(reply, half);
    reply_map(reply, 2);
    reply_text(reply, "type");
    reply_text(reply, type);
    reply_text(reply, "spec");
    reply_map(reply, count);
}

static void reply_key_number(struct reply *reply, const char *name, int64_t value)
{
    reply_text(reply, name);
    reply_integer(reply, value);
}

/* Where the keys begin, and how they go on; `lastkey` is counted from the first. */
static void reply_range_keys(const struct command *command, struct reply *reply)
{
    int last = command->last_key < 0 ? command->last_key : command->last_key - command->first_key;
    reply_map(reply, 3);
    reply_key_flags(command->flags & COMMAND_WRITE, reply);
    reply_key_half(reply, "begin_search", "index", 1);
    reply_key_number(reply, "index", command->first_key);
    reply_key_half(reply, "find_keys", "range", 3);
    reply_key_number(reply, "lastkey", last);
    reply_key_number(reply, "keystep", command->key_step);
    reply_key_number(reply, "limit", 0);
}

/* With a destination in front, the counted keys are only read. */
static void reply_counted_keys(const struct command *command, struct reply *reply)
{
    bool behind = command->flags & COMMAND_COUNTED_2;
    reply_map(reply, 3);
    reply_key_flags(!behind && (command->flags & COMMAND_WRITE), reply);
    reply_key_half(reply, "begin_search", "index", 1);
    reply_key_number(reply, "index", behind ? 2 : 1);
    reply_key_half(reply, "find_keys", "keynum", 3);
    reply_key_number(reply, "keynumidx", 0);
    reply_key_number(reply, "firstkey", 1);
    reply_key_number(reply, "keystep", 1);
}

static void reply_stored_key(struct reply *reply)
{
    reply_map(reply, 3);
    reply_key_flags(true, reply);
    reply_key_half(reply, "begin_search", "unknown", 0);
    reply_key_half(reply, "find_keys", "unknown", 0);
}

static bool has_counted_keys(const struct command *command)
{
    return (command->flags & (COMMAND_COUNTED_1 | COMMAND_COUNTED_2)) != 0;
}

static void reply_key_specs(const struct command *command, struct reply *reply)
{
    bool ranged = command->first_key > 0, stores = command->flags & COMMAND_STORES;
    reply_set(reply, (size_t)ranged + has_counted_keys(command) + stores);
    if (ranged)
        reply_range_keys(command, reply);
    if (has_counted_keys(command))
        reply_counted_keys(command, reply);
    if (stores)
        reply_stored_key(reply);
}

static void reply_entry(const struct command *command, struct reply *reply)
{
    reply_array(reply, 10);
    reply_lower(reply, command->name);
    reply_integer(reply, command->arity);
    reply_flags(command, reply);
    reply_integer(reply, command->first_key);
    reply_integer(reply, command->last_key);
    reply_integer(reply, command->key_step);
    reply_categories(command, reply);
    reply_set(reply, 0); /* tips */
    reply_key_specs(command, reply);
    reply_set(reply, 0); /* subcommands */
}

static void reply_docs(const struct command *command, struct reply *reply)
{
    reply_lower(reply, command->name);
    reply_map(reply, 3);
    reply_text(reply, "summary");
    reply_text(reply, command->summary ? command->summary : "");
    reply_text(reply, "since");
    reply_text(reply, command->since ? command->since : "");
    reply_text(reply, "group");
    reply_text(reply, command->group ? command->group : "");
}

/* ---- subcommands ---- */

struct question {
    const struct command_table *table;
    const struct slice *arguments; /* behind COMMAND and the subcommand */
    size_t count;
    struct reply *reply;
};

static void fail_arity(const struct question *question, const char *subcommand)
{
    reply_error(question->reply, "ERR wrong number of arguments for 'command|%s' command",
                subcommand);
}

static void describe_all(const struct question *question)
{
    reply_array(question->reply, command_count(question->table));
    for (size_t i = 0; i < command_count(question->table); i++)
        reply_entry(command_at(question->table, i), question->reply);
}

static void describe_count(const struct question *question)
{
    if (question->count)
        fail_arity(question, "count");
    else
        reply_integer(question->reply, (int64_t)command_count(question->table));
}

static void describe_info(const struct question *question)
{
    if (!question->count) {
        describe_all(question);
        return;
    }
    reply_array(question->reply, question->count);
    for (size_t i = 0; i < question->count; i++) {
        const struct command *command = command_find(question->table, question->arguments[i]);
        if (command)
            reply_entry(command, question->reply);
        else
            reply_null(question->reply);
    }
}

static void describe_docs(const struct question *question)
{
    size_t all = command_count(question->table), known = 0;
    if (!question->count) {
        reply_map(question->reply, all);
        for (size_t i = 0; i < all; i++)
            reply_docs(command_at(question->table, i), question->reply);
        return;
    }
    for (size_t i = 0; i < question->count; i++)
        known += command_find(question->table, question->arguments[i]) != NULL;
    reply_map(question->reply, known);
    for (size_t i = 0; i < question->count; i++) {
        const struct command *command = command_find(question->table, question->arguments[i]);
        if (command)
            reply_docs(command, question->reply);
    }
}

/* ---- LIST ---- */

static bool has_category(const struct command *command, struct slice wanted)
{
    const char *rest = categories_of(command);
    struct slice word;
    while (take_category(&rest, &word)) {
        char text[NAME_SIZE_MAX] = "";
        memcpy(text, word.at + 1, word.size - 1); /* clients leave the @ out */
        if (slice_is_word(wanted, text))
            return true;
    }
    return false;
}

static bool is_listed(const struct question *question, const struct command *command)
{
    if (!question->count)
        return true;
    struct slice kind = question->arguments[1], value = question->arguments[2];
    if (slice_is_word(kind, "PATTERN"))
        return command_glob(value, slice_of_text(command->name), true);
    return slice_is_word(kind, "ACLCAT") && has_category(command, value);
}

static bool list_filter_fits(const struct question *question)
{
    if (!question->count)
        return true;
    return question->count == 3 && slice_is_word(question->arguments[0], "FILTERBY") &&
           (slice_is_word(question->arguments[1], "PATTERN") ||
            slice_is_word(question->arguments[1], "ACLCAT") ||
            slice_is_word(question->arguments[1], "MODULE"));
}

static void describe_list(const struct question *question)
{
    size_t all = command_count(question->table), listed = 0;
    if (!list_filter_fits(question)) {
        reply_error(question->reply, "ERR syntax error");
        return;
    }
    for (size_t i = 0; i < all; i++)
        listed += is_listed(question, command_at(question->table, i));
    reply_array(question->reply, listed);
    for (size_t i = 0; i < all; i++)
        if (is_listed(question, command_at(question->table, i)))
            reply_lower(question->reply, command_at(question->table, i)->name);
}

static void describe_keys(const struct question *question)
{
    size_t keys = 0, at = 0;
    if (!question->count) {
        fail_arity(question, "getkeys");
        return;
    }
    const struct command *command = command_find(question->table, question->arguments[0]);
    const char *error = NULL;
    if (!command)
        error = "ERR Invalid command specified";
    else if (command->first_key <= 0 && !has_counted_keys(command))
        error = "ERR The command has no key arguments";
    else if (!command_arity_fits(command, question->count))
        error = "ERR Invalid number of arguments specified for command";
    if (error) {
        reply_error(question->reply, "%s", error);
        return;
    }
    const struct slice *arguments = question->arguments;
    while ((at = command_next_key(command, arguments, question->count, at)) != 0)
        keys++;
    reply_array(question->reply, keys);
    while ((at = command_next_key(command, arguments, question->count, at)) != 0)
        reply_bulk(question->reply, arguments[at]);
}

static void describe_help(const struct question *question)
{
    static const char *const lines[] = {
        "COMMAND <subcommand> [<argument> ...]. Subcommands:",
        "(none)",
        "    Every command with arity, flags and places of its keys.",
        "COUNT",
        "    How many commands there are.",
        "DOCS [<command> ...]",
        "    Summary, group and version of commands.",
        "GETKEYS <command> [<argument> ...]",
        "    The keys of a whole request.",
        "INFO [<command> ...]",
        "    As without a subcommand, for some commands.",
        "LIST [FILTERBY ACLCAT <category> | PATTERN <pattern> | MODULE <name>]",
        "    Names of commands.",
    };
    reply_array(question->reply, sizeof lines / sizeof *lines);
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        reply_status(question->reply, lines[i]);
}

void command_describe(const struct command_table *table, const struct slice *arguments,
                      size_t count, struct reply *reply)
{
    static const struct {
        const char *word;
        void (*answer)(const struct question *);
    } subcommands[] = {{"COUNT", describe_count},  {"INFO", describe_info},
                       {"DOCS", describe_docs},    {"LIST", describe_list},
                       {"GETKEYS", describe_keys}, {"HELP", describe_help}};
    if (count < 2) {
        describe_all(&(struct question){table, NULL, 0, reply});
        return;
    }
    const struct question question = {table, arguments + 2, count - 2, reply};
    for (size_t i = 0; i < sizeof subcommands / sizeof *subcommands; i++)
        if (slice_is_word(arguments[1], subcommands[i].word)) {
            subcommands[i].answer(&question);
            return;
        }
    int shown = (int)(arguments[1].size < 128 ? arguments[1].size : 128);
    reply_error(reply, "ERR unknown subcommand '%.*s'. Try COMMAND HELP.", shown,
                (const char *)arguments[1].at);
}
