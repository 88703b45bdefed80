/* Valid frames, damaged at random, with and without repaired checksums: nothing that comes out may
 * point outside (the sanitizers watch) and every accepted APPEND holds WIRE-3. */
#include "tests/wire/sample.h"

#include "base/memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define ROUNDS 20000

static void frames_of(struct sample *sample, struct buffer *out)
{
    buffer_reset(out);
    for (uint64_t frames = 1 + random_below(&sample->random, 2); frames > 0; frames--) {
        struct wire_frame frame;
        wire_frame_open(&frame, out);
        for (uint64_t left = 1 + random_below(&sample->random, 3); left > 0; left--) {
            struct wire_message message;
            sample_message(sample, &message);
            sample_add(&frame, &message);
        }
        wire_frame_close(&frame);
    }
}

static size_t mutate(struct random *random, uint8_t *bytes, size_t size)
{
    for (uint64_t left = 1 + random_below(random, 4); left > 0; left--) {
        size_t at = random_below(random, size);
        switch (random_below(random, 4)) {
        case 0: bytes[at] ^= (uint8_t)(1u << random_below(random, 8)); break;
        case 1: bytes[at] = (uint8_t)random_next(random); break;
        case 2: bytes[at] = random_below(random, 2) ? 0 : 255; break;
        case 3: size = at + 1; break;
        }
    }
    return size;
}

static void run(uint64_t seed, bool repaired)
{
    struct sample sample;
    struct buffer bytes;
    size_t accepted = 0;
    sample_init(&sample, seed);
    buffer_init(&bytes, 1u << 24);
    for (int i = 0; i < ROUNDS; i++) {
        frames_of(&sample, &bytes);
        size_t size = mutate(&sample.random, bytes.at, bytes.size);
        uint8_t *exact = memory_allocate(size); /* the end is where the sanitizer watches */
        memcpy(exact, bytes.at, size);
        if (repaired)
            sample_repair(exact, size);
        accepted += sample_decode(slice_of(exact, size));
        memory_free(exact);
    }
    assert_true(accepted > 0);
    buffer_deinit(&bytes);
    sample_deinit(&sample);
}

static void damaged(void **state) /* WIRE-1 */
{
    (void)state;
    run(1, false);
}

static void damaged_and_repaired(void **state) /* WIRE-1, WIRE-3 */
{
    (void)state;
    run(2, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(damaged),
        cmocka_unit_test(damaged_and_repaired),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
