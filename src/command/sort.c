/* sort.c - SORT and SORT_RO: the elements of a collection by number, by text, or by values of other
 * keys.
 *
 * Elements are copied first, then the keys that BY and GET look at and that have ended are removed;
 * from there on nothing moves, and weights and results are borrowed from the store. What STORE
 * leaves ships as a list, not as the request, whose other keys are nobody's arguments. */
#include "command/sort.h"
#include "base/memory.h"

#include <assert.h>
#include <stdlib.h>

struct sort_options {
    bool descending, by_text, unsorted;
    const struct slice *by;    /* NULL: the elements themselves */
    const struct slice *into;  /* NULL: reply */
    const struct slice **gets; /* owned */
    size_t get_count;
    int64_t skip, limit;
};

struct sort_item {
    struct slice element, text;
    double number;
    size_t place;  /* before sorting */
    bool has_text; /* else it comes before all that have one */
};

struct sorting {
    struct command_call *call;
    struct sort_options options;
    struct sort_item *items;  /* owned */
    size_t count, from, take; /* of the items; what LIMIT leaves of them */
    struct buffer elements;   /* the items' bytes */
    struct sort_names names;
    struct slice *results; /* owned; at NULL: absent */
    size_t result_count;
};

/* ---- options ---- */

/* Options of one word. */
static bool take_flag(struct slice word, struct sort_options *options)
{
    if (slice_is_word(word, "ASC"))
        options->descending = false;
    else if (slice_is_word(word, "DESC"))
        options->descending = true;
    else if (slice_is_word(word, "ALPHA"))
        options->by_text = true;
    else
        return false;
    return true;
}

/* Options of two words; `next` is the second. */
static bool take_pattern(struct slice word, const struct slice *next, bool may_store,
                         struct sort_options *options)
{
    if (slice_is_word(word, "STORE") && may_store) {
        options->into = next;
    } else if (slice_is_word(word, "BY")) {
        options->by = next;
        options->unsorted |= !sort_has_star(next);
    } else if (slice_is_word(word, "GET")) {
        options->gets[options->get_count++] = next;
    } else {
        return false;
    }
    return true;
}

static bool take_options(struct command_call *call, bool may_store, struct sort_options *options)
{
    for (size_t i = 2; i < call->count; i++) {
        const struct slice *word = &call->arguments[i];
        size_t left = call->count - i - 1;
        if (take_flag(*word, options))
            continue;
        if (left >= 2 && slice_is_word(*word, "LIMIT")) {
            if (!command_integer(call, i + 1, &options->skip) ||
                !command_integer(call, i + 2, &options->limit))
                return false;
            i += 2;
        } else if (left >= 1 && take_pattern(*word, word + 1, may_store, options)) {
            i++;
        } else {
            command_fail_syntax(call);
            return false;
        }
    }
    return true;
}

/* ---- elements ---- */

static size_t count_of(const struct store_entry *entry)
{
    switch (store_entry_type(entry)) {
    case STORE_LIST: return store_list_length(entry);
    case STORE_SORTED_SET: return store_scored_count(entry);
    default: return store_member_count(entry);
    }
}

static void set_window(struct sorting *sorting, size_t count)
{
    const struct sort_options *options = &sorting->options;
    uint64_t skip = options->skip < 0 ? 0 : (uint64_t)options->skip;
    sorting->from = skip < count ? (size_t)skip : count;
    sorting->take = count - sorting->from;
    if (options->limit >= 0 && (uint64_t)options->limit < sorting->take)
        sorting->take = (size_t)options->limit;
}

/* Elements one at a time, whatever holds them. */
struct element_walk {
    enum store_type type;
    struct store_list_walk list;
    struct store_scored_walk scored;
    struct store_member members[STORE_WALK_ROOM]; /* a page of a set */
    size_t at, count;
    uint64_t cursor;
    bool ended;
};

