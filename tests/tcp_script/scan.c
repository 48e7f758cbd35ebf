#include "tcp_script/scan.h"

#include "flashrelay/clock.h"

#include <ctype.h>
#include <string.h>

static void skip_blanks(struct scan *scan)
{
    while (isspace((unsigned char)*scan->at))
        scan->at++;
}

bool scan_is_at_end(struct scan *scan)
{
    skip_blanks(scan);
    return *scan->at == '\0';
}

bool scan_word(struct scan *scan, const char *text)
{
    size_t length = strlen(text);

    skip_blanks(scan);
    if (strncmp(scan->at, text, length) != 0)
        return false;
    if (isalnum((unsigned char)scan->at[length]) || scan->at[length] == '_')
        return false;
    scan->at += length;
    return true;
}

bool scan_mark(struct scan *scan, char mark)
{
    skip_blanks(scan);
    if (*scan->at != mark)
        return false;
    scan->at++;
    return true;
}

bool scan_number(struct scan *scan, uint64_t *number, uint64_t maximum)
{
    const char *at;

    skip_blanks(scan);
    *number = 0;
    for (at = scan->at; isdigit((unsigned char)*at); at++) {
        *number = 10 * *number + (uint64_t)(*at - '0');
        if (*number > maximum)
            return false;
    }
    if (at == scan->at)
        return false;
    scan->at = at;
    return true;
}

bool scan_seconds(struct scan *scan, uint64_t *ns)
{
    uint64_t seconds = 0, unit = NS_PER_S;
    const char *fraction;

    if (*scan->at != '.' && !scan_number(scan, &seconds, 1000000))
        return false;
    *ns = seconds * NS_PER_S;
    if (*scan->at != '.')
        return true;
    for (fraction = ++scan->at; isdigit((unsigned char)*scan->at) && unit > 1; scan->at++) {
        unit /= 10;
        *ns += (uint64_t)(*scan->at - '0') * unit;
    }
    return scan->at > fraction && !isdigit((unsigned char)*scan->at);
}
