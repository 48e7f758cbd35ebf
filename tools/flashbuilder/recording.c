#include "flashbuilder/recording.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#define ID_DIGITS 16

/* The 16 digits of "payload_id":"0x...", or NULL. */
static char *find_payload_id(char *text)
{
    static const char name[] = "\"payload_id\"";
    char *at = strstr(text, name);

    if (!at)
        return NULL;
    at += sizeof name - 1;
    at += strspn(at, " \t");
    if (*at++ != ':')
        return NULL;
    at += strspn(at, " \t");
    if (strncmp(at, "\"0x", 3) != 0 || strspn(at + 3, "0123456789abcdefABCDEF") != ID_DIGITS || at[3 + ID_DIGITS] != '"')
        return NULL;
    return at + 3;
}

static int add_line(struct recording *recording, const char *text, size_t length)
{
    struct recorded_line *lines = realloc(recording->lines, (recording->count + 1) * sizeof *lines);
    struct recorded_line *line;

    if (!lines)
        return -ENOMEM;
    recording->lines = lines;
    line = &lines[recording->count];
    line->text = strndup(text, length);
    if (!line->text)
        return -ENOMEM;
    recording->count++;
    line->length = length;
    line->payload_id = find_payload_id(line->text);
    if (!line->payload_id)
        return -EBADMSG;
    line->original_id = strtoull(line->payload_id, NULL, ID_DIGITS);
    if (length > recording->longest_bytes)
        recording->longest_bytes = length;
    return 0;
}

static int read_lines(struct recording *recording, FILE *file, size_t *bad_line)
{
    char *text = NULL;
    size_t capacity = 0;
    int result = 0;

    *bad_line = 0;
    while (result == 0 && getline(&text, &capacity, file) >= 0) {
        size_t length = strcspn(text, "\r\n");

        ++*bad_line;
        if (length > 0)
            result = add_line(recording, text, length);
    }
    if (result == 0 && ferror(file))
        result = -EIO;
    if (result == 0 && recording->count == 0)
        result = -ENODATA;
    free(text);
    return result;
}

int recording_load(struct recording *recording, const char *path, size_t *bad_line)
{
    FILE *file = fopen(path, "re");
    int result;

    *recording = (struct recording){0};
    if (!file)
        return -errno;
    result = read_lines(recording, file, bad_line);
    fclose(file);
    if (result != 0)
        recording_dispose(recording);
    return result;
}

void recording_dispose(struct recording *recording)
{
    for (size_t i = 0; i < recording->count; i++)
        free(recording->lines[i].text);
    free(recording->lines);
    *recording = (struct recording){0};
}

const struct recorded_line *recording_next(struct recording *recording, bool same_ids)
{
    struct recorded_line *line = &recording->lines[recording->next];
    char digits[ID_DIGITS + 1];

    if (recording->pass > 0 && !same_ids) {
        uint64_t id = line->original_id ^ (recording->pass * UINT64_C(0x9e3779b97f4a7c15));

        snprintf(digits, sizeof digits, "%016" PRIx64, id);
        memcpy(line->payload_id, digits, ID_DIGITS);
    }
    recording->next = (recording->next + 1) % recording->count;
    if (recording->next == 0)
        recording->pass++;
    return line;
}
