/* Replays a fuzz target's corpus without libFuzzer, so that `make test` runs every input that was ever worth keeping.
 *
 *   build/asan/tests/fuzz_json             replays tests/fuzz/corpus/json (the name is what follows "fuzz_")
 *   build/asan/tests/fuzz_json FILE|DIR…   replays these instead
 *
 * Prints "fuzz json: 57 inputs". Fails when there is none: an empty corpus proves nothing. */
#include <dirent.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static long replayed;

static void replay_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    struct stat st;
    if (f == NULL || fstat(fileno(f), &st) != 0) {
        perror(path);
        exit(1);
    }
    /* Exactly as large as the input: reading past its end is a fault that the sanitizer sees. */
    size_t n = (size_t)st.st_size;
    uint8_t *data = malloc(n > 0 ? n : 1);
    if (data == NULL || fread(data, 1, n, f) != n) {
        perror(path);
        exit(1);
    }
    fclose(f);
    setenv("FUZZ_INPUT", path, 1); /* names the culprit in a core or a debugger */
    LLVMFuzzerTestOneInput(data, n);
    free(data);
    replayed++;
}

static void replay(const char *path)
{
    struct dirent **entries;
    int n = scandir(path, &entries, NULL, alphasort);
    if (n < 0) {
        replay_file(path);
        return;
    }
    for (int i = 0; i < n; i++) {
        char file[4096];
        if (entries[i]->d_name[0] != '.') {
            snprintf(file, sizeof file, "%s/%s", path, entries[i]->d_name);
            replay_file(file);
        }
        free(entries[i]);
    }
    free(entries);
}

int main(int argc, char **argv)
{
    const char *name = strstr(argv[0], "fuzz_");
    for (const char *next; name != NULL && (next = strstr(name + 5, "fuzz_")) != NULL;) name = next;
    name = name == NULL ? argv[0] : name + 5;
    if (argc > 1) {
        for (int i = 1; i < argc; i++) replay(argv[i]);
    } else {
        char corpus[4096];
        snprintf(corpus, sizeof corpus, "tests/fuzz/corpus/%s", name);
        replay(corpus);
    }
    printf("fuzz %s: %ld inputs\n", name, replayed);
    return replayed == 0;
}
