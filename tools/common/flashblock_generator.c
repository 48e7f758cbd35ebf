#include "common/flashblock_generator.h"

#include "common/text.h"
#include "common/transaction_generator.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_SECONDS      2
#define FIRST_TIMESTAMP    UINT64_C(1767225600)
#define STAMP_DIGITS       20 /* of a 64-bit number */
#define MAX_CALL_WORDS     12
#define MAX_LOGS           4
#define MAX_LOG_WORDS      3
#define BASE_FRAME         1561 /* bytes of JSON around the entries of index 0 */
#define FRAME              1090 /* bytes around those of any other index */
#define ENTRY_BYTES        437  /* of a transaction without call data, its receipt without logs, and its sender's balance */
#define LOG_BYTES          580  /* the largest log */
#define ACCOUNTS_PER_BLOCK 64   /* by how many accounts the senders differ from one block to the next; most send again */

struct flashblock_generator {
    struct flashblock_generator_options options;
    struct transaction_world world;
    struct random random;
    struct flashblock flashblock;
    uint64_t block, gas_used, transactions; /* transactions: of this flashblock */
    unsigned next_index;
    bool block_begun; /* a flashblock of the current block has been made */
    uint8_t bloom[256];
    size_t stamp_at;
    /* The variable parts are made first, so that their size is known when the text is put together. */
    struct text calls, balances, receipts, text;
};

int flashblock_generator_create(struct flashblock_generator **out, const struct flashblock_generator_options *options)
{
    struct flashblock_generator *generator = calloc(1, sizeof *generator);

    if (!generator)
        return -ENOMEM;
    generator->options = *options;
    generator->block = options->first_block_number;
    transaction_world_init(&generator->world, options->seed);
    random_seed(&generator->random, options->seed + 1);
    *out = generator;
    return 0;
}

void flashblock_generator_destroy(struct flashblock_generator *generator)
{
    if (!generator)
        return;
    text_dispose(&generator->calls);
    text_dispose(&generator->balances);
    text_dispose(&generator->receipts);
    text_dispose(&generator->text);
    free(generator);
}

static void add_random_hex(struct flashblock_generator *generator, struct text *text, size_t length)
{
    uint8_t bytes[64];

    random_fill(&generator->random, bytes, length);
    text_add_string(text, "0x");
    text_add_hex(text, bytes, length);
}

/* ,"name":"0x<random>" */
static void add_hash(struct flashblock_generator *generator, const char *name)
{
    text_format(&generator->text, ",\"%s\":\"", name);
    add_random_hex(generator, &generator->text, 32);
    text_add_string(&generator->text, "\"");
}

static void add_topic(struct flashblock_generator *generator, const uint8_t topic[32])
{
    for (int i = 0; i < 3; i++) { /* three bits per item, as the yellow paper's bloom filter has */
        uint64_t bit = random_below(&generator->random, 2048);

        generator->bloom[bit / 8] |= (uint8_t)(1 << (bit % 8));
    }
    text_add_string(&generator->receipts, "\"0x");
    text_add_hex(&generator->receipts, topic, 32);
    text_add_string(&generator->receipts, "\"");
}

static void add_log(struct flashblock_generator *generator)
{
    struct text *out = &generator->receipts;
    struct random *random = &generator->random;
    uint8_t account[32] = {0};

    text_add_string(out, "{\"address\":\"0x");
    text_add_hex(out, generator->world.contracts[random_below(random, TRANSACTION_CONTRACTS)], 20);
    text_add_string(out, "\",\"topics\":[");
    add_topic(generator, generator->world.topics[random_below(random, TRANSACTION_TOPICS)]);
    for (uint64_t i = random_below(random, 3); i > 0; i--) {
        text_add_string(out, ",");
        transaction_account(&generator->world, generator->block * ACCOUNTS_PER_BLOCK + random_below(random, 256), account + 12);
        add_topic(generator, account);
    }
    text_add_string(out, "],\"data\":\"0x");
    transaction_add_words(out, &generator->world, random, (unsigned)random_below(random, MAX_LOG_WORDS + 1));
    text_add_string(out, "\"}");
}

static void add_receipt(struct flashblock_generator *generator, unsigned logs)
{
    struct text *out = &generator->receipts;

    generator->gas_used += 21000 + random_below(&generator->random, 200000);
    text_add_string(out, generator->transactions > 0 ? ",\"" : "\"");
    add_random_hex(generator, out, 32);
    text_format(out, "\":{\"Eip1559\":{\"status\":\"0x1\",\"cumulativeGasUsed\":\"0x%" PRIx64 "\",\"logs\":[",
                generator->gas_used);
    for (unsigned i = 0; i < logs; i++) {
        if (i > 0)
            text_add_string(out, ",");
        add_log(generator);
    }
    text_add_string(out, "]}}");
}

static void add_balance(struct flashblock_generator *generator)
{
    uint8_t address[20];

    transaction_account(&generator->world, generator->block * ACCOUNTS_PER_BLOCK + generator->transactions, address);
    text_add_string(&generator->balances, generator->transactions > 0 ? ",\"0x" : "\"0x");
    text_add_hex(&generator->balances, address, sizeof address);
    text_format(&generator->balances, "\":\"0x%" PRIx64 "\"",
                random_next(&generator->random) >> random_below(&generator->random, 24));
}

/* One transaction, its receipt and its sender's balance. */
static void add_entry(struct flashblock_generator *generator, size_t data_bytes, unsigned logs)
{
    text_add_string(&generator->calls, generator->calls.length > 0 ? ",\"" : "\"");
    transaction_add_call(&generator->calls, &generator->world, &generator->random, data_bytes);
    text_add_string(&generator->calls, "\"");
    add_receipt(generator, logs);
    add_balance(generator);
    generator->transactions++;
}

