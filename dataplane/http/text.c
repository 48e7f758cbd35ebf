#include "http/head.h"

#include <string.h>
#include <strings.h>

/* RFC 9110, 5.6.2 */
static const bool TOKEN_CHARACTERS[256] = {
    ['0' ... '9'] = true, ['A' ... 'Z'] = true, ['a' ... 'z'] = true, ['!'] = true, ['#'] = true, ['$'] = true,
    ['%'] = true,         ['&'] = true,         ['\''] = true,        ['*'] = true, ['+'] = true, ['-'] = true,
    ['.'] = true,         ['^'] = true,         ['_'] = true,         ['`'] = true, ['|'] = true, ['~'] = true,
};

bool http_text_is_token(struct http_text text)
{
    for (size_t i = 0; i < text.length; i++)
        if (!TOKEN_CHARACTERS[(unsigned char)text.text[i]])
            return false;
    return text.length != 0;
}

bool http_text_equals(struct http_text text, const char *other)
{
    return text.length == strlen(other) && memcmp(text.text, other, text.length) == 0;
}

bool http_text_equals_ignoring_case(struct http_text text, const char *other)
{
    return text.length == strlen(other) && strncasecmp(text.text, other, text.length) == 0;
}

struct http_text http_text_split(struct http_text *text, char separator)
{
    const char *found = text->length == 0 ? NULL : memchr(text->text, separator, text->length);
    struct http_text first = *text;

    if (!found) {
        text->text += text->length;
        text->length = 0;
        return first;
    }
    first.length = (size_t)(found - text->text);
    text->text += first.length + 1;
    text->length -= first.length + 1;
    return first;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

struct http_text http_text_trim(struct http_text text)
{
    while (text.length != 0 && is_blank(text.text[0])) {
        text.text++;
        text.length--;
    }
    while (text.length != 0 && is_blank(text.text[text.length - 1]))
        text.length--;
    return text;
}
