/* Log lines: formats, escaping, levels, the limit on repeats, and the threads that write them. */
#include "flashrelay/clock.h"
#include "flashrelay/log.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static int ends[2];
static char text[65536 + 1]; /* as much as a pipe holds */

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

/* Returns what was logged since the last call. */
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
        log_write(&site, NULL, 0, LOG_INFO, "m", "%s", bad[i]);
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
        /* The log uses the real clock: restart the window of a second each time, so that it does not end on a slow machine. */
        atomic_store(&site.window_start_ns, clock_monotonic_ns());
        log_write(&site, NULL, 0, LOG_INFO, "module", "again");
    }
    assert_int_equal(count_lines(read_log()), LOG_SITE_LINES_PER_S);
    log_write(&other, NULL, 0, LOG_INFO, "module", "another site");
    assert_non_null(strstr(read_log(), "another site\n"));
    atomic_store(&site.window_start_ns, 1);
    log_write(&site, NULL, 0, LOG_INFO, "module", "again");
    assert_non_null(strstr(read_log(), "again (7 similar lines suppressed)\n"));
}

/* Logs an event of this peer; restarts the window of a second, so that it does not end. */
static void write_event(struct log_site *site, int peer)
{
    atomic_store(&site->window_start_ns, clock_monotonic_ns());
    log_write(site, &peer, sizeof peer, LOG_INFO, "module", "peer %d", peer);
}

static void a_noisy_peer_does_not_hide_the_others(void **state)
{
    struct log_peers peers = {0};
    struct log_site site = {.peers = &peers};

    (void)state;
    log_configure(LOG_INFO, LOG_TEXT, ends[1]);
    for (int i = 0; i < 5 * LOG_PEER_LINES_PER_S; i++)
        write_event(&site, 1);
    assert_int_equal(count_lines(read_log()), LOG_PEER_LINES_PER_S);
    write_event(&site, 2);
    assert_non_null(strstr(read_log(), "peer 2 (400 similar lines suppressed)\n"));
    atomic_store(&site.window_start_ns, 1);
    log_write(&site, "x", 1, LOG_INFO, "module", "the next second");
    write_event(&site, 1);
    assert_non_null(strstr(read_log(), "peer 1\n"));
}

static void events_of_many_peers_have_a_limit_too(void **state)
{
    struct log_peers peers = {0};
    struct log_site site = {.peers = &peers};
    unsigned lines = 0;

    (void)state;
    log_configure(LOG_INFO, LOG_TEXT, ends[1]);
    for (int i = 0; i < 2 * LOG_EVENT_LINES_PER_S; i++) {
        write_event(&site, i);
        if (i % 100 == 99)
            lines += count_lines(read_log());
    }
    assert_int_equal(lines, LOG_EVENT_LINES_PER_S);
}

/* --- with writer threads --- */

/* Writes `count` lines of about 450 bytes. */
static void write_long_lines(int count)
{
    for (int i = 0; i < count; i++) {
        struct log_site site = {0};
        log_write(&site, NULL, 0, LOG_INFO, "module", "%0400d", i);
    }
}

/* Starts the log on a pipe whose ends block, as those of a pipe usually do. */
static void start_on_a_blocking_pipe(void)
{
    fcntl(ends[0], F_SETFL, 0);
    fcntl(ends[1], F_SETFL, 0);
    log_configure(LOG_INFO, LOG_TEXT, ends[1]);
    assert_int_equal(log_start(), 0);
}

/* A thread that reads until the write end of the pipe is closed; returns all the text, to be freed. */
static void *read_all(void *unused)
{
    char *all = malloc(64 << 20);
    size_t length = 0;
    ssize_t got;

    (void)unused;
    while ((got = read(ends[0], all + length, 1 << 20)) > 0)
        length += (size_t)got;
    all[length] = 0;
    return all;
}

/* Stops the log, which the thread `reader` reads; returns all its lines, to be freed. */
static char *stop_and_join(pthread_t reader)
{
    void *all;

    log_stop();
    close(ends[1]);
    pthread_join(reader, &all);
    return all;
}

