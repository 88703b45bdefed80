#include "resp/words.h"

#include <assert.h>

static bool is_space(uint8_t c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 32;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static void put(struct resp_words *words, uint8_t c)
{
    assert(words->out->size < words->out->capacity);
    words->out->at[words->out->size++] = c;
}

static uint8_t peek(const struct resp_words *words, size_t ahead)
{
    size_t at = words->position + ahead;
    return at < words->line.size ? words->line.at[at] : 0;
}

static uint8_t control_letter(uint8_t c)
{
    switch (c) {
    case 'n': return '\n';
    case 'r': return '\r';
    case 't': return '\t';
    case 'b': return '\b';
    case 'a': return '\a';
    default: return c;
    }
}

/* Behind the backslash of a double-quoted word. */
static void take_escape(struct resp_words *words)
{
    int high = hex_digit(peek(words, 1)), low = hex_digit(peek(words, 2));
    if (peek(words, 0) == 'x' && high >= 0 && low >= 0) {
        put(words, (uint8_t)(high * 16 + low));
        words->position += 3;
        return;
    }
    put(words, control_letter(words->line.at[words->position]));
    words->position++;
}

/* Behind the opening quote: up to and with the closing one, which ends the word. */
static enum status take_quoted(struct resp_words *words, uint8_t quote)
{
    while (words->position < words->line.size) {
        uint8_t c = words->line.at[words->position++];
        bool more = words->position < words->line.size;
        if (c == quote)
            return !more || is_space(peek(words, 0)) ? STATUS_OK : STATUS_INVALID;
        if (c == '\\' && quote == '"' && more)
            take_escape(words);
        else if (c == '\\' && quote == '\'' && more && peek(words, 0) == '\'')
            put(words, words->line.at[words->position++]);
        else
            put(words, c);
    }
    return STATUS_INVALID;
}

enum status resp_words_next(struct resp_words *words)
{
    while (words->position < words->line.size && is_space(words->line.at[words->position]))
        words->position++;
    if (words->position == words->line.size)
        return STATUS_END;
    while (words->position < words->line.size) {
        uint8_t c = words->line.at[words->position];
        if (is_space(c))
            break;
        words->position++;
        if (c == '"' || c == '\'')
            return take_quoted(words, c);
        put(words, c);
    }
    return STATUS_OK;
}
