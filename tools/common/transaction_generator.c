#include "common/transaction_generator.h"

#include <assert.h>
#include <string.h>

#define CHAIN_ID           8453
#define ABI_WORD           32
#define DEPOSIT_DATA_BYTES 176 /* L1 attributes since Isthmus */

void random_fill(struct random *random, uint8_t *bytes, size_t length)
{
    while (length > 0) {
        uint64_t value = random_next(random);
        size_t part = length < sizeof value ? length : sizeof value;

        memcpy(bytes, &value, part);
        bytes += part;
        length -= part;
    }
}

void transaction_world_init(struct transaction_world *world, uint64_t seed)
{
    struct random random;

    random_seed(&random, seed);
    world->seed = seed;
    random_fill(&random, world->contracts[0], sizeof world->contracts);
    random_fill(&random, world->topics[0], sizeof world->topics);
}

void transaction_account(const struct transaction_world *world, uint64_t number, uint8_t address[20])
{
    struct random random;

    random_seed(&random, world->seed ^ (number * UINT64_C(0x9e3779b97f4a7c15)));
    random_fill(&random, address, 20);
}

static void fill_word(const struct transaction_world *world, struct random *random, uint8_t word[ABI_WORD])
{
    uint64_t kind = random_below(random, 10);

    memset(word, 0, ABI_WORD);
    if (kind < 6) { /* a small number */
        size_t length = 1 + random_below(random, 4);

        random_fill(random, word + ABI_WORD - length, length);
    } else if (kind < 9) {
        memcpy(word + 12, world->contracts[random_below(random, TRANSACTION_CONTRACTS)], 20);
    } else {
        random_fill(random, word, ABI_WORD);
    }
}

void transaction_add_words(struct text *text, const struct transaction_world *world, struct random *random, unsigned words)
{
    uint8_t word[ABI_WORD];

    while (words-- > 0) {
        fill_word(world, random, word);
        text_add_hex(text, word, sizeof word);
    }
}

/* Writes the RLP header of a string (`offset` 0x80) or list (0xc0) of less than 16 MiB; returns the header's length. */
static size_t rlp_header(uint8_t out[4], size_t length, uint8_t offset)
{
    if (length < 56) {
        out[0] = (uint8_t)(offset + length);
        return 1;
    }
    if (length < 0x100) {
        out[0] = (uint8_t)(offset + 56);
        out[1] = (uint8_t)length;
        return 2;
    }
    if (length < 0x10000) {
        out[0] = (uint8_t)(offset + 57);
        out[1] = (uint8_t)(length >> 8);
        out[2] = (uint8_t)length;
        return 3;
    }
    assert(length < 0x1000000);
    out[0] = (uint8_t)(offset + 58);
    out[1] = (uint8_t)(length >> 16);
    out[2] = (uint8_t)(length >> 8);
    out[3] = (uint8_t)length;
    return 4;
}

struct bytes {
    uint8_t at[512];
    size_t length;
};

static void add_string(struct bytes *out, const uint8_t *bytes, size_t length)
{
    if (length != 1 || bytes[0] >= 0x80)
        out->length += rlp_header(out->at + out->length, length, 0x80);
    assert(out->length + length <= sizeof out->at);
    memcpy(out->at + out->length, bytes, length);
    out->length += length;
}

static void add_number(struct bytes *out, uint64_t number)
{
    uint8_t bytes[8];
    size_t length = 0;

    for (int shift = 56; shift >= 0; shift -= 8) {
        if (length > 0 || (number >> shift) != 0)
            bytes[length++] = (uint8_t)(number >> shift);
    }
    add_string(out, bytes, length);
}

/* Adds random bytes without a leading zero byte, as the numbers of a signature are encoded. */
static void add_random(struct bytes *out, struct random *random, size_t length)
{
    uint8_t bytes[ABI_WORD];

    assert(length <= sizeof bytes);
    random_fill(random, bytes, length);
    bytes[0] |= 1;
    add_string(out, bytes, length);
}

/* Hex of a typed transaction: the list of `before`, call data of `data_bytes` and `after`. */
static void add_typed(struct text *text, const struct transaction_world *world, struct random *random, const char *type,
                      const struct bytes *before, size_t data_bytes, const struct bytes *after)
{
    uint8_t data_header[4], list_header[4], word[ABI_WORD];
    size_t data_header_length = rlp_header(data_header, data_bytes, 0x80);
    size_t body = before->length + data_header_length + data_bytes + after->length;

    text_add_string(text, "0x");
    text_add_string(text, type);
    text_add_hex(text, list_header, rlp_header(list_header, body, 0xc0));
    text_add_hex(text, before->at, before->length);
    text_add_hex(text, data_header, data_header_length);
    if (data_bytes % ABI_WORD != 0) { /* the function selector of an ordinary call */
        random_fill(random, word, data_bytes % ABI_WORD);
        text_add_hex(text, word, data_bytes % ABI_WORD);
    }
    transaction_add_words(text, world, random, (unsigned)(data_bytes / ABI_WORD));
    text_add_hex(text, after->at, after->length);
}

void transaction_add_call(struct text *text, const struct transaction_world *world, struct random *random, size_t data_bytes)
{
    struct bytes before = {.length = 0}, after = {.length = 0};

    if (data_bytes == 1)
        data_bytes = 2; /* RLP may encode a single byte without a header; add_typed always writes one */
    add_number(&before, CHAIN_ID);
    add_number(&before, random_below(random, 4096)); /* nonce */
    add_number(&before, 1000000);                    /* priority fee */
    add_number(&before, 4000000 + random_below(random, 1024));
    add_number(&before, 21000 + 1000 * random_below(random, 300)); /* gas limit */
    add_string(&before, world->contracts[random_below(random, TRANSACTION_CONTRACTS)], 20);
    add_number(&before, 0);          /* value */
    after.at[after.length++] = 0xc0; /* empty access list */
    add_number(&after, random_below(random, 2));
    add_random(&after, random, 32);
    add_random(&after, random, 32);
    add_typed(text, world, random, "02", &before, data_bytes, &after);
}

void transaction_add_deposit(struct text *text, struct random *random)
{
    static const struct transaction_world nobody;
    static const uint8_t depositor[20] = {0xde, 0xad, 0xde, 0xad, 0xde, 0xad, 0xde, 0xad, 0xde, 0xad,
                                          0xde, 0xad, 0xde, 0xad, 0xde, 0xad, 0xde, 0xad, 0x00, 0x01};
    static const uint8_t l1_block[20] = {0x42, [19] = 0x15};
    struct bytes before = {.length = 0}, after = {.length = 0};

    add_random(&before, random, 32); /* source hash */
    add_string(&before, depositor, sizeof depositor);
    add_string(&before, l1_block, sizeof l1_block);
    add_number(&before, 0);       /* mint */
    add_number(&before, 0);       /* value */
    add_number(&before, 1000000); /* gas limit */
    add_number(&before, 0);       /* no system transaction */
    add_typed(text, &nobody, random, "7e", &before, DEPOSIT_DATA_BYTES, &after);
}