/* While nothing reads the pipe, far more than the pipe and the queue hold is logged without blocking. Each gap has a line with its size. */
static void a_stalled_reader_blocks_nobody(void **state)
{
    enum { LINES = 5000 };
    uint64_t dropped_before = log_dropped_lines();
    unsigned seen = 0, said = 0;
    pthread_t reader;
    char *all;

    (void)state;
    start_on_a_blocking_pipe();
    write_long_lines(LINES);
    assert_true(log_dropped_lines() > dropped_before);
    assert_int_equal(pthread_create(&reader, NULL, read_all, NULL), 0);
    all = stop_and_join(reader);
    for (char *line = strtok(all, "\n"); line; line = strtok(NULL, "\n")) {
        char *dropped = strstr(line, "WARN log: ");

        if (dropped)
            said += (unsigned)atoi(dropped + strlen("WARN log: "));
        else
            assert_int_equal(atoi(strstr(line, "module: ") + strlen("module: ")), said + seen++);
    }
    assert_true(seen > 0 && said > 0);
    assert_int_equal(seen + said, LINES);
    assert_int_equal(log_dropped_lines() - dropped_before, said);
    free(all);
}

static void what_was_dropped_is_said_even_if_nothing_follows(void **state)
{
    struct pollfd readable = {.fd = ends[0], .events = POLLIN};

    (void)state;
    fcntl(ends[1], F_SETFL, 0);
    log_configure(LOG_INFO, LOG_TEXT, ends[1]);
    assert_int_equal(log_start(), 0);
    write_long_lines(5000);
    while (poll(&readable, 1, 10000) == 1 && !strstr(read_log(), "lines dropped here"))
        continue;
    assert_non_null(strstr(text, "lines dropped here: the reader of the log does not keep up\n"));
    log_stop();
}

static void stopping_writes_what_is_queued(void **state)
{
    (void)state;
    log_configure(LOG_INFO, LOG_TEXT, ends[1]);
    assert_int_equal(log_start(), 0);
    write_long_lines(100);
    log_stop();
    assert_int_equal(count_lines(read_log()), 100);
    log_line(LOG_INFO, "module", "after the end");
    assert_non_null(strstr(read_log(), "after the end\n"));
}

/* Logs 300 lines with pauses, so that some meet every state of the sink. */
static void *log_slowly(void *unused)
{
    const struct timespec pause = {.tv_nsec = 1};

    (void)unused;
    for (unsigned i = 0; i < 300; i++) {
        struct log_site site = {0};
        log_write(&site, NULL, 0, LOG_INFO, "m", "line");
        nanosleep(&pause, NULL);
    }
    return NULL;
}

static void a_line_that_meets_the_stop_is_written_or_counted(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 20; round++) {
        uint64_t dropped_before = log_dropped_lines();
        unsigned lines = 0;
        pthread_t thread;

        log_configure(LOG_INFO, LOG_TEXT, ends[1]);
        assert_int_equal(log_start(), 0);
        assert_int_equal(pthread_create(&thread, NULL, log_slowly, NULL), 0);
        while (lines == 0)
            lines = count_lines(read_log());
        log_stop();
        pthread_join(thread, NULL);
        lines += count_lines(read_log());
        assert_int_equal(lines + log_dropped_lines() - dropped_before, 300);
    }
}

/* log_stop returns, so that the process can end, although nothing reads the pipe. */
static void stopping_gives_up_on_a_stalled_reader(void **state)
{
    uint64_t dropped_before = log_dropped_lines();

    (void)state;
    fcntl(ends[1], F_SETFL, 0);
    log_configure(LOG_INFO, LOG_TEXT, ends[1]);
    assert_int_equal(log_start(), 0);
    write_long_lines(200);
    log_stop();
    log_line(LOG_INFO, "module", "and nobody waits for this one");
    assert_int_equal(count_lines(read_log()), 201 - (log_dropped_lines() - dropped_before));
}

