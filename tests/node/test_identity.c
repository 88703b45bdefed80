/* The bytes of promise and formation: what was written is read, anything else is refused. NODE-5 */
#include "base/memory.h"
#include "base/random.h"
#include "node/inside.h"

#include <stdio.h>

#include <cmocka.h>

static struct node_promise sample_promise(void)
{
    struct node_promise promise = {.cluster = {0x1122334455667788, 7}, .list_hash = 99};
    snprintf(promise.former, sizeof promise.former, "10.0.0.1:6379");
    return promise;
}

static void sample_formation(struct node_formation *out, size_t members)
{
    memset(out, 0, sizeof *out);
    out->cluster = (struct cluster_id){3, 4};
    out->self = (struct node_id){2};
    out->member_count = members;
    for (size_t i = 0; i < members; i++) {
        struct node_member *member = &out->members[i];
        member->id = (struct node_id){i + 1};
        snprintf(member->client_address, sizeof member->client_address, "h%zu:6379", i);
        snprintf(member->peer_address, sizeof member->peer_address, "h%zu:16379", i);
        snprintf(member->site, sizeof member->site, "site");
        snprintf(member->host, sizeof member->host, "%063zu", i); /* the longest */
    }
}

static void promise_round_trip(void **state)
{
    (void)state;
    struct node_promise promise = sample_promise(), again;
    struct buffer bytes;
    buffer_init(&bytes, 4096);
    node_encode_promise(&promise, &bytes);
    assert_int_equal(STATUS_OK, node_decode_promise(slice_of_buffer(&bytes), &again));
    assert_string_equal(promise.former, again.former);
    assert_true(cluster_id_equal(promise.cluster, again.cluster));
    assert_int_equal(promise.list_hash, again.list_hash);
    for (size_t size = 0; size < bytes.size; size++)
        assert_int_not_equal(STATUS_OK, node_decode_promise(slice_of(bytes.at, size), &again));
    assert_int_equal(STATUS_OK, buffer_append(&bytes, "x", 1));
    assert_int_equal(STATUS_INVALID, node_decode_promise(slice_of_buffer(&bytes), &again));
    bytes.at[0]++;
    assert_int_equal(STATUS_FOREIGN, node_decode_promise(slice_of_buffer(&bytes), &again));
    buffer_deinit(&bytes);
}

static void formation_round_trip(void **state)
{
    (void)state;
    struct node_formation *formation = memory_zeroed(2, sizeof *formation), *again = formation + 1;
    struct buffer bytes;
    buffer_init(&bytes, 1u << 20);
    for (size_t members = 2; members <= NODE_MEMBERS_MAX; members += 31) {
        buffer_reset(&bytes);
        sample_formation(formation, members);
        node_encode_formation(formation, &bytes);
        assert_int_equal(STATUS_OK, node_decode_formation(slice_of_buffer(&bytes), again));
        assert_memory_equal(formation, again, sizeof *formation);
        for (size_t size = 0; size < bytes.size; size++)
            assert_int_not_equal(STATUS_OK, node_decode_formation(slice_of(bytes.at, size), again));
    }
    formation->founder_count = 2; /* the others joined later */
    buffer_reset(&bytes);
    node_encode_formation(formation, &bytes);
    assert_int_equal(STATUS_OK, node_decode_formation(slice_of_buffer(&bytes), again));
    assert_memory_equal(formation, again, sizeof *formation);
    for (formation->founder_count = 0; formation->founder_count < 3;
         formation->founder_count += 2) {
        formation->anew = 77; /* NODE-10 */
        formation->before = formation->founder_count;
        buffer_reset(&bytes);
        node_encode_formation(formation, &bytes);
        assert_int_equal(STATUS_OK, node_decode_formation(slice_of_buffer(&bytes), again));
        assert_memory_equal(formation, again, sizeof *formation);
        for (size_t size = 0; size < bytes.size; size++)
            assert_int_not_equal(STATUS_OK, node_decode_formation(slice_of(bytes.at, size), again));
    }
    bytes.at[0]++;
    assert_int_equal(STATUS_FOREIGN, node_decode_formation(slice_of_buffer(&bytes), again));
    buffer_deinit(&bytes);
    memory_free(formation);
}

static enum status decode_of(const struct node_formation *formation)
{
    struct node_formation *again = memory_zeroed(1, sizeof *again);
    struct buffer bytes;
    buffer_init(&bytes, 1u << 20);
    node_encode_formation(formation, &bytes);
    enum status status = node_decode_formation(slice_of_buffer(&bytes), again);
    buffer_deinit(&bytes);
    memory_free(again);
    return status;
}

static void formations_that_cannot_be(void **state)
{
    (void)state;
    struct node_formation *formation = memory_zeroed(1, sizeof *formation);
    sample_formation(formation, 3);
    assert_int_equal(STATUS_OK, decode_of(formation));
    formation->self = (struct node_id){4}; /* not a member */
    assert_int_equal(STATUS_INVALID, decode_of(formation));
    sample_formation(formation, 3);
    formation->members[2].id = formation->members[1].id; /* twice */
    assert_int_equal(STATUS_INVALID, decode_of(formation));
    sample_formation(formation, 3);
    formation->members[0].id = (struct node_id){0}; /* no id */
    assert_int_equal(STATUS_INVALID, decode_of(formation));
    sample_formation(formation, 3);
    formation->member_count = 0;
    assert_int_equal(STATUS_INVALID, decode_of(formation));
    memory_free(formation);
}

/* It reads what other nodes send: no bytes may make it read past the end. */
static void garbage(void **state)
{
    (void)state;
    struct node_formation *formation = memory_zeroed(1, sizeof *formation);
    struct node_promise promise = sample_promise();
    struct buffer bytes;
    struct random random;
    buffer_init(&bytes, 1u << 20);
    random_init(&random, 1);
    for (unsigned i = 0; i < 20000; i++) {
        buffer_reset(&bytes);
        sample_formation(formation, 1 + random_below(&random, 5));
        if (i % 2)
            node_encode_promise(&promise, &bytes);
        else
            node_encode_formation(formation, &bytes);
        for (uint64_t k = random_below(&random, 4); k > 0; k--)
            bytes.at[random_below(&random, bytes.size)] = (uint8_t)random_next(&random);
        struct slice input = slice_of(bytes.at, 1 + random_below(&random, bytes.size));
        uint8_t *copy = memory_allocate(input.size); /* its end is watched by the sanitizer */
        memcpy(copy, input.at, input.size);
        if (node_decode_formation(slice_of(copy, input.size), formation) == STATUS_OK)
            assert_true(formation->member_count >= 1 &&
                        formation->member_count <= NODE_MEMBERS_MAX);
        (void)!node_decode_promise(slice_of(copy, input.size), &promise);
        promise = sample_promise();
        memory_free(copy);
    }
    buffer_deinit(&bytes);
    memory_free(formation);
}

static void voters_by_the_number_of_nodes(void **state)
{
    static const size_t expected[8][2] = {{0, 0}, {1, 1}, {1, 1}, {3, 3},
                                          {3, 3}, {5, 3}, {5, 3}, {5, 3}};
    (void)state;
    for (size_t members = 1; members < 8; members++) {
        assert_int_equal(expected[members][0], identity_system_voters(members));
        assert_int_equal(expected[members][1], identity_default_voters(members));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(promise_round_trip),
        cmocka_unit_test(formation_round_trip),
        cmocka_unit_test(formations_that_cannot_be),
        cmocka_unit_test(garbage),
        cmocka_unit_test(voters_by_the_number_of_nodes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
