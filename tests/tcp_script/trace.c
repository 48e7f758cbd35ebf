#include "tcp_script/trace.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void trace_add(struct trace *trace, uint64_t since_start_ns, const char *text)
{
    snprintf(trace->lines[trace->count++ % TRACE_LINES], TRACE_LINE_BYTES, "%12.6f %s", (double)since_start_ns / 1e9, text);
}

void trace_print(const struct trace *trace)
{
    for (unsigned i = trace->count > TRACE_LINES ? trace->count - TRACE_LINES : 0; i < trace->count; i++)
        printf("    %s\n", trace->lines[i % TRACE_LINES]);
}

__attribute__((format(printf, 2, 3))) static void add(char *text, const char *format, ...)
{
    size_t length = strlen(text);
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text + length, TRACE_LINE_BYTES - length, format, arguments);
    va_end(arguments);
}

static void add_flags(char *text, uint8_t flags)
{
    static const char marks[] = "FSRP.UEC";

    for (unsigned i = 0; i < 8; i++)
        if (flags & 1 << i)
            add(text, "%c", marks[i]);
}

static void add_options(char *text, const struct wire_packet_options *options)
{
    if (options->has_mss)
        add(text, " mss %u", options->mss);
    if (options->has_sack_permitted)
        add(text, " sackOK");
    if (options->has_scale)
        add(text, " wscale %u", options->scale);
    if (options->has_timestamps)
        add(text, " TS val %u ecr %u", options->timestamp, options->timestamp_echo);
    for (unsigned i = 0; i < options->sack_count; i++)
        add(text, "%s%u:%u", i > 0 ? " " : " sack ", options->sacks[i].left, options->sacks[i].right);
}

static void add_range(char *text, uint32_t sequence, size_t length)
{
    add(text, " %u:%u(%zu)", sequence, sequence + (uint32_t)length, length);
}

static void add_segment(char *text, const struct script_segment *segment)
{
    add_flags(text, segment->flags);
    add_range(text, segment->sequence, segment->payload_bytes);
    if (segment->has_acknowledgement)
        add(text, " ack %u", segment->acknowledgement);
    if (segment->has_window)
        add(text, " win %u", segment->window);
    if (segment->cut_bytes > 0)
        add(text, " cut %u", segment->cut_bytes);
    if (segment->has_options) {
        add(text, " <");
        add_options(text, &segment->options);
        add(text, "%s>", segment->any_options ? "..." : " ");
    }
}

static void add_icmp(char *text, const struct script_icmp *icmp)
{
    static const char *const kinds[] = {"too_big", "unreachable", "echo"};

    add(text, "icmp %s %u", kinds[icmp->kind], icmp->value);
    if (icmp->kind != ICMP_ECHO)
        add(text, " %u", icmp->sequence);
}

/* Steps that consist of words, and what is written behind them. */
static const struct {
    const char *words;
    bool has_number;
} actions[] = {
    [STEP_ICMP_OUT] = {"> icmp echo", true},
    [STEP_PUBLISH] = {"publish", true},
    [STEP_CONTROL] = {"control", true},
    [STEP_FINISH] = {"finish", false},
    [STEP_ABORT] = {"abort", false},
    [STEP_CONSUME] = {"consume", true},
    [STEP_RESUME] = {"resume", false},
    [STEP_PAUSE_ACCEPTING] = {"pause accepting", false},
    [STEP_RESUME_ACCEPTING] = {"resume accepting", false},
    [STEP_STOP_LISTENING] = {"stop listening", false},
    [STEP_PEER] = {"peer", true},
    [STEP_ACCEPTED] = {"accepted", false},
    [STEP_RECEIVED] = {"received", true},
    [STEP_RECEIVED_END] = {"received end", false},
    [STEP_CLOSED] = {"closed", true},
    [STEP_BLOCKED] = {"blocked", false},
    [STEP_NOT_BLOCKED] = {"not blocked", false},
    [STEP_HOLDS_NOTHING] = {"holds nothing", false},
    [STEP_OPEN] = {"open", true},
    [STEP_NOTHING] = {"nothing", false},
};

static void add_action(char *text, enum script_kind kind, uint64_t number)
{
    add(text, "%s", actions[kind].words);
    if (!actions[kind].has_number)
        return;
    if (kind == STEP_CLOSED && number != 0)
        add(text, " %s", strerrorname_np((int)number));
    else if (number == UINT64_MAX)
        add(text, " all");
    else
        add(text, " %llu", (unsigned long long)number);
}

const char *trace_format_step(const struct script_step *step, char *text)
{
    text[0] = '\0';
    switch (step->kind) {
    case STEP_IN:
    case STEP_OUT:
        add(text, step->kind == STEP_IN ? "< " : "> ");
        add_segment(text, &step->segment);
        break;
    case STEP_ICMP_IN:
    case STEP_ICMP_OUT:
        add(text, step->kind == STEP_ICMP_IN ? "< " : "> ");
        add_icmp(text, &step->icmp);
        break;
    default:
        add_action(text, step->kind, step->number);
    }
    return text;
}

const char *trace_format_event(const struct stage_event *event, char *text)
{
    const struct wire_packet *packet = &event->packet;

    text[0] = '\0';
    if (event->kind == STEP_OUT) {
        add(text, "> ");
        add_flags(text, packet->flags);
        add_range(text, packet->sequence, packet->payload_bytes);
        if (packet->flags & WIRE_ACK)
            add(text, " ack %u", packet->acknowledgement);
        add(text, " win %u <", packet->window);
        add_options(text, &packet->options);
        add(text, " >");
    } else {
        add_action(text, event->kind, event->number);
    }
    if (event->peer > 0)
        add(text, " (peer %u)", event->peer);
    if (event->error)
        add(text, ": %s", event->error);
    return text;
}
