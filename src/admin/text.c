/* Text for people and programs, piece by piece. */
#include "admin/inside.h"

void admin_add_text(struct buffer *out, const char *text)
{
    buffer_print(out, "\"");
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            buffer_print(out, "\\%c", *text);
        else if ((unsigned char)*text < 32)
            buffer_print(out, "\\u%04x", *text);
        else
            buffer_print(out, "%c", *text);
    }
    buffer_print(out, "\"");
}