static void walk_init(struct element_walk *walk, const struct store_entry *entry, size_t from)
{
    walk->type = store_entry_type(entry);
    walk->at = walk->count = 0;
    walk->cursor = 0;
    walk->ended = false;
    if (walk->type == STORE_LIST)
        store_list_walk_init(&walk->list, entry, from);
    else if (walk->type == STORE_SORTED_SET)
        store_scored_walk_init(&walk->scored, entry, from, false);
}

static bool walk_next(struct element_walk *walk, const struct store *store,
                      const struct store_entry *entry, struct slice *element)
{
    double score;
    if (walk->type == STORE_LIST)
        return store_list_walk_next(&walk->list, element);
    if (walk->type == STORE_SORTED_SET)
        return store_scored_walk_next(&walk->scored, element, &score);
    while (walk->at == walk->count) {
        if (walk->ended)
            return false;
        walk->cursor = store_member_walk(store, entry, walk->cursor, STORE_WALK_MAX, walk->members,
                                         &walk->count);
        walk->at = 0;
        walk->ended = !walk->cursor;
    }
    *element = walk->members[walk->at++].name;
    return true;
}

/* Twice over the elements: for their size, then for their bytes, so that these never move. */
static void copy_elements(struct sorting *sorting, const struct store_entry *entry, size_t from)
{
    const struct store *store = sorting->call->store;
    struct element_walk walk;
    struct slice element;
    size_t size = 0;
    walk_init(&walk, entry, from);
    for (size_t i = 0; i < sorting->count && walk_next(&walk, store, entry, &element); i++)
        size += element.size;
    buffer_init(&sorting->elements, size);
    enum status status = buffer_reserve(&sorting->elements, size);
    walk_init(&walk, entry, from);
    for (size_t i = 0; i < sorting->count && walk_next(&walk, store, entry, &element); i++) {
        const uint8_t *at = sorting->elements.at + sorting->elements.size;
        status |= buffer_append(&sorting->elements, element.at, element.size);
        sorting->items[i] = (struct sort_item){.element = slice_of(at, element.size), .place = i};
    }
    assert(!status);
}

static void reverse(struct sort_item *items, size_t count)
{
    for (size_t i = 0; i < count / 2; i++) {
        struct sort_item item = items[i];
        items[i] = items[count - 1 - i];
        items[count - 1 - i] = item;
    }
}

/* A set has no order of its own: what is stored of it is sorted all the same. Of what has one, and
 * is not sorted, no more is copied than LIMIT leaves. */
static void load_elements(struct sorting *sorting, const struct store_entry *entry)
{
    struct sort_options *options = &sorting->options;
    size_t count = count_of(entry), from = 0;
    if (options->unsorted && options->into && store_entry_type(entry) == STORE_SET) {
        options->unsorted = false;
        options->by_text = true;
        options->by = NULL;
    }
    set_window(sorting, count);
    sorting->count = count;
    bool in_order = options->unsorted && store_entry_type(entry) != STORE_SET;
    if (in_order) {
        sorting->count = sorting->take;
        from = options->descending ? count - sorting->from - sorting->take : sorting->from;
        sorting->from = 0;
    }
    sorting->items = memory_allocate(sorting->count * sizeof *sorting->items);
    if (sorting->count)
        copy_elements(sorting, entry, from);
    if (in_order && options->descending)
        reverse(sorting->items, sorting->count);
}

/* ---- keys that have ended ---- */

/* False: refused or failed. */
static bool remove_ended(struct sorting *sorting, const struct slice *pattern)
{
    struct store_key key;
    struct store_entry *entry;
    for (size_t i = 0; i < sorting->count; i++)
        if (sort_name_key(&sorting->names, pattern, sorting->items[i].element, &key) &&
            !command_lookup_unnamed(sorting->call, &key, &entry))
            return false;
    return true;
}

