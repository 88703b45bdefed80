/* text.c - the file of a cut, for people and for the next start.
 *
 *     holdfast-ledger 1 group GROUP term TERM cut TIME [discarded | decided]
 *     entry INDEX VERDICT LINES SIZE
 *       SET "key" "value"                       LINES of them: what the entry did
 *     SIZE bytes: the entry as the log had it, and a line feed
 *
 * TIME is the node's wall clock in microseconds; VERDICT acknowledged, not, possibly or restored.
 * "decided": whatever is not restored is lost for good. An entry whose bytes were not kept has
 * SIZE 0. Valid: the entry's own checksum holds, and its group, term and index are those of the
 * lines. */
#include "replica/ledger/inside.h"

#include <stdio.h>

#define LINE_SIZE   256
#define SHOWN_BYTES 128 /* of one argument */

static const char *const verdicts[] = {"", "acknowledged", "not", "possibly", "restored"};

/* ---- writing ---- */

struct lines {
    struct buffer *out; /* NULL: they are only counted */
    size_t count;
};

static void say_quoted(struct buffer *out, struct slice bytes)
{
    size_t shown = bytes.size < SHOWN_BYTES ? bytes.size : SHOWN_BYTES;
    buffer_print(out, " \"");
    for (size_t i = 0; i < shown; i++) {
        uint8_t c = bytes.at[i];
        if (c >= ' ' && c <= '~' && c != '"' && c != '\\')
            buffer_print(out, "%c", c);
        else
            buffer_print(out, "\\x%02x", c);
    }
    buffer_print(out, shown < bytes.size ? "\"... (%zu bytes)" : "\"", bytes.size);
}

static void say_command(void *owner, const struct command *command, uint8_t database,
                        const struct slice *arguments, size_t count)
{
    struct lines *lines = owner;
    (void)database;
    lines->count++;
    if (!lines->out)
        return;
    buffer_print(lines->out, "  %s", command->name);
    for (size_t i = 1; i < count; i++)
        say_quoted(lines->out, arguments[i]);
    buffer_print(lines->out, "\n");
}

static size_t say_commands(const struct ledger *ledger, struct slice bytes, struct buffer *out)
{
    struct lines lines = {.out = out};
    struct wire_entry entry;
    if (bytes.size && !wire_entry_take_checked(&bytes, &entry) && entry.kind == WIRE_ENTRY_COMMANDS)
        (void)!command_effect_each(ledger->commands, entry.payload, say_command, &lines);
    return lines.count;
}

void ledger_write(const struct ledger *ledger, const struct ledger_cut *cut, struct buffer *out)
{
    buffer_print(out, "holdfast-ledger 1 group %llu term %llu cut %lld%s\n",
                 (unsigned long long)cut->group.value, (unsigned long long)cut->term,
                 (long long)cut->cut_us,
                 cut->discarded ? " discarded"
                 : cut->decided ? " decided"
                                : "");
    for (size_t i = 0; i < cut->count; i++) {
        const struct ledger_item *item = &cut->items[i];
        buffer_print(out, "entry %llu %s %zu %zu\n", (unsigned long long)item->index,
                     verdicts[item->verdict], say_commands(ledger, item->bytes, NULL),
                     item->bytes.size);
        (void)say_commands(ledger, item->bytes, out);
        if (item->bytes.size)
            (void)!buffer_append(out, item->bytes.at, item->bytes.size);
        buffer_print(out, "\n");
    }
}

/* ---- reading ---- */

/* The next line without its end; false: none that is whole. */
static bool take_line(struct slice *text, char line[LINE_SIZE])
{
    const uint8_t *end = text->size ? memchr(text->at, '\n', text->size) : NULL;
    size_t size = end ? (size_t)(end - text->at) : 0,
           kept = size < LINE_SIZE ? size : LINE_SIZE - 1;
    if (!end)
        return false;
    memcpy(line, text->at, kept);
    line[kept] = 0;
    *text = slice_of(end + 1, text->size - size - 1);
    return true;
}

static enum ledger_verdict verdict_of(const char *word)
{
    for (enum ledger_verdict i = LEDGER_ACKNOWLEDGED; i <= LEDGER_RESTORED; i++)
        if (strcmp(word, verdicts[i]) == 0)
            return i;
    return 0;
}

static enum status read_entry(struct ledger *ledger, struct ledger_cut *cut, const char *line,
                              struct slice *text)
{
    unsigned long long index = 0;
    size_t lines = 0, size = 0;
    char word[16] = "", skipped[LINE_SIZE];
    struct slice bytes = {0}, end = {0};
    if (sscanf(line, "entry %llu %15s %zu %zu", &index, word, &lines, &size) != 4)
        return STATUS_INVALID;
    for (; lines; lines--)
        if (!take_line(text, skipped))
            return STATUS_INVALID;
    if (slice_take(text, size, &bytes) || slice_take(text, 1, &end) || !verdict_of(word))
        return STATUS_INVALID;
    struct ledger_item item = {.index = index, .verdict = verdict_of(word), .bytes = bytes};
    struct wire_entry entry;
    if (size && (wire_entry_take(&bytes, &entry) || bytes.size || entry.index != index ||
                 entry.term != cut->term || !group_id_equal(entry.group, cut->group)))
        return STATUS_INVALID;
    item.time_us = size ? entry.time_us : 0;
    item.ack = size ? entry.ack & (uint8_t)~WIRE_ACK_EARLY : 0;
    ledger_add(ledger, cut, &item);
    return STATUS_OK;
}

enum status ledger_read(struct ledger *ledger, struct slice text)
{
    char line[LINE_SIZE], word[16] = "";
    unsigned long long group = 0, term = 0;
    long long cut_us = 0;
    if (!take_line(&text, line) ||
        sscanf(line, "holdfast-ledger 1 group %llu term %llu cut %lld %15s", &group, &term, &cut_us,
               word) < 3)
        return STATUS_INVALID;
    struct ledger_cut *cut = ledger_ensure(ledger, (struct group_id){group}, term);
    if (!cut)
        return STATUS_TOO_LARGE;
    cut->cut_us = cut_us;
    if (strcmp(word, "discarded") == 0) {
        ledger_forget_items(ledger, cut);
        cut->discarded = cut->unreported = true;
        cut->unsaved = false;
        return STATUS_OK;
    }
    enum status status = STATUS_OK;
    size_t count = 0;
    for (; !status && take_line(&text, line); count++)
        status = read_entry(ledger, cut, line, &text);
    /* What the log has and the file has not came later: nobody has looked for it yet. */
    cut->decided = !status && strcmp(word, "decided") == 0 && count == cut->count;
    return status;
}
