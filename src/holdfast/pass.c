/* Verbs that are commands of the server: their words go there as they are, an option is its word in
 * capitals (--overwrite: OVERWRITE, --timeout=5: TIMEOUT 5), and any answer is shown. What words
 * there are is the server's to say, so that a newer server needs no newer command line. */
#include "holdfast/answer.h"
#include "holdfast/verbs.h"

#include "base/memory.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define WORDS_MAX 64

static const struct verb {
    const char *name;
    const char *alone;   /* the word when none is given; NULL: one must be */
    const char *nothing; /* said for an empty list */
    const char *help;
    const char *shown; /* of the answer's names the one that people see; NULL: all */
} verbs[] = {
    {"loss", NULL, "nothing was lost",
     "holdfast [-a HOST:PORT] loss VERB ... [--json]   acknowledged writes that a failover cut\n\n"
     "  list [KEYSPACE]   a record for each lost leadership: how many writes, and whether that is "
     "exact\n"
     "  show ID           the writes of one record, from all nodes\n"
     "  replay ID         its writes run again, each at most once; what was written since stays, "
     "and is named\n"
     "    --overwrite     they run over what was written since, too\n"
     "  discard ID        settles a record: its writes are forgotten\n\n"
     "Only keyspaces with FAILOVER available can lose an acknowledged write; EXPLAIN says so.\n",
     NULL},
    {"node", NULL, "there is no node",
     "holdfast [-a HOST:PORT] node VERB ... [--json]   the members of the cluster\n\n"
     "  list              each, its duty, and how many replicas it has\n"
     "  drain ID          its replicas go to other nodes, while clients go on; list shows when it "
     "has none\n"
     "  undrain ID        it takes replicas again\n"
     "  replace ID by ID  each of its replicas goes to that one node\n"
     "  remove ID         a drained node, for good: its number is never given again\n"
     "    --force         at once, whatever it has\n"
     "  raise             after an upgrade of all nodes: they use what only the new build can "
     "read\n\n"
     "A drained node hands requests on until it is stopped. What cannot be done without breaking "
     "a\n"
     "contract is refused, with what would work. holdfast why node ID says what stands in its "
     "way.\n",
     NULL},
    {"events", "", "nothing has happened yet",
     "holdfast [-a HOST:PORT] events [--count=N] [KEYSPACE] [--json]\n\n"
     "What has become of nodes and replicas, the newest first; the last 2,000 are kept.\n",
     NULL},
    {"alerts", "", "",
     "holdfast [-a HOST:PORT] alerts [--json]   what is wrong now, since when, and what to do\n\n"
     "The worst first. Any node is asked, and asks the others; who cannot be asked is named. A "
     "thing is\nan alert when it has lasted for some seconds, and no more when it is well for "
     "some. "
     "Each is an\nevent and a line in the log, too, and runs the hook --on-alert of the node that "
     "tells it.\n",
     "text"},
    {"partition", NULL, "",
     "holdfast [-a HOST:PORT] partition VERB ... [--json]   a range of slots of one keyspace\n\n"
     "  explain ID            why its copies are where they are: of each node whether it has one "
     "and why,\n"
     "                        of sites, zones and hosts how even they are and whether one holds a "
     "majority,\n"
     "                        and what a plan made now would change\n"
     "  transfer ID to NODE   that node is to lead it, now and from then on; clients wait a "
     "moment\n\n"
     "holdfast keyspace info NAME shows the ids of its partitions.\n",
     NULL},
    {"failovers", "", "there was no failover",
     "holdfast [-a HOST:PORT] failovers [KEYSPACE] [--count N] [--json]\n\n"
     "A record of each change of leader, of the last 1,000; of the newest N with --count.\n"
     "How it was noticed, who voted, when the first write was acknowledged, what was cut.\n"
     "--json has the votes, too.\n",
     NULL},
    {"why", NULL, "",
     "holdfast [-a HOST:PORT] why WHAT NAME [--json]   what stands in its way, whom it waits for, "
     "since when\n\n"
     "  keyspace NAME   why it takes no reads or writes, or has fewer copies than it is to have\n"
     "  node ID         why its replicas are not ready, or do not leave it\n"
     "  replica P/R     why that one is not ready, does not vote, is out of the in-sync set\n"
     "  partition P     the same for all of one partition\n\n"
     "One line for each reason, or \"nothing\". Any node is asked, and asks the others; a leader "
     "that\ncannot be asked from there is named. KEYSPACE WHY, NODE WHY and REPLICA WHY are the "
     "same.\n",
     "text"},
    {"whatif", NULL, "",
     "holdfast [-a HOST:PORT] whatif lose WHAT NAME [and WHAT NAME ...] [--json]\n\n"
     "What would be left of each keyspace without some nodes: which partitions stop, with which "
     "ACK and\nREAD levels the others go on, how many more nodes may fail, whether acknowledged "
     "writes may be gone.\nNothing is changed by it.\n\n"
     "  node ID, host NAME, zone NAME, site NAME   who is lost\n\n"
     "  holdfast whatif lose node 2 and zone b\n\n"
     "A number that depends on nodes that cannot be seen from there is told as a range, and is "
     "null with\n--json.\n",
     "text"},
    {"replica", NULL, "",
     "holdfast [-a HOST:PORT] replica VERB ... [--json]   one copy of one partition\n\n"
     "  move PARTITION/REPLICA to NODE   it goes to that node; holdfast status shows the names\n"
     "  add PARTITION on NODE            a reader more, as far as READERS of its keyspace allows\n"
     "  remove PARTITION/REPLICA         a reader less\n"
     "  why PARTITION/REPLICA            what stands in its way\n",
     "text"},
};

