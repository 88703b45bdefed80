#include "holdfast/view.h"

#include "base/memory.h"
#include "holdfast/ask.h"
#include "holdfast/merge.h"
#include "holdfast/verbs.h"

#define FIRST_TIMEOUT_MS  3000
#define OTHERS_TIMEOUT_MS 1000

/* NULL: it is no holdfast node, or silent; `ask` says which. */
static json_t *ask_one(struct ask *ask, const char *address)
{
    ask_init(ask, ASK_COMMAND, address, "STATUS");
    ask_all(ask, 1, FIRST_TIMEOUT_MS);
    return ask->status == STATUS_OK
               ? merge_read_view((const char *)ask->answer.at, ask->answer.size)
               : NULL;
}

json_t *view_ask_first(const char *address, int *code)
{
    struct ask ask;
    json_t *view = ask_one(&ask, address);
    *code = view ? EXIT_GOOD : ask.misnamed ? EXIT_USAGE : EXIT_TROUBLE;
    if (ask.status == STATUS_CLOSED || ask.status == STATUS_AGAIN)
        complain(EXIT_TROUBLE, "%s: %s; is holdfastd running there? -a HOST:PORT names another",
                 address, ask.why);
    else if (ask.status == STATUS_INVALID)
        complain(*code, "%s: %s; -a HOST:PORT names a holdfast node", address, ask.why);
    else if (!view)
        complain(EXIT_TROUBLE, "%s is a server, but not a holdfast node; -a HOST:PORT names one",
                 address);
    ask_deinit(&ask);
    return view;
}

json_t *view_ask_others(json_t *first)
{
    json_t *nodes = json_object_get(first, "nodes"), *node;
    size_t count = json_array_size(nodes), i, asked = 0;
    json_t **views = memory_zeroed(count + 1, sizeof *views);
    struct ask *asks = memory_zeroed(count + 1, sizeof *asks);
    json_array_foreach(nodes, i, node)
    {
        if (merge_number(node, "id") != merge_number(first, "node"))
            ask_init(&asks[asked++], ASK_COMMAND, merge_text(node, "addr"), "STATUS");
    }
    ask_all(asks, asked, OTHERS_TIMEOUT_MS);
    views[0] = first;
    for (i = 0; i < asked; i++) {
        if (asks[i].status == STATUS_OK)
            views[i + 1] = merge_read_view((const char *)asks[i].answer.at, asks[i].answer.size);
        ask_deinit(&asks[i]);
    }
    json_t *merged = merge_views(views, asked + 1);
    for (i = 1; i <= asked; i++)
        json_decref(views[i]);
    memory_free(asks);
    memory_free(views);
    return merged;
}

json_t *view_ask(const char *address)
{
    struct ask ask;
    json_t *first = ask_one(&ask, address), *merged = first ? view_ask_others(first) : NULL;
    ask_deinit(&ask);
    json_decref(first);
    return merged;
}