static bool remove_all_ended(struct sorting *sorting)
{
    const struct sort_options *options = &sorting->options;
    bool goes_on = !options->by || options->unsorted || remove_ended(sorting, options->by);
    for (size_t i = 0; i < options->get_count && goes_on; i++)
        goes_on = remove_ended(sorting, options->gets[i]);
    return goes_on;
}

/* ---- sorting ---- */

static int compare_bytes(struct slice a, struct slice b)
{
    size_t common = a.size < b.size ? a.size : b.size;
    int order = common ? memcmp(a.at, b.at, common) : 0;
    return order ? order : (a.size > b.size) - (a.size < b.size);
}

static int compare_places(const struct sort_item *a, const struct sort_item *b)
{
    return (a->place > b->place) - (a->place < b->place);
}

static int compare_texts(const void *left, const void *right)
{
    const struct sort_item *a = left, *b = right;
    int order = (int)a->has_text - (int)b->has_text;
    if (!order && a->has_text)
        order = compare_bytes(a->text, b->text);
    return order ? order : compare_places(a, b);
}

static int compare_numbers(const void *left, const void *right)
{
    const struct sort_item *a = left, *b = right;
    int order = (a->number > b->number) - (a->number < b->number);
    if (!order)
        order = compare_bytes(a->element, b->element);
    return order ? order : compare_places(a, b);
}

/* False: a weight is no number. */
static bool weigh(struct sorting *sorting)
{
    const struct sort_options *options = &sorting->options;
    bool all_numbers = true;
    for (size_t i = 0; i < sorting->count; i++) {
        struct sort_item *item = &sorting->items[i];
        item->text = item->element;
        item->has_text = !options->by ||
                         sort_find_value(&sorting->names, options->by, item->element, &item->text);
        if (!options->by_text && item->has_text && !command_read_weight(item->text, &item->number))
            all_numbers = false;
    }
    return all_numbers;
}

static bool sort_items(struct sorting *sorting)
{
    const struct sort_options *options = &sorting->options;
    if (options->unsorted)
        return true;
    if (!weigh(sorting)) {
        command_fail(sorting->call, "ERR One or more scores can't be converted into double");
        return false;
    }
    if (sorting->count)
        qsort(sorting->items, sorting->count, sizeof *sorting->items,
              options->by_text ? compare_texts : compare_numbers);
    if (options->descending)
        reverse(sorting->items, sorting->count);
    return true;
}

/* ---- results ---- */

static void get_results(struct sorting *sorting)
{
    const struct sort_options *options = &sorting->options;
    size_t each = options->get_count ? options->get_count : 1;
    sorting->results = memory_allocate(sorting->take * each * sizeof *sorting->results);
    for (size_t i = 0; i < sorting->take; i++) {
        struct slice element = sorting->items[sorting->from + i].element, value = element;
        for (size_t j = 0; j < each; j++) {
            bool found = !options->get_count ||
                         sort_find_value(&sorting->names, options->gets[j], element, &value);
            if (found && !value.at)
                value.at = (const uint8_t *)"";
            sorting->results[sorting->result_count++] = found ? value : slice_of(NULL, 0);
        }
    }
}

static void reply_results(const struct sorting *sorting)
{
    reply_array(sorting->call->reply, sorting->result_count);
    for (size_t i = 0; i < sorting->result_count; i++)
        if (sorting->results[i].at)
            reply_bulk(sorting->call->reply, sorting->results[i]);
        else
            reply_null(sorting->call->reply);
}

/* The results leave the store, which is about to change; what is absent is stored as empty. */
static void own_results(struct sorting *sorting, struct buffer *bytes)
{
    size_t size = 0;
    for (size_t i = 0; i < sorting->result_count; i++)
        size += sorting->results[i].size;
    buffer_init(bytes, size);
    enum status status = buffer_reserve(bytes, size);
    for (size_t i = 0; i < sorting->result_count; i++) {
        struct slice *result = &sorting->results[i];
        const uint8_t *at = bytes->at + bytes->size;
        status |= buffer_append(bytes, result->at, result->size);
        result->at = at;
    }
    assert(!status);
}