static const struct verb *find_verb(const char *name)
{
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++)
        if (strcmp(name, verbs[i].name) == 0)
            return &verbs[i];
    return NULL;
}

bool pass_knows(const char *name)
{
    return find_verb(name) != NULL;
}

struct request {
    const struct verb *verb;
    const char *address;
    bool json, help;
    struct slice words[WORDS_MAX];
    size_t count;
};

static int add_word(struct request *request, const char *at, size_t size)
{
    if (request->count == WORDS_MAX)
        return complain(EXIT_USAGE, "%s: too many words; holdfast %s --help shows its use",
                        request->verb->name, request->verb->name);
    request->words[request->count++] = slice_of(at, size);
    return EXIT_GOOD;
}

static int add_option(struct request *request, const char *word)
{
    const char *equals = strchr(word, '=');
    int code = add_word(request, word + 2, equals ? (size_t)(equals - word) - 2 : strlen(word) - 2);
    return code || !equals ? code : add_word(request, equals + 1, strlen(equals + 1));
}

static int read_words(struct request *request, int count, char **words)
{
    int code = add_word(request, request->verb->name, strlen(request->verb->name));
    for (int i = 1; i < count && !code; i++) {
        if (strcmp(words[i], "--json") == 0)
            request->json = true;
        else if (strcmp(words[i], "--help") == 0 || strcmp(words[i], "-h") == 0)
            request->help = true;
        else if (strcmp(words[i], "-a") == 0 && i + 1 < count)
            request->address = words[++i];
        else if (strcmp(words[i], "-a") == 0)
            code = complain(EXIT_USAGE, "-a needs a value; holdfast %s --help shows how",
                            request->verb->name);
        else if (strncmp(words[i], "--", 2) == 0 && words[i][2])
            code = add_option(request, words[i]);
        else
            code = add_word(request, words[i], strlen(words[i]));
    }
    if (!code && !request->help && request->count == 1 && !request->verb->alone)
        return complain(EXIT_USAGE, "%s needs a further word; holdfast %s --help lists them",
                        request->verb->name, request->verb->name);
    return code;
}

int pass_main(int count, char **words, const char *address)
{
    struct request request = {.verb = find_verb(words[0]), .address = address};
    int code = read_words(&request, count, words);
    if (code || request.help) {
        if (!code)
            printf("%s", request.verb->help);
        return code;
    }
    json_t *answer = answer_ask(request.address, request.words, request.count, &code);
    if (!answer)
        return code;
    const char *shown = request.verb->shown;
    if (request.json)
        answer_print_json(answer);
    else
        answer_print(shown && json_is_object(answer) ? json_object_get(answer, shown) : answer,
                     request.verb->nothing);
    json_decref(answer);
    return EXIT_GOOD;
}
