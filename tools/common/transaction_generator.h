/* Transactions as a builder streams them: RLP of type 2 (EIP-1559, EIP-2718) and the OP Stack's deposits, with made-up content. */
#ifndef TOOLS_COMMON_TRANSACTION_GENERATOR_H
#define TOOLS_COMMON_TRANSACTION_GENERATOR_H

#include "common/text.h"
#include "flashrelay/random.h"

#define TRANSACTION_CONTRACTS 48 /* contracts that most calls go to */
#define TRANSACTION_TOPICS    16 /* kinds of events */

/* What the transactions of the made-up chain have in common: accounts (derived from the seed), contracts and topics. */
struct transaction_world {
    uint64_t seed;
    uint8_t contracts[TRANSACTION_CONTRACTS][20];
    uint8_t topics[TRANSACTION_TOPICS][32];
};

void transaction_world_init(struct transaction_world *world, uint64_t seed);

/* Fills `bytes` with random bytes. */
void random_fill(struct random *random, uint8_t *bytes, size_t length);

/* The address of account `number`. */
void transaction_account(const struct transaction_world *world, uint64_t number, uint8_t address[20]);

/* Adds, as hex, ABI words as calls and events hold them: mostly small numbers and addresses, few random. */
void transaction_add_words(struct text *text, const struct transaction_world *world, struct random *random, unsigned words);

/* Adds a signed call as hex with 0x, with `data_bytes` of call data. */
void transaction_add_call(struct text *text, const struct transaction_world *world, struct random *random, size_t data_bytes);

/* Adds the deposit that begins a block of an OP Stack chain. */
void transaction_add_deposit(struct text *text, struct random *random);

#endif
