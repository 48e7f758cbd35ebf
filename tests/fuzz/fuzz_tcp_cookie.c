/*
 * Cookies: the input is a tuple, options and a sequence number. What was made is taken as what it was made for, before and after new keys
 * are drawn; whatever else comes back, options are always such as the engine knows.
 */
#include "engine/tcp/cookie.h"

#include "flashrelay/clock.h"
#include "support/fuzz_script.h"
#include "support/must.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t length);

static void fill(struct fuzz_script *script, void *object, size_t bytes)
{
    size_t length;
    const uint8_t *taken = fuzz_script_take(script, bytes, &length);

    memset(object, 0, bytes);
    memcpy(object, taken, length);
}

static void check_options(const struct cookie_options *options)
{
    must(options->mss_class < COOKIE_MSS_CLASSES && options->scale <= 9 && (options->has_scale || options->scale == 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t length)
{
    struct fuzz_script script = {input, length};
    struct cookie_options wanted = {0}, agreed = {0};
    struct cookie_tuple tuple = {0};
    struct cookie_keys keys;
    struct random random;
    uint32_t guess, cookie;
    uint8_t flags;

    random_seed(&random, 1);
    cookie_keys_init(&keys, &random, 0);
    fill(&script, &tuple, sizeof tuple);
    fill(&script, &guess, sizeof guess);
    flags = fuzz_script_next(&script);
    wanted.mss_class = flags % COOKIE_MSS_CLASSES;
    wanted.has_scale = (flags & 8) != 0;
    wanted.sack = (flags & 16) != 0;
    wanted.scale = fuzz_script_next(&script); /* a peer may offer any number */
    cookie = cookie_make(&keys, &tuple, &wanted);
    if ((flags & 32) != 0)
        cookie_keys_refresh(&keys, &random, COOKIE_KEY_NS);
    must(cookie_check(&keys, &tuple, cookie, &agreed) == COOKIE_VALID);
    check_options(&agreed);
    must(agreed.mss_class == wanted.mss_class && agreed.has_scale == wanted.has_scale && agreed.sack == wanted.sack);
    must(!wanted.has_scale || agreed.scale <= wanted.scale);
    if (cookie_check(&keys, &tuple, guess, &agreed) == COOKIE_VALID)
        check_options(&agreed);
    return 0;
}
