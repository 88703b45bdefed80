/* holdfast: the verbs of the command line. */
#include "holdfast/place.h"
#include "holdfast/verbs.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void print_help(void)
{
    printf("holdfast [-a HOST:PORT] VERB ...   the command line of a replicated state server\n\n"
           "  status     the health of the cluster; --watch keeps it on the screen\n"
           "  keyspace   create, list, info, explain, why, alter, drop\n"
           "  node       the members: list, drain, undrain, replace, remove, raise\n"
           "  replica    one copy of one partition: move, add, remove, why\n"
           "  why        what stands in the way of a keyspace, a node, a replica, a partition\n"
           "  whatif     what would be left without some nodes: holdfast whatif lose node 2\n"
           "  partition  explain: why its copies are where they are; transfer: who leads it\n"
           "  loss       acknowledged writes that a failover cut: list, show, replay, discard\n"
           "  alerts     what is wrong now, since when, and what to do\n"
           "  events     what has become of nodes and replicas\n"
           "  failovers  a record of each change of leader\n"
           "  dev        a local cluster in the foreground: holdfast dev --nodes 3\n"
           "  sim        the simulator (holdfast-sim)\n\n"
           "Verbs that ask take --json, for programs.\n\n"
           "  -a HOST:PORT   a node to ask (default " DEFAULT_ADDRESS ")\n"
           "  --help         this; holdfast VERB --help tells about a verb\n"
           "  --version\n");
}

static int run_simulator(char **words)
{
    char path[PLACE_PATH_SIZE];
    if (place_beside("holdfast-sim", path))
        return complain(EXIT_TROUBLE, "there is no holdfast-sim beside this program; run `make`");
    words[0] = path;
    execv(path, words);
    return complain(EXIT_TROUBLE, "cannot start %s: %s", path, strerror(errno));
}

static int refuse_verb(const char *verb)
{
    static const char *const later[] = {"top", "backup"};
    for (size_t i = 0; i < sizeof later / sizeof later[0]; i++)
        if (strcmp(verb, later[i]) == 0)
            return complain(EXIT_USAGE, "%s: not available in this version", verb);
    return complain(EXIT_USAGE, "unknown verb '%.60s'; holdfast --help lists them", verb);
}

static int run_verb(int count, char **words, const char *address)
{
    if (strcmp(words[0], "status") == 0)
        return status_main(count, words, address);
    if (strcmp(words[0], "keyspace") == 0)
        return keyspace_main(count, words, address);
    if (pass_knows(words[0]))
        return pass_main(count, words, address);
    if (strcmp(words[0], "dev") == 0)
        return dev_main(count, words);
    if (strcmp(words[0], "sim") == 0)
        return run_simulator(words);
    return refuse_verb(words[0]);
}

int main(int count, char **words)
{
    static const struct option known[] = {
        {"help", no_argument, NULL, 'h'}, {"version", no_argument, NULL, 'v'}, {0}};
    const char *address = DEFAULT_ADDRESS;
    int letter;
    opterr = 0;
    while ((letter = getopt_long(count, words, "+:ha:", known, NULL)) != -1) {
        if (letter == 'a') {
            address = optarg;
            continue;
        }
        if (letter != 'h' && letter != 'v')
            return complain_option("", letter, words);
        if (letter == 'h')
            print_help();
        else
            printf("holdfast 0.1.0\n");
        return EXIT_GOOD;
    }
    if (optind == count)
        return complain(EXIT_USAGE, "a verb is missing; holdfast --help lists them");
    return run_verb(count - optind, words + optind, address);
}
