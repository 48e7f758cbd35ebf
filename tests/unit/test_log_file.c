/* The log in files: their names, and when a new file is begun. */
#include "flashrelay/clock.h"
#include "log_file.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

/* 2026-01-31 23:59:30 UTC */
#define NOW_S  UINT64_C(1769903970)
#define NOW_NS (NOW_S * NS_PER_S)

static char base[] = "/tmp/test_log_file.XXXXXX";
static char directory[64];

static int make_base(void **state)
{
    (void)state;
    if (!mkdtemp(base))
        return -1;
    snprintf(directory, sizeof directory, "%s/made/here", base);
    return 0;
}

static int remove_base(void **state)
{
    char command[64];

    (void)state;
    snprintf(command, sizeof command, "rm -r %s", base);
    return system(command);
}

/* Returns what the file of that name holds; "" if there is no such file. */
static const char *contents(const char *name)
{
    static char text[256];
    char path[128];
    size_t length = 0;
    FILE *in;

    snprintf(path, sizeof path, "%s/%s", directory, name);
    in = fopen(path, "r");
    if (in) {
        length = fread(text, 1, sizeof text - 1, in);
        fclose(in);
    }
    text[length] = '\0';
    return text;
}

static void write_line(const struct log_file *file, const char *text)
{
    assert_int_equal(write(file->descriptor, text, strlen(text)), strlen(text));
}

static void without_rotation(void **state)
{
    struct log_file file;

    (void)state;
    assert_int_equal(log_file_open(&file, directory, LOG_ROTATION_NEVER, NOW_NS), 0);
    write_line(&file, "a");
    assert_true(log_file_rotate(&file, NOW_NS * 2) == CLOCK_NEVER);
    log_file_close(&file);
    assert_int_equal(log_file_open(&file, directory, LOG_ROTATION_NEVER, NOW_NS), 0);
    write_line(&file, "b");
    log_file_close(&file);
    assert_string_equal(contents("flashrelay.log"), "ab");
}

static void rotations(void **state)
{
    static const struct {
        enum log_rotation rotation;
        uint64_t next_s;
        const char *first, *second;
    } cases[] = {
        {LOG_ROTATION_MINUTELY, NOW_S + 30, "flashrelay.log.2026-01-31-23-59", "flashrelay.log.2026-02-01-00-00"},
        {LOG_ROTATION_HOURLY, NOW_S + 30, "flashrelay.log.2026-01-31-23", "flashrelay.log.2026-02-01-00"},
        {LOG_ROTATION_DAILY, NOW_S + 30, "flashrelay.log.2026-01-31", "flashrelay.log.2026-02-01"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct log_file file;
        int descriptor;

        assert_int_equal(log_file_open(&file, directory, cases[i].rotation, NOW_NS), 0);
        descriptor = file.descriptor;
        write_line(&file, "old");
        assert_int_equal(log_file_rotate(&file, NOW_NS + 29 * NS_PER_S), cases[i].next_s * NS_PER_S);
        write_line(&file, "er");
        assert_true(log_file_rotate(&file, cases[i].next_s * NS_PER_S) > cases[i].next_s * NS_PER_S);
        assert_int_equal(file.descriptor, descriptor);
        write_line(&file, "new");
        log_file_close(&file);
        assert_string_equal(contents(cases[i].first), "older");
        assert_string_equal(contents(cases[i].second), "new");
    }
}

static void a_directory_that_cannot_be(void **state)
{
    struct log_file file;

    (void)state;
    assert_int_equal(log_file_open(&file, "/proc/none/such", LOG_ROTATION_NEVER, NOW_NS), -ENOENT);
    assert_int_equal(log_file_open(&file, "/dev/null/log", LOG_ROTATION_NEVER, NOW_NS), -ENOTDIR);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_rotation),
        cmocka_unit_test(rotations),
        cmocka_unit_test(a_directory_that_cannot_be),
    };
    return cmocka_run_group_tests(tests, make_base, remove_base);
}
