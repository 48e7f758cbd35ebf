#include "tcp_script/script.h"

#include "flashrelay/clock.h"
#include "tcp_script/scan.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* How an argument of an action is read. */
enum argument { ARGUMENT_NONE, ARGUMENT_NUMBER, ARGUMENT_LIMIT, ARGUMENT_ERROR };

static const struct action {
    const char *words[2];
    enum script_kind kind;
    enum argument argument;
    uint64_t maximum;
} actions[] = {
    {{"publish"}, STEP_PUBLISH, ARGUMENT_NUMBER, 1 << 20},
    {{"control"}, STEP_CONTROL, ARGUMENT_NUMBER, 1 << 16},
    {{"finish"}, STEP_FINISH, ARGUMENT_NONE, 0},
    {{"abort"}, STEP_ABORT, ARGUMENT_NONE, 0},
    {{"consume"}, STEP_CONSUME, ARGUMENT_LIMIT, 1 << 20},
    {{"resume", "accepting"}, STEP_RESUME_ACCEPTING, ARGUMENT_NONE, 0},
    {{"resume"}, STEP_RESUME, ARGUMENT_NONE, 0},
    {{"pause", "accepting"}, STEP_PAUSE_ACCEPTING, ARGUMENT_NONE, 0},
    {{"stop", "listening"}, STEP_STOP_LISTENING, ARGUMENT_NONE, 0},
    {{"peer"}, STEP_PEER, ARGUMENT_NUMBER, SCRIPT_PEERS - 1},
    {{"accepted"}, STEP_ACCEPTED, ARGUMENT_NONE, 0},
    {{"received", "end"}, STEP_RECEIVED_END, ARGUMENT_NONE, 0},
    {{"received"}, STEP_RECEIVED, ARGUMENT_NUMBER, 1 << 20},
    {{"closed"}, STEP_CLOSED, ARGUMENT_ERROR, 0},
    {{"blocked"}, STEP_BLOCKED, ARGUMENT_NONE, 0},
    {{"not", "blocked"}, STEP_NOT_BLOCKED, ARGUMENT_NONE, 0},
    {{"holds", "nothing"}, STEP_HOLDS_NOTHING, ARGUMENT_NONE, 0},
    {{"open"}, STEP_OPEN, ARGUMENT_NUMBER, SCRIPT_PEERS},
    {{"nothing"}, STEP_NOTHING, ARGUMENT_NONE, 0},
};

static bool read_error(struct scan *scan, uint64_t *number)
{
    static const struct {
        const char *name;
        int value;
    } errors[] = {{"0", 0}, {"ECONNRESET", ECONNRESET}, {"ETIMEDOUT", ETIMEDOUT}, {"EHOSTUNREACH", EHOSTUNREACH}};

    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++)
        if (scan_word(scan, errors[i].name)) {
            *number = (uint64_t)errors[i].value;
            return true;
        }
    return false;
}

static const char *read_argument(struct scan *scan, const struct action *action, struct script_step *step)
{
    switch (action->argument) {
    case ARGUMENT_NONE:
        return NULL;
    case ARGUMENT_LIMIT:
        step->number = UINT64_MAX;
        if (scan_word(scan, "all") || scan_number(scan, &step->number, action->maximum))
            return NULL;
        return "expected a number of bytes or all";
    case ARGUMENT_ERROR:
        return read_error(scan, &step->number) ? NULL : "expected 0, ECONNRESET, ETIMEDOUT or EHOSTUNREACH";
    case ARGUMENT_NUMBER:
    default:
        return scan_number(scan, &step->number, action->maximum) ? NULL : "the action needs a number that is not too large";
    }
}

static const char *read_action(struct scan *scan, struct script_step *step)
{
    for (size_t i = 0; i < sizeof actions / sizeof *actions; i++) {
        struct scan ahead = *scan;

        if (!scan_word(&ahead, actions[i].words[0]) || (actions[i].words[1] && !scan_word(&ahead, actions[i].words[1])))
            continue;
        *scan = ahead;
        step->kind = actions[i].kind;
        return read_argument(scan, &actions[i], step);
    }
    return "expected <, > or an action";
}

static const char *read_icmp(struct scan *scan, struct script_icmp *icmp, bool is_answer)
{
    uint64_t value, sequence = 0;

    if (scan_word(scan, "echo") && scan_number(scan, &value, 8000)) {
        icmp->kind = ICMP_ECHO;
    } else if (is_answer) {
        return "expected icmp echo LENGTH";
    } else {
        icmp->kind = scan_word(scan, "too_big") ? ICMP_TOO_BIG : ICMP_UNREACHABLE;
        if ((icmp->kind == ICMP_UNREACHABLE && !scan_word(scan, "unreachable")) || !scan_number(scan, &value, UINT16_MAX) ||
            !scan_number(scan, &sequence, UINT32_MAX))
            return "expected icmp echo LENGTH, too_big MTU SEQUENCE or unreachable CODE SEQUENCE";
    }
    icmp->value = (uint16_t)value;
    icmp->sequence = (uint32_t)sequence;
    return NULL;
}