static void a_stalled_sink_does_not_hold_up_the_other(void **state)
{
    int stalled[2];

    (void)state;
    assert_int_equal(pipe2(stalled, O_CLOEXEC), 0);
    log_configure(LOG_INFO, LOG_TEXT, stalled[1]);
    log_add_sink(LOG_TEXT, ends[1]);
    assert_int_equal(log_start(), 0);
    for (int batch = 0; batch < 20; batch++) {
        unsigned lines = 0;

        write_long_lines(100); /* less than a queue holds */
        while (lines < 100)
            lines += count_lines(read_log());
    }
    close(stalled[0]);
    log_stop();
    close(stalled[1]);
}

enum { THREADS = 4, LINES_PER_THREAD = 2000 };

static void *write_numbered_lines(void *context)
{
    const int *thread = context;

    for (int i = 0; i < LINES_PER_THREAD; i++) {
        struct log_site site = {0};
        log_write(
            &site, NULL, 0, LOG_INFO, "module", "%d %d %.*s", *thread, i, i % 300,
            "................................................................................................................"
            "................................................................................................................"
            "............................................................................");
    }
    return NULL;
}

static void the_lines_of_each_thread_stay_in_order(void **state)
{
    uint64_t dropped_before = log_dropped_lines();
    int numbers[THREADS], last[THREADS], thread, number;
    pthread_t threads[THREADS], reader;
    unsigned seen = 0;
    char *all;

    (void)state;
    start_on_a_blocking_pipe();
    assert_int_equal(pthread_create(&reader, NULL, read_all, NULL), 0);
    for (int i = 0; i < THREADS; i++) {
        numbers[i] = i;
        last[i] = -1;
        assert_int_equal(pthread_create(&threads[i], NULL, write_numbered_lines, &numbers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    all = stop_and_join(reader);
    for (char *line = strtok(all, "\n"); line; line = strtok(NULL, "\n")) {
        if (strstr(line, "lines dropped here"))
            continue;
        assert_int_equal(sscanf(strstr(line, "module: "), "module: %d %d", &thread, &number), 2);
        assert_true(number > last[thread]);
        last[thread] = number;
        seen++;
    }
    assert_int_equal(seen, THREADS * LINES_PER_THREAD - (log_dropped_lines() - dropped_before));
    free(all);
}

static void a_child_writes_by_itself(void **state)
{
    int status;
    pid_t child;

    (void)state;
    log_configure(LOG_INFO, LOG_TEXT, ends[1]);
    assert_int_equal(log_start(), 0);
    child = fork();
    if (child == 0) {
        log_line(LOG_INFO, "module", "from the child");
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_non_null(strstr(read_log(), "from the child\n"));
    log_stop();
}

/* --- two sinks --- */

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
        cmocka_unit_test_setup_teardown(a_noisy_peer_does_not_hide_the_others, open_pipe, close_pipe),
        cmocka_unit_test_setup_teardown(events_of_many_peers_have_a_limit_too, open_pipe, close_pipe),
        cmocka_unit_test_setup_teardown(a_stalled_reader_blocks_nobody, open_pipe, close_pipe),
        cmocka_unit_test_setup_teardown(what_was_dropped_is_said_even_if_nothing_follows, open_pipe, close_pipe),
        cmocka_unit_test_setup_teardown(stopping_writes_what_is_queued, open_pipe, close_pipe),
        cmocka_unit_test_setup_teardown(a_line_that_meets_the_stop_is_written_or_counted, open_pipe, close_pipe),
        cmocka_unit_test_setup_teardown(stopping_gives_up_on_a_stalled_reader, open_pipe, close_pipe),
        cmocka_unit_test_setup_teardown(a_stalled_sink_does_not_hold_up_the_other, open_pipe, close_pipe),
        cmocka_unit_test_setup_teardown(the_lines_of_each_thread_stay_in_order, open_pipe, close_pipe),
        cmocka_unit_test_setup_teardown(a_child_writes_by_itself, open_pipe, close_pipe),
        cmocka_unit_test_setup_teardown(second_sink_has_its_own_format, open_pipe, close_pipe),
    };

    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
