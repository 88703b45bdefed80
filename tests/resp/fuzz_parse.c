/* fuzz_parse.c - libFuzzer target: whatever arrives, in whatever pieces (RESP-1, RESP-2). Built and
 * run by fuzz.sh beside it. */
#include "tests/resp/transcript.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct slice input = slice_of(bytes, size);
    size_t reply_size;
    if (size > 4096)
        return 0;
    transcript_check_cuts(input);
    if (resp_reply_size(input, &reply_size) == STATUS_OK)
        assert(reply_size <= size);
    return 0;
}
