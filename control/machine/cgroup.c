#include "machine/cgroup.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A piece of a text. */
struct span {
    const char *text;
    size_t length;
};

/* Cuts `item` off `rest`: what comes before the next `separator`, or all of it if there is none. False if `rest` is empty. */
static bool span_next(struct span *rest, char separator, struct span *item)
{
    const char *end;

    if (rest->length == 0)
        return false;
    end = memchr(rest->text, separator, rest->length);
    item->text = rest->text;
    item->length = end ? (size_t)(end - rest->text) : rest->length;
    rest->text += item->length + (end ? 1 : 0);
    rest->length -= item->length + (end ? 1 : 0);
    return true;
}

static bool span_is(struct span span, const char *text)
{
    return span.length == strlen(text) && memcmp(span.text, text, span.length) == 0;
}

/* True if a list separated by commas has `word`. */
static bool list_has(struct span list, const char *word)
{
    struct span item;

    while (span_next(&list, ',', &item))
        if (span_is(item, word))
            return true;
    return false;
}

/* Copies a path, less a slash at its end. False if it is too long. */
static bool copy_path(char path[PATH_MAX], struct span span)
{
    if (span.length > 0 && span.text[span.length - 1] == '/')
        span.length--;
    if (span.length >= PATH_MAX)
        return false;
    memcpy(path, span.text, span.length);
    path[span.length] = '\0';
    return true;
}

/* Decodes the blanks, backslashes and line ends of a path, which mountinfo has as octal numbers: \040. */
static void unescape(char *path)
{
    char *to = path;
    unsigned letter;
    int digits;

    for (const char *from = path; *from; to++)
        if (*from == '\\' && sscanf(from + 1, "%3o%n", &letter, &digits) == 1) {
            *to = (char)letter;
            from += 1 + digits;
        } else {
            *to = *from++;
        }
    *to = '\0';
}

/* The group's path in its hierarchy, from the line "id:controllers:path", where v2 has no controllers; "" for the root. */
static bool find_group(char group[PATH_MAX], const char *membership, const char *controller)
{
    struct span rest = {membership, strlen(membership)}, line, id, controllers;

    while (span_next(&rest, '\n', &line))
        if (span_next(&line, ':', &id) && span_next(&line, ':', &controllers) &&
            (controller ? list_has(controllers, controller) : controllers.length == 0))
            return copy_path(group, line);
    return false;
}

/* A mount of a hierarchy: its groups from `root` on ("": all) are seen below `point`. */
struct mount {
    char root[PATH_MAX], point[PATH_MAX];
};

/* A line of mountinfo: "id parent major:minor root point options [tag...] - type source super-options". False if of another hierarchy. */
static bool parse_mount(struct mount *mount, struct span line, const char *controller)
{
    struct span field = {NULL, 0}, root, point, type, source;

    for (unsigned i = 0; i < 3; i++)
        if (!span_next(&line, ' ', &field))
            return false;
    if (!span_next(&line, ' ', &root) || !span_next(&line, ' ', &point))
        return false;
    while (!span_is(field, "-"))
        if (!span_next(&line, ' ', &field))
            return false;
    if (!span_next(&line, ' ', &type) || !span_next(&line, ' ', &source))
        return false;
    if (controller ? !span_is(type, "cgroup") || !list_has(line, controller) : !span_is(type, "cgroup2"))
        return false;
    if (!copy_path(mount->root, root) || !copy_path(mount->point, point))
        return false;
    unescape(mount->root);
    unescape(mount->point);
    return true;
}

/* True if `path` is `start` or lies below it. */
static bool begins_with(const char *path, const char *start)
{
    size_t length = strlen(start);

    return strncmp(path, start, length) == 0 && (path[length] == '\0' || path[length] == '/');
}

/* The part of the group's path below `root`, or NULL if the group lies elsewhere: a namespace shows groups outside of it as "/../name". */
static const char *path_below(const char *group, const char *root)
{
    return begins_with(group, root) && !begins_with(group, "/..") ? group + strlen(root) : NULL;
}

int cgroup_find(struct cgroup_directory *directory, const char *membership, const char *mountinfo, const char *controller)
{
    struct span rest = {mountinfo, strlen(mountinfo)}, line;
    const char *below = NULL;
    struct mount mount, seen;
    bool is_mounted = false;
    char group[PATH_MAX] = "";

    if (!find_group(group, membership, controller))
        return -ENOENT;
    while (!below && span_next(&rest, '\n', &line))
        if (parse_mount(&mount, line, controller)) {
            below = path_below(group, mount.root);
            if (below || !is_mounted)
                seen = mount;
            is_mounted = true;
        }
    if (!is_mounted)
        return -ENOENT;
    directory->mount_point_length = strlen(seen.point);
    if (snprintf(directory->path, PATH_MAX, "%s%s", seen.point, below ? below : "") >= PATH_MAX)
        return -ENAMETOOLONG;
    return 0;
}

bool cgroup_ascend(struct cgroup_directory *directory)
{
    char *slash = strrchr(directory->path, '/');

    if (!slash || (size_t)(slash - directory->path) < directory->mount_point_length)
        return false;
    *slash = '\0';
    return true;
}

uint64_t cgroup_parse_bytes(const char *text)
{
    unsigned long long bytes;
    char *end;

    if (*text < '0' || *text > '9')
        return UINT64_MAX;
    errno = 0;
    bytes = strtoull(text, &end, 10);
    return errno == 0 && (*end == '\0' || *end == '\n') ? bytes : UINT64_MAX;
}

uint64_t cgroup_parse_quota(const char *quota, const char *period)
{
    char *end = NULL;
    long long quota_us = strtoll(quota, &end, 10), period_us;

    if (end == quota || quota_us <= 0 || quota_us > LLONG_MAX / 1000)
        return UINT64_MAX;
    period_us = strtoll(period ? period : end, NULL, 10);
    return period_us <= 0 ? UINT64_MAX : (uint64_t)quota_us * 1000 / (uint64_t)period_us;
}
