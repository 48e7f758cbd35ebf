/* Runs scripts of what the TCP engine must send for what it receives, in virtual time. */
#include "tcp_script/run.h"

#include <stdio.h>

/* Returns whether the script can be read and the engine does what it says. */
static bool run_file(const char *path)
{
    struct script script;
    bool succeeds = script_load(&script, path) == 0 && run_script(&script, path);

    script_dispose(&script);
    printf("%s %s\n", succeeds ? "ok    " : "FAILED", path);
    return succeeds;
}

int main(int argc, char **argv)
{
    int failed = 0;

    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc < 2) {
        fprintf(stderr, "tcp_script: expected paths of scripts\n");
        return 2;
    }
    for (int i = 1; i < argc; i++)
        failed += !run_file(argv[i]);
    printf("%d passed, %d failed\n", argc - 1 - failed, failed);
    return failed > 0;
}
