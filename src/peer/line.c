#include "peer/inside.h"

#include <stdarg.h>
#include <stdio.h>

static void refill(struct lines *lines, uint64_t now_ns)
{
    uint64_t passed = (now_ns - lines->refilled_ns) / LINE_EVERY_NS;
    if (passed == 0)
        return;
    uint64_t tokens = lines->tokens + passed;
    lines->tokens = tokens > LINES_MAX ? LINES_MAX : (unsigned)tokens;
    lines->refilled_ns += passed * LINE_EVERY_NS;
}

static char *push(struct lines *lines)
{
    return lines->text[(lines->first + lines->count++) % LINES_MAX];
}

void line_say(struct peer_set *set, const char *format, ...)
{
    struct lines *lines = &set->lines;
    refill(lines, io_now_ns(set->io));
    /* Room for two: the note of what was dropped goes in front. */
    if (lines->tokens == 0 || lines->count + 2 > LINES_MAX) {
        lines->dropped++;
        return;
    }
    lines->tokens--;
    if (lines->dropped)
        snprintf(push(lines), PEER_LINE_SIZE, "peers: %llu more lines like these were not shown",
                 (unsigned long long)lines->dropped);
    lines->dropped = 0;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(push(lines), PEER_LINE_SIZE, format, arguments);
    va_end(arguments);
}

void line_refusal(struct peer_set *set, const char *address, const char *why)
{
    struct refusals *refusals = &set->refusals;
    uint64_t now_ns = io_now_ns(set->io);
    if (!refusals->count && now_ns >= refusals->next_ns) {
        line_say(set, "a connection from %s was refused: it %s", address, why);
        refusals->next_ns = now_ns + REFUSALS_EVERY_NS;
        return;
    }
    refusals->count++;
    snprintf(refusals->last, sizeof refusals->last, "%s: it %s", address, why);
    deadline_want(set, refusals->next_ns);
}

uint64_t line_refusals(struct peer_set *set, uint64_t now_ns)
{
    struct refusals *refusals = &set->refusals;
    if (!refusals->count)
        return UINT64_MAX;
    if (now_ns < refusals->next_ns)
        return refusals->next_ns;
    line_say(set, "%llu more connection%s refused, the last from %s",
             (unsigned long long)refusals->count, refusals->count == 1 ? " was" : "s were",
             refusals->last);
    refusals->count = 0;
    refusals->next_ns = now_ns + REFUSALS_EVERY_NS;
    return UINT64_MAX;
}

const char *line_take(struct lines *lines)
{
    if (lines->count == 0)
        return NULL;
    memcpy(lines->taken, lines->text[lines->first], PEER_LINE_SIZE);
    lines->first = (lines->first + 1) % LINES_MAX;
    lines->count--;
    return lines->taken;
}
