/* The table behind REPLICA-1: a read waits for the newest write of its key, maybe for a later one,
 * never for an earlier one. */
#include "replica/log/log.h"

#include "base/memory.h"
#include "base/random.h"

#include <cmocka.h>

static void never_less_than_the_newest_write(void **state)
{
    enum {
        KEYS = 20000
    };
    (void)state;
    struct gate_table table;
    struct random random;
    uint64_t *newest = memory_zeroed(KEYS, sizeof *newest), whole = 0;
    gate_table_init(&table);
    random_init(&random, 1);
    for (uint64_t index = 1; index <= 100000; index++) {
        uint64_t key = random_below(&random, KEYS);
        uint64_t hash = key * 0x9e3779b97f4a7c15ull;
        if (random_below(&random, 5000) == 0) {
            gate_table_note_whole(&table, index);
            whole = index;
        } else {
            gate_table_note(&table, hash, index);
            newest[key] = index;
        }
        key = random_below(&random, KEYS);
        uint64_t least = newest[key] > whole ? newest[key] : whole;
        uint64_t found = gate_table_newest(&table, key * 0x9e3779b97f4a7c15ull);
        assert_true(found >= least && found <= index); /* REPLICA-1 */
    }
    gate_table_deinit(&table);
    memory_free(newest);
}

static void unwritten_keys_wait_for_nothing(void **state)
{
    (void)state;
    struct gate_table table;
    gate_table_init(&table);
    gate_table_note(&table, 5, 77);
    assert_int_equal(77, gate_table_newest(&table, 5));
    assert_int_equal(0, gate_table_newest(&table, 6));
    assert_int_equal(77, gate_table_newest(&table, 5 + GATE_SLOTS)); /* the same slot */
    gate_table_deinit(&table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(never_less_than_the_newest_write),
        cmocka_unit_test(unwritten_keys_wait_for_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