static void store_results(struct sorting *sorting)
{
    struct command_call *call = sorting->call;
    struct store_key into = store_key_of(call->database, *sorting->options.into);
    struct slice *results = sorting->results;
    struct buffer bytes;
    struct command_measure measure; /* GET may have made more of them than there were */
    command_measure_init(&measure, call);
    command_measure_items(&measure, results, sorting->result_count);
    if (!command_measure_fits(&measure))
        return;
    if (!sorting->result_count && !command_lookup(call, &into)) {
        reply_integer(call->reply, 0);
        return;
    }
    if (!command_can_change(call, command_items_size(into.bytes, results, sorting->result_count)))
        return;
    own_results(sorting, &bytes);
    if (store_remove(call->store, &into))
        command_ship_deletion(call, into.bytes);
    for (size_t i = 0; i < sorting->result_count; i++)
        store_list_push(call->store, &into, false, results[i]);
    command_ship_items(call, NUMBER_RPUSH, into.bytes, results, sorting->result_count);
    buffer_deinit(&bytes);
    reply_integer(call->reply, (int64_t)sorting->result_count);
}

static bool lookup_collection(struct command_call *call, struct store_entry **entry)
{
    struct store_key key = command_key(call, 1);
    *entry = command_lookup(call, &key);
    if (!*entry)
        return true;
    enum store_type type = store_entry_type(*entry);
    if (type == STORE_LIST || type == STORE_SET || type == STORE_SORTED_SET)
        return true;
    command_fail_type(call);
    return false;
}

static void run(struct sorting *sorting, bool may_store)
{
    struct store_entry *entry;
    if (!take_options(sorting->call, may_store, &sorting->options) ||
        !lookup_collection(sorting->call, &entry))
        return;
    struct command_measure measure;
    command_measure_init(&measure, sorting->call);
    if (sorting->options.into)
        command_measure_add(&measure, entry);
    if (!command_measure_fits(&measure))
        return;
    if (entry)
        load_elements(sorting, entry);
    if (!remove_all_ended(sorting) || !sort_items(sorting))
        return;
    get_results(sorting);
    if (sorting->options.into)
        store_results(sorting);
    else
        reply_results(sorting);
}

static void sort(struct command_call *call, bool may_store)
{
    struct sorting sorting = {.call = call, .options = {.limit = -1}};
    sorting.options.gets = memory_allocate(call->count * sizeof *sorting.options.gets);
    sort_names_init(&sorting.names, call);
    run(&sorting, may_store);
    sort_names_deinit(&sorting.names);
    buffer_deinit(&sorting.elements);
    memory_free(sorting.options.gets);
    memory_free(sorting.items);
    memory_free(sorting.results);
}

static void execute_sort(struct command_call *call)
{
    sort(call, true);
}

static void execute_sort_ro(struct command_call *call)
{
    sort(call, false);
}

/* ---- rows ---- */

/* BY and GET look at keys that the row cannot name: with them what only reads waits as if for all
 * keys. */
static const struct command rows[] = {
    {NUMBER_SORT, "SORT", -2, COMMAND_WRITE | COMMAND_DENY_OOM | COMMAND_WHOLE | COMMAND_STORES, 1,
     1, 1, "@write @set @sortedset @list @slow @dangerous",
     "Sort a list, set or sorted set, by values of other keys if asked, and answer or store it",
     "generic", "1.0.0", execute_sort, 0},
    {NUMBER_SORT_RO, "SORT_RO", -2, COMMAND_READ | COMMAND_WHOLE, 1, 1, 1,
     "@read @set @sortedset @list @slow @dangerous",
     "Sort a list, set or sorted set, by values of other keys if asked, and answer it", "generic",
     "7.0.0", execute_sort_ro, 0},
};

struct command_family command_family_sort(void)
{
    return (struct command_family){rows, sizeof rows / sizeof *rows};
}
