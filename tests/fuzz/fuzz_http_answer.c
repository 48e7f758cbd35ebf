/* A server's answer to our upgrade: an answer that comes in pieces ends as it does in one, with an error that is fit for a log. */
#include "flashrelay/http.h"
#include "flashrelay/ws_upgrade.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t length);

static enum http_parse_result parse(struct ws_upgrade_answer *answer, const uint8_t *input, size_t length, size_t *consumed)
{
    static const uint8_t KEY[16] = "the sample nonce";
    char *bytes = malloc(length + (length == 0));
    enum http_parse_result result;

    memcpy(bytes, input, length);
    result = ws_upgrade_answer_parse(answer, bytes, length, KEY, consumed);
    free(bytes);
    bool upgraded = result == HTTP_PARSE_DONE && answer->status == 101 && answer->error[0] == 0;

    if (!upgraded && result != HTTP_PARSE_INCOMPLETE && answer->error[0] == 0)
        abort();
    if (result == HTTP_PARSE_DONE && *consumed > length)
        abort();
    for (const char *c = answer->error; *c != 0; c++)
        if (*c < ' ' || *c > '~')
            abort();
    return result;
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t length)
{
    struct ws_upgrade_answer answer, answer_to_part;
    size_t consumed = 0, consumed_of_part = 0;
    enum http_parse_result result = parse(&answer, input, length, &consumed);

    for (size_t part = 0; part < length; part += 1 + length / 100) {
        enum http_parse_result of_part = parse(&answer_to_part, input, part, &consumed_of_part);

        if (of_part == HTTP_PARSE_INCOMPLETE)
            continue;
        if (of_part != result || consumed_of_part != consumed || strcmp(answer.error, answer_to_part.error) != 0)
            abort();
        break;
    }
    return 0;
}
