#include "flashbench/proxy.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define MAX_BUILT_IN_FLAGS 8

struct built_in {
    const char *name;
    const char *flags[MAX_BUILT_IN_FLAGS]; /* each with its value; left out if the user gives the same flag */
};

/* Programs in the same folder as flashbench. Limits that are not measured are raised. */
static const struct built_in built_ins[] = {
    {"flashrelay",
     {"--upstream-ws {upstream}", "--listen-addr {listen}", "--shards 1", "--instance-connection-limit 19000",
      "--per-ip-connection-limit 0", "--metrics-addr {metrics}", "--log-level warn"}},
    {"bare_loop", {"{upstream} {listen}"}},
};

static const struct built_in *find_built_in(const char *text, size_t length)
{
    for (size_t i = 0; i < sizeof built_ins / sizeof built_ins[0]; i++)
        if (strlen(built_ins[i].name) == length && memcmp(built_ins[i].name, text, length) == 0)
            return &built_ins[i];
    return NULL;
}

static bool own_folder(char *folder, size_t capacity)
{
    char path[512];
    ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);

    if (length < 0)
        return false;
    path[length] = '\0';
    return snprintf(folder, capacity, "%s", dirname(path)) < (int)capacity;
}

/* True if the flag that `flag` begins with is among `given`. */
static bool is_given(const char *given, const char *flag)
{
    char name[64];

    snprintf(name, sizeof name, " %.*s", (int)strcspn(flag, " "), flag);
    const char *found = flag[0] == '-' ? strstr(given, name) : NULL;
    return found && strchr(" =", found[strlen(name)]);
}

/* The command line of a built-in program with the flags in `given` behind. False if it is too long. */
static bool expand_built_in(struct proxy *proxy, const struct built_in *built_in, const char *given)
{
    char folder[512];

    if (!own_folder(folder, sizeof folder))
        return false;
    size_t capacity = sizeof proxy->command;
    size_t length = (size_t)snprintf(proxy->command, capacity, "%s/%s", folder, built_in->name);
    for (unsigned i = 0; i < MAX_BUILT_IN_FLAGS && built_in->flags[i] && length < capacity; i++)
        if (!is_given(given, built_in->flags[i]))
            length += (size_t)snprintf(proxy->command + length, capacity - length, " %s", built_in->flags[i]);
    if (length < capacity)
        length += (size_t)snprintf(proxy->command + length, capacity - length, "%s", given);
    return length < capacity;
}

bool proxy_parse(struct proxy *proxy, const char *text)
{
    size_t label_length = strcspn(text, "= /");
    bool has_label = text[label_length] == '=' && label_length > 0;

    proxy->label[0] = '\0';
    if (has_label) {
        snprintf(proxy->label, sizeof proxy->label, "%.*s", (int)label_length, text);
        text += label_length + 1;
    }
    size_t program_length = strcspn(text, " ");
    const struct built_in *built_in = find_built_in(text, program_length);
    if (!has_label) {
        char program[256];
        snprintf(program, sizeof program, "%.*s", (int)program_length, text);
        snprintf(proxy->label, sizeof proxy->label, "%s", built_in ? text : basename(program));
    }
    if (built_in && !expand_built_in(proxy, built_in, text + program_length))
        return false;
    if (!built_in && snprintf(proxy->command, sizeof proxy->command, "%s", text) >= (int)sizeof proxy->command)
        return false;
    return strstr(proxy->command, "{upstream}") && strstr(proxy->command, "{listen}");
}

struct placeholder {
    const char *name;
    char value[ADDRESS_TEXT_BYTES];
};

/* The placeholder that `text` begins with, or NULL. */
static const struct placeholder *find_placeholder(const struct placeholder *placeholders, const char *text)
{
    for (; placeholders->name; placeholders++)
        if (strncmp(placeholders->name, text, strlen(placeholders->name)) == 0)
            return placeholders;
    return NULL;
}

/* Replaces the placeholders and splits the command into arguments; blanks between ' or " do not split. */
static void split_command(const char *command, const struct placeholder *placeholders, char *space, size_t capacity,
                          char **arguments)
{
    const char *end = space + capacity - 1;
    unsigned count = 0;
    char quote = '\0';

    while (*(command += strspn(command, " ")) != '\0' && count < PROXY_MAX_ARGUMENTS - 1) {
        arguments[count++] = space;
        while (*command != '\0' && (quote != '\0' || *command != ' ') && space < end) {
            const struct placeholder *placeholder = find_placeholder(placeholders, command);
            if (placeholder) {
                int n = snprintf(space, (size_t)(end - space), "%s", placeholder->value);
                space += n < end - space ? n : end - space;
                command += strlen(placeholder->name);
            } else if (quote != '\0' ? *command == quote : *command == '\'' || *command == '"') {
                quote = quote != '\0' ? '\0' : *command;
                command++;
            } else {
                *space++ = *command++;
            }
        }
        *space = '\0';
        space += space < end;
    }
    arguments[count] = NULL;
}

int proxy_start(const struct proxy *proxy, struct process *process, const struct proxy_addresses *addresses, const int *cores,
                unsigned core_count, const char *output)
{
    struct placeholder placeholders[] = {{"{upstream}", ""}, {"{listen}", ""}, {"{metrics}", ""}, {NULL, ""}};
    char space[2048], *arguments[PROXY_MAX_ARGUMENTS];
    int descriptor = open(output ? output : "/dev/null", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);

    if (descriptor < 0)
        return -errno;
    snprintf(placeholders[0].value, sizeof placeholders[0].value, "ws://127.0.0.1:%u/ws", addresses->upstream_port);
    address_format(&addresses->listen, placeholders[1].value);
    address_format(&addresses->metrics, placeholders[2].value);
    split_command(proxy->command, placeholders, space, sizeof space, arguments);
    const struct process_options options = {
        .arguments = arguments, .cores = cores, .core_count = core_count, .output = descriptor};
    int error = process_start(process, &options);
    close(descriptor);
    return error;
}

int proxy_free_address(struct address *address)
{
    struct sockaddr_storage sockaddr;
    socklen_t length;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), error = 0;

    address_parse(address, "127.0.0.1:0");
    length = address_to_sockaddr(address, &sockaddr);
    if (fd < 0 || bind(fd, (struct sockaddr *)&sockaddr, length) != 0 ||
        getsockname(fd, (struct sockaddr *)&sockaddr, &length) != 0)
        error = -errno;
    else
        address_from_sockaddr(address, (struct sockaddr *)&sockaddr);
    if (fd >= 0)
        close(fd);
    return error;
}
