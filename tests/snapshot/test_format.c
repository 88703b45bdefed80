/* The bytes of the format: golden files, headers that are not valid. */
#include "snapshot/format.h"
#include "tests/snapshot/stage.h"

#include "base/memory.h"

#define PLAIN     "tests/snapshot/plain.hex"  /* nothing is packed: every byte is ours */
#define PACKED    "tests/snapshot/packed.hex" /* as a library of today packed it: it must be read */
#define LINE_SIZE 32
#define FILE_MAX  8192

static void hex_write(const char *path, const uint8_t *bytes, size_t size)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    for (size_t i = 0; i < size; i++)
        fprintf(file, "%02x%s", bytes[i], i % LINE_SIZE == LINE_SIZE - 1 ? "\n" : "");
    fprintf(file, "\n");
    fclose(file);
}

static size_t hex_read(const char *path, uint8_t bytes[FILE_MAX])
{
    char digits[3] = "";
    size_t size = 0;
    FILE *file = fopen(path, "r");
    if (!file)
        fail_msg("cannot read %s: run in the source root, or with REWRITE=1", path);
    while (size < FILE_MAX && fscanf(file, "%2s", digits) == 1)
        bytes[size++] = (uint8_t)strtoul(digits, NULL, 16);
    fclose(file);
    return size;
}

static void make(struct stage *stage, bool is_packed)
{
    struct store *store = stage->writes.store;
    struct store_key a = store_key_of(0, slice_of_text("a")),
                     b = store_key_of(3, slice_of_text("b"));
    struct store_key list = store_key_of(0, slice_of_text("list"));
    uint8_t same[600];
    memset(same, 's', sizeof same);
    store_put_string(store, &a, slice_of_text("alpha"), 0);
    store_put_string(store, &b, slice_of(same, is_packed ? sizeof same : 3), 1234567);
    store_list_push(store, &list, false, slice_of_text("one"));
    store_list_push(store, &list, false, slice_of_text("two"));
}

/* The file of a snapshot of what `make` made; returns its size. */
static size_t written(struct stage *stage, uint8_t bytes[FILE_MAX])
{
    char path[IO_PATH_SIZE];
    struct snapshot_writer *writer;
    struct snapshot_meta meta = stage_meta(10);
    size_t size;
    assert_status(STATUS_OK, snapshot_begin(stage->snapshots, &meta, stage->writes.store, &writer,
                                            stage->why));
    snapshot_confirm(writer);
    for (enum status status = STATUS_OK; status != STATUS_END;) {
        status = snapshot_step(writer, stage->why);
        if (status == STATUS_AGAIN)
            assert_true(stage_turn(stage));
    }
    snapshot_end(writer);
    stage_path(10, path);
    assert_status(STATUS_OK,
                  world_disk_read(stage->world, stage->machine, path, bytes, FILE_MAX, 0, &size));
    assert_true(size < FILE_MAX);
    return size;
}

static void put_file(struct stage *stage, uint64_t index, struct slice bytes)
{
    char path[IO_PATH_SIZE];
    struct io_file file;
    stage_path(index, path);
    assert_status(STATUS_OK, io_file_open(stage_io(stage), path, IO_FILE_CREATE, &file));
    assert_status(STATUS_OK, io_file_write(stage_io(stage), file, &bytes, 1, 0));
    io_file_close(stage_io(stage), file);
}

static void begin(struct stage *stage, bool is_packed)
{
    stage_init(stage, 1);
    assert_status(STATUS_OK, stage_open(stage));
    make(stage, is_packed);
    stage_mark(stage, 10);
}

static void golden_bytes_stay(void **state)
{
    struct stage stage;
    uint8_t bytes[FILE_MAX], golden[FILE_MAX];
    (void)state;
    begin(&stage, false);
    size_t size = written(&stage, bytes);
    if (getenv("REWRITE"))
        hex_write(PLAIN, bytes, size);
    assert_int_equal(hex_read(PLAIN, golden), size);
    assert_memory_equal(golden, bytes, size);
    stage_deinit(&stage);
}

