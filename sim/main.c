/* holdfast-sim: run one seed, many seeds, or count what operations cost. */
#include "sim/cost.h"
#include "sim/journey.h"
#include "sim/run.h"
#include "sim/swarm.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct arguments {
    uint64_t seed;
    double minutes;
    unsigned jobs;
    const char *fault;
    uint32_t faults;
    bool trace, stop_at_find, has_seed;
};

static int usage(FILE *to, int code)
{
    fprintf(to, "usage: holdfast-sim run --seed N [--trace] [--fault NAME]\n"
                "       holdfast-sim swarm --minutes M [--jobs N] [--seed FIRST] "
                "[--fault NAME] [--stop-at-find]\n"
                "       holdfast-sim cost | journey | faults\n");
    return code;
}

/* False: unknown word or value. */
static bool parse(int count, char **words, struct arguments *arguments)
{
    static const struct option options[] = {{"seed", required_argument, NULL, 's'},
                                            {"minutes", required_argument, NULL, 'm'},
                                            {"jobs", required_argument, NULL, 'j'},
                                            {"fault", required_argument, NULL, 'f'},
                                            {"trace", no_argument, NULL, 't'},
                                            {"stop-at-find", no_argument, NULL, 'x'},
                                            {NULL, 0, NULL, 0}};
    int letter;
    while ((letter = getopt_long(count, words, "", options, NULL)) != -1) {
        char *end = NULL;
        if (letter == 's') {
            arguments->seed = strtoull(optarg, &end, 10);
            arguments->has_seed = true;
        } else if (letter == 'm') {
            arguments->minutes = strtod(optarg, &end);
        } else if (letter == 'j') {
            arguments->jobs = (unsigned)strtoul(optarg, &end, 10);
        } else if (letter == 'f') {
            arguments->fault = optarg;
            arguments->faults = swarm_fault_of_name(optarg);
        } else if (letter == 't') {
            arguments->trace = true;
        } else if (letter == 'x') {
            arguments->stop_at_find = true;
        } else {
            return false;
        }
        if (end && *end)
            return false;
    }
    return optind == count && arguments->jobs <= SWARM_JOBS_MAX &&
           (!arguments->fault || arguments->faults);
}

static int run(const struct arguments *arguments)
{
    struct run_options options = {
        .seed = arguments->seed, .faults = arguments->faults, .trace = arguments->trace};
    struct run_result first, second;
    run_seed(&options, &first);
    swarm_print_run(&options, &first, stdout);
    if (first.verdict.failed)
        return 1;
    options.trace = false;
    run_seed(&options, &second);
    if (second.trace_hash == first.trace_hash)
        return 0;
    printf("the same seed gave two different traces: %016llx and %016llx\n",
           (unsigned long long)first.trace_hash, (unsigned long long)second.trace_hash);
    return 1;
}

int main(int count, char **words)
{
    struct arguments arguments = {.seed = 1, .minutes = 1};
    if (count > 1 && (strcmp(words[count - 1], "--help") == 0 || strcmp(words[1], "-h") == 0))
        return usage(stdout, 0);
    if (count < 2 || !parse(count - 1, words + 1, &arguments))
        return usage(stderr, 2);
    const char *verb = words[1];
    if (strcmp(verb, "run") == 0)
        return run(&arguments);
    if (strcmp(verb, "swarm") == 0)
        return swarm_run(
            &(struct swarm_options){.jobs = arguments.jobs,
                                    .minutes = arguments.minutes,
                                    .first_seed = arguments.has_seed ? arguments.seed : 0,
                                    .faults = arguments.faults,
                                    .fault = arguments.fault,
                                    .stop_at_find = arguments.stop_at_find});
    if (strcmp(verb, "cost") == 0)
        return cost_run(stdout);
    if (strcmp(verb, "journey") == 0)
        return journey_run(stdout);
    if (strcmp(verb, "faults") == 0) {
        swarm_print_faults(stdout);
        return 0;
    }
    return usage(stderr, 2);
}
