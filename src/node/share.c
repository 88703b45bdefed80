/* Whose directory: not somebody else's, and as many workers as made it. A group's log is the one of
 * its worker, so that another number of workers would look for it in another log, find nothing
 * there, and vote anew. */
#include "node/inside.h"

#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- somebody else's ---- */

/* What a first start makes before the sign, drafts of the sign among it: whatever of that is there
 * may be of one that died. What stands behind a dot is a number, or the word for a draft. */
static bool is_of_a_node(const char *name)
{
    static const char *const words[] = {"lock", "identity", "wal", "snapshots", "ledger"};
    size_t size = strcspn(name, ".");
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (size == strlen(words[i]) && memcmp(name, words[i], size) == 0)
            return true;
    return strcmp(name, "lost+found") == 0; /* of the file system, at its root */
}

/* NULL: there is none, or the directory has a sign of ours. */
static const char *find_foreign(const char *names, size_t count)
{
    const char *foreign = NULL, *name = names;
    for (size_t i = 0; i < count; i++, name += strlen(name) + 1) {
        if (strcmp(name, "identity") == 0)
            return NULL; /* people may put there what they like */
        if (!foreign && !is_of_a_node(name))
            foreign = name;
    }
    return foreign;
}

enum status node_check_owner(struct node *node, char why[NODE_WHY_SIZE])
{
    char *names = NULL;
    size_t count = 0;
    if (io_dir_list(node->io, node->dir, &names, &count))
        return STATUS_OK; /* the lock finds out why */
    const char *foreign = find_foreign(names, count);
    if (foreign)
        snprintf(why, NODE_WHY_SIZE,
                 "%s is not empty and is no directory of holdfast (it has %.100s): give another "
                 "--dir",
                 node->dir, foreign);
    memory_free(names);
    return foreign ? STATUS_FOREIGN : STATUS_OK;
}

/* ---- as many workers ---- */

/* How many logs there are: one more than the highest number among the names. */
static unsigned count_logs(struct node *node, const char *path)
{
    char *names = NULL;
    size_t count = 0;
    unsigned logs = 0;
    if (io_dir_list(node->io, path, &names, &count))
        return 0; /* a new directory */
    const char *name = names;
    for (size_t i = 0; i < count; i++, name += strlen(name) + 1) {
        char *end;
        unsigned long number = strtoul(name, &end, 10);
        if (end != name && !*end && number < PEER_WORKERS_MAX && number >= logs)
            logs = (unsigned)number + 1;
    }
    memory_free(names);
    return logs;
}

enum status node_say_lost_log(const struct node *node, char why[NODE_WHY_SIZE])
{
    snprintf(why, NODE_WHY_SIZE,
             "%s belongs to a cluster but its log is gone: votes and entries are lost", node->dir);
    return STATUS_DAMAGED;
}

/* WORKER-3. Before the cluster has formed nothing is lost by fewer logs than workers: a first start
 * may have died between two of them. */
enum status node_check_share(struct node *node, char why[NODE_WHY_SIZE])
{
    char path[IO_PATH_SIZE];
    node_log_dir(node, path);
    unsigned logs = count_logs(node, path), workers = node->options.workers;
    unsigned made = node->sign.workers;
    if (node->sign.fresh && workers == made)
        return STATUS_OK; /* NODE-10 */
    if (logs < made)
        return node_say_lost_log(node, why); /* R4 */
    if (logs <= workers && (logs == workers || !made))
        return STATUS_OK;
    snprintf(
        why, NODE_WHY_SIZE,
        "%s was made by a node of %u worker%s: start it with --workers %u; changing the number "
        "comes with a later version",
        node->dir, logs, logs == 1 ? "" : "s", logs);
    return STATUS_INVALID;
}
