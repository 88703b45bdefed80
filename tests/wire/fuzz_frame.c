/* libFuzzer target: any bytes, and the same bytes as a frame whose checksums hold. By hand:
 *   clang -std=gnu11 -D_GNU_SOURCE -g -O1 -fsanitize=fuzzer,address,undefined -Isrc -I. \
 *     tests/wire/fuzz_frame.c tests/wire/sample.c src/wire/[a-z]*.c src/base/[a-z]*.c -lxxhash -o
 * fuzz_frame
 *   ./fuzz_frame -max_len=4096 -max_total_time=60 */
#include "tests/wire/sample.h"

#include "base/memory.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    sample_decode(slice_of(bytes, size));
    if (size < WIRE_FRAME_HEADER_SIZE)
        return 0;
    uint8_t *repaired = memory_allocate(size);
    memcpy(repaired, bytes, size);
    memset(repaired, 0, WIRE_FRAME_HEADER_SIZE);
    repaired[4] = 1;
    sample_repair(repaired, size);
    sample_decode(slice_of(repaired, size));
    memory_free(repaired);
    return 0;
}
