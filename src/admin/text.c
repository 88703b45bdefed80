/* Text for people and programs, piece by piece. */
#include "admin/inside.h"

#include <stdarg.h>
#include <stdio.h>

void admin_add(struct buffer *out, const char *format, ...)
{
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (size > 0)
        (void)!buffer_append(out, text,
                             (size_t)size < sizeof text ? (size_t)size : sizeof text - 1);
}

void admin_add_text(struct buffer *out, const char *text)
{
    admin_add(out, "\"");
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            admin_add(out, "\\%c", *text);
        else if ((unsigned char)*text < 32)
            admin_add(out, "\\u%04x", *text);
        else
            admin_add(out, "%c", *text);
    }
    admin_add(out, "\"");
}
