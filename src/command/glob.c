/* glob.c - patterns as KEYS reads them. A star remembers one place to come back to, and only the
 * latest star is ever tried again: an earlier one that took less would meet the same text later. So
 * no pattern costs more than its size times the text's, where the recursive way is exponential. */
#include "command/command.h"

struct glob {
    struct slice pattern;
    size_t at; /* in the pattern */
    bool any_case;
};

static uint8_t fold(const struct glob *glob, uint8_t c)
{
    return glob->any_case && c >= 'A' && c <= 'Z' ? (uint8_t)(c + 32) : c;
}

static size_t left(const struct glob *glob)
{
    return glob->pattern.size - glob->at;
}

/* One member of a class: a character, an escaped one, or a range; moves behind it. */
static bool class_member_matches(struct glob *glob, uint8_t c)
{
    const uint8_t *p = glob->pattern.at + glob->at;
    if (left(glob) >= 2 && p[0] == '\\') {
        glob->at += 2;
        return fold(glob, p[1]) == c;
    }
    if (left(glob) >= 3 && p[1] == '-') {
        uint8_t low = fold(glob, p[0]), high = fold(glob, p[2]);
        glob->at += 3;
        return low <= high ? c >= low && c <= high : c >= high && c <= low;
    }
    glob->at++;
    return fold(glob, p[0]) == c;
}

/* Behind '[': moves behind ']', which may be missing at the end of the pattern. */
static bool class_matches(struct glob *glob, uint8_t c)
{
    bool negated = left(glob) > 0 && glob->pattern.at[glob->at] == '^', found = false;
    if (negated)
        glob->at++;
    while (left(glob) > 0 && glob->pattern.at[glob->at] != ']')
        if (class_member_matches(glob, c))
            found = true;
    if (left(glob) > 0)
        glob->at++;
    return found != negated;
}

/* One character of text against one element of the pattern, which is there and no star. */
static bool element_matches(struct glob *glob, uint8_t c)
{
    uint8_t p = glob->pattern.at[glob->at++];
    c = fold(glob, c);
    if (p == '?')
        return true;
    if (p == '[')
        return class_matches(glob, c);
    if (p == '\\' && left(glob) > 0)
        p = glob->pattern.at[glob->at++];
    return fold(glob, p) == c;
}

bool command_glob(struct slice pattern, struct slice text, bool any_case)
{
    struct glob glob = {pattern, 0, any_case};
    size_t at = 0, star = SIZE_MAX, star_text = 0;
    while (at < text.size) {
        if (left(&glob) > 0 && pattern.at[glob.at] == '*') {
            star = ++glob.at;
            star_text = at;
            if (star == pattern.size)
                return true;
        } else if (left(&glob) > 0 && element_matches(&glob, text.at[at])) {
            at++;
        } else if (star != SIZE_MAX) {
            glob.at = star;
            at = ++star_text;
        } else {
            return false;
        }
    }
    while (left(&glob) > 0 && pattern.at[glob.at] == '*')
        glob.at++;
    return left(&glob) == 0;
}