static void golden_packed_bytes_are_read(void **state)
{
    struct stage stage;
    uint8_t bytes[FILE_MAX];
    (void)state;
    begin(&stage, true);
    if (getenv("REWRITE")) {
        struct stage other;
        begin(&other, true);
        hex_write(PACKED, bytes, written(&other, bytes));
        stage_deinit(&other);
    }
    put_file(&stage, 10, slice_of(bytes, hex_read(PACKED, bytes)));
    stage_close(&stage);
    assert_status(STATUS_OK, stage_open(&stage));
    assert_int_equal(10, stage_check(&stage));
    stage_deinit(&stage);
}

/* ---- the header ---- */

static struct buffer header_of(const struct snapshot_meta *meta)
{
    struct buffer out;
    buffer_init(&out, SNAPSHOT_HEADER_MAX);
    assert_status(STATUS_OK, snapshot_header_store(STAGE_CLUSTER, meta, &out));
    return out;
}

static void a_header_goes_out_and_comes_back(void **state)
{
    static const char *const texts[SNAPSHOT_SECTIONS] = {"one", "the second", "3", "and the last"};
    (void)state;
    for (unsigned present = 0; present < 1u << SNAPSHOT_SECTIONS; present++) {
        struct snapshot_meta meta = stage_meta(7), again;
        for (unsigned i = 0; i < SNAPSHOT_SECTIONS; i++)
            meta.sections[i] = slice_of_text(present >> i & 1 ? texts[i] : "");
        struct buffer out = header_of(&meta);
        assert_status(STATUS_OK,
                      snapshot_header_load(slice_of_buffer(&out), STAGE_CLUSTER, &again));
        assert_int_equal(again.index, 7);
        assert_int_equal(again.term, 3);
        assert_true(again.time_us == meta.time_us && again.hash_seed == meta.hash_seed);
        for (unsigned i = 0; i < SNAPSHOT_SECTIONS; i++)
            assert_true(slice_equal(meta.sections[i], again.sections[i]));
        buffer_deinit(&out);
    }
}

static void every_flipped_bit_of_a_header_is_seen(void **state)
{
    struct snapshot_meta meta = stage_meta(7), again;
    struct buffer out = header_of(&meta);
    (void)state;
    for (size_t bit = 0; bit < out.size * 8; bit++) {
        out.at[bit / 8] ^= (uint8_t)(1 << bit % 8);
        enum status status = snapshot_header_load(slice_of_buffer(&out), STAGE_CLUSTER, &again);
        assert_status(STATUS_DAMAGED, status);
        out.at[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    for (size_t size = 0; size < out.size; size++)
        assert_status(STATUS_DAMAGED,
                      snapshot_header_load(slice_of(out.at, size), STAGE_CLUSTER, &again));
    buffer_deinit(&out);
}

static void another_cluster_is_foreign(void **state)
{
    struct snapshot_meta meta = stage_meta(7), again;
    struct cluster_id other = {0x1111, 0x2223};
    struct buffer out = header_of(&meta);
    (void)state;
    assert_status(STATUS_FOREIGN, snapshot_header_load(slice_of_buffer(&out), other, &again));
    buffer_deinit(&out);
}

static void a_header_too_large_is_refused(void **state)
{
    struct snapshot_meta meta = stage_meta(7);
    struct buffer out;
    uint8_t *bytes = memory_zeroed(1, SNAPSHOT_HEADER_MAX);
    (void)state;
    buffer_init(&out, SIZE_MAX);
    meta.sections[SNAPSHOT_ONCE] = slice_of(bytes, SNAPSHOT_HEADER_MAX);
    assert_status(STATUS_TOO_LARGE, snapshot_header_store(STAGE_CLUSTER, &meta, &out));
    memory_free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden_bytes_stay),
        cmocka_unit_test(golden_packed_bytes_are_read),
        cmocka_unit_test(a_header_goes_out_and_comes_back),
        cmocka_unit_test(every_flipped_bit_of_a_header_is_seen),
        cmocka_unit_test(another_cluster_is_foreign),
        cmocka_unit_test(a_header_too_large_is_refused),
    };
    return cmocka_run_group_tests_name("snapshot format", tests, NULL, NULL);
}