/* "+1", "+1~+1.1" or "*". */
static const char *read_time(struct scan *scan, struct script_step *step)
{
    step->any_time = scan_mark(scan, '*');
    if (step->any_time)
        return NULL;
    if (!scan_mark(scan, '+') || !scan_seconds(scan, &step->earliest_ns))
        return "a line begins with +SECONDS, +SECONDS~+SECONDS or *";
    step->latest_ns = step->earliest_ns;
    if (!scan_mark(scan, '~'))
        return NULL;
    if (!scan_mark(scan, '+') || !scan_seconds(scan, &step->latest_ns) || step->latest_ns < step->earliest_ns)
        return "expected +SECONDS~+SECONDS, the smaller first";
    return NULL;
}

static const char *read_step(struct scan *scan, struct script_step *step)
{
    const char *error = read_time(scan, step);
    bool is_in;

    if (error)
        return error;
    is_in = scan_mark(scan, '<');
    if (!is_in && !scan_mark(scan, '>')) {
        error = read_action(scan, step);
    } else if (scan_word(scan, "icmp")) {
        step->kind = is_in ? STEP_ICMP_IN : STEP_ICMP_OUT;
        error = read_icmp(scan, &step->icmp, !is_in);
    } else {
        step->kind = is_in ? STEP_IN : STEP_OUT;
        error = script_read_segment(scan, &step->segment);
        if (!error && is_in && step->segment.cut_bytes > 0)
            error = "cut is for what the engine sends";
    }
    if (!error && !scan_is_at_end(scan))
        error = "there is something after the end of the action";
    return error;
}

/* Reads a line that holds for the whole script. */
static const char *read_setting(struct scan *scan, struct script_settings *settings)
{
    uint64_t number;

    if (scan_word(scan, "family")) {
        if (!scan_number(scan, &number, 6) || (number != 4 && number != 6))
            return "expected family 4 or 6";
        settings->is_v6 = number == 6;
    } else if (scan_word(scan, "mtu") && scan_number(scan, &number, 9000)) {
        settings->mtu = (uint16_t)number;
    } else if (scan_word(scan, "tso") && scan_number(scan, &number, 1 << 18)) {
        settings->tso_bytes = (uint32_t)number;
    } else if (scan_word(scan, "connections") && scan_number(scan, &number, 1024)) {
        settings->max_connections = (uint32_t)number;
    } else if (scan_word(scan, "isn") && scan_number(scan, &number, UINT32_MAX)) {
        settings->has_initial = true;
        settings->initial_sequence = (uint32_t)number;
    } else {
        return "expected a time, or family, mtu, tso, connections or isn with a number";
    }
    return scan_is_at_end(scan) ? NULL : "there is something after the setting";
}

static int add_step(struct script *script, const struct script_step *step)
{
    struct script_step *grown = realloc(script->steps, (script->count + 1) * sizeof *grown);

    if (!grown)
        return -ENOMEM;
    script->steps = grown;
    script->steps[script->count++] = *step;
    return 0;
}

static const char *read_line(struct script *script, char *text, unsigned line)
{
    struct scan scan = {.at = text};
    struct script_step step = {.line = line};
    const char *error;

    text[strcspn(text, "#\n")] = '\0';
    if (scan_is_at_end(&scan))
        return NULL;
    if (*scan.at != '+' && *scan.at != '*')
        return script->count == 0 ? read_setting(&scan, &script->settings) : "settings stand before the first step";
    error = read_step(&scan, &step);
    if (!error && add_step(script, &step) != 0)
        error = "out of memory";
    return error;
}

int script_load(struct script *script, const char *path)
{
    FILE *file = fopen(path, "re");
    char text[512];
    int result = 0;

    *script = (struct script){.settings = {.mtu = 1500, .max_connections = SCRIPT_PEERS}};
    if (!file) {
        result = -errno;
        printf("%s: %s\n", path, strerror(errno));
        return result;
    }
    for (unsigned line = 1; result == 0 && fgets(text, sizeof text, file); line++) {
        const char *error = read_line(script, text, line);

        if (error) {
            printf("%s:%u: %s\n", path, line, error);
            result = -EINVAL;
        }
    }
    if (result == 0 && script->count == 0) {
        printf("%s: there is no step\n", path);
        result = -EINVAL;
    }
    fclose(file);
    return result;
}

void script_dispose(struct script *script)
{
    free(script->steps);
}
