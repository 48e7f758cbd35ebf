#include "tcp_script/scan.h"
#include "tcp_script/script.h"

static uint8_t read_flags(struct scan *scan)
{
    static const struct {
        char mark;
        uint8_t flag;
    } marks[] = {{'S', WIRE_SYN}, {'F', WIRE_FIN}, {'R', WIRE_RST}, {'P', WIRE_PSH}, {'U', WIRE_URG}, {'.', WIRE_ACK}};
    uint8_t flags = 0;

    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++)
        if (scan_mark(scan, marks[i].mark)) {
            flags |= marks[i].flag;
            i = (size_t)-1;
        }
    return flags;
}

static const char *read_sacks(struct scan *scan, struct wire_packet_options *options)
{
    uint64_t left, right;

    while (scan_number(scan, &left, UINT32_MAX)) {
        if (!scan_mark(scan, ':') || !scan_number(scan, &right, UINT32_MAX))
            return "a SACK block is written LEFT:RIGHT";
        if (options->sack_count == WIRE_SACK_BLOCKS)
            return "there are at most four SACK blocks";
        options->sacks[options->sack_count++] = (struct wire_packet_sack){(uint32_t)left, (uint32_t)right};
    }
    return options->sack_count > 0 ? NULL : "expected SACK blocks";
}

static const char *read_timestamps(struct scan *scan, struct wire_packet_options *options)
{
    uint64_t value, echo;

    if (!scan_word(scan, "val") || !scan_number(scan, &value, UINT32_MAX) || !scan_word(scan, "ecr") ||
        !scan_number(scan, &echo, UINT32_MAX))
        return "timestamps are written TS val N ecr N";
    options->has_timestamps = true;
    options->timestamp = (uint32_t)value;
    options->timestamp_echo = (uint32_t)echo;
    return NULL;
}

static const char *read_option(struct scan *scan, struct wire_packet_options *options)
{
    uint64_t number;

    if (scan_word(scan, "nop") || scan_word(scan, "eol"))
        return NULL;
    if (scan_word(scan, "sackOK")) {
        options->has_sack_permitted = true;
        return NULL;
    }
    if (scan_word(scan, "mss")) {
        options->has_mss = scan_number(scan, &number, UINT16_MAX);
        options->mss = (uint16_t)number;
        return options->has_mss ? NULL : "expected mss and a number up to 65535";
    }
    if (scan_word(scan, "wscale")) {
        options->has_scale = scan_number(scan, &number, UINT8_MAX);
        options->scale = (uint8_t)number;
        return options->has_scale ? NULL : "expected wscale and a number up to 255";
    }
    if (scan_word(scan, "sack"))
        return read_sacks(scan, options);
    if (scan_word(scan, "TS"))
        return read_timestamps(scan, options);
    return "expected mss, wscale, sackOK, sack, TS, nop or eol";
}

/* What follows the first dot of "<...>". */
static bool read_other_dots(struct scan *scan)
{
    for (unsigned i = 0; i < 2; i++)
        if (!scan_mark(scan, '.'))
            return false;
    return scan_mark(scan, '>');
}

static const char *read_options(struct scan *scan, struct script_segment *segment)
{
    segment->has_options = true;
    if (scan_mark(scan, '.')) {
        segment->any_options = read_other_dots(scan);
        return segment->any_options ? NULL : "expected <...>";
    }
    if (scan_mark(scan, '>'))
        return NULL;
    do {
        const char *error = read_option(scan, &segment->options);

        if (error)
            return error;
    } while (scan_mark(scan, ','));
    return scan_mark(scan, '>') ? NULL : "expected , or > after an option";
}

static const char *read_range(struct scan *scan, struct script_segment *segment)
{
    uint64_t from, to, length;

    if (!scan_number(scan, &from, UINT32_MAX) || !scan_mark(scan, ':') || !scan_number(scan, &to, UINT32_MAX) ||
        !scan_mark(scan, '(') || !scan_number(scan, &length, UINT32_MAX) || !scan_mark(scan, ')'))
        return "expected FIRST:LAST(LENGTH)";
    if ((uint32_t)(to - from) != length)
        return "the length is not the difference of the sequence numbers";
    segment->sequence = (uint32_t)from;
    segment->payload_bytes = (uint32_t)length;
    return NULL;
}

const char *script_read_segment(struct scan *scan, struct script_segment *segment)
{
    uint64_t number;
    const char *error;

    segment->flags = read_flags(scan);
    error = read_range(scan, segment);
    while (!error && !scan_is_at_end(scan)) {
        if (scan_word(scan, "ack") && scan_number(scan, &number, UINT32_MAX)) {
            segment->has_acknowledgement = true;
            segment->acknowledgement = (uint32_t)number;
        } else if (scan_word(scan, "win") && scan_number(scan, &number, UINT16_MAX)) {
            segment->has_window = true;
            segment->window = (uint16_t)number;
        } else if (scan_word(scan, "cut") && scan_number(scan, &number, UINT16_MAX) && number > 0) {
            segment->cut_bytes = (uint32_t)number;
        } else if (scan_word(scan, "badsum")) {
            segment->is_damaged = true;
        } else if (scan_mark(scan, '<')) {
            error = read_options(scan, segment);
        } else {
            error = "expected ack, win, cut, badsum or <options>";
        }
    }
    if (!error && segment->has_acknowledgement != ((segment->flags & WIRE_ACK) != 0))
        error = "the flag . and ack go together";
    return error;
}