static size_t entries_length(const struct flashblock_generator *generator)
{
    return generator->calls.length + generator->balances.length + generator->receipts.length;
}

/* Makes entries of about `size` bytes in total. */
static void make_entries(struct flashblock_generator *generator, size_t size)
{
    size_t length = entries_length(generator);

    while (length + ENTRY_BYTES <= size) {
        size_t room = size - length - ENTRY_BYTES;
        size_t data_bytes = 4 + 32 * random_below(&generator->random, MAX_CALL_WORDS + 1);
        unsigned logs = (unsigned)random_below(&generator->random, MAX_LOGS + 1);

        if (2 * data_bytes + logs * LOG_BYTES + ENTRY_BYTES > room) { /* the last entry fills the remaining room */
            add_entry(generator, room / 2, 0);
            break;
        }
        add_entry(generator, data_bytes, logs);
        length = entries_length(generator);
    }
}

static void add_base(struct flashblock_generator *generator)
{
    struct text *out = &generator->text;
    uint64_t timestamp = FIRST_TIMESTAMP + BLOCK_SECONDS * (generator->block - generator->options.first_block_number);

    text_add_string(out, ",\"base\":{\"fee_recipient\":\"0x4200000000000000000000000000000000000011\"");
    add_hash(generator, "parent_beacon_block_root");
    add_hash(generator, "parent_hash");
    add_hash(generator, "prev_randao");
    text_format(out, ",\"block_number\":\"0x%" PRIx64 "\",\"gas_limit\":\"0x11e1a300\",\"timestamp\":\"0x%" PRIx64 "\"",
                generator->block, timestamp);
    text_add_string(out, ",\"extra_data\":\"0x00000000320000000c\",\"base_fee_per_gas\":\"0x33\"}");
}

static void add_diff(struct flashblock_generator *generator)
{
    struct text *out = &generator->text;

    text_format(out, ",\"diff\":{\"gas_used\":\"0x%" PRIx64 "\",\"logs_bloom\":\"0x", generator->gas_used);
    text_add_hex(out, generator->bloom, sizeof generator->bloom);
    text_add_string(out, "\"");
    add_hash(generator, "state_root");
    add_hash(generator, "receipts_root");
    add_hash(generator, "block_hash");
    add_hash(generator, "withdrawals_root");
    text_add_string(out, ",\"withdrawals\":[],\"transactions\":[");
    if (generator->calls.length > 0)
        text_add(out, generator->calls.bytes, generator->calls.length);
    text_add_string(out, "]}");
}

static void add_metadata(struct flashblock_generator *generator)
{
    struct text *out = &generator->text;

    text_format(out, ",\"metadata\":{\"block_number\":%" PRIu64 ",\"new_account_balances\":{", generator->block);
    if (generator->balances.length > 0)
        text_add(out, generator->balances.bytes, generator->balances.length);
    text_add_string(out, "},\"receipts\":{");
    if (generator->receipts.length > 0)
        text_add(out, generator->receipts.bytes, generator->receipts.length);
    text_add_string(out, "},\"flashblock_timestamp\":");
    generator->stamp_at = out->length;
    text_format(out, "%*s}}", STAMP_DIGITS, "0");
}

static void write_text(struct flashblock_generator *generator)
{
    text_clear(&generator->text);
    text_format(&generator->text, "{\"payload_id\":\"0x%016" PRIx64 "\",\"index\":%u", generator->flashblock.payload_id,
                generator->flashblock.index);
    if (generator->flashblock.index == 0)
        add_base(generator);
    add_diff(generator);
    add_metadata(generator);
}

static void begin_block(struct flashblock_generator *generator)
{
    generator->block_begun = true;
    generator->flashblock.payload_id = random_next(&generator->random);
    generator->gas_used = 0;
    memset(generator->bloom, 0, sizeof generator->bloom);
}

static void add_deposit(struct flashblock_generator *generator)
{
    text_add_string(&generator->calls, "\"");
    transaction_add_deposit(&generator->calls, &generator->random);
    text_add_string(&generator->calls, "\"");
}

void flashblock_generator_skip_index(struct flashblock_generator *generator)
{
    generator->next_index = (generator->next_index + 1) % generator->options.per_block;
    if (generator->next_index == 0) {
        generator->block++;
        generator->block_begun = false;
    }
}

const struct flashblock *flashblock_generator_next(struct flashblock_generator *generator)
{
    struct flashblock *flashblock = &generator->flashblock;
    size_t frame, entries;

    flashblock->index = generator->next_index;
    flashblock->block_number = generator->block;
    text_clear(&generator->calls);
    text_clear(&generator->balances);
    text_clear(&generator->receipts);
    generator->transactions = 0;
    if (!generator->block_begun)
        begin_block(generator);
    if (flashblock->index == 0)
        add_deposit(generator);
    frame = flashblock->index == 0 ? BASE_FRAME : FRAME;
    entries = generator->options.size_bytes > frame ? generator->options.size_bytes - frame : 0;
    make_entries(generator, entries);
    write_text(generator);
    flashblock->text = generator->text.bytes;
    flashblock->length = generator->text.length;
    flashblock_generator_skip_index(generator); /* advances to the next index */
    return flashblock;
}

void flashblock_generator_stamp(struct flashblock_generator *generator, uint64_t realtime_ns)
{
    char digits[STAMP_DIGITS + 1];

    snprintf(digits, sizeof digits, "%*" PRIu64, STAMP_DIGITS, realtime_ns);
    memcpy(generator->text.bytes + generator->stamp_at, digits, STAMP_DIGITS);
}
