/*
 * fuzz/replay.c - Runs a fuzz target over its corpus with any compiler: each argument is a file or
 * a folder of files. Fails when there is nothing to run, so that a lost corpus does not pass for a
 * good one.
 */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
__attribute__((weak)) int LLVMFuzzerInitialize(int *argc, char ***argv);

static size_t inputs_run;

static void die(const char *path, const char *what)
{
    fprintf(stderr, "replay: %s: %s\n", path, what);
    exit(1);
}

static void run_file(const char *path, size_t bytes)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        die(path, strerror(errno));
    /* Exactly as long as the input, so that AddressSanitizer sees a read one past its end. */
    uint8_t *data = malloc(bytes > 0 ? bytes : 1);
    if (data == NULL)
        die(path, "out of memory");
    if (fread(data, 1, bytes, file) != bytes)
        die(path, "short read");
    fclose(file);
    /* The last line of the output names the input that crashed. */
    fprintf(stderr, "%s\n", path);
    (void)LLVMFuzzerTestOneInput(data, bytes);
    free(data);
    inputs_run++;
}

static int is_visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static void run_path(const char *path, int depth)
{
    struct stat st;
    if (stat(path, &st) != 0)
        die(path, strerror(errno));
    if (!S_ISDIR(st.st_mode)) {
        run_file(path, (size_t)st.st_size);
        return;
    }
    if (depth > 4)
        die(path, "folders too deep");

    struct dirent **entries = NULL;
    int n = scandir(path, &entries, is_visible, alphasort);
    if (n < 0)
        die(path, strerror(errno));
    for (int i = 0; i < n; i++) {
        char child[2000];
        int len = snprintf(child, sizeof(child), "%s/%s", path, entries[i]->d_name);
        if (len < 0 || (size_t)len >= sizeof(child))
            die(path, "name too long");
        run_path(child, depth + 1);
        free(entries[i]);
    }
    free(entries);
}

int main(int argc, char **argv)
{
    if (LLVMFuzzerInitialize != NULL)
        (void)LLVMFuzzerInitialize(&argc, &argv);
    for (int i = 1; i < argc; i++)
        run_path(argv[i], 0);
    if (inputs_run == 0)
        die(argc > 1 ? argv[1] : "no argument", "no inputs");
    printf("%zu inputs\n", inputs_run);
    return 0;
}
