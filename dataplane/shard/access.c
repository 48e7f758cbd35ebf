/* Selects OpenSSL's old SHA-256 functions, which neither allocate nor fail: the new interface fetches an implementation each time. */
#define OPENSSL_API_COMPAT 0x10100000L

#include "flashrelay/access.h"

#include "flashrelay/list.h"
#include "flashrelay/random.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>

/* Bytes of a hash that are kept: 112 bits, too many to be matched by chance, or on purpose without the secret. */
#define DIGEST_BYTES 14
/* Least number of buckets per app, so that few keys begin at the same one. */
#define BUCKETS_PER_APP 4

/* Small, so that a look-up without collisions touches one cache line. */
struct bucket {
    uint8_t digest[DIGEST_BYTES];
    uint16_t entry; /* number + 1 of an app, 0: free */
};

_Static_assert(sizeof(struct bucket) == 16, "a bucket no longer fits its part of a cache line");

struct access_table {
    struct snapshot snapshot;
    bool public_access;
    unsigned count;
    size_t longest_key_bytes;
    SHA256_CTX keyed;       /* SHA-256 state after the secret; each look-up continues with a copy */
    struct bucket *buckets; /* a power of two of them, open addressing, linear probing */
    size_t bucket_mask;
    struct access_app apps[];
};

/* The secret has the length of one SHA-256 block, which is hashed here, so that it costs a look-up nothing. */
static void draw_secret(struct access_table *table)
{
    uint64_t secret[SHA256_CBLOCK / sizeof(uint64_t)];

    for (size_t i = 0; i < sizeof secret / sizeof secret[0]; i++)
        secret[i] = random_system_seed();
    SHA256_Init(&table->keyed);
    SHA256_Update(&table->keyed, secret, sizeof secret);
    OPENSSL_cleanse(secret, sizeof secret);
}

static void digest_key(const struct access_table *table, const char *key, size_t length, uint8_t digest[SHA256_DIGEST_LENGTH])
{
    SHA256_CTX keyed = table->keyed;

    SHA256_Update(&keyed, key, length);
    SHA256_Final(digest, &keyed);
}

/* The bucket where the search for a digest begins. */
static size_t first_bucket(const struct access_table *table, const uint8_t *digest)
{
    uint64_t bits;

    memcpy(&bits, digest, sizeof bits);
    return bits & table->bucket_mask;
}

static size_t next_bucket(const struct access_table *table, size_t bucket)
{
    return (bucket + 1) & table->bucket_mask;
}

static void enter_key(struct access_table *table, unsigned number, const char *key)
{
    uint8_t digest[SHA256_DIGEST_LENGTH];
    size_t length = strlen(key), bucket;

    digest_key(table, key, length, digest);
    for (bucket = first_bucket(table, digest); table->buckets[bucket].entry != 0;)
        bucket = next_bucket(table, bucket);
    table->buckets[bucket].entry = (uint16_t)(number + 1);
    memcpy(table->buckets[bucket].digest, digest, DIGEST_BYTES);
    if (length > table->longest_key_bytes)
        table->longest_key_bytes = length;
}

static int copy_app(struct access_table *table, unsigned number, const struct access_app *app)
{
    if (!app->name)
        return 0;
    table->apps[number] = (struct access_app){.name = strdup(app->name), .connection_limit = app->connection_limit};
    enter_key(table, number, app->key);
    return table->apps[number].name ? 0 : -ENOMEM;
}

static int allocate_buckets(struct access_table *table)
{
    size_t buckets = 1;

    while (buckets < (size_t)table->count * BUCKETS_PER_APP)
        buckets *= 2;
    table->bucket_mask = buckets - 1;
    table->buckets = calloc(buckets, sizeof *table->buckets);
    return table->buckets ? 0 : -ENOMEM;
}

static void destroy_snapshot(struct snapshot *snapshot)
{
    access_table_destroy(LIST_ENTRY(snapshot, struct access_table, snapshot));
}

int access_table_create(struct access_table **out, const struct access_app *apps, unsigned count, bool public_access)
{
    struct access_table *table;
    int error;

    if (count > ACCESS_MAX_APPS)
        return -E2BIG;
    table = calloc(1, sizeof *table + count * sizeof table->apps[0]);
    if (!table)
        return -ENOMEM;
    table->snapshot.destroy = destroy_snapshot;
    table->count = count;
    table->public_access = public_access;
    draw_secret(table);
    error = allocate_buckets(table);
    for (unsigned i = 0; i < count && error == 0; i++)
        error = copy_app(table, i, &apps[i]);
    if (error != 0) {
        access_table_destroy(table);
        return error;
    }
    *out = table;
    return 0;
}

void access_table_destroy(struct access_table *table)
{
    if (!table)
        return;
    for (unsigned i = 0; i < table->count; i++)
        free(table->apps[i].name);
    free(table->buckets);
    OPENSSL_cleanse(&table->keyed, sizeof table->keyed);
    free(table);
}

int access_table_publish(struct snapshot_group *group, struct snapshot_slot *slot, struct access_table *table, unsigned numbers)
{
    if (table->count > numbers)
        return -E2BIG;
    snapshot_publish(group, slot, &table->snapshot);
    return 0;
}

const struct access_table *access_table_current(const struct snapshot_slot *slot)
{
    const struct snapshot *snapshot = slot ? snapshot_read(slot) : NULL;

    return snapshot ? LIST_ENTRY(snapshot, const struct access_table, snapshot) : NULL;
}

unsigned access_table_count(const struct access_table *table)
{
    return table->count;
}

bool access_table_has_public_access(const struct access_table *table)
{
    return table->public_access;
}

const struct access_app *access_table_app(const struct access_table *table, unsigned number)
{
    return number < table->count && table->apps[number].name ? &table->apps[number] : NULL;
}

size_t access_table_longest_key_bytes(const struct access_table *table)
{
    return table->longest_key_bytes;
}

int access_table_find(const struct access_table *table, const char *key, size_t length)
{
    uint8_t digest[SHA256_DIGEST_LENGTH];
    const struct bucket *bucket;
    size_t index;

    if (length > table->longest_key_bytes)
        return -ENOENT;
    digest_key(table, key, length, digest);
    for (index = first_bucket(table, digest); table->buckets[index].entry != 0; index = next_bucket(table, index)) {
        bucket = &table->buckets[index];
        if (CRYPTO_memcmp(bucket->digest, digest, DIGEST_BYTES) == 0)
            return bucket->entry - 1;
    }
    return -ENOENT;
}
