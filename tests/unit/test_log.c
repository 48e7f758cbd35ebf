/* Log lines: formats, escaping, levels, the limit on repeats, and a reader that stalls. */
#include "flashrelay/clock.h"
#include "flashrelay/log.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static int ends[2];
static char text[65536 + 1]; /* a whole pipe */

static int open_pipe(void **state)
{
    (void)state;
    return pipe2(ends, O_CLOEXEC | O_NONBLOCK);
}

static int close_pipe(void **state)
{
    (void)state;
    close(ends[0]);
    close(ends[1]);
    return 0;
}

/* What was logged since the last call. */
static const char *read_log(void)
{
    ssize_t length = read(ends[0], text, sizeof text - 1);

    text[length > 0 ? length : 0] = 0;
    return text;
}

static unsigned count_lines(const char *lines)
{
    unsigned count = 0;

    for (; *lines; lines++)
        count += *lines == '\n';
    return count;
}

static void text_line(void **state)
{
    const char *line;

    (void)state;
    log_configure(LOG_INFO, LOG_TEXT, ends[1]);
    log_line(LOG_WARN, "module", "answer %d", 42);
    line = read_log();
    assert_int_equal(line[4], '-');
    assert_int_equal(line[26], 'Z');
    assert_string_equal(line + 27, "  WARN module: answer 42\n");
}

static void json_line_escapes(void **state)
{
    const char *line;

    (void)state;
    log_configure(LOG_INFO, LOG_JSON, ends[1]);
    log_line(LOG_ERROR, "module", "say \"hi\\\"\n\x01 \xc3\xa9 \xff\xc3(");
    line = read_log();
    assert_memory_equal(line, "{\"timestamp\":\"", 14);
    assert_string_equal(line + 14 + 27, "\",\"level\":\"ERROR\",\"fields\":{\"message\":\"say \\\"hi\\\\\\\"\\u000a\\u0001 "
                                        "\xc3\xa9 \xef\xbf\xbd\xef\xbf\xbd(\"},\"target\":\"module\"}\n");
}

static void logfmt_line(void **state)
{
    (void)state;
    log_configure(LOG_INFO, LOG_LOGFMT, ends[1]);
    log_line(LOG_INFO, "module", "say \"hi\"");
    assert_memory_equal(read_log(), "time=\"", 6);
    assert_string_equal(text + 6 + 27, "\" level=INFO target=module msg=\"say \\\"hi\\\"\"\n");
}

static void text_line_stays_one_line(void **state)
{
    (void)state;
    log_configure(LOG_INFO, LOG_TEXT, ends[1]);
    log_line(LOG_INFO, "module", "a\r\nb\x7f");
    assert_string_equal(read_log() + 27, "  INFO module: a\\x0d\\x0ab\\x7f\n");
}

static void no_utf8_is_let_through_that_is_none(void **state)
{
    static const char *const bad[] = {"\xc0\xaf", "\xe0\x9f\xbf", "\xed\xa0\x80", "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf8"};

    (void)state;
    log_configure(LOG_INFO, LOG_TEXT, ends[1]);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct log_site site = {0};
        log_write(&site, LOG_INFO, "m", "%s", bad[i]);
        assert_memory_equal(read_log() + 27, "  INFO m: \xef\xbf\xbd", 13);
        assert_null(strstr(text, bad[i]));
    }
}

static void levels_are_obeyed(void **state)
{
    (void)state;
    log_configure(LOG_WARN, LOG_TEXT, ends[1]);
    log_line(LOG_INFO, "module", "not shown");
    log_line(LOG_WARN, "module", "shown");
    assert_int_equal(count_lines(read_log()), 1);
    log_configure(LOG_OFF, LOG_TEXT, ends[1]);
    log_line(LOG_ERROR, "module", "not shown");
    assert_int_equal(count_lines(read_log()), 0);
}

static void long_message_is_cut(void **state)
{
    char *message = calloc(1, 10000);
    const char *line;

    (void)state;
    memset(message, '\x01', 9999);
    log_configure(LOG_INFO, LOG_JSON, ends[1]);
    log_line(LOG_INFO, "module", "%s", message);
    line = read_log();
    assert_true(strlen(line) <= 4096);
    assert_string_equal(line + strlen(line) - strlen("\\u0001\"},\"target\":\"module\"}\n"),
                        "\\u0001\"},\"target\":\"module\"}\n");
    free(message);
}

static void repeats_are_limited_and_counted(void **state)
{
    struct log_site site = {0}, other = {0};

    (void)state;
    log_configure(LOG_INFO, LOG_TEXT, ends[1]);
    for (int i = 0; i < LOG_SITE_LINES_PER_S + 7; i++) {
        /* The clock is real: hold the window open however slow the machine is. */
        atomic_store(&site.window_start_ns, clock_monotonic_ns());
        log_write(&site, LOG_INFO, "module", "again");
    }
    assert_int_equal(count_lines(read_log()), LOG_SITE_LINES_PER_S);
    log_write(&other, LOG_INFO, "module", "another site");
    assert_non_null(strstr(read_log(), "another site\n"));
    atomic_store(&site.window_start_ns, 1);
    log_write(&site, LOG_INFO, "module", "again");
    assert_non_null(strstr(read_log(), "again (7 like it not shown)\n"));
}

static void stalled_reader_blocks_nobody(void **state)
{
    unsigned written = 0;

    (void)state;
    fcntl(ends[1], F_SETFL, 0); /* a blocking descriptor, as standard output usually is */
    log_configure(LOG_INFO, LOG_TEXT, ends[1]);
    for (int i = 0; i < 5000; i++) {
        struct log_site site = {0};
        log_write(&site, LOG_INFO, "module", "%0400d", i);
    }
    for (unsigned lines; (lines = count_lines(read_log())) > 0;)
        written += lines;
    assert_in_range(written, 1, 4999);
    log_line(LOG_INFO, "module", "back");
    assert_non_null(strstr(read_log(), "lines lost"));
    assert_int_equal(atoi(strstr(text, "back (") + 6), 5000 - written);
}

static void second_sink_has_its_own_format(void **state)
{
    int second[2];
    char line[512] = {0};

    (void)state;
    assert_int_equal(pipe2(second, O_CLOEXEC), 0);
    log_configure(LOG_INFO, LOG_TEXT, ends[1]);
    log_add_sink(LOG_JSON, second[1]);
    log_line(LOG_INFO, "module", "both");
    assert_string_equal(read_log() + 27, "  INFO module: both\n");
    assert_true(read(second[0], line, sizeof line - 1) > 0);
    assert_non_null(strstr(line, "\"message\":\"both\""));
    close(second[0]);
    close(second[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(text_line, open_pipe, close_pipe),
        cmocka_unit_test_setup_teardown(json_line_escapes, open_pipe, close_pipe),
        cmocka_unit_test_setup_teardown(logfmt_line, open_pipe, close_pipe),
        cmocka_unit_test_setup_teardown(text_line_stays_one_line, open_pipe, close_pipe),
        cmocka_unit_test_setup_teardown(no_utf8_is_let_through_that_is_none, open_pipe, close_pipe),
        cmocka_unit_test_setup_teardown(levels_are_obeyed, open_pipe, close_pipe),
        cmocka_unit_test_setup_teardown(long_message_is_cut, open_pipe, close_pipe),
        cmocka_unit_test_setup_teardown(repeats_are_limited_and_counted, open_pipe, close_pipe),
        cmocka_unit_test_setup_teardown(stalled_reader_blocks_nobody, open_pipe, close_pipe),
        cmocka_unit_test_setup_teardown(second_sink_has_its_own_format, open_pipe, close_pipe),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
