/* test_cluster.c - whole clusters under faults: the seeds of seeds.txt, which once found something,
 * find nothing any more, and the same seed leaves the same trace. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "sim/run.h"

#define SEEDS_MAX 64

/* RAFT-1, RAFT-3, RAFT-7, REPLICA-1 .. REPLICA-5, WAL-1, SERVER-1 .. SERVER-3, NODE-1, CONTROL-1 */
static void assert_clean(uint64_t seed, uint64_t *hash)
{
    struct run_options options = {.seed = seed};
    struct run_result result;
    run_seed(&options, &result);
    if (result.verdict.failed)
        fail_msg("seed %llu: %s: %s", (unsigned long long)seed, result.verdict.oracle,
                 result.verdict.line);
    *hash = result.trace_hash;
}

static void test_known_seeds(void **state)
{
    (void)state;
    char line[256];
    FILE *seeds = fopen("tests/sim/seeds.txt", "r");
    assert_non_null(seeds);
    for (unsigned i = 0; i < SEEDS_MAX && fgets(line, sizeof line, seeds); i++) {
        uint64_t hash = 0, seed = strtoull(line, NULL, 10);
        if (seed)
            assert_clean(seed, &hash);
    }
    fclose(seeds);
}

/* SIM-1 */
static void test_a_seed_leaves_one_trace(void **state)
{
    (void)state;
    uint64_t first = 0, second = 1, other = 0;
    assert_clean(4, &first);
    assert_clean(4, &second);
    assert_clean(9, &other);
    assert_true(first == second);
    assert_true(first != other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_seeds),
        cmocka_unit_test(test_a_seed_leaves_one_trace),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
