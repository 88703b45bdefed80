/* contract.c - the door's sentences as tests, see contract.h. */
#include "contract_parts.h"

struct io_event wait_event(struct io *io, enum io_event_kind kind, uint64_t tag)
{
    for (unsigned i = 0; i < 100000; i++) {
        struct io_event event;
        if (contract_gather(io, &event, 1, CONTRACT_WAIT_MS) == 0)
            fail_msg("waited in vain for event %d with tag %llu", kind, (unsigned long long)tag);
        if (event.kind == kind && event.tag == tag)
            return event;
    }
    fail_msg("only other events than %d with tag %llu", kind, (unsigned long long)tag);
    return (struct io_event){0};
}

void assert_hush(struct io *io)
{
    struct io_event event = {0};
    size_t n = contract_gather(io, &event, 1, CONTRACT_HUSH_MS);
    if (n > 0)
        fail_msg("event %d with tag %llu where there should be none", event.kind,
                 (unsigned long long)event.tag);
}

struct io_counters counters_of(struct io *io)
{
    struct io_counters counters;
    io_counters(io, &counters);
    return counters;
}

int open_world(void **state)
{
    (void)state;
    contract_open();
    return 0;
}

int close_world(void **state)
{
    (void)state;
    contract_close();
    return 0;
}

int main(void)
{
    int failed = run_clock_tests();
    failed += run_stream_tests();
    failed += run_file_tests();
    return failed != 0;
}
